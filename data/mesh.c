#include "mesh.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct material material_matte(float r, float g, float b)
{
    return (struct material){{r, g, b}, 0.02F, 0};
}

struct material material_gloss(float r, float g, float b, float gloss)
{
    return (struct material){{r, g, b}, gloss, 0};
}

struct material material_lamp(float r, float g, float b, float glow)
{
    return (struct material){{r, g, b}, 0.25F, glow};
}

/* Newell's method: sound for any flat polygon, nearly flat ones included. */
static void polygon_normal(const float (*points)[3], int count, float normal[3])
{
    float n[3] = {0, 0, 0};
    for (int i = 0; i < count; i++) {
        const float *a = points[i], *b = points[(i + 1) % count];
        n[0] += (a[1] - b[1]) * (a[2] + b[2]);
        n[1] += (a[2] - b[2]) * (a[0] + b[0]);
        n[2] += (a[0] - b[0]) * (a[1] + b[1]);
    }
    const float length = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int k = 0; k < 3; k++)
        normal[k] = length > 0 ? n[k] / length : 0;
}

struct face *mesh_add(struct mesh *mesh, const float (*points)[3], int count,
                      const float outward[3], struct material material)
{
    struct face *face = &mesh->faces[mesh->count];
    if (mesh->count < mesh->capacity)
        mesh->count++;
    memcpy(face->points, points, sizeof(float[3]) * (size_t)count);
    face->count = count;
    face->layer = 0;
    face->material = material;
    polygon_normal(points, count, face->normal);
    const float along =
        face->normal[0] * outward[0] + face->normal[1] * outward[1] + face->normal[2] * outward[2];
    if (along < 0)
        for (int k = 0; k < 3; k++)
            face->normal[k] = -face->normal[k];
    return face;
}

static void quad_point(const struct face *quad, float u, float v, float out[3])
{
    for (int k = 0; k < 3; k++) {
        const float low = quad->points[0][k] + u * (quad->points[1][k] - quad->points[0][k]);
        const float high = quad->points[3][k] + u * (quad->points[2][k] - quad->points[3][k]);
        out[k] = low + v * (high - low);
    }
}

struct face *mesh_inset(struct mesh *mesh, const struct face *quad, float u0, float v0, float u1,
                        float v1, struct material material)
{
    float points[4][3];
    quad_point(quad, u0, v0, points[0]);
    quad_point(quad, u1, v0, points[1]);
    quad_point(quad, u1, v1, points[2]);
    quad_point(quad, u0, v1, points[3]);
    const int layer = quad->layer + 1;
    struct face *face = mesh_add(mesh, (const float(*)[3])points, 4, quad->normal, material);
    face->layer = layer;
    return face;
}

static void box_faces(struct mesh *mesh, const float c[8][3], struct material material,
                      struct face *faces[FRUSTUM_FACES])
{
    /* corners: bottom 0..3 = (x0,y0) (x1,y0) (x1,y1) (x0,y1), top 4..7 */
    static const int corner[FRUSTUM_FACES][4] = {
        {1, 2, 6, 5}, {0, 3, 7, 4}, {3, 2, 6, 7}, {0, 1, 5, 4}, {4, 5, 6, 7}};
    static const float outward[FRUSTUM_FACES][3] = {
        {1, 0, 0}, {-1, 0, 0}, {0, 1, 0}, {0, -1, 0}, {0, 0, 1}};
    for (int f = 0; f < FRUSTUM_FACES; f++) {
        float points[4][3];
        for (int i = 0; i < 4; i++)
            memcpy(points[i], c[corner[f][i]], sizeof points[i]);
        struct face *face = mesh_add(mesh, (const float(*)[3])points, 4, outward[f], material);
        if (faces != NULL)
            faces[f] = face;
    }
}

void mesh_frustum(struct mesh *mesh, const float bottom[4], const float top[4],
                  struct material material, struct face *faces[FRUSTUM_FACES])
{
    const float *b = bottom, *t = top; /* x0, x1, half width, z */
    const float corners[8][3] = {{b[0], -b[2], b[3]}, {b[1], -b[2], b[3]}, {b[1], b[2], b[3]},
                                 {b[0], b[2], b[3]},  {t[0], -t[2], t[3]}, {t[1], -t[2], t[3]},
                                 {t[1], t[2], t[3]},  {t[0], t[2], t[3]}};
    box_faces(mesh, corners, material, faces);
}

