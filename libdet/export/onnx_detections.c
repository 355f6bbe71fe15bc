#include <stdio.h>

#include "export/onnx_parts.h"
#include "support/mem.h"

void det_onnx_put_output(struct det_onnx_job *o, int32_t value, enum det_onnx_type type,
                         int32_t dims, int64_t second, int64_t third)
{
    static const char *const names[3] = {"batch", NULL, NULL};
    det_onnx_output(o->onnx, value, type, dims, (const int64_t[]){o->batch, second, third}, names);
}

int32_t det_onnx_vector(struct det_onnx *onnx, const char *name, int32_t count, const float *values)
{
    return det_onnx_floats(onnx, name, 1, (const int64_t[]){count}, values);
}

int32_t det_onnx_slice(struct det_onnx *onnx, int32_t x, int64_t axis, int64_t begin, int64_t end,
                       const char *name)
{
    char names[3][64];
    const int64_t values[3] = {begin, end, axis};
    static const char *const parts[3] = {"begin", "end", "axis"};
    int32_t inputs[4] = {x};
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "slice/%s_%d", parts[i], onnx->node_count);
        inputs[i + 1] = det_onnx_wholes(onnx, names[i], 1, &values[i]);
    }
    det_onnx_open(onnx, "Slice", 4, inputs);
    return det_onnx_close(onnx, name);
}

/* --- decoding (model/box_coder.h) --- */

/* Constants of the anchors, all [A, 2]: centre, size, size / scale of the encodings of the centre,
 * and 1 / scale of those of the size, which is one number where both scales are the same: OpenCV
 * before 4.7 multiplies by nothing else. */
struct anchor_values {
    int32_t center, size, step, share;
};

static struct anchor_values put_anchors(struct det_onnx_job *o)
{
    struct det_onnx *onnx = o->onnx;
    const struct det_inference *inference = &o->job->inference;
    const struct det_box_coder *coder = &inference->postprocess.coder;
    const float scales[2] = {coder->y_scale, coder->x_scale};
    const float size_scales[2] = {coder->height_scale, coder->width_scale};
    const int32_t share_dims = size_scales[0] == size_scales[1] ? 0 : 2;
    const size_t anchors = (size_t)inference->anchor_count, count = 2 * anchors;
    const int64_t shape[2] = {inference->anchor_count, 2};
    struct anchor_values values = {DET_ONNX_NO_VALUE, DET_ONNX_NO_VALUE, DET_ONNX_NO_VALUE,
                                   DET_ONNX_NO_VALUE};
    float *memory = NULL;
    if (onnx->status == DET_OK)
        onnx->status = det_alloc_raw(onnx->env, &memory, 4 * count, sizeof *memory, "anchors");
    if (onnx->status != DET_OK)
        return values;
    float *center = memory, *size = center + count, *step = size + count, *share = step + count;
    for (size_t i = 0; i < count; i++) {
        const float *box = inference->anchors[i / 2];
        size[i] = box[2 + i % 2] - box[i % 2];
        center[i] = box[i % 2] + size[i] / 2;
        step[i] = size[i] / scales[i % 2];
        share[i] = 1 / size_scales[i % 2];
    }
    values.center = det_onnx_floats(onnx, DET_ONNX_ANCHORS "/center", 2, shape, center);
    values.size = det_onnx_floats(onnx, DET_ONNX_ANCHORS "/size", 2, shape, size);
    values.step = det_onnx_floats(onnx, DET_ONNX_ANCHORS "/step", 2, shape, step);
    values.share = det_onnx_floats(onnx, "box_coder/size_scale", share_dims, shape, share);
    det_free(onnx->env, &memory);
    return values;
}

int32_t det_onnx_put_boxes(struct det_onnx_job *o, int32_t encodings)
{
    enum { LOG_SIZE_AT_MOST = 80 }; /* as det_box_decode() */
    struct det_onnx *onnx = o->onnx;
    const struct anchor_values anchors = put_anchors(o);
    const int32_t place = det_onnx_slice(onnx, encodings, 2, 0, 2, NULL);
    const int32_t log_size = det_onnx_slice(onnx, encodings, 2, 2, 4, NULL);
    const int32_t center = det_onnx_binary(
        onnx, "Add", det_onnx_binary(onnx, "Mul", place, anchors.step), anchors.center);
    const int32_t scaled = det_onnx_binary(onnx, "Mul", log_size, anchors.share);
    const struct det_onnx_bounds limits = det_onnx_put_bounds(
        onnx, "box_coder/least", -LOG_SIZE_AT_MOST, "box_coder/most", LOG_SIZE_AT_MOST);
    const int32_t factor = det_onnx_unary(onnx, "Exp", det_onnx_clip(onnx, scaled, &limits));
    const int32_t size = det_onnx_binary(onnx, "Mul", factor, anchors.size);
    const int32_t half =
        det_onnx_binary(onnx, "Mul", size, det_onnx_float(onnx, "box_coder/half", 0.5F));
    const int32_t corners[2] = {det_onnx_binary(onnx, "Sub", center, half),
                                det_onnx_binary(onnx, "Add", center, half)};
    return det_onnx_concat(onnx, 2, corners, 2, DET_ONNX_BOXES);
}

