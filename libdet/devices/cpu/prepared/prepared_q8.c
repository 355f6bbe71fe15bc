/* prepared_q8.c: weights of layers in 8 bits as the kernels of blocked.h read them. */
#include <math.h>
#include <string.h>

#include "devices/cpu/prepared/prepared_weights.h"
#include "support/mem.h"

/* Of fewer terms, or for fewer columns, the sums of pairs take longer than Winograd's identity
 * saves. */
#define PAIRED_TERMS   32
#define PAIRED_COLUMNS 25

/* What all sums of a layer are. */
struct limits {
    bool small, raisable; /* steps are whole numbers of 32 bits; sums are less than 2^23 */
};

/* The two arrays of a layer's columns, in one piece of memory: biases, scales. */
static struct detk_q8_finish columns_of(const struct det_q8_conv *layer, float *memory,
                                        size_t columns)
{
    return (struct detk_q8_finish){
        .scale = memory + columns,
        .zero = layer->to.zero + DETK_Q8_BIAS,
        .low = layer->to.low + DETK_Q8_BIAS,
        .high = layer->to.high + DETK_Q8_BIAS,
    };
}

/* When all columns are there. */
static void set_sums(const struct detk_blocked *kernels, const struct limits *limits, float *memory,
                     size_t columns, struct detk_q8_finish *finish)
{
    uint32_t *bias = (uint32_t *)(void *)memory;
    if (!limits->small || finish->low != 0 || finish->high != 255)
        return;
    finish->sums = DETK_Q8_SMALL;
    if (!kernels->raises || !limits->raisable || finish->zero != 0)
        return;
    finish->sums = DETK_Q8_RAISED;
    for (size_t i = 0; i < columns; i++)
        bias[i] += DETK_Q8_RAISE;
}

/* What a column's weights come to. */
struct weight_sums {
    int32_t sum, magnitude;
    uint32_t pairs; /* products of them that come into the sums */
};

static void add_weight(struct weight_sums *sums, int32_t w)
{
    sums->sum += w;
    sums->magnitude += w < 0 ? -w : w;
}

/* Column j at place `at`: its bias takes the sum of the weights with the zero of the input. Kernels
 * count modulo 2^32: only the whole sum must fit. */
