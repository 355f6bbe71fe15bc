/* tflite_q8.c: weights and biases as TFLite's 8-bit quantization specification has them: a scale
 * for each output channel, biases in steps of the sum; the operators that go to 8 bits and back. */
#include "export/tflite_network.h"
#include "support/mem.h"

/* One tensor for all levels that share the weights. */
static det_status put_weights(struct det_tflite_network *n, int32_t index)
{
    const struct det_param *param = &n->graph->params[index];
    const struct det_q8_weights *weights = &n->quantised->weights[index];
    const struct det_tflite_scales scales = {
        .values = weights->scales,
        .count = det_param_channels(param),
        .dimension = param->role == DET_PARAM_DEPTHWISE ? 3 : 0,
    };
    int32_t shape[DET_TFLITE_MOST_DIMS] = {0};
    int8_t *values = NULL;
    if (n->params[index] >= 0)
        return DET_OK;
    DET_TRY_RETURN(det_alloc_raw(n->env, &values, param->count, sizeof *values, param->key));
    det_tflite_reorder(param, weights->values, sizeof *values, shape, values);
    const det_status status =
        det_tflite_add_scaled_constant(n->env, n->model, param->key, DET_TFLITE_INT8, param->dims,
                                       shape, values, &scales, &n->params[index]);
    det_free(n->env, &values);
    return status;
}

/* XNNPACK makes no convolution of another step, and LiteRT does not load such a file. */
static det_status check_step(struct det_env *env, const struct det_op *op, int32_t channel,
                             float step)
{
    if (step < 256)
        return DET_OK;
    return det_fail(env, DET_STATUS_UNSUPPORTED,
                    "tflite: `%s`: one step of the sum of channel %d is %g steps of its result, "
                    "LiteRT takes less than 256: quantise the float32 model anew",
                    op->name, channel, (double)step);
}

/* What the engine starts each sum with, half a grey level of the input in it too. */
static det_status put_bias(struct det_tflite_network *n, int32_t op,
                           const struct det_q8_layer *layer, int32_t *tensor)
{
    const struct det_op *from = &n->graph->ops[op];
    const struct det_q8_weights *weights = &n->quantised->weights[from->weight];
    const float in_scale = n->quantised->tensors[from->in].scale;
    const int32_t channels = n->graph->tensors[from->out].channels;
    struct det_tflite_scales scales = {.count = channels};
    char *name = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(n->env, &scales.values, (size_t)channels, sizeof *scales.values,
                          "scales of biases"));
    for (int32_t c = 0; c < channels; c++) {
        scales.values[c] = in_scale * weights->scales[c];
        DET_TRY(check_step(n->env, from, c, layer->scales[c]));
    }
    DET_TRY(det_format(n->env, &name, "%s/bias_%d", from->name, from->out));
    DET_TRY(det_tflite_add_scaled_constant(n->env, n->model, name, DET_TFLITE_INT32, 1, &channels,
                                           layer->bias, &scales, tensor));
fail:
    det_free(n->env, &scales.values);
    det_free(n->env, &name);
    return status;
}

det_status det_tflite_put_q8_params(struct det_tflite_network *n, int32_t op, int32_t *weights,
                                    int32_t *bias)
{
    const int32_t param = n->graph->ops[op].weight;
    struct det_q8_layer layer = {0};
    DET_TRY_RETURN(put_weights(n, param));
    *weights = n->params[param];
    DET_TRY_RETURN(
        det_q8_layer_create(n->env, n->graph, n->quantised, n->job->inference.params, op, &layer));
    const det_status status = put_bias(n, op, &layer, bias);
    det_q8_layer_free(n->env, &layer);
    return status;
}

det_status det_tflite_put_real(struct det_tflite_network *n, int32_t *at)
{
    const struct det_tflite_tensor from = n->model->tensors[*at];
    struct det_tflite_op op =
        det_tflite_op_of(DET_TFLITE_DEQUANTIZE, DET_TFLITE_DEQUANTIZE_OPTIONS, 1);
    char *name = NULL;
    op.version = 2;
    op.in[0] = *at;
    DET_TRY_RETURN(det_format(n->env, &name, "%s/float", from.name));
    const det_status status = det_tflite_put(n, op, name, from.dims, from.shape, at);
    det_free(n->env, &name);
    return status;
}