/* --- suppression --- */

static int32_t gather_column(struct det_onnx *onnx, int32_t x, int32_t column)
{
    return det_onnx_gather(onnx, x, column, 1);
}

/* Boxes [M, 4] clipped to the window and moved to its frame; *area [M]. */
static int32_t place_boxes(struct det_onnx_job *o, int32_t boxes, int32_t first, int32_t second,
                           int32_t *area)
{
    struct det_onnx *onnx = o->onnx;
    int32_t far = DET_ONNX_NO_VALUE;
    if (o->window == DET_ONNX_NO_VALUE) {
        const struct det_onnx_bounds frame =
            det_onnx_put_bounds(onnx, "window/low", 0, "window/high", 1);
        boxes = det_onnx_clip(onnx, boxes, &frame);
    } else {
        const int32_t zero = det_onnx_float(onnx, "window/low", 0);
        const int32_t corner = det_onnx_slice(onnx, o->window, 0, 2, 4, NULL);
        far = det_onnx_concat(onnx, 2, (const int32_t[]){corner, corner}, 0, NULL);
        boxes = det_onnx_binary(onnx, "Max", det_onnx_binary(onnx, "Min", boxes, far), zero);
    }
    const int32_t low = det_onnx_slice(onnx, boxes, 1, 0, 2, NULL);
    const int32_t high = det_onnx_slice(onnx, boxes, 1, 2, 4, NULL);
    const int32_t size = det_onnx_binary(onnx, "Sub", high, low);
    const int32_t height = gather_column(onnx, size, first);
    *area = det_onnx_binary(onnx, "Mul", height, gather_column(onnx, size, second));
    return far == DET_ONNX_NO_VALUE ? boxes : det_onnx_binary(onnx, "Div", boxes, far);
}

/* Places of the images as floats, [N, 1]. */
static int32_t put_images(struct det_onnx_job *o, int32_t scores, int32_t first)
{
    struct det_onnx *onnx = o->onnx;
    const int32_t column = det_onnx_wholes(onnx, "images/column", 2, (const int64_t[]){-1, 1});
    int32_t count = DET_ONNX_NO_VALUE;
    if (o->batch == DET_ONNX_FREE)
        count = det_onnx_gather(onnx, det_onnx_unary(onnx, "Shape", scores), first, 0);
    else
        count = det_onnx_wholes(onnx, "images/count", -1, &o->batch);
    const int32_t one = det_onnx_wholes(onnx, "images/step", -1, (const int64_t[]){1});
    det_onnx_open(onnx, "Range", 3, (const int32_t[]){first, count, one});
    const int32_t places = det_onnx_cast(onnx, det_onnx_close(onnx, NULL), DET_ONNX_FLOAT);
    return det_onnx_binary(onnx, "Reshape", places, column);
}

/* An initialiser of one value, [T] or [T, width]. */
static int32_t put_rest(struct det_onnx_job *o, const char *name, float value, int32_t width)
{
    struct det_onnx *onnx = o->onnx;
    const int64_t shape[2] = {det_onnx_most_detections(o->job), width};
    const size_t count = (size_t)shape[0] * (size_t)(width == 0 ? 1 : width);
    float *rest = NULL;
    if (onnx->status == DET_OK)
        onnx->status = det_alloc_raw(onnx->env, &rest, count, sizeof *rest, "onnx constants");
    if (onnx->status != DET_OK)
        return DET_ONNX_NO_VALUE;
    for (size_t i = 0; i < count; i++)
        rest[i] = value;
    const int32_t constant = det_onnx_floats(onnx, name, width == 0 ? 1 : 2, shape, rest);
    det_free(onnx->env, &rest);
    return constant;
}

