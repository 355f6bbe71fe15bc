#include "ops/cpu/conv/conv_view.h"

#include <string.h>

struct detk_view detk_view_of(const struct det_conv_shape *s)
{
    return (struct detk_view){.n = s->n,
                              .h = s->in_h,
                              .w = s->in_w,
                              .c = s->in_c,
                              .step = s->stride,
                              .y0 = -s->pad_top,
                              .x0 = -s->pad_left,
                              .taps_h = s->kernel_h,
                              .taps_w = s->kernel_w,
                              .out_h = s->out_h,
                              .out_w = s->out_w};
}

static int64_t span(int32_t outputs, int32_t step, int32_t taps)
{
    return (int64_t)(outputs - 1) * step + taps;
}

bool detk_view_inside(const struct detk_view *v)
{
    return v->y0 >= 0 && v->x0 >= 0 && v->y0 + span(v->out_h, v->step, v->taps_h) <= v->h &&
           v->x0 + span(v->out_w, v->step, v->taps_w) <= v->w;
}

bool detk_view_is_matrix(const struct detk_view *v)
{
    return v->taps_h == 1 && v->taps_w == 1 && v->step == 1 && v->y0 == 0 && v->x0 == 0 &&
           v->out_h == v->h && v->out_w == v->w;
}

int64_t detk_view_terms(const struct detk_view *v)
{
    return (int64_t)v->taps_h * v->taps_w * v->c;
}

int64_t detk_slab_pitch(const struct detk_view *v)
{
    return span(v->out_w, v->step, v->taps_w) * v->c;
}

int64_t detk_slab_floats(const struct detk_view *v, int32_t rows)
{
    return span(rows, v->step, v->taps_h) * detk_slab_pitch(v);
}

void detk_slab_fill(const struct detk_view *v, const float *source, int32_t image, int32_t y,
                    int32_t rows, float *slab)
{
    const int64_t width = span(v->out_w, v->step, v->taps_w);
    const int64_t height = span(rows, v->step, v->taps_h);
    /* Source pixels lo..hi-1 of the slab's row exist. */
    const int64_t lo = detk_min(detk_max(-(int64_t)v->x0, 0), width);
    const int64_t hi = detk_max(detk_min((int64_t)v->w - v->x0, width), lo);
    const int64_t c = v->c;
    for (int64_t r = 0; r < height; r++, slab += width * c) {
        const int64_t from = v->y0 + (int64_t)y * v->step + r;
        if (from < 0 || from >= v->h || lo == hi) {
            memset(slab, 0, (size_t)(width * c) * sizeof *slab);
            continue;
        }
        const float *row = source + (((int64_t)image * v->h + from) * v->w + v->x0 + lo) * c;
        memset(slab, 0, (size_t)(lo * c) * sizeof *slab);
        memcpy(slab + lo * c, row, (size_t)((hi - lo) * c) * sizeof *slab);
        memset(slab + hi * c, 0, (size_t)((width - hi) * c) * sizeof *slab);
    }
}

int64_t detk_conv_tasks(int64_t multiply_adds)
{
    return detk_max(1, detk_min(256, multiply_adds / 1000000));
}

int32_t detk_panels(const struct detk_gemm *gemm, int32_t cols)
{
    return (int32_t)detk_div_up(cols, 2 * gemm->lanes);
}

struct detk_panel detk_panel_at(const struct detk_gemm *gemm, int32_t cols, int32_t index)
{
    const int32_t first = index * 2 * gemm->lanes;
    const int32_t left = cols - first;
    const int32_t mine = left < 2 * gemm->lanes ? left : 2 * gemm->lanes;
    return (struct detk_panel){first, mine, mine > gemm->lanes ? 2 : 1};
}

void detk_transpose(const float *from, int64_t from_row, int32_t rows, int32_t cols, float *to,
                    int32_t width)
{
    typedef float four __attribute__((vector_size(16)));
    int32_t j = 0;
    for (; j + 4 <= rows && cols % 4 == 0; j += 4) {
        const float *line = from + j * from_row;
        for (int32_t n = 0; n < cols; n += 4) {
            four v[4];
            for (int i = 0; i < 4; i++)
                memcpy(&v[i], line + i * from_row + n, sizeof v[i]);
            const four low01 = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
            const four high01 = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
            const four low23 = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
            const four high23 = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
            v[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
            v[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
            v[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
            v[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
            for (int i = 0; i < 4; i++)
                memcpy(to + (n + i) * width + j, &v[i], sizeof v[i]);
        }
    }
    for (; j < rows; j++) {
        for (int32_t n = 0; n < cols; n++)
            to[n * width + j] = from[j * from_row + n];
    }
    for (int32_t n = 0; n < cols && rows < width; n++)
        memset(to + n * width + rows, 0, (size_t)(width - rows) * sizeof *to);
}
