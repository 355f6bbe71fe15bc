#include <string.h>

#include "export/read_tflite.h"
#include "formats/zip_stored.h"
#include "support/mem.h"

static det_status wrong(const struct det_tflite_reader *r, const char *what)
{
    return det_fail(r->env, DET_STATUS_CORRUPT, "TFLite Metadata: %s", what);
}

static bool is_text(const char *text, const char *wanted)
{
    return text != NULL && strcmp(text, wanted) == 0;
}

/* The buffer of the model's metadata of that name, empty when there is none. */
static det_status find_buffer(struct det_tflite_reader *r, const char *name,
                              struct det_flat_vector *data)
{
    const struct det_flat_vector list =
        det_flat_vector(&r->flat, r->model, DET_TFLITE_MODEL_METADATA, DET_FLAT_REFERENCE_BYTES);
    *data = (struct det_flat_vector){0};
    for (size_t i = 0; i < list.count; i++) {
        const struct det_flat_table entry = det_flat_element(&r->flat, list, i);
        if (is_text(det_flat_string(&r->flat, entry, DET_TFLITE_METADATA_ENTRY_NAME), name))
            return det_tflite_read_buffer(
                r, det_flat_u32(&r->flat, entry, DET_TFLITE_METADATA_ENTRY_BUFFER, 0), data);
    }
    return r->flat.status;
}

/* --- the signature --- */

static det_status check_maps(struct det_tflite_reader *r, struct det_flat_table signature, int slot,
                             const char *const *names, const int32_t *tensors, int32_t count)
{
    const struct det_flat_vector maps =
        det_flat_vector(&r->flat, signature, slot, DET_FLAT_REFERENCE_BYTES);
    bool right = maps.count == (size_t)count;
    for (int32_t i = 0; right && i < count; i++) {
        const struct det_flat_table map = det_flat_element(&r->flat, maps, (size_t)i);
        right = is_text(det_flat_string(&r->flat, map, DET_TFLITE_TENSOR_MAP_NAME), names[i]) &&
                det_flat_i32(&r->flat, map, DET_TFLITE_TENSOR_MAP_TENSOR, 0) == tensors[i];
    }
    DET_TRY_RETURN(r->flat.status);
    return right ? DET_OK : wrong(r, "the signature's inputs or outputs are not the model's");
}

static det_status check_signature(struct det_tflite_reader *r)
{
    static const char *const input[] = {"input"};
    static const char *const detections[] = {"output_3", "output_2", "output_1", "output_0"};
    const char *const raw[] = {"box_encodings",
                               r->raw_in_8_bits ? "class_logits" : "class_predictions"};
    const struct det_flat_vector list =
        det_flat_vector(&r->flat, r->model, DET_TFLITE_MODEL_SIGNATURES, DET_FLAT_REFERENCE_BYTES);
    const struct det_flat_table signature = det_flat_element(&r->flat, list, 0);
    if (!is_text(det_flat_string(&r->flat, signature, DET_TFLITE_SIGNATURE_KEY), "serving_default"))
        return wrong(r, "there is no signature `serving_default`");
    DET_TRY_RETURN(check_maps(r, signature, DET_TFLITE_SIGNATURE_INPUTS, input, &r->input, 1));
    return check_maps(r, signature, DET_TFLITE_SIGNATURE_OUTPUTS,
                      r->output_count == 2 ? raw : detections, r->outputs, r->output_count);
}

/* --- tensors --- */

static bool is_one_float(struct det_flat_vector vector, float wanted)
{
    return vector.count == 1 && det_flat_word(vector, 0) == det_flat_float_bits(wanted);
}

/* x * 2 / 255 - 1, or nothing for bytes. */
static det_status check_input(struct det_tflite_reader *r, struct det_flat_reader *f,
                              struct det_flat_table info)
{
    const struct det_flat_vector units =
        det_flat_vector(f, info, DET_TFLITE_TENSOR_INFO_PROCESS_UNITS, DET_FLAT_REFERENCE_BYTES);
    const struct det_flat_table unit = det_flat_element(f, units, 0);
    const struct det_flat_table options = det_flat_child(f, unit, DET_TFLITE_UNIT_OPTIONS);
    const bool bytes = r->tensors[r->input].type != DET_TFLITE_FLOAT32;
    const bool right =
        bytes ? units.count == 0
              : units.count == 1 &&
                    det_flat_u8(f, unit, DET_TFLITE_UNIT_KIND, 0) ==
                        DET_TFLITE_NORMALIZATION_OPTIONS &&
                    is_one_float(det_flat_vector(f, options, DET_TFLITE_NORMALIZATION_MEAN, 4),
                                 127.5F) &&
                    is_one_float(det_flat_vector(f, options, DET_TFLITE_NORMALIZATION_STD, 4),
                                 127.5F);
    DET_TRY_RETURN(f->status);
    return right ? DET_OK : wrong(r, "the input's normalisation is not that of the network");
}

