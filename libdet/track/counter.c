/* counter.c: det_counter of det/tracker.h. */
#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "det/tracker.h"
#include "support/mem.h"

/* A track that was not seen for this long never comes back with its id. */
static const double forget_s = 10, inside_s = 1;

struct known {
    int64_t id;
    float x, y; /* pixels; line: the last place clearly on one side */
    int side;   /* line: -1, 1, 0: not known yet; zone: 1 inside, -1 outside */
    int32_t class_id;
    double seen_s;
    bool went[2]; /* forward, backward */
};

struct det_counter {
    det_context *context;
    float (*points)[2];
    size_t point_count;
    struct known *known;
    size_t known_count, known_capacity;
    det_count *counts; /* [class_count + 1], 0: all */
    int32_t class_count;
};

det_status det_counter_create(det_context *context, const float (*points)[2], size_t count,
                              int32_t class_count, det_counter **counter)
{
    struct det_env *env = det_context_env(context);
    det_status status = DET_OK;
    if (counter != NULL)
        *counter = NULL;
    DET_NEED(env, context);
    DET_NEED(env, points);
    DET_NEED(env, counter);
    if (count < 2)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "counter: %zu points, expected 2 for a line or more for a zone", count);
    if (class_count < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "counter: class_count is %d, expected 0 or more", class_count);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(points[i][0]) || !isfinite(points[i][1]))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "counter: point %zu is not finite",
                            i);
    if (count == 2 && points[0][0] == points[1][0] && points[0][1] == points[1][1])
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "counter: the line's two points are the same");
    det_counter *c = NULL;
    DET_TRY_RETURN(det_alloc(env, &c, 1, sizeof *c, "counter"));
    c->context = context;
    c->point_count = count;
    c->class_count = class_count;
    DET_TRY(det_alloc(env, &c->points, count, sizeof *c->points, "points"));
    memcpy(c->points, points, count * sizeof *c->points);
    DET_TRY(det_alloc(env, &c->counts, (size_t)class_count + 1, sizeof *c->counts, "counts"));
    *counter = c;
    return DET_OK;
fail:
    det_counter_destroy(&c);
    return status;
}

void det_counter_destroy(det_counter **out)
{
    if (out == NULL || *out == NULL)
        return;
    struct det_env *env = det_context_env((*out)->context);
    det_free(env, &(*out)->points);
    det_free(env, &(*out)->known);
    det_free(env, &(*out)->counts);
    det_free(env, out);
}

det_status det_counter_count(const det_counter *counter, int32_t class_id, det_count *count)
{
    struct det_env *env = counter == NULL ? NULL : det_context_env(counter->context);
    DET_NEED(env, counter);
    DET_NEED_REPORT(env, det_count, count);
    if (class_id < 0 || class_id > counter->class_count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "counter: class id is %d, expected 1 to %d, or 0 for all", (int)class_id,
                        (int)counter->class_count);
    det_fill_report(count, &counter->counts[class_id], sizeof *count);
    return DET_OK;
}

/* Counts one passage of this track, in each direction once. */
static void pass(det_counter *c, struct known *known, int32_t class_id, bool forward)
{
    bool *went = &known->went[forward ? 0 : 1];
    if (*went)
        return;
    *went = true;
    const int32_t classes[2] = {0, class_id >= 1 && class_id <= c->class_count ? class_id : 0};
    for (int i = 0; i < (classes[1] > 0 ? 2 : 1); i++) {
        det_count *count = &c->counts[classes[i]];
        *(forward ? &count->forward : &count->backward) += 1;
    }
}

struct place {
    float x, y, margin; /* pixels */
};

