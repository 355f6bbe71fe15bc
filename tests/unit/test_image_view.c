/* data/image_view.h and data/yuv.h: pixels as cameras and decoders hand them over, and regions of
 * them. */
#include <math.h>

#ifdef DET_WITH_SWSCALE
#include <libswscale/swscale.h>
#endif

#include "base/context.h"
#include "base/rng.h"
#include "data/yuv.h"
#include "model/input.h"
#include "model/model.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/workspace.h"

/* --- colours --- */

struct standard {
    double kr, kb;
    bool full;
};
static const struct standard standards[] = {
    [DET_YUV_BT601] = {.299, .114, false},
    [DET_YUV_BT601_FULL] = {.299, .114, true},
    [DET_YUV_BT709] = {.2126, .0722, false},
    [DET_YUV_BT709_FULL] = {.2126, .0722, true},
};
enum { COLORS = sizeof standards / sizeof standards[0] };

/* The standards' equations, Y = Kr R + Kg G + Kb B and those of U and V, solved for R, G and B. */
static void exact_rgb(const struct standard *s, int y, int u, int v, double rgb[3])
{
    const double luma = s->full ? y / 255. : (y - 16) / 219.;
    const double b_minus_y = (u - 128) / (s->full ? 255. : 224.) * 2 * (1 - s->kb);
    const double r_minus_y = (v - 128) / (s->full ? 255. : 224.) * 2 * (1 - s->kr);
    rgb[0] = luma + r_minus_y;
    rgb[2] = luma + b_minus_y;
    rgb[1] = (luma - s->kr * rgb[0] - s->kb * rgb[2]) / (1 - s->kr - s->kb);
    for (int c = 0; c < 3; c++)
        rgb[c] = fmin(fmax(rgb[c] * 255, 0), 255);
}

static void colours_are_the_formulas(void **state)
{
    (void)state;
    for (int color = 0; color < COLORS; color++) {
        const struct det_yuv *yuv = det_yuv_of((det_yuv_color)color);
        double largest = 0;
        for (int y = 0; y < 256; y += 3)
            for (int u = 0; u < 256; u++)
                for (int v = u % 5; v < 256; v += 5) {
                    double exact[3];
                    const det_yuv_floats rgb =
                        det_yuv_to_rgb(yuv, (uint8_t)y, (uint8_t)u, (uint8_t)v);
                    exact_rgb(&standards[color], y, u, v, exact);
                    for (int c = 0; c < 3; c++)
                        largest = fmax(largest, fabs((double)rgb[c] - exact[c]));
                }
        assert_near(largest, .5, .001); /* rounded to the nearest */
    }
    assert_null(det_yuv_of((det_yuv_color)COLORS));
    assert_null(det_yuv_of((det_yuv_color)-1));
}

