/* tracker.c: det_tracker of det/tracker.h. */
#include "det/tracker.h"

#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "model/targets.h"
#include "support/mem.h"
#include "track/assign.h"
#include "track/kalman.h"

enum { VOTES = 4, FREE = -1 };

enum track_state { TRACK_NEW, TRACK_SEEN, TRACK_LOST, TRACK_GONE };

struct vote {
    int32_t class_id;
    float sum;
};

struct track {
    int64_t id; /* 0: not yet */
    enum track_state state;
    struct det_kalman filter;
    float box_px[4]; /* predicted */
    int32_t hits;
    float first_place[2]; /* as det_track's */
    double first_s, seen_s;
    double sure_s;    /* when a sure detection was the last to carry it on */
    size_t detection; /* of this frame, when seen_s is now */
    struct vote votes[VOTES];
};

/* A detection that takes part. */
struct candidate {
    size_t index;
    float box_px[4];
    float score;
    bool sure, taken;
};

struct det_tracker {
    det_context *context;
    det_tracker_settings settings;
    float *class_score; /* the settings' */
    struct track *tracks;
    size_t track_count, track_capacity;
    struct candidate *candidates;
    size_t candidate_count, candidate_capacity;
    struct det_assign assign;
    double *cost;
    size_t cost_capacity;
    size_t *rows; /* tracks of the present matching */
    size_t row_capacity;
    size_t *columns; /* its candidates */
    size_t column_capacity;
    int32_t *matched;
    size_t matched_capacity;
    det_track *out;
    size_t out_capacity;
    int64_t last_id;
    double time_s;
    float width, height; /* of the frame */
    bool begun;
};

void det_tracker_settings_init(det_tracker_settings *settings, size_t struct_size)
{
    static const det_tracker_settings defaults = {.high_score = 0.5F,
                                                  .low_score = 0.1F,
                                                  .match_iou = 0.2F,
                                                  .low_match_iou = 0.5F,
                                                  .same_iou = 0.6F,
                                                  .min_hits = 2,
                                                  .lost_s = 1,
                                                  .frame_rate = 25};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static bool is_share(float value)
{
    return value >= 0 && value <= 1;
}

static det_status take_settings(struct det_env *env, const det_tracker_settings *given,
                                det_tracker_settings *s)
{
    det_tracker_settings_default(s);
    DET_TRY_RETURN(DET_TAKE(env, det_tracker_settings, s, given));
    if (!is_share(s->high_score) || !is_share(s->low_score) || !is_share(s->match_iou) ||
        !is_share(s->low_match_iou) || !is_share(s->same_iou))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tracker: scores and overlaps must be 0 to 1");
    if (s->min_hits < 1 || !(s->lost_s >= 0) || !(s->frame_rate > 0) || !isfinite(s->frame_rate) ||
        s->class_count < 0 || (s->class_count > 0 && s->class_score == NULL))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tracker: min_hits is %d (1 or more), lost_s %g (0 or more), frame_rate %g "
                        "(above 0), class_count %d (0 without class_score)",
                        s->min_hits, s->lost_s, s->frame_rate, s->class_count);
    return DET_OK;
}

det_status det_tracker_create(det_context *context, const det_tracker_settings *given,
                              det_tracker **tracker)
{
    struct det_env *env = det_context_env(context);
    det_tracker_settings settings;
    if (tracker != NULL)
        *tracker = NULL;
    DET_NEED(env, context);
    DET_NEED(env, tracker);
    DET_TRY_RETURN(take_settings(env, given, &settings));
    det_tracker *t = NULL;
    DET_TRY_RETURN(det_alloc(env, &t, 1, sizeof *t, "tracker"));
    t->context = context;
    t->settings = settings;
    *tracker = t;
    if (settings.class_score == NULL)
        return DET_OK;
    const size_t classes = (size_t)settings.class_count;
    const det_status status =
        det_alloc(env, &t->class_score, classes, sizeof *t->class_score, "class scores");
    if (status != DET_OK)
        det_tracker_destroy(tracker);
    else
        memcpy(t->class_score, settings.class_score, classes * sizeof *t->class_score);
    return status;
}

