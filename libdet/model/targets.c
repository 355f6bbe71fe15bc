#include "model/targets.h"

#include <math.h>

#include "support/mem.h"

/* Anchors a task looks at. The partition depends on A only, never on the number of threads. */
#define CHUNK 2048

void det_target_settings_default(struct det_target_settings *settings)
{
    *settings = (struct det_target_settings){
        .matched_threshold = 0.5f,
        .unmatched_threshold = 0.5f,
        .negatives_lower_than_unmatched = true,
        .force_match_for_each_row = true,
        .unmatched_class_weight = 1,
        .coder = DET_BOX_CODER_DEFAULT,
    };
}

static float area_of(const float box[4])
{
    return (box[2] - box[0]) * (box[3] - box[1]);
}

static float least(float a, float b)
{
    return a < b ? a : b;
}

static float most(float a, float b)
{
    return a > b ? a : b;
}

static float iou_of(const float a[4], float area_a, const float b[4], float area_b)
{
    const float height = least(a[2], b[2]) - most(a[0], b[0]);
    const float width = least(a[3], b[3]) - most(a[1], b[1]);
    if (!(height > 0) || !(width > 0))
        return 0;
    const float shared = height * width;
    return shared == 0 ? 0 : shared / (area_a + area_b - shared);
}

float det_box_iou(const float a[4], const float b[4])
{
    return iou_of(a, area_of(a), b, area_of(b));
}

static int32_t chunk_count(const struct det_targets *targets)
{
    return (targets->anchor_count + CHUNK - 1) / CHUNK;
}

det_status det_target_settings_check(struct det_env *env,
                                     const struct det_target_settings *settings)
{
    if (!settings->ignore_thresholds &&
        !(settings->unmatched_threshold <= settings->matched_threshold))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "matcher: unmatched_threshold %g is above matched_threshold %g",
                        (double)settings->unmatched_threshold, (double)settings->matched_threshold);
    if (!settings->ignore_thresholds && !settings->negatives_lower_than_unmatched &&
        settings->unmatched_threshold == settings->matched_threshold)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "matcher: negatives_lower_than_unmatched: false needs different thresholds"
                        ", both are %g",
                        (double)settings->matched_threshold);
    const struct det_box_coder *coder = &settings->coder;
    if (!(coder->y_scale > 0 && coder->x_scale > 0 && coder->height_scale > 0 &&
          coder->width_scale > 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "box coder: got scales %g %g %g %g, expected positive numbers",
                        (double)coder->y_scale, (double)coder->x_scale, (double)coder->height_scale,
                        (double)coder->width_scale);
    return DET_OK;
}

det_status det_targets_create(struct det_env *env, const struct det_target_settings *settings,
                              const float (*anchors)[4], int32_t anchor_count, int32_t class_count,
                              int32_t images_max, struct det_targets **out)
{
    *out = NULL;
    DET_TRY_RETURN(det_target_settings_check(env, settings));
    if (anchor_count < 1 || class_count < 1 || images_max < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "targets: got %d anchors, %d classes, %d images, expected at least 1 each",
                        anchor_count, class_count, images_max);
    det_status status = DET_OK;
    struct det_targets *targets = NULL;
    DET_TRY_RETURN(det_alloc(env, &targets, 1, sizeof *targets, "targets"));
    targets->settings = *settings;
    targets->anchors = anchors;
    targets->anchor_count = anchor_count;
    targets->class_count = class_count;
    targets->images_max = images_max;
    const size_t rows = (size_t)images_max * (size_t)anchor_count; /* both below 2^31 */
    const size_t chunks = (size_t)images_max * (size_t)chunk_count(targets);
    DET_TRY(det_alloc(env, &targets->matched, rows, sizeof *targets->matched, "targets"));
    DET_TRY(det_alloc(env, &targets->class_index, rows, sizeof *targets->class_index, "targets"));
    DET_TRY(det_alloc(env, &targets->class_weight, rows, sizeof(float), "targets"));
    DET_TRY(det_alloc(env, &targets->box_weight, rows, sizeof(float), "targets"));
    DET_TRY(det_alloc(env, &targets->encodings, rows, sizeof *targets->encodings, "targets"));
    DET_TRY(det_alloc(env, &targets->weight_partial, chunks, sizeof(double), "targets"));
    DET_TRY(det_alloc(env, &targets->count_partial, chunks, sizeof(int64_t), "targets"));
    *out = targets;
    return DET_OK;
fail:
    det_targets_destroy(env, &targets);
    return status;
}

