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

/* Of one image: all classes' detections, of which the best are taken. */
static det_status find_best(struct det_node_run *run, int64_t n, const int64_t sizes[3],
                            struct workspace *w)
{
    det_status status = DET_OK;
    const int32_t anchors = (int32_t)sizes[1];
    const int32_t limit = run->node->efficient_nms.limit;
    const float(*boxes)[4] = (const float(*)[4])run->in[0]->floats + (size_t)n * (size_t)anchors;
    const float *scores = run->in[1]->floats + (size_t)(n * sizes[1] * sizes[2]);
    struct ranked *found = NULL;
    size_t capacity = 0, count = 0;
    for (int64_t c = 0; c < sizes[2]; c++) {
        const int32_t kept = suppress(boxes, scores + c, (size_t)sizes[2], anchors,
                                      run->node->efficient_nms.score_threshold,
                                      run->node->efficient_nms.iou_threshold,
                                      limit < anchors ? limit : anchors, w->heap, w->kept);
        DET_TRY(det_grow(run->env, &found, &capacity, count + (size_t)kept, sizeof *found,
                         run->node->name));
        for (int32_t k = 0; k < kept; k++, count++)
            found[count] =
                (struct ranked){scores[(size_t)w->kept[k] * (size_t)sizes[2] + (size_t)c],
                                c * sizes[1] + w->kept[k]};
    }
    if (count > 0)
        qsort(found, count, sizeof *found, by_rank);
    const size_t taken = count < (size_t)limit ? count : (size_t)limit;
    run->out[0].wholes[n] = (int64_t)taken;
    for (size_t i = 0; i < taken; i++) {
        const size_t to = (size_t)n * (size_t)limit + i;
        memcpy(run->out[1].floats + 4 * to, boxes[found[i].place % sizes[1]], sizeof *boxes);
        run->out[2].floats[to] = found[i].value;
        run->out[3].wholes[to] = found[i].place / sizes[1];
    }
fail:
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
