/* formats/tf_bundle: small checkpoints made by tests/support/bundle_writer, whole and damaged. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "formats/leveldb_table.h"
#include "formats/protowire.h"
#include "formats/tf_bundle.h"
#include "support/bundle_writer.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"

#define V "/.ATTRIBUTES/VARIABLE_VALUE"

static const float kernel[6] = {1, -2, 3.5f, 0, 1e-20f, 6};
static const double doubles[2] = {.1, -1e300};
static const uint16_t halves[8] = {0x3c00, 0xc000, 0x0001, 0x83ff, 0x7c00, 0xfc00, 0x7bff, 0x8000};
static const float half_values[8] = {1,        -2,        5.9604645e-8f, -6.0975552e-5f,
                                     INFINITY, -INFINITY, 65504,         -0.0f};
static const uint16_t brains[3] = {0x3f80, 0xc049, 0x0000};
static const float brain_values[3] = {1, -3.140625f, 0};
static const int64_t step = INT64_C(-7000000000);
static const int32_t small_step = -7;

static const struct test_bundle_tensor tensors[] = {
    {"model/a/kernel" V, DET_TF_FLOAT, 3, {1, 2, 3}, kernel, sizeof kernel, false},
    {"model/a/bias" V, DET_TF_DOUBLE, 1, {2}, doubles, sizeof doubles, false},
    {"model/b/half" V, DET_TF_HALF, 1, {8}, halves, sizeof halves, false},
    {"model/b/brain" V, DET_TF_BFLOAT16, 1, {3}, brains, sizeof brains, false},
    {"model/b/empty" V, DET_TF_FLOAT, 2, {0, 5}, kernel, 0, false},
    {"model/b/sliced" V, DET_TF_FLOAT, 1, {6}, kernel, sizeof kernel, true},
    {"model/b/wrong" V, DET_TF_FLOAT, 1, {7}, kernel, sizeof kernel, false},
    {"model/b/complex" V, 8, 1, {1}, doubles, 8, false},
    {"step" V, DET_TF_INT64, 0, {0}, &step, 8, false},
    {"small_step" V, DET_TF_INT32, 0, {0}, &small_step, 4, false},
    {"_CHECKPOINTABLE_OBJECT_GRAPH", DET_TF_STRING, 0, {0}, "\x01graph", 6, false},
};
enum { COUNT = sizeof tensors / sizeof tensors[0] };

struct folder {
    struct test_env t;
    char path[256];
    char prefix[512];
};

static void open_folder(struct folder *f)
{
    test_env_init(&f->t);
    test_make_directory(f->path, "bundle");
    snprintf(f->prefix, sizeof f->prefix, "%s/ckpt-3", f->path);
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->path);
    test_env_check(&f->t);
}

static void check_floats(struct det_env *env, struct det_tf_bundle *bundle, const char *name,
                         const float *expected, size_t count)
{
    const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, name);
    assert_non_null(entry);
    float out[8];
    assert_true(count <= 8);
    assert_ok(env, det_tf_bundle_read_float(env, bundle, entry, out, count));
    assert_memory_equal(out, expected, count * sizeof(float));
}

static void check_all(struct det_env *env, const char *prefix)
{
    struct det_tf_bundle *bundle = NULL;
    assert_ok(env, det_tf_bundle_open(env, prefix, &bundle));
    assert_string_equal(det_tf_bundle_prefix(bundle), prefix);
    assert_int_equal(det_tf_bundle_count(bundle), COUNT);
    for (size_t i = 1; i < COUNT; i++)
        assert_true(strcmp(det_tf_bundle_entry(bundle, i - 1)->key,
                           det_tf_bundle_entry(bundle, i)->key) < 0);
    assert_null(det_tf_bundle_entry(bundle, COUNT));
    for (size_t i = 0; i < COUNT; i++) {
        const struct det_tf_entry *entry = det_tf_bundle_find(bundle, tensors[i].key);
        assert_non_null(entry);
        assert_string_equal(entry->key, tensors[i].key);
        assert_int_equal(entry->dtype, tensors[i].dtype);
        assert_int_equal(entry->dims, tensors[i].dims);
        for (int d = 0; d < entry->dims; d++)
            assert_int_equal(entry->shape[d], tensors[i].shape[d]);
    }
    check_floats(env, bundle, "model/a/kernel", kernel, 6);
    const float narrowed[2] = {.1f, -INFINITY};
    check_floats(env, bundle, "model/a/bias", narrowed, 2);
    check_floats(env, bundle, "model/b/half", half_values, 8);
    check_floats(env, bundle, "model/b/brain", brain_values, 3);
    check_floats(env, bundle, "model/b/empty", kernel, 0);
    int64_t value = 0;
    assert_ok(env, det_tf_bundle_read_int64(env, bundle,
                                            det_tf_bundle_find_variable(bundle, "step"), &value));
    assert_true(value == step);
    assert_ok(env, det_tf_bundle_read_int64(
                       env, bundle, det_tf_bundle_find_variable(bundle, "small_step"), &value));
    assert_int_equal(value, -7);
    assert_null(det_tf_bundle_find(bundle, "model/a/kernel"));
    assert_null(det_tf_bundle_find_variable(bundle, "model/a/kerne"));
    assert_null(det_tf_bundle_find_variable(bundle, ""));
    assert_null(det_tf_bundle_find(bundle, "zzz"));
    det_tf_bundle_close(env, &bundle);
    det_tf_bundle_close(env, &bundle);
}

static void reads_each_layout(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    for (int snappy = 0; snappy < 2; snappy++) {
        static const int blocks[] = {1, 2, 3, 100}, restarts[] = {1, 2, 16};
        for (int b = 0; b < 4; b++) {
            for (int r = 0; r < 3; r++) {
                test_bundle_write(f.prefix, tensors, COUNT,
                                  (struct test_bundle_options){.snappy = snappy != 0,
                                                               .block_entries = blocks[b],
                                                               .restart = restarts[r]});
                check_all(&f.t.env, f.prefix);
            }
        }
    }
    close_folder(&f);
}

static det_status read_variable(struct det_env *env, struct det_tf_bundle *bundle, const char *name,
                                size_t count)
{
    float out[8];
    return det_tf_bundle_read_float(env, bundle, det_tf_bundle_find_variable(bundle, name), out,
                                    count);
}

static void messages_name_the_tensor(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    struct det_tf_bundle *bundle = NULL;
    int64_t value;
    char path[640];
    test_bundle_write(f.prefix, tensors, COUNT, (struct test_bundle_options){0});
    assert_ok(env, det_tf_bundle_open(env, f.prefix, &bundle));
    assert_fails(env, DET_STATUS_MISMATCH, "`model/a/kernel" V "` has 6 values, expected 5",
                 read_variable(env, bundle, "model/a/kernel", 5));
    assert_fails(env, DET_STATUS_UNSUPPORTED, "in slices",
                 read_variable(env, bundle, "model/b/sliced", 6));
    assert_fails(env, DET_STATUS_CORRUPT, "24 bytes, its shape needs 28",
                 read_variable(env, bundle, "model/b/wrong", 7));
    assert_fails(env, DET_STATUS_UNSUPPORTED, "type 8, not floating point",
                 read_variable(env, bundle, "model/b/complex", 1));
    float out[1];
    assert_fails(
        env, DET_STATUS_UNSUPPORTED, "string, not floating point",
        det_tf_bundle_read_float(
            env, bundle, det_tf_bundle_find(bundle, "_CHECKPOINTABLE_OBJECT_GRAPH"), out, 1));
    assert_fails(env, DET_STATUS_UNSUPPORTED, "holds 6 of float, expected one int64",
                 det_tf_bundle_read_int64(
                     env, bundle, det_tf_bundle_find_variable(bundle, "model/a/kernel"), &value));
    det_tf_bundle_close(env, &bundle);
    /* A missing data file costs only what it holds. */
    snprintf(path, sizeof path, "%s.data-00001-of-00002", f.prefix);
    assert_int_equal(unlink(path), 0);
    assert_ok(env, det_tf_bundle_open(env, f.prefix, &bundle));
    int missing = 0;
    for (size_t i = 0; i < COUNT; i++) {
        const struct det_tf_entry *entry = det_tf_bundle_entry(bundle, i);
        if (entry->shard == 1 && entry->dtype == DET_TF_FLOAT && !entry->sliced &&
            entry->count < 7) {
            float values[8];
            assert_fails(env, DET_STATUS_NOT_FOUND, "ckpt-3.data-00001-of-00002",
                         det_tf_bundle_read_float(env, bundle, entry, values, entry->count));
            missing++;
        }
    }
    assert_true(missing > 0);
    det_tf_bundle_close(env, &bundle);
    test_bundle_write(f.prefix, tensors, COUNT, (struct test_bundle_options){.endianness = 1});
    assert_fails(env, DET_STATUS_UNSUPPORTED, "big-endian",
                 det_tf_bundle_open(env, f.prefix, &bundle));
    assert_null(bundle);
    test_bundle_write(f.prefix, tensors, COUNT, (struct test_bundle_options){.no_header = true});
    assert_fails(env, DET_STATUS_CORRUPT, "no bundle header",
                 det_tf_bundle_open(env, f.prefix, &bundle));
    snprintf(path, sizeof path, "%s.index", f.prefix);
    assert_ok(env, det_write_file(env, path, "short", 5));
    assert_fails(env, DET_STATUS_CORRUPT, "ckpt-3.index: truncated: 5 bytes",
                 det_tf_bundle_open(env, f.prefix, &bundle));
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\n";
    assert_ok(env, det_write_file(env, path, lfs, sizeof lfs - 1));
    assert_fails(env, DET_STATUS_CORRUPT, "Git LFS", det_tf_bundle_open(env, f.prefix, &bundle));
    unlink(path);
    assert_fails(env, DET_STATUS_NOT_FOUND, "ckpt-3.index",
                 det_tf_bundle_open(env, f.prefix, &bundle));
    close_folder(&f);
}

