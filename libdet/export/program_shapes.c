#include <string.h>

#include "export/program_nodes.h"

static size_t element_bytes(const struct det_array *array)
{
    return array->whole ? sizeof *array->wholes : sizeof *array->floats;
}

/* `count` elements from place `i` of one array to place `j` of another. */
static void copy_elements(const struct det_array *from, size_t i, struct det_array *to, size_t j,
                          size_t count)
{
    const size_t bytes = element_bytes(from);
    memcpy((char *)to->data + j * bytes, (const char *)from->data + i * bytes, count * bytes);
}

det_status det_node_shape(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    DET_TRY_RETURN(det_node_make(run, 0, true, 1, &(int64_t){x->dims}));
    memcpy(run->out[0].wholes, x->shape, (size_t)x->dims * sizeof *x->shape);
    return DET_OK;
}

det_status det_node_reshape(struct det_node_run *run)
{
    const struct det_array *x = run->in[0], *wanted = run->in[1];
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    int32_t open = -1;
    size_t known = 1;
    if (wanted->dims != 1 || wanted->count > DET_ARRAY_MOST_DIMS)
        return det_node_fail(run, "the shape has %zu dimensions", wanted->count);
    const int32_t dims = (int32_t)wanted->count;
    for (int32_t i = 0; i < dims; i++) {
        const int64_t want = wanted->wholes[i];
        shape[i] = want == 0 && i < x->dims ? x->shape[i] : want;
        if (want == -1 && open < 0)
            open = i;
        else if (shape[i] < 0 || (shape[i] > 0 && known > SIZE_MAX / (size_t)shape[i]))
            return det_node_fail(run, "dimension %d of the shape is %lld", i, (long long)want);
        else
            known *= (size_t)shape[i];
    }
    if (open >= 0)
        shape[open] = known == 0 ? 0 : (int64_t)(x->count / known);
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, dims, shape));
    if (run->out[0].count != x->count)
        return det_node_fail(run, "%zu values become %zu", x->count, run->out[0].count);
    copy_elements(x, 0, &run->out[0], 0, x->count);
    return DET_OK;
}

det_status det_node_transpose(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    const int32_t *order = run->node->order;
    int64_t shape[DET_ARRAY_MOST_DIMS], at[DET_ARRAY_MOST_DIMS] = {0};
    size_t strides[DET_ARRAY_MOST_DIMS];
    unsigned seen = 0;
    for (int32_t i = 0; i < x->dims; i++) {
        if (order[i] < 0 || order[i] >= x->dims || (seen & 1U << order[i]) != 0)
            return det_node_fail(run, "dimension %d becomes number %d", order[i], i);
        seen |= 1U << order[i];
        shape[i] = x->shape[order[i]];
        strides[i] = det_node_extent(x, order[i] + 1, x->dims);
    }
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, x->dims, shape));
    struct det_array *out = &run->out[0];
    size_t from = 0;
    for (size_t to = 0; to < out->count; to++) {
        if (x->whole)
            out->wholes[to] = x->wholes[from];
        else
            out->floats[to] = x->floats[from];
        for (int32_t d = x->dims; d-- > 0;) {
            from += strides[d];
            if (++at[d] < shape[d])
                break;
            from -= strides[d] * (size_t)shape[d];
            at[d] = 0;
        }
    }
    return DET_OK;
}

det_status det_node_concat(struct det_node_run *run)
{
    const struct det_array *first = run->in[0];
    const int32_t axis = det_node_axis(run->node->axis, first->dims), dims = first->dims;
    if (axis < 0)
        return det_node_fail(run, "axis %d of %d dimensions", run->node->axis, dims);
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    memcpy(shape, first->shape, sizeof shape);
    for (int32_t i = 1; i < run->node->in_count; i++) {
        const struct det_array *x = run->in[i];
        bool fits = x->dims == dims;
        for (int32_t d = 0; fits && d < dims; d++)
            fits = d == axis || x->shape[d] == first->shape[d];
        if (!fits)
            return det_node_fail(run, "input %d has another shape than the first", i);
        shape[axis] += x->shape[axis];
    }
    DET_TRY_RETURN(det_node_make(run, 0, first->whole, dims, shape));
    const size_t outer = det_node_extent(first, 0, axis);
    size_t to = 0;
    for (size_t o = 0; o < outer; o++) {
        for (int32_t i = 0; i < run->node->in_count; i++) {
            const size_t count = det_node_extent(run->in[i], axis, dims);
            copy_elements(run->in[i], o * count, &run->out[0], to, count);
            to += count;
        }
    }
    return DET_OK;
}

