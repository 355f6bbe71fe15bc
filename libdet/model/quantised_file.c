#include "model/quantised_file.h"

#include <math.h>
#include <string.h>

#include "support/json_writer.h"
#include "support/mem.h"

#define PREFIX       ".QUANTISED/"
#define SCALE_SUFFIX "/.SCALE"

enum { MOST_OBSERVER = 5 };

/* --- writing --- */

void det_quantised_to_json(struct det_json_writer *json, const struct det_quantised *q)
{
    det_json_open_object(json, "quantisation");
    det_json_put_int(json, "images", q->images);
    det_json_put_int(json, "observer", q->observer);
    det_json_put_bool(json, "equalised", q->equalised);
    det_json_put_bool(json, "biases_corrected", q->biases_corrected);
    det_json_put_double(json, "score_error", q->score_error);
    det_json_put_double(json, "box_error", q->box_error);
    det_json_close_object(json);
}

static det_status add_list(struct det_env *env, struct det_weights_writer *writer, const char *name,
                           enum det_weights_type dtype, int32_t count, const void *data)
{
    const int64_t shape[1] = {count};
    return det_weights_writer_add(env, writer, name, dtype, shape, 1, data);
}

static det_status add_weight(struct det_env *env, struct det_weights_writer *writer,
                             const struct det_param *param, const struct det_q8_weights *weights,
                             int32_t channels)
{
    int64_t shape[4];
    char *name = NULL;
    for (int32_t d = 0; d < param->dims; d++)
        shape[d] = param->shape[d];
    DET_TRY_RETURN(det_weights_writer_add(env, writer, param->key, DET_WEIGHTS_I8, shape,
                                          param->dims, weights->values));
    DET_TRY_RETURN(det_format(env, &name, "%s" SCALE_SUFFIX, param->key));
    const det_status status =
        add_list(env, writer, name, DET_WEIGHTS_F32, channels, weights->scales);
    det_free(env, &name);
    return status;
}

det_status det_quantised_add(struct det_env *env, struct det_weights_writer *writer,
                             const struct det_graph *graph, const struct det_quantised *q,
                             struct det_quantised_tables *tables)
{
    const size_t tensors = (size_t)q->tensor_count, ops = (size_t)q->op_count;
    *tables = (struct det_quantised_tables){0};
    DET_TRY_RETURN(det_alloc(env, &tables->scales, tensors, sizeof(float), "quantisation"));
    DET_TRY_RETURN(det_alloc(env, &tables->zeros, tensors, 1, "quantisation"));
    DET_TRY_RETURN(det_alloc(env, &tables->eight_bits, ops, 1, "quantisation"));
    for (size_t t = 0; t < tensors; t++) {
        tables->scales[t] = q->tensors[t].scale;
        tables->zeros[t] = (uint8_t)(q->tensors[t].zero + 128);
    }
    for (size_t i = 0; i < ops; i++)
        tables->eight_bits[i] = q->eight_bits[i];
    for (int32_t p = 0; p < q->param_count; p++) {
        if (q->weights[p].values != NULL)
            DET_TRY_RETURN(add_weight(env, writer, &graph->params[p], &q->weights[p],
                                      det_param_channels(&graph->params[p])));
    }
    DET_TRY_RETURN(
        add_list(env, writer, PREFIX "SCALE", DET_WEIGHTS_F32, q->tensor_count, tables->scales));
    DET_TRY_RETURN(
        add_list(env, writer, PREFIX "ZERO", DET_WEIGHTS_U8, q->tensor_count, tables->zeros));
    DET_TRY_RETURN(
        add_list(env, writer, PREFIX "EIGHT", DET_WEIGHTS_U8, q->op_count, tables->eight_bits));
    return add_list(env, writer, PREFIX "ERROR", DET_WEIGHTS_F32, q->op_count, q->errors);
}

