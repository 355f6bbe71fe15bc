/* tflite_metadata.c: TFLite Metadata as the Task Library and MediaPipe read it: the input's
 * normalisation, which output is which, the file with the class names. A model with raw outputs has
 * its anchors and how boxes are decoded in MediaPipe's DETECTOR_METADATA besides (mediapipe/tasks/
 * metadata/object_detector_metadata_schema.fbs, "V001"), so that nothing else is needed with it.
 */
#include <stdio.h>
#include <string.h>

#include "export/tflite.h"
#include "support/mem.h"

/* A field of a fixed vector of numbers. */
static void put_floats(struct det_flat_writer *w, det_flat_place place, float value)
{
    det_flat_put_vector(w, place, &value, 1, sizeof value, sizeof value);
}

/* --- MediaPipe's decoding of raw outputs --- */

static det_status write_decoding(struct det_env *env, const struct det_inference *inference,
                                 struct det_text *text)
{
    const struct det_box_coder *coder = &inference->postprocess.coder;
    struct det_flat_writer writer, *w = &writer;
    det_flat_place anchors = 0, decoding = 0, fixed = 0, list = 0;
    det_flat_begin(w, env, text, DET_TFLITE_DETECTOR_IDENTIFIER);
    DET_FLAT_PUT_TABLE(w, 0, DET_FLAT_REFERENCE(DET_TFLITE_DETECTOR_ANCHORS, &anchors),
                       DET_FLAT_REFERENCE(DET_TFLITE_DETECTOR_DECODING, &decoding));
    DET_FLAT_PUT_TABLE(w, decoding,
                       DET_FLAT_U32(DET_TFLITE_DECODING_CLASSES, inference->graph->class_slots - 1),
                       DET_FLAT_U32(DET_TFLITE_DECODING_BOXES, inference->anchor_count),
                       DET_FLAT_U32(DET_TFLITE_DECODING_COORDINATES, 4),
                       DET_FLAT_U32(DET_TFLITE_DECODING_VALUES_OF_KEYPOINT, 2),
                       DET_FLAT_FLOAT(DET_TFLITE_DECODING_X_SCALE, coder->x_scale),
                       DET_FLAT_FLOAT(DET_TFLITE_DECODING_Y_SCALE, coder->y_scale),
                       DET_FLAT_FLOAT(DET_TFLITE_DECODING_W_SCALE, coder->width_scale),
                       DET_FLAT_FLOAT(DET_TFLITE_DECODING_H_SCALE, coder->height_scale),
                       DET_FLAT_U8(DET_TFLITE_DECODING_EXPONENTIAL, 1),
                       DET_FLAT_U8(DET_TFLITE_DECODING_SIGMOID, inference->quantised != NULL));
    DET_FLAT_PUT_TABLE(w, anchors, DET_FLAT_REFERENCE(DET_TFLITE_ANCHORS_FIXED, &fixed));
    DET_FLAT_PUT_TABLE(w, fixed, DET_FLAT_REFERENCE(DET_TFLITE_FIXED_ANCHORS, &list));
    det_flat_place each = det_flat_put_references(w, list, (size_t)inference->anchor_count);
    for (int32_t i = 0; i < inference->anchor_count; i++, each += DET_FLAT_REFERENCE_BYTES) {
        const float *box = inference->anchors[i];
        const float height = box[2] - box[0], width = box[3] - box[1];
        DET_FLAT_PUT_TABLE(w, each, DET_FLAT_FLOAT(DET_TFLITE_ANCHOR_X, box[1] + width / 2),
                           DET_FLAT_FLOAT(DET_TFLITE_ANCHOR_Y, box[0] + height / 2),
                           DET_FLAT_FLOAT(DET_TFLITE_ANCHOR_WIDTH, width),
                           DET_FLAT_FLOAT(DET_TFLITE_ANCHOR_HEIGHT, height));
    }
    return det_flat_end(w);
}

/* --- tensors --- */

struct tensor_info {
    const char *name, *description;
    uint8_t content;    /* TFLITE_..._PROPERTIES */
    bool each_in_dim_2; /* the content is what dimension 2 holds */
    uint8_t labels;     /* DET_TFLITE_FILE_..._LABELS, 0: none */
    uint8_t unit;       /* TFLITE_..._OPTIONS of what is to be done with the values, 0: nothing */
    float threshold;    /* of DET_TFLITE_SCORE_THRESHOLDING_OPTIONS */
    bool ranged;
    float min, max; /* when it is */
};

