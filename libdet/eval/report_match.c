#include "eval/report_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/mem.h"

/* --- order --- */

struct key {
    uint32_t image, category;
    double score; /* 0 for objects */
    uint32_t index;
};

static int by_place(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->image != y->image)
        return x->image < y->image ? -1 : 1;
    if (x->category != y->category)
        return x->category < y->category ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void take_order(struct key *keys, size_t count, uint32_t *order)
{
    if (count > 0)
        qsort(keys, count, sizeof *keys, by_place);
    for (size_t i = 0; i < count; i++)
        order[i] = keys[i].index;
}

det_status det_report_order_make(struct det_env *env, const struct det_coco_eval *eval,
                                 struct det_report_order *order)
{
    const size_t most = eval->gt_count > eval->dt_count ? eval->gt_count : eval->dt_count;
    struct key *keys = NULL;
    det_status status = DET_OK;
    *order = (struct det_report_order){.gt_count = eval->gt_count, .dt_count = eval->dt_count};
    DET_TRY(det_alloc_raw(env, &keys, most, sizeof *keys, "report"));
    DET_TRY(det_alloc_raw(env, &order->gts, eval->gt_count, sizeof *order->gts, "report"));
    DET_TRY(det_alloc_raw(env, &order->dts, eval->dt_count, sizeof *order->dts, "report"));
    for (size_t i = 0; i < eval->gt_count; i++)
        keys[i] = (struct key){eval->gts[i].image, eval->gts[i].category, 0, (uint32_t)i};
    take_order(keys, eval->gt_count, order->gts);
    for (size_t i = 0; i < eval->dt_count; i++)
        keys[i] = (struct key){eval->dts[i].image, eval->dts[i].category, eval->dts[i].score,
                               (uint32_t)i};
    take_order(keys, eval->dt_count, order->dts);
fail:
    det_free(env, &keys);
    if (status != DET_OK)
        det_report_order_free(env, order);
    return status;
}

void det_report_order_free(struct det_env *env, struct det_report_order *order)
{
    det_free(env, &order->gts);
    det_free(env, &order->dts);
}

/* --- overlaps --- */

static double intersection(const double a[4], const double b[4])
{
    const double w = fmin(a[0] + a[2], b[0] + b[2]) - fmax(a[0], b[0]);
    const double h = fmin(a[1] + a[3], b[1] + b[3]) - fmax(a[1], b[1]);
    return w > 0 && h > 0 ? w * h : 0;
}

static double box_iou(const double a[4], const double b[4])
{
    const double common = intersection(a, b), all = a[2] * a[3] + b[2] * b[3] - common;
    return all > 0 ? common / all : 0;
}

/* Share of `a` that is in `b`. */
static double share_inside(const double a[4], const double b[4])
{
    const double area = a[2] * a[3];
    return area > 0 ? intersection(a, b) / area : 0;
}

/* --- one class in one image --- */

struct part {
    const struct det_coco_eval *eval;
    const uint32_t *gts, *dts;
    size_t gt_count, dt_count;
    double threshold;
    uint8_t *taken, *labels; /* [gt_count], [dt_count] */
};

static const struct det_coco_gt *gt_of(const struct part *p, size_t g)
{
    return &p->eval->gts[p->gts[g]];
}

/* The best free object whose being ignored is as wanted; of equal ones the last, as pycocotools. */
static size_t best_coco(const struct part *p, const double box[4], bool ignored, double threshold)
{
    double best = threshold;
    size_t found = SIZE_MAX;
    for (size_t g = 0; g < p->gt_count; g++) {
        const struct det_coco_gt *gt = gt_of(p, g);
        const bool is_ignored = gt->is_crowd || (p->eval->rules.honour_ignore && gt->ignore);
        if (is_ignored != ignored || (p->taken[g] && !gt->is_crowd))
            continue;
        const double overlap =
            gt->is_crowd ? share_inside(box, gt->box_px) : box_iou(box, gt->box_px);
        if (overlap < best)
            continue;
        best = overlap;
        found = g;
    }
    return found;
}