void det_quantised_tables_free(struct det_env *env, struct det_quantised_tables *tables)
{
    det_free(env, &tables->scales);
    det_free(env, &tables->zeros);
    det_free(env, &tables->eight_bits);
}

/* --- reading --- */

bool det_quantised_is_in(const struct det_weights *file)
{
    return det_json_kind(det_json_get(det_weights_meta(file), "quantisation")) != DET_JSON_NONE;
}

static det_status read_number(struct det_env *env, const struct det_weights *file,
                              struct det_json json, const char *key, double most, double *number)
{
    if (!det_json_number(det_json_get(json, key), number) || !(*number >= 0) || !(*number <= most))
        return det_fail(env, DET_STATUS_CORRUPT, "%s: quantisation has no valid \"%s\"",
                        det_weights_path(file), key);
    return DET_OK;
}

static det_status read_meta(struct det_env *env, const struct det_weights *file,
                            struct det_quantised *q)
{
    const struct det_json json = det_json_get(det_weights_meta(file), "quantisation");
    double images = 0, observer = 0;
    DET_TRY_RETURN(read_number(env, file, json, "images", 9e15, &images));
    DET_TRY_RETURN(read_number(env, file, json, "observer", MOST_OBSERVER, &observer));
    DET_TRY_RETURN(read_number(env, file, json, "score_error", 1e30, &q->score_error));
    DET_TRY_RETURN(read_number(env, file, json, "box_error", 1e30, &q->box_error));
    q->images = (int64_t)images;
    q->observer = (int32_t)observer;
    q->equalised = det_json_is_true(det_json_get(json, "equalised"));
    q->biases_corrected = det_json_is_true(det_json_get(json, "biases_corrected"));
    return DET_OK;
}

static det_status require_list(struct det_env *env, const struct det_weights *file,
                               const char *name, enum det_weights_type dtype, int32_t count,
                               const void **data)
{
    const struct det_weights_tensor *tensor = NULL;
    const int64_t shape[1] = {count};
    DET_TRY_RETURN(det_weights_require(env, file, name, dtype, shape, 1, &tensor));
    *data = tensor->data;
    return DET_OK;
}

static det_status read_tables(struct det_env *env, const struct det_weights *file,
                              struct det_quantised *q)
{
    const void *scales = NULL, *zeros = NULL, *eight_bits = NULL, *errors = NULL;
    const int32_t tensors = q->tensor_count, ops = q->op_count;
    DET_TRY_RETURN(require_list(env, file, PREFIX "SCALE", DET_WEIGHTS_F32, tensors, &scales));
    DET_TRY_RETURN(require_list(env, file, PREFIX "ZERO", DET_WEIGHTS_U8, tensors, &zeros));
    DET_TRY_RETURN(require_list(env, file, PREFIX "EIGHT", DET_WEIGHTS_U8, ops, &eight_bits));
    DET_TRY_RETURN(require_list(env, file, PREFIX "ERROR", DET_WEIGHTS_F32, ops, &errors));
    memcpy(q->errors, errors, (size_t)ops * sizeof *q->errors);
    for (int32_t t = 0; t < tensors; t++) {
        memcpy(&q->tensors[t].scale, (const char *)scales + (size_t)t * sizeof(float),
               sizeof(float));
        q->tensors[t].zero = ((const uint8_t *)zeros)[t] - 128;
        /* All real values of the tensor are numbers. */
        if (!(q->tensors[t].scale >= 0) || !isfinite(255 * q->tensors[t].scale))
            return det_fail(env, DET_STATUS_CORRUPT, "%s: scale of tensor %d is %g",
                            det_weights_path(file), t, (double)q->tensors[t].scale);
    }
    for (int32_t i = 0; i < ops; i++)
        q->eight_bits[i] = ((const uint8_t *)eight_bits)[i] != 0;
    return DET_OK;
}

