/* fuzz.c: the readers of files under libFuzzer. DET_FUZZ names one of them: each gets bytes that
 * are not quite a file of its kind; what a checksum would refuse at once is sealed here before it
 * is read, so that what lies behind the checksum is reached. `make fuzz` builds and runs all
 * (fuzz.mk); a crash is kept in build/fuzz/NAME.
 */
#define _GNU_SOURCE /* memfd_create */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "convert/read/yaml.h"
#include "convert/readers.h"
#include "convert/zip.h"
#include "export/proof.h"
#include "export/read_onnx.h"
#include "formats/coco_json.h"
#include "formats/label_map.h"
#include "formats/leveldb_table.h"
#include "formats/pipeline_config.h"
#include "formats/tf_bundle.h"
#include "formats/tf_example.h"
#include "formats/tfrecord.h"
#include "formats/weights_layout.h"
#include "model/model.h"
#include "support/io.h"
#include "support/json.h"
#include "support/mem.h"

/* No input of a few kilobytes has a right to more. */
#define MOST_BYTES ((size_t)64 << 20)

/* --- input as files --- */

static void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t masked_crc(const void *data, size_t bytes)
{
    return det_crc32c_mask(det_crc32c(0, data, bytes));
}

/* A file in memory; its path in `path`. */
static int make_file(const void *data, size_t bytes, char path[64])
{
    const int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
    if (descriptor < 0 || write(descriptor, data, bytes) != (ssize_t)bytes)
        abort();
    snprintf(path, 64, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

/* --- the readers --- */

static size_t walk(struct det_env *env, struct det_json value)
{
    struct det_json_entry entry;
    double number = 0;
    char *text = NULL;
    size_t seen = 1;
    det_json_number(value, &number);
    if (det_json_string(env, value, &text) == DET_OK && text != NULL &&
        !det_json_equals(value, text))
        abort();
    det_free(env, &text);
    for (bool more = det_json_first(value, &entry); more; more = det_json_next(&entry))
        seen += walk(env, entry.key) + walk(env, entry.value);
    return seen;
}

static void fuzz_json(struct det_env *env, const uint8_t *data, size_t bytes)
{
    struct det_json root;
    if (det_json_parse(env, "x", data, bytes, &root) == DET_OK && walk(env, root) == 0)
        abort();
}

static void note_fault(void *user, const int64_t *image_id, const char *message)
{
    *(size_t *)user += (image_id != NULL) + strlen(message);
}

static void note(void *user, const char *message)
{
    *(size_t *)user += strlen(message);
}

static void fuzz_coco(struct det_env *env, const uint8_t *data, size_t bytes)
{
    struct det_coco_dataset dataset;
    struct det_coco_detection_list list;
    det_coco_json_parse_dataset(env, "x", data, bytes, &dataset);
    det_coco_json_parse_detections(env, "x", data, bytes, &dataset.names, &list);
    det_coco_detection_list_free(env, &list);
    det_coco_dataset_free(env, &dataset);
    size_t told = 0;
    const struct det_coco_faults faults = {&told, note_fault, note};
    det_coco_json_parse_sound(env, "x", data, bytes, &faults, &dataset);
    det_coco_dataset_free(env, &dataset);
}

/* JSON text, a zero byte, tensor data: under the fixed header of a .det file. */
static void fuzz_det(struct det_env *env, const uint8_t *data, size_t bytes)
{
    const uint8_t *end = bytes > 0 ? memchr(data, 0, bytes) : NULL;
    const size_t json = end != NULL ? (size_t)(end - data) : bytes;
    size_t start = 0;
    weights_align(WEIGHTS_FIXED_BYTES + json, &start);
    const size_t tensors = end != NULL ? bytes - json - 1 : 0, total = start + tensors;
    uint8_t *file = calloc(1, total);
    char path[64];
    det_model *model = NULL;
    if (file == NULL)
        return;
    memcpy(file, WEIGHTS_MAGIC, WEIGHTS_MAGIC_BYTES);
    put_u32(file + WEIGHTS_AT_VERSION, DET_WEIGHTS_VERSION);
    put_u32(file + WEIGHTS_AT_HEADER_BYTES, (uint32_t)json);
    put_u32(file + WEIGHTS_AT_FILE_BYTES, (uint32_t)total);
    memcpy(file + WEIGHTS_FIXED_BYTES, data, json);
    if (tensors > 0)
        memcpy(file + start, end + 1, tensors);
    put_u32(file + WEIGHTS_AT_CRC,
            det_crc32c(0, file + WEIGHTS_AT_HEADER_BYTES,
                       WEIGHTS_FIXED_BYTES - WEIGHTS_AT_HEADER_BYTES + json));
    const int descriptor = make_file(file, total, path);
    det_model_read(env, path, &model);
    det_model_destroy(&model);
    close(descriptor);
    free(file);
}

/* The spec of a model. */
static void fuzz_spec(struct det_env *env, const uint8_t *data, size_t bytes)
{
    struct det_json root;
    struct det_model_spec spec;
    struct det_graph graph;
    if (det_json_parse(env, "x", data, bytes, &root) != DET_OK ||
        det_model_spec_from_json(env, "x", root, &spec) != DET_OK)
        return;
    for (int folded = 0; folded < 2; folded++)
        if (det_graph_build(env, &spec, folded != 0, &graph) == DET_OK)
            det_graph_free(env, &graph);
}

/* Records, with their checksums put right. */
static void fuzz_records(struct det_env *env, const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes + 1);
    char path[64];
    struct det_record_set set;
    struct det_record record = {0};
    if (copy == NULL)
        return;
    for (size_t at = 0; bytes - at >= 16 && (copy[0] != 0x1f || copy[1] != 0x8b);) {
        uint64_t length = 0;
        put_u32(copy + at + 8, masked_crc(copy + at, 8));
        for (int i = 7; i >= 0; i--)
            length = length << 8 | copy[at + (size_t)i];
        if (length > bytes - at - 16)
            break;
        put_u32(copy + at + 12 + length, masked_crc(copy + at + 12, (size_t)length));
        at += (size_t)length + 16;
    }
    const int descriptor = make_file(copy, bytes, path);
    const char *const patterns[] = {path};
    if (det_record_set_open(env, patterns, 1, &set) == DET_OK)
        for (size_t i = 0; i < set.record_count; i++)
            det_record_set_get(env, &set, i, &record);
    det_record_set_close(env, &set);
    /* From memory, up to damage. */
    const struct det_file_bytes lent = {.data = copy, .bytes = bytes};
    det_status damage = DET_OK;
    if (det_record_set_open_file(env, "x", &lent, &set, &damage) == DET_OK)
        for (size_t i = 0; i < set.record_count; i++)
            det_record_set_get(env, &set, i, &record);
    det_record_free(env, &record);
    det_record_set_close(env, &set);
    close(descriptor);
    free(copy);
}

/* A whole reader of data sets: what it keeps must be in order. */
static void fuzz_reader(struct det_env *env, const uint8_t *data, size_t bytes, det_reader read)
{
    char path[64];
    struct det_annotations set;
    struct det_findings findings = {0};
    struct det_files files = {0};
    const int descriptor = make_file(data, bytes, path);
    const struct det_read_settings settings = {
        .path = path, .files = &files, .findings = &findings};
    if (det_annotations_init(env, &set, NULL) != DET_OK)
        abort();
    set.files = &files;
    if (read(env, &settings, &set) == DET_OK &&
        det_annotations_finish(env, &set, &findings) == DET_OK)
        for (size_t i = 0; i < set.image_count; i++)
            if (set.images[i].first_object + set.images[i].object_count > set.object_count ||
                (size_t)set.images[i].split >= set.splits.count)
                abort();
    det_annotations_free(env, &set);
    det_files_close(env, &files);
    close(descriptor);
}

static void fuzz_csv(struct det_env *env, const uint8_t *data, size_t bytes)
{
    fuzz_reader(env, data, bytes, det_read_csv);
}

static void fuzz_voc(struct det_env *env, const uint8_t *data, size_t bytes)
{
    fuzz_reader(env, data, bytes, det_read_voc);
}

static void fuzz_cvat(struct det_env *env, const uint8_t *data, size_t bytes)
{
    fuzz_reader(env, data, bytes, det_read_cvat);
}

static det_status note_key(void *user, const char *key)
{
    *(size_t *)user += strlen(key);
    return DET_OK;
}

static det_status note_value(void *user, const char *inner, const char *value, uint32_t line)
{
    *(size_t *)user += (inner != NULL ? strlen(inner) : 0) + strlen(value) + line;
    return DET_OK;
}

static void fuzz_yaml(struct det_env *env, const uint8_t *data, size_t bytes)
{
    size_t seen = 0;
    const struct det_yaml_handlers handlers = {&seen, note_key, note_value};
    char *text = malloc(bytes + 1);
    if (text == NULL)
        return;
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    det_yaml_parse(env, "x", text, &handlers);
    free(text);
}

static det_status open_entry(struct det_env *env, void *user, const char *path)
{
    struct det_source_bytes source = {0};
    det_files_open(env, user, path, &source);
    det_source_bytes_close(env, &source);
    return DET_OK;
}

static void fuzz_zip(struct det_env *env, const uint8_t *data, size_t bytes)
{
    char path[64];
    struct det_files files = {0};
    const int descriptor = make_file(data, bytes, path);
    if (det_files_mount(env, &files, path) == DET_OK)
        det_files_walk(env, &files, path, 8, open_entry, &files);
    det_files_close(env, &files);
    close(descriptor);
}

static void fuzz_example(struct det_env *env, const uint8_t *data, size_t bytes)
{
    struct det_example example;
    det_example_parse(env, "x", data, bytes, &example);
    det_example_free(env, &example);
}

static det_status look_at_entry(struct det_env *env, void *argument, const char *key,
                                size_t key_bytes, const uint8_t *value, size_t value_bytes)
{
    (void)env;
    size_t *sum = argument;
    for (size_t i = 0; i < key_bytes; i++)
        *sum += (unsigned char)key[i];
    for (size_t i = 0; i < value_bytes; i++)
        *sum += value[i];
    return DET_OK;
}

/* Appends a block with its trailer at `at`; returns the handle, two varints of 5 bytes, in
 * `handle`. */
static size_t put_block(uint8_t *file, size_t at, const uint8_t *data, size_t bytes,
                        uint8_t compression, uint8_t handle[10])
{
    memcpy(file + at, data, bytes);
    file[at + bytes] = compression;
    put_u32(file + at + bytes + 1, masked_crc(file + at, bytes + 1));
    for (int i = 0; i < 5; i++) {
        handle[i] = (uint8_t)((at >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0));
        handle[5 + i] = (uint8_t)((bytes >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0));
    }
    return at + bytes + 5;
}

/* The first byte says what the others are: 0 the block of entries, 1 the same in Snappy's form, 2
 * the index block. Around it a whole table; what it holds are entries of a checkpoint. */
static void fuzz_table(struct det_env *env, const uint8_t *data, size_t bytes)
{
    static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    if (bytes < 1)
        return;
    uint8_t *file = calloc(1, bytes + 200), index[32] = {0}, handle[10], index_handle[10];
    char path[64], prefix[64 + 8];
    size_t at = 0, sum = 0;
    struct det_tf_bundle *bundle = NULL;
    if (file == NULL)
        return;
    const uint8_t kind = data[0] % 3;
    at = put_block(file, at, data + 1, bytes - 1, kind == 1, handle);
    if (kind == 2) {
        memcpy(index_handle, handle, sizeof handle);
    } else {
        /* One entry: nothing shared, a key of no bytes, the handle; one restart point. */
        index[2] = sizeof handle;
        memcpy(index + 3, handle, sizeof handle);
        index[3 + sizeof handle + 4] = 1;
        at = put_block(file, at, index, 3 + sizeof handle + 8, 0, index_handle);
    }
    memcpy(file + at + 10, index_handle, sizeof index_handle); /* behind the metaindex' handle */
    memcpy(file + at, handle, sizeof handle);
    memcpy(file + at + 40, magic, sizeof magic);
    det_table_walk(env, file, at + 48, look_at_entry, &sum);
    /* The same as a checkpoint's index. */
    const int descriptor = make_file(file, at + 48, path);
    snprintf(prefix, sizeof prefix, "/tmp/det-fuzz-%ld", (long)getpid());
    char link[sizeof prefix + 8];
    snprintf(link, sizeof link, "%s.index", prefix);
    unlink(link);
    if (symlink(path, link) == 0 && det_tf_bundle_open(env, prefix, &bundle) == DET_OK)
        for (size_t i = 0; i < det_tf_bundle_count(bundle); i++) {
            int64_t value = 0;
            det_tf_bundle_read_int64(env, bundle, det_tf_bundle_entry(bundle, i), &value);
        }
    det_tf_bundle_close(env, &bundle);
    unlink(link);
    close(descriptor);
    free(file);
}

static void fuzz_config(struct det_env *env, const uint8_t *data, size_t bytes)
{
    static struct det_pipeline_config config; /* large */
    memset(&config, 0, sizeof config);
    det_pipeline_config_read_text(env, "x", (const char *)data, bytes, &config);
    det_pipeline_config_free(env, &config);
}

static void fuzz_labels(struct det_env *env, const uint8_t *data, size_t bytes)
{
    struct det_label_map map = {0};
    det_label_map_read_text(env, "x", (const char *)data, bytes, &map);
    det_label_map_free(env, &map);
}

/* --- exported files --- */

static void make_draft(struct det_env *env, const struct det_export_writer *writer,
                       struct det_export_job *job, struct det_export *exported)
{
    static det_model *model;
    struct det_model_spec spec;
    det_model_spec_default(&spec, 64, 2);
    spec.depth_multiplier = 0.1F;
    spec.min_depth = spec.fpn_depth = spec.head_depth = 8;
    spec.head_layers = 1;
    spec.min_level = spec.max_level = 5;
    det_export_settings_default(&job->settings);
    job->settings.name = "x";
    job->settings.outputs = DET_EXPORT_OUTPUTS_DETECTIONS;
    job->settings.input = DET_EXPORT_INPUT_IMAGE;
    if ((model == NULL && det_model_create(env, &spec, true, NULL, &model) != DET_OK) ||
        det_inference_open(env, model, &spec, DET_INFERENCE_FOLDED, &job->inference) != DET_OK)
        abort();
    job->model = model;
    if (writer->write(env, job, exported) != DET_OK)
        abort();
}

/* A sound file with some of its bytes replaced: three say where, the fourth by what. */
static void fuzz_export(struct det_env *env, const struct det_export_writer *writer,
                        const uint8_t *data, size_t bytes)
{
    static struct det_export_job job;
    static struct det_export exported; /* of the one writer of a run */
    if (exported.file_count == 0)
        make_draft(env, writer, &job, &exported);
    struct det_text *file = &exported.files[0].data;
    char *sound = malloc(file->length);
    if (sound == NULL)
        return;
    memcpy(sound, file->data, file->length);
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
        const size_t place = data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16;
        file->data[place % file->length] = (char)data[i + 3];
    }
    det_export_prove(env, NULL, writer, &job, &exported);
    memcpy(file->data, sound, file->length);
    free(sound);
}

