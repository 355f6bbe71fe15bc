/* tflite.c: a TensorFlow Lite model, schema 3, with TFLite Metadata and the class names packed in,
 * for LiteRT, the Task Library, MediaPipe, Frigate. */
#include "export/tflite.h"
#include "formats/zip_stored.h"
#include "support/mem.h"

static det_status check_input(struct det_env *env, const struct det_export_job *job)
{
    if (job->settings.input == DET_EXPORT_INPUT_FLOAT_NCHW)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "tflite: an input [N, 3, H, W]: TFLite has [N, H, W, 3] alone");
    if (job->settings.input == DET_EXPORT_INPUT_IMAGE && job->inference.quantised != NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "tflite: an input of any size would be resized in float32 in front of the "
                        "8 bits: export with an input of uint8 or int8, which takes the picture "
                        "in the network's size");
    if (job->settings.input == DET_EXPORT_INPUT_IMAGE &&
        job->model->spec.resize_mode == DET_RESIZE_KEEP_ASPECT)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "tflite: keep_aspect_ratio_resizer cannot be part of the file: export with "
                        "a float input, which takes the picture resized, normalised and padded "
                        "with zeros");
    return DET_OK;
}

static det_status check_outputs(struct det_env *env, const struct det_export_job *job)
{
    switch (job->settings.outputs) {
    case DET_EXPORT_OUTPUTS_RAW:
        if (job->settings.batch == 0)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "tflite: any number of images at once: expected a fixed batch");
        return DET_OK;
    case DET_EXPORT_OUTPUTS_DETECTIONS:
        if (job->settings.batch != 1)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "tflite: batch %d: " DET_TFLITE_DETECTION_POSTPROCESS
                            " takes one image at once; raw outputs take more",
                            job->settings.batch);
        return DET_OK;
    default:
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "tflite: the outputs are either detections or raw");
    }
}

/* tensorflow issue 56058: with T threads the operator leaves out class T, counted from 0, and
 * writes behind its memory when a class may have fewer detections than the picture. */
static void warn_of_threads(const struct det_env *env, const struct det_export_job *job)
{
    const int32_t classes = job->model->spec.num_classes;
    if (job->settings.outputs == DET_EXPORT_OUTPUTS_DETECTIONS && classes > 2 &&
        job->settings.fast_nms == 0)
        det_log(env, DET_LOG_WARNING,
                "tflite: %s.tflite is for LiteRT with 1 thread, or %d and more: with other numbers "
                "its " DET_TFLITE_DETECTION_POSTPROCESS
                " leaves a class out (use_regular_nms); with the fast suppression, or raw outputs, "
                "any number does",
                job->settings.name, classes);
}

static det_status append_labels(struct det_env *env, const det_model *model, struct det_text *data)
{
    struct det_text labels = {0};
    det_status status = det_tflite_label_text(env, model, &labels);
    if (status == DET_OK) {
        const struct det_zip_file file = {DET_TFLITE_LABEL_FILE, labels.data, labels.length};
        status = det_zip_append(env, data, &file, 1);
    }
    det_text_free(env, &labels);
    return status;
}

static const char *type_name(enum det_tflite_type type)
{
    switch (type) {
    case DET_TFLITE_UINT8:
        return "uint8";
    case DET_TFLITE_INT8:
        return "int8";
    default:
        return "float32";
    }
}

static det_status sign_tensor(struct det_env *env, const struct det_tflite_tensor *t,
                              const char *words, struct det_text *text)
{
    DET_TRY_RETURN(det_text_printf(env, text, "%s: %s [", t->name, type_name(t->type)));
    for (int32_t i = 0; i < t->dims; i++) {
        const bool any = t->any_size && (i == 1 || i == 2);
        DET_TRY_RETURN(det_text_printf(env, text, i == 0 ? "" : ", "));
        if (any)
            DET_TRY_RETURN(det_text_printf(env, text, i == 1 ? "height" : "width"));
        else
            DET_TRY_RETURN(det_text_printf(env, text, "%d", t->shape[i]));
    }
    return det_text_printf(env, text, "]%s", words);
}