static void pass_line(det_counter *c, struct known *known, const struct place *at, float width,
                      float height, int32_t class_id)
{
    const float ax = c->points[0][0] * width, ay = c->points[0][1] * height;
    const float dx = c->points[1][0] * width - ax, dy = c->points[1][1] * height - ay;
    const float length = sqrtf(dx * dx + dy * dy);
    /* Distance to the right of the line; y goes down. */
    const float now = (dx * (at->y - ay) - dy * (at->x - ax)) / length;
    if (fabsf(now) < at->margin)
        return;
    const int side = now > 0 ? 1 : -1;
    if (known->side == -side) {
        const float before = (dx * (known->y - ay) - dy * (known->x - ax)) / length;
        const float share = before / (before - now);
        const float x = known->x + share * (at->x - known->x),
                    y = known->y + share * (at->y - known->y);
        const float along = ((x - ax) * dx + (y - ay) * dy) / (length * length);
        if (along >= 0 && along <= 1)
            pass(c, known, class_id, side > 0);
    }
    known->side = side;
    known->x = at->x;
    known->y = at->y;
}

/* Even-odd rule. */
static bool is_inside(const det_counter *c, float x, float y)
{
    bool inside = false;
    for (size_t i = 0, k = c->point_count - 1; i < c->point_count; k = i++) {
        const float *a = c->points[i], *b = c->points[k];
        if ((a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0])
            inside = !inside;
    }
    return inside;
}

static void pass_zone(det_counter *c, struct known *known, const det_detection *box,
                      int32_t class_id)
{
    const int side = is_inside(c, 0.5F * (box->xmin + box->xmax), box->ymax) ? 1 : -1;
    if (side > 0)
        pass(c, known, class_id, true);
    else if (known->side > 0)
        pass(c, known, class_id, false);
    known->side = side;
}

static det_status find(struct det_env *env, det_counter *c, int64_t id, struct known **known)
{
    for (size_t i = 0; i < c->known_count; i++)
        if (c->known[i].id == id) {
            *known = &c->known[i];
            return DET_OK;
        }
    DET_TRY_RETURN(det_grow(env, &c->known, &c->known_capacity, c->known_count + 1,
                            sizeof *c->known, "counted tracks"));
    *known = &c->known[c->known_count++];
    **known = (struct known){.id = id};
    return DET_OK;
}

static void forget(det_counter *c, double time_s)
{
    size_t kept = 0;
    for (int32_t i = 0; i <= c->class_count; i++)
        c->counts[i].inside = 0;
    for (size_t i = 0; i < c->known_count; i++) {
        const struct known *k = &c->known[i];
        if (time_s - k->seen_s > forget_s)
            continue;
        if (c->point_count > 2 && k->side > 0 && time_s - k->seen_s <= inside_s) {
            c->counts[0].inside++;
            if (k->class_id >= 1 && k->class_id <= c->class_count)
                c->counts[k->class_id].inside++;
        }
        c->known[kept++] = *k;
    }
    c->known_count = kept;
}

det_status det_counter_update(det_counter *counter, double time_s, int32_t width, int32_t height,
                              const det_track *tracks, size_t count)
{
    det_counter *c = counter;
    struct det_env *env = c == NULL ? NULL : det_context_env(c->context);
    DET_NEED(env, counter);
    DET_NEED_ARRAY(env, tracks, count);
    if (width < 1 || height < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "counter: the frame has %d x %d pixels",
                        width, height);
    for (size_t i = 0; i < count; i++) {
        const det_detection *box = &tracks[i].box;
        struct known *known = NULL;
        DET_TRY_RETURN(find(env, c, tracks[i].id, &known));
        known->seen_s = time_s;
        known->class_id = box->class_id;
        const float w = (float)width, h = (float)height;
        const float margin = 0.05F * (box->ymax - box->ymin) * h;
        const struct place at = {0.5F * (box->xmin + box->xmax) * w, box->ymax * h, margin};
        const struct place first = {tracks[i].first_place[0] * w, tracks[i].first_place[1] * h,
                                    margin};
        if (c->point_count == 2 && known->side == 0)
            pass_line(c, known, &first, w, h, box->class_id);
        if (c->point_count == 2)
            pass_line(c, known, &at, w, h, box->class_id);
        else
            pass_zone(c, known, box, box->class_id);
    }
    forget(c, time_s);
    return DET_OK;
}
