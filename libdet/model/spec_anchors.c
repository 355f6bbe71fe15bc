#include "model/spec_anchors.h"

#include "model/anchors.h"

det_status det_spec_anchors(struct det_env *env, const struct det_model_spec *spec,
                            float (**anchors)[4], int32_t *count)
{
    struct det_anchor_settings settings = {
        .min_level = spec->min_level,
        .max_level = spec->max_level,
        .anchor_scale = spec->anchor_scale,
        .aspect_ratio_count = spec->aspect_count,
        .scales_per_octave = spec->scales_per_octave,
        .normalize = spec->normalize_anchors,
    };
    for (int32_t i = 0; i < spec->aspect_count; i++)
        settings.aspect_ratios[i] = spec->aspects[i];
    struct det_grid_size grids[DET_MAX_LEVELS];
    for (int32_t level = spec->min_level; level <= spec->max_level; level++)
        grids[level - spec->min_level] = (struct det_grid_size){
            det_anchor_grid_side(spec->input_height, spec->pad_to_multiple, level),
            det_anchor_grid_side(spec->input_width, spec->pad_to_multiple, level)};
    return det_anchors_create(env, &settings, grids, spec->input_height, spec->input_width, anchors,
                              count);
}
