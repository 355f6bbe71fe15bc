/* onnx.c: ONNX, opset 13, for ONNX Runtime, OpenVINO, OpenCV, TensorRT, and of what has no operator
 * that is newer opset 10, for OpenCV from 4.5.4 on. Initialisers have TensorFlow's keys;
 * metadata_props say what the numbers mean (docs/deploy.md). */
#include <stdio.h>

#include "det/version.h"
#include "export/onnx_parts.h"
#include "export/read_onnx.h"
#include "support/json_writer.h"

/* --- what is said beside the graph --- */

static det_status labels_json(struct det_env *env, const det_model *model, struct det_text *text)
{
    struct det_json_writer json;
    char id[16];
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    for (int32_t i = 1; i <= det_model_class_count(model); i++) {
        snprintf(id, sizeof id, "%d", i);
        if (det_model_class_is_used(model, i))
            det_json_put_string(&json, id, det_model_class_name(model, i));
    }
    det_json_close_object(&json);
    return det_json_end(&json);
}

static det_status input_json(struct det_env *env, const struct det_export_job *job,
                             struct det_text *text)
{
    static const double mean[3] = {127.5, 127.5, 127.5};
    const struct det_model_spec *spec = &job->model->spec;
    const struct det_tensor in = job->inference.graph->tensors[0];
    const bool keep = spec->resize_mode == DET_RESIZE_KEEP_ASPECT;
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_int(&json, "height", in.height);
    det_json_put_int(&json, "width", in.width);
    det_json_put_string(&json, "color", "RGB");
    det_json_put_doubles(&json, "mean", mean, 3);
    det_json_put_doubles(&json, "std", mean, 3);
    det_json_put_string(&json, "resize", keep ? "keep_aspect_ratio" : "fixed");
    if (keep) {
        det_json_put_int(&json, "min_dimension", spec->min_dimension);
        det_json_put_int(&json, "max_dimension", spec->max_dimension);
    }
    det_json_put_int(&json, "frame_height", spec->input_height);
    det_json_put_int(&json, "frame_width", spec->input_width);
    det_json_close_object(&json);
    return det_json_end(&json);
}

/* As multiscale_anchor_generator has it, and the box coder. */
static det_status anchors_json(struct det_env *env, const struct det_export_job *job,
                               struct det_text *text)
{
    const struct det_model_spec *spec = &job->model->spec;
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_int(&json, "count", job->inference.anchor_count);
    det_json_put_int(&json, "min_level", spec->min_level);
    det_json_put_int(&json, "max_level", spec->max_level);
    det_json_put_float(&json, "anchor_scale", spec->anchor_scale);
    det_json_put_floats(&json, "aspect_ratios", spec->aspects, (size_t)spec->aspect_count);
    det_json_put_int(&json, "scales_per_octave", spec->scales_per_octave);
    det_json_put_bool(&json, "normalize_coordinates", spec->normalize_anchors);
    det_json_put_floats(
        &json, "box_coder_scales",
        (const float[]){spec->y_scale, spec->x_scale, spec->height_scale, spec->width_scale}, 4);
    det_json_close_object(&json);
    return det_json_end(&json);
}

static det_status detection_json(struct det_env *env, const struct det_export_job *job,
                                 struct det_text *text)
{
    const struct det_postprocess_settings *p = &job->inference.postprocess;
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_float(&json, "score_threshold", p->score_threshold);
    det_json_put_float(&json, "iou_threshold", p->iou_threshold);
    det_json_put_int(&json, "max_detections_per_class", p->max_detections_per_class);
    det_json_put_int(&json, "max_detections", p->max_total_detections);
    det_json_close_object(&json);
    return det_json_end(&json);
}

static const char *const output_names[] = {
    [DET_EXPORT_OUTPUTS_RAW] = "raw",
    [DET_EXPORT_OUTPUTS_DECODED] = "decoded",
    [DET_EXPORT_OUTPUTS_DETECTIONS] = "nms",
    [DET_EXPORT_OUTPUTS_EFFICIENT_NMS] = "efficient_nms",
};

static det_status put_text(struct det_onnx *onnx, const char *key, det_status made,
                           struct det_text *text)
{
    if (onnx->status == DET_OK)
        onnx->status = made;
    if (onnx->status == DET_OK)
        det_onnx_put_metadata(onnx, key, text->data);
    det_text_free(onnx->env, text);
    return onnx->status;
}

