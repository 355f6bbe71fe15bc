/* tflite_outputs.c: the outputs as the API's export_tflite_graph_tf2.py has them (class SSDModule
 * of export_tflite_graph_lib_tf2.py), with its names in the signature, or raw ones.
 *
 * Three things are other than there. The outputs are in the order of the operator, boxes, classes,
 * scores, count, and the tensors have the names that TensorFlow 1's exporter gives them: Frigate,
 * the Task Library and scripts take this order, but scripts expect another where they find names of
 * TensorFlow 2. Suppression is by default that class by class (use_regular_nms), which libdet and
 * the API's own models do. Thresholds are kept to the last bit, where the API writes six digits
 * behind the point, that is 0 for its own 1e-8. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "export/tflite_network.h"
#include "formats/flexbuffer.h"
#include "support/mem.h"

/* [N, h, w, a * values] of every level as [N, A, values]. */
static det_status add_joined(struct det_tflite_network *n, const int32_t *levels, int32_t values,
                             const char *name, int32_t *out)
{
    const struct det_graph *g = n->graph;
    const int32_t all[3] = {n->batch, g->anchor_count, values}, three = 3;
    struct det_tflite_op joined =
        det_tflite_op_of(DET_TFLITE_CONCATENATION, DET_TFLITE_CONCATENATION_OPTIONS, 0);
    DET_TFLITE_OPTION_U32(&joined, DET_TFLITE_CONCATENATION_AXIS, 1);
    DET_TFLITE_OPTION_U8(&joined, DET_TFLITE_CONCATENATION_ACTIVATION, DET_TFLITE_ACTIVATION_NONE);
    for (int32_t l = 0; l < g->levels; l++) {
        const struct det_tensor t = g->tensors[levels[l]];
        const int32_t shape[3] = {n->batch, t.height * t.width * g->anchors_per_cell, values};
        char level_name[64];
        struct det_tflite_op op =
            det_tflite_op_of(DET_TFLITE_RESHAPE, DET_TFLITE_RESHAPE_OPTIONS, 2);
        op.in[0] = n->tensors[levels[l]];
        snprintf(level_name, sizeof level_name, "%s/level_%d", name,
                 n->job->model->spec.min_level + l);
        DET_TRY_RETURN(det_tflite_put_ints(n, level_name, "shape", 1, &three, shape, &op.in[1]));
        DET_TRY_RETURN(
            det_tflite_put_like(n, op, g->levels == 1 ? name : level_name, 3, shape, out));
        joined.in[joined.in_count++] = *out;
    }
    return g->levels == 1 ? DET_OK : det_tflite_put_like(n, joined, name, 3, all, out);
}

static det_status add_scores(struct det_tflite_network *n, int32_t logits, int32_t classes,
                             int32_t *scores)
{
    const int32_t shape[3] = {n->batch, n->graph->anchor_count, classes};
    struct det_tflite_op op = det_tflite_op_of(DET_TFLITE_LOGISTIC, DET_TFLITE_NO_OPTIONS, 1);
    op.in[0] = logits;
    return det_tflite_put(n, op, "raw_outputs/class_predictions", 3, shape, scores);
}

/* Centre and size, as the API has them in its model. */
static det_status add_anchors(struct det_tflite_network *n, int32_t *tensor)
{
    const struct det_inference *inference = &n->job->inference;
    const int32_t shape[2] = {inference->anchor_count, 4};
    float(*centers)[4] = NULL;
    DET_TRY_RETURN(det_alloc_raw(n->env, &centers, (size_t)shape[0], sizeof *centers, "anchors"));
    for (int32_t i = 0; i < shape[0]; i++) {
        const float *box = inference->anchors[i];
        centers[i][2] = box[2] - box[0];
        centers[i][3] = box[3] - box[1];
        centers[i][0] = box[0] + centers[i][2] / 2;
        centers[i][1] = box[1] + centers[i][3] / 2;
    }
    const det_status status = det_tflite_add_constant(
        n->env, n->model, "anchors", DET_TFLITE_FLOAT32, 2, shape, centers, tensor);
    det_free(n->env, &centers);
    return status;
}

/* Of one class it is the same, and quicker. */
static bool suppresses_across_classes(const struct det_export_job *job)
{
    return job->model->spec.num_classes == 1 || job->settings.fast_nms != 0;
}

/* The fast suppression knows no limit for a class. */
static int32_t most_detections(const struct det_export_job *job)
{
    const struct det_postprocess_settings *p = &job->inference.postprocess;
    if (job->model->spec.num_classes == 1 && p->max_detections_per_class < p->max_total_detections)
        return p->max_detections_per_class;
    return p->max_total_detections;
}

