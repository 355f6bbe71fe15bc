#include "convert/tile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/exif.h"
#include "data/image_view.h"
#include "support/mem.h"

/* --- pixels --- */

static const struct det_labelled_image *picture_of(const struct det_annotations *set,
                                                   const struct det_labelled_image *image)
{
    return image->picture > 0 ? &set->tiled->pictures[image->picture - 1] : NULL;
}

bool det_image_is_tile(const struct det_annotations *set, const struct det_labelled_image *image)
{
    const struct det_labelled_image *picture = picture_of(set, image);
    return picture != NULL &&
           (picture->width_px != image->width_px || picture->height_px != image->height_px);
}

static det_status decode(struct det_env *env, const struct det_annotations *set,
                         const struct det_labelled_image *picture)
{
    struct det_tiled_pictures *tiled = set->tiled;
    struct det_source_bytes source;
    det_status status = DET_OK;
    tiled->decoded = 0;
    DET_TRY_RETURN(det_image_bytes_open(env, set, picture, &source));
    DET_TRY(det_image_decode(env, picture->where, source.data, source.bytes, &tiled->pixels));
    DET_TRY(det_exif_turn(env, &tiled->pixels, picture->turn));
    tiled->decoded = (size_t)(picture - tiled->pictures) + 1;
fail:
    det_source_bytes_close(env, &source);
    return status;
}

det_status det_tile_load(struct det_env *env, const struct det_annotations *set,
                         const struct det_labelled_image *image, struct det_image *pixels)
{
    const struct det_tiled_pictures *tiled = set->tiled;
    if (tiled->decoded != image->picture)
        DET_TRY_RETURN(decode(env, set, picture_of(set, image)));
    const det_image_view view = {
        .pixels = tiled->pixels.rgb,
        .width = tiled->pixels.width,
        .height = tiled->pixels.height,
        .region = {image->tile_y, image->tile_x, image->height_px, image->width_px}};
    /* The file may have become another one since it was resolved. */
    DET_TRY_RETURN(det_image_view_check(env, &view));
    return det_image_copy_view(env, &view, pixels);
}

void det_tiled_pictures_free(struct det_env *env, struct det_tiled_pictures **tiled)
{
    if (*tiled == NULL)
        return;
    det_image_free(env, &(*tiled)->pixels);
    det_free(env, &(*tiled)->pictures);
    det_free(env, tiled);
}

/* --- cutting --- */

/* A tile without an object. */
struct empty {
    uint64_t key; /* by which some are chosen */
    int32_t split;
    uint32_t image, tile;
    bool kept;
};

struct cutting {
    struct det_annotations *set;
    const struct det_tile_cutting *settings;
    struct det_tile_counts *counts;
    size_t images, objects; /* of the set as it was */
    size_t *full;           /* [splits] tiles with an object */
    struct empty *empties;  /* by image and tile, then chosen */
    size_t empty_count, empty_capacity;
    size_t next; /* empty */
};

/* What of an object is in a tile, normalised to it: the share of its area. */
static double part_of(const struct det_labelled_image *image,
                      const struct det_labelled_object *object, const det_region *tile,
                      double box[4])
{
    const double whole[2] = {image->height_px, image->width_px};
    const double from[2] = {tile->y, tile->x}, side[2] = {tile->height, tile->width};
    double share = 1;
    for (int axis = 0; axis < 2; axis++) {
        const double low = object->box[axis] * whole[axis] - from[axis];
        const double high = object->box[axis + 2] * whole[axis] - from[axis];
        box[axis] = fmin(fmax(low, 0), side[axis]) / side[axis];
        box[axis + 2] = fmin(fmax(high, 0), side[axis]) / side[axis];
        share *= (box[axis + 2] - box[axis]) * side[axis] / (high - low);
    }
    return share > 0 ? fmin(share, 1) : 0;
}

/* Crowds and groups say of a place that it is not to be judged: any part of them is kept. */
static bool is_kept(const struct cutting *c, const struct det_labelled_object *object, double share)
{
    return share > 0 &&
           (share >= c->settings->least_inside || object->is_crowd || object->group_of);
}