static det_status put_metadata(struct det_onnx *onnx, const struct det_export_job *job)
{
    struct det_env *env = onnx->env;
    struct det_text t = {0};
    det_onnx_put_metadata(onnx, "outputs", output_names[job->settings.outputs]);
    DET_TRY_RETURN(put_text(onnx, "labels", labels_json(env, job->model, &t), &t));
    DET_TRY_RETURN(put_text(onnx, "input", input_json(env, job, &t), &t));
    DET_TRY_RETURN(put_text(onnx, "anchors", anchors_json(env, job, &t), &t));
    DET_TRY_RETURN(put_text(onnx, "detection", detection_json(env, job, &t), &t));
    return put_text(onnx, "step",
                    det_text_printf(env, &t, "%lld", (long long)det_model_step(job->model)), &t);
}

/* --- the graph --- */

static void put_raw(struct det_onnx_job *o, int32_t encodings, int32_t scores)
{
    const struct det_inference *inference = &o->job->inference;
    const int64_t anchors = inference->anchor_count;
    det_onnx_put_output(o, encodings, DET_ONNX_FLOAT, 3, anchors, 4);
    det_onnx_put_output(o, scores, DET_ONNX_FLOAT, 3, anchors, inference->graph->class_slots - 1);
}

/* An initialiser that no node reads would be taken out, with a warning. OpenCV before 4.7 takes no
 * node that reads nothing else: with the old opset the initialiser itself is the output. */
static void put_anchors(struct det_onnx_job *o)
{
    const struct det_inference *inference = &o->job->inference;
    const bool old = o->onnx->opset == DET_ONNX_OPSET_OLD;
    const int64_t shape[2] = {inference->anchor_count, 4};
    int32_t anchors = det_onnx_floats(o->onnx, old ? DET_ONNX_ANCHOR_BOXES : DET_ONNX_ANCHORS, 2,
                                      shape, inference->anchors[0]);
    if (!old) {
        det_onnx_open(o->onnx, "Identity", 1, &anchors);
        anchors = det_onnx_close(o->onnx, DET_ONNX_ANCHOR_BOXES);
    }
    det_onnx_output(o->onnx, anchors, DET_ONNX_FLOAT, 2, shape, NULL);
}

static void put_graph(struct det_onnx_job *o)
{
    int32_t encodings = DET_ONNX_NO_VALUE, scores = DET_ONNX_NO_VALUE;
    det_onnx_put_network(o, det_onnx_put_input(o), &encodings, &scores);
    if (o->onnx->status != DET_OK)
        return;
    switch (o->job->settings.outputs) {
    case DET_EXPORT_OUTPUTS_RAW:
        put_raw(o, encodings, scores);
        put_anchors(o);
        break;
    case DET_EXPORT_OUTPUTS_DECODED:
        put_raw(o, det_onnx_put_boxes(o, encodings), scores);
        break;
    case DET_EXPORT_OUTPUTS_EFFICIENT_NMS:
        det_onnx_put_efficient_nms(o, det_onnx_put_boxes(o, encodings), scores);
        break;
    default:
        det_onnx_put_detections(o, det_onnx_put_boxes(o, encodings), scores);
        break;
    }
}

static det_status check(struct det_env *env, const struct det_export_job *job)
{
    const struct det_postprocess_settings *p = &job->inference.postprocess;
    const det_export_settings *s = &job->settings;
    const bool ends_early =
        s->outputs == DET_EXPORT_OUTPUTS_RAW || s->outputs == DET_EXPORT_OUTPUTS_DECODED;
    if (s->onnx_opset != 0 && s->onnx_opset != DET_ONNX_OPSET &&
        s->onnx_opset != DET_ONNX_OPSET_OLD)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "onnx: opset %d: expected %d or %d",
                        s->onnx_opset, DET_ONNX_OPSET, DET_ONNX_OPSET_OLD);
    if (s->onnx_opset == DET_ONNX_OPSET_OLD && (s->input == DET_EXPORT_INPUT_IMAGE || !ends_early))
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "onnx: opset %d is for float input and for raw or decoded outputs; other "
                        "files need operators of opset %d",
                        DET_ONNX_OPSET_OLD, DET_ONNX_OPSET);
    if (s->onnx_opset == DET_ONNX_OPSET_OLD && job->inference.quantised != NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "onnx: opset %d has one scale for all of a convolution's weights, a model "
                        "in 8 bits one for each channel; that needs opset %d",
                        DET_ONNX_OPSET_OLD, DET_ONNX_OPSET);
    if (s->outputs == DET_EXPORT_OUTPUTS_EFFICIENT_NMS &&
        p->max_detections_per_class < p->max_total_detections &&
        job->inference.graph->class_slots > 2)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "onnx: EfficientNMS_TRT has no limit for a class, the model has %d of %d "
                        "detections; export it with max_detections %d or with other outputs",
                        p->max_detections_per_class, p->max_total_detections,
                        p->max_detections_per_class);
    return DET_OK;
}

