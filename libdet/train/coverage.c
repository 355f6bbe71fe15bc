#include "train/coverage.h"

#include "data/resize.h"
#include "model/spec_anchors.h"
#include "model/targets.h"
#include "support/mem.h"
#include "train/learner.h"

struct job {
    const float (*anchors)[4];
    int32_t anchor_count;
    const float (*boxes)[4];
    float *best;
};

static void best_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    float best = 0;
    for (int32_t a = 0; a < job->anchor_count; a++) {
        const float iou = det_box_iou(job->boxes[task], job->anchors[a]);
        best = iou > best ? iou : best;
    }
    job->best[task] = best;
}

/* What the resize makes of a box of an image: a padded frame makes it smaller. */
static void to_frame(const struct det_model_spec *spec, const struct det_dataset_entry *entry,
                     float box[4])
{
    if (spec->resize_mode != DET_RESIZE_KEEP_ASPECT || entry->height_px < 1 || entry->width_px < 1)
        return;
    int32_t height, width;
    det_keep_aspect_size(entry->height_px, entry->width_px, spec->min_dimension,
                         spec->max_dimension, &height, &width);
    for (int c = 0; c < 4; c++)
        box[c] *= c % 2 == 0 ? (float)height / (float)spec->max_dimension
                             : (float)width / (float)spec->max_dimension;
}

/* Every n-th box of the data; returns how many. */
static size_t pick(const struct det_model_spec *spec, const struct det_dataset *data, size_t most,
                   float (*boxes)[4])
{
    const size_t all = data->counts.boxes, stride = all / most + (all % most != 0);
    size_t seen = 0, count = 0;
    for (size_t i = 0; i < data->count; i++) {
        const struct det_dataset_entry *entry = &data->entries[i];
        for (int32_t k = 0; k < entry->object_count; k++, seen++) {
            if (seen % stride != 0 || count == most)
                continue;
            const float *box = data->objects.boxes[entry->first_object + k];
            for (int c = 0; c < 4; c++)
                boxes[count][c] = box[c];
            to_frame(spec, entry, boxes[count++]);
        }
    }
    return count;
}

det_status det_coverage_measure(struct det_env *env, struct det_pool *pool,
                                const struct det_model_spec *spec, const struct det_dataset *data,
                                float threshold, size_t most, struct det_coverage *coverage)
{
    float(*anchors)[4] = NULL, (*boxes)[4] = NULL, *best = NULL;
    int32_t anchor_count = 0;
    det_status status = DET_OK;
    *coverage = (struct det_coverage){0};
    if (data->counts.boxes == 0)
        return DET_OK;
    most = most < data->counts.boxes ? most : data->counts.boxes;
    DET_TRY(det_spec_anchors(env, spec, &anchors, &anchor_count));
    DET_TRY(det_alloc(env, &boxes, most, sizeof *boxes, "boxes to compare with the anchors"));
    DET_TRY(det_alloc(env, &best, most, sizeof *best, "boxes to compare with the anchors"));
    coverage->boxes = pick(spec, data, most, boxes);
    struct job job = {(const float(*)[4])anchors, anchor_count, (const float(*)[4])boxes, best};
    det_pool_run(pool, (int32_t)coverage->boxes, best_task, &job);
    for (size_t i = 0; i < coverage->boxes; i++) {
        coverage->covered += best[i] >= threshold;
        coverage->mean_iou += (double)best[i] / (double)coverage->boxes;
    }
fail:
    det_free(env, &anchors);
    det_free(env, &boxes);
    det_free(env, &best);
    return status;
}
