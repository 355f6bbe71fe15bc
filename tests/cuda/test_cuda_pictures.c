/* kernels/pictures: the bits of data/picture.h, bf16 the same rounded. Steps on pictures are in
 * test_cuda_picture_steps.c. */
#include "pictures.h"

#include "cuda/support/device.h"
#include "data/augment_ops.h"
#include "support/samples.h"

enum { MOST_PICTURES = 6 };

/* An input of height x width in an output that may be larger, and what is in it. */
struct input {
    int32_t height, width, out_h, out_w, count;
    struct det_picture pictures[MOST_PICTURES];
};

/* Takes the sample as the next picture; its pixels then lie at an odd address (floats at one of
 * four). */
static void add_picture(struct det_env *env, struct input *in, struct det_sample *sample,
                        int32_t frame_height, int32_t frame_width)
{
    struct det_picture *picture = &in->pictures[in->count++];
    struct det_resizer resizer = {0};
    const float outside[3] = {3, 127.5f, 254};
    uint8_t *room = malloc(det_picture_most_bytes(frame_height, frame_width));
    assert_true(room != NULL && in->count <= MOST_PICTURES);
    memcpy(picture->outside, outside, sizeof outside);
    assert_ok(env,
              det_picture_take(env, &resizer, sample, frame_height, frame_width, room, picture));
    det_resizer_free(env, &resizer);
}

/* The floats that the host would have normalised, zeros beyond the input. */
static float *expected(struct det_env *env, const struct input *in)
{
    const size_t out_row = (size_t)in->out_w * 3, row = (size_t)in->width * 3;
    float *wanted = calloc((size_t)in->count * (size_t)in->out_h * out_row, sizeof *wanted);
    float *image = malloc((size_t)in->height * row * sizeof *image);
    assert_true(wanted != NULL && image != NULL);
    for (int32_t n = 0; n < in->count; n++) {
        assert_ok(env, det_picture_to_floats(env, &in->pictures[n], in->height, in->width, image));
        for (int32_t y = 0; y < in->height; y++)
            det_normalize_pixels(wanted + ((size_t)n * (size_t)in->out_h + (size_t)y) * out_row,
                                 image + (size_t)y * row, row);
    }
    free(image);
    return wanted;
}

/* `spare`: passes for contrasts that no picture has. */
static void compare_as(enum detk_type type, const struct input *in, const float *exact,
                       int32_t spare)
{
    const size_t count = (size_t)in->count * (size_t)in->out_h * (size_t)in->out_w * 3;
    struct det_picture table[MOST_PICTURES];
    uint8_t *memory[MOST_PICTURES];
    float *wanted = malloc(count * sizeof *wanted), *got = malloc(count * sizeof *got);
    int32_t contrasts = 0;
    assert_true(wanted != NULL && got != NULL);
    memcpy(wanted, exact, count * sizeof *wanted);
    test_round(type, wanted, count);
    for (int32_t n = 0; n < in->count; n++) {
        const struct det_picture *p = &in->pictures[n];
        const size_t bytes = det_picture_bytes(p), offset = p->in_float ? sizeof(float) : 1;
        uint8_t *shifted = malloc(offset + bytes);
        assert_non_null(shifted);
        memcpy(shifted + offset, p->pixels, bytes);
        memory[n] = test_device_copy(shifted, offset + bytes);
        free(shifted);
        table[n] = *p;
        table[n].pixels = memory[n] + offset;
        if (p->contrast_count > contrasts)
            contrasts = p->contrast_count;
    }
    void *device_table = test_device_copy(table, (size_t)in->count * sizeof *table);
    void *workspace = test_device_alloc(detk_pictures_workspace(in->count));
    void *out = test_device_alloc(count * (type == DETK_F32 ? 4 : 2));
    for (int again = 0; again < 2; again++)
        assert_cuda(detk_pictures(NULL, type, device_table, in->count, contrasts + spare,
                                  in->height, in->width, in->out_h, in->out_w, out, workspace));
    test_device_read_values(type, got, out, count);
    for (size_t i = 0; i < count; i++)
        if (memcmp(got + i, wanted + i, sizeof *got) != 0) {
            const size_t pixel = i / 3, width = (size_t)in->out_w;
            fail_msg("picture %zu, row %zu, column %zu, colour %zu: got %.9g, expected %.9g",
                     pixel / width / (size_t)in->out_h, pixel / width % (size_t)in->out_h,
                     pixel % width, i % 3, (double)got[i], (double)wanted[i]);
        }
    for (int32_t n = 0; n < in->count; n++)
        test_device_free(memory[n]);
    test_device_free(device_table);
    test_device_free(workspace);
    test_device_free(out);
    free(wanted);
    free(got);
}

/* Also releases the pictures. */
static void compare(struct det_env *env, struct input *in)
{
    float *wanted = expected(env, in);
    compare_as(DETK_F32, in, wanted, 0);
    compare_as(DETK_BF16, in, wanted, 1);
    free(wanted);
    for (int32_t n = 0; n < in->count; n++) {
        void *room = NULL;
        memcpy(&room, &in->pictures[n].pixels, sizeof room);
        free(room);
    }
}

