/* boxes.c: det/boxes.h. */
#include "det/boxes.h"

#include <math.h>

#include "base/arguments.h"
#include "base/context.h"
#include "detect/collect.h"
#include "model/inference.h"
#include "model/nms.h"
#include "model/spec_anchors.h"
#include "model/targets.h"
#include "support/mem.h"

det_status det_model_anchors(det_context *context, const det_model *model, float *anchors)
{
    struct det_env *env = det_context_env(context);
    float(*made)[4] = NULL;
    int32_t count = 0;
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, anchors);
    DET_TRY_RETURN(det_spec_anchors(env, &model->spec, &made, &count));
    memcpy(anchors, made, (size_t)count * sizeof *made);
    det_free(env, &made);
    return DET_OK;
}

/* --- encodings --- */

static det_status take_scales(struct det_env *env, const float *scales, struct det_box_coder *coder)
{
    *coder = DET_BOX_CODER_DEFAULT;
    if (scales == NULL)
        return DET_OK;
    for (int k = 0; k < 4; k++)
        if (!(scales[k] > 0 && isfinite(scales[k])))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "boxes: scale %d of encodings is %g, expected a positive number", k,
                            (double)scales[k]);
    *coder = (struct det_box_coder){scales[0], scales[1], scales[2], scales[3]};
    return DET_OK;
}

det_status det_boxes_encode(det_context *context, const float *scales, const float *boxes,
                            const float *anchors, size_t count, float *encodings)
{
    struct det_env *env = det_context_env(context);
    struct det_box_coder coder;
    DET_NEED(env, context);
    DET_NEED_ARRAY(env, boxes, count);
    DET_NEED_ARRAY(env, anchors, count);
    DET_NEED_ARRAY(env, encodings, count);
    DET_TRY_RETURN(take_scales(env, scales, &coder));
    for (size_t i = 0; i < count; i++)
        det_box_encode(&coder, boxes + 4 * i, anchors + 4 * i, encodings + 4 * i);
    return DET_OK;
}

det_status det_boxes_decode(det_context *context, const float *scales, const float *encodings,
                            const float *anchors, size_t count, float *boxes)
{
    struct det_env *env = det_context_env(context);
    struct det_box_coder coder;
    DET_NEED(env, context);
    DET_NEED_ARRAY(env, encodings, count);
    DET_NEED_ARRAY(env, anchors, count);
    DET_NEED_ARRAY(env, boxes, count);
    DET_TRY_RETURN(take_scales(env, scales, &coder));
    for (size_t i = 0; i < count; i++)
        det_box_decode(&coder, encodings + 4 * i, anchors + 4 * i, boxes + 4 * i);
    return DET_OK;
}

/* --- overlaps --- */

det_status det_boxes_iou(det_context *context, const float *first, size_t first_count,
                         const float *second, size_t second_count, float *iou)
{
    struct det_env *env = det_context_env(context);
    const size_t any = first_count > 0 && second_count > 0 ? 1 : 0;
    DET_NEED(env, context);
    DET_NEED_ARRAY(env, first, first_count);
    DET_NEED_ARRAY(env, second, second_count);
    DET_NEED_ARRAY(env, iou, any);
    for (size_t i = 0; i < first_count; i++)
        for (size_t k = 0; k < second_count; k++)
            iou[i * second_count + k] = det_box_iou(first + 4 * i, second + 4 * k);
    return DET_OK;
}

/* The box with its corners in order; false when it is not finite. */
static bool take_box(const float box[4], float taken[4])
{
    for (int c = 0; c < 2; c++) {
        taken[c] = fminf(box[c], box[c + 2]);
        taken[c + 2] = fmaxf(box[c], box[c + 2]);
    }
    return isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) && isfinite(box[3]);
}

