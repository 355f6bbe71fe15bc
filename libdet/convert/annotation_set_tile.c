/* annotation_set_tile.c: see det/dataset.h: a set's pictures cut into tiles. */
#include "base/arguments.h"
#include "convert/annotation_set.h"
#include "convert/tile.h"

static const det_annotation_tile_settings defaults = {
    .struct_size = sizeof defaults, .least_inside = .5, .background = .25, .seed = 1};

void det_annotation_tile_settings_init(det_annotation_tile_settings *settings, size_t struct_size)
{
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static det_status take_settings(struct det_env *env, const det_annotation_tile_settings *given,
                                struct det_tile_cutting *cutting)
{
    det_annotation_tile_settings taken = defaults;
    det_tile_settings_default(&cutting->tiles);
    DET_TRY_RETURN(DET_TAKE(env, det_annotation_tile_settings, &taken, given));
    DET_TRY_RETURN(DET_TAKE(env, det_tile_settings, &cutting->tiles, taken.tiles));
    DET_TRY_RETURN(det_tile_settings_check(env, &cutting->tiles));
    if (cutting->tiles.height == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_tile_settings: tiles is NULL or of size 0 x 0, expected "
                        "the size of a tile");
    if (!(taken.least_inside > 0 && taken.least_inside <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_tile_settings: least_inside is %g, expected above 0, to 1",
                        taken.least_inside);
    if (!(taken.background >= 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_tile_settings: background is %g, expected 0 or more",
                        taken.background);
    cutting->least_inside = taken.least_inside;
    cutting->background = taken.background;
    cutting->seed = taken.seed;
    return DET_OK;
}

det_status det_annotation_set_tile(det_annotation_set *set,
                                   const det_annotation_tile_settings *settings,
                                   det_annotations_tiled *tiled)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    struct det_tile_cutting cutting;
    struct det_tile_counts counts;
    DET_NEED(env, set);
    DET_NEED(env, settings);
    if (tiled != NULL)
        DET_NEED_REPORT(env, det_annotations_tiled, tiled);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(take_settings(env, settings, &cutting));
    det_annotation_set_touch(set);
    DET_TRY_RETURN(det_annotations_tile(env, &set->set, &cutting, &counts));
    const det_annotations_tiled filled = {
        .struct_size = sizeof filled,
        .images = counts.images,
        .tiles = counts.tiles,
        .background = counts.background,
        .left_out = counts.left_out,
        .objects = counts.objects,
        .clipped = counts.clipped,
        .dropped = counts.dropped,
    };
    if (tiled != NULL)
        det_fill_report(tiled, &filled, sizeof filled);
    return DET_OK;
}
