/* data/augment.h: crops have the API's distribution (tests/golden/augment/crops.json), boxes stay
 * on their objects, colour operations agree with their definitions. */
#include <cjson/cJSON.h>
#include <math.h>

#include "data/augment_ops.h"
#include "support/mem.h"
#include "support/test.h"

static void make_sample(struct det_env *env, struct det_sample *sample, int32_t height,
                        int32_t width)
{
    assert_ok(env, det_image_resize_buffer(env, &sample->image, width, height));
    for (int32_t i = 0; i < height * width * 3; i++)
        sample->image.rgb[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    det_sample_reset(sample);
}

static void set_boxes(struct det_env *env, struct det_sample *sample, const float (*boxes)[4],
                      int32_t count)
{
    assert_ok(env, det_ground_truth_reserve(env, &sample->truth, count));
    memcpy(sample->truth.boxes, boxes, (size_t)count * sizeof *boxes);
    for (int32_t i = 0; i < count; i++)
        sample->truth.class_index[i] = i;
    sample->truth.count = count;
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

enum { TRIALS = 40000, MOST_BOXES = 8 };

/* Our value at quantile q must lie between TensorFlow's neighbours: the share of our trials below
 * TensorFlow's value is q within its own noise (4,000 trials: 5 standard deviations) plus one
 * pixel's step, since the values are discrete. */
static void check_quantiles(const char *name, const cJSON *figures, const cJSON *shares,
                            float *values, float step)
{
    qsort(values, TRIALS, sizeof *values, compare_floats);
    for (int i = 0; i < cJSON_GetArraySize(shares); i++) {
        const double q = cJSON_GetArrayItem(shares, i)->valuedouble;
        const float theirs = (float)cJSON_GetArrayItem(figures, i)->valuedouble;
        int below = 0, not_above = 0;
        for (int k = 0; k < TRIALS; k++) {
            below += values[k] < theirs - step;
            not_above += values[k] <= theirs + step;
        }
        const double tolerance = 5 * sqrt(q * (1 - q) / 4000) + 5 * sqrt(q * (1 - q) / TRIALS);
        if (!((double)below / TRIALS <= q + tolerance &&
              (double)not_above / TRIALS >= q - tolerance))
            fail_msg("%s: quantile %g is %g there; here %g of the values are below it", name, q,
                     (double)theirs, (double)below / TRIALS);
    }
}

static void check_crop(const char *key, const struct det_augment_option *option)
{
    char path[256];
    char *text = test_read_text(test_golden(path, "augment/crops.json"));
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    const cJSON *figures = cJSON_GetObjectItem(json, key);
    assert_non_null(figures);
    const cJSON *shares = cJSON_GetObjectItem(figures, "quantiles");
    const cJSON *box_list = cJSON_GetObjectItem(json, "boxes");
    float boxes[MOST_BOXES][4];
    const int32_t box_count = cJSON_GetArraySize(box_list);
    for (int32_t i = 0; i < box_count; i++) {
        for (int c = 0; c < 4; c++)
            boxes[i][c] =
                (float)cJSON_GetArrayItem(cJSON_GetArrayItem(box_list, i), c)->valuedouble;
    }
    const int32_t height = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "image_hw"), 0)->valueint;
    const int32_t width = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "image_hw"), 1)->valueint;

    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    make_sample(&t.env, &sample, height, width);
    float *values[6];
    for (int i = 0; i < 6; i++)
        values[i] = malloc(TRIALS * sizeof(float));
    int unchanged = 0, kept[MOST_BOXES] = {0};
    double mean_box[4] = {0}, box_total = 0;
    for (int k = 0; k < TRIALS; k++) {
        struct det_rng rng;
        det_rng_init(&rng, 11, (uint64_t)k, 0);
        det_sample_reset(&sample);
        set_boxes(&t.env, &sample, (const float(*)[4])boxes, box_count);
        assert_ok(&t.env, det_augment_apply(&t.env, option, 1, &rng, &sample));
        const struct det_window w = sample.window;
        assert_true(w.y >= 0 && w.x >= 0 && w.y + w.height <= height && w.x + w.width <= width);
        unchanged += w.height == height && w.width == width;
        kept[sample.truth.count]++;
        values[0][k] = (float)w.y / (float)height;
        values[1][k] = (float)w.x / (float)width;
        values[2][k] = (float)w.height / (float)height;
        values[3][k] = (float)w.width / (float)width;
        values[4][k] = values[2][k] * values[3][k];
        values[5][k] = (float)w.width / (float)w.height;
        for (int32_t i = 0; i < sample.truth.count; i++) {
            box_total++;
            for (int c = 0; c < 4; c++)
                mean_box[c] += (double)sample.truth.boxes[i][c];
        }
    }
    const char *names[6] = {"y0", "x0", "height", "width", "area", "aspect_pixels"};
    const float step = 1e-4f; /* the goldens are rounded */
    for (int i = 0; i < 6; i++) {
        check_quantiles(names[i], cJSON_GetObjectItem(figures, names[i]), shares, values[i], step);
        free(values[i]);
    }
    const double theirs = cJSON_GetObjectItem(figures, "unchanged_share")->valuedouble;
    const double ours = (double)unchanged / TRIALS;
    assert_near(ours, theirs, 5 * sqrt((ours + 1e-4) / 4000));
    for (int32_t i = 0; i <= box_count; i++) {
        const double share =
            cJSON_GetArrayItem(cJSON_GetObjectItem(figures, "boxes_kept_share"), i)->valuedouble;
        const double mine = (double)kept[i] / TRIALS;
        assert_near(mine, share, 5 * sqrt((mine * (1 - mine) + 2e-4) / 4000));
    }
    for (int c = 0; c < 4; c++)
        assert_near(mean_box[c] / box_total,
                    cJSON_GetArrayItem(cJSON_GetObjectItem(figures, "mean_box"), c)->valuedouble,
                    0.016);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
    cJSON_Delete(json);
    free(text);
}

