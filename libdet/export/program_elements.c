#include <math.h>

#include "export/program_nodes.h"

static float unary(const struct det_node *node, float x)
{
    switch (node->kind) {
    case DET_NODE_CLIP:
        return x < node->clip.low ? node->clip.low : x > node->clip.high ? node->clip.high : x;
    case DET_NODE_SIGMOID:
        return 1 / (1 + expf(-x));
    case DET_NODE_EXP:
        return expf(x);
    default: /* DET_NODE_ROUND */
        return rintf(x);
    }
}

det_status det_node_unary(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    DET_TRY_RETURN(det_node_make(run, 0, false, x->dims, x->shape));
    for (size_t i = 0; i < x->count; i++)
        run->out[0].floats[i] = unary(run->node, x->floats[i]);
    return DET_OK;
}

/* What does not fit, NaN too, becomes the least number. */
static int64_t to_whole(float x)
{
    return x > -0x1p63F && x < 0x1p63F ? (int64_t)x : INT64_MIN;
}

det_status det_node_cast(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    const bool whole = run->node->kind == DET_NODE_TO_WHOLE;
    DET_TRY_RETURN(det_node_make(run, 0, whole, x->dims, x->shape));
    for (size_t i = 0; i < x->count; i++) {
        if (whole)
            run->out[0].wholes[i] = x->whole ? x->wholes[i] : to_whole(x->floats[i]);
        else
            run->out[0].floats[i] = x->whole ? (float)x->wholes[i] : x->floats[i];
    }
    return DET_OK;
}

static det_status check_scales(struct det_node_run *run, const struct det_array *scales)
{
    for (size_t i = 0; i < scales->count; i++)
        if (!(scales->floats[i] > 0 && isfinite(scales->floats[i])))
            return det_node_fail(run, "scale %zu is %g", i, (double)scales->floats[i]);
    return DET_OK;
}

det_status det_node_quantize(struct det_node_run *run)
{
    const struct det_array *x = run->in[0], *scale = run->in[1], *zero = run->in[2];
    const int32_t low = run->node->rounding.low, high = run->node->rounding.high;
    DET_TRY_RETURN(check_scales(run, scale));
    if (scale->count != 1 || zero->count != 1 || zero->wholes[0] < low || zero->wholes[0] > high)
        return det_node_fail(run, "its scale and zero are not one number each, of %d to %d", low,
                             high);
    const float least = (float)(low - zero->wholes[0]), most = (float)(high - zero->wholes[0]);
    DET_TRY_RETURN(det_node_make(run, 0, true, x->dims, x->shape));
    for (size_t i = 0; i < x->count; i++) {
        const float steps = rintf(x->floats[i] / scale->floats[0]);
        const float inside = steps < least ? least : steps > most ? most : steps;
        run->out[0].wholes[i] = zero->wholes[0] + (isnan(inside) ? 0 : (int64_t)inside);
    }
    return DET_OK;
}

det_status det_node_dequantize(struct det_node_run *run)
{
    const struct det_array *x = run->in[0], *scale = run->in[1], *zero = run->in[2];
    const bool one = scale->count == 1;
    const int32_t axis = one ? 0 : det_node_axis(run->node->axis, x->dims);
    DET_TRY_RETURN(check_scales(run, scale));
    if (axis < 0 || (!one && scale->count != (size_t)x->shape[axis]) ||
        (zero != NULL && zero->count != scale->count))
        return det_node_fail(run, "%zu scales and %zu zeros along axis %d", scale->count,
                             zero == NULL ? 0 : zero->count, run->node->axis);
    const size_t inner = one ? x->count : det_node_extent(x, axis + 1, x->dims);
    DET_TRY_RETURN(det_node_make(run, 0, false, x->dims, x->shape));
    for (size_t i = 0; i < x->count; i++) {
        const size_t c = i / inner % scale->count;
        const int64_t steps = x->wholes[i] - (zero == NULL ? 0 : zero->wholes[c]);
        run->out[0].floats[i] = scale->floats[c] * (float)steps;
    }
    return DET_OK;
}

/* The common shape of arrays, dimensions counted from the last. */
struct broadcast {
    int32_t dims;
    int64_t shape[DET_ARRAY_MOST_DIMS];
};

static det_status join(const struct det_node_run *run, struct broadcast *b,
                       const struct det_array *array)
{
    struct broadcast joined = {.dims = b->dims > array->dims ? b->dims : array->dims};
    for (int32_t i = 1; i <= joined.dims; i++) {
        const int64_t have = i <= b->dims ? b->shape[b->dims - i] : 1;
        const int64_t more = i <= array->dims ? array->shape[array->dims - i] : 1;
        if (have != more && have != 1 && more != 1)
            return det_node_fail(run, "sizes %lld and %lld do not go together", (long long)have,
                                 (long long)more);
        joined.shape[joined.dims - i] = have == 1 ? more : have;
    }
    *b = joined;
    return DET_OK;
}

