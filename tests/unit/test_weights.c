/* formats/weights: round trips, the bytes on disk, what damaged files say, failed writes. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "formats/weights.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"
#include "support/text.h"

static const float kernel[3 * 3 * 8] = {1, 2, 3, [71] = -4};
static const uint16_t half[5] = {0x3c00, 1, 2, 3, 4};
static const int64_t step = INT64_C(-9007199254740993);
static const uint8_t bytes65[65] = {7, [64] = 9};

struct folder {
    struct test_env t;
    char path[256];
    char file[512];
};

static void open_folder(struct folder *f)
{
    test_env_init(&f->t);
    test_make_directory(f->path, "weights");
    snprintf(f->file, sizeof f->file, "%s/model.det", f->path);
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->path);
    test_env_check(&f->t);
}

static det_status write_sample(struct det_env *env, const char *path)
{
    struct det_weights_writer *writer = NULL;
    det_status status = DET_OK;
    DET_TRY(det_weights_writer_create(env, path, NULL, &writer));
    DET_TRY(det_weights_writer_add(env, writer, "a/kernel", DET_WEIGHTS_F32,
                                   (const int64_t[]){3, 3, 8}, 3, kernel));
    DET_TRY(det_weights_writer_add(env, writer, "bytes", DET_WEIGHTS_U8, (const int64_t[]){65}, 1,
                                   bytes65));
    DET_TRY(det_weights_writer_add(env, writer, "a \"half\"\n", DET_WEIGHTS_F16,
                                   (const int64_t[]){5}, 1, half));
    DET_TRY(det_weights_writer_add(env, writer, "empty", DET_WEIGHTS_BF16, (const int64_t[]){4, 0},
                                   2, NULL));
    DET_TRY(det_weights_writer_add(env, writer, "step", DET_WEIGHTS_I64, NULL, 0, &step));
    DET_TRY(det_weights_writer_set_meta(
        env, writer, "{ \"model\": {\"alpha\": 1.0, \"name\": \"x\"}, \"lr\": 0.1 }"));
    return det_weights_writer_finish(env, &writer);
fail:
    det_weights_writer_destroy(env, &writer);
    return status;
}

static void check_sample(const struct det_weights *file)
{
    static const struct {
        const char *name;
        enum det_weights_type dtype;
        int32_t dims;
        const void *data;
        size_t bytes;
    } expected[] = {
        {"a/kernel", DET_WEIGHTS_F32, 3, kernel, sizeof kernel},
        {"bytes", DET_WEIGHTS_U8, 1, bytes65, sizeof bytes65},
        {"a \"half\"\n", DET_WEIGHTS_F16, 1, half, sizeof half},
        {"empty", DET_WEIGHTS_BF16, 2, half, 0},
        {"step", DET_WEIGHTS_I64, 0, &step, sizeof step},
    };
    assert_int_equal(det_weights_count(file), 5);
    for (size_t i = 0; i < 5; i++) {
        const struct det_weights_tensor *tensor = det_weights_tensor_at(file, i);
        assert_string_equal(tensor->name, expected[i].name);
        assert_ptr_equal(det_weights_find(file, expected[i].name), tensor);
        assert_int_equal(tensor->dtype, expected[i].dtype);
        assert_int_equal(tensor->dims, expected[i].dims);
        assert_int_equal(tensor->bytes, expected[i].bytes);
        assert_int_equal((uintptr_t)tensor->data % 64, 0);
        assert_memory_equal(tensor->data, expected[i].data, tensor->bytes);
    }
    assert_null(det_weights_tensor_at(file, 5));
    assert_null(det_weights_find(file, "a/kerne"));
    assert_null(det_weights_find(file, ""));
    const struct det_json meta = det_weights_meta(file);
    double number = 0;
    assert_true(det_json_equals(det_json_get(det_json_get(meta, "model"), "name"), "x"));
    assert_true(det_json_number(det_json_get(det_json_get(meta, "model"), "alpha"), &number));
    assert_near(number, 1, 0);
    assert_true(det_json_number(det_json_get(meta, "lr"), &number));
    assert_near(number, .1, 0);
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    struct det_weights *file = NULL;
    for (int round = 0; round < 2; round++) {
        assert_ok(env, write_sample(env, f.file));
        assert_ok(env, det_weights_open(env, f.file, round == 1, &file));
        assert_string_equal(det_weights_path(file), f.file);
        check_sample(file);
        assert_ok(env, det_weights_verify(env, file));
        const struct det_weights_tensor *tensor = NULL;
        assert_ok(env, det_weights_require(env, file, "a/kernel", DET_WEIGHTS_F32,
                                           (const int64_t[]){3, 3, 8}, 3, &tensor));
        assert_fails(env, DET_STATUS_MISMATCH,
                     "tensor `a/kernel` is f32[3,3,8], expected f16[3,3,9]",
                     det_weights_require(env, file, "a/kernel", DET_WEIGHTS_F16,
                                         (const int64_t[]){3, 3, 9}, 3, &tensor));
        assert_fails(env, DET_STATUS_NOT_FOUND, "there is no tensor `b`",
                     det_weights_require(env, file, "b", DET_WEIGHTS_F32, NULL, 0, &tensor));
        det_weights_close(env, &file);
        det_weights_close(env, &file);
    }
    /* No tensors, no meta. */
    struct det_weights_writer *writer = NULL;
    assert_ok(env, det_weights_writer_create(env, f.file, NULL, &writer));
    assert_ok(env, det_weights_writer_finish(env, &writer));
    assert_null(writer);
    assert_ok(env, det_weights_open(env, f.file, true, &file));
    assert_int_equal(det_weights_count(file), 0);
    assert_null(det_weights_find(file, "x"));
    det_weights_close(env, &file);
    close_folder(&f);
}