/* The data files: every byte flipped is found when the tensor is read, every cut too. */
static void damaged_data_is_found(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    char path[640];
    /* One tensor (and the graph's string) in each file. */
    test_bundle_write(f.prefix, tensors, 1, (struct test_bundle_options){0});
    snprintf(path, sizeof path, "%s.data-00000-of-00002", f.prefix);
    uint8_t copy[sizeof kernel];
    memcpy(copy, kernel, sizeof copy);
    for (size_t i = 0; i < sizeof copy; i++) {
        struct det_tf_bundle *bundle = NULL;
        copy[i] ^= 4;
        assert_ok(env, det_write_file(env, path, copy, sizeof copy));
        copy[i] ^= 4;
        assert_ok(env, det_tf_bundle_open(env, f.prefix, &bundle));
        assert_fails(env, DET_STATUS_CORRUPT, "at byte 0: CRC mismatch: stored 0x",
                     read_variable(env, bundle, "model/a/kernel", 6));
        det_tf_bundle_close(env, &bundle);
        assert_ok(env, det_write_file(env, path, copy, i));
        assert_ok(env, det_tf_bundle_open(env, f.prefix, &bundle));
        assert_fails(env, DET_STATUS_CORRUPT, "ckpt-3.data-00000-of-00002: truncated: `model/a",
                     read_variable(env, bundle, "model/a/kernel", 6));
        det_tf_bundle_close(env, &bundle);
    }
    close_folder(&f);
}