static void match_coco(struct part *p)
{
    const struct det_coco_rules *rules = &p->eval->rules;
    const size_t most = (size_t)rules->max_dets[rules->max_det_count - 1];
    const double threshold = fmin(p->threshold, 1 - 1e-10);
    for (size_t d = 0; d < p->dt_count; d++) {
        const double *box = p->eval->dts[p->dts[d]].box_px;
        p->labels[d] = DET_LABEL_LEFT_OUT;
        if (d >= most)
            continue;
        size_t g = best_coco(p, box, false, threshold);
        if (g != SIZE_MAX)
            p->labels[d] = DET_LABEL_TRUE;
        else if ((g = best_coco(p, box, true, threshold)) == SIZE_MAX)
            p->labels[d] = DET_LABEL_FALSE;
        if (g != SIZE_MAX)
            p->taken[g] = 1;
    }
}

/* The object with the largest overlap, of equal ones the first, as numpy's argmax. */
static size_t best_voc(const struct part *p, const double box[4], bool group_of, double *overlap)
{
    size_t found = SIZE_MAX;
    *overlap = -1;
    for (size_t g = 0; g < p->gt_count; g++) {
        const struct det_coco_gt *gt = gt_of(p, g);
        if (gt->is_group_of != group_of)
            continue;
        const double value = group_of ? share_inside(box, gt->box_px) : box_iou(box, gt->box_px);
        if (value > *overlap) {
            *overlap = value;
            found = g;
        }
    }
    return found;
}

static void match_voc(struct part *p)
{
    for (size_t d = 0; d < p->dt_count; d++) {
        const double *box = p->eval->dts[p->dts[d]].box_px;
        double overlap = 0;
        const size_t g = best_voc(p, box, false, &overlap);
        p->labels[d] = DET_LABEL_FALSE;
        if (g != SIZE_MAX && overlap >= p->threshold) {
            if (gt_of(p, g)->ignore)
                p->labels[d] = DET_LABEL_LEFT_OUT;
            else if (!p->taken[g])
                p->labels[d] = DET_LABEL_TRUE;
            p->taken[g] = 1;
        }
        if (p->labels[d] != DET_LABEL_FALSE)
            continue;
        if (best_voc(p, box, true, &overlap) != SIZE_MAX && overlap >= p->threshold)
            p->labels[d] = DET_LABEL_LEFT_OUT;
    }
}

det_status det_report_match(struct det_env *env, const struct det_coco_eval *eval,
                            const struct det_report_order *order, enum det_report_rule rule,
                            double iou_threshold, uint8_t *labels)
{
    uint8_t *taken = NULL;
    DET_TRY_RETURN(det_alloc(env, &taken, order->gt_count, 1, "report"));
    size_t g = 0;
    for (size_t d = 0; d < order->dt_count;) {
        const struct det_coco_dt *first = &eval->dts[order->dts[d]];
        size_t end = d;
        while (end < order->dt_count && eval->dts[order->dts[end]].image == first->image &&
               eval->dts[order->dts[end]].category == first->category)
            end++;
        while (g < order->gt_count && (eval->gts[order->gts[g]].image < first->image ||
                                       (eval->gts[order->gts[g]].image == first->image &&
                                        eval->gts[order->gts[g]].category < first->category)))
            g++;
        size_t gt_end = g;
        while (gt_end < order->gt_count && eval->gts[order->gts[gt_end]].image == first->image &&
               eval->gts[order->gts[gt_end]].category == first->category)
            gt_end++;
        struct part part = {eval,    order->gts + g, order->dts + d, gt_end - g,
                            end - d, iou_threshold,  taken + g,      labels + d};
        if (rule == DET_MATCH_COCO)
            match_coco(&part);
        else
            match_voc(&part);
        d = end;
        g = gt_end;
    }
    det_free(env, &taken);
    return DET_OK;
}

/* --- confusion --- */

struct pair {
    double iou;
    bool same_class;
    uint32_t gt, dt; /* positions in the image's ranges */
};

static int by_iou(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->iou != y->iou)
        return x->iou > y->iou ? -1 : 1;
    if (x->same_class != y->same_class)
        return x->same_class ? -1 : 1;
    if (x->dt != y->dt)
        return x->dt < y->dt ? -1 : 1;
    return x->gt < y->gt ? -1 : x->gt > y->gt;
}

