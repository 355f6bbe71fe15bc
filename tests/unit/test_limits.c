/* support/limits.h: what one file may make the library take is known before it is taken. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/context.h"
#include "base/crc32c.h"
#include "det/detector.h"
#include "formats/coco_json.h"
#include "formats/prototext.h"
#include "formats/tf_bundle.h"
#include "formats/tfrecord.h"
#include "model/model.h"
#include "support/bundle_writer.h"
#include "support/formula.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"

#define MB ((size_t)1 << 20)

struct folder {
    struct test_env t;
    struct det_env *env;
    char directory[256], path[300];
};

static void open_folder(struct folder *f, size_t limit)
{
    test_env_init(&f->t);
    f->env = &f->t.env;
    f->env->limits.max_file_memory_bytes = limit;
    test_make_directory(f->directory, "limits");
    snprintf(f->path, sizeof f->path, "%s/file", f->directory);
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->directory);
    test_env_check(&f->t);
}

/* A file of this size with nothing in it, which takes no room on the disk. */
static void make_sparse(const char *path, off_t bytes)
{
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(descriptor >= 0);
    assert_int_equal(ftruncate(descriptor, bytes), 0);
    close(descriptor);
}

static void a_budget_counts(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f, 1000);
    void *a = NULL, *b = NULL;
    assert_ok(f.env, det_alloc(f.env, &a, 5000, 1, "as much as it likes"));
    det_free(f.env, &a);
    const struct det_budget before = det_budget_open(f.env, "the file");
    assert_ok(f.env, det_alloc(f.env, &a, 600, 1, "one part"));
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "the file: another asks for",
                 det_alloc(f.env, &b, 600, 1, "another"));
    assert_null(b);
    assert_contains(f.env->error, "max_file_memory_bytes");
    assert_contains(f.env->error, "DET_MAX_FILE_MEMORY");
    /* A budget inside is the same one. */
    const struct det_budget inner = det_budget_open(f.env, "a part of it");
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "the file: more",
                 det_alloc(f.env, &b, 401, 1, "more"));
    assert_ok(f.env, det_budget_ask(f.env, 400, "all that is left"));
    assert_ok(f.env, det_alloc(f.env, &b, 400, 1, "all that is left"));
    det_budget_close(f.env, inner);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "the file: a byte",
                 det_budget_ask(f.env, 1, "a byte"));
    det_budget_close(f.env, before);
    det_free(f.env, &a);
    det_free(f.env, &b);
    /* An array that grows counts once. */
    size_t capacity = 0;
    const struct det_budget array = det_budget_open(f.env, "array");
    for (size_t need = 1; need <= 512; need++)
        assert_ok(f.env, det_grow(f.env, &a, &capacity, need, 1, "array"));
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "array",
                 det_grow(f.env, &a, &capacity, 1025, 1, "array"));
    det_budget_close(f.env, array);
    det_free(f.env, &a);
    const struct det_budget huge = det_budget_open(f.env, "x");
    assert_ok(f.env, det_budget_take(f.env, 1, "y"));
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "x: y asks for",
                 det_budget_ask(f.env, SIZE_MAX, "y"));
    det_budget_close(f.env, huge);
    close_folder(&f);
}

/* Hooks that add up what is asked of them. */
static void *count_and_allocate(void *user, size_t bytes, size_t alignment)
{
    void *memory = NULL;
    *(size_t *)user += bytes;
    return posix_memalign(&memory, alignment, bytes) == 0 ? memory : NULL;
}

static void release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

static det_context *counting_context(size_t *taken, size_t limit)
{
    det_context *context = NULL;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.threads = 1;
    settings.max_file_memory_bytes = limit;
    settings.allocator =
        &(det_allocator){sizeof(det_allocator), taken, count_and_allocate, release};
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    return context;
}

static void write_model(struct folder *f, int32_t side)
{
    struct det_model_spec spec;
    det_model *model = NULL;
    formula_spec(&spec, side, 1);
    f->env->limits.max_file_memory_bytes = 0;
    assert_ok(f->env, det_model_create(f->env, &spec, true, NULL, &model));
    assert_ok(f->env, det_model_write(f->env, model, f->path, NULL));
    det_model_destroy(&model);
}

