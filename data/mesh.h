/* mesh.h: small closed bodies of flat convex faces, in metres. The body's frame: x forward, y left,
 * z up, origin on the ground. Faces know their outward normal, so the order of their points is
 * free; quads keep u, v corners for insets. */
#ifndef DEMO_MESH_H
#define DEMO_MESH_H

#include <stdbool.h>

#define MESH_FACE_POINTS 14

struct material {
    float rgb[3]; /* linear reflectance */
    float gloss;  /* share of the sky that is mirrored */
    float glow;   /* light of its own, when the scene's lights are on */
};

struct face {
    float points[MESH_FACE_POINTS][3];
    float normal[3];
    int count;
    int layer; /* insets lie on their quad: a higher layer is drawn in front */
    struct material material;
};

struct mesh {
    struct face *faces; /* capacity + 1: the last one takes what does not fit */
    int count, capacity;
};

/* Faces of a frustum; quads with u along x (sides, top) or y (front, rear), v up (top: v along y).
 */
enum { FACE_FRONT, FACE_REAR, FACE_LEFT, FACE_RIGHT, FACE_TOP, FRUSTUM_FACES };

/* A cross-section of a loft: half widths w at heights z, from the bottom up. */
#define LOFT_LEVELS 4
struct loft_station {
    float x, w[LOFT_LEVELS], z[LOFT_LEVELS];
};
struct loft_faces {
    struct face *front[LOFT_LEVELS - 1], *rear[LOFT_LEVELS - 1];
};

struct material material_matte(float r, float g, float b);
struct material material_gloss(float r, float g, float b, float gloss);
struct material material_lamp(float r, float g, float b, float glow);

/* `outward` is any vector that is not on the face's inner side. */
struct face *mesh_add(struct mesh *mesh, const float (*points)[3], int count,
                      const float outward[3], struct material material);

/* Part of a quad's surface: u, v in 0..1, lies on the quad one layer up. */
struct face *mesh_inset(struct mesh *mesh, const struct face *quad, float u0, float v0, float u1,
                        float v1, struct material material);

/* Box whose bottom rectangle (xb0..xb1, half width wb, height zb) and top rectangle may differ.
 * `faces` may be NULL. */
void mesh_frustum(struct mesh *mesh, const float bottom[4], const float top[4],
                  struct material material, struct face *faces[FRUSTUM_FACES]);
/* Upright box off the middle line. */
void mesh_box(struct mesh *mesh, const float low[3], const float high[3], struct material material,
              struct face *faces[FRUSTUM_FACES]);

/* Skin over the stations, which run from rear to front; mirrored left and right. */
struct loft_faces mesh_loft(struct mesh *mesh, const struct loft_station *stations, int count,
                            struct material material);

/* side +1 left, -1 right; y is the outer side's distance from the middle line. */
void mesh_wheel(struct mesh *mesh, float x, float y, float side, float radius, float width,
                struct material rim);
/* Cylinder along x. */
void mesh_cylinder(struct mesh *mesh, float x0, float x1, float z, float radius_y, float radius_z,
                   struct material material);

#endif