struct confusing {
    struct det_env *env;
    const struct det_coco_eval *eval;
    double threshold, least_score;
    const uint32_t *class_of;
    int64_t *counts;
    size_t side; /* K + 1 */
    struct pair *pairs;
    size_t pair_capacity;
    uint8_t *used;
    size_t used_capacity;
};

static bool counts_as_object(const struct det_coco_gt *gt)
{
    return !gt->is_crowd && !gt->ignore && !gt->is_group_of;
}

/* A detection without a partner may lie on an object that does not count. */
static bool is_excused(const struct confusing *c, const struct det_coco_dt *dt, const uint32_t *gts,
                       size_t gt_count)
{
    for (size_t g = 0; g < gt_count; g++) {
        const struct det_coco_gt *gt = &c->eval->gts[gts[g]];
        if (!counts_as_object(gt) && share_inside(dt->box_px, gt->box_px) >= c->threshold)
            return true;
    }
    return false;
}

static det_status confuse_image(struct confusing *c, const uint32_t *gts, size_t gt_count,
                                const uint32_t *dts, size_t dt_count)
{
    size_t pairs = 0;
    for (size_t d = 0; d < dt_count; d++) {
        const struct det_coco_dt *dt = &c->eval->dts[dts[d]];
        for (size_t g = 0; dt->score >= c->least_score && g < gt_count; g++) {
            const struct det_coco_gt *gt = &c->eval->gts[gts[g]];
            const double iou = box_iou(dt->box_px, gt->box_px);
            if (!counts_as_object(gt) || iou < c->threshold)
                continue;
            DET_TRY_RETURN(det_grow(c->env, &c->pairs, &c->pair_capacity, pairs + 1,
                                    sizeof *c->pairs, "confusion"));
            c->pairs[pairs++] =
                (struct pair){iou, gt->category == dt->category, (uint32_t)g, (uint32_t)d};
        }
    }
    DET_TRY_RETURN(
        det_grow(c->env, &c->used, &c->used_capacity, gt_count + dt_count + 1, 1, "confusion"));
    memset(c->used, 0, gt_count + dt_count);
    if (pairs > 0)
        qsort(c->pairs, pairs, sizeof *c->pairs, by_iou);
    for (size_t i = 0; i < pairs; i++) {
        const struct pair *p = &c->pairs[i];
        if (c->used[p->gt] || c->used[gt_count + p->dt])
            continue;
        c->used[p->gt] = c->used[gt_count + p->dt] = 1;
        const uint32_t row = c->class_of[c->eval->gts[gts[p->gt]].category];
        c->counts[row * c->side + c->class_of[c->eval->dts[dts[p->dt]].category]]++;
    }
    for (size_t g = 0; g < gt_count; g++) {
        const struct det_coco_gt *gt = &c->eval->gts[gts[g]];
        if (!c->used[g] && counts_as_object(gt))
            c->counts[(c->class_of[gt->category] + 1) * c->side - 1]++;
    }
    for (size_t d = 0; d < dt_count; d++) {
        const struct det_coco_dt *dt = &c->eval->dts[dts[d]];
        if (dt->score >= c->least_score && !c->used[gt_count + d] &&
            !is_excused(c, dt, gts, gt_count))
            c->counts[(c->side - 1) * c->side + c->class_of[dt->category]]++;
    }
    return DET_OK;
}

det_status det_report_confusion(struct det_env *env, const struct det_coco_eval *eval,
                                const struct det_report_order *order, double iou_threshold,
                                double least_score, const uint32_t *class_of, int64_t *counts)
{
    struct confusing c = {.env = env,
                          .eval = eval,
                          .threshold = iou_threshold,
                          .least_score = least_score,
                          .class_of = class_of,
                          .counts = counts,
                          .side = eval->category_count + 1};
    det_status status = DET_OK;
    size_t g = 0, d = 0;
    for (uint32_t image = 0; image < eval->image_count; image++) {
        const size_t first_gt = g, first_dt = d;
        while (g < order->gt_count && eval->gts[order->gts[g]].image == image)
            g++;
        while (d < order->dt_count && eval->dts[order->dts[d]].image == image)
            d++;
        DET_TRY(confuse_image(&c, order->gts + first_gt, g - first_gt, order->dts + first_dt,
                              d - first_dt));
    }
fail:
    det_free(env, &c.pairs);
    det_free(env, &c.used);
    return status;
}