static det_status count_entries(struct det_env *env, void *argument, const char *key,
                                size_t key_bytes, const uint8_t *value, size_t value_bytes)
{
    (void)env, (void)key, (void)key_bytes, (void)value, (void)value_bytes;
    ++*(int *)argument;
    return DET_OK;
}

/* The index: each byte of a small one flipped in each bit, and each length, in memory of exact
 * size. Only the unused parts of the footer and the metaindex block may change unseen. */
static void damaged_index_is_found(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    char path[640];
    for (int snappy = 0; snappy < 2; snappy++) {
        test_bundle_write(f.prefix, tensors, COUNT,
                          (struct test_bundle_options){.snappy = snappy != 0});
        snprintf(path, sizeof path, "%s.index", f.prefix);
        struct det_file_bytes contents;
        assert_ok(env, det_file_read(env, path, &contents));
        int unseen = 0;
        for (size_t i = 0; i < contents.bytes; i++) {
            uint8_t *copy = malloc(contents.bytes);
            assert_non_null(copy);
            memcpy(copy, contents.data, contents.bytes);
            for (int bit = 0; bit < 8; bit++) {
                int entries = 0;
                copy[i] ^= (uint8_t)(1 << bit);
                const det_status status =
                    det_table_walk(env, copy, contents.bytes, count_entries, &entries);
                copy[i] ^= (uint8_t)(1 << bit);
                assert_true(status == DET_OK || status == DET_STATUS_CORRUPT);
                if (status == DET_OK) {
                    assert_int_equal(entries, COUNT + 1);
                    unseen++;
                }
            }
            free(copy);
            uint8_t *cut = malloc(i + 1);
            assert_non_null(cut);
            memcpy(cut, contents.data, i);
            int entries = 0;
            assert_int_equal(det_table_walk(env, cut, i, count_entries, &entries),
                             DET_STATUS_CORRUPT);
            free(cut);
        }
        assert_true(unseen < 8 * 60);
        det_file_release(&contents);
    }
    close_folder(&f);
}

