/* The first convolution in 8 bits (q8_stem.h), by the kernels of each instruction set, against the
 * plain operation of ops/q8.h: equal integers. */
#include "devices/cpu/prepared/prepared_beside.h"
#include "devices/cpu/prepared/q8_stem.h"
#include "ops/conv_shape.h"
#include "support/forms.h"
#include "support/mem.h"
#include "support/q8_layers.h"
#include "support/test.h"

/* Of the last image, rows y .. end - 1 as a band of them is made. */
static void check_stem(struct det_env *env, const struct form *set, const struct det_conv_shape *s,
                       int32_t y, int32_t end, int variant)
{
    const struct detk_blocked *k = set->kernels;
    const struct detk_view view = detk_view_of(s);
    char name[128];
    snprintf(name, sizeof name, "%s stem %dx%d -> %d kernel %d stride %d rows %d .. %d variant %d",
             set->name, s->in_h, s->in_w, s->out_c, s->kernel_h, s->stride, y, end, variant);
    const enum q8_kind kind = (enum q8_kind)(variant % Q8_KINDS);
    const int32_t terms = (int32_t)detk_view_terms(&view);
    struct q8_layer l = q8_layer_make(terms, s->out_c, kind);
    l.q.in_zero = 0;
    const size_t count = (size_t)(s->n * s->in_h * s->in_w * 3);
    const size_t results = (size_t)(s->out_h * s->out_w * s->out_c);
    int8_t *in = q8_filled(count, (enum q8_filling)(variant / Q8_KINDS % Q8_FILLINGS));
    int8_t *want = q8_bytes((size_t)s->n * results);
    float *image = ops_buffer(count, NULL);
    for (size_t i = 0; i < count; i++)
        image[i] = (float)(in[i] + 128) * 2 / 255 - 1;
    const struct det_exec x = {0};
    detk_q8_conv__ref(&x, s, &l.q, in, want);
    struct detk_pointwise p;
    assert_ok(env, detk_q8_stem_pack(env, k, &view, s->out_c, &l.q, 0.37f, &p));
    q8_check_sums(name, k, &p.finish, &l, kind);
    struct q8_blocks to = q8_blocks_of(k, l.q.to.zero, s->out_h, s->out_w, s->out_c, false, NULL);
    float *slab = ops_buffer(detk_q8_slab_words(k, &view, end - y), NULL);
    const int32_t last = s->n - 1;
    detk_q8_slab_fill(k, &view, image, last, y, end - y, slab);
    const ptrdiff_t row = detk_q8_slab_row(k, &view), plane = detk_q8_slab_plane(k, &view);
    float *words = ops_buffer(detk_beside_words(&p, end - y, s->out_w), NULL);
    const struct detk_beside beside =
        detk_beside_make(&p, slab, row, plane, end - y, s->out_w, words);
    for (int32_t i = 0; i < p.panels; i++) {
        const struct detk_pixels pixels = {
            .rows = end - y,
            .count = s->out_w,
            .a = slab,
            .a_row = row,
            .a_block = plane,
            .beside = beside,
            .c = detk_map_at(&to.map, 0, detk_panel_span_at(&p, i).block, y, 0),
            .c_pixel = to.map.pixel,
            .c_row = to.map.row,
            .c_block = to.map.block,
        };
        detk_pointwise_pixels(&p, i, &pixels);
    }
    q8_check_rows(name, &to, want + (size_t)last * results, y, end);
    detk_pointwise_free(env, &p);
    q8_layer_drop(&l);
    q8_drop_bytes(in);
    q8_drop_bytes(want);
    ops_free(image);
    ops_free(slab);
    ops_free(words);
    ops_free(to.memory);
}

static void equals_the_plain_convolution(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {2, 3}, {5, 4}, {4, 7}, {9, 16}, {6, 33}, {3, 70}};
    static const int32_t outs[] = {1, 8, 17, 32, 40};
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t j = 0; j < sizeof outs / sizeof outs[0]; j++)
                for (int32_t kernel = 1; kernel <= 5; kernel += 2)
                    for (int32_t stride = 1; stride <= 2; stride++, variant++) {
                        const struct det_conv_shape s = det_conv_same(
                            1 + variant % 2, sizes[i][0], sizes[i][1], 3, outs[j], kernel, stride);
                        check_stem(&t.env, &list[table], &s, 0, s.out_h, variant);
                        check_stem(&t.env, &list[table], &s, s.out_h / 2, s.out_h, variant);
                        check_stem(&t.env, &list[table], &s, 0, (s.out_h + 1) / 2, variant);
                    }
    test_env_check(&t);
}

int test_q8_stem(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_plain_convolution),
    };
    return cmocka_run_group_tests_name("q8 stem", tests, NULL, NULL);
}