/* Black, white, red and greys as colour bars have them, and what is outside of limited range. */
static void known_colours(void **state)
{
    (void)state;
    static const struct {
        det_yuv_color color;
        uint8_t yuv[3];
        int32_t rgb[3];
    } known[] = {
        {DET_YUV_BT601, {16, 128, 128}, {0, 0, 0}},
        {DET_YUV_BT601, {235, 128, 128}, {255, 255, 255}},
        {DET_YUV_BT601, {81, 90, 240}, {254, 0, 0}},
        {DET_YUV_BT601, {0, 128, 128}, {0, 0, 0}},
        {DET_YUV_BT601, {255, 128, 128}, {255, 255, 255}},
        {DET_YUV_BT601_FULL, {76, 85, 255}, {254, 0, 0}},
        {DET_YUV_BT601_FULL, {16, 128, 128}, {16, 16, 16}},
        {DET_YUV_BT709, {63, 102, 240}, {255, 1, 0}},
        {DET_YUV_BT709_FULL, {200, 128, 128}, {200, 200, 200}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const det_yuv_floats rgb = det_yuv_to_rgb(det_yuv_of(known[i].color), known[i].yuv[0],
                                                  known[i].yuv[1], known[i].yuv[2]);
        for (int c = 0; c < 3; c++)
            if ((int32_t)rgb[c] != known[i].rgb[c])
                fail_msg("colour %zu: %d of R, G and B is %d, expected %d", i, c, (int)rgb[c],
                         (int)known[i].rgb[c]);
    }
}

/* --- layouts --- */

enum { FORMATS = DET_PIXEL_YUYV + 1, MOST_PLANES = 3 };

/* Random pixels in memory that ends where their last row does. */
struct frame {
    det_image_view view;
    uint8_t *planes[MOST_PLANES];
    uint8_t *rgb; /* what they are */
};

/* A plane of rows with `padding` behind all but the last, the top row last for `upwards`. */
static uint8_t *make_plane(struct det_rng *rng, ptrdiff_t row, int32_t rows, int32_t padding,
                           bool upwards, const uint8_t **first, ptrdiff_t *stride)
{
    const size_t bytes = (size_t)((row + padding) * (rows - 1) + row);
    uint8_t *memory = malloc(bytes);
    assert_non_null(memory);
    for (size_t i = 0; i < bytes; i++)
        memory[i] = (uint8_t)det_rng_below(rng, 256);
    *first = upwards ? memory + (row + padding) * (rows - 1) : memory;
    *stride = upwards ? -(row + padding) : padding > 0 ? row + padding : 0;
    return memory;
}

static const uint8_t *row_of(const uint8_t *first, ptrdiff_t stride, ptrdiff_t row, int32_t y)
{
    return first + y * (stride != 0 ? stride : row);
}

/* One pixel, read as det/detector.h describes the formats. */
static void expected_pixel(const det_image_view *v, int32_t x, int32_t y, uint8_t rgb[3])
{
    static const int places[5][4] = {
        {0, 1, 2, 3}, {2, 1, 0, 3}, {0, 0, 0, 1}, {0, 1, 2, 4}, {2, 1, 0, 4}};
    const ptrdiff_t pairs = (v->width + 1) / 2;
    if (v->format <= DET_PIXEL_BGRA8) {
        const int *place = places[v->format];
        const uint8_t *row = row_of(v->pixels, v->stride_bytes, (ptrdiff_t)v->width * place[3], y);
        for (int c = 0; c < 3; c++)
            rgb[c] = row[x * place[3] + place[c]];
        return;
    }
    const ptrdiff_t row = v->format == DET_PIXEL_YUYV ? pairs * 4 : v->width;
    const uint8_t *luma = row_of(v->pixels, v->stride_bytes, row, y);
    uint8_t yuv[3] = {luma[x]};
    if (v->format == DET_PIXEL_YUYV) {
        yuv[0] = luma[2 * x];
        yuv[1] = luma[x / 2 * 4 + 1];
        yuv[2] = luma[x / 2 * 4 + 3];
    } else if (v->format == DET_PIXEL_NV12) {
        const uint8_t *both = row_of(v->chroma[0], v->chroma_stride_bytes[0], 2 * pairs, y / 2);
        yuv[1] = both[x / 2 * 2];
        yuv[2] = both[x / 2 * 2 + 1];
    } else {
        yuv[1] = row_of(v->chroma[0], v->chroma_stride_bytes[0], pairs, y / 2)[x / 2];
        yuv[2] = row_of(v->chroma[1], v->chroma_stride_bytes[1], pairs, y / 2)[x / 2];
    }
    const det_yuv_floats value = det_yuv_to_rgb(det_yuv_of(v->yuv_color), yuv[0], yuv[1], yuv[2]);
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)value[c];
}

static void make_frame(struct frame *f, det_pixel_format format, int32_t width, int32_t height,
                       int32_t padding, bool upwards, uint64_t seed)
{
    static const int bytes[] = {3, 3, 1, 4, 4, 1, 1};
    struct det_rng rng;
    const ptrdiff_t pairs = (width + 1) / 2;
    det_image_view *v = &f->view;
    det_rng_init(&rng, seed, 1, 0);
    *f = (struct frame){0};
    v->width = width;
    v->height = height;
    v->format = format;
    v->yuv_color = (det_yuv_color)(seed % COLORS);
    const ptrdiff_t row = format == DET_PIXEL_YUYV ? pairs * 4 : (ptrdiff_t)width * bytes[format];
    f->planes[0] = make_plane(&rng, row, height, padding, upwards, &v->pixels, &v->stride_bytes);
    const int planes = format == DET_PIXEL_NV12 ? 1 : format == DET_PIXEL_I420 ? 2 : 0;
    for (int i = 0; i < planes; i++) /* strides of their own */
        f->planes[1 + i] = make_plane(&rng, planes == 1 ? 2 * pairs : pairs, (height + 1) / 2,
                                      padding > 0 ? padding + 3 + i : 0, upwards != (i == 1),
                                      &v->chroma[i], &v->chroma_stride_bytes[i]);
    f->rgb = malloc((size_t)width * (size_t)height * 3);
    assert_non_null(f->rgb);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            expected_pixel(v, x, y, f->rgb + ((size_t)y * (size_t)width + (size_t)x) * 3);
}

