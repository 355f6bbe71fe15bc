/* formats/flatbuffer, flexbuffer, zip_stored: known bytes, what is written is read back, and no
 * damage leads outside the bytes. */
#include "formats/flatbuffer.h"
#include "formats/flexbuffer.h"
#include "formats/zip_stored.h"
#include "support/mem.h"
#include "support/test.h"

/* --- FlatBuffers --- */

static void encodes_known_bytes(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_flat_writer w;
    det_flat_place name = 0;
    test_env_init(&t);
    det_flat_begin(&w, &t.env, &text, "TEST");
    DET_FLAT_PUT_TABLE(&w, 0, DET_FLAT_U8(2, 7), DET_FLAT_U32(0, 258),
                       DET_FLAT_REFERENCE(1, &name));
    det_flat_put_string(&w, name, "hi");
    assert_ok(&t.env, det_flat_end(&w));
    static const uint8_t expected[] = {
        20, 0, 0,  0, 'T', 'E', 'S', 'T', /* the table is at 20 */
        10, 0, 13, 0,                     /* vtable of 10 bytes, table of 13 */
        4,  0, 8,  0, 12,  0,             /* where the fields are */
        0,  0,                            /* to a multiple of 4 */
        12, 0, 0,  0,                     /* the vtable is 12 bytes before */
        2,  1, 0,  0, 8,   0,   0,   0,   /* 258; the string is 8 bytes further */
        7,  0, 0,  0,                     /* 7 */
        2,  0, 0,  0, 'h', 'i', 0,
    };
    assert_int_equal(text.length, sizeof expected);
    assert_memory_equal(text.data, expected, sizeof expected);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* A file with everything; `before` bytes stand in front of it. */
static det_status write_all(struct det_env *env, struct det_text *text)
{
    static const uint8_t bytes[] = {1, 2, 3};
    static const float reals[] = {1.5F, -2};
    struct det_flat_writer w;
    det_flat_place numbers = 0, list = 0, data = 0, strings = 0;
    det_flat_begin(&w, env, text, "ABCD");
    DET_FLAT_PUT_TABLE(&w, 0, DET_FLAT_FLOAT(0, 0.25F), DET_FLAT_U8(1, 200),
                       DET_FLAT_REFERENCE(3, &numbers), DET_FLAT_REFERENCE(4, &list),
                       DET_FLAT_REFERENCE(5, &data), DET_FLAT_REFERENCE(6, &strings));
    det_flat_put_vector(&w, numbers, reals, 2, sizeof *reals, sizeof *reals);
    det_flat_place each = det_flat_put_references(&w, list, 3);
    for (uint32_t i = 0; i < 3; i++, each += DET_FLAT_REFERENCE_BYTES)
        DET_FLAT_PUT_TABLE(&w, each, DET_FLAT_U32(0, i + 1));
    det_flat_put_vector(&w, data, bytes, sizeof bytes, 1, 16);
    each = det_flat_put_references(&w, strings, 2);
    det_flat_put_string(&w, each, "");
    det_flat_put_string(&w, each + DET_FLAT_REFERENCE_BYTES, "Waschbär");
    return det_flat_end(&w);
}

/* Reads all of it; true: it is what write_all() wrote. */
static bool read_all(struct det_env *env, const void *data, size_t bytes, det_status *status)
{
    struct det_flat_reader r;
    const struct det_flat_table root = det_flat_open(&r, env, data, bytes, "ABCD");
    bool same = det_flat_float(&r, root, 0, 9) == 0.25F && det_flat_u8(&r, root, 1, 0) == 200 &&
                det_flat_u32(&r, root, 2, 77) == 77 && det_flat_i32(&r, root, 40, -5) == -5;
    const struct det_flat_vector numbers = det_flat_vector(&r, root, 3, sizeof(float));
    same = same && numbers.count == 2 && det_flat_word(numbers, 1) == det_flat_float_bits(-2);
    const struct det_flat_vector list = det_flat_vector(&r, root, 4, DET_FLAT_REFERENCE_BYTES);
    for (size_t i = 0; i < list.count; i++)
        same = det_flat_u32(&r, det_flat_element(&r, list, i), 0, 0) == i + 1 && same;
    const struct det_flat_vector raw = det_flat_vector(&r, root, 5, 1);
    uint32_t sum = 0;
    for (size_t i = 0; i < raw.count; i++)
        sum += raw.data[i];
    const struct det_flat_vector strings = det_flat_vector(&r, root, 6, DET_FLAT_REFERENCE_BYTES);
    for (size_t i = 0; i < strings.count; i++) {
        const char *text = det_flat_string_element(&r, strings, i);
        same = text != NULL && strcmp(text, i == 0 ? "" : "Waschbär") == 0 && same;
    }
    *status = r.status;
    return same && list.count == 3 && raw.count == 3 && sum == 6 && strings.count == 2 &&
           det_flat_absent(det_flat_child(&r, root, 20)) && det_flat_string(&r, root, 21) == NULL;
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    det_status status = DET_OK;
    test_env_init(&t);
    assert_ok(&t.env, write_all(&t.env, &text));
    assert_true(read_all(&t.env, text.data, text.length, &status));
    assert_ok(&t.env, status);
    /* The bytes of 16 are where they must be; tables of one kind share their description. */
    size_t at = 0;
    while (memcmp(text.data + at, "\3\0\0\0\1\2\3", 7) != 0)
        at++;
    assert_int_equal((at + 4) % 16, 0);
    size_t descriptions = 0;
    for (size_t i = 0; i + 6 <= text.length; i += 2)
        descriptions += memcmp(text.data + i, "\6\0\10\0\4\0", 6) == 0;
    assert_int_equal(descriptions, 1);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* Behind other bytes places count from the FlatBuffer's beginning. */
static void begins_anywhere(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    det_status status = DET_OK;
    test_env_init(&t);
    assert_ok(&t.env, det_text_append(&t.env, &text, "12345", 5));
    assert_ok(&t.env, write_all(&t.env, &text));
    assert_true(read_all(&t.env, text.data + 5, text.length - 5, &status));
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

typedef void (*try_reading)(struct det_env *env, const void *data, size_t bytes);

/* Each byte replaced by several values, and each beginning, from blocks of just that size. */
static void damage_all(struct test_env *t, const char *data, size_t bytes, try_reading read)
{
    static const uint8_t values[] = {0, 1, 4, 0x7f, 0x80, 0xfc, 0xff};
    for (size_t length = 0; length <= bytes; length++) {
        char *copy = malloc(length + 1);
        assert_non_null(copy);
        memcpy(copy + 1, data, length); /* at an odd address */
        read(&t->env, copy + 1, length);
        for (size_t v = 0; length == bytes && v < sizeof values; v++)
            for (size_t i = 0; i < length; i++) {
                const char old = copy[1 + i];
                copy[1 + i] = (char)values[v];
                read(&t->env, copy + 1, length);
                copy[1 + i] = old;
            }
        free(copy);
    }
}

static void try_flat(struct det_env *env, const void *data, size_t bytes)
{
    det_status status = DET_OK;
    if (!read_all(env, data, bytes, &status) && status != DET_OK)
        assert_int_equal(status, DET_STATUS_CORRUPT);
}

static void damage_is_found_out(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    det_status status = DET_OK;
    test_env_init(&t);
    assert_ok(&t.env, write_all(&t.env, &text));
    damage_all(&t, text.data, text.length, try_flat);
    assert_false(read_all(&t.env, text.data, 7, &status));
    assert_int_equal(status, DET_STATUS_CORRUPT);
    assert_contains(t.env.error, "ABCD");
    /* A vector that claims more than there is. */
    const uint32_t large = UINT32_MAX;
    for (size_t i = 0; i + 4 <= text.length; i++)
        if (memcmp(text.data + i, "\2\0\0\0\0\0\300\77", 8) == 0)
            memcpy(text.data + i, &large, sizeof large);
    assert_false(read_all(&t.env, text.data, text.length, &status));
    assert_int_equal(status, DET_STATUS_CORRUPT);
    assert_contains(t.env.error, "longer than the file");
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* --- FlexBuffers --- */

static const struct det_flex_value numbers[] = {
    {"a_bool", DET_FLEX_BOOL, 1},  {"big", DET_FLEX_INT, 1000000}, {"less", DET_FLEX_INT, -3},
    {"real", DET_FLEX_FLOAT, 0.5}, {"whole", DET_FLEX_UINT, 7},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static void maps_are_read_back(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_flex_map map;
    test_env_init(&t);
    assert_ok(&t.env, det_flex_write_map(&t.env, &text, numbers, NUMBERS));
    assert_ok(&t.env, det_flex_open_map(&t.env, text.data, text.length, &map));
    assert_int_equal(map.count, NUMBERS);
    for (size_t i = 0; i < NUMBERS; i++) {
        struct det_flex_value value;
        assert_ok(&t.env, det_flex_at(&t.env, &map, i, &value));
        assert_string_equal(value.key, numbers[i].key);
        assert_int_equal(value.type, numbers[i].type);
        assert_true(value.number == numbers[i].number);
    }
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* What FlexBuffers' own builder makes of {"a": 7, "b": true}, in words of one byte, and of numbers
 * that need eight. */
static void other_writers_maps_are_read(void **state)
{
    (void)state;
    static const uint8_t narrow[] = {0x61, 0x00, 0x62, 0x00, 0x02, 0x05, 0x04, 0x02, 0x01,
                                     0x02, 0x07, 0x01, 0x04, 0x68, 0x04, 0x24, 0x01};
    static const uint8_t wide[] = {0x61, 0x00, 0x62, 0x00, 0x02, 0x05, 0x04, 0x00, 0x03, 0x00, 0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
                                   0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33,
                                   0x33, 0x33, 0x33, 0x33, 0x33, 0xe3, 0x3f, 0xfd, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0x0f, 0x07, 0x12, 0x27, 0x01};
    struct test_env t;
    struct det_flex_map map;
    struct det_flex_value a, b;
    test_env_init(&t);
    assert_ok(&t.env, det_flex_open_map(&t.env, narrow, sizeof narrow, &map));
    assert_ok(&t.env, det_flex_at(&t.env, &map, 0, &a));
    assert_ok(&t.env, det_flex_at(&t.env, &map, 1, &b));
    assert_string_equal(a.key, "a");
    assert_true(a.number == 7 && b.type == DET_FLEX_BOOL && b.number == 1);
    assert_ok(&t.env, det_flex_open_map(&t.env, wide, sizeof wide, &map));
    assert_ok(&t.env, det_flex_at(&t.env, &map, 0, &a));
    assert_ok(&t.env, det_flex_at(&t.env, &map, 1, &b));
    assert_true(a.number == 0.6 && b.number == -3);
    test_env_check(&t);
}

static void try_flex(struct det_env *env, const void *data, size_t bytes)
{
    struct det_flex_map map;
    struct det_flex_value value;
    if (det_flex_open_map(env, data, bytes, &map) != DET_OK)
        return;
    for (size_t i = 0; i < map.count; i++)
        if (det_flex_at(env, &map, i, &value) == DET_OK)
            assert_true(strlen(value.key) < bytes);
}

static void damaged_maps_are_found_out(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_flex_map map;
    test_env_init(&t);
    assert_ok(&t.env, det_flex_write_map(&t.env, &text, numbers, NUMBERS));
    damage_all(&t, text.data, text.length, try_flex);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "no FlexBuffers map",
                 det_flex_open_map(&t.env, text.data, text.length - 1, &map));
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* --- zip archives --- */

static const struct det_zip_file files[] = {{"a.txt", "one\ntwo\n", 8}, {"Ü/b.txt", "", 0}};

static void archives_are_read_back(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_zip_file found;
    test_env_init(&t);
    assert_ok(&t.env, det_text_append(&t.env, &text, "a model", 7));
    assert_ok(&t.env, det_zip_append(&t.env, &text, files, 2));
    assert_memory_equal(text.data + 7, "PK\3\4\24\0\0\10\0\0\0\0\41\0", 14);
    assert_ok(&t.env, det_zip_find(&t.env, text.data, text.length, "a.txt", &found));
    assert_int_equal(found.bytes, 8);
    assert_memory_equal(found.data, "one\ntwo\n", 8);
    assert_ok(&t.env, det_zip_find(&t.env, text.data, text.length, "Ü/b.txt", &found));
    assert_int_equal(found.bytes, 0);
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "b.txt",
                 det_zip_find(&t.env, text.data, text.length, "b.txt", &found));
    text.data[7 + 30 + 5] ^= 1;
    assert_fails(&t.env, DET_STATUS_CORRUPT, "damaged",
                 det_zip_find(&t.env, text.data, text.length, "a.txt", &found));
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void try_zip(struct det_env *env, const void *data, size_t bytes)
{
    struct det_zip_file found;
    uint32_t sum = 0;
    for (int i = 0; i < 2; i++)
        if (det_zip_find(env, data, bytes, files[i].name, &found) == DET_OK)
            for (size_t b = 0; b < found.bytes; b++)
                sum += ((const uint8_t *)found.data)[b];
    assert_true(sum < 10000);
}

static void damaged_archives_are_found_out(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    test_env_init(&t);
    assert_ok(&t.env, det_zip_append(&t.env, &text, files, 2));
    damage_all(&t, text.data, text.length, try_zip);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* --- memory --- */

static det_status write_each(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(write_all(env, &text));
    DET_TRY(det_flex_write_map(env, &text, numbers, NUMBERS));
    DET_TRY(det_zip_append(env, &text, files, 2));
fail:
    det_text_free(env, &text);
    return status;
}

static void a_failed_allocation_is_told(void **state)
{
    (void)state;
    test_each_allocation_fails(write_each, NULL);
}

int test_flatbuffer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_known_bytes),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(begins_anywhere),
        cmocka_unit_test(damage_is_found_out),
        cmocka_unit_test(maps_are_read_back),
        cmocka_unit_test(other_writers_maps_are_read),
        cmocka_unit_test(damaged_maps_are_found_out),
        cmocka_unit_test(archives_are_read_back),
        cmocka_unit_test(damaged_archives_are_found_out),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests_name("flatbuffer", tests, NULL, NULL);
}