/* Nothing of what does not fit is taken. */
static void a_small_model_with_a_large_input(void **state)
{
    (void)state;
    struct folder f;
    size_t taken = 0;
    det_model *model = NULL;
    det_detector *detector = NULL;
    det_detector_settings settings;
    open_folder(&f, 0);
    write_model(&f, 4096);
    det_context *context = counting_context(&taken, 50 * MB);
    assert_int_equal(det_model_load(context, f.path, &model), DET_OK);
    assert_int_equal(det_detector_create(context, model, NULL, &detector),
                     DET_STATUS_OUT_OF_MEMORY);
    assert_null(detector);
    assert_contains(det_context_error(context), "detector for 4096 x 4096 pixels, 1 at once: ");
    assert_contains(det_context_error(context), "50.0 MB are allowed");
    assert_true(taken < 50 * MB);
    det_model_destroy(&model);
    det_context_destroy(&context);

    /* Without a limit of one's own it is what the machine has. */
    taken = 0;
    context = counting_context(&taken, 0);
    det_detector_settings_default(&settings);
    settings.batch = 4096;
    assert_int_equal(det_model_load(context, f.path, &model), DET_OK);
    assert_int_equal(det_detector_create(context, model, &settings, &detector),
                     DET_STATUS_OUT_OF_MEMORY);
    assert_contains(det_context_error(context), "are available");
    assert_true(taken < 1024 * MB);
    det_model_destroy(&model);
    det_context_destroy(&context);

    taken = 0;
    context = counting_context(&taken, 1000);
    assert_int_equal(det_model_load(context, f.path, &model), DET_STATUS_OUT_OF_MEMORY);
    assert_null(model);
    assert_contains(det_context_error(context), f.path);
    assert_true(taken < MB);
    det_context_destroy(&context);
    close_folder(&f);
}

static void the_environment_sets_it(void **state)
{
    (void)state;
    det_context *context = NULL;
    det_context_settings settings;
    det_model *model = NULL;
    setenv("DET_MAX_FILE_MEMORY", "10000", 1);
    assert_int_equal(det_context_create(&context, NULL), DET_OK);
    assert_int_equal(det_model_load(context, "data/vehicles.det", &model),
                     DET_STATUS_OUT_OF_MEMORY);
    det_context_destroy(&context);
    det_context_settings_default(&settings);
    settings.max_file_memory_bytes = 64 * MB; /* who asks for it counts more */
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    assert_int_equal(det_model_load(context, "data/vehicles.det", &model), DET_OK);
    det_model_destroy(&model);
    det_context_destroy(&context);
    static const char *const bad[] = {"2G", "-1", "0", "1e300", "nan"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("DET_MAX_FILE_MEMORY", bad[i], 1);
        assert_int_equal(det_context_create(&context, NULL), DET_STATUS_INVALID_ARGUMENT);
    }
    unsetenv("DET_MAX_FILE_MEMORY");
}

static void files_without_end(void **state)
{
    (void)state;
    struct folder f;
    struct det_file_bytes contents;
    det_model *model = NULL;
    open_folder(&f, 0);
    make_sparse(f.path, (off_t)1 << 40);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "are available",
                 det_file_read(f.env, f.path, &contents));
    assert_int_equal(contents.bytes, 0);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "file: the file asks for 1048576.0 MB",
                 det_model_read(f.env, f.path, &model));
    make_sparse(f.path, 2000);
    f.env->limits.max_file_memory_bytes = 1999;
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "are allowed",
                 det_file_read(f.env, f.path, &contents));
    f.env->limits.max_file_memory_bytes = 2100;
    assert_ok(f.env, det_file_read(f.env, f.path, &contents));
    det_file_release(&contents);
    close_folder(&f);
}

/* A record that says it has 4 GB, in a file that has them. */
static void records_without_end(void **state)
{
    (void)state;
    struct folder f;
    struct det_record_set set;
    struct det_record record = {0};
    uint8_t head[12], tail[4];
    open_folder(&f, 100 * MB);
    const char *const patterns[] = {f.path};
    const uint64_t length = (uint64_t)1 << 32;
    make_sparse(f.path, (off_t)(length + 16));
    det_tfrecord_frame("", 0, head, tail);
    memset(head, 0, 8);
    head[4] = 1;
    const uint32_t crc = det_crc32c_mask(det_crc32c(0, head, 8));
    memcpy(head + 8, &crc, 4);
    const int descriptor = open(f.path, O_WRONLY);
    assert_int_equal(write(descriptor, head, sizeof head), sizeof head);
    close(descriptor);
    assert_ok(f.env, det_record_set_open(f.env, patterns, 1, &set));
    assert_int_equal(set.record_count, 1);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "a record asks for 4096.0 MB",
                 det_record_set_get(f.env, &set, 0, &record));
    assert_int_equal(record.bytes, 0);
    det_record_free(f.env, &record);
    det_record_set_close(f.env, &set);
    close_folder(&f);
}

