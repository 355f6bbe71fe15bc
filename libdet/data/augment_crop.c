/* augment_crop.c: random crops with the distribution of tf.image.sample_distorted_bounding_box
 * (tensorflow/core/kernels/image/sample_distorted_bounding_box_op.cc) and of core/preprocessor.py
 * _strict_random_crop_image, random_crop_image, ssd_random_crop. The rounding is part of the
 * distribution and is the same: window sides from lrintf in single precision, box corners truncated
 * to whole pixels, the offset below (not at) the largest possible one.
 */
#include <math.h>

#include "data/augment_ops.h"

#define ATTEMPTS 100

struct rectangle {
    int32_t ymin, xmin, ymax, xmax; /* pixels, end exclusive */
};

static float area_of(struct rectangle r)
{
    return (float)(r.ymax - r.ymin) * (float)(r.xmax - r.xmin);
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static float clip_unit(float value)
{
    return value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
}

static int32_t width_of(int32_t height, float aspect)
{
    return (int32_t)lrintf((float)height * aspect);
}

/* One proposal: the height uniform between those of the smallest and largest allowed area at this
 * aspect ratio, the offset uniform. False if none fits. */
static bool propose(struct det_rng *rng, const struct det_crop_settings *s, int32_t image_height,
                    int32_t image_width, float aspect, struct rectangle *out)
{
    const float min_area = s->min_area * (float)image_width * (float)image_height;
    const float max_area = s->max_area * (float)image_width * (float)image_height;
    int32_t height = (int32_t)lrintf(sqrtf(min_area / aspect));
    int32_t max_height = (int32_t)lrintf(sqrtf(max_area / aspect));
    if (width_of(max_height, aspect) > image_width) {
        /* The largest height whose rounded width still fits. */
        max_height = (int32_t)((image_width + 0.5 - (double)1e-7f) / (double)aspect);
        if (width_of(max_height, aspect) > image_width)
            max_height--;
    }
    max_height = smaller(max_height, image_height);
    height = smaller(height, max_height);
    if (height < max_height)
        height += (int32_t)det_rng_below(rng, (uint32_t)(max_height - height + 1));
    int32_t width = width_of(height, aspect);
    float area = (float)width * (float)height;
    /* Rounding may have left the allowed areas by a row. */
    if (area < min_area) {
        height++;
        width = width_of(height, aspect);
        area = (float)width * (float)height;
    }
    if (area > max_area) {
        height--;
        width = width_of(height, aspect);
        area = (float)width * (float)height;
    }
    if (area < min_area || area > max_area || width > image_width || height > image_height ||
        width <= 0 || height <= 0)
        return false;
    int32_t y = 0, x = 0;
    if (height < image_height)
        y = (int32_t)det_rng_below(rng, (uint32_t)(image_height - height));
    if (width < image_width)
        x = (int32_t)det_rng_below(rng, (uint32_t)(image_width - width));
    *out = (struct rectangle){y, x, y + height, x + width};
    return true;
}

/* Whether at least one object of a pixel or more is covered enough; without objects the image
 * itself counts as one. */
static bool covers_an_object(const struct det_ground_truth *truth, int32_t image_height,
                             int32_t image_width, struct rectangle crop, float min_covered)
{
    if (area_of(crop) < 1.0f)
        return false;
    for (int32_t i = 0; i < larger(truth->count, 1); i++) {
        struct rectangle object = {0, 0, image_height, image_width};
        if (truth->count > 0) {
            const float *box = truth->boxes[i];
            object = (struct rectangle){
                (int32_t)(clip_unit(box[0]) * (float)image_height),
                (int32_t)(clip_unit(box[1]) * (float)image_width),
                (int32_t)(clip_unit(box[2]) * (float)image_height),
                (int32_t)(clip_unit(box[3]) * (float)image_width),
            };
        }
        const float object_area = area_of(object);
        if (object_area < 1.0f)
            continue;
        const struct rectangle both = {
            larger(crop.ymin, object.ymin),
            larger(crop.xmin, object.xmin),
            smaller(crop.ymax, object.ymax),
            smaller(crop.xmax, object.xmax),
        };
        const float covered =
            both.ymin > both.ymax || both.xmin > both.xmax ? 0.0f : area_of(both) / object_area;
        if (covered >= min_covered)
            return true;
    }
    return false;
}

/* Drops the objects that the window (normalised) does not touch or covers too little of, and gives
 * the others' coordinates in the window. */
static void crop_objects(struct det_ground_truth *truth, const float window[4],
                         float overlap_thresh, bool clip)
{
    int32_t kept = 0;
    const float y_scale = 1.0f / (window[2] - window[0]);
    const float x_scale = 1.0f / (window[3] - window[1]);
    for (int32_t i = 0; i < truth->count; i++) {
        const float *box = truth->boxes[i];
        if (box[0] >= window[2] || box[1] >= window[3] || box[2] <= window[0] ||
            box[3] <= window[1])
            continue;
        const float height = fmaxf(0.0f, fminf(box[2], window[2]) - fmaxf(box[0], window[0]));
        const float width = fmaxf(0.0f, fminf(box[3], window[3]) - fmaxf(box[1], window[1]));
        const float left = height * width / ((box[2] - box[0]) * (box[3] - box[1]));
        if (!(left >= overlap_thresh)) /* also a box without area: 0 / 0 */
            continue;
        det_ground_truth_move(truth, kept, i);
        float *moved = truth->boxes[kept++];
        for (int c = 0; c < 4; c++) {
            moved[c] = (moved[c] - window[c % 2]) * (c % 2 == 0 ? y_scale : x_scale);
            if (clip)
                moved[c] = clip_unit(moved[c]);
        }
    }
    truth->count = kept;
}

/* The window that is seen becomes this part of itself; `crop` counts in what is seen, flips
 * included. */
static void narrow(struct det_window *window, struct rectangle crop)
{
    const int32_t height = crop.ymax - crop.ymin, width = crop.xmax - crop.xmin;
    window->y += window->flip_y ? window->height - crop.ymax : crop.ymin;
    window->x += window->flip_x ? window->width - crop.xmax : crop.xmin;
    window->height = height;
    window->width = width;
}

/* random_crop_image: with probability random_coef (a uniform draw not above it) nothing happens.
 * Else up to 100 times: aspect ratio uniform in [min_aspect, max_aspect), a window as in propose();
 * the first one that covers min_object_covered of any object is taken, the whole image if none
 * does. Then objects of whose area less than overlap_thresh is left, or which only touch the
 * window, are dropped, the others clipped to it. */
void det_augment_crop_image(struct det_rng *rng, const struct det_crop_settings *settings,
                            struct det_sample *sample)
{
    if (settings->random_coef > 0.0f && !(det_rng_uniform(rng) > settings->random_coef))
        return;
    const int32_t height = sample->window.height, width = sample->window.width;
    struct rectangle crop = {0, 0, height, width};
    for (int i = 0; i < ATTEMPTS; i++) {
        const float aspect = det_rng_uniform(rng) * (settings->max_aspect - settings->min_aspect) +
                             settings->min_aspect;
        struct rectangle proposal;
        if (propose(rng, settings, height, width, aspect, &proposal) &&
            covers_an_object(&sample->truth, height, width, proposal,
                             settings->min_object_covered)) {
            crop = proposal;
            break;
        }
    }
    const float window[4] = {
        (float)crop.ymin / (float)height,
        (float)crop.xmin / (float)width,
        (float)crop.ymax / (float)height,
        (float)crop.xmax / (float)width,
    };
    crop_objects(&sample->truth, window, settings->overlap_thresh, settings->clip_boxes);
    narrow(&sample->window, crop);
}

/* ssd_random_crop: one of the operations, each as likely, then random_crop_image with its settings.
 */
void det_augment_ssd_crop(struct det_rng *rng, const struct det_crop_settings *settings,
                          int32_t count, struct det_sample *sample)
{
    det_augment_crop_image(rng, &settings[det_rng_below(rng, (uint32_t)count)], sample);
}

/* random_crop_to_aspect_ratio: the largest window of this aspect ratio (width / height), anywhere
 * in the image with the same probability. Differs where overlap_thresh is 0 and boxes are not
 * clipped: an object wholly outside is dropped. */
void det_augment_crop_to_aspect(struct det_rng *rng, float aspect, float overlap_thresh,
                                bool clip_boxes, struct det_sample *sample)
{
    const int32_t height = sample->window.height, width = sample->window.width;
    const float present = (float)width / (float)height;
    int32_t crop_height = height, crop_width = width;
    if (present < aspect)
        crop_height = larger(smaller((int32_t)rintf((float)width / aspect), height), 1);
    if (present > aspect)
        crop_width = larger(smaller((int32_t)rintf((float)height * aspect), width), 1);
    const int32_t y = det_draw_integer(rng, 0, height - crop_height + 1);
    const int32_t x = det_draw_integer(rng, 0, width - crop_width + 1);
    const struct rectangle crop = {y, x, y + crop_height, x + crop_width};
    const float window[4] = {
        (float)crop.ymin / (float)height,
        (float)crop.xmin / (float)width,
        (float)crop.ymax / (float)height,
        (float)crop.xmax / (float)width,
    };
    crop_objects(&sample->truth, window, overlap_thresh, clip_boxes);
    narrow(&sample->window, crop);
}
