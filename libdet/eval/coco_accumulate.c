/* coco_accumulate.c: precision over recall of each class, area and max_dets, as cocoeval.py's
 * accumulate, and the means of its summarize.
 *
 * Recall only changes at a true positive, and between two of them precision only falls. So only the
 * true positives are kept, each with the number of false positives before it; most detections are
 * false for every threshold and are counted once for all of them. A max_dets that cuts no cell of a
 * class gives what the next larger one gave.
 */
#include <float.h>
#include <math.h>

#include "eval/coco_parts.h"
#include "support/mem.h"

/* Per worker. */
struct scratch {
    uint32_t *position;     /* [T][most_class_gt] true positives: kept detection */
    uint32_t *false_before; /* [T][most_class_gt] and the false positives before it */
    double *precision;      /* [most_class_gt] */
    double *values;         /* [T*R*K] of a mean */
};

struct accumulate_job {
    struct det_coco_eval *eval;
    const struct det_coco_layout *layout;
    const struct det_coco_matches *matches;
    struct det_coco_sort_item *items, *spare; /* [out_count] kept detections, each class by score */
    struct scratch *scratch;
    uint32_t all; /* a bit for each IoU threshold */
};

/* Kept detections of class k: all from begin to end. */
static void class_range(const struct det_coco_layout *layout, int32_t k, size_t *begin, size_t *end)
{
    const size_t first = layout->class_cells[k], behind = layout->class_cells[k + 1];
    *begin = *end = 0;
    if (first == behind)
        return;
    const struct det_coco_cell *last = &layout->cells[behind - 1];
    *begin = layout->cells[first].out_begin;
    *end = (size_t)last->out_begin + last->out_count;
}

static void sort_class(void *argument, int32_t k, int32_t worker)
{
    (void)worker;
    const struct accumulate_job *job = argument;
    size_t begin = 0, end = 0;
    class_range(job->layout, k, &begin, &end);
    for (size_t i = begin; i < end; i++)
        job->items[i] =
            (struct det_coco_sort_item){det_coco_sort_key(job->matches->score[i]), (uint32_t)i};
    det_coco_sort(job->items + begin, job->spare + begin, end - begin);
}

/* Counts of class k in eval->classes and eval->objects. */
static void count_class(const struct accumulate_job *job, int32_t k)
{
    const struct det_coco_rules *rules = &job->eval->rules;
    det_coco_class *class = &job->eval->classes[k];
    int64_t *objects = job->eval->objects + (size_t)(k + 1) * (size_t)rules->area_count;
    for (size_t c = job->layout->class_cells[k]; c < job->layout->class_cells[k + 1]; c++) {
        const struct det_coco_cell *cell = &job->layout->cells[c];
        class->detections += cell->dt_count;
        class->detections_used += cell->out_count;
        for (uint32_t g = 0; g < cell->gt_count; g++) {
            const struct det_coco_gt *gt =
                &job->eval->gts[job->layout->gt_order[cell->gt_begin + g]];
            class->crowds += gt->is_crowd || (rules->honour_ignore && gt->ignore);
            for (int32_t a = 0; a < rules->area_count; a++)
                objects[a] += !det_coco_gt_ignored(rules, gt, a);
        }
    }
}

struct scan {
    uint32_t true_count[DET_COCO_MAX_IOU_THRESHOLDS];
    uint32_t first; /* best detection that max_dets leaves */
    bool any;
};

/* Collects the true positives of all thresholds in one walk over the class by falling score. */
static struct scan scan_class(const struct accumulate_job *job, size_t begin, size_t end,
                              int32_t area, uint32_t most_rank, struct scratch *s)
{
    const struct det_coco_matches *m = job->matches;
    const size_t stride = job->layout->most_class_gt;
    const uint32_t *matched_bits = m->matched + (size_t)area * job->layout->out_count;
    const uint32_t *ignored_bits = m->ignored + (size_t)area * job->layout->out_count;
    struct scan scan = {0};
    uint32_t false_for_all = 0, false_extra[DET_COCO_MAX_IOU_THRESHOLDS] = {0};
    for (size_t i = begin; i < end; i++) {
        const uint32_t out = job->items[i].index;
        if (m->rank[out] >= most_rank)
            continue;
        if (!scan.any)
            scan.first = out;
        scan.any = true;
        const uint32_t matched = matched_bits[out], ignored = ignored_bits[out];
        uint32_t is_false = job->all & ~(matched | ignored);
        if (is_false == job->all) {
            false_for_all++;
            continue;
        }
        for (; is_false != 0; is_false &= is_false - 1)
            false_extra[__builtin_ctz(is_false)]++;
        for (uint32_t bits = matched; bits != 0; bits &= bits - 1) {
            const int t = __builtin_ctz(bits);
            const size_t at = (size_t)t * stride + scan.true_count[t]++;
            s->position[at] = out;
            s->false_before[at] = false_for_all + false_extra[t];
        }
    }
    return scan;
}

