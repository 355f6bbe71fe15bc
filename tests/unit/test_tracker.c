/* det/tracker.h on generated sequences whose truth is known: tracker, counter, measure; the
 * assignment against all possibilities; the measure against py-motmetrics where it is installed. */
#include <math.h>
#include <unistd.h>

#include "base/context.h"
#include "base/rng.h"
#include "det/tracker.h"
#include "support/mem.h"
#include "support/test.h"
#include "track/assign.h"

static det_context *make_context(struct test_env *t)
{
    det_context_settings settings;
    det_context *context = NULL;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(t);
    settings.threads = 1;
    settings.device = "cpu";
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    return context;
}

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
    det_context *context = make_context(&t);
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
    det_context *context = make_context(&t);
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
    det_context *context = make_context(&t);
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
    det_context *context = make_context(&t);
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

/* --- the measure --- */

static det_mot_result measure_of(struct test_env *t, uint64_t seed, const char *csv)
{
    det_context *context = make_context(t);
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
    det_context *context = make_context(&t);
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

int test_tracker(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignment_is_the_cheapest),
        cmocka_unit_test(traffic_is_followed_and_counted),
        cmocka_unit_test(a_line_counts_each_track_once),
        cmocka_unit_test(unsure_detections_do_not_carry_on_for_ever),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(each_failing_allocation_is_survived),
        cmocka_unit_test(measure_of_a_small_example),
        cmocka_unit_test(measure_agrees_with_motmetrics),
    };
    return cmocka_run_group_tests_name("tracker", tests, NULL, NULL);
}
