/* prepared_stem.c: the first convolution in float32: gemm.h's kernels read the windows of a row of
 * pixels where they lie in a slab of the image. */
#include "devices/cpu/prepared/prepared_steps.h"

void detk_stem_row(const struct detk_block_step *s, const float *slab, int32_t block, float *to)
{
    const struct detk_gemm *g = s->gemm;
    const int64_t terms = detk_view_terms(&s->view);
    const int32_t width = detk_stem_width(g), vectors = width / g->lanes;
    for (int32_t first = 0; first < DETK_BLOCK; first += width) {
        const int32_t column = block * DETK_BLOCK + first;
        if (column >= s->stem_c)
            break;
        struct detk_tile t = {
            .a_row = (ptrdiff_t)s->view.step * s->view.c,
            .a_segment = detk_slab_pitch(&s->view),
            .segments = s->view.taps_h,
            .run = s->view.taps_w * s->view.c,
            .b = s->stem + column * terms,
            .b_step = width,
            .c_row = DETK_BLOCK,
            .cols = (int32_t)detk_min(width, s->stem_c - column),
            .bias = s->stem_bias + column,
            .relu6 = s->stem_relu6,
            .ahead = slab,
        };
        const int64_t groups = detk_div_up(s->mid_w, g->max_rows);
        int64_t x = 0;
        for (int64_t i = 0; i < groups; i++) {
            const int64_t next = detk_cut(s->mid_w, groups, i + 1);
            t.a = slab + x * t.a_row;
            t.c = to + first + x * DETK_BLOCK;
            g->across[vectors - 1][next - x - 1](&t);
            x = next;
        }
    }
}
