/* Lit meshes: sun and sky light, mirrored sky, lamps, haze; their shadows on the ground. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "render_parts.h"
#include "scalar.h"

void body_haze(const struct scene_light *light, float distance, float rgb[3])
{
    const float depth = distance * light->haze_per_m;
    const float clear = 1 / (1 + depth + 0.5F * depth * depth);
    for (int c = 0; c < 3; c++)
        rgb[c] = light->horizon[c] * 0.9F + (rgb[c] - light->horizon[c] * 0.9F) * clear;
}

static float dot(const float a[3], const float b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void place(struct vehicle_pose pose, const float local[3], float world[3])
{
    world[0] = pose.x + pose.heading_x * local[0] - pose.heading_y * local[1];
    world[1] = pose.y + pose.heading_y * local[0] + pose.heading_x * local[1];
    world[2] = local[2];
}

static void turn(struct vehicle_pose pose, const float local[3], float world[3])
{
    const struct vehicle_pose direction = {0, 0, pose.heading_x, pose.heading_y};
    place(direction, local, world);
}

/* `view` is the unit vector from the camera to the point. */
static void shade(const struct scene_light *light, const struct material *m, const float n[3],
                  const float view[3], float height, float rgb[3])
{
    const float sun = maxf(0, dot(n, light->to_sun)), facing = dot(n, view);
    float mirrored[3];
    for (int k = 0; k < 3; k++)
        mirrored[k] = view[k] - 2 * facing * n[k];
    float sky[3];
    if (mirrored[2] > 0)
        background_sky(light, mirrored[2], sky);
    else
        for (int c = 0; c < 3; c++)
            sky[c] = 0.2F * light->bounce[c];
    const float away = 1 - minf(1, fabsf(facing));
    const float share = minf(0.85F, m->gloss * (0.6F + 2.5F * away * away * away));
    float spark = maxf(0, dot(mirrored, light->to_sun));
    spark *= spark;
    spark *= spark;
    spark *= spark;
    spark *= spark;
    const float open = minf(1, 0.55F + 0.4F * height); /* less light near the ground */
    for (int c = 0; c < 3; c++) {
        const float up = 0.5F + 0.5F * n[2];
        const float light_in =
            (light->ambient[c] * up + light->bounce[c] * (1 - up)) * open + light->sun[c] * sun;
        rgb[c] = m->rgb[c] * light_in * (1 - share) + sky[c] * share * open +
                 light->sun[c] * spark * m->gloss * 1.5F;
        if (light->lamps)
            rgb[c] += m->rgb[c] * m->glow;
    }
}

static void add_glow(const struct raster *r, const struct face *face, const float centre[3],
                     uint16_t owner, struct body_glows *glows)
{
    float p[3];
    raster_to_camera(r, centre, p);
    if (p[2] < 1 || glows->count == BODY_MAX_GLOWS)
        return;
    const float inverse = 1 / p[2];
    struct body_glow *glow = &glows->list[glows->count++];
    glow->x = r->centre_x + r->focal * p[0] * inverse;
    glow->y = r->centre_y - r->focal * p[1] * inverse;
    glow->near = inverse;
    glow->owner = owner;
    glow->radius = minf(60, 0.35F * sqrtf(face->material.glow) * r->focal * inverse + 2);
    for (int c = 0; c < 3; c++)
        glow->rgb[c] = face->material.rgb[c] * minf(1, 0.22F * face->material.glow);
}

void body_draw(const struct scene *scene, struct raster *r, const struct mesh *mesh,
               struct vehicle_pose pose, uint16_t owner, struct raster_outline *outline,
               struct body_glows *glows)
{
    for (int i = 0; i < mesh->count; i++) {
        const struct face *face = &mesh->faces[i];
        float normal[3], world[3], centre[3] = {0, 0, 0};
        struct raster_vertex vertices[MESH_FACE_POINTS];
        turn(pose, face->normal, normal);
        place(pose, face->points[0], world);
        const float to_face[3] = {world[0] - r->position[0], world[1] - r->position[1],
                                  world[2] - r->position[2]};
        if (dot(to_face, normal) >= 0)
            continue;
        for (int k = 0; k < face->count; k++) {
            place(pose, face->points[k], world);
            float view[3];
            for (int c = 0; c < 3; c++) {
                view[c] = world[c] - r->position[c];
                centre[c] += world[c] / (float)face->count;
            }
            const float distance = sqrtf(dot(view, view)) + 1e-6F;
            for (int c = 0; c < 3; c++)
                view[c] /= distance;
            raster_to_camera(r, world, vertices[k].position);
            shade(&scene->light, &face->material, normal, view, world[2], vertices[k].rgb);
            body_haze(&scene->light, distance, vertices[k].rgb);
        }
        raster_polygon(r, vertices, face->count, face->layer, owner, outline);
        if (face->material.glow > 0.5F && scene->light.lamps && glows != NULL)
            add_glow(r, face, centre, owner, glows);
    }
}

void body_shadow(const struct scene *scene, struct raster *r, const struct mesh *mesh,
                 struct vehicle_pose pose)
{
    const float *sun = scene->light.to_sun;
    if (scene->light.sun[0] < 0.15F)
        return;
    for (int i = 0; i < mesh->count; i++) {
        const struct face *face = &mesh->faces[i];
        float normal[3];
        turn(pose, face->normal, normal);
        if (face->layer > 0 || dot(normal, sun) <= 0)
            continue;
        struct raster_vertex vertices[MESH_FACE_POINTS];
        memset(vertices, 0, sizeof vertices);
        for (int k = 0; k < face->count; k++) {
            float world[3];
            place(pose, face->points[k], world);
            const float t = world[2] / sun[2];
            const float ground[3] = {world[0] - sun[0] * t, world[1] - sun[1] * t, 0};
            raster_to_camera(r, ground, vertices[k].position);
        }
        raster_shadow(r, vertices, face->count, RASTER_SHADOW_SUN);
    }
}

void body_contact_shadow(struct raster *r, float length, float width, struct vehicle_pose pose)
{
    static const float margins[2] = {0.45F, 0.05F};
    static const uint8_t bits[2] = {RASTER_SHADOW_NEAR, RASTER_SHADOW_UNDER};
    for (int ring = 0; ring < 2; ring++) {
        const float x = length / 2 + margins[ring], y = width / 2 + margins[ring], cut = 0.4F;
        const float points[8][3] = {{x - cut, -y, 0},  {x, -y + cut, 0}, {x, y - cut, 0},
                                    {x - cut, y, 0},   {-x + cut, y, 0}, {-x, y - cut, 0},
                                    {-x, -y + cut, 0}, {-x + cut, -y, 0}};
        struct raster_vertex vertices[8];
        memset(vertices, 0, sizeof vertices);
        for (int k = 0; k < 8; k++) {
            float world[3];
            place(pose, points[k], world);
            raster_to_camera(r, world, vertices[k].position);
        }
        raster_shadow(r, vertices, 8, bits[ring]);
    }
}