static void drop_frame(struct frame *f)
{
    for (int i = 0; i < MOST_PLANES; i++)
        free(f->planes[i]);
    free(f->rgb);
}

/* What the view's region shows, as packed RGB of exactly that size. */
static uint8_t *crop(const struct frame *f, det_region r)
{
    uint8_t *rgb = malloc((size_t)r.height * (size_t)r.width * 3);
    assert_non_null(rgb);
    for (int32_t y = 0; y < r.height; y++)
        memcpy(rgb + (size_t)y * (size_t)r.width * 3,
               f->rgb + ((size_t)(r.y + y) * (size_t)f->view.width + (size_t)r.x) * 3,
               (size_t)r.width * 3);
    return rgb;
}

/* A converted copy, and the resize that reads the pixels where they are, against those of the
 * packed crop. */
static void check_view(struct det_env *env, const struct frame *f, det_region r)
{
    enum { OUT_HEIGHT = 21, OUT_WIDTH = 17, FLOATS = OUT_HEIGHT * OUT_WIDTH * 3 };
    static float direct[FLOATS], plain[FLOATS];
    static const struct det_frame frame = {OUT_HEIGHT, OUT_WIDTH, {0, 0, 1, 1}};
    struct det_image buffer = {0}, image;
    struct det_resizer resizer = {0};
    uint8_t *rgb = crop(f, r);
    const det_image_view packed = {.pixels = rgb, .width = r.width, .height = r.height};
    assert_ok(env, det_image_view_check(env, &f->view));
    assert_ok(env, det_image_of_view(env, &buffer, &f->view, &image));
    assert_int_equal(image.width, r.width);
    assert_int_equal(image.height, r.height);
    assert_memory_equal(image.rgb, rgb, (size_t)r.height * (size_t)r.width * 3);
    assert_ok(env,
              det_input_fill(env, &resizer, NULL, &f->view, &frame, direct, OUT_HEIGHT, OUT_WIDTH));
    assert_ok(env,
              det_input_fill(env, &resizer, NULL, &packed, &frame, plain, OUT_HEIGHT, OUT_WIDTH));
    assert_memory_equal(direct, plain, sizeof plain);
    det_resizer_free(env, &resizer);
    det_image_free(env, &buffer);
    free(rgb);
}

static void every_layout_is_read(void **state)
{
    (void)state;
    static const int32_t sides[][2] = {{1, 1},  {1, 2},   {2, 1},  {2, 2},   {3, 5},
                                       {8, 16}, {33, 31}, {64, 5}, {17, 100}};
    struct test_env t;
    test_env_init(&t);
    uint64_t seed = 0;
    for (int format = 0; format < FORMATS; format++)
        for (size_t s = 0; s < sizeof sides / sizeof sides[0]; s++)
            for (int variant = 0; variant < 6; variant++) {
                struct frame f;
                const int32_t height = sides[s][0], width = sides[s][1];
                make_frame(&f, (det_pixel_format)format, width, height, variant % 3 * 5,
                           variant >= 3, seed++);
                check_view(&t.env, &f, (det_region){0, 0, height, width});
                drop_frame(&f);
            }
    test_env_check(&t);
}