/* Whether a tile has an object; parts of others are counted. */
static bool has_object(const struct cutting *c, const struct det_labelled_image *image,
                       const det_region *tile)
{
    double box[4];
    bool any = false;
    for (size_t i = 0; i < image->object_count; i++) {
        const struct det_labelled_object *object = &c->set->objects[image->first_object + i];
        const double share = part_of(image, object, tile, box);
        const bool kept = is_kept(c, object, share);
        c->counts->dropped += share > 0 && !kept;
        any |= kept;
    }
    return any;
}

static det_status grid_of(struct det_env *env, const struct cutting *c,
                          const struct det_labelled_image *image, struct det_tile_grid *grid)
{
    const det_status status =
        det_tile_grid_make(env, &c->settings->tiles, image->height_px, image->width_px, grid);
    return status == DET_OK ? DET_OK : det_fail_prefix(env, status, "%s", image->where);
}

static uint64_t tile_hash(const struct det_labelled_image *image, const det_region *tile,
                          uint64_t seed)
{
    struct det_rng rng;
    det_rng_init(&rng, image->pixel_hash ^ seed,
                 (uint64_t)(uint32_t)tile->y << 32 | (uint32_t)tile->x, 0);
    const uint64_t high = det_rng_u32(&rng);
    return high << 32 | det_rng_u32(&rng);
}

/* What a repair drops or turns round has no part in a tile. */
static det_status check_boxes(struct det_env *env, const struct cutting *c,
                              const struct det_labelled_image *image)
{
    for (size_t i = 0; i < image->object_count; i++) {
        const double *box = c->set->objects[image->first_object + i].box;
        bool sound = box[0] < box[2] && box[1] < box[3];
        for (int side = 0; side < 4; side++)
            sound &= isfinite(box[side]) != 0;
        if (!sound)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "%s: object %zu has no box that could be cut (%g %g %g %g): repair the "
                            "set first",
                            image->where, i, box[0], box[1], box[2], box[3]);
    }
    return DET_OK;
}

static det_status look_for_empty(struct det_env *env, struct cutting *c)
{
    for (size_t i = 0; i < c->images; i++) {
        const struct det_labelled_image *image = &c->set->images[i];
        struct det_tile_grid grid;
        if (image->broken)
            continue;
        DET_TRY_RETURN(check_boxes(env, c, image));
        DET_TRY_RETURN(grid_of(env, c, image, &grid));
        const int32_t tiles = det_tile_grid_count(&grid);
        for (int32_t t = 0; tiles > 1 && t < tiles; t++) {
            const det_region tile = det_tile_grid_at(&grid, t);
            if (has_object(c, image, &tile)) {
                c->full[image->split]++;
                continue;
            }
            DET_TRY_RETURN(det_grow(env, &c->empties, &c->empty_capacity, c->empty_count + 1,
                                    sizeof *c->empties, "tiles"));
            c->empties[c->empty_count++] =
                (struct empty){.key = tile_hash(image, &tile, c->settings->seed),
                               .split = image->split,
                               .image = (uint32_t)i,
                               .tile = (uint32_t)t};
        }
    }
    return DET_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct empty *x = a, *y = b;
    if (x->split != y->split)
        return x->split < y->split ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->image != y->image ? (x->image < y->image ? -1 : 1) : (x->tile < y->tile ? -1 : 1);
}

static int by_place(const void *a, const void *b)
{
    const struct empty *x = a, *y = b;
    return x->image != y->image ? (x->image < y->image ? -1 : 1) : (x->tile < y->tile ? -1 : 1);
}

/* Of each split as many as its share of tiles with an object. */
static void choose_background(struct cutting *c)
{
    if (c->empty_count == 0)
        return;
    qsort(c->empties, c->empty_count, sizeof *c->empties, by_key);
    size_t rank = 0;
    for (size_t i = 0; i < c->empty_count; i++, rank++) {
        struct empty *empty = &c->empties[i];
        if (i > 0 && empty->split != c->empties[i - 1].split)
            rank = 0;
        empty->kept = (double)rank < c->settings->background * (double)c->full[empty->split];
        c->counts->background += empty->kept;
        c->counts->left_out += !empty->kept;
    }
    qsort(c->empties, c->empty_count, sizeof *c->empties, by_place);
}