static void writer_rejects(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    struct det_weights_writer *w = NULL;
    assert_ok(env, det_weights_writer_create(env, f.file, NULL, &w));
    const int64_t one[] = {1}, negative[] = {-1}, huge[] = {INT64_MAX, 8};
    assert_ok(env, det_weights_writer_add(env, w, "x", DET_WEIGHTS_F32, one, 1, kernel));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "`x` was added before",
                 det_weights_writer_add(env, w, "x", DET_WEIGHTS_F32, one, 1, kernel));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "bad shape",
                 det_weights_writer_add(env, w, "y", DET_WEIGHTS_F32, negative, 1, kernel));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "bad shape",
                 det_weights_writer_add(env, w, "y", DET_WEIGHTS_F32, huge, 2, kernel));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "9 dimensions",
                 det_weights_writer_add(env, w, "y", DET_WEIGHTS_F32, one, 9, kernel));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "without a name",
                 det_weights_writer_add(env, w, "", DET_WEIGHTS_F32, one, 1, kernel));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "no data",
                 det_weights_writer_add(env, w, "y", DET_WEIGHTS_F32, one, 1, NULL));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "type 6",
                 det_weights_writer_add(env, w, "y", DET_WEIGHTS_TYPE_COUNT, one, 1, kernel));
    static const char *const bad[] = {"", "[1]", "{", "{} x", "1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "meta data",
                     det_weights_writer_set_meta(env, w, bad[i]));
    det_weights_writer_destroy(env, &w);
    det_weights_writer_destroy(env, &w);
    assert_false(det_file_exists(f.file));
    close_folder(&f);
}

static uint8_t *load(const char *path, size_t *bytes)
{
    return (uint8_t *)test_read_bytes(path, bytes);
}

