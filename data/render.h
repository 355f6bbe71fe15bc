/* render.h: a scene at a moment as pixels and boxes. One renderer draws one frame at a time;
 * several may exist. */
#ifndef DEMO_RENDER_H
#define DEMO_RENDER_H

#include "data/image.h"
#include "scene.h"
#include "support/env.h"

struct render_object {
    enum vehicle_class class_index;
    int vehicle;       /* index in the scene: the same in every frame of a video */
    float box_norm[4]; /* ymin, xmin, ymax, xmax of the outline as if nothing stood in front,
                          clipped to the image */
    float visible;     /* share of the outline inside the image that is not hidden */
};

struct render_frame {
    struct render_object objects[SCENE_MAX_VEHICLES];
    int object_count;
};

struct renderer;

det_status renderer_create(struct det_env *env, struct renderer **renderer);
void renderer_destroy(struct det_env *env, struct renderer **renderer);

/* For a video: what stands still is drawn once and kept. All further pictures are of the same
 * scene. */
void renderer_hold_background(struct renderer *renderer);

/* Draws the scene at `time` seconds into `image` (resized to the scene's size). The same scene and
 * time give the same bits. Objects that are hidden by more than 80 %, under 12 pixels (times
 * scene->detail) or hardly inside the image are not reported. */
det_status renderer_draw(struct det_env *env, struct renderer *renderer, const struct scene *scene,
                         double time, struct det_image *image, struct render_frame *frame);

#endif