void det_tracker_destroy(det_tracker **out)
{
    if (out == NULL || *out == NULL)
        return;
    det_tracker *t = *out;
    struct det_env *env = det_context_env(t->context);
    det_free(env, &t->class_score);
    det_free(env, &t->tracks);
    det_free(env, &t->candidates);
    det_assign_free(env, &t->assign);
    det_free(env, &t->cost);
    det_free(env, &t->rows);
    det_free(env, &t->columns);
    det_free(env, &t->matched);
    det_free(env, &t->out);
    det_free(env, out);
}

int64_t det_tracker_total(const det_tracker *tracker)
{
    return tracker == NULL ? 0 : tracker->last_id;
}

/* --- candidates --- */

static float sure_score(const det_tracker *t, int32_t class_id)
{
    return t->class_score != NULL && class_id >= 1 && class_id <= t->settings.class_count
               ? t->class_score[class_id - 1]
               : t->settings.high_score;
}

/* A surer detection (of another class; non-maximum suppression works by class) lies there
 * already. */
static bool is_double(const det_tracker *t, const det_detection *all, size_t count, size_t index)
{
    const det_detection *d = &all[index];
    const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
    for (size_t i = 0; i < count; i++) {
        const det_detection *o = &all[i];
        const float other[4] = {o->ymin, o->xmin, o->ymax, o->xmax};
        if ((o->score > d->score || (o->score == d->score && i < index)) &&
            det_box_iou(box, other) > t->settings.same_iou)
            return true;
    }
    return false;
}

static det_status gather(struct det_env *env, det_tracker *t, int32_t width, int32_t height,
                         const det_detection *all, size_t count)
{
    t->candidate_count = 0;
    DET_TRY_RETURN(det_grow(env, &t->candidates, &t->candidate_capacity, count,
                            sizeof *t->candidates, "detections"));
    for (size_t i = 0; i < count; i++) {
        const det_detection *d = &all[i];
        if (!isfinite(d->score) || !isfinite(d->ymin) || !isfinite(d->xmin) || !isfinite(d->ymax) ||
            !isfinite(d->xmax))
            return det_fail(env, DET_STATUS_NON_FINITE, "tracker: detection %zu is not finite", i);
        const bool sure = d->score >= sure_score(t, d->class_id);
        if ((!sure && d->score < t->settings.low_score) || is_double(t, all, count, i))
            continue;
        const float w = (float)width, h = (float)height;
        t->candidates[t->candidate_count++] =
            (struct candidate){.index = i,
                               .box_px = {d->ymin * h, d->xmin * w, d->ymax * h, d->xmax * w},
                               .score = d->score,
                               .sure = sure};
    }
    return DET_OK;
}

/* --- tracks --- */

static void vote(struct track *track, const det_detection *d)
{
    int lowest = 0;
    for (int i = 0; i < VOTES; i++) {
        if (track->votes[i].class_id == d->class_id) {
            track->votes[i].sum += d->score;
            return;
        }
        if (track->votes[i].sum < track->votes[lowest].sum)
            lowest = i;
    }
    track->votes[lowest] = (struct vote){d->class_id, d->score};
}

static int32_t elected(const struct track *track)
{
    int best = 0;
    for (int i = 1; i < VOTES; i++)
        if (track->votes[i].sum > track->votes[best].sum)
            best = i;
    return track->votes[best].class_id;
}

static void see(det_tracker *t, struct track *track, struct candidate *c, const det_detection *d)
{
    c->taken = true;
    track->hits++;
    track->seen_s = t->time_s;
    if (c->sure)
        track->sure_s = t->time_s;
    track->detection = c->index;
    vote(track, d);
    if (track->hits > 1)
        det_kalman_correct(&track->filter, c->box_px);
    else
        det_kalman_begin(&track->filter, c->box_px);
    if (track->hits >= t->settings.min_hits) {
        track->state = TRACK_SEEN;
        if (track->id == 0)
            track->id = ++t->last_id;
    }
}

/* Whether the track is in one of these states, not seen yet in this frame, and, for an unsure
 * detection, sure not long ago: a shadow or a sign would be followed for ever by detections that
 * never sufficed to start a track. */