static void set_column(const struct det_q8_conv *layer, int32_t j, const struct weight_sums *sums,
                       float *memory, size_t columns, size_t at, struct limits *limits)
{
    int32_t *bias = (int32_t *)(void *)memory;
    const uint32_t zeros = (uint32_t)(layer->in_zero + DETK_Q8_BIAS) * (uint32_t)sums->sum;
    const double most = 255.0 * sums->magnitude + fabs((double)layer->bias[j]);
    bias[at] = (int32_t)((uint32_t)layer->bias[j] - zeros - sums->pairs);
    memory[columns + at] = layer->scale[j];
    const double scale = (double)layer->scale[j];
    if (!(most * scale < 0x1p30))
        limits->small = false;
    if (!(most < 0x1p23 && scale < 0x1p100)) /* 2^23 steps are a float */
        limits->raisable = false;
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

/* Where a panel's column `j` lies in it. */
static int32_t place_of(const struct detk_blocked *kernels, int32_t vectors, int32_t j)
{
    const int32_t four = j % DETK_BLOCK / 4;
    const bool whole = (j / DETK_BLOCK + 1) * DETK_BLOCK <= vectors * kernels->lanes;
    return kernels->crossed && whole && (four == 1 || four == 2) ? j + (four == 1 ? 4 : -4) : j;
}

/* A column of a panel, `width` words from row to row. */
static void pack_column(struct detk_pointwise *p, const struct det_q8_conv *layer, int32_t j,
                        int32_t width, size_t at, float *column, struct limits *limits)
{
    const int32_t values = detk_q8_word_values(p->kernels), in_c = p->in_c;
    const int8_t *w = layer->weights + j;
    struct weight_sums sums = {0};
    for (int32_t k = 0; k < in_c; k++) {
        const int8_t value = w[(ptrdiff_t)k * p->out_c];
        const int32_t row = p->paired ? k / values ^ 1 : k / values;
        set_value(column + (ptrdiff_t)row * width, k % values, values, value);
        add_weight(&sums, value);
        if (p->paired && k % 4 < 2 && k + 2 < in_c)
            sums.pairs += (uint32_t)(value * w[(ptrdiff_t)(k + 2) * p->out_c]);
    }
    set_column(layer, j, &sums, p->bias, detk_padded_columns(p), at, limits);
}

det_status detk_q8_pointwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                                  int32_t in_c, int32_t out_c, const struct det_q8_conv *layer,
                                  float real_scale, struct detk_pointwise *to)
{
    *to = (struct detk_pointwise){.kernels = kernels, .in_c = in_c, .out_c = out_c};
    to->paired = kernels->pairs != NULL && in_c >= PAIRED_TERMS && out_c >= PAIRED_COLUMNS;
    to->rows = (in_c + 3) / 4 * (4 / detk_q8_word_values(kernels));
    to->panels = detk_panel_count(kernels, out_c);
    const size_t columns = detk_padded_columns(to);
    DET_TRY_RETURN(
        det_alloc(env, &to->packed, columns, (size_t)to->rows * sizeof(float), "packed weights"));
    DET_TRY_RETURN(
        det_alloc(env, &to->bias, columns, DETK_Q8_COLUMN_WORDS * sizeof(float), "packed weights"));
    to->finish = columns_of(layer, to->bias, columns);
    to->finish.real_scale = real_scale;
    struct limits limits = {true, true};
    for (int32_t i = 0; i < to->panels; i++) {
        const struct detk_panel_span s = detk_panel_span_at(to, i);
        const int32_t width = s.vectors * kernels->lanes;
        const int32_t together = kernels->packed_vectors * kernels->lanes;
        for (int32_t j = 0; j < width && s.first + j < out_c; j++) {
            const int32_t place = place_of(kernels, s.vectors, j);
            const int32_t begin = s.first + place / together * together;
            const int32_t left = s.first + width - begin;
            pack_column(to, layer, s.first + j, left < together ? left : together,
                        (size_t)s.first + (size_t)place,
                        to->packed + (size_t)begin * (size_t)to->rows + place % together, &limits);
        }
    }
    set_sums(kernels, &limits, to->bias, columns, &to->finish);
    return DET_OK;
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
    const size_t columns = (size_t)blocks * DETK_BLOCK;
    *to = (struct detk_depthwise){.kernels = kernels,
                                  .c = c,
                                  .stride = shape->stride,
                                  .pad_top = shape->pad_top,
                                  .pad_left = shape->pad_left};
    DET_TRY_RETURN(
        det_alloc(env, &to->w, (size_t)blocks, 3 * DETK_BLOCK * sizeof(float), "packed weights"));
    DET_TRY_RETURN(
        det_alloc(env, &to->bias, columns, DETK_Q8_COLUMN_WORDS * sizeof(float), "packed weights"));
    to->finish = columns_of(layer, to->bias, columns);
    struct limits limits = {true, true};
    for (int32_t j = 0; j < c; j++) {
        struct weight_sums sums = {0};
        float *column = to->w + (ptrdiff_t)(j / DETK_BLOCK) * 3 * DETK_BLOCK + j % DETK_BLOCK;
        for (int32_t tap = 0; tap < 9; tap++) {
            const int8_t w = layer->weights[(ptrdiff_t)tap * c + j];
            set_byte(column + (ptrdiff_t)(tap % 3) * DETK_BLOCK, tap / 3, w);
            add_weight(&sums, w);
        }
        set_column(layer, j, &sums, to->bias, columns, (size_t)j, &limits);
    }
    set_sums(kernels, &limits, to->bias, columns, &to->finish);
    return DET_OK;
}