static void put_properties(struct det_flat_writer *w, det_flat_place place, uint8_t content)
{
    /* Where left, top, right and bottom stand in a box. */
    static const uint32_t index[4] = {1, 0, 3, 2};
    det_flat_place list = 0;
    switch (content) {
    case DET_TFLITE_IMAGE_PROPERTIES:
        DET_FLAT_PUT_TABLE(w, place,
                           DET_FLAT_U8(DET_TFLITE_IMAGE_COLOR_SPACE, DET_TFLITE_COLOR_RGB));
        return;
    case DET_TFLITE_BOX_PROPERTIES:
        DET_FLAT_PUT_TABLE(w, place, DET_FLAT_REFERENCE(DET_TFLITE_BOX_INDEX, &list),
                           DET_FLAT_U8(DET_TFLITE_BOX_TYPE, DET_TFLITE_BOX_BOUNDARIES));
        det_flat_put_vector(w, list, index, 4, sizeof *index, sizeof *index);
        return;
    default:
        det_flat_put_table(w, place, NULL, 0);
    }
}

static void put_content(struct det_flat_writer *w, det_flat_place place,
                        const struct tensor_info *info)
{
    det_flat_place properties = 0, range = 0;
    const struct det_flat_field fields[] = {
        DET_FLAT_U8(DET_TFLITE_CONTENT_KIND, info->content),
        DET_FLAT_REFERENCE(DET_TFLITE_CONTENT_PROPERTIES, &properties),
        DET_FLAT_REFERENCE(DET_TFLITE_CONTENT_RANGE, &range),
    };
    det_flat_put_table(w, place, fields, info->each_in_dim_2 ? 3 : 2);
    put_properties(w, properties, info->content);
    if (info->each_in_dim_2)
        DET_FLAT_PUT_TABLE(w, range, DET_FLAT_U32(DET_TFLITE_RANGE_MIN, 2),
                           DET_FLAT_U32(DET_TFLITE_RANGE_MAX, 2));
}

static void put_units(struct det_flat_writer *w, det_flat_place place,
                      const struct tensor_info *info)
{
    det_flat_place options = 0, mean = 0, deviation = 0;
    const det_flat_place first = det_flat_put_references(w, place, info->unit != 0);
    if (info->unit == 0)
        return;
    DET_FLAT_PUT_TABLE(w, first, DET_FLAT_U8(DET_TFLITE_UNIT_KIND, info->unit),
                       DET_FLAT_REFERENCE(DET_TFLITE_UNIT_OPTIONS, &options));
    if (info->unit == DET_TFLITE_SCORE_THRESHOLDING_OPTIONS) {
        DET_FLAT_PUT_TABLE(w, options, DET_FLAT_FLOAT(DET_TFLITE_SCORE_THRESHOLD, info->threshold));
        return;
    }
    DET_FLAT_PUT_TABLE(w, options, DET_FLAT_REFERENCE(DET_TFLITE_NORMALIZATION_MEAN, &mean),
                       DET_FLAT_REFERENCE(DET_TFLITE_NORMALIZATION_STD, &deviation));
    put_floats(w, mean, 127.5F);
    put_floats(w, deviation, 127.5F);
}

static void put_stats(struct det_flat_writer *w, det_flat_place place,
                      const struct tensor_info *info)
{
    det_flat_place max = 0, min = 0;
    const struct det_flat_field fields[] = {DET_FLAT_REFERENCE(DET_TFLITE_STATS_MAX, &max),
                                            DET_FLAT_REFERENCE(DET_TFLITE_STATS_MIN, &min)};
    det_flat_put_table(w, place, fields, info->ranged ? 2 : 0);
    if (!info->ranged)
        return;
    put_floats(w, max, info->max);
    put_floats(w, min, info->min);
}

static void put_label_file(struct det_flat_writer *w, det_flat_place place, uint8_t kind)
{
    det_flat_place name = 0, description = 0;
    DET_FLAT_PUT_TABLE(w, det_flat_put_references(w, place, 1),
                       DET_FLAT_REFERENCE(DET_TFLITE_FILE_NAME, &name),
                       DET_FLAT_REFERENCE(DET_TFLITE_FILE_DESCRIPTION, &description),
                       DET_FLAT_U8(DET_TFLITE_FILE_TYPE, kind));
    det_flat_put_string(w, name, DET_TFLITE_LABEL_FILE);
    det_flat_put_string(w, description, "Names of the classes, a line for each.");
}

static void put_tensor(struct det_flat_writer *w, det_flat_place place,
                       const struct tensor_info *info)
{
    det_flat_place name = 0, description = 0, content = 0, units = 0, stats = 0, files = 0;
    const struct det_flat_field fields[] = {
        DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_INFO_NAME, &name),
        DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_INFO_DESCRIPTION, &description),
        DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_INFO_CONTENT, &content),
        DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_INFO_PROCESS_UNITS, &units),
        DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_INFO_STATS, &stats),
        DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_INFO_FILES, &files),
    };
    det_flat_put_table(w, place, fields, info->labels != 0 ? 6 : 5);
    det_flat_put_string(w, name, info->name);
    det_flat_put_string(w, description, info->description);
    put_content(w, content, info);
    put_units(w, units, info);
    put_stats(w, stats, info);
    if (info->labels != 0)
        put_label_file(w, files, info->labels);
}