static bool wanted_track(const det_tracker *t, const struct track *track, enum track_state a,
                         enum track_state b, bool sure)
{
    return (track->state == a || track->state == b) && track->seen_s < t->time_s &&
           (sure || t->time_s - track->sure_s <= t->settings.lost_s);
}

/* Matches tracks in one of two states that are not seen yet in this frame with candidates that are
 * not taken yet. */
static det_status match(struct det_env *env, det_tracker *t, enum track_state a, enum track_state b,
                        bool sure, float least, const det_detection *all)
{
    size_t rows = 0, columns = 0, cells = 0;
    DET_TRY_RETURN(
        det_grow(env, &t->rows, &t->row_capacity, t->track_count, sizeof *t->rows, "tracks"));
    DET_TRY_RETURN(det_grow(env, &t->matched, &t->matched_capacity, t->track_count,
                            sizeof *t->matched, "tracks"));
    DET_TRY_RETURN(det_grow(env, &t->columns, &t->column_capacity, t->candidate_count,
                            sizeof *t->columns, "detections"));
    for (size_t i = 0; i < t->track_count; i++)
        if (wanted_track(t, &t->tracks[i], a, b, sure))
            t->rows[rows++] = i;
    for (size_t i = 0; i < t->candidate_count; i++)
        if (!t->candidates[i].taken && t->candidates[i].sure == sure)
            t->columns[columns++] = i;
    if (rows == 0 || columns == 0)
        return DET_OK;
    if (!det_size_mul(rows, columns, &cells))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "tracker: %zu tracks and %zu detections",
                        rows, columns);
    DET_TRY_RETURN(
        det_grow(env, &t->cost, &t->cost_capacity, cells, sizeof *t->cost, "matching costs"));
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) {
            const struct candidate *candidate = &t->candidates[t->columns[c]];
            const float iou = det_box_iou(t->tracks[t->rows[r]].box_px, candidate->box_px);
            t->cost[r * columns + c] = 1 - (double)(sure ? iou * candidate->score : iou);
        }
    DET_TRY_RETURN(det_assign(env, &t->assign, t->cost, (int32_t)rows, (int32_t)columns,
                              1 - (double)least, t->matched));
    for (size_t r = 0; r < rows; r++)
        if (t->matched[r] != FREE) {
            struct candidate *c = &t->candidates[t->columns[t->matched[r]]];
            see(t, &t->tracks[t->rows[r]], c, &all[c->index]);
        }
    return DET_OK;
}

static det_status start_tracks(struct det_env *env, det_tracker *t, const det_detection *all)
{
    for (size_t i = 0; i < t->candidate_count; i++) {
        struct candidate *c = &t->candidates[i];
        if (c->taken || !c->sure)
            continue;
        DET_TRY_RETURN(det_grow(env, &t->tracks, &t->track_capacity, t->track_count + 1,
                                sizeof *t->tracks, "tracks"));
        struct track *track = &t->tracks[t->track_count++];
        const det_detection *d = &all[c->index];
        *track = (struct track){.state = TRACK_NEW,
                                .first_place = {0.5F * (d->xmin + d->xmax), d->ymax},
                                .first_s = t->time_s};
        see(t, track, c, d);
    }
    return DET_OK;
}

/* Unseen ones are lost, then gone; a lost one that lies on a seen one was the same object. */
static void age(det_tracker *t)
{
    for (size_t i = 0; i < t->track_count; i++) {
        struct track *track = &t->tracks[i];
        if (track->seen_s >= t->time_s)
            continue;
        if (track->state == TRACK_NEW || t->time_s - track->seen_s > t->settings.lost_s)
            track->state = TRACK_GONE;
        else if (track->state == TRACK_SEEN)
            track->state = TRACK_LOST;
    }
    for (size_t i = 0; i < t->track_count; i++)
        for (size_t k = 0; k < t->track_count && t->tracks[i].state == TRACK_LOST; k++) {
            float seen[4];
            det_kalman_box(&t->tracks[k].filter, seen);
            if (t->tracks[k].state == TRACK_SEEN && det_box_iou(t->tracks[i].box_px, seen) > 0.85F)
                t->tracks[i].state = TRACK_GONE;
        }
    size_t kept = 0;
    for (size_t i = 0; i < t->track_count; i++)
        if (t->tracks[i].state != TRACK_GONE)
            t->tracks[kept++] = t->tracks[i];
    t->track_count = kept;
}

