/* det/tracker.h on generated sequences whose truth is known: tracker and counter; the assignment
 * against all possibilities. */
#include <math.h>

#include "base/context.h"
#include "base/rng.h"
#include "support/workspace.h"
#include "track/assign.h"

/* --- assignment --- */

static double best_by_trying(const double *cost, int rows, int columns, double limit, int row,
                             unsigned used)
{
    if (row == rows)
        return 0;
    double best = limit + best_by_trying(cost, rows, columns, limit, row + 1, used);
    for (int c = 0; c < columns; c++)
        if (!(used >> c & 1) && cost[row * columns + c] <= limit)
            best = fmin(best, cost[row * columns + c] + best_by_trying(cost, rows, columns, limit,
                                                                       row + 1, used | 1U << c));
    return best;
}

static void assignment_is_the_cheapest(void **state)
{
    (void)state;
    struct test_env t;
    struct det_assign work = {0};
    struct det_rng rng;
    test_env_init(&t);
    det_rng_init(&rng, 5, 0, 0);
    for (int round = 0; round < 600; round++) {
        const int rows = (int)det_rng_below(&rng, 6), columns = (int)det_rng_below(&rng, 7);
        const double limit = round % 3 == 0 ? 0 : round % 3 == 1 ? 0.6 : 100;
        double cost[42], sum = 0;
        int32_t matched[6];
        for (int i = 0; i < rows * columns; i++) {
            cost[i] = det_rng_uniform_double(&rng) - (limit == 0 ? 0.5 : 0);
            if (det_rng_below(&rng, 5) == 0)
                cost[i] = det_rng_below(&rng, 2) == 0 ? (double)INFINITY : 0.25;
        }
        assert_ok(&t.env, det_assign(&t.env, &work, cost, rows, columns, limit, matched));
        unsigned used = 0;
        for (int r = 0; r < rows; r++) {
            assert_in_range(matched[r] + 1, 0, columns);
            sum += matched[r] < 0 ? limit : cost[r * columns + matched[r]];
            assert_false(matched[r] >= 0 && (used >> matched[r] & 1));
            used |= matched[r] >= 0 ? 1U << matched[r] : 0;
        }
        assert_near(sum, best_by_trying(cost, rows, columns, limit, 0, 0), 1e-9);
    }
    det_assign_free(&t.env, &work);
    test_env_check(&t);
}

/* --- a road with known traffic --- */

enum { OBJECTS = 24, FRAMES = 300, MOST = 64 };

struct object {
    double begin_s, speed; /* of height per second, downwards or upwards */
    float x, width, height;
    int32_t class_id;
};

/* Lanes side by side; vehicles in a lane follow each other. */
static void make_traffic(struct object objects[OBJECTS], uint64_t seed)
{
    struct det_rng rng;
    det_rng_init(&rng, seed, 0, 0);
    for (int i = 0; i < OBJECTS; i++) {
        const int lane = i % 4;
        objects[i] = (struct object){.begin_s = 0.45 * i + det_rng_uniform_double(&rng) * 0.2,
                                     .speed = (lane < 2 ? 1 : -1) * (0.22 + 0.03 * lane),
                                     .x = 0.15F + 0.23F * (float)lane,
                                     .width = det_rng_range(&rng, 0.1F, 0.16F),
                                     .height = det_rng_range(&rng, 0.1F, 0.15F),
                                     .class_id = 1 + (int32_t)det_rng_below(&rng, 3)};
    }
}

static bool object_box(const struct object *o, double time_s, det_mot_box *box)
{
    const double way = (time_s - o->begin_s) * fabs(o->speed) - 0.2;
    const double middle = o->speed > 0 ? way : 1 - way;
    if (time_s < o->begin_s || way > 1.2)
        return false;
    box->ymin = fmaxf(0, (float)middle - o->height / 2);
    box->ymax = fminf(1, (float)middle + o->height / 2);
    box->xmin = o->x - o->width / 2;
    box->xmax = o->x + o->width / 2;
    return box->ymax - box->ymin > 0.5F * o->height;
}