static det_status check_outputs(struct det_tflite_reader *r, struct det_flat_reader *f,
                                struct det_flat_table subgraph)
{
    static const char *const detections[] = {"location", "category", "score",
                                             "number of detections"};
    static const char *const raw[] = {"location", "score"};
    const struct det_flat_vector infos =
        det_flat_vector(f, subgraph, DET_TFLITE_SUBGRAPH_INFO_OUTPUTS, DET_FLAT_REFERENCE_BYTES);
    const bool is_raw = r->output_count == 2;
    bool right = infos.count == (size_t)r->output_count;
    for (size_t i = 0; right && i < infos.count; i++) {
        const struct det_flat_table info = det_flat_element(f, infos, i);
        const bool labelled = i == 1;
        const struct det_flat_vector files =
            det_flat_vector(f, info, DET_TFLITE_TENSOR_INFO_FILES, DET_FLAT_REFERENCE_BYTES);
        const char *file = det_flat_string(f, det_flat_element(f, files, 0), DET_TFLITE_FILE_NAME);
        right = is_text(det_flat_string(f, info, DET_TFLITE_TENSOR_INFO_NAME),
                        is_raw ? raw[i] : detections[i]) &&
                (labelled ? is_text(file, DET_TFLITE_LABEL_FILE) : file == NULL);
    }
    DET_TRY_RETURN(f->status);
    return right ? DET_OK : wrong(r, "the outputs are not described in their order");
}

static det_status check_labels(struct det_tflite_reader *r)
{
    struct det_zip_file file;
    DET_TRY_RETURN(det_zip_find(r->env, r->data, r->bytes, DET_TFLITE_LABEL_FILE, &file));
    const char *text = file.data;
    int32_t lines = 0;
    for (size_t i = 0; i < file.bytes; i++)
        lines += text[i] == '\n';
    if (lines == r->classes && file.bytes > 0 && text[file.bytes - 1] == '\n')
        return DET_OK;
    return det_fail(r->env, DET_STATUS_CORRUPT, "%s: %d lines for %d classes",
                    DET_TFLITE_LABEL_FILE, lines, r->classes);
}

/* --- raw outputs --- */

static det_status add_anchors(struct det_tflite_reader *r, struct det_flat_reader *f,
                              struct det_flat_vector list, int32_t *anchors)
{
    const int64_t shape[2] = {(int64_t)list.count, 4};
    DET_TRY_RETURN(
        det_program_add_constant(r->env, r->program, "anchors", false, 2, shape, anchors));
    float *to = r->program->values[*anchors].array.floats;
    for (size_t i = 0; i < list.count; i++, to += 4) {
        const struct det_flat_table anchor = det_flat_element(f, list, i);
        to[0] = det_flat_float(f, anchor, DET_TFLITE_ANCHOR_Y, 0);
        to[1] = det_flat_float(f, anchor, DET_TFLITE_ANCHOR_X, 0);
        to[2] = det_flat_float(f, anchor, DET_TFLITE_ANCHOR_HEIGHT, 0);
        to[3] = det_flat_float(f, anchor, DET_TFLITE_ANCHOR_WIDTH, 0);
    }
    return f->status;
}

static det_status add_decode(struct det_tflite_reader *r, struct det_flat_reader *f,
                             struct det_flat_table decoding, int32_t anchors)
{
    struct det_program *p = r->program;
    int32_t boxes = 0;
    DET_TRY_RETURN(det_program_add_value(r->env, p, "decoded boxes", &boxes));
    struct det_node node = {.kind = DET_NODE_DECODE,
                            .name = p->values[boxes].name,
                            .in = {p->probes[DET_PROBE_ENCODINGS], anchors},
                            .in_count = 2,
                            .out = {boxes},
                            .out_count = 1};
    node.decode.y_scale = det_flat_float(f, decoding, DET_TFLITE_DECODING_Y_SCALE, 0);
    node.decode.x_scale = det_flat_float(f, decoding, DET_TFLITE_DECODING_X_SCALE, 0);
    node.decode.height_scale = det_flat_float(f, decoding, DET_TFLITE_DECODING_H_SCALE, 0);
    node.decode.width_scale = det_flat_float(f, decoding, DET_TFLITE_DECODING_W_SCALE, 0);
    p->probes[DET_PROBE_BOXES] = boxes;
    DET_TRY_RETURN(f->status);
    return det_program_add_node(r->env, p, &node);
}