static void save(const char *path, const void *data, size_t bytes)
{
    unlink(path); /* file systems flush a file that is truncated and written anew */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static uint32_t u32_at(const uint8_t *data)
{
    uint32_t value;
    memcpy(&value, data, 4);
    return value;
}

static uint64_t u64_at(const uint8_t *data)
{
    uint64_t value;
    memcpy(&value, data, 8);
    return value;
}

/* Independent of the reader: the layout of weights.h. */
static void bytes_are_as_documented(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    assert_ok(&f.t.env, write_sample(&f.t.env, f.file));
    size_t bytes = 0;
    uint8_t *data = load(f.file, &bytes);
    assert_memory_equal(data, "DETWGHT\0", 8);
    assert_int_equal(u32_at(data + 8), 1);
    const size_t header = (size_t)u64_at(data + 16);
    assert_int_equal(u32_at(data + 12), det_crc32c(0, data + 16, 48 + header));
    assert_int_equal(u64_at(data + 24), bytes);
    const size_t start = (64 + header + 63) / 64 * 64;
    assert_memory_equal(data + start, kernel, sizeof kernel);
    assert_memory_equal(data + start + 320, bytes65, 65); /* 288 bytes before it, aligned */
    assert_memory_equal(data + start + 448, half, sizeof half);
    assert_int_equal(bytes, start + 512 + 8);
    char crc[32];
    snprintf(crc, sizeof crc, "\"crc32c\":%u}", det_crc32c(0, kernel, sizeof kernel));
    char *json = calloc(1, header + 1);
    assert_non_null(json);
    memcpy(json, data + 64, header);
    assert_non_null(strstr(json, crc));
    free(json);
    free(data);
    close_folder(&f);
}

/* A file with this JSON header and `room` bytes of data, everything else sound. */
static void save_with_header(const char *path, const char *json, size_t room)
{
    const size_t length = strlen(json), start = (64 + length + 63) / 64 * 64;
    uint8_t *data = calloc(1, start + room);
    assert_non_null(data);
    memcpy(data, "DETWGHT", 8);
    data[8] = 1;
    const uint64_t header_bytes = length, file_bytes = start + room;
    memcpy(data + 16, &header_bytes, 8);
    memcpy(data + 24, &file_bytes, 8);
    memcpy(data + 64, json, length);
    const uint32_t crc = det_crc32c(0, data + 16, 48 + length);
    memcpy(data + 12, &crc, 4);
    save(path, data, start + room);
    free(data);
}

#define TENSOR(name, dtype, shape, offset, bytes)                                           \
    "{\"name\":\"" name "\",\"dtype\":\"" dtype "\",\"shape\":" shape ",\"offset\":" offset \
    ",\"bytes\":" bytes ",\"crc32c\":0}"
#define HEADER(tensors) "{\"meta\":{},\"tensors\":[" tensors "]}"

static void structure_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{", "header:1:"},
        {"", "header:1:"},
        {"[]", "lacks the object `meta`"},
        {"{\"meta\":{}}", "or the list `tensors`"},
        {"{\"meta\":1,\"tensors\":[]}", "lacks the object `meta`"},
        {HEADER("1"), "a tensor has no name"},
        {HEADER("{}"), "a tensor has no name"},
        {HEADER(TENSOR("", "u8", "[1]", "0", "1")), "a tensor has no name"},
        {HEADER(TENSOR("x", "f64", "[1]", "0", "8")), "tensor `x`: unknown dtype"},
        {HEADER("{\"name\":\"x\"}"), "tensor `x`: unknown dtype"},
        {HEADER(TENSOR("x", "u8", "1", "0", "1")), "tensor `x`: bad shape"},
        {HEADER(TENSOR("x", "u8", "[-1]", "0", "1")), "tensor `x`: bad shape"},
        {HEADER(TENSOR("x", "u8", "[1.5]", "0", "1")), "tensor `x`: bad shape"},
        {HEADER(TENSOR("x", "u8", "[1e300]", "0", "1")), "tensor `x`: bad shape"},
        {HEADER(TENSOR("x", "u8", "[\"1\"]", "0", "1")), "tensor `x`: bad shape"},
        {HEADER(TENSOR("x", "u8", "[1,1,1,1,1,1,1,1,1]", "0", "1")), "tensor `x`: bad shape"},
        {HEADER(TENSOR("x", "u8", "[1]", "-64", "1")), "bad offset, bytes or crc32c"},
        {HEADER(TENSOR("x", "u8", "[1]", "0", "null")), "bad offset, bytes or crc32c"},
        {HEADER(TENSOR("x", "f32", "[3]", "0", "11")), "has 11 bytes, its shape needs 12"},
        {HEADER(TENSOR("x", "f32", "[9007199254740992,9007199254740992]", "0", "0")),
         "tensor `x`: has 0 bytes"},
        {HEADER(TENSOR("x", "u8", "[1]", "8", "1")), "offset 8 is not aligned"},
        {HEADER(TENSOR("x", "u8", "[1]", "256", "1")), "1 bytes at 256, there are 200"},
        {HEADER(TENSOR("x", "u8", "[100]", "128", "100")), "100 bytes at 128, there are 200"},
        {HEADER(TENSOR("x", "u8", "[65]", "0", "65") "," TENSOR("y", "u8", "[1]", "64", "1")),
         "tensor `y`: offset 64 overlaps the tensor before, which ends at 65"},
        {HEADER(TENSOR("x", "u8", "[1]", "0", "1") "," TENSOR("x", "u8", "[1]", "64", "1")),
         "tensor `x` is there twice"},
    };
    struct folder f;
    open_folder(&f);
    struct det_weights *file = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        save_with_header(f.file, cases[i].json, 200);
        assert_fails(&f.t.env, DET_STATUS_CORRUPT, cases[i].message,
                     det_weights_open(&f.t.env, f.file, false, &file));
        assert_null(file);
        if (strncmp(f.t.env.error, f.file, strlen(f.file)) != 0)
            fail_msg("\"%s\" does not begin with the path", f.t.env.error);
    }
    save_with_header(f.file, HEADER(TENSOR("x", "u8", "[65]", "64", "65")), 129);
    assert_ok(&f.t.env, det_weights_open(&f.t.env, f.file, false, &file));
    det_weights_close(&f.t.env, &file);
    close_folder(&f);
}