static void use_all(struct det_env *env, const char *prefix)
{
    struct det_tf_bundle *bundle = NULL;
    const det_status status = det_tf_bundle_open(env, prefix, &bundle);
    if (status != DET_OK)
        assert_null(bundle);
    for (size_t i = 0; status == DET_OK && i < det_tf_bundle_count(bundle); i++) {
        const struct det_tf_entry *entry = det_tf_bundle_entry(bundle, i);
        float out[64];
        int64_t value;
        if (entry->count <= 64)
            (void)!det_tf_bundle_read_float(env, bundle, entry, out, entry->count);
        (void)!det_tf_bundle_read_int64(env, bundle, entry, &value);
    }
    det_tf_bundle_close(env, &bundle);
}

/* Damage with the block's CRC made right again reaches the parsers behind it. One data block, then
 * 13 bytes of metaindex (8 and a trailer), the index block, the footer. */
static void sealed_damage_never_crashes(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    char path[640];
    static const uint8_t masks[] = {0x01, 0x02, 0x40, 0x80, 0xff};
    test_bundle_write(f.prefix, tensors, COUNT,
                      (struct test_bundle_options){.block_entries = 100, .restart = 4});
    snprintf(path, sizeof path, "%s.index", f.prefix);
    char *text = test_read_text(path);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    const size_t bytes = (size_t)info.st_size;
    const struct det_wire footer = det_wire_start((uint8_t *)text + bytes - 48, 40);
    uint64_t handles[4];
    struct det_wire wire = footer;
    for (int i = 0; i < 4; i++)
        assert_ok(&f.t.env, det_wire_read_varint(&f.t.env, &wire, &handles[i]));
    const size_t starts[2] = {0, (size_t)handles[2]};
    const size_t ends[2] = {(size_t)handles[0] - 5, (size_t)(handles[2] + handles[3])};
    for (int block = 0; block < 2; block++) {
        for (size_t at = starts[block]; at < ends[block]; at++) {
            for (size_t m = 0; m < sizeof masks; m++) {
                const size_t length = ends[block] - starts[block];
                text[at] = (char)(text[at] ^ masks[m]);
                const uint32_t crc =
                    det_crc32c_mask(det_crc32c(0, text + starts[block], length + 1));
                memcpy(text + ends[block] + 1, &crc, 4);
                unlink(path);
                FILE *file = fopen(path, "wb"); /* without the fsync of det_write_file */
                assert_non_null(file);
                assert_int_equal(fwrite(text, 1, bytes, file), bytes);
                assert_int_equal(fclose(file), 0);
                use_all(&f.t.env, f.prefix);
                text[at] = (char)(text[at] ^ masks[m]);
            }
        }
        const uint32_t crc =
            det_crc32c_mask(det_crc32c(0, text + starts[block], ends[block] - starts[block] + 1));
        memcpy(text + ends[block] + 1, &crc, 4);
    }
    free(text);
    close_folder(&f);
}

static void find_gives(struct det_env *env, const char *path, const char *expected)
{
    char *prefix = NULL;
    assert_ok(env, det_tf_checkpoint_find(env, path, &prefix));
    assert_string_equal(prefix, expected);
    det_free(env, &prefix);
}

static void write_text(struct det_env *env, const char *path, const char *text)
{
    assert_ok(env, det_write_file(env, path, text, strlen(text)));
}