static void put_tensors(struct det_flat_writer *w, det_flat_place place,
                        const struct tensor_info *infos, size_t count)
{
    det_flat_place each = det_flat_put_references(w, place, count);
    for (size_t i = 0; i < count; i++, each += DET_FLAT_REFERENCE_BYTES)
        put_tensor(w, each, &infos[i]);
}

/* --- the model --- */

static struct tensor_info input_info(const struct det_export_job *job)
{
    struct tensor_info info = {.name = "image",
                               .content = DET_TFLITE_IMAGE_PROPERTIES,
                               .ranged = true,
                               .min = 0,
                               .max = 255.0F};
    switch (job->settings.input) {
    case DET_EXPORT_INPUT_IMAGE:
        info.description = "The picture as it is, of any size: red, green, blue, 0 to 255.";
        break;
    case DET_EXPORT_INPUT_UINT8:
        info.description = "The picture in the network's size: red, green, blue, 0 to 255.";
        break;
    case DET_EXPORT_INPUT_INT8:
        info.description =
            "The picture in the network's size: red, green, blue, 0 to 255 less 128.";
        info.min = -128.0F;
        info.max = 127.0F;
        break;
    default:
        info.description = "The picture in the network's size: red, green, blue, -1 to 1.";
        info.unit = DET_TFLITE_NORMALIZATION_OPTIONS;
        info.min = -1.0F;
        info.max = 1.0F;
    }
    return info;
}

static const char *const result_names[] = {"location", "category", "score"};

static void put_group(struct det_flat_writer *w, det_flat_place place)
{
    enum { COUNT = sizeof result_names / sizeof *result_names };
    det_flat_place name = 0, tensors = 0;
    DET_FLAT_PUT_TABLE(w, det_flat_put_references(w, place, 1),
                       DET_FLAT_REFERENCE(DET_TFLITE_GROUP_NAME, &name),
                       DET_FLAT_REFERENCE(DET_TFLITE_GROUP_TENSORS, &tensors));
    det_flat_put_string(w, name, "detection_result");
    det_flat_place each = det_flat_put_references(w, tensors, COUNT);
    for (size_t i = 0; i < COUNT; i++, each += DET_FLAT_REFERENCE_BYTES)
        det_flat_put_string(w, each, result_names[i]);
}

static void put_detections_subgraph(struct det_flat_writer *w, det_flat_place place,
                                    const struct det_export_job *job)
{
    const struct tensor_info in = input_info(job);
    const struct tensor_info out[] = {
        {.name = result_names[0],
         .description = "Boxes: top, left, bottom, right as shares of the picture.",
         .content = DET_TFLITE_BOX_PROPERTIES,
         .each_in_dim_2 = true},
        {.name = result_names[1],
         .description = "Classes: lines of the label file, from 0 on.",
         .content = DET_TFLITE_FEATURE_PROPERTIES,
         .each_in_dim_2 = true,
         .labels = DET_TFLITE_FILE_VALUE_LABELS},
        {.name = result_names[2],
         .description = "Scores, falling.",
         .content = DET_TFLITE_FEATURE_PROPERTIES,
         .each_in_dim_2 = true,
         .unit = DET_TFLITE_SCORE_THRESHOLDING_OPTIONS,
         .threshold = job->inference.postprocess.score_threshold},
        {.name = "number of detections",
         .description = "How many of them there are.",
         .content = DET_TFLITE_FEATURE_PROPERTIES},
    };
    det_flat_place inputs = 0, outputs = 0, groups = 0;
    DET_FLAT_PUT_TABLE(w, place, DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_INFO_INPUTS, &inputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_INFO_OUTPUTS, &outputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_INFO_OUTPUT_GROUPS, &groups));
    put_tensors(w, inputs, &in, 1);
    put_tensors(w, outputs, out, sizeof out / sizeof *out);
    put_group(w, groups);
}

