/* Trees, houses, lamps, signs, guard rails. All but trees are meshes; a tree is a heap of leafy
 * discs. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "noise.h"
#include "render_parts.h"

static struct vehicle_pose prop_pose(const struct scene *s, const struct scene_prop *p)
{
    const float slope = s->road.curvature * p->y, norm = sqrtf(1 + slope * slope);
    return (struct vehicle_pose){scene_road_middle(&s->road, p->y) + p->x, p->y, slope / norm,
                                 1 / norm};
}

static void box(struct mesh *mesh, float x0, float x1, float y0, float y1, float z0, float z1,
                struct material m, struct face **faces)
{
    const float low[3] = {x0, y0, z0}, high[3] = {x1, y1, z1};
    mesh_box(mesh, low, high, m, faces);
}

/* Mesh frame: x along the road, y to its left. size = depth across, length along, height. */
static void build_building(const struct scene_prop *p, struct mesh *mesh)
{
    static const float walls[][3] = {{.35F, .30F, .24F}, {.30F, .14F, .09F}, {.42F, .40F, .36F},
                                     {.24F, .24F, .25F}, {.45F, .38F, .22F}, {.30F, .33F, .36F}};
    const float *wall = walls[p->seed % 6];
    const float l = p->size[1] / 2, d = p->size[0] / 2, h = p->size[2];
    struct face *f[FRUSTUM_FACES];
    box(mesh, -l, l, -d, d, 0, h, material_matte(wall[0], wall[1], wall[2]), f);
    const int floors = (int)(h / 3) > 0 ? (int)(h / 3) : 1;
    for (int side = FACE_FRONT; side <= FACE_RIGHT; side++) {
        const float length = side <= FACE_REAR ? 2 * d : 2 * l;
        const int columns = (int)(length / 2.6F);
        for (int j = 0; j < floors; j++)
            for (int i = 0; i < columns; i++) {
                const uint32_t h0 = noise_hash((uint32_t)(side * 64 + i), (uint32_t)j, p->seed);
                const float u = ((float)i + 0.25F) / (float)columns,
                            v = ((float)j + 0.3F) / (float)floors;
                struct material pane = material_gloss(.03F, .035F, .04F, .35F);
                if (h0 % 3 == 0) {
                    pane.rgb[0] = .5F;
                    pane.rgb[1] = .38F;
                    pane.rgb[2] = .16F;
                    pane.glow = 0.45F; /* lit at night, blinds by day */
                }
                mesh_inset(mesh, f[side], u, v, u + 0.5F / (float)columns,
                           v + 0.45F / (float)floors, pane);
            }
    }
    if (p->seed & 64) { /* pitched roof */
        const float b[4] = {-l - .3F, l + .3F, d + .3F, h}, t[4] = {-l, l, .1F, h + d * .7F};
        mesh_frustum(mesh, b, t, material_matte(.22F, .09F, .06F), NULL);
    }
}

static void build_prop(const struct scene_prop *p, struct mesh *mesh)
{
    const struct material steel = material_gloss(.28F, .29F, .3F, .08F);
    mesh->count = 0;
    if (p->kind == PROP_BUILDING) {
        build_building(p, mesh);
    } else if (p->kind == PROP_LAMP) {
        const float h = p->size[0], arm = -p->size[1] * 1.8F; /* towards the road */
        box(mesh, -.07F, .07F, -.07F, .07F, 0, h, steel, NULL);
        box(mesh, -.05F, .05F, arm < 0 ? arm : 0, arm < 0 ? 0 : arm, h - .1F, h, steel, NULL);
        box(mesh, -.15F, .15F, arm - .3F, arm + .3F, h - .22F, h - .08F,
            material_lamp(.8F, .62F, .35F, 2.5F), NULL);
    } else if (p->kind == PROP_SIGN) {
        static const float colours[][3] = {{.05F, .12F, .45F},
                                           {.6F, .6F, .6F},
                                           {.04F, .25F, .1F},
                                           {.6F, .42F, .03F},
                                           {.5F, .03F, .03F}};
        const float *c = colours[p->seed % 5], h = p->size[0], w = p->size[1];
        struct face *f[FRUSTUM_FACES];
        box(mesh, -.04F, .04F, -.04F, .04F, 0, h, steel, NULL);
        box(mesh, -.07F, -.045F, -w, w, h - 2 * w, h, material_matte(c[0], c[1], c[2]), f);
        mesh_inset(mesh, f[FACE_REAR], .2F, .4F, .8F, .6F, material_matte(.65F, .65F, .65F));
    } else if (p->kind == PROP_RAIL) {
        box(mesh, -4, 4, -.04F, .04F, .45F, .72F, steel, NULL);
        for (int i = 0; i < 4; i++)
            box(mesh, -3.8F + 2 * (float)i, -3.7F + 2 * (float)i, -.05F, .05F, 0, .7F, steel, NULL);
    } else if (p->kind == PROP_TREE) {
        const float w = .035F * p->size[0];
        box(mesh, -w, w, -w, w, 0, p->size[0] * .5F, material_matte(.10F, .07F, .045F), NULL);
    }
}

enum { crown_discs = 34 };