static void crops_have_the_apis_distribution(void **state)
{
    (void)state;
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_CROP_IMAGE);
    check_crop("random_crop_image (defaults)", &option);
    option.crops[0].min_object_covered = 0;
    option.crops[0].max_aspect = 3;
    option.crops[0].min_area = 0.75f;
    option.crops[0].overlap_thresh = 0;
    check_crop("random_crop_image (zoo FPNLite)", &option);
    option = det_augment_option_default(DET_AUGMENT_SSD_CROP);
    check_crop("ssd_random_crop (defaults)", &option);
}

/* An object's pixels are marked; whatever the operations do, its box must stay around the mark. */
static void boxes_follow_pixels(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_resizer resizer = {0};
    const int32_t height = 60, width = 90;
    const float box[1][4] = {{18.0f / 60, 27.0f / 90, 36.0f / 60, 63.0f / 90}};
    struct det_augment_option options[6] = {
        det_augment_option_default(DET_AUGMENT_HORIZONTAL_FLIP),
        det_augment_option_default(DET_AUGMENT_CROP_IMAGE),
        det_augment_option_default(DET_AUGMENT_VERTICAL_FLIP),
        det_augment_option_default(DET_AUGMENT_SSD_CROP),
        det_augment_option_default(DET_AUGMENT_BRIGHTNESS),
        det_augment_option_default(DET_AUGMENT_CROP_IMAGE),
    };
    int flips = 0;
    for (uint64_t k = 0; k < 600; k++) {
        make_sample(&t.env, &sample, height, width);
        memset(sample.image.rgb, 0, (size_t)(height * width * 3));
        for (int32_t y = 18; y < 36; y++)
            memset(sample.image.rgb + (y * width + 27) * 3, 200, 36 * 3);
        set_boxes(&t.env, &sample, box, 1);
        struct det_rng rng;
        det_rng_init(&rng, 5, k, 1);
        /* Half of the rounds without the colour operation and what follows it. */
        assert_ok(&t.env, det_augment_apply(&t.env, options, k % 2 == 0 ? 6 : 4, &rng, &sample));
        flips += sample.window.flip_x;
        const int32_t h = sample.window.height, w = sample.window.width;
        float *out = NULL;
        assert_ok(&t.env, det_alloc(&t.env, &out, (size_t)h * (size_t)w * 3, sizeof *out, "out"));
        assert_ok(&t.env, det_sample_resize(&t.env, &resizer, &sample, out, (size_t)w * 3, h, w));
        float seen[4] = {1, 1, 0, 0};
        for (int32_t y = 0; y < h; y++) {
            for (int32_t x = 0; x < w; x++) {
                if (out[(y * w + x) * 3] < 100)
                    continue;
                seen[0] = fminf(seen[0], (float)y / (float)h);
                seen[1] = fminf(seen[1], (float)x / (float)w);
                seen[2] = fmaxf(seen[2], (float)(y + 1) / (float)h);
                seen[3] = fmaxf(seen[3], (float)(x + 1) / (float)w);
            }
        }
        if (sample.truth.count == 1) {
            for (int c = 0; c < 4; c++)
                assert_near(sample.truth.boxes[0][c], seen[c], 1e-4);
        }
        det_free(&t.env, &out);
    }
    assert_true(flips > 100);
    det_resizer_free(&t.env, &resizer);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static void crops_without_objects_and_degenerate_boxes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    make_sample(&t.env, &sample, 40, 50);
    const struct det_augment_option option = det_augment_option_default(DET_AUGMENT_CROP_IMAGE);
    int changed = 0;
    for (uint64_t k = 0; k < 50; k++) {
        struct det_rng rng;
        det_rng_init(&rng, 1, k, 0);
        det_sample_reset(&sample);
        sample.truth.count = 0;
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        changed += sample.window.width != 50 || sample.window.height != 40;
    }
    /* No object: the whole image is the object to be covered fully, which only the whole image
     * does. */
    assert_int_equal(changed, 0);
    /* A box without area can never be covered, and is dropped. */
    const float boxes[1][4] = {{0.5f, 0.5f, 0.5f, 0.7f}};
    set_boxes(&t.env, &sample, boxes, 1);
    struct det_rng rng;
    det_rng_init(&rng, 1, 0, 0);
    assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
    assert_int_equal(sample.truth.count, 0);
    assert_int_equal(sample.window.width, 50);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* Textbook hue, saturation, value in double. */
static void to_hsv(const double rgb[3], double hsv[3])
{
    const double most = fmax(rgb[0], fmax(rgb[1], rgb[2]));
    const double least = fmin(rgb[0], fmin(rgb[1], rgb[2]));
    const double range = most - least;
    hsv[2] = most;
    hsv[1] = most > 0 ? range / most : 0;
    hsv[0] = 0;
    if (range > 0) {
        if (most == rgb[0])
            hsv[0] = (rgb[1] - rgb[2]) / range / 6;
        else if (most == rgb[1])
            hsv[0] = (rgb[2] - rgb[0]) / range / 6 + 1.0 / 3;
        else
            hsv[0] = (rgb[0] - rgb[1]) / range / 6 + 2.0 / 3;
    }
    hsv[0] -= floor(hsv[0]);
}

static void to_rgb(const double hsv[3], double rgb[3])
{
    const double chroma = hsv[1] * hsv[2], sextant = hsv[0] * 6;
    const double second = chroma * (1 - fabs(fmod(sextant, 2) - 1));
    const double low = hsv[2] - chroma;
    static const int order[6][3] = {{0, 1, 2}, {1, 0, 2}, {2, 0, 1},
                                    {2, 1, 0}, {1, 2, 0}, {0, 2, 1}};
    const double parts[3] = {chroma + low, second + low, low};
    for (int c = 0; c < 3; c++)
        rgb[c] = parts[order[(int)sextant % 6][c]];
}

static double clip255(double value)
{
    return fmin(fmax(value, 0), 1) * 255;
}

static void colours_follow_their_definition(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    const int32_t height = 31, width = 23, count = height * width;
    for (int kind = 0; kind < 5; kind++) {
        for (uint64_t k = 0; k < 20; k++) {
            make_sample(&t.env, &sample, height, width);
            for (int i = 0; i < 30; i++) /* some greys, black and white */
                memset(sample.image.rgb + i * 3, i * 9 % 256, 3);
            struct det_rng rng, same;
            det_rng_init(&rng, 9, k, 0);
            same = rng;
            assert_ok(&t.env, det_sample_to_float(&t.env, &sample));
            double means[3] = {0};
            for (int i = 0; i < count * 3; i++)
                means[i % 3] += sample.image.rgb[i] / 255.0 / count;
            double drawn = 0;
            switch (kind) {
            case 0:
                det_augment_brightness(&rng, 0.3f, &sample);
                drawn = (double)det_rng_range(&same, -0.3f, 0.3f);
                break;
            case 1:
                det_augment_contrast(&rng, 0.5f, 1.5f, &sample);
                drawn = (double)det_rng_range(&same, 0.5f, 1.5f);
                break;
            case 2:
                det_augment_saturation(&rng, 0.2f, 2.5f, &sample);
                drawn = (double)det_rng_range(&same, 0.2f, 2.5f);
                break;
            case 3:
                det_augment_hue(&rng, 1.0f, &sample);
                drawn = (double)det_rng_range(&same, -1.0f, 1.0f);
                break;
            default:
                det_augment_to_gray(&sample);
                break;
            }
            for (int i = 0; i < count; i++) {
                double rgb[3], hsv[3];
                for (int c = 0; c < 3; c++)
                    rgb[c] = sample.image.rgb[i * 3 + c] / 255.0;
                if (kind == 0) {
                    for (int c = 0; c < 3; c++)
                        rgb[c] += drawn;
                } else if (kind == 1) {
                    for (int c = 0; c < 3; c++)
                        rgb[c] = (rgb[c] - means[c]) * drawn + means[c];
                } else if (kind == 4) {
                    const double gray = rgb[0] * .2989 + rgb[1] * .587 + rgb[2] * .114;
                    rgb[0] = rgb[1] = rgb[2] = gray;
                } else {
                    to_hsv(rgb, hsv);
                    if (kind == 2)
                        hsv[1] = fmin(hsv[1] * drawn, 1);
                    else
                        hsv[0] = hsv[0] + drawn - floor(hsv[0] + drawn);
                    to_rgb(hsv, rgb);
                }
                for (int c = 0; c < 3; c++)
                    assert_near(sample.pixels[i * 3 + c], clip255(rgb[c]), 2e-3);
            }
        }
    }
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    for (int kind = 0; det_augment_name((enum det_augment_kind)kind) != NULL; kind++) {
        struct det_augment_option option = det_augment_option_default((enum det_augment_kind)kind);
        assert_ok(&t.env, det_augment_check(&t.env, &option));
        make_sample(&t.env, &sample, 20, 30);
        struct det_rng rng;
        det_rng_init(&rng, 3, 0, 0);
        for (int i = 0; i < 20; i++) {
            det_sample_reset(&sample);
            assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        }
        if (sample.color_count > 0)
            assert_ok(&t.env, det_sample_to_float(&t.env, &sample));
        const struct det_window w = sample.window;
        for (int32_t y = 0; sample.in_float && y < w.height; y++) {
            const float *row = sample.pixels + ((w.y + y) * sample.stride + w.x) * 3;
            for (int32_t i = 0; i < w.width * 3; i++)
                assert_true(row[i] >= 0 && row[i] <= 255);
        }
    }
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_SSD_CROP);
    option.crops[3].max_area = 1.5f;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "ssd_random_crop: min_area, max_area",
                 det_augment_check(&t.env, &option));
    option = det_augment_option_default(DET_AUGMENT_HORIZONTAL_FLIP);
    option.probability = NAN;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "random_horizontal_flip: probability",
                 det_augment_check(&t.env, &option));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

int test_augment(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_have_the_apis_distribution),
        cmocka_unit_test(boxes_follow_pixels),
        cmocka_unit_test(crops_without_objects_and_degenerate_boxes),
        cmocka_unit_test(colours_follow_their_definition),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