static void predict(det_tracker *t, double time_s)
{
    const float frames = t->begun ? (float)((time_s - t->time_s) * t->settings.frame_rate) : 0;
    for (size_t i = 0; i < t->track_count; i++) {
        struct track *track = &t->tracks[i];
        det_kalman_predict(&track->filter, frames, track->state == TRACK_LOST);
        det_kalman_box(&track->filter, track->box_px);
    }
    t->time_s = time_s;
    t->begun = true;
}

/* By rising id: a few, mostly in order already. */
static void sort_out(det_track *out, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const det_track track = out[i];
        size_t k = i;
        for (; k > 0 && out[k - 1].id > track.id; k--)
            out[k] = out[k - 1];
        out[k] = track;
    }
}

/* The filter's box in the frame: a detector's edges tremble, and with them who is over a line. */
static void set_box(const det_tracker *t, const struct track *track, det_detection *box)
{
    float at[4];
    det_kalman_box(&track->filter, at);
    box->ymin = fminf(fmaxf(at[0] / t->height, 0), 1);
    box->xmin = fminf(fmaxf(at[1] / t->width, 0), 1);
    box->ymax = fminf(fmaxf(at[2] / t->height, 0), 1);
    box->xmax = fminf(fmaxf(at[3] / t->width, 0), 1);
    box->class_id = elected(track);
}

static det_status report(struct det_env *env, det_tracker *t, const det_detection *all,
                         const det_track **tracks, size_t *count)
{
    size_t shown = 0;
    DET_TRY_RETURN(
        det_grow(env, &t->out, &t->out_capacity, t->track_count, sizeof *t->out, "tracks"));
    for (size_t i = 0; i < t->track_count; i++) {
        const struct track *track = &t->tracks[i];
        if (track->state != TRACK_SEEN || track->seen_s < t->time_s)
            continue;
        t->out[shown] = (det_track){.id = track->id,
                                    .box = all[track->detection],
                                    .detection = track->detection,
                                    .hits = track->hits,
                                    .first_place = {track->first_place[0], track->first_place[1]},
                                    .first_time_s = track->first_s};
        set_box(t, track, &t->out[shown++].box);
    }
    sort_out(t->out, shown);
    *tracks = t->out;
    *count = shown;
    return DET_OK;
}

det_status det_tracker_update(det_tracker *tracker, double time_s, int32_t width, int32_t height,
                              const det_detection *detections, size_t count,
                              const det_track **tracks, size_t *track_count)
{
    det_tracker *t = tracker;
    struct det_env *env = t == NULL ? NULL : det_context_env(t->context);
    if (tracks != NULL)
        *tracks = NULL;
    if (track_count != NULL)
        *track_count = 0;
    DET_NEED(env, tracker);
    DET_NEED_ARRAY(env, detections, count);
    DET_NEED(env, tracks);
    DET_NEED(env, track_count);
    if (width < 1 || height < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tracker: the frame has %d x %d pixels",
                        width, height);
    if (!isfinite(time_s) || (t->begun && time_s <= t->time_s))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tracker: the frame's time is %g s, expected more than %g s", time_s,
                        t->time_s);
    DET_TRY_RETURN(gather(env, t, width, height, detections, count));
    t->width = (float)width;
    t->height = (float)height;
    predict(t, time_s);
    DET_TRY_RETURN(match(env, t, TRACK_SEEN, TRACK_LOST, true, t->settings.match_iou, detections));
    DET_TRY_RETURN(
        match(env, t, TRACK_SEEN, TRACK_SEEN, false, t->settings.low_match_iou, detections));
    DET_TRY_RETURN(match(env, t, TRACK_NEW, TRACK_NEW, true, t->settings.match_iou, detections));
    DET_TRY_RETURN(start_tracks(env, t, detections));
    age(t);
    return report(env, t, detections, tracks, track_count);
}