static void messages_are_clear(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    struct det_weights *file = NULL;
    assert_ok(env, write_sample(env, f.file));
    size_t bytes = 0;
    uint8_t *data = load(f.file, &bytes);
    char message[128];
    snprintf(message, sizeof message, "model.det: truncated: file has %zu bytes, header says %zu",
             bytes - 1, bytes);
    save(f.file, data, bytes - 1);
    assert_fails(env, DET_STATUS_CORRUPT, message, det_weights_open(env, f.file, false, &file));
    save(f.file, data, 20);
    assert_fails(env, DET_STATUS_CORRUPT, "truncated: file has 20 bytes",
                 det_weights_open(env, f.file, false, &file));
    save(f.file, data, 0);
    assert_fails(env, DET_STATUS_CORRUPT, "truncated: file has 0 bytes",
                 det_weights_open(env, f.file, false, &file));
    save(f.file, "\x89PNG\r\n\x1a\nand more", 16);
    assert_fails(env, DET_STATUS_CORRUPT,
                 "not a libdet file (starts with \"\\x89PNG\\x0d\\x0a\\x1a\\x0a\")",
                 det_weights_open(env, f.file, false, &file));
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\n";
    save(f.file, lfs, sizeof lfs - 1);
    assert_fails(env, DET_STATUS_CORRUPT, "Git LFS pointer",
                 det_weights_open(env, f.file, false, &file));
    data[8] = 2;
    save(f.file, data, bytes);
    assert_fails(env, DET_STATUS_UNSUPPORTED, "version 2 is newer than this library (1)",
                 det_weights_open(env, f.file, false, &file));
    data[8] = 1;
    data[bytes - 1] ^= 1;
    save(f.file, data, bytes);
    assert_fails(env, DET_STATUS_CORRUPT, "tensor `step`: CRC mismatch: stored 0x",
                 det_weights_open(env, f.file, true, &file));
    assert_ok(env, det_weights_open(env, f.file, false, &file));
    assert_fails(env, DET_STATUS_CORRUPT, "tensor `step`: CRC mismatch: stored 0x",
                 det_weights_verify(env, file));
    det_weights_close(env, &file);
    unlink(f.file);
    assert_fails(env, DET_STATUS_NOT_FOUND, "model.det",
                 det_weights_open(env, f.file, false, &file));
    free(data);
    close_folder(&f);
}

