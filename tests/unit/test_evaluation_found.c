/* eval/evaluation_found: what goes from rank to rank arrives whole; of damaged bytes nothing is
 * believed. */
#include "eval/evaluation_found.h"

#include "support/mem.h"
#include "support/test.h"

enum { OBJECTS = 3, DETECTIONS = 5, CLASSES = 4 };

static float truth_boxes[OBJECTS][4], found_boxes[DETECTIONS][4];
static int32_t truth_classes[OBJECTS] = {0, 3, 1}, found_classes[DETECTIONS] = {3, 3, 0, 1, 2};
static float areas[OBJECTS] = {1, 0, 2.5F}, scores[DETECTIONS] = {.9F, .8F, .5F, .5F, 0};
static uint8_t crowd[OBJECTS] = {0, 1, 0}, difficult[OBJECTS] = {1, 0, 0},
               group[OBJECTS] = {0, 0, 1};

static struct det_evaluation_found example(int64_t image, int32_t objects, int32_t detections)
{
    test_fill(truth_boxes[0], OBJECTS * 4, 1);
    test_fill(found_boxes[0], DETECTIONS * 4, 2);
    return (struct det_evaluation_found){
        .image = image,
        .height = 30,
        .width = 40 + (int32_t)image,
        .localization = 1.0 / 3,
        .classification = (double)image / 7,
        .truth = {.count = objects,
                  .boxes = truth_boxes,
                  .class_index = truth_classes,
                  .area_px = areas,
                  .is_crowd = crowd,
                  .difficult = difficult,
                  .group_of = group},
        .detections = {.count = detections,
                       .boxes = found_boxes,
                       .class_index = found_classes,
                       .score = scores},
    };
}

static void assert_same(const struct det_evaluation_found *a, const struct det_evaluation_found *b)
{
    const size_t objects = (size_t)a->truth.count, count = (size_t)a->detections.count;
    assert_int_equal(a->image, b->image);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_memory_equal(&a->localization, &b->localization, sizeof a->localization);
    assert_memory_equal(&a->classification, &b->classification, sizeof a->classification);
    assert_int_equal(a->truth.count, b->truth.count);
    assert_int_equal(a->detections.count, b->detections.count);
    if (objects > 0) {
        assert_memory_equal(a->truth.boxes, b->truth.boxes, objects * sizeof *a->truth.boxes);
        assert_memory_equal(a->truth.class_index, b->truth.class_index, objects * sizeof(int32_t));
        assert_memory_equal(a->truth.area_px, b->truth.area_px, objects * sizeof(float));
        assert_memory_equal(a->truth.is_crowd, b->truth.is_crowd, objects);
        assert_memory_equal(a->truth.difficult, b->truth.difficult, objects);
        assert_memory_equal(a->truth.group_of, b->truth.group_of, objects);
    }
    if (count > 0) {
        assert_memory_equal(a->detections.boxes, b->detections.boxes,
                            count * sizeof *a->detections.boxes);
        assert_memory_equal(a->detections.class_index, b->detections.class_index,
                            count * sizeof(int32_t));
        assert_memory_equal(a->detections.score, b->detections.score, count * sizeof(float));
    }
}

/* Some with more than the one before, some with nothing. */
static const int32_t counts[][2] = {{0, 0}, {1, 2}, {3, 5}, {0, 4}, {2, 0}, {3, 5}};
enum { IMAGES = sizeof counts / sizeof *counts };

static det_status send_all(struct det_env *env, void *argument)
{
    struct det_evaluation_bytes bytes = {0};
    struct det_evaluation_found found = {0};
    det_status status = DET_OK;
    size_t at = 0;
    (void)argument;
    for (int64_t i = 0; i < IMAGES; i++) {
        const struct det_evaluation_found sent = example(i, counts[i][0], counts[i][1]);
        DET_TRY(det_evaluation_found_append(env, &sent, &bytes));
    }
    for (int64_t i = 0; i < IMAGES; i++) {
        const struct det_evaluation_found sent = example(i, counts[i][0], counts[i][1]);
        DET_TRY(det_evaluation_found_read(env, bytes.data, &at, bytes.count, CLASSES, &found));
        assert_same(&found, &sent);
        assert_non_null(found.detections.boxes);
    }
    assert_int_equal(at, bytes.count);
fail:
    det_evaluation_found_free(env, &found);
    det_free(env, &bytes.data);
    return status;
}

static void it_arrives_whole(void **state)
{
    struct test_env t;
    (void)state;
    test_env_init(&t);
    assert_ok(&t.env, send_all(&t.env, NULL));
    test_env_check(&t);
    test_each_allocation_fails(send_all, NULL);
}

/* Reads a copy of its own size, so that a look behind the end is seen. */
static det_status read_copy(struct det_env *env, const uint8_t *data, size_t count, size_t flipped,
                            struct det_evaluation_found *found)
{
    uint8_t *copy = malloc(count + (count == 0));
    size_t at = 0;
    assert_non_null(copy);
    memcpy(copy, data, count);
    if (flipped < count)
        copy[flipped] ^= 0x80;
    const det_status status = det_evaluation_found_read(env, copy, &at, count, CLASSES, found);
    assert_true(at <= count);
    free(copy);
    return status;
}

static void damage_is_seen(void **state)
{
    struct test_env t;
    struct det_evaluation_bytes bytes = {0};
    struct det_evaluation_found found = {0};
    int seen = 0;
    (void)state;
    test_env_init(&t);
    const struct det_evaluation_found sent = example(7, OBJECTS, DETECTIONS);
    assert_ok(&t.env, det_evaluation_found_append(&t.env, &sent, &bytes));
    for (size_t count = 0; count < bytes.count; count++) {
        assert_fails(&t.env, DET_STATUS_CORRUPT, "bytes are missing",
                     read_copy(&t.env, bytes.data, count, SIZE_MAX, &found));
        assert_int_equal(found.truth.count, 0);
        assert_int_equal(found.detections.count, 0);
    }
    for (size_t i = 0; i < bytes.count; i++) {
        const det_status status = read_copy(&t.env, bytes.data, bytes.count, i, &found);
        if (status == DET_STATUS_CORRUPT)
            seen++;
        else
            assert_int_equal(status, DET_OK);
        for (int32_t k = 0; k < found.detections.count; k++)
            assert_in_range(found.detections.class_index[k], 0, CLASSES - 1);
        for (int32_t k = 0; k < found.truth.count; k++)
            assert_in_range(found.truth.class_index[k], 0, CLASSES - 1);
    }
    /* The highest byte of four numbers of the head and of each class, and all of the counts. */
    assert_true(seen >= 4 + OBJECTS + DETECTIONS);
    size_t at = 0;
    assert_fails(&t.env, DET_STATUS_CORRUPT, "image 7: a class is none of the model's",
                 det_evaluation_found_read(&t.env, bytes.data, &at, bytes.count, 3, &found));
    at = bytes.count + 1;
    assert_fails(&t.env, DET_STATUS_CORRUPT, "bytes are missing",
                 det_evaluation_found_read(&t.env, bytes.data, &at, bytes.count, CLASSES, &found));
    det_evaluation_found_free(&t.env, &found);
    det_free(&t.env, &bytes.data);
    test_env_check(&t);
}

int test_evaluation_found(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_arrives_whole),
        cmocka_unit_test(damage_is_seen),
    };
    return cmocka_run_group_tests_name("evaluation_found", tests, NULL, NULL);
}
