#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "export/program_nodes.h"
#include "model/nms.h"
#include "support/mem.h"

struct ranked {
    float value;
    int64_t place;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

det_status det_node_top_k(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    const int64_t k = run->in[1]->count == 1 ? run->in[1]->wholes[0] : -1;
    const int64_t length = x->dims < 1 ? 0 : x->shape[x->dims - 1];
    if (k < 0 || k > length)
        return det_node_fail(run, "the largest %lld of %lld", (long long)k, (long long)length);
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    memcpy(shape, x->shape, sizeof shape);
    shape[x->dims - 1] = k;
    DET_TRY_RETURN(det_node_make(run, 0, false, x->dims, shape));
    DET_TRY_RETURN(det_node_make(run, 1, true, x->dims, shape));
    struct ranked *row = NULL;
    DET_TRY_RETURN(det_alloc(run->env, &row, (size_t)length, sizeof *row, run->node->name));
    const size_t rows = det_node_extent(x, 0, x->dims - 1);
    for (size_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < length; i++)
            row[i] = (struct ranked){x->floats[r * (size_t)length + (size_t)i], i};
        qsort(row, (size_t)length, sizeof *row, by_rank);
        for (int64_t i = 0; i < k; i++) {
            run->out[0].floats[r * (size_t)k + (size_t)i] = row[i].value;
            run->out[1].wholes[r * (size_t)k + (size_t)i] = row[i].place;
        }
    }
    det_free(run->env, &row);
    return DET_OK;
}

static bool is_finite_box(const float box[4])
{
    return isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) && isfinite(box[3]);
}

/* What one class of one image keeps, in `kept`; the scores are `step` floats apart. */
static int32_t suppress(const float (*boxes)[4], const float *scores, size_t step,
                        int32_t anchor_count, float score_threshold, float iou_threshold,
                        int32_t limit, uint64_t *heap, int32_t *kept)
{
    size_t candidates = 0;
    for (int32_t a = 0; a < anchor_count; a++)
        if (scores[(size_t)a * step] > score_threshold && is_finite_box(boxes[a]))
            heap[candidates++] = det_score_key(scores[(size_t)a * step], (uint32_t)a);
    return det_nms(heap, candidates, boxes, iou_threshold, limit, kept);
}

/* Memory of a suppression: a class's candidates and what stays. */
struct workspace {
    uint64_t *heap;
    int32_t *kept;
};

static det_status open_workspace(const struct det_node_run *run, int32_t anchors,
                                 struct workspace *w)
{
    DET_TRY_RETURN(
        det_alloc(run->env, &w->heap, (size_t)anchors, sizeof *w->heap, run->node->name));
    return det_alloc(run->env, &w->kept, (size_t)anchors, sizeof *w->kept, run->node->name);
}

static void close_workspace(const struct det_node_run *run, struct workspace *w)
{
    det_free(run->env, &w->heap);
    det_free(run->env, &w->kept);
}

/* Images, anchors, classes of boxes [N, A, 4] and scores, in which anchors are dimension
 * `anchor_dim`. */
static det_status check_candidates(const struct det_node_run *run, int anchor_dim, int64_t sizes[3])
{
    const struct det_array *boxes = run->in[0], *scores = run->in[1];
    sizes[0] = boxes->shape[0];
    sizes[1] = boxes->shape[1];
    sizes[2] = scores->shape[3 - anchor_dim];
    if (boxes->dims != 3 || boxes->shape[2] != 4 || scores->dims != 3 ||
        scores->shape[0] != sizes[0] || scores->shape[anchor_dim] != sizes[1] ||
        sizes[1] > INT32_MAX)
        return det_node_fail(run, "boxes and scores do not go together");
    return DET_OK;
}