/* How real numbers are had from an output in 8 bits. */
static det_status sign_output(struct det_env *env, const struct det_tflite_tensor *t,
                              const char *words, struct det_text *text)
{
    DET_TRY_RETURN(sign_tensor(env, t, words, text));
    if (t->scales.values != NULL)
        DET_TRY_RETURN(det_text_printf(env, text, ": %.9g * (value - %d)",
                                       (double)t->scales.values[0], t->scales.zero));
    return det_text_printf(env, text, "\n");
}

static const char *input_words(det_export_input input)
{
    switch (input) {
    case DET_EXPORT_INPUT_IMAGE:
    case DET_EXPORT_INPUT_UINT8:
        return " RGB, 0 to 255\n";
    case DET_EXPORT_INPUT_INT8:
        return " RGB, 0 to 255 less 128\n";
    default:
        return " RGB, x * 2 / 255 - 1\n";
    }
}

static det_status sign(struct det_env *env, const struct det_export_job *job,
                       const struct det_tflite_model *model, struct det_text *text)
{
    static const char *const detections[DET_TFLITE_MOST_OUTPUTS] = {
        " boxes ymin, xmin, ymax, xmax as shares of the picture, not cut at its edges",
        " classes from 0 on: lines of " DET_TFLITE_LABEL_FILE, " scores", " how many"};
    static const char *const raw[DET_TFLITE_MOST_OUTPUTS] = {" box encodings ty, tx, th, tw",
                                                             " scores"};
    static const char *const raw_in_8_bits[DET_TFLITE_MOST_OUTPUTS] = {
        " box encodings ty, tx, th, tw", " logits of the classes"};
    const char *const *words = job->settings.outputs != DET_EXPORT_OUTPUTS_RAW ? detections
                               : job->inference.quantised != NULL              ? raw_in_8_bits
                                                                               : raw;
    DET_TRY_RETURN(
        sign_tensor(env, &model->tensors[model->input], input_words(job->settings.input), text));
    for (int32_t i = 0; i < model->output_count; i++)
        DET_TRY_RETURN(sign_output(env, &model->tensors[model->outputs[i]], words[i], text));
    return DET_OK;
}

static det_status write_tflite(struct det_env *env, const struct det_export_job *job,
                               struct det_export *exported)
{
    det_status status = DET_OK;
    struct det_tflite_model model;
    struct det_text *data = NULL;
    DET_TRY_RETURN(check_input(env, job));
    DET_TRY_RETURN(check_outputs(env, job));
    DET_TRY(det_tflite_model_init(env, &model));
    DET_TRY(det_tflite_add_network(env, job, &model));
    DET_TRY(det_tflite_add_metadata(env, job, &model));
    DET_TRY(det_export_add_file(env, exported, job->settings.name, ".tflite", &data));
    DET_TRY(det_tflite_model_write(env, &model, data));
    DET_TRY(append_labels(env, job->model, data));
    DET_TRY(sign(env, job, &model, &exported->signature));
    warn_of_threads(env, job);
fail:
    det_tflite_model_free(env, &model);
    return status;
}

const struct det_export_writer det_export_tflite = {
    .format = {.struct_size = sizeof(det_export_format),
               .name = "tflite",
               .description = "TensorFlow Lite: LiteRT, Task Library, MediaPipe, Frigate",
               .files = "NAME.tflite",
               .eight_bits = DET_EXPORT_EIGHT_BITS_WHOLE},
    .outputs = DET_EXPORT_OUTPUTS_DETECTIONS,
    .input = DET_EXPORT_INPUT_FLOAT_NHWC,
    .byte_input = DET_EXPORT_INPUT_UINT8,
    .write = write_tflite,
    .read = det_tflite_read,
};
