/* convert/split, convert/stats. */
#include "convert/split.h"
#include "convert/stats.h"
#include "support/annotation_sets.h"

static void splits_are_even_and_keep_duplicates_together(void **state)
{
    (void)state;
    enum { IMAGES = 200 };
    struct test_env t;
    struct det_annotations set[2];
    struct det_findings findings = {0};
    static const char *const names[] = {"train", "val", "test"};
    static const double shares[] = {7, 2, 1};
    test_env_init(&t);
    for (int round = 0; round < 2; round++) {
        int32_t cat = -1, rare = -1;
        assert_ok(&t.env, det_annotations_init(&t.env, &set[round], NULL));
        assert_ok(&t.env, det_annotations_class(&t.env, &set[round], "cat", &cat));
        assert_ok(&t.env, det_annotations_class(&t.env, &set[round], "rare", &rare));
        for (int i = 0; i < IMAGES; i++) {
            size_t image = 0;
            assert_ok(&t.env,
                      det_annotations_add_image(&t.env, &set[round], "x", "x.jpg", false, &image));
            set[round].images[image].pixel_hash = (uint64_t)i / 2 * 7919; /* each picture twice */
            struct det_labelled_object object = det_annotations_object(image);
            object.class_index = i % 20 < 2 ? rare : cat;
            if (i % 3 != 0)
                assert_ok(&t.env, det_annotations_add_object(&t.env, &set[round], &object));
        }
        assert_ok(&t.env, det_annotations_finish(&t.env, &set[round], &findings));
        const struct det_split_settings settings = {names, shares, 3, 5};
        assert_ok(&t.env, det_annotations_split(&t.env, &set[round], &settings));
    }
    int images[3] = {0}, rare_images[3] = {0};
    for (int i = 0; i < IMAGES; i++) {
        const struct det_labelled_image *image = &set[0].images[i];
        images[image->split]++;
        rare_images[image->split] += i % 20 < 2 && i % 3 != 0;
        assert_int_equal(image->split, set[0].images[i ^ 1].split);
        assert_int_equal(image->split, set[1].images[i].split);
    }
    assert_int_equal(images[0], 140);
    assert_int_equal(images[1], 40);
    assert_int_equal(images[2], 20);
    /* 10 pictures of the rare class: 7, 2, 1; of each, one or both copies have the box */
    assert_true(rare_images[0] >= 7 && rare_images[1] >= 2 && rare_images[2] >= 1);
    const double bad[] = {1, 0};
    const struct det_split_settings wrong = {names, bad, 2, 5};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "`val`: share 0",
                 det_annotations_split(&t.env, &set[0], &wrong));
    det_annotations_free(&t.env, &set[0]);
    det_annotations_free(&t.env, &set[1]);
    test_env_check(&t);
}

static void statistics_count(void **state)
{
    (void)state;
    struct test_env t;
    struct det_annotations set;
    struct det_set_stats stats;
    struct det_text text = {0};
    char folder[256], path[300];
    test_env_init(&t);
    test_make_directory(folder, "stats");
    snprintf(path, sizeof path, "%s/a.tfrecord", folder);
    test_make_set(&t.env, path, &set);
    set.images[6].pixel_hash = set.images[0].pixel_hash;
    assert_ok(&t.env, det_annotations_stats(&t.env, &set, &stats));
    assert_int_equal(stats.splits[0].images, 7);
    assert_int_equal(stats.splits[0].objects, 6);
    assert_int_equal(stats.splits[0].without_objects, 3);
    assert_int_equal(stats.splits[0].difficult, 1);
    assert_int_equal(stats.splits[0].duplicates, 1);
    assert_int_equal(stats.splits[0].classes[0].objects + stats.splits[0].classes[1].objects, 6);
    assert_near(stats.splits[0].per_image.most, 2, 0);
    assert_near(stats.splits[0].per_image.mean, 6. / 7, 1e-12);
    assert_ok(&t.env, det_set_stats_table(&t.env, &set, &stats, &text));
    assert_non_null(strstr(text.data, "cat"));
    det_text_free(&t.env, &text);
    det_set_stats_free(&t.env, &stats);
    det_annotations_free(&t.env, &set);
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_convert_splits(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_are_even_and_keep_duplicates_together),
        cmocka_unit_test(statistics_count),
    };
    return cmocka_run_group_tests_name("convert_splits", tests, NULL, NULL);
}