det_status det_node_nms(struct det_node_run *run)
{
    int64_t sizes[3] = {0};
    DET_TRY_RETURN(check_candidates(run, 2, sizes));
    if (run->in[2]->count != 1 || run->in[3]->count != 1 || run->in[4]->count != 1)
        return det_node_fail(run, "limit and thresholds are not single values");
    const int32_t anchors = (int32_t)sizes[1];
    const int64_t wanted = run->in[2]->wholes[0];
    const int32_t limit = wanted < 0 ? 0 : wanted > anchors ? anchors : (int32_t)wanted;
    det_status status = DET_OK;
    struct workspace w = {0};
    int64_t(*found)[3] = NULL;
    size_t capacity = 0, count = 0;
    DET_TRY(open_workspace(run, anchors, &w));
    for (int64_t n = 0; n < sizes[0]; n++) {
        for (int64_t c = 0; c < sizes[2]; c++) {
            const float(*boxes)[4] =
                (const float(*)[4])run->in[0]->floats + (size_t)n * (size_t)anchors;
            const float *scores = run->in[1]->floats + (size_t)(n * sizes[2] + c) * (size_t)anchors;
            const int32_t kept = suppress(boxes, scores, 1, anchors, run->in[4]->floats[0],
                                          run->in[3]->floats[0], limit, w.heap, w.kept);
            DET_TRY(det_grow(run->env, &found, &capacity, count + (size_t)kept, sizeof *found,
                             run->node->name));
            for (int32_t k = 0; k < kept; k++, count++) {
                found[count][0] = n;
                found[count][1] = c;
                found[count][2] = w.kept[k];
            }
        }
    }
    DET_TRY(det_node_make(run, 0, true, 2, (const int64_t[]){(int64_t)count, 3}));
    if (count > 0)
        memcpy(run->out[0].wholes, found, count * sizeof *found);
fail:
    close_workspace(run, &w);
    det_free(run->env, &found);
    return status;
}

/* What of an image's boxes is taken. */
struct selection {
    const float (*boxes)[4];
    const float *scores; /* [anchors][columns], from the first class on */
    size_t columns;
    int32_t anchors, classes;
    float score_threshold, iou_threshold;
    int32_t class_limit, limit;
};

/* All classes' detections, of which the best are taken: *best [count], for the caller to free, has
 * as its place class * anchors + anchor. */
static det_status select_best(const struct det_node_run *run, const struct selection *s,
                              struct workspace *w, struct ranked **best, size_t *count)
{
    size_t capacity = 0, found = 0;
    *best = NULL;
    *count = 0;
    for (int32_t c = 0; c < s->classes; c++) {
        const int32_t kept = suppress(
            s->boxes, s->scores + c, s->columns, s->anchors, s->score_threshold, s->iou_threshold,
            s->class_limit < s->anchors ? s->class_limit : s->anchors, w->heap, w->kept);
        DET_TRY_RETURN(det_grow(run->env, best, &capacity, found + (size_t)kept, sizeof **best,
                                run->node->name));
        for (int32_t k = 0; k < kept; k++, found++)
            (*best)[found] = (struct ranked){s->scores[(size_t)w->kept[k] * s->columns + (size_t)c],
                                             (int64_t)c * s->anchors + w->kept[k]};
    }
    if (found > 0)
        qsort(*best, found, sizeof **best, by_rank);
    *count = found < (size_t)s->limit ? found : (size_t)s->limit;
    return DET_OK;
}

static det_status find_best(struct det_node_run *run, int64_t n, const int64_t sizes[3],
                            struct workspace *w)
{
    const int32_t anchors = (int32_t)sizes[1], limit = run->node->efficient_nms.limit;
    const struct selection s = {
        .boxes = (const float(*)[4])run->in[0]->floats + (size_t)n * (size_t)anchors,
        .scores = run->in[1]->floats + (size_t)(n * sizes[1] * sizes[2]),
        .columns = (size_t)sizes[2],
        .anchors = anchors,
        .classes = (int32_t)sizes[2],
        .score_threshold = run->node->efficient_nms.score_threshold,
        .iou_threshold = run->node->efficient_nms.iou_threshold,
        .class_limit = limit,
        .limit = limit,
    };
    struct ranked *found = NULL;
    size_t taken = 0;
    const det_status status = select_best(run, &s, w, &found, &taken);
    run->out[0].wholes[n] = (int64_t)taken;
    for (size_t i = 0; i < taken; i++) {
        const size_t to = (size_t)n * (size_t)limit + i;
        memcpy(run->out[1].floats + 4 * to, s.boxes[found[i].place % anchors], sizeof *s.boxes);
        run->out[2].floats[to] = found[i].value;
        run->out[3].wholes[to] = found[i].place / anchors;
    }
    det_free(run->env, &found);
    return status;
}