/* a/b.jpg -> a/b_y0120_x0340.jpg */
static det_status name_of(struct det_env *env, const char *given, const det_region *tile,
                          char **name)
{
    if (given == NULL)
        return DET_OK;
    const size_t folder = (size_t)(det_path_name(given) - given);
    const size_t stem = folder + det_path_stem_length(given + folder);
    return det_format(env, name, "%.*s_y%04d_x%04d%s", (int)stem, given, (int)tile->y, (int)tile->x,
                      given + stem);
}

/* A new image behind the others, of picture `from`. */
static det_status add_image(struct det_env *env, struct cutting *c, size_t from,
                            const det_region *tile, size_t *index)
{
    struct det_annotations *set = c->set;
    const struct det_labelled_image *picture = &set->images[from];
    const bool whole = tile->height == picture->height_px && tile->width == picture->width_px;
    char *where = NULL;
    det_status status = DET_OK;
    DET_TRY(whole ? det_strdup(env, &where, picture->where)
                  : det_format(env, &where, "%s: tile at row %d, column %d", picture->where,
                               (int)tile->y, (int)tile->x));
    DET_TRY(det_annotations_add_image(env, set, where, NULL, false, index));
    struct det_labelled_image *image = &set->images[*index];
    picture = &set->images[from]; /* the array may have moved */
    image->width_px = tile->width;
    image->height_px = tile->height;
    image->split = picture->split;
    image->resolved = true;
    image->kind = picture->kind;
    image->first_object = set->object_count;
    /* A tile of a tile is one of the same picture. */
    image->picture =
        picture->picture > 0 ? picture->picture : (uint32_t)(set->tiled->count + from + 1);
    image->tile_y = picture->tile_y + tile->y;
    image->tile_x = picture->tile_x + tile->x;
    image->pixel_hash = whole ? picture->pixel_hash : tile_hash(picture, tile, 0);
    if (whole) {
        image->orientation = picture->orientation;
        image->turn = picture->turn;
        image->lost_objects = picture->lost_objects;
        if (picture->path != NULL)
            DET_TRY(det_strdup(env, &image->path, picture->path));
        if (picture->name != NULL)
            DET_TRY(det_strdup(env, &image->name, picture->name));
        if (picture->source_id != NULL)
            DET_TRY(det_strdup(env, &image->source_id, picture->source_id));
    } else {
        DET_TRY(name_of(env, picture->name, tile, &image->name));
        DET_TRY(name_of(env, picture->source_id, tile, &image->source_id));
    }
fail:
    det_free(env, &where);
    return status;
}

static det_status add_objects(struct det_env *env, struct cutting *c, size_t from,
                              const det_region *tile, size_t to)
{
    struct det_annotations *set = c->set;
    const struct det_labelled_image *picture = &set->images[from];
    const bool whole = tile->height == picture->height_px && tile->width == picture->width_px;
    for (size_t i = 0; i < picture->object_count; i++) {
        struct det_labelled_object object = set->objects[picture->first_object + i];
        double box[4];
        const double share = part_of(picture, &object, tile, box);
        if (!whole) {
            if (!is_kept(c, &object, share))
                continue;
            memcpy(object.box, box, sizeof box);
            object.area_px2 *= share;
            /* Anything less is arithmetic. */
            object.truncated |= share < 1 - 1e-6;
            c->counts->objects++;
            c->counts->clipped += share < 1 - 1e-6;
        }
        object.image = (uint32_t)to;
        DET_TRY_RETURN(det_annotations_add_object(env, set, &object));
    }
    return DET_OK;
}

static det_status add_part(struct det_env *env, struct cutting *c, size_t from,
                           const det_region *tile)
{
    size_t to = 0;
    DET_TRY_RETURN(add_image(env, c, from, tile, &to));
    return add_objects(env, c, from, tile, to);
}

/* Whether a tile is one of those that have no object and are not kept. */
static bool is_left_out(struct cutting *c, size_t image, int32_t tile)
{
    if (c->next == c->empty_count || c->empties[c->next].image != image ||
        c->empties[c->next].tile != (uint32_t)tile)
        return false;
    return !c->empties[c->next++].kept;
}