/* --- in words --- */

static det_status describe(struct det_env *env, const struct det_export_job *job,
                           struct det_text *text)
{
    const struct det_tensor in = job->inference.graph->tensors[0];
    const int32_t limit = det_onnx_most_detections(job);
    char n[16] = "N";
    if (job->settings.batch != 0)
        snprintf(n, sizeof n, "%d", job->settings.batch);
    if (job->settings.input == DET_EXPORT_INPUT_IMAGE)
        DET_TRY_RETURN(
            det_text_printf(env, text, DET_ONNX_INPUT_NAME ": uint8 [%s, height, width, 3]\n", n));
    else if (job->settings.input == DET_EXPORT_INPUT_FLOAT_NCHW)
        DET_TRY_RETURN(det_text_printf(env, text, DET_ONNX_INPUT_NAME ": float32 [%s, 3, %d, %d]\n",
                                       n, in.height, in.width));
    else
        DET_TRY_RETURN(det_text_printf(env, text, DET_ONNX_INPUT_NAME ": float32 [%s, %d, %d, 3]\n",
                                       n, in.height, in.width));
    switch (job->settings.outputs) {
    case DET_EXPORT_OUTPUTS_RAW:
    case DET_EXPORT_OUTPUTS_DECODED:
        DET_TRY_RETURN(det_text_printf(
            env, text, "%s: float32 [%s, %d, 4]\n" DET_ONNX_SCORES ": float32 [%s, %d, %d]\n",
            job->settings.outputs == DET_EXPORT_OUTPUTS_RAW ? DET_ONNX_ENCODINGS : DET_ONNX_BOXES,
            n, job->inference.anchor_count, n, job->inference.anchor_count,
            job->inference.graph->class_slots - 1));
        if (job->settings.outputs == DET_EXPORT_OUTPUTS_DECODED)
            return DET_OK;
        return det_text_printf(env, text, DET_ONNX_ANCHOR_BOXES ": float32 [%d, 4]\n",
                               job->inference.anchor_count);
    case DET_EXPORT_OUTPUTS_EFFICIENT_NMS:
        return det_text_printf(env, text,
                               "num_detections: int32 [%s, 1]\n"
                               "detection_boxes: float32 [%s, %d, 4]\n"
                               "detection_scores: float32 [%s, %d]\n"
                               "detection_classes: int32 [%s, %d], from 0\n",
                               n, n, limit, n, limit, n, limit);
    default:
        return det_text_printf(env, text,
                               "num_detections: float32 [%s]\n"
                               "detection_boxes: float32 [%s, %d, 4]\n"
                               "detection_scores: float32 [%s, %d]\n"
                               "detection_classes: float32 [%s, %d], from 1\n",
                               n, n, limit, n, limit, n, limit);
    }
}

static det_status write_onnx(struct det_env *env, const struct det_export_job *job,
                             struct det_export *exported)
{
    const bool plugin = job->settings.outputs == DET_EXPORT_OUTPUTS_EFFICIENT_NMS;
    struct det_text *data = NULL;
    struct det_onnx onnx;
    struct det_onnx_job o = {.onnx = &onnx,
                             .job = job,
                             .batch =
                                 job->settings.batch == 0 ? DET_ONNX_FREE : job->settings.batch,
                             .window = DET_ONNX_NO_VALUE};
    DET_TRY_RETURN(check(env, job));
    DET_TRY_RETURN(det_export_add_file(env, exported, job->settings.name, ".onnx", &data));
    det_onnx_begin(
        &onnx, env, data, job->settings.onnx_opset == 0 ? DET_ONNX_OPSET : job->settings.onnx_opset,
        DET_VERSION_STRING, "ssd_mobilenet_v2_fpnlite", plugin ? DET_ONNX_TENSORRT : NULL);
    put_graph(&o);
    det_onnx_end_graph(&onnx);
    put_metadata(&onnx, job);
    DET_TRY_RETURN(det_onnx_end(&onnx));
    return describe(env, job, &exported->signature);
}

const struct det_export_writer det_export_onnx = {
    .format = {.struct_size = sizeof(det_export_format),
               .name = "onnx",
               .description = "ONNX, opset 13: ONNX Runtime, OpenVINO, OpenCV, TensorRT",
               .files = "NAME.onnx",
               .eight_bits = DET_EXPORT_EIGHT_BITS_ANY},
    .outputs = DET_EXPORT_OUTPUTS_DETECTIONS,
    .input = DET_EXPORT_INPUT_IMAGE,
    .write = write_onnx,
    .read = det_onnx_read,
};