struct scenario {
    float jitter;       /* of the box's size */
    float missed;       /* share of detections */
    float unsure;       /* share with a score below the high one */
    float wrong_class;  /* share */
    float doubled;      /* share found by a second class as well */
    float false_alarms; /* per frame */
    int drop;           /* every n-th frame is not there; 0: all are */
    bool covered;       /* nobody is seen between y = .45 and .55 */
};

static size_t detect(const struct object *objects, const struct scenario *s, double time_s,
                     struct det_rng *rng, det_detection *found)
{
    size_t count = 0;
    for (int i = 0; i < OBJECTS; i++) {
        det_mot_box box;
        if (!object_box(&objects[i], time_s, &box) || det_rng_uniform(rng) < s->missed)
            continue;
        const float middle = 0.5F * (box.ymin + box.ymax);
        if (s->covered && middle > 0.45F && middle < 0.55F)
            continue;
        const float h = s->jitter * (box.ymax - box.ymin), w = s->jitter * (box.xmax - box.xmin);
        det_detection d = {.class_id = objects[i].class_id,
                           .score = det_rng_uniform(rng) < s->unsure ? 0.2F : 0.9F,
                           .ymin = box.ymin + det_rng_range(rng, -h, h),
                           .xmin = box.xmin + det_rng_range(rng, -w, w),
                           .ymax = box.ymax + det_rng_range(rng, -h, h),
                           .xmax = box.xmax + det_rng_range(rng, -w, w)};
        if (det_rng_uniform(rng) < s->wrong_class)
            d.class_id = 1 + d.class_id % 3;
        found[count++] = d;
        if (det_rng_uniform(rng) < s->doubled) {
            d.class_id = 1 + d.class_id % 3;
            d.score -= 0.1F;
            found[count++] = d;
        }
    }
    if (det_rng_uniform(rng) < s->false_alarms) {
        const float y = det_rng_range(rng, 0, 0.9F), x = det_rng_range(rng, 0, 0.9F);
        found[count++] = (det_detection){2, 0.6F, y, x, y + 0.08F, x + 0.05F};
    }
    return count;
}

static det_count count_of(const det_counter *counter, int32_t class_id)
{
    det_count count = {.struct_size = sizeof count};
    assert_int_equal(det_counter_count(counter, class_id, &count), DET_OK);
    return count;
}

struct outcome {
    det_mot_result mot;
    int64_t ids;
    det_count line, zone;
    int right_classes, classes;
};

static void follow(struct test_env *t, det_context *context, const struct scenario *s,
                   uint64_t seed, struct outcome *outcome)
{
    static const float line[2][2] = {{0, 0.6F}, {1, 0.6F}};
    static const float zone[4][2] = {{0, 0.3F}, {0.5F, 0.3F}, {0.5F, 0.8F}, {0, 0.8F}};
    struct object objects[OBJECTS];
    struct det_rng rng;
    det_tracker *tracker = NULL;
    det_counter *counters[2] = {NULL, NULL};
    det_mot_measure *measure = NULL;
    struct det_env *env = det_context_env(context);
    make_traffic(objects, seed);
    det_rng_init(&rng, seed, 1, 0);
    (void)t;
    assert_ok(env, det_tracker_create(context, NULL, &tracker));
    assert_ok(env, det_counter_create(context, line, 2, 3, &counters[0]));
    assert_ok(env, det_counter_create(context, zone, 4, 3, &counters[1]));
    assert_ok(env, det_mot_measure_create(context, 0.5F, &measure));
    *outcome = (struct outcome){.mot.struct_size = sizeof outcome->mot};
    for (int frame = 0; frame < FRAMES; frame++) {
        const double time_s = frame / 25.0;
        det_detection found[MOST];
        det_mot_box truth[MOST], predicted[MOST];
        const det_track *tracks = NULL;
        size_t truths = 0, count = 0;
        if (s->drop > 0 && frame % s->drop == 0)
            continue;
        const size_t detections = detect(objects, s, time_s, &rng, found);
        assert_ok(env, det_tracker_update(tracker, time_s, 1280, 720, found, detections, &tracks,
                                          &count));
        for (int i = 0; i < 2; i++)
            assert_ok(env, det_counter_update(counters[i], time_s, 1280, 720, tracks, count));
        for (int i = 0; i < OBJECTS; i++)
            if (object_box(&objects[i], time_s, &truth[truths]))
                truth[truths++].id = i;
        for (size_t i = 0; i < count; i++) {
            const det_detection *b = &tracks[i].box;
            assert_true(tracks[i].detection < detections);
            assert_true(i == 0 || tracks[i].id > tracks[i - 1].id);
            predicted[i] = (det_mot_box){tracks[i].id, b->ymin, b->xmin, b->ymax, b->xmax};
            for (size_t k = 0; k < truths; k++)
                if (fabsf(truth[k].xmin - b->xmin) < 0.04F &&
                    fabsf(truth[k].ymin - b->ymin) < 0.04F && tracks[i].hits > 10) {
                    outcome->classes++;
                    outcome->right_classes += objects[truth[k].id].class_id == b->class_id;
                }
        }
        assert_ok(env, det_mot_measure_frame(measure, truth, truths, predicted, count));
    }
    assert_ok(env, det_mot_measure_result(measure, &outcome->mot));
    outcome->ids = det_tracker_total(tracker);
    outcome->line = count_of(counters[0], 0);
    outcome->zone = count_of(counters[1], 0);
    int64_t by_class = 0;
    for (int32_t id = 1; id <= 3; id++)
        by_class += count_of(counters[0], id).forward;
    assert_int_equal(by_class, outcome->line.forward);
    det_mot_measure_destroy(&measure);
    det_counter_destroy(&counters[0]);
    det_counter_destroy(&counters[1]);
    det_tracker_destroy(&tracker);
}

