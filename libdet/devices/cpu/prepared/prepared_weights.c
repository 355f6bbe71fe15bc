#include "devices/cpu/prepared/prepared_weights.h"

#include <string.h>

#include "devices/cpu/prepared/prepared_strassen.h"
#include "ops/cpu/blocked/strassen.h"
#include "ops/cpu/isa/bf16.h"
#include "support/mem.h"

static int32_t panel_width(const struct detk_pointwise *p)
{
    return p->kernels->panel_vectors * p->kernels->lanes;
}

/* A tail that fits the widest tile is one panel. */
int32_t detk_panel_count(const struct detk_blocked *kernels, int32_t out_c)
{
    const int32_t most = kernels->most_vectors * kernels->lanes;
    const int32_t width = kernels->panel_vectors * kernels->lanes;
    return out_c <= most ? 1 : 1 + (out_c - most + width - 1) / width;
}

struct detk_panel_span detk_panel_span_at(const struct detk_pointwise *p, int32_t index)
{
    struct detk_panel_span s = {.first = index * panel_width(p),
                                .vectors = p->kernels->panel_vectors};
    if (index == p->panels - 1)
        s.vectors = (p->out_c - s.first + p->kernels->lanes - 1) / p->kernels->lanes;
    s.block = s.first / DETK_BLOCK;
    s.end_block =
        index == p->panels - 1 ? detk_blocks(p->out_c) : (s.first + panel_width(p)) / DETK_BLOCK;
    return s;
}

size_t detk_padded_columns(const struct detk_pointwise *p)
{
    const struct detk_panel_span last = detk_panel_span_at(p, p->panels - 1);
    return (size_t)last.first + (size_t)last.vectors * (size_t)p->kernels->lanes;
}

/* to[rows][width] from w [in_c][out_c], `used` columns. */
static void pack_pairs(const struct detk_pointwise *p, const float *w, int32_t used, int32_t width,
                       float *to)
{
    for (int32_t k = 0; k < p->in_c; k++) {
        for (int32_t j = 0; j < used; j++) {
            const uint16_t value = detk_to_bf16(w[(ptrdiff_t)k * p->out_c + j]);
            char *word = (char *)(to + (ptrdiff_t)(k / 2) * width + j);
            memcpy(word + (size_t)(k % 2) * sizeof value, &value, sizeof value);
        }
    }
}

det_status detk_pointwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                               int32_t in_c, int32_t out_c, const float *w, const float *bias,
                               bool relu6, struct detk_pointwise *to)
{
    *to = (struct detk_pointwise){.kernels = kernels, .in_c = in_c, .out_c = out_c, .relu6 = relu6};
    to->rows = kernels->bf16 ? (in_c + 1) / 2 : in_c;
    to->panels = detk_panel_count(kernels, out_c);
    const size_t columns = detk_padded_columns(to);
    DET_TRY_RETURN(
        det_alloc(env, &to->packed, columns, (size_t)to->rows * sizeof(float), "packed weights"));
    DET_TRY_RETURN(det_alloc(env, &to->bias, columns, sizeof(float), "packed weights"));
    if (bias != NULL)
        memcpy(to->bias, bias, (size_t)out_c * sizeof(float));
    for (int32_t i = 0; i < to->panels; i++) {
        const struct detk_panel_span s = detk_panel_span_at(to, i);
        const int32_t width = s.vectors * kernels->lanes;
        const int32_t used = out_c - s.first < width ? out_c - s.first : width;
        float *panel = to->packed + (size_t)s.first * (size_t)to->rows;
        if (kernels->bf16)
            pack_pairs(to, w + s.first, used, width, panel);
        for (int32_t k = 0; k < in_c && !kernels->bf16; k++)
            memcpy(panel + (ptrdiff_t)k * width, w + (ptrdiff_t)k * out_c + s.first,
                   (size_t)used * sizeof(float));
    }
    return DET_OK;
}

void detk_pointwise_free(struct det_env *env, struct detk_pointwise *p)
{
    det_free(env, &p->packed);
    det_free(env, &p->bias);
    det_free(env, &p->strassen);
}

size_t detk_pointwise_floats(const struct detk_pointwise *p)
{
    const size_t words = p->kernels != NULL && p->kernels->q8 ? DETK_Q8_COLUMN_WORDS : 1;
    return p->packed == NULL
               ? 0
               : detk_padded_columns(p) * ((size_t)p->rows + words) + detk_strassen_floats(p);
}

static int32_t groups_of(int32_t count, int32_t size)
{
    return (count + size - 1) / size;
}

/* To the pixels behind the first ones of each line. */
static void move_on(const struct detk_blocked *k, ptrdiff_t pixels, struct detk_pixel_tile *t)
{
    t->a += pixels * k->words;
    t->c += pixels * t->c_pixel;
    if (t->pairs != NULL)
        t->pairs += pixels;
    if (t->add != NULL)
        t->add += pixels * k->words;
}