void det_targets_destroy(struct det_env *env, struct det_targets **out)
{
    struct det_targets *targets = *out;
    if (targets == NULL)
        return;
    det_free(env, &targets->matched);
    det_free(env, &targets->class_index);
    det_free(env, &targets->class_weight);
    det_free(env, &targets->box_weight);
    det_free(env, &targets->encodings);
    det_free(env, &targets->best);
    det_free(env, &targets->weight_partial);
    det_free(env, &targets->count_partial);
    det_free(env, out);
}

struct job {
    struct det_targets *targets;
    const struct det_ground_truth *truths;
    size_t best_stride; /* ground truths there is room for in each chunk */
};

struct part {
    int32_t image, begin, end; /* anchors begin..end-1 */
    const struct det_ground_truth *truth;
    size_t row; /* of anchor 0 of the image in the [N][A] arrays */
};

static struct part part_of(const struct job *job, int32_t task)
{
    const struct det_targets *targets = job->targets;
    const int32_t chunks = chunk_count(targets), image = task / chunks;
    const int32_t begin = task % chunks * CHUNK;
    const int32_t rest = targets->anchor_count - begin;
    return (struct part){image, begin, begin + (rest < CHUNK ? rest : CHUNK), &job->truths[image],
                         (size_t)image * (size_t)targets->anchor_count};
}

static int32_t match_of(const struct det_target_settings *settings, int32_t gt, float iou)
{
    if (settings->ignore_thresholds || iou >= settings->matched_threshold)
        return gt;
    const bool below = iou < settings->unmatched_threshold;
    return below == settings->negatives_lower_than_unmatched ? DET_MATCH_BACKGROUND
                                                             : DET_MATCH_IGNORED;
}

static void match_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    struct det_targets *targets = job->targets;
    const struct part part = part_of(job, task);
    const struct det_ground_truth *truth = part.truth;
    struct det_gt_best *best = targets->best + (size_t)task * job->best_stride;
    for (int32_t g = 0; g < truth->count; g++)
        best[g] = (struct det_gt_best){-1, part.begin};
    for (int32_t a = part.begin; a < part.end; a++) {
        const float *anchor = targets->anchors[a];
        const float area = area_of(anchor);
        int32_t gt = 0;
        float highest = -1;
        for (int32_t g = 0; g < truth->count; g++) {
            const float *box = truth->boxes[g];
            const float iou = iou_of(box, area_of(box), anchor, area);
            if (iou > highest) {
                highest = iou;
                gt = g;
            }
            if (iou > best[g].iou)
                best[g] = (struct det_gt_best){iou, a};
        }
        targets->matched[part.row + (size_t)a] =
            truth->count == 0 ? DET_MATCH_BACKGROUND : match_of(&targets->settings, gt, highest);
    }
}

/* From the last box to the first, so that the lowest has the last word. */
static void force_matches(const struct job *job, int32_t image)
{
    struct det_targets *targets = job->targets;
    const struct det_ground_truth *truth = &job->truths[image];
    const int32_t chunks = chunk_count(targets);
    const size_t row = (size_t)image * (size_t)targets->anchor_count;
    for (int32_t g = truth->count - 1; g >= 0; g--) {
        if (!(truth->weight[g] > 0))
            continue;
        struct det_gt_best best = {-1, 0};
        for (int32_t c = 0; c < chunks; c++) {
            const size_t place = ((size_t)image * (size_t)chunks + (size_t)c) * job->best_stride;
            if (targets->best[place + (size_t)g].iou > best.iou)
                best = targets->best[place + (size_t)g];
        }
        targets->matched[row + (size_t)best.anchor] = g;
    }
}

