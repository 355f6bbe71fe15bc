/* formats/protowire: known encodings, and that every read stays inside. */
#include "formats/protowire.h"
#include "support/mem.h"
#include "support/test.h"

static void encodes_known_bytes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_text text = {0};
    size_t mark = 0;
    /* The encoding guide's examples: 150 in field 1, "testing" in field 2, packed 3, 270, 86942 in
     * field 6. */
    assert_ok(&t.env, det_wire_put_varint(&t.env, &text, 1, 150));
    assert_ok(&t.env, det_wire_put_bytes(&t.env, &text, 2, "testing", 7));
    assert_ok(&t.env, det_wire_begin(&t.env, &text, 6, &mark));
    assert_ok(&t.env, det_wire_append_varint(&t.env, &text, 3));
    assert_ok(&t.env, det_wire_append_varint(&t.env, &text, 270));
    assert_ok(&t.env, det_wire_append_varint(&t.env, &text, 86942));
    assert_ok(&t.env, det_wire_end(&t.env, &text, mark));
    assert_ok(&t.env, det_wire_put_float(&t.env, &text, 3, 1.0f));
    assert_ok(&t.env, det_wire_put_double(&t.env, &text, 4, 1.0));
    static const uint8_t expected[] = {0x08, 0x96, 0x01, 0x12, 0x07, 't',  'e',  's',  't',
                                       'i',  'n',  'g',  0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e,
                                       0xa7, 0x05, 0x1d, 0,    0,    0x80, 0x3f, 0x21, 0,
                                       0,    0,    0,    0,    0,    0xf0, 0x3f};
    assert_int_equal(text.length, sizeof expected);
    assert_memory_equal(text.data, expected, sizeof expected);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_text text = {0};
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    enum { COUNT = sizeof values / sizeof values[0] };
    size_t mark = 0;
    assert_ok(&t.env, det_wire_begin(&t.env, &text, 536870911u, &mark));
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ok(&t.env, det_wire_put_varint(&t.env, &text, i + 1, values[i]));
        assert_ok(&t.env, det_wire_put_fixed64(&t.env, &text, i + 1, values[i]));
        assert_ok(&t.env, det_wire_put_fixed32(&t.env, &text, i + 1, (uint32_t)values[i]));
    }
    for (int i = 0; i < 40; i++) /* long enough for a length of two bytes */
        assert_ok(&t.env, det_wire_put_bytes(&t.env, &text, 9, "0123456789", 10));
    assert_ok(&t.env, det_wire_end(&t.env, &text, mark));
    struct det_wire outer = det_wire_start((const uint8_t *)text.data, text.length);
    struct det_wire_field field;
    assert_ok(&t.env, det_wire_next(&t.env, &outer, &field));
    assert_int_equal(field.number, 536870911u);
    assert_int_equal(field.type, DET_WIRE_BYTES);
    struct det_wire inner = field.payload;
    assert_int_equal(inner.base + inner.bytes, text.length);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ok(&t.env, det_wire_next(&t.env, &inner, &field));
        assert_int_equal(field.number, i + 1);
        assert_true(field.type == DET_WIRE_VARINT && field.value == values[i]);
        assert_ok(&t.env, det_wire_next(&t.env, &inner, &field));
        assert_true(field.type == DET_WIRE_FIXED64 && field.value == values[i]);
        assert_ok(&t.env, det_wire_next(&t.env, &inner, &field));
        assert_true(field.type == DET_WIRE_FIXED32 && field.value == (uint32_t)values[i]);
    }
    for (int i = 0; i < 40; i++) {
        assert_ok(&t.env, det_wire_next(&t.env, &inner, &field));
        assert_int_equal(field.payload.bytes, 10);
        assert_memory_equal(field.payload.data, "0123456789", 10);
    }
    assert_ok(&t.env, det_wire_next(&t.env, &inner, &field));
    assert_int_equal(field.number, 0);
    assert_ok(&t.env, det_wire_next(&t.env, &outer, &field));
    assert_int_equal(field.number, 0);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void rejects_bad_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t bytes;
        const char *message;
    } cases[] = {
        {"\x08", 1, "byte 1: truncated: varint"},
        {"\x88", 1, "byte 0: truncated: varint"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "more than 64 bits"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "more than 64 bits"},
        {"\x00\x01", 2, "field number 0"},
        {"\x80\x80\x80\x80\x20", 5, "field number 1073741824"},
        {"\x0b\x0c", 2, "a group"},
        {"\x0c", 1, "a group"},
        {"\x0e", 1, "wire type 6 (unknown)"},
        {"\x09\x01\x02", 3, "needs 8 bytes, 2 are left"},
        {"\x0d\x01\x02", 3, "needs 4 bytes, 2 are left"},
        {"\x12\x05"
         "abcd",
         6, "needs 5 bytes, 4 are left"},
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
         "truncated: needs 18446744073709551615"},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* A copy of exact size: a sanitizer sees the first byte too many. */
        uint8_t *copy = malloc(cases[i].bytes);
        assert_non_null(copy);
        memcpy(copy, cases[i].data, cases[i].bytes);
        struct det_wire wire = det_wire_start(copy, cases[i].bytes);
        struct det_wire_field field;
        assert_fails(&t.env, DET_STATUS_CORRUPT, cases[i].message,
                     det_wire_next(&t.env, &wire, &field));
        assert_int_equal(field.number, 0);
        free(copy);
    }
    struct det_wire_field field = {.number = 4, .type = DET_WIRE_VARINT};
    assert_fails(&t.env, DET_STATUS_CORRUPT, "size (field 4) has wire type 0, expected 2",
                 det_wire_expect(&t.env, &field, DET_WIRE_BYTES, "size"));
    test_env_check(&t);
}

/* Random bytes: each read advances or fails. */
static void random_bytes_end(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    float noise[64];
    for (uint32_t seed = 0; seed < 5000; seed++) {
        test_fill(noise, 64, seed);
        const size_t bytes = 1 + seed % 64;
        uint8_t *data = malloc(bytes);
        assert_non_null(data);
        for (size_t i = 0; i < bytes; i++)
            data[i] = (uint8_t)((noise[i] + 1) * 127.9f);
        struct det_wire wire = det_wire_start(data, bytes);
        for (;;) {
            const size_t before = wire.at;
            struct det_wire_field field;
            if (det_wire_next(&t.env, &wire, &field) != DET_OK || field.number == 0)
                break;
            assert_true(wire.at > before && wire.at <= wire.bytes);
        }
        free(data);
    }
    test_env_check(&t);
}

static det_status build(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_text text = {0};
    det_status status = DET_OK;
    size_t outer = 0, inner = 0;
    DET_TRY(det_wire_begin(env, &text, 1, &outer));
    for (int i = 0; i < 20; i++) {
        DET_TRY(det_wire_begin(env, &text, 2, &inner));
        DET_TRY(det_wire_put_bytes(env, &text, 3, "some text that takes room", 25));
        DET_TRY(det_wire_end(env, &text, inner));
    }
    DET_TRY(det_wire_end(env, &text, outer));
fail:
    det_text_free(env, &text);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    test_each_allocation_fails(build, NULL);
}

int test_protowire(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_known_bytes),  cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(rejects_bad_bytes),    cmocka_unit_test(random_bytes_end),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("protowire", tests, NULL, NULL);
}