static int32_t join(struct det_onnx *onnx, int32_t a, int32_t b, int64_t axis)
{
    return det_onnx_concat(onnx, 2, (const int32_t[]){a, b}, axis, NULL);
}

static int32_t put_where(struct det_onnx *onnx, int32_t condition, int32_t yes, int32_t no)
{
    det_onnx_open(onnx, "Where", 3, (const int32_t[]){condition, yes, no});
    return det_onnx_close(onnx, NULL);
}

/* Rows (image, class, anchor) of all images, by image, class, falling score. */
static int32_t put_nms(struct det_onnx_job *o, int32_t boxes, int32_t by_class)
{
    struct det_onnx *onnx = o->onnx;
    const struct det_postprocess_settings *p = &o->job->inference.postprocess;
    const int64_t per_class[1] = {p->max_detections_per_class};
    const int32_t inputs[5] = {
        boxes, by_class, det_onnx_wholes(onnx, "nms/max_detections_per_class", 1, per_class),
        det_onnx_vector(onnx, "nms/iou_threshold", 1, &p->iou_threshold),
        det_onnx_vector(onnx, "nms/score_threshold", 1, &p->score_threshold)};
    det_onnx_open(onnx, "NonMaxSuppression", 5, inputs);
    return det_onnx_close(onnx, NULL);
}

/* What is known of each row of the suppression, [M]; boxes [M, 4]. */
struct rows {
    int32_t image, class_index, score, boxes;
};

static struct rows put_rows(struct det_onnx_job *o, int32_t boxes, int32_t scores, int32_t first,
                            int32_t none)
{
    struct det_onnx *onnx = o->onnx;
    const int32_t second = det_onnx_wholes(onnx, "columns/1", -1, (const int64_t[]){1});
    const int32_t outer = det_onnx_wholes(onnx, "columns/0_2", 2, (const int64_t[]){0, 2});
    det_onnx_open(onnx, "Transpose", 1, &scores);
    det_onnx_put_ints(onnx, "perm", 3, (const int64_t[]){0, 2, 1});
    const int32_t by_class = det_onnx_close(onnx, NULL);
    const int32_t found = put_nms(o, boxes, by_class);
    const int32_t anchor = det_onnx_gather(onnx, found, outer, 1);
    struct rows rows = {
        .image = det_onnx_cast(onnx, gather_column(onnx, found, first), DET_ONNX_FLOAT),
        .class_index = det_onnx_cast(onnx, gather_column(onnx, found, second), DET_ONNX_FLOAT),
        .score = det_onnx_binary(onnx, "GatherND", by_class, found)};
    int32_t area = DET_ONNX_NO_VALUE;
    rows.boxes =
        place_boxes(o, det_onnx_binary(onnx, "GatherND", boxes, anchor), first, second, &area);
    const int32_t has_area =
        det_onnx_binary(onnx, "Greater", area, det_onnx_float(onnx, "rank/no_area", 0));
    rows.score = put_where(onnx, has_area, rows.score, none);
    return rows;
}

/* Each image's best are the largest in its row of a matrix [N, M + T]: scores, -1 where they are
 * another image's or nothing of the box is in the picture, and T times -1/2, for places that stay
 * empty. */