static int64_t clamp_place(int64_t place, int64_t size)
{
    if (place < 0)
        place = place < -size ? 0 : place + size;
    return place > size ? size : place;
}

/* Copies a box of the dimensions from `d` on between two arrays of the same number of them. */
static void copy_box(const struct det_array *from, size_t from_at, struct det_array *to,
                     size_t to_at, const int64_t *size, int32_t d)
{
    if (d + 1 >= from->dims) {
        copy_elements(from, from_at, to, to_at, from->dims == 0 ? 1 : (size_t)size[d]);
        return;
    }
    const size_t from_step = det_node_extent(from, d + 1, from->dims);
    const size_t to_step = det_node_extent(to, d + 1, to->dims);
    for (int64_t i = 0; i < size[d]; i++, from_at += from_step, to_at += to_step)
        copy_box(from, from_at, to, to_at, size, d + 1);
}

det_status det_node_slice(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    size_t from = 0;
    for (int32_t d = 0; d < x->dims; d++) {
        const int64_t begin = clamp_place(run->node->slice.begin[d], x->shape[d]);
        const int64_t end = clamp_place(run->node->slice.end[d], x->shape[d]);
        shape[d] = end > begin ? end - begin : 0;
        from += (size_t)begin * det_node_extent(x, d + 1, x->dims);
    }
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, x->dims, shape));
    if (run->out[0].count > 0)
        copy_box(x, from, &run->out[0], 0, shape, 0);
    return DET_OK;
}

det_status det_node_pad(struct det_node_run *run)
{
    const struct det_array *x = run->in[0], *pads = run->in[1];
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    if (pads->count != 2 * (size_t)x->dims)
        return det_node_fail(run, "%zu paddings for %d dimensions", pads->count, x->dims);
    for (int32_t d = 0; d < x->dims; d++) {
        const int64_t begin = pads->wholes[d], end = pads->wholes[x->dims + d];
        if (begin < 0 || end < 0 || begin > INT32_MAX || end > INT32_MAX)
            return det_node_fail(run, "padding of %lld and %lld", (long long)begin, (long long)end);
        shape[d] = x->shape[d] + begin + end;
    }
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, x->dims, shape));
    size_t to = 0;
    for (int32_t d = 0; d < x->dims; d++)
        to += (size_t)pads->wholes[d] * det_node_extent(&run->out[0], d + 1, x->dims);
    if (x->count > 0)
        copy_box(x, 0, &run->out[0], to, x->shape, 0);
    return DET_OK;
}

/* A place of a dimension, counted from the end when below 0; false outside. */
static bool place_in(int64_t index, int64_t size, size_t *place)
{
    if (index < -size || index >= size)
        return false;
    *place = (size_t)(index < 0 ? index + size : index);
    return true;
}

det_status det_node_gather(struct det_node_run *run)
{
    const struct det_array *x = run->in[0], *indices = run->in[1];
    const int32_t axis = det_node_axis(run->node->axis, x->dims);
    const int32_t dims = x->dims - 1 + indices->dims;
    if (axis < 0 || dims > DET_ARRAY_MOST_DIMS)
        return det_node_fail(run, "axis %d, %d and %d dimensions", run->node->axis, x->dims,
                             indices->dims);
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    for (int32_t d = 0; d < dims; d++)
        shape[d] = d < axis                   ? x->shape[d]
                   : d < axis + indices->dims ? indices->shape[d - axis]
                                              : x->shape[d - indices->dims + 1];
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, dims, shape));
    const size_t outer = det_node_extent(x, 0, axis);
    const size_t inner = det_node_extent(x, axis + 1, x->dims);
    size_t to = 0;
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < indices->count; i++, to += inner) {
            size_t place = 0;
            if (!place_in(indices->wholes[i], x->shape[axis], &place))
                return det_node_fail(run, "index %lld of %lld", (long long)indices->wholes[i],
                                     (long long)x->shape[axis]);
            copy_elements(x, (o * (size_t)x->shape[axis] + place) * inner, &run->out[0], to, inner);
        }
    }
    return DET_OK;
}