/* How many pass y = .6 with their lower edge before the last frame, by direction. */
static det_count true_line(uint64_t seed)
{
    struct object objects[OBJECTS];
    det_count count = {0};
    make_traffic(objects, seed);
    for (int i = 0; i < OBJECTS; i++) {
        float before = NAN;
        for (int frame = 0; frame < FRAMES; frame++) {
            det_mot_box box;
            if (!object_box(&objects[i], frame / 25.0, &box))
                continue;
            /* Forward is from the left of the line to the right: seen to the right, downwards. */
            count.forward += before < 0.6F && box.ymax >= 0.6F;
            count.backward += before > 0.6F && box.ymax <= 0.6F;
            before = box.ymax;
        }
    }
    return count;
}

static void traffic_is_followed_and_counted(void **state)
{
    (void)state;
    static const struct {
        struct scenario scenario;
        double mota, idf1;
        int64_t more_ids; /* than there are objects */
    } cases[] = {
        {{0}, 0.98, 0.98, 0},
        {{.jitter = 0.06F, .missed = 0.05F, .unsure = 0.1F}, 0.9, 0.94, 0},
        {{.jitter = 0.05F, .missed = 0.1F, .wrong_class = 0.15F, .doubled = 0.2F}, 0.82, 0.9, 1},
        {{.jitter = 0.05F, .missed = 0.05F, .false_alarms = 0.3F}, 0.88, 0.93, 2},
        {{.jitter = 0.04F, .drop = 3}, 0.95, 0.97, 0},
        {{.jitter = 0.04F, .covered = true}, 0.8, 0.9, 0},
    };
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct outcome o;
            follow(&t, context, &cases[i].scenario, seed, &o);
            const det_count truth = true_line(seed);
            if (!(o.mot.mota >= cases[i].mota) || !(o.mot.idf1 >= cases[i].idf1) || o.ids < 20 ||
                o.ids > OBJECTS + cases[i].more_ids)
                fail_msg("case %zu, seed %d: MOTA %.3f, IDF1 %.3f, %d ids", i, (int)seed,
                         o.mot.mota, o.mot.idf1, (int)o.ids);
            assert_true(truth.forward >= 4 && truth.backward >= 4);
            assert_int_equal(o.line.forward, truth.forward);
            assert_int_equal(o.line.backward, truth.backward);
            /* The two lanes that go down pass the zone. */
            assert_true(o.zone.forward >= truth.forward);
            assert_true(o.classes > 500 && o.right_classes > 0.97 * o.classes);
        }
    det_context_destroy(&context);
    test_env_check(&t);
}