void det_onnx_put_detections(struct det_onnx_job *o, int32_t boxes, int32_t scores)
{
    struct det_onnx *onnx = o->onnx;
    const int64_t limit = det_onnx_most_detections(o->job);
    const int32_t first = det_onnx_wholes(onnx, "columns/0", -1, (const int64_t[]){0});
    const int32_t zero = det_onnx_float(onnx, "rank/zero", 0);
    const int32_t none = det_onnx_float(onnx, "rank/none", -1);
    const struct rows rows = put_rows(o, boxes, scores, first, none);
    const int32_t images = put_images(o, scores, first);
    const int32_t own =
        put_where(onnx, det_onnx_binary(onnx, "Equal", images, rows.image), rows.score, none);
    const int32_t zeros = det_onnx_binary(onnx, "Mul", images, zero);
    const int32_t empty = det_onnx_binary(onnx, "Add", zeros, put_rest(o, "rank/empty", -0.5F, 0));
    const int32_t inputs[2] = {join(onnx, own, empty, 1),
                               det_onnx_wholes(onnx, "rank/limit", 1, &limit)};
    int32_t best[2] = {DET_ONNX_NO_VALUE, DET_ONNX_NO_VALUE};
    det_onnx_open(onnx, "TopK", 2, inputs);
    det_onnx_close_many(onnx, 2, (const char *const[]){"rank/scores", "rank/rows"}, best);

    const int32_t found = det_onnx_cast(
        onnx, det_onnx_binary(onnx, "Greater", best[0], det_onnx_float(onnx, "rank/found", -0.25F)),
        DET_ONNX_FLOAT);
    det_onnx_open(
        onnx, "ReduceSum", 2,
        (const int32_t[]){found, det_onnx_wholes(onnx, "rank/axis", 1, (const int64_t[]){1})});
    det_onnx_put_int(onnx, "keepdims", 0);
    const int32_t counts = det_onnx_close(onnx, "num_detections");
    const int32_t all_boxes = join(onnx, rows.boxes, put_rest(o, "rank/no_boxes", 0, 4), 0);
    det_onnx_open(onnx, "Gather", 2, (const int32_t[]){all_boxes, best[1]});
    det_onnx_put_int(onnx, "axis", 0);
    const int32_t detection_boxes = det_onnx_close(onnx, "detection_boxes");
    det_onnx_open(onnx, "Max", 2, (const int32_t[]){best[0], zero});
    const int32_t detection_scores = det_onnx_close(onnx, "detection_scores");
    /* The first id where nothing is, as the API has it. */
    const int32_t all_classes =
        join(onnx, rows.class_index, put_rest(o, "rank/no_classes", 0, 0), 0);
    const int32_t class_indices = det_onnx_gather(onnx, all_classes, best[1], 0);
    det_onnx_open(onnx, "Add", 2,
                  (const int32_t[]){class_indices, det_onnx_float(onnx, "rank/first_id", 1)});
    const int32_t detection_classes = det_onnx_close(onnx, "detection_classes");
    det_onnx_put_output(o, counts, DET_ONNX_FLOAT, 1, 0, 0);
    det_onnx_put_output(o, detection_boxes, DET_ONNX_FLOAT, 3, limit, 4);
    det_onnx_put_output(o, detection_scores, DET_ONNX_FLOAT, 2, limit, 0);
    det_onnx_put_output(o, detection_classes, DET_ONNX_FLOAT, 2, limit, 0);
}

int32_t det_onnx_most_detections(const struct det_export_job *job)
{
    const struct det_postprocess_settings *p = &job->inference.postprocess;
    const bool one_limit = job->settings.outputs == DET_EXPORT_OUTPUTS_EFFICIENT_NMS;
    return one_limit && p->max_detections_per_class < p->max_total_detections
               ? p->max_detections_per_class
               : p->max_total_detections;
}

void det_onnx_put_efficient_nms(struct det_onnx_job *o, int32_t boxes, int32_t scores)
{
    static const char *const names[4] = {"num_detections", "detection_boxes", "detection_scores",
                                         "detection_classes"};
    struct det_onnx *onnx = o->onnx;
    const struct det_postprocess_settings *p = &o->job->inference.postprocess;
    const int64_t limit = det_onnx_most_detections(o->job);
    int32_t values[4] = {0};
    /* Which boxes overlap how much is the same in the picture's frame. */
    if (o->window != DET_ONNX_NO_VALUE) {
        const int32_t corner = det_onnx_slice(onnx, o->window, 0, 2, 4, NULL);
        boxes = det_onnx_binary(onnx, "Div", boxes, join(onnx, corner, corner, 0));
    }
    det_onnx_open(onnx, "EfficientNMS_TRT", 2, (const int32_t[]){boxes, scores});
    det_onnx_put_domain(onnx, DET_ONNX_TENSORRT);
    det_onnx_put_string(onnx, "plugin_version", "1");
    det_onnx_put_float(onnx, "score_threshold", p->score_threshold);
    det_onnx_put_float(onnx, "iou_threshold", p->iou_threshold);
    det_onnx_put_int(onnx, "max_output_boxes", limit);
    det_onnx_put_int(onnx, "background_class", -1);
    det_onnx_put_int(onnx, "score_activation", 0);
    det_onnx_put_int(onnx, "box_coding", 0);
    det_onnx_close_many(onnx, 4, names, values);
    det_onnx_put_output(o, values[0], DET_ONNX_INT32, 2, 1, 0);
    det_onnx_put_output(o, values[1], DET_ONNX_FLOAT, 3, limit, 4);
    det_onnx_put_output(o, values[2], DET_ONNX_FLOAT, 2, limit, 0);
    det_onnx_put_output(o, values[3], DET_ONNX_INT32, 2, limit, 0);
}
