/* raster.h: camera and polygon rasteriser with a depth buffer, 2 x 2 samples a pixel. Nothing here
 * can fail. */
#ifndef DEMO_RASTER_H
#define DEMO_RASTER_H

#include <stdbool.h>
#include <stdint.h>

enum { RASTER_SAMPLES = 2 }; /* a side */

struct raster_sample {
    float rgb[3];
    float near; /* 1 / depth; 0 = background */
};

struct raster {
    int width, height; /* samples */
    float position[3], right[3], up[3], forward[3];
    float focal, centre_x, centre_y; /* samples */
    struct raster_sample *samples;
    uint16_t *owner;  /* object drawn there; 0 = background or scenery */
    uint16_t *stamp;  /* last object whose outline holds the sample, hidden or not */
    uint8_t *shadows; /* RASTER_SHADOW_* bits on the ground */
};

enum { RASTER_SHADOW_SUN = 1, RASTER_SHADOW_NEAR = 2, RASTER_SHADOW_UNDER = 4 };

struct raster_vertex {
    float position[3]; /* camera frame: right, up, depth */
    float rgb[3];
};

/* What an object covers, hidden or not, not clipped to the image; in samples. */
struct raster_outline {
    float left, top, right, bottom;
    int area;           /* samples inside the image */
    bool behind_camera; /* cut by the near plane: bounds are not known */
};

void raster_look(struct raster *raster, const float position[3], float yaw, float pitch,
                 float roll);
void raster_to_camera(const struct raster *raster, const float world[3], float camera[3]);
void raster_clear(struct raster *raster);

/* Draws a convex polygon. A higher layer wins against lower ones in the same plane. owner 0 and
 * outline NULL for scenery. */
void raster_polygon(struct raster *raster, const struct raster_vertex *vertices, int count,
                    int layer, uint16_t owner, struct raster_outline *outline);
/* Sets bits where the polygon (on the ground) is seen. */
void raster_shadow(struct raster *raster, const struct raster_vertex *vertices, int count,
                   uint8_t bits);

#endif
