/* prepared_q8.c: weights of layers in 8 bits as the kernels of blocked.h read them. */
#include <string.h>

#include "devices/cpu/prepared/prepared_weights.h"
#include "support/mem.h"

/* The two arrays of a layer's columns, in one piece of memory: biases, scales. `sums`: each
 * column's weights added up, which its bias takes with the zero of the input. */
static void make_columns(const struct det_q8_conv *layer, const int32_t *sums, int32_t count,
                         size_t columns, float *memory, struct detk_q8_finish *to)
{
    int32_t *bias = (int32_t *)(void *)memory;
    float *scale = memory + columns;
    *to = (struct detk_q8_finish){
        .scale = scale,
        .zero = layer->to.zero + DETK_Q8_BIAS,
        .low = layer->to.low + DETK_Q8_BIAS,
        .high = layer->to.high + DETK_Q8_BIAS,
    };
    for (int32_t j = 0; j < count; j++) {
        /* Kernels count modulo 2^32: only the whole sum must fit. */
        bias[j] = (int32_t)((uint32_t)layer->bias[j] -
                            (uint32_t)(layer->in_zero + DETK_Q8_BIAS) * (uint32_t)sums[j]);
        scale[j] = layer->scale[j];
    }
}

/* Byte `index` of a word. */
static void set_byte(float *word, int32_t index, int8_t value)
{
    memcpy((char *)word + index, &value, sizeof value);
}

/* Value `index` of a word of `count`. */
static void set_value(float *word, int32_t index, int32_t count, int32_t value)
{
    const int16_t wide = (int16_t)value;
    if (count == 2)
        memcpy((char *)word + (size_t)index * sizeof wide, &wide, sizeof wide);
    else
        set_byte(word, index, (int8_t)value);
}

det_status detk_q8_pointwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                                  int32_t in_c, int32_t out_c, const struct det_q8_conv *layer,
                                  float real_scale, struct detk_pointwise *to)
{
    int32_t *sums = NULL;
    det_status status = DET_OK;
    *to = (struct detk_pointwise){.kernels = kernels, .in_c = in_c, .out_c = out_c};
    const int32_t values = detk_q8_word_values(kernels);
    to->rows = (in_c + values - 1) / values;
    to->panels = detk_panel_count(kernels, out_c);
    const size_t columns = detk_padded_columns(to);
    DET_TRY(det_alloc(env, &sums, (size_t)out_c, sizeof *sums, "packed weights"));
    DET_TRY(
        det_alloc(env, &to->packed, columns, (size_t)to->rows * sizeof(float), "packed weights"));
    DET_TRY(
        det_alloc(env, &to->bias, columns, DETK_Q8_COLUMN_WORDS * sizeof(float), "packed weights"));
    for (int32_t i = 0; i < to->panels; i++) {
        const struct detk_panel_span s = detk_panel_span_at(to, i);
        const int32_t width = s.vectors * kernels->lanes;
        float *panel = to->packed + (size_t)s.first * (size_t)to->rows;
        for (int32_t j = 0; j < width && s.first + j < out_c; j++) {
            for (int32_t k = 0; k < in_c; k++) {
                const int8_t w = layer->weights[(ptrdiff_t)k * out_c + s.first + j];
                set_value(panel + (ptrdiff_t)(k / values) * width + j, k % values, values, w);
                sums[s.first + j] += w;
            }
        }
    }
    make_columns(layer, sums, out_c, columns, to->bias, &to->finish);
    to->finish.real_scale = real_scale;
fail:
    det_free(env, &sums);
    return status;
}

det_status detk_q8_dense_pack(struct det_env *env, const struct detk_blocked *kernels,
                              const struct det_conv_shape *shape, const struct det_q8_conv *layer,
                              float real_scale, struct detk_pointwise *to)
{
    const size_t taps = (size_t)shape->kernel_h * (size_t)shape->kernel_w;
    const size_t out_c = (size_t)shape->out_c, run = (size_t)shape->in_c * out_c;
    const size_t terms = (size_t)detk_blocks(shape->in_c) * DETK_BLOCK;
    int8_t *weights = NULL;
    struct det_q8_conv windows = *layer;
    DET_TRY_RETURN(det_alloc(env, &weights, taps * terms, out_c, "packed weights"));
    for (size_t tap = 0; tap < taps; tap++)
        memcpy(weights + tap * terms * out_c, layer->weights + tap * run, run);
    windows.weights = weights;
    const det_status status = detk_q8_pointwise_pack(env, kernels, (int32_t)(taps * terms),
                                                     shape->out_c, &windows, real_scale, to);
    det_free(env, &weights);
    return status;
}

det_status detk_q8_depthwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                                  const struct det_conv_shape *shape,
                                  const struct det_q8_conv *layer, struct detk_depthwise *to)
{
    const int32_t c = shape->in_c, blocks = detk_blocks(c);
    int32_t *sums = NULL;
    det_status status = DET_OK;
    *to = (struct detk_depthwise){.kernels = kernels,
                                  .c = c,
                                  .stride = shape->stride,
                                  .pad_top = shape->pad_top,
                                  .pad_left = shape->pad_left};
    DET_TRY(det_alloc(env, &sums, (size_t)c, sizeof *sums, "packed weights"));
    DET_TRY(
        det_alloc(env, &to->w, (size_t)blocks, 3 * DETK_BLOCK * sizeof(float), "packed weights"));
    DET_TRY(det_alloc(env, &to->bias, (size_t)blocks,
                      DETK_Q8_COLUMN_WORDS * DETK_BLOCK * sizeof(float), "packed weights"));
    for (int32_t j = 0; j < c; j++) {
        float *column = to->w + (ptrdiff_t)(j / DETK_BLOCK) * 3 * DETK_BLOCK + j % DETK_BLOCK;
        for (int32_t tap = 0; tap < 9; tap++) {
            const int8_t w = layer->weights[(ptrdiff_t)tap * c + j];
            set_byte(column + (ptrdiff_t)(tap % 3) * DETK_BLOCK, tap / 3, w);
            sums[j] += w;
        }
    }
    make_columns(layer, sums, c, (size_t)blocks * DETK_BLOCK, to->bias, &to->finish);
fail:
    det_free(env, &sums);
    return status;
}
