/* What stands beside the road. */
#include <math.h>

#include "scene.h"

static void add(struct scene *scene, struct det_rng *rng, enum prop_kind kind, float x, float y,
                float a, float b, float c)
{
    const uint32_t seed = det_rng_u32(rng);
    if (scene->prop_count == SCENE_MAX_PROPS)
        return;
    /* Nothing large right in front of the lens. */
    const float dx = x + scene_road_middle(&scene->road, y) - scene->camera.position[0];
    const float reach = kind == PROP_LAMP || kind == PROP_SIGN || kind == PROP_RAIL ? 3 : 16;
    if (dx * dx + y * y < reach * reach)
        return;
    /* Between an oblique camera and the road the view is kept open. */
    const float camera_x = scene->camera.position[0];
    const bool camera_right = camera_x > scene->road.right,
               camera_left = camera_x < scene->road.left;
    const bool same_side =
        (camera_right && x > scene->road.right) || (camera_left && x < scene->road.left);
    if (same_side && kind <= PROP_BUILDING && fabsf(scene->camera.yaw) > 0.2F &&
        fabsf(x) < fabsf(camera_x) + 2 && det_rng_below(rng, 8) != 0)
        return;
    scene->props[scene->prop_count++] =
        (struct scene_prop){.kind = kind, .x = x, .y = y, .size = {a, b, c}, .seed = seed};
}

void scene_random_props(struct scene *scene, struct det_rng *rng)
{
    const struct scene_road *road = &scene->road;
    scene->skyline = (enum skyline)det_rng_below(rng, SKYLINE_KINDS);
    scene->skyline_height = det_rng_range(rng, 0.02F, 0.09F);
    const bool city = road->verge == VERGE_PAVEMENT || det_rng_below(rng, 4) == 0;
    for (int side = -1; side <= 1; side += 2) {
        const float s = (float)side;
        const float edge = (side > 0 ? road->right : road->left) + s * road->shoulder;
        if (det_rng_below(rng, 3) == 0) {
            const float set_back = det_rng_range(rng, 0.4F, 1.2F);
            for (int i = -4; i < 17; i++)
                add(scene, rng, PROP_RAIL, edge + s * set_back, 8 * (float)i, 8, 0, 0);
        }
        if (city) {
            const float line = det_rng_range(rng, 5, 14);
            for (float y = -60; y < 150;) {
                const float length = det_rng_range(rng, 8, 26), depth = det_rng_range(rng, 8, 14);
                const float height = det_rng_range(rng, 4, 18);
                if (det_rng_below(rng, 4) != 0)
                    add(scene, rng, PROP_BUILDING, edge + s * (line + depth / 2), y + length / 2,
                        depth, length, height);
                y += length + (det_rng_below(rng, 3) ? 0.5F : det_rng_range(rng, 3, 14));
            }
        }
        const float density = det_rng_range(rng, 0, city ? 0.6F : 1.5F);
        const int trees = (int)(density * 26);
        for (int i = 0; i < trees; i++) {
            const float far = det_rng_uniform(rng);
            const float x = edge + s * (2.5F + (city ? 3 : 24) * far * far);
            const enum prop_kind kind = det_rng_below(rng, 3) ? PROP_TREE : PROP_BUSH;
            const float y = det_rng_range(rng, -50, 150), height = det_rng_range(rng, 3.5F, 9);
            const float spread = det_rng_range(rng, 0.35F, 0.6F);
            add(scene, rng, kind, x, y, height, spread, 0);
        }
        if (det_rng_below(rng, 2)) {
            const float spacing = det_rng_range(rng, 22, 38), x = edge + s * 0.9F;
            const float first = det_rng_range(rng, -30, 10);
            for (int i = 0; first + spacing * (float)i < 130; i++) {
                const float height = det_rng_range(rng, 7.5F, 8);
                add(scene, rng, PROP_LAMP, x, first + spacing * (float)i, height, -s, 0);
            }
        }
        const int signs = (int)det_rng_below(rng, 4);
        for (int i = 0; i < signs; i++) {
            const float x = edge + s * det_rng_range(rng, 0.6F, 2), y = det_rng_range(rng, 4, 70);
            const float height = det_rng_range(rng, 2, 2.8F), half = det_rng_range(rng, 0.3F, 0.5F);
            add(scene, rng, PROP_SIGN, x, y, height, half, 0);
        }
    }
}