/* The discs of a tree's crown: centre above the ground and radius. */
static int crown(const struct scene_prop *p, float discs[crown_discs][4])
{
    const bool bush = p->kind == PROP_BUSH;
    const float h = p->size[0] * (bush ? .25F : 1),
                spread = p->size[0] * p->size[1] * (bush ? .6F : .62F);
    const bool conifer = !bush && (p->seed & 3) == 0;
    for (int i = 0; i < crown_discs; i++) {
        const float a = noise_cell(i, 1, p->seed) * 6.2831853F,
                    q = sqrtf(noise_cell(i, 2, p->seed));
        float z = noise_cell(i, 3, p->seed);
        float reach = spread * q;
        if (conifer)
            reach *= 0.9F * (1 - z);
        else
            reach *= sqrtf(maxf(0.05F, 1 - (2 * z - 1) * (2 * z - 1)));
        discs[i][0] = reach * cosf(a);
        discs[i][1] = reach * sinf(a);
        z = conifer ? .12F + .85F * z : bush ? .4F + .5F * z : .42F + .5F * z;
        discs[i][2] = h * z;
        discs[i][3] =
            spread * (conifer ? .4F * (1.15F - z) : .27F) * (.7F + .6F * noise_cell(i, 4, p->seed));
    }
    return crown_discs;
}

enum { leaf_corners = 9 };

static void disc_points(const float centre[3], float radius, const float right[3],
                        const float up[3], uint32_t seed, float (*points)[3])
{
    for (int k = 0; k < leaf_corners; k++) {
        const float a = 6.2831853F * (float)k / (float)leaf_corners;
        const float r = radius * (0.72F + 0.5F * noise_cell(k, 5, seed));
        for (int c = 0; c < 3; c++)
            points[k][c] = centre[c] + r * (cosf(a) * right[c] + sinf(a) * up[c]);
    }
}

static void draw_tree(const struct scene *s, struct raster *r, const struct scene_prop *p)
{
    const struct scene_light *light = &s->light;
    const struct vehicle_pose pose = prop_pose(s, p);
    float discs[crown_discs][4];
    const int count = crown(p, discs);
    const float autumn = noise_cell(0, 6, p->seed) < .15F ? 1.8F : 1,
                tone = .7F + .6F * noise_cell(1, 6, p->seed);
    const float leaf[3] = {.055F * autumn * tone, .095F * tone, .028F * tone};
    for (int i = 0; i < count; i++) {
        const float centre[3] = {pose.x + discs[i][0], pose.y + discs[i][1], discs[i][2]};
        float points[leaf_corners][3];
        struct raster_vertex v[leaf_corners];
        disc_points(centre, discs[i][3], r->right, r->up, p->seed + (uint32_t)i * 77U, points);
        float d[3], distance = 0;
        for (int c = 0; c < 3; c++) {
            d[c] = centre[c] - r->position[c];
            distance += d[c] * d[c];
        }
        distance = sqrtf(distance);
        const float depth = .55F + .6F * discs[i][2] / p->size[0];
        for (int k = 0; k < leaf_corners; k++) {
            const float speckle = .75F + .5F * noise_cell(k, i, p->seed + 3);
            float out = 0;
            for (int c = 0; c < 3; c++)
                out += (points[k][c] - centre[c]) * light->to_sun[c];
            const float lit = maxf(0, .45F + .6F * out / discs[i][3]);
            for (int c = 0; c < 3; c++)
                v[k].rgb[c] = leaf[c] * speckle * depth * (light->ambient[c] + light->sun[c] * lit);
            body_haze(light, distance, v[k].rgb);
            raster_to_camera(r, points[k], v[k].position);
        }
        raster_polygon(r, v, leaf_corners, 0, 0, NULL);
    }
}

static bool in_view(const struct scene *s, const struct raster *r, const struct scene_prop *p)
{
    const struct vehicle_pose pose = prop_pose(s, p);
    const float world[3] = {pose.x, pose.y, 0};
    float c[3];
    raster_to_camera(r, world, c);
    const float reach = p->kind == PROP_BUILDING ? 20 : 10;
    return c[2] > -reach &&
           fabsf(c[0]) * r->focal < ((float)r->width * 0.5F) * (c[2] + reach) + reach * r->focal;
}

void props_shadow(const struct scene *s, struct raster *r, struct mesh *mesh)
{
    const float *sun = s->light.to_sun;
    if (s->light.sun[0] < 0.15F)
        return;
    for (int i = 0; i < s->prop_count; i++) {
        const struct scene_prop *p = &s->props[i];
        if (!in_view(s, r, p))
            continue;
        build_prop(p, mesh);
        body_shadow(s, r, mesh, prop_pose(s, p));
        if (p->kind != PROP_TREE && p->kind != PROP_BUSH)
            continue;
        const struct vehicle_pose pose = prop_pose(s, p);
        float discs[crown_discs][4];
        const int count = crown(p, discs);
        static const float x_axis[3] = {1, 0, 0}, y_axis[3] = {0, 1, 0};
        for (int k = 0; k < count; k++) {
            const float t = discs[k][2] / sun[2];
            const float centre[3] = {pose.x + discs[k][0] - sun[0] * t,
                                     pose.y + discs[k][1] - sun[1] * t, 0};
            float points[leaf_corners][3];
            struct raster_vertex v[leaf_corners];
            memset(v, 0, sizeof v);
            disc_points(centre, discs[k][3], x_axis, y_axis, p->seed + (uint32_t)k * 77U, points);
            for (int j = 0; j < leaf_corners; j++)
                raster_to_camera(r, points[j], v[j].position);
            raster_shadow(r, v, leaf_corners, RASTER_SHADOW_SUN);
        }
    }
}

void props_draw(const struct scene *s, struct raster *r, struct mesh *mesh,
                struct body_glows *glows)
{
    for (int i = 0; i < s->prop_count; i++) {
        const struct scene_prop *p = &s->props[i];
        if (!in_view(s, r, p))
            continue;
        build_prop(p, mesh);
        body_draw(s, r, mesh, prop_pose(s, p), 0, NULL, p->kind == PROP_LAMP ? glows : NULL);
        if (p->kind == PROP_TREE || p->kind == PROP_BUSH)
            draw_tree(s, r, p);
    }
}
