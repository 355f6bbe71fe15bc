#include "detect/tiling.h"

#include "data/image_view.h"
#include "support/mem.h"

/* A picture of the present run. */
struct picture {
    struct det_tile_grid grid;
    int32_t views;     /* its tiles, and itself where there are several and that is wanted */
    size_t begin, end; /* in the detections */
    float top_score;
    int32_t top_class;
};

/* A view, by its picture and its place among the views of it. */
struct place {
    size_t picture;
    int32_t view;
};

struct det_tiling {
    struct det_tiling_settings settings;
    det_tile_settings tiles;
    const det_image_view *images;
    struct picture *pictures;       /* [batch] */
    size_t count;                   /* of the present run */
    det_image_view *views;          /* [batch] */
    struct place next, taken;       /* to be given out, to be taken back */
    struct det_sightings sightings; /* of the picture that is taken back */
    det_detection *detections;
    size_t used, capacity;
};

det_status det_tiling_create(struct det_env *env, const struct det_tiling_settings *settings,
                             struct det_tiling **out)
{
    det_status status = DET_OK;
    struct det_tiling *t = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &t, 1, sizeof *t, "tiles"));
    t->settings = *settings;
    t->tiles = *settings->tiles;
    if (t->tiles.height == 0) {
        t->tiles.height = settings->input_height;
        t->tiles.width = settings->input_width;
    }
    const size_t batch = (size_t)settings->batch;
    DET_TRY(det_alloc(env, &t->pictures, batch, sizeof *t->pictures, "tiles"));
    DET_TRY(det_alloc(env, &t->views, batch, sizeof *t->views, "tiles"));
    *out = t;
    return DET_OK;
fail:
    det_tiling_destroy(env, &t);
    return status;
}

void det_tiling_destroy(struct det_env *env, struct det_tiling **out)
{
    struct det_tiling *t = *out;
    if (t == NULL)
        return;
    det_sightings_free(env, &t->sightings);
    det_free(env, &t->pictures);
    det_free(env, &t->views);
    det_free(env, &t->detections);
    det_free(env, out);
}

size_t det_tiling_bytes(const struct det_tiling *t)
{
    if (t == NULL)
        return 0;
    return sizeof *t + (size_t)t->settings.batch * (sizeof *t->pictures + sizeof *t->views) +
           det_sightings_bytes(&t->sightings) + t->capacity * sizeof *t->detections;
}

static det_region region_of(const det_image_view *image)
{
    const struct det_window window = det_window_of_view(image);
    return (det_region){window.y, window.x, window.height, window.width};
}

/* The picture whose views are taken back next. */
static det_status begin_picture(struct det_env *env, struct det_tiling *t)
{
    struct picture *picture = &t->pictures[t->taken.picture];
    const det_image_view *image = &t->images[t->taken.picture];
    const det_region window = region_of(image);
    picture->begin = picture->end = t->used;
    return det_sightings_begin(env, &t->sightings, &picture->grid, &window, image->height,
                               image->width, t->settings.iou_threshold);
}

det_status det_tiling_begin(struct det_env *env, struct det_tiling *t, const det_image_view *images,
                            size_t count)
{
    t->images = images;
    t->count = count;
    t->used = 0;
    t->next = t->taken = (struct place){0};
    for (size_t i = 0; i < count; i++) {
        const det_region window = region_of(&images[i]);
        struct picture *picture = &t->pictures[i];
        *picture = (struct picture){0};
        DET_TRY_RETURN(
            det_tile_grid_make(env, &t->tiles, window.height, window.width, &picture->grid));
        const int32_t tiles = det_tile_grid_count(&picture->grid);
        picture->views = tiles + (tiles > 1 && t->tiles.whole != 0);
    }
    return begin_picture(env, t);
}

static det_image_view view_at(const struct det_tiling *t, struct place at)
{
    const struct det_tile_grid *grid = &t->pictures[at.picture].grid;
    det_image_view view = t->images[at.picture];
    if (at.view < det_tile_grid_count(grid)) {
        const det_region window = region_of(&view);
        view.region = det_tile_grid_at(grid, at.view);
        view.region.y += window.y;
        view.region.x += window.x;
    }
    return view;
}

/* Whether the place after this one is in another picture. */
static bool step(const struct det_tiling *t, struct place *at)
{
    if (++at->view < t->pictures[at->picture].views)
        return false;
    *at = (struct place){.picture = at->picture + 1};
    return true;
}

const det_image_view *det_tiling_next(struct det_tiling *t, size_t *count)
{
    for (*count = 0; *count < (size_t)t->settings.batch && t->next.picture < t->count; ++*count) {
        t->views[*count] = view_at(t, t->next);
        step(t, &t->next);
    }
    return t->views;
}

bool det_tiling_has_found(const struct det_tiling *t)
{
    return t->sightings.count > 0;
}

det_status det_tiling_take(struct det_env *env, struct det_tiling *t,
                           const det_image_detections *found, float top_score, int32_t top_class)
{
    struct picture *picture = &t->pictures[t->taken.picture];
    if (t->taken.view == 0 || top_score > picture->top_score) {
        picture->top_score = top_score;
        picture->top_class = top_class;
    }
    DET_TRY_RETURN(det_sightings_add(env, &t->sightings, found->detections, found->count));
    if (!step(t, &t->taken))
        return DET_OK;
    DET_TRY_RETURN(det_sightings_merge(env, &t->sightings, t->settings.most, &t->detections,
                                       &t->used, &t->capacity));
    picture->end = t->used;
    return t->taken.picture < t->count ? begin_picture(env, t) : DET_OK;
}

void det_tiling_results(const struct det_tiling *t, det_image_detections *results)
{
    for (size_t i = 0; i < t->count; i++)
        results[i] = (det_image_detections){t->detections + t->pictures[i].begin,
                                            t->pictures[i].end - t->pictures[i].begin};
}

void det_tiling_top_score(const struct det_tiling *t, size_t index, float *score,
                          int32_t *top_class)
{
    *score = t->pictures[index].top_score;
    *top_class = t->pictures[index].top_class;
}
