/* coco_match.c: greedy matching of each cell, as cocoeval.py's evaluateImg.
 *
 * pycocotools walks thresholds, then detections, then objects (those that count first, then the
 * ignored ones), and an object is taken if its IoU is at least that of the best so far: of equal
 * ones the last wins. Here detections are the outer loop and "taken" is a bit per threshold, so
 * that IoUs are computed once, row by row, and only objects that reach the lowest threshold are
 * looked at again.
 */
#include <math.h>
#include <string.h>

#include "eval/coco_parts.h"
#include "support/mem.h"

/* Per worker. */
struct scratch {
    struct det_coco_sort_item *items, *spare; /* [most_dt] */
    double *iou;                              /* [most_gt] of the candidates */
    uint32_t *candidate;                      /* [most_gt] object, position in the cell */
    uint32_t *ignored_in;                     /* [most_gt] bit a: ignored in area a */
    uint32_t *taken;                          /* [A][most_gt] bit t */
};

struct match_job {
    const struct det_coco_eval *eval;
    const struct det_coco_layout *layout;
    struct det_coco_matches *matches;
    struct scratch *scratch;
    double threshold[DET_COCO_MAX_IOU_THRESHOLDS]; /* min(t, 1 - 1e-10) */
    double lowest;
    uint32_t all; /* a bit for each threshold */
};

static const struct det_coco_gt *cell_gt(const struct match_job *job,
                                         const struct det_coco_cell *cell, uint32_t g)
{
    return &job->eval->gts[job->layout->gt_order[cell->gt_begin + g]];
}

/* maskApi.c, bbIou: for a crowd the denominator is the detection's area. */
static double box_iou(const double dt[4], const double gt[4], bool is_crowd)
{
    const double w = fmin(dt[2] + dt[0], gt[2] + gt[0]) - fmax(dt[0], gt[0]);
    if (w <= 0)
        return 0;
    const double h = fmin(dt[3] + dt[1], gt[3] + gt[1]) - fmax(dt[1], gt[1]);
    if (h <= 0)
        return 0;
    const double intersection = w * h, dt_area = dt[2] * dt[3];
    return intersection / (is_crowd ? dt_area : dt_area + gt[2] * gt[3] - intersection);
}

/* Objects whose IoU with the detection may matter, in their order. A NaN (0 / 0 of boxes too small
 * for a double) compares as nothing does, so then all of them. */
static uint32_t find_candidates(const struct match_job *job, const struct det_coco_cell *cell,
                                const struct det_coco_dt *dt, struct scratch *s)
{
    uint32_t count = 0;
    bool has_nan = false;
    for (uint32_t g = 0; g < cell->gt_count; g++) {
        const struct det_coco_gt *gt = cell_gt(job, cell, g);
        const double iou = box_iou(dt->box_px, gt->box_px, gt->is_crowd);
        has_nan |= isnan(iou);
        if (iou < job->lowest)
            continue;
        s->iou[count] = iou;
        s->candidate[count++] = g;
    }
    for (uint32_t g = 0; has_nan && g < cell->gt_count; g++) {
        const struct det_coco_gt *gt = cell_gt(job, cell, g);
        s->iou[g] = box_iou(dt->box_px, gt->box_px, gt->is_crowd);
        s->candidate[g] = g;
        count = cell->gt_count;
    }
    return count;
}

/* The best free candidate among those that are (not) ignored in the area; UINT32_MAX if none. */
static uint32_t best_candidate(const struct match_job *job, const struct det_coco_cell *cell,
                               const struct scratch *s, uint32_t count, const uint32_t *taken,
                               int32_t area, int32_t t, bool ignored)
{
    double best = job->threshold[t];
    uint32_t found = UINT32_MAX;
    for (uint32_t c = 0; c < count; c++) {
        const uint32_t g = s->candidate[c];
        if ((s->ignored_in[g] >> area & 1) != ignored)
            continue;
        if ((taken[g] >> t & 1) && !cell_gt(job, cell, g)->is_crowd)
            continue;
        if (s->iou[c] < best)
            continue;
        best = s->iou[c];
        found = g;
    }
    return found;
}

/* Bits of one detection in one area. */
static void match_in_area(const struct match_job *job, const struct det_coco_cell *cell,
                          const struct scratch *s, uint32_t count, uint32_t *taken, int32_t area,
                          uint32_t *matched, uint32_t *ignored)
{
    *matched = *ignored = 0;
    for (int32_t t = 0; t < job->eval->rules.iou_count; t++) {
        bool is_ignored = false;
        uint32_t g = best_candidate(job, cell, s, count, taken, area, t, false);
        if (g == UINT32_MAX) {
            g = best_candidate(job, cell, s, count, taken, area, t, true);
            is_ignored = true;
        }
        if (g == UINT32_MAX)
            continue;
        taken[g] |= 1u << t;
        /* pycocotools stores the id of the object and asks for != 0. */
        *matched |= (uint32_t)!cell_gt(job, cell, g)->id_is_zero << t;
        *ignored |= (uint32_t)is_ignored << t;
    }
}

static void match_detection(const struct match_job *job, const struct det_coco_cell *cell,
                            const struct det_coco_dt *dt, uint32_t out, struct scratch *s)
{
    const struct det_coco_rules *rules = &job->eval->rules;
    struct det_coco_matches *m = job->matches;
    const size_t stride = job->layout->out_count;
    const uint32_t count = cell->gt_count > 0 ? find_candidates(job, cell, dt, s) : 0;
    const double area_px2 = dt->box_px[2] * dt->box_px[3];
    for (int32_t a = 0; a < rules->area_count; a++) {
        uint32_t matched = 0, ignored = 0;
        if (count > 0)
            match_in_area(job, cell, s, count, s->taken + (size_t)a * cell->gt_count, a, &matched,
                          &ignored);
        if (area_px2 < rules->areas[a].min_px2 || area_px2 > rules->areas[a].max_px2)
            ignored |= job->all & ~matched;
        m->matched[(size_t)a * stride + out] = matched & ~ignored;
        m->ignored[(size_t)a * stride + out] = ignored;
    }
}