/* A nested FlatBuffer of its own. */
static det_status read_decoding(struct det_tflite_reader *r, struct det_flat_vector data)
{
    struct det_flat_reader flat, *f = &flat;
    int32_t anchors = 0;
    const struct det_flat_table root =
        det_flat_open(f, r->env, data.data, data.count, DET_TFLITE_DETECTOR_IDENTIFIER);
    const struct det_flat_table decoding = det_flat_child(f, root, DET_TFLITE_DETECTOR_DECODING);
    const struct det_flat_table options = det_flat_child(f, root, DET_TFLITE_DETECTOR_ANCHORS);
    const struct det_flat_table fixed = det_flat_child(f, options, DET_TFLITE_ANCHORS_FIXED);
    const struct det_flat_vector list =
        det_flat_vector(f, fixed, DET_TFLITE_FIXED_ANCHORS, DET_FLAT_REFERENCE_BYTES);
    const bool right = det_flat_i32(f, decoding, DET_TFLITE_DECODING_CLASSES, 0) == r->classes &&
                       det_flat_u32(f, decoding, DET_TFLITE_DECODING_BOXES, 0) == list.count &&
                       det_flat_i32(f, decoding, DET_TFLITE_DECODING_COORDINATES, 0) == 4 &&
                       det_flat_i32(f, decoding, DET_TFLITE_DECODING_VALUES_OF_KEYPOINT, 0) == 2 &&
                       det_flat_u8(f, decoding, DET_TFLITE_DECODING_EXPONENTIAL, 0) == 1 &&
                       det_flat_u8(f, decoding, DET_TFLITE_DECODING_SIGMOID, 0) == r->raw_in_8_bits;
    DET_TRY_RETURN(f->status);
    if (!right)
        return wrong(r, "how raw outputs are decoded is not said as we write it");
    DET_TRY_RETURN(add_anchors(r, f, list, &anchors));
    return add_decode(r, f, decoding, anchors);
}

static det_status check_raw(struct det_tflite_reader *r, struct det_flat_reader *f,
                            struct det_flat_table subgraph)
{
    const struct det_flat_vector list =
        det_flat_vector(f, subgraph, DET_TFLITE_SUBGRAPH_INFO_CUSTOM, DET_FLAT_REFERENCE_BYTES);
    const struct det_flat_table custom = det_flat_element(f, list, 0);
    const char *name = det_flat_string(f, custom, DET_TFLITE_CUSTOM_NAME);
    const struct det_flat_vector data = det_flat_vector(f, custom, DET_TFLITE_CUSTOM_DATA, 1);
    DET_TRY_RETURN(f->status);
    if (!is_text(name, DET_TFLITE_DETECTOR_NAME))
        return wrong(r, "there are no anchors for the raw outputs");
    return read_decoding(r, data);
}

/* --- all --- */

static det_status read_info(struct det_tflite_reader *r, struct det_flat_vector data)
{
    struct det_flat_reader flat, *f = &flat;
    const struct det_flat_table info =
        det_flat_open(f, r->env, data.data, data.count, DET_TFLITE_METADATA_IDENTIFIER);
    const struct det_flat_vector subgraphs =
        det_flat_vector(f, info, DET_TFLITE_INFO_SUBGRAPHS, DET_FLAT_REFERENCE_BYTES);
    const struct det_flat_table subgraph = det_flat_element(f, subgraphs, 0);
    const struct det_flat_vector inputs =
        det_flat_vector(f, subgraph, DET_TFLITE_SUBGRAPH_INFO_INPUTS, DET_FLAT_REFERENCE_BYTES);
    DET_TRY_RETURN(check_input(r, f, det_flat_element(f, inputs, 0)));
    DET_TRY_RETURN(check_outputs(r, f, subgraph));
    return r->output_count == 2 ? check_raw(r, f, subgraph) : DET_OK;
}

det_status det_tflite_read_metadata(struct det_tflite_reader *r)
{
    struct det_flat_vector runtime, info;
    DET_TRY_RETURN(find_buffer(r, DET_TFLITE_MIN_RUNTIME_VERSION_NAME, &runtime));
    DET_TRY_RETURN(find_buffer(r, DET_TFLITE_METADATA_NAME, &info));
    if (runtime.count == 0 || info.count == 0)
        return wrong(r, "there is none, or no version of the runtime");
    DET_TRY_RETURN(check_signature(r));
    DET_TRY_RETURN(check_labels(r));
    return read_info(r, info);
}
