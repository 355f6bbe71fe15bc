/* formats/tf_example: known bytes, round trips, kinds and counts, damage; the shared folder's files
 * when it is there. */
#include "formats/protowire.h"
#include "formats/tf_example.h"
#include "formats/tfrecord.h"
#include "support/mem.h"
#include "support/test.h"

#define BYTES(text) ((struct det_bytes){(const uint8_t *)(text), sizeof(text) - 1})

static float coordinates[4][2] = {{.1f, .2f}, {.3f, .4f}, {.5f, .6f}, {.7f, .8f}};
static struct det_bytes texts[2];
static int64_t labels[2] = {1, -3}, flags[2] = {0, 1};
static float weights[2] = {1, .5f};

static struct det_example full_example(void)
{
    texts[0] = BYTES("cat");
    texts[1] = BYTES("");
    return (struct det_example){
        .encoded = BYTES("\xff\xd8\0\0jpeg"),
        .format = BYTES("jpeg"),
        .filename = BYTES("a.jpg"),
        .source_id = BYTES("17"),
        .height = 480,
        .width = 640,
        .box_count = 2,
        .ymin = coordinates[0],
        .xmin = coordinates[1],
        .ymax = coordinates[2],
        .xmax = coordinates[3],
        .class_text = texts,
        .class_label = labels,
        .difficult = flags,
        .group_of = flags,
        .is_crowd = flags,
        .area = weights,
        .weight = weights,
    };
}

static bool same_bytes(struct det_bytes a, struct det_bytes b)
{
    return a.bytes == b.bytes && (a.data == NULL) == (b.data == NULL) &&
           (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static void assert_same(const struct det_example *a, const struct det_example *b)
{
    assert_true(same_bytes(a->encoded, b->encoded) && same_bytes(a->format, b->format));
    assert_true(same_bytes(a->filename, b->filename) && same_bytes(a->source_id, b->source_id));
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->box_count, b->box_count);
    const size_t n = a->box_count;
    for (size_t i = 0; i < n; i++)
        assert_true(same_bytes(a->class_text[i], b->class_text[i]));
    assert_memory_equal(a->ymin, b->ymin, n * sizeof(float));
    assert_memory_equal(a->xmin, b->xmin, n * sizeof(float));
    assert_memory_equal(a->ymax, b->ymax, n * sizeof(float));
    assert_memory_equal(a->xmax, b->xmax, n * sizeof(float));
    assert_memory_equal(a->area, b->area, n * sizeof(float));
    assert_memory_equal(a->weight, b->weight, n * sizeof(float));
    assert_memory_equal(a->class_label, b->class_label, n * sizeof(int64_t));
    assert_memory_equal(a->difficult, b->difficult, n * sizeof(int64_t));
    assert_memory_equal(a->group_of, b->group_of, n * sizeof(int64_t));
    assert_memory_equal(a->is_crowd, b->is_crowd, n * sizeof(int64_t));
}

static void serialises_known_bytes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const struct det_example example = {.height = 480};
    static const uint8_t expected[] = {0x0a, 0x18, /* features, 24 bytes */
                                       0x0a, 0x16, /* an entry, 22 bytes */
                                       0x0a, 0x0c, 'i',  'm', 'a', 'g', 'e',
                                       '/',  'h',  'e',  'i', 'g', 'h', 't', /* its key */
                                       0x12, 0x06,              /* its value, a Feature */
                                       0x1a, 0x04,              /* int64_list */
                                       0x0a, 0x02, 0xe0, 0x03}; /* packed: 480 */
    uint8_t *data = NULL;
    size_t bytes = 0;
    assert_ok(&t.env, det_example_serialize(&t.env, &example, &data, &bytes));
    assert_int_equal(bytes, sizeof expected);
    assert_memory_equal(data, expected, sizeof expected);
    det_free(&t.env, &data);
    test_env_check(&t);
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const struct det_example example = full_example();
    uint8_t *data = NULL;
    size_t bytes = 0;
    assert_ok(&t.env, det_example_serialize(&t.env, &example, &data, &bytes));
    struct det_example read;
    assert_ok(&t.env, det_example_parse(&t.env, "x", data, bytes, &read));
    assert_same(&read, &example);
    assert_true(read.encoded.data > data && read.encoded.data < data + bytes);
    /* Appended to itself: duplicate keys, the last stand. */
    uint8_t *twice = malloc(2 * bytes);
    assert_non_null(twice);
    memcpy(twice, data, bytes);
    memcpy(twice + bytes, data, bytes);
    det_example_free(&t.env, &read);
    assert_ok(&t.env, det_example_parse(&t.env, "x", twice, 2 * bytes, &read));
    assert_same(&read, &example);
    assert_true(read.encoded.data > twice + bytes);
    free(twice);
    det_example_free(&t.env, &read);
    det_example_free(&t.env, &read);
    det_free(&t.env, &data);
    /* Nothing at all. */
    const struct det_example none = {0};
    assert_ok(&t.env, det_example_serialize(&t.env, &none, &data, &bytes));
    assert_ok(&t.env, det_example_parse(&t.env, "x", data, bytes, &read));
    assert_int_equal(read.box_count, 0);
    assert_null(read.encoded.data);
    assert_null(read.ymin);
    det_example_free(&t.env, &read);
    det_free(&t.env, &data);
    assert_ok(&t.env, det_example_parse(&t.env, "x", NULL, 0, &read));
    test_env_check(&t);
}

