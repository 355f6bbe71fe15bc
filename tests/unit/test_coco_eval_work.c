/* COCO evaluation of many images: by any number of threads, without memory; its sort, its ids. */
#include <math.h>

#include "eval/coco_parts.h"
#include "eval/coco_report.h"
#include "support/test.h"

/* Random boxes around the objects of `images` images; ids fall, scores have ties. */
static det_status fill(struct det_env *env, struct det_coco_eval *eval, int images, int most_dt)
{
    enum { CLASSES = 5 };
    float u[4096];
    test_fill(u, 4096, 7);
    size_t n = 0;
#define NEXT (.5 + .5 * (double)u[n++ % 4096])
    for (int k = CLASSES; k > 0; k--)
        DET_TRY_RETURN(det_coco_eval_add_category(env, eval, k, "class"));
    for (int i = images; i > 0; i--)
        DET_TRY_RETURN(det_coco_eval_add_image(env, eval, i));
    for (int i = 1; i <= images; i++) {
        double box[4] = {0, 0, 50, 50};
        for (int g = (int)(NEXT * 6); g > 0; g--) {
            for (int j = 0; j < 4; j++)
                box[j] = 1 + 120 * NEXT;
            const int category = 1 + (int)(NEXT * CLASSES * .99);
            const struct det_coco_annotation object = {.id = 1,
                                                       .image_id = i,
                                                       .category_id = category,
                                                       .box_px = {box[0], box[1], box[2], box[3]},
                                                       .area_px2 = NAN,
                                                       .is_crowd = NEXT < .1};
            DET_TRY_RETURN(det_coco_eval_add_object(env, eval, &object));
        }
        for (int d = (int)(NEXT * most_dt); d > 0; d--) {
            const int category = 1 + (int)(NEXT * CLASSES * .99);
            struct det_coco_detection item = {
                .image_id = i, .category_id = category, .score = floor(NEXT * 50) / 50};
            for (int j = 0; j < 4; j++)
                item.box_px[j] = box[j] * (.9 + .2 * NEXT);
            DET_TRY_RETURN(det_coco_eval_add_detection(env, eval, &item));
        }
    }
#undef NEXT
    return DET_OK;
}

static void same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    double *first = NULL;
    size_t count = 0;
    for (int threads = 0; threads <= 3; threads++) {
        struct test_env t;
        struct det_coco_eval *eval = NULL;
        struct det_pool *pool = NULL;
        const det_coco_result *r = NULL;
        test_env_init(&t);
        assert_ok(&t.env, det_coco_eval_create(&t.env, NULL, &eval));
        assert_ok(&t.env, fill(&t.env, eval, 300, 200));
        if (threads > 0)
            assert_ok(&t.env, det_pool_create(&t.env, threads, &pool));
        assert_ok(&t.env, det_coco_eval_compute(&t.env, eval, pool, &r));
        assert_true(r->stats[DET_COCO_AP] > 0 && r->stats[DET_COCO_AP] < 1);
        const size_t curves = (size_t)10 * 101 * 5 * 4 * 3, recalls = (size_t)10 * 5 * 4 * 3;
        count = DET_COCO_STAT_COUNT + 2 * curves + recalls;
        double *all = malloc(count * sizeof *all);
        assert_non_null(all);
        memcpy(all, r->stats, sizeof r->stats);
        memcpy(all + DET_COCO_STAT_COUNT, r->precision, curves * sizeof *all);
        memcpy(all + DET_COCO_STAT_COUNT + curves, r->scores, curves * sizeof *all);
        memcpy(all + DET_COCO_STAT_COUNT + 2 * curves, r->recall, recalls * sizeof *all);
        if (first == NULL)
            first = all;
        else
            assert_memory_equal(all, first, count * sizeof *all);
        if (all != first)
            free(all);
        det_coco_eval_destroy(&t.env, &eval);
        det_pool_destroy(&t.env, &pool);
        test_env_check(&t);
    }
    free(first);
}

static det_status evaluate(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_coco_eval *eval = NULL;
    struct det_pool *pool = NULL;
    struct det_text text = {0};
    struct det_coco_dataset dataset = {0};
    struct det_coco_detection_list list = {0};
    const det_coco_result *result = NULL;
    det_status status = DET_OK;
    DET_TRY(det_coco_eval_create(env, NULL, &eval));
    DET_TRY(fill(env, eval, 12, 20));
    DET_TRY(det_pool_create(env, 2, &pool));
    DET_TRY(det_coco_eval_compute(env, eval, pool, &result));
    DET_TRY(det_coco_report_table(env, eval, &text));
    DET_TRY(det_coco_report_classes(env, eval, &text));
    DET_TRY(det_coco_report_json(env, eval, true, &text));
    DET_TRY(det_coco_eval_to_dataset(env, eval, &dataset));
    DET_TRY(det_coco_eval_to_detections(env, eval, &list));
fail:
    det_coco_dataset_free(env, &dataset);
    det_coco_detection_list_free(env, &list);
    det_text_free(env, &text);
    det_pool_destroy(env, &pool);
    det_coco_eval_destroy(env, &eval);
    return status;
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(evaluate, NULL);
}

static void sort_is_stable_and_falling(void **state)
{
    (void)state;
    enum { MOST = 3000 };
    static float u[MOST];
    static double score[MOST];
    static struct det_coco_sort_item items[MOST], scratch[MOST];
    test_fill(u, MOST, 3);
    const size_t sizes[] = {0, 1, 2, 23, 24, 25, 100, 257, MOST};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int digits = 0; digits < 3; digits++) {
            for (size_t i = 0; i < sizes[s]; i++) {
                score[i] = digits == 0 ? 0. : digits == 1 ? round(5 * (double)u[i]) : (double)u[i];
                items[i] = (struct det_coco_sort_item){det_coco_sort_key(score[i]), (uint32_t)i};
            }
            det_coco_sort(items, scratch, sizes[s]);
            for (size_t i = 1; i < sizes[s]; i++) {
                const uint32_t a = items[i - 1].index, b = items[i].index;
                assert_true(score[a] >= score[b]);
                if (score[a] <= score[b])
                    assert_true(a < b);
            }
        }
    }
}

static void ids_are_found_again(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_id_map map = {0};
    uint32_t value = 0;
    assert_false(det_id_map_find(&map, 0, &value));
    for (uint32_t i = 0; i < 1000; i++)
        assert_ok(&t.env, det_id_map_add(&t.env, &map, (int64_t)i * 1024 - 5000, i));
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(det_id_map_find(&map, (int64_t)i * 1024 - 5000, &value));
        assert_int_equal(value, i);
        assert_false(det_id_map_find(&map, (int64_t)i * 1024 - 4999, &value));
    }
    det_id_map_free(&t.env, &map);
    test_env_check(&t);
}

int test_coco_eval_work(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_for_any_number_of_threads),
        cmocka_unit_test(survives_failed_allocations),
        cmocka_unit_test(sort_is_stable_and_falling),
        cmocka_unit_test(ids_are_found_again),
    };
    return cmocka_run_group_tests_name("coco_eval_work", tests, NULL, NULL);
}