static void match_cell(const struct match_job *job, const struct det_coco_cell *cell,
                       struct scratch *s)
{
    const struct det_coco_rules *rules = &job->eval->rules;
    for (uint32_t g = 0; cell->dt_count > 0 && g < cell->gt_count; g++) {
        s->ignored_in[g] = 0;
        for (int32_t a = 0; a < rules->area_count; a++)
            s->ignored_in[g] |= (uint32_t)det_coco_gt_ignored(rules, cell_gt(job, cell, g), a) << a;
    }
    if (cell->dt_count > 0 && cell->gt_count > 0)
        memset(s->taken, 0, (size_t)rules->area_count * cell->gt_count * sizeof *s->taken);
    for (uint32_t d = 0; d < cell->dt_count; d++) {
        const uint32_t index = job->layout->dt_order[cell->dt_begin + d];
        s->items[d] =
            (struct det_coco_sort_item){det_coco_sort_key(job->eval->dts[index].score), index};
    }
    det_coco_sort(s->items, s->spare, cell->dt_count);
    for (uint32_t d = 0; d < cell->out_count; d++) {
        const struct det_coco_dt *dt = &job->eval->dts[s->items[d].index];
        const uint32_t out = cell->out_begin + d;
        job->matches->score[out] = dt->score;
        job->matches->rank[out] = d;
        match_detection(job, cell, dt, out, s);
    }
}

static void match_chunk(void *argument, int32_t task, int32_t worker)
{
    const struct match_job *job = argument;
    for (size_t c = job->layout->chunks[task]; c < job->layout->chunks[task + 1]; c++)
        match_cell(job, &job->layout->cells[c], &job->scratch[worker]);
}

static det_status alloc_scratch(struct det_env *env, const struct det_coco_layout *layout,
                                int32_t area_count, struct scratch *s)
{
    const size_t gts = layout->most_gt, dts = layout->most_dt;
    DET_TRY_RETURN(det_alloc_raw(env, &s->items, dts, sizeof *s->items, "matching"));
    DET_TRY_RETURN(det_alloc_raw(env, &s->spare, dts, sizeof *s->spare, "matching"));
    DET_TRY_RETURN(det_alloc_raw(env, &s->iou, gts, sizeof *s->iou, "matching"));
    DET_TRY_RETURN(det_alloc_raw(env, &s->candidate, gts, sizeof *s->candidate, "matching"));
    DET_TRY_RETURN(det_alloc_raw(env, &s->ignored_in, gts, sizeof *s->ignored_in, "matching"));
    return det_alloc_raw(env, &s->taken, (size_t)area_count * gts, sizeof *s->taken, "matching");
}

static void free_scratch(struct det_env *env, struct scratch *s)
{
    det_free(env, &s->items);
    det_free(env, &s->spare);
    det_free(env, &s->iou);
    det_free(env, &s->candidate);
    det_free(env, &s->ignored_in);
    det_free(env, &s->taken);
}

static det_status alloc_matches(struct det_env *env, size_t count, size_t area_count,
                                struct det_coco_matches *m)
{
    size_t bits = 0;
    if (!det_size_mul(count, area_count, &bits))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "too many detections");
    DET_TRY_RETURN(det_alloc_raw(env, &m->score, count, sizeof *m->score, "matches"));
    DET_TRY_RETURN(det_alloc_raw(env, &m->rank, count, sizeof *m->rank, "matches"));
    DET_TRY_RETURN(det_alloc_raw(env, &m->matched, bits, sizeof *m->matched, "matches"));
    return det_alloc_raw(env, &m->ignored, bits, sizeof *m->ignored, "matches");
}

det_status det_coco_match(struct det_env *env, const struct det_coco_eval *eval,
                          const struct det_coco_layout *layout, struct det_pool *pool,
                          struct det_coco_matches *matches)
{
    *matches = (struct det_coco_matches){0};
    const struct det_coco_rules *rules = &eval->rules;
    struct match_job job = {
        .eval = eval,
        .layout = layout,
        .matches = matches,
        .lowest = INFINITY,
        .all = rules->iou_count == 32 ? UINT32_MAX : (1u << rules->iou_count) - 1,
    };
    for (int32_t t = 0; t < rules->iou_count; t++) {
        job.threshold[t] = fmin(rules->iou_thresholds[t], 1 - 1e-10);
        job.lowest = fmin(job.lowest, job.threshold[t]);
    }
    const int workers = det_pool_threads(pool);
    det_status status = DET_OK;
    DET_TRY(alloc_matches(env, layout->out_count, (size_t)rules->area_count, matches));
    DET_TRY(det_alloc(env, &job.scratch, (size_t)workers, sizeof *job.scratch, "matching"));
    for (int w = 0; w < workers; w++)
        DET_TRY(alloc_scratch(env, layout, rules->area_count, &job.scratch[w]));
    det_pool_run(pool, layout->chunk_count, match_chunk, &job);
fail:
    for (int w = 0; job.scratch != NULL && w < workers; w++)
        free_scratch(env, &job.scratch[w]);
    det_free(env, &job.scratch);
    if (status != DET_OK)
        det_coco_matches_free(env, matches);
    return status;
}

void det_coco_matches_free(struct det_env *env, struct det_coco_matches *matches)
{
    det_free(env, &matches->score);
    det_free(env, &matches->rank);
    det_free(env, &matches->matched);
    det_free(env, &matches->ignored);
}
