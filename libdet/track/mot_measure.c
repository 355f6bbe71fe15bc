/* mot_measure.c: det_mot_measure of det/tracker.h. */
#include <math.h>

#include "base/arguments.h"
#include "base/context.h"
#include "det/tracker.h"
#include "model/targets.h"
#include "support/id_map.h"
#include "support/mem.h"
#include "track/assign.h"

struct object {
    int64_t last_match; /* predicted id; valid when matched */
    bool matched;
};

struct pair {
    uint32_t truth, predicted; /* indices */
    int64_t frames;            /* that they overlap in */
};

struct det_mot_measure {
    det_context *context;
    float min_iou;
    struct det_id_map truth_ids, predicted_ids, pair_ids;
    struct object *objects; /* by index of the truth's id */
    size_t object_capacity;
    struct pair *pairs;
    size_t pair_capacity;
    struct det_assign assign;
    double *cost;
    size_t cost_capacity;
    int32_t *matched;
    size_t matched_capacity;
    bool *taken; /* predicted boxes of the frame */
    size_t taken_capacity;
    det_mot_result sums;
    double overlap_sum;
};

det_status det_mot_measure_create(det_context *context, float min_iou, det_mot_measure **measure)
{
    struct det_env *env = det_context_env(context);
    if (measure != NULL)
        *measure = NULL;
    DET_NEED(env, context);
    DET_NEED(env, measure);
    if (!(min_iou > 0 && min_iou <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tracking measure: least overlap is %g, expected above 0 to 1",
                        (double)min_iou);
    DET_TRY_RETURN(det_alloc(env, measure, 1, sizeof **measure, "tracking measure"));
    (*measure)->context = context;
    (*measure)->min_iou = min_iou;
    return DET_OK;
}

void det_mot_measure_destroy(det_mot_measure **out)
{
    if (out == NULL || *out == NULL)
        return;
    det_mot_measure *m = *out;
    struct det_env *env = det_context_env(m->context);
    det_id_map_free(env, &m->truth_ids);
    det_id_map_free(env, &m->predicted_ids);
    det_id_map_free(env, &m->pair_ids);
    det_free(env, &m->objects);
    det_free(env, &m->pairs);
    det_assign_free(env, &m->assign);
    det_free(env, &m->cost);
    det_free(env, &m->matched);
    det_free(env, &m->taken);
    det_free(env, out);
}

static det_status index_of(struct det_env *env, struct det_id_map *map, int64_t id, uint32_t *index)
{
    if (det_id_map_find(map, id, index))
        return DET_OK;
    *index = (uint32_t)map->count;
    return det_id_map_add(env, map, id, *index);
}

static float overlap(const det_mot_box *a, const det_mot_box *b)
{
    const float first[4] = {a->ymin, a->xmin, a->ymax, a->xmax},
                second[4] = {b->ymin, b->xmin, b->ymax, b->xmax};
    return det_box_iou(first, second);
}

/* Counts for IDF1: every overlap, whatever was matched. */
static det_status note_pair(struct det_env *env, det_mot_measure *m, uint32_t truth,
                            int64_t predicted_id)
{
    uint32_t predicted = 0, index = 0;
    DET_TRY_RETURN(index_of(env, &m->predicted_ids, predicted_id, &predicted));
    const int64_t key = (int64_t)((uint64_t)truth << 32 | predicted);
    const size_t before = m->pair_ids.count;
    DET_TRY_RETURN(index_of(env, &m->pair_ids, key, &index));
    if (m->pair_ids.count > before) {
        DET_TRY_RETURN(det_grow(env, &m->pairs, &m->pair_capacity, (size_t)index + 1,
                                sizeof *m->pairs, "pairs of tracks"));
        m->pairs[index] = (struct pair){truth, predicted, 0};
    }
    m->pairs[index].frames++;
    return DET_OK;
}

static void accept(det_mot_measure *m, uint32_t truth, const det_mot_box *box, float iou)
{
    struct object *object = &m->objects[truth];
    if (object->matched && object->last_match != box->id)
        m->sums.switches++;
    else
        m->sums.matches++;
    *object = (struct object){box->id, true};
    m->overlap_sum += (double)iou;
}

/* One frame's work: `indices` of the truth's ids, `row` the costs of what is left. */
static det_status match_frame(struct det_env *env, det_mot_measure *m, const det_mot_box *truth,
                              size_t truths, const det_mot_box *predicted, size_t predictions,
                              int64_t *accepted)
{
    size_t cells = 0;
    if (!det_size_mul(truths, predictions, &cells))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "tracking measure: too many boxes");
    DET_TRY_RETURN(det_grow(env, &m->cost, &m->cost_capacity, cells, sizeof *m->cost, "costs"));
    for (size_t i = 0; i < truths; i++) {
        uint32_t index = 0;
        DET_TRY_RETURN(index_of(env, &m->truth_ids, truth[i].id, &index));
        DET_TRY_RETURN(det_grow(env, &m->objects, &m->object_capacity, (size_t)index + 1,
                                sizeof *m->objects, "objects"));
        for (size_t k = 0; k < predictions; k++) {
            const float iou = overlap(&truth[i], &predicted[k]);
            m->cost[i * predictions + k] = iou >= m->min_iou ? 1 - (double)iou : (double)INFINITY;
            if (iou >= m->min_iou)
                DET_TRY_RETURN(note_pair(env, m, index, predicted[k].id));
        }
    }
    /* What was matched before stays matched where it still can. */
    for (size_t i = 0; i < truths; i++) {
        uint32_t index = 0;
        det_id_map_find(&m->truth_ids, truth[i].id, &index);
        m->matched[i] = -1;
        for (size_t k = 0; k < predictions; k++)
            if (m->objects[index].matched && m->objects[index].last_match == predicted[k].id &&
                !m->taken[k] && isfinite(m->cost[i * predictions + k])) {
                accept(m, index, &predicted[k], overlap(&truth[i], &predicted[k]));
                ++*accepted;
                m->matched[i] = (int32_t)k;
                m->taken[k] = true;
            }
    }
    for (size_t i = 0; i < truths; i++)
        for (size_t k = 0; k < predictions; k++)
            if (m->matched[i] >= 0 || m->taken[k])
                m->cost[i * predictions + k] = (double)INFINITY;
    return DET_OK;
}