static det_status cut_image(struct det_env *env, struct cutting *c, size_t i)
{
    const det_region all = {0, 0, c->set->images[i].height_px, c->set->images[i].width_px};
    struct det_tile_grid grid;
    DET_TRY_RETURN(grid_of(env, c, &c->set->images[i], &grid));
    const int32_t tiles = det_tile_grid_count(&grid);
    if (tiles == 1 || c->settings->tiles.whole)
        DET_TRY_RETURN(add_part(env, c, i, &all));
    c->counts->images += tiles > 1;
    for (int32_t t = 0; tiles > 1 && t < tiles; t++) {
        if (is_left_out(c, i, t))
            continue;
        const det_region tile = det_tile_grid_at(&grid, t);
        DET_TRY_RETURN(add_part(env, c, i, &tile));
        c->counts->tiles++;
    }
    return DET_OK;
}

/* Nothing fails from here on: what was added takes the place of what was there. */
static void take_over(struct cutting *c)
{
    struct det_annotations *set = c->set;
    struct det_tiled_pictures *tiled = set->tiled;
    for (size_t i = 0; i < c->images; i++)
        tiled->pictures[tiled->count++] = set->images[i];
    set->image_count -= c->images;
    memmove(set->images, set->images + c->images, set->image_count * sizeof *set->images);
    set->object_count -= c->objects;
    set->objects_lost = 0; /* they were among the old ones */
    if (set->object_count > 0)
        memmove(set->objects, set->objects + c->objects, set->object_count * sizeof *set->objects);
    for (size_t i = 0; i < set->image_count; i++)
        set->images[i].first_object -= c->objects;
    for (size_t i = 0; i < set->object_count; i++)
        set->objects[i].image -= (uint32_t)c->images;
}

static void take_back(struct det_env *env, struct cutting *c)
{
    while (c->set->image_count > c->images)
        det_annotations_take_back_image(env, c->set);
    c->set->object_count = c->objects;
}

static det_status cut(struct det_env *env, struct cutting *c)
{
    struct det_annotations *set = c->set;
    DET_TRY_RETURN(look_for_empty(env, c));
    choose_background(c);
    for (size_t i = 0; i < c->images; i++) {
        if (!set->images[i].broken) {
            DET_TRY_RETURN(cut_image(env, c, i));
            continue;
        }
        size_t index = 0; /* stays what it is: there is nothing to cut */
        DET_TRY_RETURN(
            det_annotations_add_image(env, set, set->images[i].where, NULL, false, &index));
        set->images[index].broken = set->images[index].resolved = true;
        set->images[index].split = set->images[i].split;
        set->images[index].first_object = set->object_count;
    }
    return DET_OK;
}

det_status det_annotations_tile(struct det_env *env, struct det_annotations *set,
                                const struct det_tile_cutting *settings,
                                struct det_tile_counts *counts)
{
    struct cutting c = {.set = set,
                        .settings = settings,
                        .counts = counts,
                        .images = set->image_count,
                        .objects = set->object_count};
    det_status status = DET_OK;
    *counts = (struct det_tile_counts){0};
    if (set->tiled == NULL)
        DET_TRY(det_alloc(env, &set->tiled, 1, sizeof *set->tiled, "tiles"));
    struct det_tiled_pictures *tiled = set->tiled;
    if (tiled->count + set->image_count >= UINT32_MAX) {
        status = det_fail(env, DET_STATUS_UNSUPPORTED, "tiles of more than 2^32 images");
        goto fail;
    }
    DET_TRY(det_grow(env, &tiled->pictures, &tiled->capacity, tiled->count + set->image_count,
                     sizeof *tiled->pictures, "tiles"));
    DET_TRY(det_alloc(env, &c.full, set->splits.count, sizeof *c.full, "tiles"));
    DET_TRY(cut(env, &c));
    if (counts->images > 0)
        take_over(&c);
    else
        take_back(env, &c);
fail:
    if (status != DET_OK) {
        take_back(env, &c);
        *counts = (struct det_tile_counts){0};
    }
    det_free(env, &c.full);
    det_free(env, &c.empties);
    return status;
}

det_status det_labelled_image_load(struct det_env *env, const struct det_annotations *set,
                                   const struct det_labelled_image *image, struct det_image *pixels)
{
    struct det_source_bytes source;
    if (det_image_is_tile(set, image))
        return det_tile_load(env, set, image, pixels);
    DET_TRY_RETURN(det_image_bytes_open(env, set, image, &source));
    const det_status status =
        det_image_decode(env, image->where, source.data, source.bytes, pixels);
    det_source_bytes_close(env, &source);
    DET_TRY_RETURN(status);
    return det_exif_turn(env, pixels, image->turn);
}