/* Each operation alone, and none, in every mirror, up, down and not resized. */
static void operations(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    for (int kind = -1; kind <= DET_COLOR_LINEAR; kind++) {
        struct input in = {.height = 20, .width = 18, .out_h = 20, .out_w = 18};
        for (uint64_t seed = 0; seed < 5; seed++) {
            struct det_rng rng;
            det_rng_init(&rng, 11, seed, (uint32_t)kind + 1);
            test_sample_make(&t.env, &sample, seed == 4 ? 20 : 23, seed == 4 ? 18 : 21, seed);
            if (seed == 4)
                sample.window = det_window_whole(20, 18);
            if (kind >= 0)
                test_sample_color(&t.env, &sample, (enum det_color)kind, &rng);
            add_picture(&t.env, &in, &sample, 20, 18);
            assert_false(in.pictures[seed].in_float);
            assert_int_equal(in.pictures[seed].color_count, kind >= 0);
        }
        compare(&t.env, &in);
    }
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* Lists of many, several contrasts among them, whose means depend on one another; batches of unlike
 * pictures, floats too. */
static void lists(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    int floats = 0, most = 0, contrasts = 0;
    for (uint64_t round = 0; round < 12; round++) {
        struct input in = {.height = 17, .width = 16, .out_h = 19, .out_w = 16};
        for (uint64_t k = 0; k < MOST_PICTURES; k++) {
            const uint64_t seed = round * MOST_PICTURES + k;
            test_sample_make(&t.env, &sample, 19, 26, seed);
            test_sample_colors(&t.env, &sample, (int32_t)(seed % (DET_MOST_COLORS + 1)), seed);
            if (seed % 7 == 3)
                assert_ok(&t.env, det_sample_to_float(&t.env, &sample));
            add_picture(&t.env, &in, &sample, 17, 16);
            const struct det_picture *p = &in.pictures[k];
            floats += p->in_float;
            most += p->color_count == DET_MOST_COLORS;
            contrasts += p->contrast_count > 1;
        }
        compare(&t.env, &in);
    }
    assert_true(floats > 9 && most > 4 && contrasts > 4);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* One pixel to many and many to one, long sides, frames smaller than the input, inputs smaller than
 * the output. */
static void sizes(void **state)
{
    (void)state;
    static const int32_t cases[][8] = {
        /* image; frame; input; output: height and width */
        {1, 1, 1, 1, 1, 1, 1, 1},         {1, 1, 9, 7, 9, 7, 9, 7},
        {2, 90, 48, 3, 48, 48, 64, 48},   {90, 2, 3, 48, 48, 48, 48, 64},
        {49, 50, 48, 49, 48, 49, 49, 53}, {21, 22, 22, 23, 22, 23, 22, 23},
        {60, 52, 30, 26, 31, 30, 32, 32}, {7, 5, 33, 31, 40, 31, 41, 33},
        {13, 1, 5, 8, 8, 8, 8, 8},        {9, 12, 9, 12, 9, 12, 9, 12},
        {9, 12, 9, 12, 11, 13, 12, 16},   {9, 12, 9, 10, 9, 10, 9, 10},
    };
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t *c = cases[i];
        struct input in = {.height = c[4], .width = c[5], .out_h = c[6], .out_w = c[7]};
        for (uint64_t seed = 0; seed < 3; seed++) {
            test_sample_make(&t.env, &sample, c[0], c[1], seed + 1);
            sample.window.y = sample.window.x = 0; /* the whole image in either mirror */
            sample.window.height = c[0];
            sample.window.width = c[1];
            test_sample_colors(&t.env, &sample, (int32_t)seed * 2, seed);
            add_picture(&t.env, &in, &sample, c[2], c[3]);
        }
        compare(&t.env, &in);
    }
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* More pixels than the threads of a pass, which then take several each. */
static void means_of_many(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_rng rng;
    struct input in = {.height = 90, .width = 60, .out_h = 90, .out_w = 60};
    det_rng_init(&rng, 1, 2, 3);
    test_sample_make(&t.env, &sample, 151, 139, 2);
    sample.window = (struct det_window){1, 2, 149, 137, false, true};
    test_sample_color(&t.env, &sample, DET_COLOR_CONTRAST, &rng);
    test_sample_color(&t.env, &sample, DET_COLOR_SATURATION, &rng);
    test_sample_color(&t.env, &sample, DET_COLOR_CONTRAST, &rng);
    add_picture(&t.env, &in, &sample, 90, 60);
    assert_false(in.pictures[0].in_float);
    compare(&t.env, &in);
    assert_cuda(detk_pictures(NULL, DETK_F32, NULL, 0, 1, 8, 8, 8, 8, NULL, NULL));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

int test_cuda_pictures(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations),
        cmocka_unit_test(lists),
        cmocka_unit_test(sizes),
        cmocka_unit_test(means_of_many),
    };
    return cmocka_run_group_tests_name("cuda_pictures", tests, NULL, NULL);
}
