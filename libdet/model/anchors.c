#include "model/anchors.h"

#include <math.h>

#include "support/mem.h"

void det_anchor_settings_default(struct det_anchor_settings *settings)
{
    *settings = (struct det_anchor_settings){
        .min_level = 3,
        .max_level = 7,
        .anchor_scale = 4,
        .aspect_ratios = {1, 2, 0.5f},
        .aspect_ratio_count = 3,
        .scales_per_octave = 2,
        .normalize = true,
    };
}

int32_t det_anchor_grid_side(int32_t image_px, int32_t pad_to_multiple, int32_t level)
{
    const int64_t multiple = pad_to_multiple > 1 ? pad_to_multiple : 1;
    const int64_t padded = (image_px + multiple - 1) / multiple * multiple;
    const int64_t stride = (int64_t)1 << level;
    return (int32_t)((padded + stride - 1) / stride);
}

int32_t det_anchors_per_cell(const struct det_anchor_settings *settings)
{
    return settings->aspect_ratio_count * settings->scales_per_octave;
}

static det_status check(struct det_env *env, const struct det_anchor_settings *settings,
                        const struct det_grid_size *grids, int32_t height, int32_t width,
                        size_t *count)
{
    if (settings->min_level < 0 || settings->max_level < settings->min_level ||
        settings->max_level >= DET_ANCHOR_LEVELS_MAX)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "anchors: got levels %d to %d, expected 0 <= min_level <= max_level < %d",
                        settings->min_level, settings->max_level, DET_ANCHOR_LEVELS_MAX);
    if (settings->aspect_ratio_count < 1 || settings->aspect_ratio_count > DET_ANCHOR_ASPECTS_MAX)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "anchors: got %d aspect_ratios, expected 1 to %d",
                        settings->aspect_ratio_count, DET_ANCHOR_ASPECTS_MAX);
    for (int32_t i = 0; i < settings->aspect_ratio_count; i++)
        if (!(settings->aspect_ratios[i] > 0) || isinf(settings->aspect_ratios[i]))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "anchors: aspect_ratios[%d] is %g, expected a positive number", i,
                            (double)settings->aspect_ratios[i]);
    if (settings->scales_per_octave < 1 || settings->scales_per_octave > 64)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "anchors: scales_per_octave is %d, expected 1 to 64",
                        settings->scales_per_octave);
    if (!(settings->anchor_scale > 0) || isinf(settings->anchor_scale))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "anchors: anchor_scale is %g, expected a positive number",
                        (double)settings->anchor_scale);
    if (height < 1 || width < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "anchors: image is %d x %d, expected a positive size", height, width);
    size_t cells = 0;
    for (int32_t level = 0; level <= settings->max_level - settings->min_level; level++) {
        size_t in_level = 0;
        if (grids[level].height < 1 || grids[level].width < 1 ||
            !det_size_mul((size_t)grids[level].height, (size_t)grids[level].width, &in_level) ||
            !det_size_add(cells, in_level, &cells))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "anchors: feature map of level %d is %d x %d",
                            settings->min_level + level, grids[level].height, grids[level].width);
    }
    if (!det_size_mul(cells, (size_t)det_anchors_per_cell(settings), count) || *count > INT32_MAX)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "anchors: too many grid cells (%zu)",
                        cells);
    return DET_OK;
}

/* One level's anchors at `out`; returns the place after them. */
static float (*fill_level(const struct det_anchor_settings *settings, int32_t level,
                          struct det_grid_size grid, int32_t image_height, int32_t image_width,
                          float (*out)[4]))[4]
{
    const float stride = ldexpf(1, level);
    const float base = stride * settings->anchor_scale;
    const float offset_y = image_height % (1 << level) == 0 ? stride / 2 : 0;
    const float offset_x = image_width % (1 << level) == 0 ? stride / 2 : 0;
    const float to_y = settings->normalize ? 1.0f / (float)image_height : 1;
    const float to_x = settings->normalize ? 1.0f / (float)image_width : 1;
    for (int32_t row = 0; row < grid.height; row++) {
        const float y = (float)row * stride + offset_y;
        for (int32_t column = 0; column < grid.width; column++) {
            const float x = (float)column * stride + offset_x;
            for (int32_t aspect = 0; aspect < settings->aspect_ratio_count; aspect++) {
                const float root = sqrtf(settings->aspect_ratios[aspect]);
                for (int32_t step = 0; step < settings->scales_per_octave; step++) {
                    const float scale = (float)exp2((double)step / settings->scales_per_octave);
                    const float height = scale / root * base, width = scale * root * base;
                    (*out)[0] = (y - 0.5f * height) * to_y;
                    (*out)[1] = (x - 0.5f * width) * to_x;
                    (*out)[2] = (y + 0.5f * height) * to_y;
                    (*out)[3] = (x + 0.5f * width) * to_x;
                    out++;
                }
            }
        }
    }
    return out;
}

det_status det_anchors_create(struct det_env *env, const struct det_anchor_settings *settings,
                              const struct det_grid_size *grids, int32_t image_height_px,
                              int32_t image_width_px, float (**anchors)[4], int32_t *count)
{
    *anchors = NULL;
    *count = 0;
    size_t total = 0;
    DET_TRY_RETURN(check(env, settings, grids, image_height_px, image_width_px, &total));
    DET_TRY_RETURN(det_alloc_raw(env, anchors, total, sizeof **anchors, "anchors"));
    float(*out)[4] = *anchors;
    for (int32_t level = settings->min_level; level <= settings->max_level; level++)
        out = fill_level(settings, level, grids[level - settings->min_level], image_height_px,
                         image_width_px, out);
    *count = (int32_t)total;
    return DET_OK;
}