static void checkpoints_are_found(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    char path[640], expected[640], text[1024];
    char *prefix = NULL;
    assert_fails(env, DET_STATUS_NOT_FOUND, "neither a file `checkpoint`",
                 det_tf_checkpoint_find(env, f.path, &prefix));
    static const int numbers[] = {3, 20, 9};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/ckpt-%d.index", f.path, numbers[i]);
        write_text(env, path, "x");
    }
    snprintf(path, sizeof path, "%s/ckpt-99x.index", f.path);
    write_text(env, path, "x");
    /* No state file: the highest number. */
    snprintf(expected, sizeof expected, "%s/ckpt-20", f.path);
    find_gives(env, f.path, expected);
    /* A prefix, and the index itself. */
    snprintf(expected, sizeof expected, "%s/ckpt-9", f.path);
    find_gives(env, expected, expected);
    snprintf(path, sizeof path, "%s/ckpt-9.index", f.path);
    find_gives(env, path, expected);
    /* The state file decides. */
    snprintf(path, sizeof path, "%s/checkpoint", f.path);
    write_text(env, path,
               "# comment\nall_model_checkpoint_paths: \"ckpt-20\"\n"
               "  model_checkpoint_path: \"ckpt-9\"\nlast_preserved_timestamp: 1.5\n");
    find_gives(env, f.path, expected);
    write_text(env, path, "model_checkpoint_path: \"/somewhere/else/ckpt-9\"");
    find_gives(env, f.path, expected);
    char *absolute = realpath(f.path, NULL);
    assert_non_null(absolute);
    snprintf(text, sizeof text, "model_checkpoint_path:'%s/ckpt-3'\n", absolute);
    write_text(env, path, text);
    snprintf(expected, sizeof expected, "%s/ckpt-3", absolute);
    find_gives(env, f.path, expected);
    free(absolute);
    write_text(env, path, "model_checkpoint_path: \"ckpt-4\"\n");
    assert_fails(env, DET_STATUS_NOT_FOUND, "names `ckpt-4`, but there is no",
                 det_tf_checkpoint_find(env, f.path, &prefix));
    assert_null(prefix);
    static const char *const bad[] = {"",
                                      "\n\n",
                                      "model_checkpoint_path",
                                      "model_checkpoint_path: ",
                                      "model_checkpoint_path: \"ckpt-9",
                                      "model_checkpoint_path: \"\"",
                                      "model_checkpoint_path: \"\\"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_text(env, path, bad[i]);
        assert_fails(env, DET_STATUS_PARSE, "names no model_checkpoint_path",
                     det_tf_checkpoint_find(env, f.path, &prefix));
    }
    snprintf(path, sizeof path, "%s/nothing", f.path);
    assert_fails(env, DET_STATUS_NOT_FOUND, "no checkpoint",
                 det_tf_checkpoint_find(env, path, &prefix));
    assert_fails(env, DET_STATUS_NOT_FOUND, "no checkpoint",
                 det_tf_checkpoint_find(env, ".index", &prefix));
    close_folder(&f);
}

static det_status open_and_read(struct det_env *env, void *argument)
{
    char *prefix = NULL;
    struct det_tf_bundle *bundle = NULL;
    float out[6];
    det_status status = DET_OK;
    DET_TRY(det_tf_checkpoint_find(env, argument, &prefix));
    DET_TRY(det_tf_bundle_open(env, prefix, &bundle));
    DET_TRY(det_tf_bundle_read_float(
        env, bundle, det_tf_bundle_find_variable(bundle, "model/a/kernel"), out, 6));
fail:
    det_tf_bundle_close(env, &bundle);
    det_free(env, &prefix);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    char path[640];
    test_bundle_write(f.prefix, tensors, COUNT, (struct test_bundle_options){.snappy = true});
    test_each_allocation_fails(open_and_read, f.path);
    snprintf(path, sizeof path, "%s/checkpoint", f.path);
    write_text(&f.t.env, path, "model_checkpoint_path: \"ckpt-3\"\n");
    test_each_allocation_fails(open_and_read, f.path);
    close_folder(&f);
}

int test_tf_bundle(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_layout),           cmocka_unit_test(messages_name_the_tensor),
        cmocka_unit_test(damaged_data_is_found),       cmocka_unit_test(damaged_index_is_found),
        cmocka_unit_test(sealed_damage_never_crashes), cmocka_unit_test(checkpoints_are_found),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("tf_bundle", tests, NULL, NULL);
}