static void put_raw_subgraph(struct det_flat_writer *w, det_flat_place place,
                             const struct det_export_job *job, const struct det_text *decoding)
{
    const struct tensor_info in = input_info(job);
    const struct tensor_info out[] = {
        {.name = result_names[0],
         .description = "Box encodings of all anchors: ty, tx, th, tw.",
         .content = DET_TFLITE_BOX_PROPERTIES},
        {.name = result_names[2],
         .description = job->inference.quantised == NULL ? "Scores of all anchors, for each class."
                                                         : "Logits of all anchors, for each class.",
         .content = DET_TFLITE_FEATURE_PROPERTIES,
         .labels = DET_TFLITE_FILE_AXIS_LABELS,
         .unit = DET_TFLITE_SCORE_THRESHOLDING_OPTIONS,
         .threshold = job->inference.postprocess.score_threshold},
    };
    det_flat_place inputs = 0, outputs = 0, custom = 0, name = 0, data = 0;
    DET_FLAT_PUT_TABLE(w, place, DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_INFO_INPUTS, &inputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_INFO_OUTPUTS, &outputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_INFO_CUSTOM, &custom));
    put_tensors(w, inputs, &in, 1);
    put_tensors(w, outputs, out, sizeof out / sizeof *out);
    DET_FLAT_PUT_TABLE(w, det_flat_put_references(w, custom, 1),
                       DET_FLAT_REFERENCE(DET_TFLITE_CUSTOM_NAME, &name),
                       DET_FLAT_REFERENCE(DET_TFLITE_CUSTOM_DATA, &data));
    det_flat_put_string(w, name, DET_TFLITE_DETECTOR_NAME);
    det_flat_put_vector(w, data, decoding->data, decoding->length, 1, DET_TFLITE_BUFFER_ALIGNMENT);
}

static det_status write_info(struct det_env *env, const struct det_export_job *job,
                             const char *description, const struct det_text *decoding,
                             struct det_text *text)
{
    const bool raw = job->settings.outputs == DET_EXPORT_OUTPUTS_RAW;
    struct det_flat_writer writer, *w = &writer;
    det_flat_place name = 0, words = 0, version = 0, subgraphs = 0, parser = 0;
    char step[32];
    snprintf(step, sizeof step, "step %lld", (long long)job->model->step);
    det_flat_begin(w, env, text, DET_TFLITE_METADATA_IDENTIFIER);
    DET_FLAT_PUT_TABLE(w, 0, DET_FLAT_REFERENCE(DET_TFLITE_INFO_NAME, &name),
                       DET_FLAT_REFERENCE(DET_TFLITE_INFO_DESCRIPTION, &words),
                       DET_FLAT_REFERENCE(DET_TFLITE_INFO_VERSION, &version),
                       DET_FLAT_REFERENCE(DET_TFLITE_INFO_SUBGRAPHS, &subgraphs),
                       DET_FLAT_REFERENCE(DET_TFLITE_INFO_MIN_PARSER_VERSION, &parser));
    det_flat_put_string(w, name, "SSD MobileNetV2 FPNLite");
    det_flat_put_string(w, words, description);
    det_flat_put_string(w, version, step);
    const det_flat_place subgraph = det_flat_put_references(w, subgraphs, 1);
    if (raw)
        put_raw_subgraph(w, subgraph, job, decoding);
    else
        put_detections_subgraph(w, subgraph, job);
    /* What has output groups, and custom metadata. */
    det_flat_put_string(w, parser, raw ? "1.5.0" : "1.2.0");
    return det_flat_end(w);
}

det_status det_tflite_add_metadata(struct det_env *env, const struct det_export_job *job,
                                   struct det_tflite_model *model)
{
    det_status status = DET_OK;
    struct det_text decoding = {0};
    char *description = NULL;
    const struct det_model_spec *spec = &job->model->spec;
    DET_TRY(det_format(env, &description,
                       "Detects objects of %d %s in a picture of %d x %d. Weights of training step "
                       "%lld.",
                       spec->num_classes, spec->num_classes == 1 ? "class" : "classes",
                       spec->input_width, spec->input_height, (long long)job->model->step));
    if (job->settings.outputs == DET_EXPORT_OUTPUTS_RAW)
        DET_TRY(write_decoding(env, &job->inference, &decoding));
    DET_TRY(write_info(env, job, description, &decoding, &model->metadata));
fail:
    det_text_free(env, &decoding);
    det_free(env, &description);
    return status;
}

det_status det_tflite_label_text(struct det_env *env, const det_model *model, struct det_text *text)
{
    for (int32_t id = 1; id <= det_model_class_count(model); id++) {
        const size_t start = text->length;
        DET_TRY_RETURN(det_text_utf8(
            env, text,
            det_model_class_is_used(model, id) ? det_model_class_name(model, id) : "???"));
        for (size_t i = start; i < text->length; i++)
            if ((unsigned char)text->data[i] < ' ' || text->data[i] == '\x7f')
                text->data[i] = ' ';
        DET_TRY_RETURN(det_text_append(env, text, "\n", 1));
    }
    return DET_OK;
}
