/* det/tracker.h: the measure on a small example, and against py-motmetrics where that is there. */
#include "base/context.h"
#include "base/rng.h"
#include "support/workspace.h"

static det_mot_result measure_of(struct test_env *t, uint64_t seed, const char *csv)
{
    det_context *context = workspace_context(t, 1);
    struct det_env *env = det_context_env(context);
    det_mot_measure *measure = NULL;
    det_mot_result result = {.struct_size = sizeof result};
    struct det_rng rng;
    FILE *file = csv != NULL ? fopen(csv, "w") : NULL;
    assert_ok(env, det_mot_measure_create(context, 0.5F, &measure));
    det_rng_init(&rng, seed, 2, 0);
    for (int frame = 0; frame < 60; frame++) {
        det_mot_box boxes[2][12];
        size_t counts[2] = {0, 0};
        for (int i = 0; i < 6; i++) {
            const float x = 30.0F * (float)i + (float)frame, y = 10 + (float)(i * frame % 50);
            const det_mot_box truth = {i, y, x, y + 40, x + 20};
            if (det_rng_below(&rng, 8) != 0)
                boxes[0][counts[0]++] = truth;
            det_mot_box guess = {100 + (i + (frame / 25) * (i < 2)) % 7, y, x, y + 40, x + 20};
            guess.xmin += det_rng_range(&rng, -8, 8);
            guess.ymax += det_rng_range(&rng, -12, 12);
            if (det_rng_below(&rng, 6) != 0)
                boxes[1][counts[1]++] = guess;
        }
        /* Two boxes must not share an id. */
        for (size_t k = 0; k < counts[1]; k++)
            for (size_t j = 0; j < k; j++)
                if (boxes[1][j].id == boxes[1][k].id)
                    boxes[1][k].id = 200 + (int64_t)k;
        assert_ok(env, det_mot_measure_frame(measure, boxes[0], counts[0], boxes[1], counts[1]));
        for (int s = 0; file != NULL && s < 2; s++)
            for (size_t i = 0; i < counts[s]; i++)
                fprintf(file, "%d %d %lld %.9g %.9g %.9g %.9g\n", s, frame,
                        (long long)boxes[s][i].id, (double)boxes[s][i].xmin,
                        (double)boxes[s][i].ymin, (double)boxes[s][i].xmax,
                        (double)boxes[s][i].ymax);
    }
    assert_ok(env, det_mot_measure_result(measure, &result));
    if (file != NULL)
        fclose(file);
    det_mot_measure_destroy(&measure);
    det_context_destroy(&context);
    return result;
}

/* Worked by hand: one object over four frames, found as 1, 1, missed, then as 2 with a false alarm
 * beside. */
static void measure_of_a_small_example(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    struct det_env *env = det_context_env(context);
    det_mot_measure *measure = NULL;
    det_mot_result r = {.struct_size = sizeof r};
    assert_ok(env, det_mot_measure_create(context, 0.5F, &measure));
    const det_mot_box truth = {7, 0, 0, 10, 10}, close = {1, 0, 0, 10, 8};
    const det_mot_box last[2] = {{2, 0, 0, 10, 10}, {3, 50, 50, 60, 60}};
    assert_ok(env, det_mot_measure_frame(measure, &truth, 1, &close, 1));
    assert_ok(env, det_mot_measure_frame(measure, &truth, 1, &close, 1));
    assert_ok(env, det_mot_measure_frame(measure, &truth, 1, NULL, 0));
    assert_ok(env, det_mot_measure_frame(measure, &truth, 1, last, 2));
    assert_ok(env, det_mot_measure_result(measure, &r));
    assert_int_equal(r.matches, 2);
    assert_int_equal(r.switches, 1);
    assert_int_equal(r.misses, 1);
    assert_int_equal(r.false_positives, 1);
    assert_int_equal(r.id_true_positives, 2);
    assert_near(r.mota, 0.25, 1e-12);
    assert_near(r.motp, (0.8 + 0.8 + 1) / 3, 1e-6);
    assert_near(r.idf1, 0.5, 1e-12);
    det_mot_measure_destroy(&measure);
    det_context_destroy(&context);
    test_env_check(&t);
}

static void measure_agrees_with_motmetrics(void **state)
{
    (void)state;
    struct test_env t;
    char folder[256], csv[300], command[700];
    double other[7];
    /* Only for a machine that has it; DET_PYTHON chooses the interpreter. */
    const char *python = getenv("DET_PYTHON") != NULL ? getenv("DET_PYTHON") : "python3";
    snprintf(command, sizeof command, "%s -c 'import motmetrics' >/dev/null 2>&1", python);
    if (system(command) != 0) {
        print_message("skipped: py-motmetrics is not here\n");
        skip();
    }
    test_env_init(&t);
    test_make_directory(folder, "mot");
    snprintf(csv, sizeof csv, "%s/boxes.txt", folder);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const det_mot_result r = measure_of(&t, seed, csv);
        snprintf(command, sizeof command, "%s tests/parity/mot_metrics.py %s", python, csv);
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        for (int i = 0; i < 7; i++)
            assert_int_equal(fscanf(pipe, "%lf", &other[i]), 1);
        assert_int_equal(pclose(pipe), 0);
        assert_near(r.mota, other[0], 1e-12);
        assert_near(1 - r.motp, other[1], 1e-6);
        assert_near(r.idf1, other[2], 1e-12);
        assert_int_equal(r.switches, (int)other[3]);
        assert_int_equal(r.misses, (int)other[4]);
        assert_int_equal(r.false_positives, (int)other[5]);
        assert_int_equal(r.objects, (int)other[6]);
        assert_true(r.switches > 2);
    }
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_mot_measure(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measure_of_a_small_example),
        cmocka_unit_test(measure_agrees_with_motmetrics),
    };
    return cmocka_run_group_tests_name("mot_measure", tests, NULL, NULL);
}