void mesh_box(struct mesh *mesh, const float low[3], const float high[3], struct material material,
              struct face *faces[FRUSTUM_FACES])
{
    float corners[8][3];
    static const int at[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    for (int i = 0; i < 8; i++) {
        corners[i][0] = at[i % 4][0] ? high[0] : low[0];
        corners[i][1] = at[i % 4][1] ? high[1] : low[1];
        corners[i][2] = i < 4 ? low[2] : high[2];
    }
    box_faces(mesh, (const float(*)[3])corners, material, faces);
}

struct loft_faces mesh_loft(struct mesh *mesh, const struct loft_station *stations, int count,
                            struct material material)
{
    struct loft_faces result;
    const int top = LOFT_LEVELS - 1;
    for (int i = 0; i + 1 < count; i++) {
        const struct loft_station *a = &stations[i], *b = &stations[i + 1];
        for (int level = 0; level < top; level++)
            for (int side = -1; side <= 1; side += 2) {
                const float s = (float)side, outward[3] = {0, s, 0.3F * (float)level};
                const float points[4][3] = {{a->x, s * a->w[level], a->z[level]},
                                            {b->x, s * b->w[level], b->z[level]},
                                            {b->x, s * b->w[level + 1], b->z[level + 1]},
                                            {a->x, s * a->w[level + 1], a->z[level + 1]}};
                mesh_add(mesh, points, 4, outward, material);
            }
        const float points[4][3] = {{a->x, -a->w[top], a->z[top]},
                                    {b->x, -b->w[top], b->z[top]},
                                    {b->x, b->w[top], b->z[top]},
                                    {a->x, a->w[top], a->z[top]}};
        const float up[3] = {0, 0, 1};
        mesh_add(mesh, points, 4, up, material);
    }
    for (int end = 0; end < 2; end++)
        for (int level = 0; level < top; level++) {
            const struct loft_station *s = end ? &stations[count - 1] : &stations[0];
            const float points[4][3] = {{s->x, -s->w[level], s->z[level]},
                                        {s->x, s->w[level], s->z[level]},
                                        {s->x, s->w[level + 1], s->z[level + 1]},
                                        {s->x, -s->w[level + 1], s->z[level + 1]}};
            const float outward[3] = {end ? 1.0F : -1.0F, 0, 0};
            struct face *face = mesh_add(mesh, points, 4, outward, material);
            if (end)
                result.front[level] = face;
            else
                result.rear[level] = face;
        }
    return result;
}

enum { wheel_points = 14 };

static void circle(float (*points)[3], float x, float y, float z, float radius)
{
    for (int i = 0; i < wheel_points; i++) {
        const float angle = 6.2831853F * ((float)i + 0.5F) / (float)wheel_points;
        points[i][0] = x + radius * cosf(angle);
        points[i][1] = y;
        points[i][2] = z + radius * sinf(angle);
    }
}

void mesh_wheel(struct mesh *mesh, float x, float y, float side, float radius, float width,
                struct material rim)
{
    const struct material tyre = material_matte(0.025F, 0.025F, 0.028F);
    const float outward[3] = {0, side, 0};
    float outer[wheel_points][3], inner[wheel_points][3];
    circle(outer, x, side * y, radius, radius);
    circle(inner, x, side * (y - width), radius, radius);
    mesh_add(mesh, (const float(*)[3])outer, wheel_points, outward, tyre)->layer = 1;
    for (int i = 0; i < wheel_points; i++) {
        const int j = (i + 1) % wheel_points;
        float points[4][3];
        memcpy(points[0], outer[i], sizeof points[0]);
        memcpy(points[1], outer[j], sizeof points[1]);
        memcpy(points[2], inner[j], sizeof points[2]);
        memcpy(points[3], inner[i], sizeof points[3]);
        const float away[3] = {outer[i][0] + outer[j][0] - 2 * x, 0,
                               outer[i][2] + outer[j][2] - 2 * radius};
        mesh_add(mesh, (const float(*)[3])points, 4, away, tyre);
    }
    circle(outer, x, side * y, radius, radius * 0.62F);
    mesh_add(mesh, (const float(*)[3])outer, wheel_points, outward, rim)->layer = 2;
    circle(outer, x, side * y, radius, radius * 0.2F);
    mesh_add(mesh, (const float(*)[3])outer, wheel_points, outward,
             material_matte(rim.rgb[0] * 0.4F, rim.rgb[1] * 0.4F, rim.rgb[2] * 0.4F))
        ->layer = 3;
}

void mesh_cylinder(struct mesh *mesh, float x0, float x1, float z, float radius_y, float radius_z,
                   struct material material)
{
    float ends[2][wheel_points][3];
    for (int end = 0; end < 2; end++)
        for (int i = 0; i < wheel_points; i++) {
            const float angle = 6.2831853F * ((float)i + 0.5F) / (float)wheel_points;
            ends[end][i][0] = end ? x1 : x0;
            ends[end][i][1] = radius_y * cosf(angle);
            ends[end][i][2] = z + radius_z * sinf(angle);
        }
    for (int i = 0; i < wheel_points; i++) {
        const int j = (i + 1) % wheel_points;
        float points[4][3];
        memcpy(points[0], ends[0][i], sizeof points[0]);
        memcpy(points[1], ends[1][i], sizeof points[1]);
        memcpy(points[2], ends[1][j], sizeof points[2]);
        memcpy(points[3], ends[0][j], sizeof points[3]);
        const float away[3] = {0, ends[0][i][1] + ends[0][j][1],
                               ends[0][i][2] + ends[0][j][2] - 2 * z};
        mesh_add(mesh, (const float(*)[3])points, 4, away, material);
    }
    const float rear[3] = {-1, 0, 0}, front[3] = {1, 0, 0};
    mesh_add(mesh, (const float(*)[3])ends[0], wheel_points, rear, material);
    mesh_add(mesh, (const float(*)[3])ends[1], wheel_points, front, material);
}