det_status det_node_gather_nd(struct det_node_run *run)
{
    const struct det_array *x = run->in[0], *indices = run->in[1];
    const int64_t n = indices->dims < 1 ? 0 : indices->shape[indices->dims - 1];
    if (n < 1 || n > x->dims || indices->dims - 1 + x->dims - n > DET_ARRAY_MOST_DIMS)
        return det_node_fail(run, "places of %lld numbers in %d dimensions", (long long)n, x->dims);
    const int32_t outer = indices->dims - 1, taken = (int32_t)n;
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    for (int32_t d = 0; d < outer; d++)
        shape[d] = indices->shape[d];
    for (int32_t d = taken; d < x->dims; d++)
        shape[outer + d - taken] = x->shape[d];
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, outer + x->dims - taken, shape));
    const size_t inner = det_node_extent(x, taken, x->dims);
    const size_t rows = det_node_extent(indices, 0, outer);
    for (size_t i = 0; i < rows; i++) {
        size_t from = 0;
        for (int32_t d = 0; d < taken; d++) {
            size_t place = 0;
            const int64_t index = indices->wholes[i * (size_t)n + (size_t)d];
            if (!place_in(index, x->shape[d], &place))
                return det_node_fail(run, "index %lld of %lld", (long long)index,
                                     (long long)x->shape[d]);
            from += place * det_node_extent(x, d + 1, x->dims);
        }
        copy_elements(x, from, &run->out[0], i * inner, inner);
    }
    return DET_OK;
}

det_status det_node_range(struct det_node_run *run)
{
    int64_t at[3];
    for (int i = 0; i < 3; i++) {
        if (run->in[i]->count != 1)
            return det_node_fail(run, "input %d has %zu values", i, run->in[i]->count);
        at[i] = run->in[i]->wholes[0];
        if (at[i] < -INT32_MAX || at[i] > INT32_MAX)
            return det_node_fail(run, "input %d is %lld", i, (long long)at[i]);
    }
    if (at[2] < 1)
        return det_node_fail(run, "a step of %lld", (long long)at[2]);
    const int64_t count = at[1] > at[0] ? (at[1] - at[0] + at[2] - 1) / at[2] : 0;
    DET_TRY_RETURN(det_node_make(run, 0, true, 1, &count));
    for (int64_t i = 0; i < count; i++)
        run->out[0].wholes[i] = at[0] + i * at[2];
    return DET_OK;
}

/* Wraps around: only a damaged file gets there. */
static int64_t add_wholes(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

det_status det_node_reduce_sum(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    const int32_t axis = det_node_axis(run->node->reduce.axis, x->dims);
    if (axis < 0)
        return det_node_fail(run, "axis %d of %d dimensions", run->node->reduce.axis, x->dims);
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    int32_t dims = 0;
    for (int32_t d = 0; d < x->dims; d++)
        if (d != axis || run->node->reduce.keep)
            shape[dims++] = d == axis ? 1 : x->shape[d];
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, dims, shape));
    const size_t outer = det_node_extent(x, 0, axis), length = (size_t)x->shape[axis];
    const size_t inner = det_node_extent(x, axis + 1, x->dims);
    for (size_t o = 0; o < outer; o++)
        for (size_t l = 0; l < length; l++)
            for (size_t i = 0; i < inner; i++) {
                const size_t to = o * inner + i, from = (o * length + l) * inner + i;
                if (x->whole)
                    run->out[0].wholes[to] = add_wholes(run->out[0].wholes[to], x->wholes[from]);
                else
                    run->out[0].floats[to] += x->floats[from];
            }
    return DET_OK;
}