static det_status check_thresholds(struct det_env *env, float score_threshold, float iou_threshold,
                                   int32_t limit)
{
    if (!(score_threshold >= 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "boxes: score_threshold is %g, expected 0 or more",
                        (double)score_threshold);
    if (!(iou_threshold >= 0 && iou_threshold <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "boxes: iou_threshold is %g, expected 0 to 1", (double)iou_threshold);
    if (limit < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "boxes: got a limit of %d, expected 1 or more", limit);
    return DET_OK;
}

det_status det_boxes_suppress(det_context *context, const float *boxes, const float *scores,
                              size_t count, float score_threshold, float iou_threshold,
                              int32_t limit, int32_t *kept, size_t *kept_count)
{
    struct det_env *env = det_context_env(context);
    float(*taken)[4] = NULL;
    uint64_t *heap = NULL;
    size_t candidates = 0;
    det_status status = DET_OK;
    if (kept_count != NULL)
        *kept_count = 0;
    DET_NEED(env, context);
    DET_NEED_ARRAY(env, boxes, count);
    DET_NEED_ARRAY(env, scores, count);
    DET_NEED_ARRAY(env, kept, count);
    DET_NEED(env, kept_count);
    DET_TRY_RETURN(check_thresholds(env, score_threshold, iou_threshold, limit));
    if (count > INT32_MAX)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "boxes: %zu boxes to suppress, expected at most %d", count, INT32_MAX);
    if (count == 0)
        return DET_OK;
    DET_TRY(det_alloc_raw(env, &taken, count, sizeof *taken, "boxes"));
    DET_TRY(det_alloc_raw(env, &heap, count, sizeof *heap, "scores"));
    for (size_t i = 0; i < count; i++)
        if (take_box(boxes + 4 * i, taken[i]) && scores[i] > score_threshold)
            heap[candidates++] = det_score_key(scores[i], (uint32_t)i);
    *kept_count =
        (size_t)det_nms(heap, candidates, (const float(*)[4])taken, iou_threshold, limit, kept);
fail:
    det_free(env, &taken);
    det_free(env, &heap);
    return status;
}

/* --- all of it --- */

static det_nms_settings settings_from(const struct det_postprocess_settings *p)
{
    return (det_nms_settings){
        .score_threshold = p->score_threshold,
        .iou_threshold = p->iou_threshold,
        .max_per_class = p->max_detections_per_class,
        .max_detections = p->max_total_detections,
        .scales = {p->coder.y_scale, p->coder.x_scale, p->coder.height_scale, p->coder.width_scale},
    };
}

void det_nms_settings_init(det_nms_settings *settings, size_t struct_size)
{
    struct det_postprocess_settings p;
    det_postprocess_settings_default(&p);
    const det_nms_settings defaults = settings_from(&p);
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

det_status det_model_nms_settings(det_context *context, const det_model *model,
                                  det_nms_settings *settings)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED_REPORT(env, det_nms_settings, settings);
    const struct det_postprocess_settings p = det_spec_postprocess(&model->spec);
    const det_nms_settings of_model = settings_from(&p);
    det_fill_report(settings, &of_model, sizeof of_model);
    return DET_OK;
}

static det_status check_finite(struct det_env *env, const char *what, const float *values,
                               size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows * columns; i++)
        if (!isfinite(values[i]))
            return det_fail(env, DET_STATUS_NON_FINITE, "boxes: %s of anchor %zu is %g", what,
                            i / columns, (double)values[i]);
    return DET_OK;
}

static det_status check_anchors(struct det_env *env, const float *anchors, size_t count)
{
    for (size_t i = 0; i < 4 * count; i++)
        if (!isfinite(anchors[i]) || (i % 4 < 2 && !(anchors[i] <= anchors[i + 2])))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "boxes: anchor %zu is not finite, or its corners are not in order",
                            i / 4);
    return DET_OK;
}

static det_status check_window(struct det_env *env, const float window[4])
{
    for (int c = 0; c < 4; c++)
        if (!isfinite(window[c]) || !(window[c % 2] < window[c % 2 + 2]))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "boxes: the window is %g, %g, %g, %g, expected ymin < ymax, xmin < "
                            "xmax",
                            (double)window[0], (double)window[1], (double)window[2],
                            (double)window[3]);
    return DET_OK;
}

det_status det_boxes_postprocess(det_context *context, const det_nms_settings *settings,
                                 const float *logits, const float *encodings, const float *anchors,
                                 int32_t anchor_count, int32_t class_count, const float *window,
                                 det_detection *detections, size_t *count)
{
    static const float whole[4] = {0, 0, 1, 1};
    struct det_env *env = det_context_env(context);
    struct det_postprocess_settings p;
    struct det_postprocess *postprocess = NULL;
    det_nms_settings taken;
    if (count != NULL)
        *count = 0;
    DET_NEED(env, context);
    DET_NEED(env, logits);
    DET_NEED(env, encodings);
    DET_NEED(env, anchors);
    DET_NEED(env, detections);
    DET_NEED(env, count);
    det_nms_settings_default(&taken);
    DET_TRY_RETURN(DET_TAKE(env, det_nms_settings, &taken, settings));
    det_postprocess_settings_default(&p);
    DET_TRY_RETURN(check_thresholds(env, taken.score_threshold, taken.iou_threshold, 1));
    DET_TRY_RETURN(take_scales(env, taken.scales, &p.coder));
    if (window == NULL)
        window = whole;
    DET_TRY_RETURN(check_window(env, window));
    p.score_threshold = taken.score_threshold;
    p.iou_threshold = taken.iou_threshold;
    p.max_detections_per_class = taken.max_per_class;
    p.max_total_detections = taken.max_detections;
    DET_TRY_RETURN(det_postprocess_create(env, &p, (const float(*)[4])(const void *)anchors,
                                          anchor_count, class_count, det_context_pool(context),
                                          &postprocess));
    const size_t rows = (size_t)anchor_count;
    det_status status = check_anchors(env, anchors, rows);
    if (status == DET_OK)
        status = check_finite(env, "an encoding", encodings, rows, 4);
    if (status == DET_OK)
        status = check_finite(env, "a logit", logits, rows, (size_t)class_count + 1);
    if (status == DET_OK)
        *count =
            det_collect(det_postprocess_run(postprocess, logits, encodings, window), detections);
    det_postprocess_destroy(env, &postprocess);
    return status;
}