/* --- details --- */

static det_track track_at(int64_t id, float x, float y)
{
    return (det_track){
        .id = id, .box = {1, 0.9F, y - 0.1F, x - 0.05F, y, x + 0.05F}, .first_place = {x, y}};
}

/* Unsure detections carry a track on for lost_s after the last sure one, and no longer. */
static void unsure_detections_do_not_carry_on_for_ever(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    struct det_env *env = det_context_env(context);
    det_tracker *tracker = NULL;
    assert_ok(env, det_tracker_create(context, NULL, &tracker));
    for (int frame = 0; frame < 80; frame++) {
        const det_detection d = {1, frame < 25 ? 0.8F : 0.3F, 0.4F, 0.4F, 0.6F, 0.6F};
        const det_track *tracks = NULL;
        size_t count = 0;
        assert_ok(env, det_tracker_update(tracker, frame / 25.0, 100, 100, &d, 1, &tracks, &count));
        assert_int_equal(count, frame >= 1 && frame <= 24 + 25 ? 1 : 0);
        if (count > 0) {
            assert_near(tracks[0].box.ymax, 0.6, 1e-4);
            assert_near(tracks[0].first_place[0], 0.5, 1e-6);
            assert_near(tracks[0].first_place[1], 0.6, 1e-6);
        }
    }
    det_tracker_destroy(&tracker);
    det_context_destroy(&context);
    test_env_check(&t);
}

static void a_line_counts_each_track_once(void **state)
{
    (void)state;
    static const float line[2][2] = {{0.2F, 0.5F}, {0.6F, 0.5F}};
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    struct det_env *env = det_context_env(context);
    det_counter *counter = NULL;
    assert_ok(env, det_counter_create(context, line, 2, 1, &counter));
    /* Forth, back and forth again; one that dithers; one that passes beside the line's end. */
    static const float ways[][3] = {{0.4F, 0.5F, 0.8F},
                                    {0.6F, 0.501F, 0.8F},
                                    {0.4F, 0.499F, 0.8F},
                                    {0.6F, 0.501F, 0.2F},
                                    {0.6F, 0.499F, 0.2F}};
    for (int frame = 0; frame < 5; frame++) {
        const det_track tracks[3] = {track_at(1, 0.4F, ways[frame][0]),
                                     track_at(2, 0.4F, ways[frame][1]),
                                     track_at(3, 0.7F, ways[frame][2])};
        assert_ok(env, det_counter_update(counter, frame, 1000, 1000, tracks, 3));
    }
    assert_int_equal(count_of(counter, 0).forward, 1);
    assert_int_equal(count_of(counter, 0).backward, 1);
    assert_int_equal(count_of(counter, 1).forward, 1);
    det_count none = {.struct_size = sizeof none};
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "class id is 2",
                 det_counter_count(counter, 2, &none));
    assert_int_equal(none.forward, 0);
    /* It passed the line before it had an id. */
    det_track fast = track_at(4, 0.4F, 0.6F);
    fast.first_place[1] = 0.4F;
    assert_ok(env, det_counter_update(counter, 5, 1000, 1000, &fast, 1));
    assert_int_equal(count_of(counter, 0).forward, 2);
    assert_ok(env, det_counter_update(counter, 6, 1000, 1000, &fast, 1));
    assert_int_equal(count_of(counter, 0).forward, 2);
    det_counter_destroy(&counter);
    /* A square: entered, left; who is in it; forgotten after a while. */
    static const float square[4][2] = {{0.2F, 0.2F}, {0.6F, 0.2F}, {0.6F, 0.6F}, {0.2F, 0.6F}};
    assert_ok(env, det_counter_create(context, square, 4, 1, &counter));
    for (int frame = 0; frame < 3; frame++) {
        const det_track tracks[2] = {track_at(1, 0.4F, frame == 1 ? 0.5F : 0.9F),
                                     track_at(2, 0.3F, 0.3F)};
        assert_ok(env, det_counter_update(counter, frame * 0.1, 100, 100, tracks, 2));
        assert_int_equal(count_of(counter, 0).inside, frame == 1 ? 2 : 1);
    }
    assert_int_equal(count_of(counter, 0).forward, 2);
    assert_int_equal(count_of(counter, 0).backward, 1);
    assert_ok(env, det_counter_update(counter, 20, 100, 100, NULL, 0));
    assert_int_equal(count_of(counter, 0).inside, 0);
    det_counter_destroy(&counter);
    det_context_destroy(&context);
    test_env_check(&t);
}