det_status det_node_efficient_nms(struct det_node_run *run)
{
    int64_t sizes[3] = {0};
    const int32_t limit = run->node->efficient_nms.limit;
    DET_TRY_RETURN(check_candidates(run, 1, sizes));
    if (limit < 1)
        return det_node_fail(run, "at most %d boxes", limit);
    DET_TRY_RETURN(det_node_make(run, 0, true, 2, (const int64_t[]){sizes[0], 1}));
    DET_TRY_RETURN(det_node_make(run, 1, false, 3, (const int64_t[]){sizes[0], limit, 4}));
    DET_TRY_RETURN(det_node_make(run, 2, false, 2, (const int64_t[]){sizes[0], limit}));
    DET_TRY_RETURN(det_node_make(run, 3, true, 2, (const int64_t[]){sizes[0], limit}));
    struct workspace w = {0};
    det_status status = open_workspace(run, (int32_t)sizes[1], &w);
    for (int64_t n = 0; status == DET_OK && n < sizes[0]; n++)
        status = find_best(run, n, sizes, &w);
    close_workspace(run, &w);
    return status;
}

/* In double, rounded to float, as the operator does it. */
static void decode_box(const struct det_node *node, const float encoding[4], const float anchor[4],
                       float box[4])
{
    const double center_y = (double)encoding[0] / (double)node->decode.y_scale * (double)anchor[2];
    const double center_x = (double)encoding[1] / (double)node->decode.x_scale * (double)anchor[3];
    const float y = (float)(center_y + (double)anchor[0]);
    const float x = (float)(center_x + (double)anchor[1]);
    const float half_height =
        (float)(0.5 * exp((double)encoding[2] / (double)node->decode.height_scale) *
                (double)anchor[2]);
    const float half_width =
        (float)(0.5 * exp((double)encoding[3] / (double)node->decode.width_scale) *
                (double)anchor[3]);
    box[0] = y - half_height;
    box[1] = x - half_width;
    box[2] = y + half_height;
    box[3] = x + half_width;
}

det_status det_node_decode(struct det_node_run *run)
{
    const struct det_array *encodings = run->in[0], *anchors = run->in[1];
    if (encodings->dims != 3 || encodings->shape[2] != 4 || anchors->dims != 2 ||
        anchors->shape[1] != 4 || anchors->shape[0] != encodings->shape[1])
        return det_node_fail(run, "box encodings and anchors do not go together");
    DET_TRY_RETURN(det_node_make(run, 0, false, 3, encodings->shape));
    const size_t count = (size_t)anchors->shape[0], all = encodings->count / 4;
    for (size_t i = 0; i < all; i++)
        decode_box(run->node, encodings->floats + 4 * i, anchors->floats + 4 * (i % count),
                   run->out[0].floats + 4 * i);
    return DET_OK;
}

/* The best class of each anchor, of equals the first, and its score. */
static void find_classes(const struct selection *s, float *scores, int32_t *classes)
{
    for (int32_t a = 0; a < s->anchors; a++) {
        const float *row = s->scores + (size_t)a * s->columns;
        classes[a] = 0;
        for (int32_t c = 1; c < s->classes; c++)
            if (row[c] > row[classes[a]])
                classes[a] = c;
        scores[a] = row[classes[a]];
    }
}