/* Offset of [t][r][k][a][m] is base + (t * R + r) * step. */
struct cell_view {
    size_t base, step;
};

static struct cell_view view_of(const struct det_coco_eval *eval, int32_t class_count, int32_t k,
                                int32_t a, int32_t m)
{
    const size_t areas = (size_t)eval->rules.area_count, dets = (size_t)eval->rules.max_det_count;
    return (struct cell_view){((size_t)k * areas + (size_t)a) * dets + (size_t)m,
                              (size_t)class_count * areas * dets};
}

/* One threshold's line of precision and scores, and its recall. */
static void write_curve(const struct accumulate_job *job, const struct scan *scan, int32_t t,
                        int64_t objects, struct cell_view view, const struct scratch *s)
{
    struct det_coco_eval *eval = job->eval;
    const size_t stride = job->layout->most_class_gt;
    const uint32_t count = scan->true_count[t];
    const uint32_t *position = s->position + (size_t)t * stride;
    const uint32_t *false_before = s->false_before + (size_t)t * stride;
    const double total = (double)objects;
    eval->recall[view.base + (size_t)t * view.step] = scan->any ? (double)count / total : 0;
    for (uint32_t i = 0; i < count; i++) {
        const double tp = (double)i + 1, fp = (double)false_before[i];
        s->precision[i] = tp / (fp + tp + DBL_EPSILON);
    }
    for (uint32_t i = count; i-- > 1;) {
        if (s->precision[i] > s->precision[i - 1])
            s->precision[i - 1] = s->precision[i];
    }
    const int32_t recalls = eval->rules.recall_count;
    size_t offset = view.base + (size_t)t * (size_t)recalls * view.step;
    uint32_t i = 0;
    double last = -INFINITY;
    bool reached = scan->any;
    for (int32_t r = 0; r < recalls; r++, offset += view.step) {
        const double wanted = eval->rules.recall_thresholds[r];
        eval->precision[offset] = eval->scores[offset] = 0;
        if (!reached)
            continue; /* pycocotools stops at the first recall that is not reached, whatever follows
                       */
        if (wanted <= 0) {
            eval->precision[offset] = count > 0 ? s->precision[0] : 0;
            eval->scores[offset] = job->matches->score[scan->first];
            continue;
        }
        if (wanted < last)
            i = 0;
        last = wanted;
        while (i < count && ((double)i + 1) / total < wanted)
            i++;
        reached = i < count;
        if (reached) {
            eval->precision[offset] = s->precision[i];
            eval->scores[offset] = job->matches->score[position[i]];
        }
    }
}

static void copy_curves(struct det_coco_eval *eval, struct cell_view to, struct cell_view from)
{
    const size_t thresholds = (size_t)eval->rules.iou_count;
    const size_t lines = thresholds * (size_t)eval->rules.recall_count;
    for (size_t i = 0; i < lines; i++) {
        eval->precision[to.base + i * to.step] = eval->precision[from.base + i * from.step];
        eval->scores[to.base + i * to.step] = eval->scores[from.base + i * from.step];
    }
    for (size_t t = 0; t < thresholds; t++)
        eval->recall[to.base + t * to.step] = eval->recall[from.base + t * from.step];
}

static void fill_absent(struct det_coco_eval *eval, struct cell_view view)
{
    const size_t thresholds = (size_t)eval->rules.iou_count;
    const size_t lines = thresholds * (size_t)eval->rules.recall_count;
    for (size_t i = 0; i < lines; i++)
        eval->precision[view.base + i * view.step] = eval->scores[view.base + i * view.step] = -1;
    for (size_t t = 0; t < thresholds; t++)
        eval->recall[view.base + t * view.step] = -1;
}