static void mistakes_are_refused(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    struct det_env *env = det_context_env(context);
    det_tracker_settings settings;
    det_tracker *tracker = NULL;
    det_tracker_settings_default(&settings);
    settings.min_hits = 0;
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "min_hits is 0",
                 det_tracker_create(context, &settings, &tracker));
    assert_null(tracker);
    det_tracker_settings_default(&settings);
    settings.struct_size--;
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "struct_size",
                 det_tracker_create(context, &settings, &tracker));
    assert_ok(env, det_tracker_create(context, NULL, &tracker));
    const det_track *tracks = NULL;
    size_t count = 7;
    const det_detection bad = {1, 0.9F, NAN, 0, 1, 1};
    assert_fails(env, DET_STATUS_NON_FINITE, "detection 0",
                 det_tracker_update(tracker, 0, 10, 10, &bad, 1, &tracks, &count));
    assert_int_equal(count, 0);
    assert_ok(env, det_tracker_update(tracker, 1, 10, 10, NULL, 0, &tracks, &count));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "time is 1 s",
                 det_tracker_update(tracker, 1, 10, 10, NULL, 0, &tracks, &count));
    det_tracker_destroy(&tracker);
    static const float point[2][2] = {{0.5F, 0.5F}, {0.5F, 0.5F}};
    det_counter *counter = NULL;
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "the same",
                 det_counter_create(context, point, 2, 1, &counter));
    assert_null(counter);
    det_mot_measure *measure = NULL;
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "least overlap",
                 det_mot_measure_create(context, 0, &measure));
    det_context_destroy(&context);
    test_env_check(&t);
}

static det_status all_of_it(struct det_env *env, void *argument)
{
    static const float line[2][2] = {{0, 0.5F}, {1, 0.5F}};
    (void)argument;
    struct det_context context = {.env = *env};
    det_tracker *tracker = NULL;
    det_counter *counter = NULL;
    det_mot_measure *measure = NULL;
    const float scores[2] = {0.5F, 0.6F};
    det_tracker_settings settings;
    det_tracker_settings_default(&settings);
    settings.class_score = scores;
    settings.class_count = 2;
    det_status status = DET_OK;
    DET_TRY(det_tracker_create(&context, &settings, &tracker));
    DET_TRY(det_counter_create(&context, line, 2, 2, &counter));
    DET_TRY(det_mot_measure_create(&context, 0.5F, &measure));
    for (int frame = 0; frame < 3; frame++) {
        const det_detection d[2] = {{1, 0.9F, 0.1F, 0.1F, 0.3F, 0.3F},
                                    {2, 0.9F, 0.5F, 0.5F, 0.8F, 0.9F}};
        const det_mot_box box = {1, 0, 0, 1, 1};
        const det_track *tracks = NULL;
        size_t count = 0;
        DET_TRY(det_tracker_update(tracker, frame, 100, 100, d, 2, &tracks, &count));
        DET_TRY(det_counter_update(counter, frame, 100, 100, tracks, count));
        DET_TRY(det_mot_measure_frame(measure, &box, 1, &box, 1));
    }
    det_mot_result result = {.struct_size = sizeof result};
    DET_TRY(det_mot_measure_result(measure, &result));
fail:
    det_mot_measure_destroy(&measure);
    det_counter_destroy(&counter);
    det_tracker_destroy(&tracker);
    return status;
}

static void each_failing_allocation_is_survived(void **state)
{
    (void)state;
    test_each_allocation_fails(all_of_it, NULL);
}

int test_tracker(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignment_is_the_cheapest),
        cmocka_unit_test(traffic_is_followed_and_counted),
        cmocka_unit_test(a_line_counts_each_track_once),
        cmocka_unit_test(unsure_detections_do_not_carry_on_for_ever),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(each_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests_name("tracker", tests, NULL, NULL);
}
