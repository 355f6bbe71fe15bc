/* render_parts.h: the stages of renderer_draw, each in a file of its own. */
#ifndef DEMO_RENDER_PARTS_H
#define DEMO_RENDER_PARTS_H

#include "raster.h"
#include "scene.h"

/* background.c: sky, skyline and ground into every sample, one colour a pixel. */
void background_draw(const struct scene *scene, struct raster *raster);
/* Sky colour in a unit direction, without clouds. */
void background_sky(const struct scene_light *light, float up, float rgb[3]);

/* body.c: a lit mesh on the ground at a pose. */
struct body_glow {
    float x, y, near, radius; /* samples */
    float rgb[3];
    uint16_t owner;
};
enum { BODY_MAX_GLOWS = 256 };
struct body_glows {
    struct body_glow list[BODY_MAX_GLOWS];
    int count;
};
void body_draw(const struct scene *scene, struct raster *raster, const struct mesh *mesh,
               struct vehicle_pose pose, uint16_t owner, struct raster_outline *outline,
               struct body_glows *glows);
void body_shadow(const struct scene *scene, struct raster *raster, const struct mesh *mesh,
                 struct vehicle_pose pose);
/* Dark ground below and beside a footprint. */
void body_contact_shadow(struct raster *raster, float length, float width,
                         struct vehicle_pose pose);
/* Haze over `distance` metres. */
void body_haze(const struct scene_light *light, float distance, float rgb[3]);

/* props.c */
void props_shadow(const struct scene *scene, struct raster *raster, struct mesh *mesh);
void props_draw(const struct scene *scene, struct raster *raster, struct mesh *mesh,
                struct body_glows *glows);

/* finish.c: exposure, blur, noise. `planes` holds 2 * width * height * 3 floats, colours in the
 * first half. */
void finish_resolve(const struct scene *scene, const struct raster *raster, float *planes);
void finish_glows(const struct scene *scene, const struct raster *raster,
                  const struct body_glows *glows, float *planes);
void finish_image(const struct scene *scene, double time, float *planes, uint8_t *rgb);

#endif