/* task = k * A + a */
static void accumulate_class_area(void *argument, int32_t task, int32_t worker)
{
    struct accumulate_job *job = argument;
    struct det_coco_eval *eval = job->eval;
    const int32_t areas = eval->rules.area_count, class_count = job->layout->class_count;
    const int32_t k = task / areas, a = task % areas;
    const int64_t objects = eval->objects[(size_t)(k + 1) * (size_t)areas + (size_t)a];
    size_t begin = 0, end = 0;
    class_range(job->layout, k, &begin, &end);
    uint32_t most_in_cell = 0;
    for (size_t c = job->layout->class_cells[k]; c < job->layout->class_cells[k + 1]; c++) {
        if (job->layout->cells[c].out_count > most_in_cell)
            most_in_cell = job->layout->cells[c].out_count;
    }
    const int32_t last = eval->rules.max_det_count - 1;
    for (int32_t m = last; m >= 0; m--) {
        const struct cell_view view = view_of(eval, class_count, k, a, m);
        const uint32_t most_rank = (uint32_t)eval->rules.max_dets[m];
        if (objects == 0) {
            fill_absent(eval, view);
        } else if (m < last && most_in_cell <= most_rank) {
            copy_curves(eval, view, view_of(eval, class_count, k, a, m + 1));
        } else {
            const struct scan scan =
                scan_class(job, begin, end, a, most_rank, &job->scratch[worker]);
            for (int32_t t = 0; t < eval->rules.iou_count; t++)
                write_curve(job, &scan, t, objects, view, &job->scratch[worker]);
        }
    }
}

static det_status alloc_scratch(struct det_env *env, const struct det_coco_eval *eval,
                                const struct det_coco_layout *layout, size_t values,
                                struct scratch *s)
{
    size_t most = 0;
    if (!det_size_mul(layout->most_class_gt, (size_t)eval->rules.iou_count, &most))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "too many objects");
    DET_TRY_RETURN(det_alloc_raw(env, &s->position, most, sizeof *s->position, "accumulation"));
    DET_TRY_RETURN(
        det_alloc_raw(env, &s->false_before, most, sizeof *s->false_before, "accumulation"));
    DET_TRY_RETURN(det_alloc_raw(env, &s->precision, layout->most_class_gt, sizeof *s->precision,
                                 "accumulation"));
    return det_alloc_raw(env, &s->values, values, sizeof *s->values, "accumulation");
}

static void free_scratch(struct det_env *env, struct scratch *s)
{
    det_free(env, &s->position);
    det_free(env, &s->false_before);
    det_free(env, &s->precision);
    det_free(env, &s->values);
}

/* task < K: the rows of that class; the others: a row over all classes. */
static void summarize_task(void *argument, int32_t task, int32_t worker)
{
    struct accumulate_job *job = argument;
    struct det_coco_eval *eval = job->eval;
    const int32_t class_count = job->layout->class_count;
    double *values = job->scratch[worker].values;
    if (task >= class_count) {
        const det_coco_stat stat = (det_coco_stat)(task - class_count);
        eval->result.stats[stat] = det_coco_stat_mean(eval, class_count, -1, stat, values);
        return;
    }
    for (int stat = 0; stat < DET_COCO_STAT_COUNT; stat++)
        eval->classes[task].stats[stat] =
            det_coco_stat_mean(eval, class_count, task, (det_coco_stat)stat, values);
}

det_status det_coco_accumulate(struct det_env *env, struct det_coco_eval *eval,
                               const struct det_coco_layout *layout,
                               const struct det_coco_matches *matches, struct det_pool *pool)
{
    const struct det_coco_rules *rules = &eval->rules;
    struct accumulate_job job = {
        .eval = eval,
        .layout = layout,
        .matches = matches,
        .all = rules->iou_count == 32 ? UINT32_MAX : (1u << rules->iou_count) - 1,
    };
    const int workers = det_pool_threads(pool);
    const size_t values =
        (size_t)rules->iou_count * (size_t)rules->recall_count * (size_t)layout->class_count;
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(env, &job.items, layout->out_count, sizeof *job.items, "accumulation"));
    DET_TRY(det_alloc_raw(env, &job.spare, layout->out_count, sizeof *job.spare, "accumulation"));
    DET_TRY(det_alloc(env, &job.scratch, (size_t)workers, sizeof *job.scratch, "accumulation"));
    for (int w = 0; w < workers; w++)
        DET_TRY(alloc_scratch(env, eval, layout, values, &job.scratch[w]));
    for (int32_t k = 0; k < layout->class_count; k++)
        count_class(&job, k);
    det_pool_run(pool, layout->class_count, sort_class, &job);
    det_pool_run(pool, layout->class_count * rules->area_count, accumulate_class_area, &job);
    det_pool_run(pool, layout->class_count + DET_COCO_STAT_COUNT, summarize_task, &job);
fail:
    for (int w = 0; job.scratch != NULL && w < workers; w++)
        free_scratch(env, &job.scratch[w]);
    det_free(env, &job.scratch);
    det_free(env, &job.items);
    det_free(env, &job.spare);
    return status;
}