/* The next pixels of each line, in `tiles` tiles of `height` pixels. */
static void run_tiles(const struct detk_blocked *k, int32_t vectors, int32_t tiles, int32_t height,
                      struct detk_pixel_tile *t)
{
    if (tiles == 0)
        return;
    t->tiles = tiles;
    k->tile[vectors - 1][height - 1](t);
    move_on(k, (ptrdiff_t)tiles * height, t);
}

/* Lines of `count` pixels in tiles of nearly equal height: of two heights that are whole row
 * groups, and what is left of a group in the last. */
static void run_lines(const struct detk_blocked *k, int32_t vectors, int32_t count,
                      struct detk_pixel_tile *t)
{
    const int32_t size = k->row_group, groups = groups_of(count, size);
    const int32_t tiles = groups_of(groups, k->max_rows[vectors - 1] / size);
    const int32_t high = groups_of(groups, tiles), tall = high * size, low = tall - size;
    const int32_t missing = groups * size - count;
    int32_t tall_tiles = groups - tiles * (high - 1), low_tiles = tiles - tall_tiles;
    const int32_t last = (low_tiles > 0 ? low : tall) - missing;
    if (missing > 0)
        *(low_tiles > 0 ? &low_tiles : &tall_tiles) -= 1;
    run_tiles(k, vectors, tall_tiles, tall, t);
    run_tiles(k, vectors, low_tiles, low, t);
    run_tiles(k, vectors, missing > 0 ? 1 : 0, last, t);
}

/* The same by Strassen's scheme: the groups of all lines, then a four that is left in the last one,
 * and what is behind in each. */
static void run_groups(const struct detk_blocked *k, int32_t vectors, int32_t count,
                       struct detk_pixel_tile *t)
{
    const int32_t behind = count - t->line_pixels, four = DETK_STRASSEN_PIXELS / 2;
    const int64_t pixels = (int64_t)t->lines * t->line_pixels;
    const ptrdiff_t last = t->lines - 1;
    t->tiles = (int32_t)(pixels / DETK_STRASSEN_PIXELS);
    if (t->tiles > 0)
        k->strassen(t);
    if (pixels % DETK_STRASSEN_PIXELS > 0) {
        struct detk_pixel_tile left = *t;
        left.lines = 1;
        left.a += last * t->a_line;
        left.pairs += last * t->pairs_line;
        left.c += last * t->c_line;
        if (left.add != NULL)
            left.add += last * t->add_line;
        move_on(k, t->line_pixels - four, &left);
        run_lines(k, vectors, four, &left);
    }
    if (behind > 0) {
        move_on(k, t->line_pixels, t);
        run_lines(k, vectors, behind, t);
    }
}

static void run_windows(const struct detk_blocked *k, int32_t vectors, int32_t count,
                        struct detk_pixel_tile *t)
{
    t->tiles = count;
    k->windows[vectors - 1](t);
}

void detk_pointwise_pixels(const struct detk_pointwise *p, int32_t panel,
                           const struct detk_pixels *x)
{
    const struct detk_blocked *k = p->kernels;
    const struct detk_panel_span s = detk_panel_span_at(p, panel);
    const int32_t width = s.vectors * k->lanes, left = p->out_c - s.first;
    const int32_t cols = x->plain && left < width ? left : width;
    const float *b = p->packed + (size_t)s.first * (size_t)p->rows;
    /* A part of the columns cannot be read back: such a sum is not cut. */
    const bool whole = cols < width || p->in_c <= k->most_terms;
    const int32_t parts = whole ? 1 : groups_of(p->in_c, k->most_terms);
    const int32_t terms = whole ? p->in_c : groups_of(detk_blocks(p->in_c), parts) * DETK_BLOCK;
    const struct detk_q8_finish finish =
        k->q8 ? detk_q8_finish_from(&p->finish, s.first) : (struct detk_q8_finish){0};
    for (int32_t from = 0; from < p->in_c; from += terms) {
        const bool last = from + terms >= p->in_c;
        struct detk_pixel_tile t = {
            .lines = x->rows,
            .a = x->a + from / DETK_BLOCK * x->a_block,
            .a_line = x->a_row,
            .a_block = x->a_block,
            .terms = last ? p->in_c - from : terms,
            .b = b + (ptrdiff_t)from * width,
            .bias = from == 0 ? p->bias + s.first : NULL,
            .add = last ? x->add : NULL,
            .add_line = x->add_row,
            .add_block = x->add_block,
            .relu6 = last && p->relu6,
            .finish = &finish,
            .sum = &p->sum,
            .pairs = x->beside.pairs,
            .pairs_line = x->count,
            .sums = x->beside.sums,
            .line_pixels = detk_strassen_line(x->count),
            .strassen = x->beside.sums == NULL ? NULL : detk_strassen_panel(p, panel),
            .c = x->c,
            .c_line = x->c_row,
            .c_pixel = x->c_pixel,
            .c_block = x->c_block,
            .plain = x->plain,
            .cols = cols,
        };
        /* While these weights are used the next ones arrive, a share with each row. */
        const ptrdiff_t used = (ptrdiff_t)(k->words < DETK_BLOCK ? p->rows : t.terms) * width;
        t.ahead = t.b + used;
        t.ahead_line = x->rows == 1 ? 0 : used / x->rows / DETK_BLOCK * DETK_BLOCK;
        if (p->windows)
            run_windows(k, s.vectors, x->count, &t);
        else if (t.strassen != NULL)
            run_groups(k, s.vectors, x->count, &t);
        else
            run_lines(k, s.vectors, x->count, &t);
    }
}