static void compressed_records(void **state)
{
    (void)state;
    struct folder f;
    struct det_record_set set;
    static const uint8_t zeros[1 << 16];
    open_folder(&f, 4 * MB);
    const char *const patterns[] = {f.path};
    gzFile file = gzopen(f.path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 320; i++) /* 20 MB, below what compression alone is trusted with */
        assert_int_equal(gzwrite(file, zeros, sizeof zeros), sizeof zeros);
    assert_int_equal(gzclose(file), Z_OK);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "inflated records asks for",
                 det_record_set_open(f.env, patterns, 1, &set));
    f.env->limits.max_file_memory_bytes = 100 * MB;
    assert_fails(f.env, DET_STATUS_CORRUPT, "record 0",
                 det_record_set_open(f.env, patterns, 1, &set));
    close_folder(&f);
}

static void tensors_of_a_checkpoint(void **state)
{
    (void)state;
    struct folder f;
    struct det_tf_bundle *bundle = NULL;
    enum { COUNT = 500000 };
    float *values = calloc(COUNT, sizeof *values);
    assert_non_null(values);
    open_folder(&f, MB);
    const struct test_bundle_tensor tensor = {.key = "a/.ATTRIBUTES/VARIABLE_VALUE",
                                              .dtype = DET_TF_FLOAT,
                                              .dims = 1,
                                              .shape = {COUNT},
                                              .data = values,
                                              .bytes = COUNT * sizeof *values};
    test_bundle_write(f.path, &tensor, 1, (struct test_bundle_options){0});
    assert_ok(f.env, det_tf_bundle_open(f.env, f.path, &bundle));
    const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, "a");
    assert_non_null(entry);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "values of a checkpoint asks for",
                 det_tf_bundle_read_float(f.env, bundle, entry, values, COUNT));
    f.env->limits.max_file_memory_bytes = 3 * MB;
    assert_ok(f.env, det_tf_bundle_read_float(f.env, bundle, entry, values, COUNT));
    det_tf_bundle_close(f.env, &bundle);
    free(values);
    close_folder(&f);
}

/* Texts whose entries take more room than they have letters. */
static void texts_of_nothing(void **state)
{
    (void)state;
    enum { ENTRIES = 100000 };
    struct folder f;
    struct det_coco_dataset dataset;
    struct det_coco_detection_list list;
    struct det_prototext document;
    char *text = malloc(5 * ENTRIES + 100);
    assert_non_null(text);
    open_folder(&f, MB);
    strcpy(text, "{\"categories\": [], \"images\": [{}");
    for (size_t i = 0, at = strlen(text); i < ENTRIES; i++, at += 3)
        memcpy(text + at, ",{}", 4);
    strcat(text, "]}");
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "x.json: images asks for",
                 det_coco_json_parse_dataset(f.env, "x.json", text, strlen(text), &dataset));
    const char *entries = strstr(text, "[{}");
    assert_fails(
        f.env, DET_STATUS_OUT_OF_MEMORY, "x.json: detections asks for",
        det_coco_json_parse_detections(f.env, "x.json", entries, strlen(entries) - 1, NULL, &list));
    for (size_t i = 0; i < ENTRIES; i++)
        memcpy(text + 4 * i, "a:1 ", 5);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "x.config: text configuration asks for",
                 det_prototext_parse(f.env, "x.config", text, strlen(text), &document));
    free(text);
    close_folder(&f);
}

int test_limits(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_counts),
        cmocka_unit_test(a_small_model_with_a_large_input),
        cmocka_unit_test(the_environment_sets_it),
        cmocka_unit_test(files_without_end),
        cmocka_unit_test(records_without_end),
        cmocka_unit_test(compressed_records),
        cmocka_unit_test(tensors_of_a_checkpoint),
        cmocka_unit_test(texts_of_nothing),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
