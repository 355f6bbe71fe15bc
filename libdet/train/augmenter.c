/* augmenter.c: det/augmentation.h on data/augment.h. */
#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "data/image_view.h"
#include "data/loader.h"
#include "det/augmentation.h"
#include "model/from_config.h"
#include "support/mem.h"

struct det_augmenter {
    struct det_env *env; /* the context's */
    struct det_augment_option *options;
    size_t count;
    struct det_sample sample;
    struct det_image converted, picture;
    det_detection *objects;
    size_t object_capacity;
};

det_status det_augmenter_create(det_context *context, const det_pipeline_config *config,
                                det_augmenter **augmenter)
{
    struct det_env *env = det_context_env(context);
    struct det_augmenter *made = NULL;
    det_status status = DET_OK;
    if (augmenter != NULL)
        *augmenter = NULL;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_NEED(env, augmenter);
    if (!config->has_train_config)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "augmentation: there is no train_config to take it from");
    DET_TRY_RETURN(det_alloc(env, &made, 1, sizeof *made, "augmenter"));
    made->env = env;
    DET_TRY(det_augment_from_config(env, config, &made->options, &made->count));
    *augmenter = made;
    return DET_OK;
fail:
    det_augmenter_destroy(&made);
    return status;
}

void det_augmenter_destroy(det_augmenter **out)
{
    if (out == NULL || *out == NULL)
        return;
    struct det_augmenter *augmenter = *out;
    struct det_env *env = augmenter->env;
    det_free(env, &augmenter->options);
    det_sample_free(env, &augmenter->sample);
    det_image_free(env, &augmenter->converted);
    det_image_free(env, &augmenter->picture);
    det_free(env, &augmenter->objects);
    det_free(env, out);
}

size_t det_augmenter_count(const det_augmenter *augmenter)
{
    return augmenter == NULL ? 0 : augmenter->count;
}

const char *det_augmenter_name(const det_augmenter *augmenter, size_t index)
{
    return index < det_augmenter_count(augmenter) ? det_augment_name(augmenter->options[index].kind)
                                                  : NULL;
}

static det_status set_image(struct det_augmenter *augmenter, const det_image_view *view)
{
    struct det_env *env = augmenter->env;
    struct det_image rgb = {0};
    struct det_image *image = &augmenter->sample.image;
    DET_TRY_RETURN(det_image_view_check(env, view));
    DET_TRY_RETURN(det_image_of_view(env, &augmenter->converted, view, &rgb));
    DET_TRY_RETURN(det_image_resize_buffer(env, image, rgb.width, rgb.height));
    memcpy(image->rgb, rgb.rgb, (size_t)rgb.width * (size_t)rgb.height * 3);
    return DET_OK;
}

static det_status set_objects(struct det_augmenter *augmenter, const det_detection *objects,
                              size_t count)
{
    struct det_env *env = augmenter->env;
    struct det_ground_truth *truth = &augmenter->sample.truth;
    if (count > INT32_MAX / 4)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "augmentation: %zu objects are too many",
                        count);
    DET_TRY_RETURN(det_ground_truth_reserve(env, truth, (int32_t)count));
    truth->count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const det_detection *from = &objects[i];
        const float box[4] = {from->ymin, from->xmin, from->ymax, from->xmax};
        if (from->class_id < 1)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "augmentation: class id of object %zu is %d, expected 1 or more", i,
                            from->class_id);
        if (!isfinite(box[0]) || !isfinite(box[1]) || !isfinite(box[2]) || !isfinite(box[3]))
            return det_fail(env, DET_STATUS_NON_FINITE,
                            "augmentation: the box of object %zu is not finite", i);
        memcpy(truth->boxes[i], box, sizeof box);
        truth->class_index[i] = from->class_id - 1;
        truth->weight[i] = 1.0f;
        truth->area_px[i] = 0.0f;
        truth->is_crowd[i] = truth->difficult[i] = truth->group_of[i] = 0;
    }
    return DET_OK;
}

det_status det_augmenter_run(det_augmenter *augmenter, const det_image_view *image,
                             const det_detection *objects, size_t count, uint64_t seed,
                             uint64_t sample_number, det_augmented *result)
{
    struct det_env *env = augmenter == NULL ? NULL : augmenter->env;
    DET_NEED(env, augmenter);
    DET_NEED(env, image);
    DET_NEED_ARRAY(env, objects, count);
    DET_NEED_REPORT(env, det_augmented, result);
    struct det_sample *sample = &augmenter->sample;
    const struct det_ground_truth *truth = &sample->truth;
    struct det_rng rng;
    det_augmented made = {0};
    const det_image_view view = *image; /* which may be the result's of the call before */
    det_fill_report(result, &made, sizeof made);
    DET_TRY_RETURN(set_image(augmenter, &view));
    DET_TRY_RETURN(set_objects(augmenter, objects, count));
    det_sample_reset(sample);
    det_loader_sample_rng(&rng, seed, sample_number);
    DET_TRY_RETURN(det_augment_apply(env, augmenter->options, augmenter->count, &rng, sample));
    DET_TRY_RETURN(det_sample_to_image(env, sample, &augmenter->picture));
    DET_TRY_RETURN(det_grow(env, &augmenter->objects, &augmenter->object_capacity,
                            (size_t)truth->count, sizeof *augmenter->objects, "objects"));
    for (int32_t i = 0; i < truth->count; i++)
        augmenter->objects[i] = (det_detection){.class_id = truth->class_index[i] + 1,
                                                .score = 1.0f,
                                                .ymin = truth->boxes[i][0],
                                                .xmin = truth->boxes[i][1],
                                                .ymax = truth->boxes[i][2],
                                                .xmax = truth->boxes[i][3]};
    made.image = (det_image_view){.pixels = augmenter->picture.rgb,
                                  .width = augmenter->picture.width,
                                  .height = augmenter->picture.height,
                                  .format = DET_PIXEL_RGB8};
    made.objects = augmenter->objects;
    made.count = (size_t)truth->count;
    det_fill_report(result, &made, sizeof made);
    return DET_OK;
}