/* Elements from one place to the next in each dimension of the common shape; 0 where an array has
 * one for all. */
static void strides_of(const struct broadcast *b, const struct det_array *array,
                       size_t strides[DET_ARRAY_MOST_DIMS])
{
    size_t stride = 1;
    for (int32_t i = 1; i <= b->dims; i++) {
        const int64_t size = i <= array->dims ? array->shape[array->dims - i] : 1;
        strides[b->dims - i] = size == 1 ? 0 : stride;
        stride *= (size_t)size;
    }
}

/* Where each of up to three arrays is read for the element after `at`. */
struct walk {
    const struct broadcast *shape;
    int64_t at[DET_ARRAY_MOST_DIMS];
    size_t strides[3][DET_ARRAY_MOST_DIMS];
    size_t places[3];
};

static void step(struct walk *w)
{
    for (int32_t d = w->shape->dims; d-- > 0;) {
        for (int i = 0; i < 3; i++)
            w->places[i] += w->strides[i][d];
        if (++w->at[d] < w->shape->shape[d])
            return;
        for (int i = 0; i < 3; i++)
            w->places[i] -= w->strides[i][d] * (size_t)w->shape->shape[d];
        w->at[d] = 0;
    }
}

static float binary_float(enum det_node_kind kind, float a, float b)
{
    switch (kind) {
    case DET_NODE_ADD:
        return a + b;
    case DET_NODE_SUB:
        return a - b;
    case DET_NODE_MUL:
        return a * b;
    case DET_NODE_DIV:
        return a / b;
    case DET_NODE_MIN:
        return a < b ? a : b;
    default: /* DET_NODE_MAX */
        return a > b ? a : b;
    }
}

/* Sums and products wrap around: only a damaged file makes them. */
static int64_t binary_whole(enum det_node_kind kind, int64_t a, int64_t b)
{
    switch (kind) {
    case DET_NODE_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case DET_NODE_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case DET_NODE_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case DET_NODE_DIV:
        return b == 0 || (b == -1 && a == INT64_MIN) ? 0 : a / b;
    case DET_NODE_MIN:
        return a < b ? a : b;
    default: /* DET_NODE_MAX */
        return a > b ? a : b;
    }
}

static bool compare(enum det_node_kind kind, const struct det_array *a, size_t i,
                    const struct det_array *b, size_t j)
{
    if (kind == DET_NODE_GREATER)
        return a->whole ? a->wholes[i] > b->wholes[j] : a->floats[i] > b->floats[j];
    return a->whole ? a->wholes[i] == b->wholes[j] : a->floats[i] == b->floats[j];
}

det_status det_node_binary(struct det_node_run *run)
{
    const struct det_array *a = run->in[0], *b = run->in[1];
    const enum det_node_kind kind = run->node->kind;
    const bool compares = kind == DET_NODE_GREATER || kind == DET_NODE_EQUAL;
    struct broadcast shape = {0};
    DET_TRY_RETURN(join(run, &shape, a));
    DET_TRY_RETURN(join(run, &shape, b));
    DET_TRY_RETURN(det_node_make(run, 0, compares || a->whole, shape.dims, shape.shape));
    struct det_array *out = &run->out[0];
    struct walk w = {.shape = &shape};
    strides_of(&shape, a, w.strides[0]);
    strides_of(&shape, b, w.strides[1]);
    for (size_t i = 0; i < out->count; i++, step(&w)) {
        if (compares)
            out->wholes[i] = compare(kind, a, w.places[0], b, w.places[1]);
        else if (a->whole)
            out->wholes[i] = binary_whole(kind, a->wholes[w.places[0]], b->wholes[w.places[1]]);
        else
            out->floats[i] = binary_float(kind, a->floats[w.places[0]], b->floats[w.places[1]]);
    }
    return DET_OK;
}

det_status det_node_where(struct det_node_run *run)
{
    struct broadcast shape = {0};
    struct walk w = {.shape = &shape};
    for (int i = 0; i < 3; i++)
        DET_TRY_RETURN(join(run, &shape, run->in[i]));
    for (int i = 0; i < 3; i++)
        strides_of(&shape, run->in[i], w.strides[i]);
    DET_TRY_RETURN(det_node_make(run, 0, run->in[1]->whole, shape.dims, shape.shape));
    struct det_array *out = &run->out[0];
    for (size_t i = 0; i < out->count; i++, step(&w)) {
        const int from = run->in[0]->wholes[w.places[0]] != 0 ? 1 : 2;
        if (out->whole)
            out->wholes[i] = run->in[from]->wholes[w.places[from]];
        else
            out->floats[i] = run->in[from]->floats[w.places[from]];
    }
    return DET_OK;
}