/* A message built by hand. */
struct builder {
    struct det_env *env;
    struct det_text text;
    size_t features, entry, feature, list;
};

static void start(struct builder *b, struct det_env *env)
{
    *b = (struct builder){.env = env};
    assert_ok(env, det_wire_begin(env, &b->text, 1, &b->features));
}

static void begin_feature(struct builder *b, const char *key, uint32_t kind)
{
    assert_ok(b->env, det_wire_begin(b->env, &b->text, 1, &b->entry));
    assert_ok(b->env, det_wire_put_bytes(b->env, &b->text, 1, key, strlen(key)));
    assert_ok(b->env, det_wire_begin(b->env, &b->text, 2, &b->feature));
    assert_ok(b->env, det_wire_begin(b->env, &b->text, kind, &b->list));
}

static void end_feature(struct builder *b)
{
    assert_ok(b->env, det_wire_end(b->env, &b->text, b->list));
    assert_ok(b->env, det_wire_end(b->env, &b->text, b->feature));
    assert_ok(b->env, det_wire_end(b->env, &b->text, b->entry));
}

static void add_floats(struct builder *b, const char *key, int count)
{
    begin_feature(b, key, 2);
    for (int i = 0; i < count; i++) /* unpacked */
        assert_ok(b->env, det_wire_put_float(b->env, &b->text, 1, (float)i + .5f));
    end_feature(b);
}

static void add_ints(struct builder *b, const char *key, int count)
{
    begin_feature(b, key, 3);
    for (int i = 0; i < count; i++)
        assert_ok(b->env, det_wire_put_varint(b->env, &b->text, 1, (uint64_t)(int64_t)-i));
    end_feature(b);
}

static void add_texts(struct builder *b, const char *key, int count)
{
    begin_feature(b, key, 1);
    for (int i = 0; i < count; i++)
        assert_ok(b->env, det_wire_put_bytes(b->env, &b->text, 1, "t", 1));
    end_feature(b);
}

static void add_boxes(struct builder *b, int count)
{
    add_floats(b, "image/object/bbox/ymin", count);
    add_floats(b, "image/object/bbox/xmin", count);
    add_floats(b, "image/object/bbox/ymax", count);
    add_floats(b, "image/object/bbox/xmax", count);
}

/* Ends the message, parses it and frees it. */
static det_status finish(struct builder *b, struct det_example *example)
{
    assert_ok(b->env, det_wire_end(b->env, &b->text, b->features));
    const det_status status = det_example_parse(
        b->env, "f.tfrecord: record 3", (const uint8_t *)b->text.data, b->text.length, example);
    det_text_free(b->env, &b->text);
    return status;
}

static void unpacked_lists_and_unknown_keys(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct builder b;
    struct det_example example;
    start(&b, &t.env);
    add_boxes(&b, 3);
    add_ints(&b, "image/object/class/label", 3);
    add_texts(&b, "image/object/mask", 7);
    add_texts(&b, "image/object/class/text", 0); /* an empty list is an absent one */
    add_ints(&b, "image/width", 1);
    assert_ok(&t.env, finish(&b, &example));
    assert_int_equal(example.box_count, 3);
    assert_near(example.xmax[2], 2.5, 0);
    assert_int_equal(example.class_label[2], -2);
    assert_null(example.class_text);
    det_example_free(&t.env, &example);
    test_env_check(&t);
}