void detk_pointwise_run(const struct detk_pointwise *p, int32_t panel, const struct detk_map *in,
                        int32_t in_y, const struct detk_map *add, const struct detk_map *out,
                        int32_t image, int32_t y, int32_t end)
{
    if (y >= end)
        return;
    const int32_t block = detk_panel_span_at(p, panel).block;
    /* Where there are sums of groups of pixels, they are of rows. */
    const bool at_once = in->beside.sums == NULL && detk_map_seamless(in) &&
                         detk_map_seamless(out) && (add == NULL || detk_map_seamless(add));
    struct detk_pixels x = {
        .rows = end - y,
        .count = out->w,
        .a = detk_map_at(in, image, 0, in_y, 0),
        .a_row = in->row,
        .a_block = in->block,
        .beside = in->beside,
        .c = detk_map_at(out, image, block, y, 0),
        .c_pixel = out->pixel,
        .c_row = out->row,
        .c_block = out->block,
        .plain = out->plain,
    };
    if (add != NULL) {
        x.add = detk_map_at(add, image, block, y, 0);
        x.add_row = add->row;
        x.add_block = add->block;
    }
    if (at_once) {
        x.count *= x.rows;
        x.rows = 1;
    }
    detk_pointwise_pixels(p, panel, &x);
}

det_status detk_depthwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                               const struct det_conv_shape *shape, const float *w,
                               const float *bias, bool relu6, struct detk_depthwise *to)
{
    const int32_t c = shape->in_c, blocks = detk_blocks(c);
    *to = (struct detk_depthwise){.kernels = kernels,
                                  .c = c,
                                  .stride = shape->stride,
                                  .pad_top = shape->pad_top,
                                  .pad_left = shape->pad_left,
                                  .relu6 = relu6};
    DET_TRY_RETURN(
        det_alloc(env, &to->w, (size_t)blocks, 9 * DETK_BLOCK * sizeof(float), "packed weights"));
    DET_TRY_RETURN(
        det_alloc(env, &to->bias, (size_t)blocks, DETK_BLOCK * sizeof(float), "packed weights"));
    for (int32_t j = 0; j < c; j++) {
        for (int32_t tap = 0; tap < 9; tap++)
            to->w[(j / DETK_BLOCK * 9 + tap) * DETK_BLOCK + j % DETK_BLOCK] = w[tap * c + j];
        to->bias[j] = bias == NULL ? 0.0f : bias[j];
    }
    return DET_OK;
}

void detk_depthwise_free(struct det_env *env, struct detk_depthwise *d)
{
    det_free(env, &d->w);
    det_free(env, &d->bias);
}

size_t detk_depthwise_floats(const struct detk_depthwise *d)
{
    const size_t words = d->kernels != NULL && d->kernels->q8 ? 3 + DETK_Q8_COLUMN_WORDS : 10;
    return d->w == NULL ? 0 : (size_t)detk_blocks(d->c) * words * DETK_BLOCK;
}

void detk_depthwise_run(const struct detk_depthwise *d, int32_t block, const float *const *rows,
                        int32_t out_rows, int32_t out_w, float *out, ptrdiff_t out_row)
{
    const bool q8 = d->kernels->q8;
    const struct detk_q8_finish finish =
        q8 ? detk_q8_finish_from(&d->finish, block * DETK_BLOCK) : (struct detk_q8_finish){0};
    const struct detk_dw_rows job = {
        .rows = rows,
        .stride = d->stride,
        .out_rows = out_rows,
        .out_w = out_w,
        .w = d->w + (ptrdiff_t)block * (q8 ? 3 : 9) * DETK_BLOCK,
        .bias = d->bias + block * DETK_BLOCK,
        .relu6 = d->relu6,
        .finish = &finish,
        .out = out,
        .out_row = out_row,
    };
    d->kernels->dw(&job);
}