static void encode_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    struct det_targets *targets = job->targets;
    const struct part part = part_of(job, task);
    const struct det_ground_truth *truth = part.truth;
    double weight_sum = 0;
    int64_t count = 0;
    for (int32_t a = part.begin; a < part.end; a++) {
        const size_t i = part.row + (size_t)a;
        const int32_t gt = targets->matched[i];
        float *encoding = targets->encodings[i];
        if (gt >= 0) {
            targets->class_index[i] = truth->class_index[gt];
            targets->class_weight[i] = targets->box_weight[i] = truth->weight[gt];
            det_box_encode(&targets->settings.coder, truth->boxes[gt], targets->anchors[a],
                           encoding);
            weight_sum += (double)truth->weight[gt];
            count++;
        } else {
            targets->class_index[i] = -1;
            targets->class_weight[i] =
                gt == DET_MATCH_BACKGROUND ? targets->settings.unmatched_class_weight : 0;
            targets->box_weight[i] = 0;
            for (int k = 0; k < 4; k++)
                encoding[k] = 0;
        }
    }
    targets->weight_partial[task] = weight_sum;
    targets->count_partial[task] = count;
}

static det_status check_truth(struct det_env *env, const struct det_ground_truth *truth,
                              int32_t image, int32_t class_count)
{
    for (int32_t g = 0; g < truth->count; g++) {
        const float *box = truth->boxes[g];
        if (truth->class_index[g] < 0 || truth->class_index[g] >= class_count)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "image %d of the batch, object %d: class index %d, expected 0 to %d",
                            image, g, truth->class_index[g], class_count - 1);
        if (!isfinite(box[0]) || !isfinite(box[1]) || !isfinite(box[2]) || !isfinite(box[3]))
            return det_fail(env, DET_STATUS_NON_FINITE,
                            "image %d of the batch, object %d: box %g %g %g %g is not finite",
                            image, g, (double)box[0], (double)box[1], (double)box[2],
                            (double)box[3]);
        if (!isfinite(truth->weight[g]) || truth->weight[g] < 0)
            return det_fail(env, DET_STATUS_NON_FINITE,
                            "image %d of the batch, object %d: weight %g, expected 0 or more",
                            image, g, (double)truth->weight[g]);
    }
    return DET_OK;
}

det_status det_truths_check(struct det_env *env, const struct det_ground_truth *truths,
                            int32_t images, int32_t class_count)
{
    for (int32_t n = 0; n < images; n++)
        DET_TRY_RETURN(check_truth(env, &truths[n], n, class_count));
    return DET_OK;
}

det_status det_targets_assign(struct det_env *env, struct det_targets *targets,
                              struct det_pool *pool, const struct det_ground_truth *truths,
                              int32_t images)
{
    targets->images = 0;
    targets->matched_count = 0;
    targets->box_weight_sum = 0;
    if (images < 1 || images > targets->images_max)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "targets: got %d images, expected 1 to %d", images, targets->images_max);
    struct job job = {targets, truths, 1};
    DET_TRY_RETURN(det_truths_check(env, truths, images, targets->class_count));
    for (int32_t n = 0; n < images; n++) {
        if ((size_t)truths[n].count > job.best_stride)
            job.best_stride = (size_t)truths[n].count;
    }
    const int32_t chunks = chunk_count(targets), tasks = images * chunks;
    DET_TRY_RETURN(det_grow(env, &targets->best, &targets->best_capacity,
                            (size_t)tasks * job.best_stride, sizeof *targets->best, "targets"));
    det_pool_run(pool, tasks, match_task, &job);
    if (targets->settings.force_match_for_each_row)
        for (int32_t n = 0; n < images; n++)
            force_matches(&job, n);
    det_pool_run(pool, tasks, encode_task, &job);
    for (int32_t t = 0; t < tasks; t++) {
        targets->box_weight_sum += targets->weight_partial[t];
        targets->matched_count += targets->count_partial[t];
    }
    targets->images = images;
    return DET_OK;
}