static void messages_name_the_key(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct builder b;
    struct det_example example;
    start(&b, &t.env);
    add_ints(&b, "image/encoded", 1);
    assert_fails(&t.env, DET_STATUS_CORRUPT,
                 "f.tfrecord: record 3: `image/encoded` holds int64_list, expected bytes_list",
                 finish(&b, &example));
    start(&b, &t.env);
    add_ints(&b, "image/height", 2);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "`image/height` has 2 values, expected 1",
                 finish(&b, &example));
    start(&b, &t.env);
    add_boxes(&b, 2);
    add_floats(&b, "image/object/bbox/xmin", 5);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "2 ymin, 5 xmin, 2 ymax, 2 xmax",
                 finish(&b, &example));
    start(&b, &t.env);
    add_boxes(&b, 2);
    add_texts(&b, "image/object/class/text", 3);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "`image/object/class/text` has 3 values for 2 boxes",
                 finish(&b, &example));
    /* Two kinds in one feature: a long list of one must not land in the room of a short one. */
    start(&b, &t.env);
    add_boxes(&b, 1);
    begin_feature(&b, "image/object/area", 3);
    for (int i = 0; i < 100; i++)
        assert_ok(&t.env, det_wire_put_varint(&t.env, &b.text, 1, 1));
    assert_ok(&t.env, det_wire_end(&t.env, &b.text, b.list));
    assert_ok(&t.env, det_wire_begin(&t.env, &b.text, 2, &b.list));
    assert_ok(&t.env, det_wire_put_float(&t.env, &b.text, 1, 1));
    end_feature(&b);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "`image/object/area` holds int64_list",
                 finish(&b, &example));
    test_env_check(&t);
}

static void damage_never_crashes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const struct det_example example = full_example();
    uint8_t *data = NULL;
    size_t bytes = 0;
    assert_ok(&t.env, det_example_serialize(&t.env, &example, &data, &bytes));
    struct det_example read;
    for (size_t cut = 1; cut < bytes; cut++) {
        uint8_t *copy = malloc(cut);
        assert_non_null(copy);
        memcpy(copy, data, cut);
        assert_fails(&t.env, DET_STATUS_CORRUPT, "name: byte ",
                     det_example_parse(&t.env, "name", copy, cut, &read));
        free(copy);
    }
    /* No checksum here: what parses must be well formed, no more. */
    for (size_t flip = 0; flip < bytes; flip++) {
        for (int value = 1; value < 256; value += 2) {
            data[flip] ^= (uint8_t)value;
            const det_status status = det_example_parse(&t.env, "name", data, bytes, &read);
            assert_true(status == DET_OK || status == DET_STATUS_CORRUPT);
            det_example_free(&t.env, &read);
            data[flip] ^= (uint8_t)value;
        }
    }
    det_free(&t.env, &data);
    test_env_check(&t);
}

static det_status round_trip(struct det_env *env, void *argument)
{
    (void)argument;
    const struct det_example example = full_example();
    struct det_example read = {0};
    uint8_t *data = NULL;
    size_t bytes = 0;
    det_status status = DET_OK;
    DET_TRY(det_example_serialize(env, &example, &data, &bytes));
    DET_TRY(det_example_parse(env, "x", data, bytes, &read));
    det_example_free(env, &read);
fail:
    det_free(env, &data);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    test_each_allocation_fails(round_trip, NULL);
}

static void reads_the_shared_records(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t records, boxes;
        bool images;
    } files[] = {
        {"data/raccoon/train.tfrecord", 160, 175, true},
        {"data/raccoon/test.tfrecord", 40, 42, true},
        {"data/pets_examples.record", 10, 10, true},
        {"data/seed_test.tfrecord", 127, 364, false},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char buffer[256], name[512];
        const char *path = test_shared(buffer, files[i].path);
        if (path == NULL)
            test_skip_without_shared();
        struct det_record_set set;
        assert_ok(&t.env, det_record_set_open(&t.env, &path, 1, &set));
        size_t boxes = 0;
        for (size_t k = 0; k < set.record_count; k++) {
            struct det_record record = {0};
            assert_ok(&t.env, det_record_set_get(&t.env, &set, k, &record));
            struct det_example example;
            assert_ok(&t.env, det_example_parse(&t.env, det_record_set_name(&set, k, name),
                                                record.data, record.bytes, &example));
            assert_int_equal(example.encoded.bytes > 0, files[i].images);
            assert_true(example.filename.bytes > 0 && example.height > 0 && example.width > 0);
            assert_true(example.box_count == 0 || example.class_text != NULL);
            boxes += example.box_count;
            det_example_free(&t.env, &example);
            det_record_free(&t.env, &record);
        }
        assert_int_equal(set.record_count, files[i].records);
        assert_int_equal(boxes, files[i].boxes);
        det_record_set_close(&t.env, &set);
    }
    test_env_check(&t);
}

int test_tf_example(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serialises_known_bytes),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(unpacked_lists_and_unknown_keys),
        cmocka_unit_test(messages_name_the_key),
        cmocka_unit_test(damage_never_crashes),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(reads_the_shared_records),
    };
    return cmocka_run_group_tests_name("tf_example", tests, NULL, NULL);
}