static void fuzz_tflite(struct det_env *env, const uint8_t *data, size_t bytes)
{
    fuzz_export(env, &det_export_tflite, data, bytes);
}

/* --- libFuzzer --- */

/* An exported file: read, and run where it asks for a small picture. */
static void fuzz_onnx(struct det_env *env, const uint8_t *data, size_t bytes)
{
    enum { MOST_SIDE = 16 };
    struct det_text copy = {0};
    struct det_program program;
    struct det_array input = {0}, probes[DET_PROBES];
    const char *reason = NULL;
    const struct det_budget before = det_budget_open(env, "x");
    det_program_init(&program);
    if (det_text_append(env, &copy, (const char *)data, bytes) != DET_OK)
        return;
    const struct det_export exported = {.file_count = 1, .files = {{.data = copy}}};
    bool runs = det_onnx_read(env, &exported, &program) == DET_OK;
    for (int32_t d = 0; runs && d < program.input_dims; d++) {
        program.input_shape[d] = program.input_shape[d] == -1 ? 2 : program.input_shape[d];
        runs = program.input_shape[d] >= 0 && program.input_shape[d] <= MOST_SIDE;
    }
    if (runs &&
        det_array_create(env, program.input_whole, program.input_dims, program.input_shape, "x",
                         &input) == DET_OK &&
        det_program_run(env, &program, det_ops_cpu("auto", &reason), NULL, &input, probes) ==
            DET_OK)
        for (int i = 0; i < DET_PROBES; i++)
            det_array_free(env, &probes[i]);
    det_array_free(env, &input);
    det_program_free(env, &program);
    det_text_free(env, &copy);
    det_budget_close(env, before);
}

static const struct {
    const char *name;
    void (*run)(struct det_env *env, const uint8_t *data, size_t bytes);
} readers[] = {
    {"json", fuzz_json},     {"coco", fuzz_coco},       {"det", fuzz_det},
    {"spec", fuzz_spec},     {"records", fuzz_records}, {"example", fuzz_example},
    {"table", fuzz_table},   {"config", fuzz_config},   {"labels", fuzz_labels},
    {"csv", fuzz_csv},       {"voc", fuzz_voc},         {"cvat", fuzz_cvat},
    {"yaml", fuzz_yaml},     {"zip", fuzz_zip},         {"onnx", fuzz_onnx},
    {"tflite", fuzz_tflite},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *name = getenv("DET_FUZZ");
    struct det_env env;
    det_env_default(&env);
    env.limits.max_file_memory_bytes = MOST_BYTES;
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (name != NULL && strcmp(name, readers[i].name) == 0) {
            readers[i].run(&env, data, bytes);
            return 0;
        }
    fprintf(stderr, "DET_FUZZ must name a reader:");
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        fprintf(stderr, " %s", readers[i].name);
    fprintf(stderr, "\n");
    exit(1);
}