static void every_region_is_a_crop(void **state)
{
    (void)state;
    enum { HEIGHT = 9, WIDTH = 7 };
    struct test_env t;
    test_env_init(&t);
    for (int format = 0; format < FORMATS; format++)
        for (int variant = 0; variant < 2; variant++) {
            struct frame f;
            make_frame(&f, (det_pixel_format)format, WIDTH, HEIGHT, 4 * variant, variant == 1,
                       (uint64_t)format);
            for (int32_t y = 0; y < HEIGHT; y++)
                for (int32_t x = 0; x < WIDTH; x++)
                    for (int32_t height = 1; y + height <= HEIGHT; height += 2)
                        for (int32_t width = 1; x + width <= WIDTH; width += 2) {
                            f.view.region = (det_region){y, x, height, width};
                            check_view(&t.env, &f, f.view.region);
                        }
            drop_frame(&f);
        }
    test_env_check(&t);
}

/* What FFmpeg makes of them, where no colour is interpolated: its numbers have fewer bits, but
 * another order, standard or range is tens apart. With nothing said about the colours it takes our
 * default. */
static void swscale_agrees(void **state)
{
    (void)state;
#ifdef DET_WITH_SWSCALE
    enum { HEIGHT = 62, WIDTH = 128, COUNT = HEIGHT * WIDTH * 3 };
    static const enum AVPixelFormat formats[] = {AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P,
                                                 AV_PIX_FMT_YUYV422};
    for (int format = 0; format < 3; format++)
        for (int color = -1; color < COLORS; color++) {
            struct frame f;
            static uint8_t out[COUNT + 64];
            make_frame(&f, (det_pixel_format)(DET_PIXEL_NV12 + format), WIDTH, HEIGHT, 0, false,
                       (uint64_t)(color < 0 ? 0 : color));
            struct SwsContext *sws = sws_getContext(WIDTH, HEIGHT, formats[format], WIDTH, HEIGHT,
                                                    AV_PIX_FMT_RGB24, SWS_POINT, NULL, NULL, NULL);
            assert_non_null(sws);
            const int *matrix =
                sws_getCoefficients(color >= DET_YUV_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
            if (color >= 0)
                assert_true(sws_setColorspaceDetails(sws, matrix, color % 2, matrix, 1, 0, 1 << 16,
                                                     1 << 16) >= 0);
            const det_image_view *v = &f.view;
            const uint8_t *const planes[4] = {v->pixels, v->chroma[0], v->chroma[1]};
            const int strides[4] = {format == 2 ? 2 * WIDTH : WIDTH,
                                    format == 0 ? WIDTH : WIDTH / 2,
                                    (int)v->chroma_stride_bytes[1]}; /* upwards */
            uint8_t *const to[4] = {out};
            const int to_strides[4] = {WIDTH * 3};
            assert_int_equal(sws_scale(sws, planes, strides, 0, HEIGHT, to, to_strides), HEIGHT);
            double sum = 0, largest = 0;
            for (int i = 0; i < COUNT; i++) {
                if (format == 2 && i / (WIDTH * 3) % 2 == 1)
                    continue; /* two rows share the first one's colour in swscale */
                const double apart = fabs((double)out[i] - (double)f.rgb[i]);
                sum += apart;
                largest = fmax(largest, apart);
            }
            if (largest > 4 || sum / COUNT > 1.5)
                fail_msg("format %d, colour %d: up to %g apart, %g in the mean", format, color,
                         largest, sum / COUNT);
            sws_freeContext(sws);
            drop_frame(&f);
        }
#else
    print_message("skipped: built without FFmpeg\n");
    skip();
#endif
}

static void bad_views_are_named(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    static const uint8_t p[64];
    static const struct {
        det_image_view view;
        const char *text;
    } cases[] = {
        {{.pixels = p, .width = 4, .height = 4, .format = DET_PIXEL_NV12},
         "chroma[0] is NULL, NV12 has 1 planes of colour"},
        {{.pixels = p, .width = 4, .height = 4, .format = DET_PIXEL_I420, .chroma = {p}},
         "chroma[1] is NULL, I420 has 2 planes of colour"},
        {{.pixels = p,
          .width = 5,
          .height = 4,
          .format = DET_PIXEL_NV12,
          .chroma = {p},
          .chroma_stride_bytes = {5}},
         "stride of chroma[0] is 5 bytes, a row of 5 pixels has 6"},
        {{.pixels = p,
          .width = 5,
          .height = 4,
          .format = DET_PIXEL_I420,
          .chroma = {p, p},
          .chroma_stride_bytes = {3, -2}},
         "stride of chroma[1] is -2 bytes, a row of 5 pixels has 3"},
        {{.pixels = p,
          .width = 5,
          .height = 4,
          .format = DET_PIXEL_I420,
          .chroma = {p, p},
          .chroma_stride_bytes = {3, PTRDIFF_MIN}},
         "is too large"},
        {{.pixels = p,
          .width = 5,
          .height = 4,
          .format = DET_PIXEL_I420,
          .chroma = {p, p},
          .chroma_stride_bytes = {PTRDIFF_MAX, 3}},
         "is too large"},
        {{.pixels = p, .width = 5, .height = 4, .format = DET_PIXEL_YUYV, .stride_bytes = 10},
         "stride is 10 bytes, a row of 5 pixels has 12"},
        {{.pixels = p,
          .width = 4,
          .height = 4,
          .format = DET_PIXEL_YUYV,
          .yuv_color = (det_yuv_color)4},
         "yuv_color is 4"},
        {{.pixels = p,
          .width = 4,
          .height = 4,
          .format = DET_PIXEL_YUYV,
          .yuv_color = (det_yuv_color)-1},
         "yuv_color is -1"},
        {{.pixels = p, .width = 4, .height = 4, .format = (det_pixel_format)FORMATS},
         "format is 8, expected one of det_pixel_format, 0 to 7"},
        {{.pixels = p, .width = 4, .height = 4, .region = {0, 0, 0, 1}}, "region of 1 x 0 pixels"},
        {{.pixels = p, .width = 4, .height = 4, .region = {0, 0, 1, 0}}, "region of 0 x 1 pixels"},
        {{.pixels = p, .width = 4, .height = 4, .region = {1, 0, 0, 0}}, "at column 0, row 1"},
        {{.pixels = p, .width = 4, .height = 4, .region = {0, 0, 5, 4}},
         "inside the image of 4 x 4"},
        {{.pixels = p, .width = 4, .height = 4, .region = {1, 0, 4, 4}},
         "inside the image of 4 x 4"},
        {{.pixels = p, .width = 4, .height = 4, .region = {0, 3, 1, 2}},
         "inside the image of 4 x 4"},
        {{.pixels = p, .width = 4, .height = 4, .region = {-1, 0, 1, 1}}, "row -1"},
        {{.pixels = p, .width = 4, .height = 4, .region = {0, INT32_MIN, 1, 1}}, "is not inside"},
        {{.pixels = p,
          .width = 4,
          .height = 4,
          .region = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}},
         "is not inside"},
        {{.pixels = p, .width = 4, .height = 4, .region = {0, 0, INT32_MIN, INT32_MIN}},
         "is not inside"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, cases[i].text,
                     det_image_view_check(&t.env, &cases[i].view));
    /* What a format has no use for is not looked at. */
    const det_image_view grey = {.pixels = p,
                                 .width = 4,
                                 .height = 4,
                                 .format = DET_PIXEL_GRAY8,
                                 .yuv_color = (det_yuv_color)77,
                                 .chroma_stride_bytes = {1, PTRDIFF_MIN}};
    assert_ok(&t.env, det_image_view_check(&t.env, &grey));
    test_env_check(&t);
}

/* --- detection --- */

enum { SIDE = 96, CLASSES = 3, BATCH = 3 };

struct detection {
    struct test_env t;
    det_context *context;
    struct det_env *env;
    det_model *model;
    det_detector *detector;
};

static void make_detector(struct detection *d)
{
    struct det_model_spec spec;
    det_detector_settings detector;
    *d = (struct detection){0};
    test_env_init(&d->t);
    d->context = workspace_machine(&d->t, 2);
    d->env = det_context_env(d->context);
    formula_spec(&spec, SIDE, CLASSES);
    assert_ok(d->env, det_model_create(d->env, &spec, false, NULL, &d->model));
    formula_params(&d->model->graph, d->model->owned);
    det_detector_settings_default(&detector);
    detector.score_threshold = 0; /* formula weights are sure of nothing */
    detector.batch = BATCH;
    assert_ok(d->env, det_detector_create(d->context, d->model, &detector, &d->detector));
}

static void drop_detector(struct detection *d)
{
    det_detector_destroy(&d->detector);
    det_model_destroy(&d->model);
    det_context_destroy(&d->context);
    test_env_check(&d->t);
}

/* A run's detections, kept over the next one. */
struct found {
    det_detection list[512];
    size_t count;
};

static void detect(struct detection *d, const det_image_view *views, size_t count,
                   struct found *found)
{
    det_image_detections results[BATCH];
    assert_ok(d->env, det_detector_run_batch(d->detector, views, count, results));
    for (size_t i = 0; i < count; i++) {
        found[i].count = results[i].count;
        assert_in_range(results[i].count, 1, 512);
        memcpy(found[i].list, results[i].detections, results[i].count * sizeof(det_detection));
    }
}

/* One frame of each kind is the same as its pixels in RGB, in one batch and without memory of its
 * own. */
static void a_detector_takes_each(void **state)
{
    (void)state;
    static struct found found[BATCH], plain[1];
    struct detection d;
    struct frame f[BATCH];
    det_image_view views[BATCH];
    make_detector(&d);
    for (int i = 0; i < BATCH; i++) {
        make_frame(&f[i], (det_pixel_format)(DET_PIXEL_NV12 + i), 201 + i, 120 - i, 7, i == 1,
                   (uint64_t)i);
        views[i] = f[i].view;
    }
    for (int run = 0; run < 2; run++) {
        const long before = test_env_allocations(&d.t);
        detect(&d, views, BATCH, found);
        if (run > 0)
            assert_int_equal(test_env_allocations(&d.t), before);
        for (int i = 0; i < BATCH; i++) {
            const det_image_view packed = {
                .pixels = f[i].rgb, .width = views[i].width, .height = views[i].height};
            detect(&d, &packed, 1, plain);
            assert_int_equal(found[i].count, plain[0].count);
            assert_memory_equal(found[i].list, plain[0].list,
                                plain[0].count * sizeof(det_detection));
        }
    }
    for (int i = 0; i < BATCH; i++)
        drop_frame(&f[i]);
    drop_detector(&d);
}

/* What is found in a region is what is found in a crop, at its place in the whole image. */
static void boxes_are_the_whole_images(void **state)
{
    (void)state;
    static struct found found[1], plain[1];
    static const det_region regions[] = {
        {13, 21, 60, 80}, {0, 0, 120, 100}, {0, 101, 120, 100}, {119, 200, 1, 1}, {7, 0, 50, 201}};
    struct detection d;
    struct frame f;
    make_detector(&d);
    make_frame(&f, DET_PIXEL_NV12, 201, 120, 3, false, 9);
    for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        const det_region r = f.view.region = regions[i];
        uint8_t *rgb = crop(&f, r);
        const det_image_view cropped = {.pixels = rgb, .width = r.width, .height = r.height};
        detect(&d, &f.view, 1, found);
        detect(&d, &cropped, 1, plain);
        assert_int_equal(found[0].count, plain[0].count);
        for (size_t k = 0; k < found[0].count; k++) {
            const det_detection *a = &found[0].list[k], *b = &plain[0].list[k];
            assert_int_equal(a->class_id, b->class_id);
            assert_true(a->score == b->score);
            assert_near(a->ymin * 120, r.y + (double)b->ymin * r.height, 1e-4);
            assert_near(a->ymax * 120, r.y + (double)b->ymax * r.height, 1e-4);
            assert_near(a->xmin * 201, r.x + (double)b->xmin * r.width, 1e-4);
            assert_near(a->xmax * 201, r.x + (double)b->xmax * r.width, 1e-4);
            assert_true(a->ymax <= 1 && a->xmax <= 1);
        }
        free(rgb);
    }
    drop_frame(&f);
    drop_detector(&d);
}

int test_image_view(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_are_the_formulas), cmocka_unit_test(known_colours),
        cmocka_unit_test(every_layout_is_read),     cmocka_unit_test(every_region_is_a_crop),
        cmocka_unit_test(swscale_agrees),           cmocka_unit_test(bad_views_are_named),
        cmocka_unit_test(a_detector_takes_each),    cmocka_unit_test(boxes_are_the_whole_images),
    };
    return cmocka_run_group_tests_name("image_view", tests, NULL, NULL);
}