static det_status read_weight(struct det_env *env, const struct det_weights *file,
                              const struct det_param *param, struct det_q8_weights *to)
{
    const struct det_weights_tensor *tensor = NULL;
    const int32_t channels = det_param_channels(param);
    const void *scales = NULL;
    char *name = NULL;
    int64_t shape[4];
    det_status status = DET_OK;
    for (int32_t d = 0; d < param->dims; d++)
        shape[d] = param->shape[d];
    DET_TRY(
        det_weights_require(env, file, param->key, DET_WEIGHTS_I8, shape, param->dims, &tensor));
    DET_TRY(det_format(env, &name, "%s" SCALE_SUFFIX, param->key));
    DET_TRY(require_list(env, file, name, DET_WEIGHTS_F32, channels, &scales));
    DET_TRY(det_alloc(env, &to->values, param->count, 1, "8-bit weights"));
    DET_TRY(det_alloc(env, &to->scales, (size_t)channels, sizeof(float), "8-bit weights"));
    memcpy(to->values, tensor->data, param->count);
    memcpy(to->scales, scales, (size_t)channels * sizeof(float));
    for (size_t i = 0; i < param->count; i++) {
        if (to->values[i] == -128)
            DET_TRY(det_fail(env, DET_STATUS_CORRUPT,
                             "%s: %s: value %zu is -128, expected -127 to 127",
                             det_weights_path(file), param->key, i));
    }
    for (int32_t c = 0; c < channels; c++) {
        if (!(to->scales[c] > 0) || !isfinite(to->scales[c]))
            DET_TRY(det_fail(env, DET_STATUS_CORRUPT, "%s: %s: scale of channel %d is %g",
                             det_weights_path(file), param->key, c, (double)to->scales[c]));
    }
fail:
    det_free(env, &name);
    return status;
}

/* Who runs it counts on whole grey levels. */
static det_status check_input(struct det_env *env, const struct det_weights *file,
                              const struct det_quantised *q)
{
    const struct det_q8_tensor found = q->tensors[0], expected = det_q8_input_tensor();
    if (found.scale != expected.scale || found.zero != expected.zero)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: the network's input has scale %g and zero %d, expected %g and %d",
                        det_weights_path(file), (double)found.scale, found.zero,
                        (double)expected.scale, expected.zero);
    return DET_OK;
}

/* Every operation in 8 bits has the scales and weights that it needs. */
static det_status check(struct det_env *env, const struct det_weights *file,
                        const struct det_graph *graph, const struct det_quantised *q)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        const int32_t tensors[] = {op->in, op->in2, op->out};
        if (!q->eight_bits[i])
            continue;
        for (int k = 0; k < 3; k++) {
            if (tensors[k] >= 0 && !(q->tensors[tensors[k]].scale > 0))
                return det_fail(env, DET_STATUS_CORRUPT,
                                "%s: %s is in 8 bits, but tensor %d has no scale",
                                det_weights_path(file), op->name, tensors[k]);
        }
        if (op->weight >= 0 && q->weights[op->weight].values == NULL)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: %s is in 8 bits, but its weights are not",
                            det_weights_path(file), op->name);
        if (op->in == 0)
            DET_TRY_RETURN(check_input(env, file, q));
    }
    return DET_OK;
}

det_status det_quantised_read(struct det_env *env, const struct det_weights *file,
                              const struct det_graph *graph, struct det_quantised **quantised)
{
    det_status status = DET_OK;
    DET_TRY(det_quantised_create(env, graph, quantised));
    DET_TRY(read_meta(env, file, *quantised));
    DET_TRY(read_tables(env, file, *quantised));
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_weights_tensor *tensor = det_weights_find(file, graph->params[p].key);
        if (tensor != NULL && tensor->dtype == DET_WEIGHTS_I8)
            DET_TRY(read_weight(env, file, &graph->params[p], &(*quantised)->weights[p]));
    }
    DET_TRY(check(env, file, graph, *quantised));
fail:
    if (status != DET_OK)
        det_quantised_destroy(env, quantised);
    return status;
}