/* Each length and each flipped byte: an error, or the very content (the flip hit padding). */
static void damage_is_always_found(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    struct det_weights *file = NULL;
    assert_ok(env, write_sample(env, f.file));
    size_t bytes = 0;
    uint8_t *data = load(f.file, &bytes);
    for (size_t cut = 0; cut < bytes; cut++) {
        save(f.file, data, cut);
        assert_fails(env, DET_STATUS_CORRUPT, "truncated",
                     det_weights_open(env, f.file, true, &file));
    }
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    for (size_t at = 0; at < bytes; at++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            data[at] ^= masks[m];
            save(f.file, data, bytes);
            const det_status status = det_weights_open(env, f.file, true, &file);
            data[at] ^= masks[m];
            if (status == DET_OK) {
                assert_int_equal(data[at], 0);
                check_sample(file);
                det_weights_close(env, &file);
            } else {
                assert_true(status == DET_STATUS_CORRUPT || (at >= 8 && at < 12));
            }
        }
    }
    free(data);
    close_folder(&f);
}

/* Damage to the JSON text with its CRC made right again reaches the parser behind it. */
static void sealed_damage_never_crashes(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    assert_ok(env, write_sample(env, f.file));
    size_t bytes = 0;
    uint8_t *data = load(f.file, &bytes);
    const size_t header = (size_t)u64_at(data + 16);
    static const uint8_t masks[] = {0x01, 0x02, 0x08, 0x10, 0x7f, 0x80};
    for (size_t at = 64; at < 64 + header; at++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            data[at] ^= masks[m];
            const uint32_t crc = det_crc32c(0, data + 16, 48 + header);
            memcpy(data + 12, &crc, 4);
            save(f.file, data, bytes);
            data[at] ^= masks[m];
            struct det_weights *file = NULL;
            const det_status status = det_weights_open(env, f.file, true, &file);
            assert_true(status == DET_OK || status == DET_STATUS_CORRUPT);
            det_weights_close(env, &file);
        }
    }
    free(data);
    close_folder(&f);
}

static det_status write_and_read(struct det_env *env, void *argument)
{
    struct det_weights *file = NULL;
    det_status status = DET_OK;
    DET_TRY(write_sample(env, argument));
    DET_TRY(det_weights_open(env, argument, true, &file));
fail:
    det_weights_close(env, &file);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    test_each_allocation_fails(write_and_read, f.file);
    close_folder(&f);
}

static void failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    assert_ok(env, write_sample(env, f.file));
    struct rlimit old, small = {.rlim_cur = 300};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const det_status status = write_sample(env, f.file);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_not_equal(status, DET_OK);
    struct det_weights *file = NULL;
    assert_ok(env, det_weights_open(env, f.file, true, &file));
    check_sample(file);
    det_weights_close(env, &file);
    struct det_path_list list = {0};
    assert_ok(env, det_list_directory(env, f.path, &list));
    assert_int_equal(list.count, 1); /* no temporary file left */
    det_path_list_free(env, &list);
    close_folder(&f);
}

int test_weights(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(writer_rejects),
        cmocka_unit_test(bytes_are_as_documented),
        cmocka_unit_test(structure_is_checked),
        cmocka_unit_test(messages_are_clear),
        cmocka_unit_test(damage_is_always_found),
        cmocka_unit_test(sealed_damage_never_crashes),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(failed_write_keeps_the_old_file),
    };
    return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