static struct det_env *env_of(const det_mot_measure *measure)
{
    return measure == NULL ? NULL : det_context_env(measure->context);
}

det_status det_mot_measure_frame(det_mot_measure *measure, const det_mot_box *truth, size_t truths,
                                 const det_mot_box *predicted, size_t predictions)
{
    det_mot_measure *m = measure;
    struct det_env *env = env_of(m);
    DET_NEED(env, measure);
    DET_NEED_ARRAY(env, truth, truths);
    DET_NEED_ARRAY(env, predicted, predictions);
    if (truths > INT32_MAX / 4 || predictions > INT32_MAX / 4)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tracking measure: too many boxes");
    int64_t accepted = 0;
    DET_TRY_RETURN(
        det_grow(env, &m->matched, &m->matched_capacity, truths, sizeof *m->matched, "matches"));
    DET_TRY_RETURN(
        det_grow(env, &m->taken, &m->taken_capacity, predictions, sizeof *m->taken, "matches"));
    for (size_t k = 0; k < predictions; k++) {
        uint32_t index = 0;
        m->taken[k] = false;
        DET_TRY_RETURN(index_of(env, &m->predicted_ids, predicted[k].id, &index));
    }
    DET_TRY_RETURN(match_frame(env, m, truth, truths, predicted, predictions, &accepted));
    /* As many pairs as possible, then the closest: staying alone costs more than all pairs
     * together. */
    DET_TRY_RETURN(det_assign(env, &m->assign, m->cost, (int32_t)truths, (int32_t)predictions,
                              (double)truths + 1, m->matched));
    for (size_t i = 0; i < truths; i++)
        if (m->matched[i] >= 0) {
            uint32_t index = 0;
            const det_mot_box *box = &predicted[m->matched[i]];
            det_id_map_find(&m->truth_ids, truth[i].id, &index);
            accept(m, index, box, overlap(&truth[i], box));
            accepted++;
        }
    m->sums.frames++;
    m->sums.objects += (int64_t)truths;
    m->sums.predictions += (int64_t)predictions;
    m->sums.misses += (int64_t)truths - accepted;
    m->sums.false_positives += (int64_t)predictions - accepted;
    return DET_OK;
}

/* The one-to-one assignment of true to predicted ids that has the most frames in common. */
static det_status identities(struct det_env *env, det_mot_measure *m, int64_t *common)
{
    const size_t rows = m->truth_ids.count, columns = m->predicted_ids.count;
    size_t cells = 0;
    *common = 0;
    if (!det_size_mul(rows, columns, &cells))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "tracking measure: too many ids");
    DET_TRY_RETURN(det_grow(env, &m->cost, &m->cost_capacity, cells, sizeof *m->cost, "costs"));
    DET_TRY_RETURN(
        det_grow(env, &m->matched, &m->matched_capacity, rows, sizeof *m->matched, "matches"));
    for (size_t i = 0; i < cells; i++)
        m->cost[i] = 0;
    for (size_t i = 0; i < m->pair_ids.count; i++)
        m->cost[(size_t)m->pairs[i].truth * columns + m->pairs[i].predicted] =
            -(double)m->pairs[i].frames;
    DET_TRY_RETURN(
        det_assign(env, &m->assign, m->cost, (int32_t)rows, (int32_t)columns, 0, m->matched));
    for (size_t i = 0; i < rows; i++)
        if (m->matched[i] >= 0)
            *common -= (int64_t)m->cost[i * columns + (size_t)m->matched[i]];
    return DET_OK;
}

det_status det_mot_measure_result(det_mot_measure *measure, det_mot_result *result)
{
    struct det_env *env = env_of(measure);
    DET_NEED(env, measure);
    DET_NEED_REPORT(env, det_mot_result, result);
    det_mot_result r = measure->sums;
    DET_TRY_RETURN(identities(env, measure, &r.id_true_positives));
    const double objects = (double)r.objects, predictions = (double)r.predictions,
                 common = (double)r.id_true_positives;
    const double errors = (double)(r.misses + r.false_positives + r.switches);
    const double pairs = (double)(r.matches + r.switches);
    r.mota = objects > 0 ? 1 - errors / objects : (double)NAN;
    r.motp = pairs > 0 ? measure->overlap_sum / pairs : (double)NAN;
    r.idf1 = objects + predictions > 0 ? 2 * common / (objects + predictions) : (double)NAN;
    r.idp = predictions > 0 ? common / predictions : (double)NAN;
    r.idr = objects > 0 ? common / objects : (double)NAN;
    det_fill_report(result, &r, sizeof r);
    return DET_OK;
}