static det_status postprocess_options(struct det_tflite_network *n, struct det_text *text)
{
    const struct det_postprocess_settings *p = &n->job->inference.postprocess;
    /* The operator keeps scores from the threshold on, we those above it; it refuses an IoU
     * threshold of 0, and no two boxes have one between 0 and this. */
    const float score = nextafterf(p->score_threshold, INFINITY);
    const float iou = p->iou_threshold > 0 ? p->iou_threshold : FLT_MIN;
    const struct det_flex_value values[] = {
        {"detections_per_class", DET_FLEX_INT, p->max_detections_per_class},
        {"h_scale", DET_FLEX_FLOAT, (double)p->coder.height_scale},
        {"max_classes_per_detection", DET_FLEX_INT, 1},
        {"max_detections", DET_FLEX_INT, most_detections(n->job)},
        {"nms_iou_threshold", DET_FLEX_FLOAT, (double)iou},
        {"nms_score_threshold", DET_FLEX_FLOAT, (double)score},
        {"num_classes", DET_FLEX_INT, n->job->model->spec.num_classes},
        {"use_regular_nms", DET_FLEX_BOOL, !suppresses_across_classes(n->job)},
        {"w_scale", DET_FLEX_FLOAT, (double)p->coder.width_scale},
        {"x_scale", DET_FLEX_FLOAT, (double)p->coder.x_scale},
        {"y_scale", DET_FLEX_FLOAT, (double)p->coder.y_scale},
    };
    return det_flex_write_map(n->env, text, values, sizeof values / sizeof *values);
}

static det_status add_postprocess(struct det_tflite_network *n, int32_t encodings, int32_t scores)
{
    const int32_t most = most_detections(n->job);
    /* In the operator's order, each with its name in the signature. */
    const struct {
        const char *name, *signature;
        int32_t dims, shape[3];
    } outputs[4] = {
        {DET_TFLITE_DETECTION_POSTPROCESS, "output_3", 3, {1, most, 4}},
        {DET_TFLITE_DETECTION_POSTPROCESS ":1", "output_2", 2, {1, most}},
        {DET_TFLITE_DETECTION_POSTPROCESS ":2", "output_1", 2, {1, most}},
        {DET_TFLITE_DETECTION_POSTPROCESS ":3", "output_0", 1, {1}},
    };
    struct det_tflite_op op = det_tflite_op_of(DET_TFLITE_CUSTOM, DET_TFLITE_NO_OPTIONS, 3);
    op.in[0] = encodings;
    op.in[1] = scores;
    op.out_count = 4;
    DET_TRY_RETURN(add_anchors(n, &op.in[2]));
    for (int32_t i = 0; i < 4; i++) {
        DET_TRY_RETURN(det_tflite_add_tensor(n->env, n->model, outputs[i].name, DET_TFLITE_FLOAT32,
                                             outputs[i].dims, outputs[i].shape, &op.out[i]));
        n->model->outputs[i] = op.out[i];
        n->model->signature_outputs[i] =
            (struct det_tflite_signature){outputs[i].signature, op.out[i]};
    }
    n->model->output_count = 4;
    const det_status status = postprocess_options(n, &op.custom_options);
    if (status != DET_OK) {
        det_text_free(n->env, &op.custom_options);
        return status;
    }
    return det_tflite_add_op(n->env, n->model, &op);
}

/* Scores without the background; in 8 bits the logits, which scores in steps of 1/256 would not
 * replace. */
static det_status add_raw_outputs(struct det_tflite_network *n, int32_t encodings, int32_t logits)
{
    const int32_t begin[3] = {0, 0, 1};
    const int32_t end[3] = {n->batch, n->graph->anchor_count, n->graph->class_slots};
    int32_t classes = 0;
    DET_TRY_RETURN(
        det_tflite_put_slice(n, logits, "raw_outputs/class_logits", 3, begin, end, &classes));
    if (n->quantised == NULL)
        DET_TRY_RETURN(add_scores(n, classes, n->graph->class_slots - 1, &classes));
    n->model->output_count = 2;
    n->model->outputs[0] = encodings;
    n->model->outputs[1] = classes;
    n->model->signature_outputs[0] = (struct det_tflite_signature){"box_encodings", encodings};
    n->model->signature_outputs[1] = (struct det_tflite_signature){
        n->quantised == NULL ? "class_predictions" : "class_logits", classes};
    return DET_OK;
}

det_status det_tflite_put_outputs(struct det_tflite_network *n)
{
    const struct det_graph *g = n->graph;
    int32_t encodings = 0, logits = 0, scores = 0;
    DET_TRY_RETURN(add_joined(n, g->box_outputs, 4, "raw_outputs/box_encodings", &encodings));
    DET_TRY_RETURN(add_joined(n, g->class_outputs, g->class_slots,
                              "raw_outputs/class_logits_with_background", &logits));
    if (n->job->settings.outputs == DET_EXPORT_OUTPUTS_RAW)
        return add_raw_outputs(n, encodings, logits);
    if (n->quantised != NULL) {
        DET_TRY_RETURN(det_tflite_put_real(n, &encodings));
        DET_TRY_RETURN(det_tflite_put_real(n, &logits));
    }
    DET_TRY_RETURN(add_scores(n, logits, g->class_slots, &scores));
    return add_postprocess(n, encodings, scores);
}
