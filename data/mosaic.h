/* mosaic.h: a large picture of many scenes at half their size, side by side like the screens of a
 * control room: many small vehicles, some of them wherever a tile may end. */
#ifndef DEMO_MOSAIC_H
#define DEMO_MOSAIC_H

#include "render.h"

/* What is in a picture. Starts with zeros. */
struct object_list {
    struct render_object *objects; /* boxes normalised to the picture */
    size_t count, capacity;
};

void object_list_free(struct det_env *env, struct object_list *list);
/* Appends the objects of a frame. */
det_status object_list_add(struct det_env *env, struct object_list *list,
                           const struct render_frame *frame);

struct mosaic {
    struct renderer *renderer;
    struct scene *scene;
    struct render_frame *frame;
    struct det_image cell; /* scratch */
};

/* Draws picture `index` of a seed, width x height pixels. An object that is cut at the picture's
 * border is listed when at least half of it is inside. */
det_status mosaic_draw(struct det_env *env, struct mosaic *mosaic, uint64_t seed, uint64_t index,
                       int32_t width, int32_t height, struct det_image *image,
                       struct object_list *list);

#endif