/* select_best() by the best class of each anchor. */
static det_status select_across(const struct det_node_run *run, const struct selection *s,
                                struct workspace *w, struct ranked **best, size_t *count)
{
    det_status status = DET_OK;
    float *scores = NULL;
    int32_t *classes = NULL;
    struct selection one = *s;
    DET_TRY(det_alloc(run->env, &scores, (size_t)s->anchors, sizeof *scores, run->node->name));
    DET_TRY(det_alloc(run->env, &classes, (size_t)s->anchors, sizeof *classes, run->node->name));
    find_classes(s, scores, classes);
    one.scores = scores;
    one.columns = 1;
    one.classes = 1;
    one.class_limit = s->limit;
    DET_TRY(select_best(run, &one, w, best, count));
    for (size_t i = 0; i < *count; i++)
        (*best)[i].place += (int64_t)classes[(*best)[i].place] * s->anchors;
fail:
    det_free(run->env, &scores);
    det_free(run->env, &classes);
    return status;
}

static det_status find_detections(struct det_node_run *run, int64_t n, const int64_t sizes[3],
                                  struct workspace *w)
{
    const struct det_node *node = run->node;
    const int32_t anchors = (int32_t)sizes[1], limit = node->detections.limit;
    const size_t skip = (size_t)(sizes[2] - node->detections.classes);
    const struct selection s = {
        .boxes = (const float(*)[4])run->in[0]->floats + (size_t)n * (size_t)anchors,
        .scores = run->in[1]->floats + (size_t)(n * sizes[1] * sizes[2]) + skip,
        .columns = (size_t)sizes[2],
        .anchors = anchors,
        .classes = node->detections.classes,
        .score_threshold = node->detections.score_threshold,
        .iou_threshold = node->detections.iou_threshold,
        .class_limit = node->detections.class_limit,
        .limit = limit,
    };
    struct ranked *found = NULL;
    size_t taken = 0;
    const det_status status =
        (node->detections.across_classes ? select_across : select_best)(run, &s, w, &found, &taken);
    for (size_t i = 0; i < taken; i++) {
        const size_t to = (size_t)n * (size_t)limit + i;
        const int64_t class_index = found[i].place / anchors;
        memcpy(run->out[0].floats + 4 * to, s.boxes[found[i].place % anchors], sizeof *s.boxes);
        run->out[1].floats[to] = (float)class_index;
        run->out[2].floats[to] = found[i].value;
    }
    run->out[3].floats[n] = (float)taken;
    det_free(run->env, &found);
    return status;
}

det_status det_node_detections(struct det_node_run *run)
{
    int64_t sizes[3];
    const struct det_node *node = run->node;
    const int32_t limit = node->detections.limit, classes = node->detections.classes;
    DET_TRY_RETURN(check_candidates(run, 1, sizes));
    if (limit < 1 || node->detections.class_limit < 1 || classes < 1 || classes > sizes[2] ||
        sizes[2] - classes > 1 || sizes[1] < 1)
        return det_node_fail(run, "at most %d boxes of %d classes, %d of each, from %lld columns",
                             limit, classes, node->detections.class_limit, (long long)sizes[2]);
    DET_TRY_RETURN(det_node_make(run, 0, false, 3, (const int64_t[]){sizes[0], limit, 4}));
    DET_TRY_RETURN(det_node_make(run, 1, false, 2, (const int64_t[]){sizes[0], limit}));
    DET_TRY_RETURN(det_node_make(run, 2, false, 2, (const int64_t[]){sizes[0], limit}));
    DET_TRY_RETURN(det_node_make(run, 3, false, 1, sizes));
    struct workspace w = {0};
    det_status status = open_workspace(run, (int32_t)sizes[1], &w);
    for (int64_t n = 0; status == DET_OK && n < sizes[0]; n++)
        status = find_detections(run, n, sizes, &w);
    close_workspace(run, &w);
    return status;
}
