#include "scene.h"

#include <math.h>
#include <string.h>

#include "scalar.h"

/* Lanes are loops of this length, so that traffic never ends. */
static const float loop_begin = -45, loop_end = 135;

float scene_road_middle(const struct scene_road *road, float y)
{
    return 0.5F * road->curvature * y * y;
}

/* Along the lane, not yet brought back into the loop. */
static double place_of(const struct scene_vehicle *v, double time)
{
    return (double)v->start + (double)v->speed * time +
           (double)v->sway * sin((double)v->sway_rate * time + (double)v->sway_phase);
}

int scene_vehicle_lap(const struct scene *scene, int vehicle, double time)
{
    const struct scene_vehicle *v = &scene->vehicles[vehicle];
    const double length = (double)(loop_end - loop_begin);
    return (int)fabs(floor(place_of(v, time) / length));
}

struct vehicle_pose scene_vehicle_pose(const struct scene *scene, int vehicle, double time)
{
    const struct scene_vehicle *v = &scene->vehicles[vehicle];
    const double length = (double)(loop_end - loop_begin);
    double place = place_of(v, time);
    place -= length * floor(place / length);
    const float y = loop_begin + (float)place;
    const float slope = scene->road.curvature * y, norm = sqrtf(1 + slope * slope);
    const float direction = v->speed < 0 || (v->speed == 0 && v->x < 0) ? -1.0F : 1.0F;
    return (struct vehicle_pose){scene_road_middle(&scene->road, y) + v->x, y,
                                 direction * slope / norm, direction / norm};
}

static bool chance(struct det_rng *rng, float probability)
{
    return det_rng_uniform(rng) < probability;
}

static void random_size(struct scene *scene, struct det_rng *rng)
{
    static const int sizes[][2] = {{480, 360}, {480, 360}, {480, 360}, {480, 360}, {512, 384},
                                   {480, 320}, {560, 315}, {400, 400}, {440, 360}, {360, 440}};
    const uint32_t i = det_rng_below(rng, sizeof sizes / sizeof sizes[0]);
    scene->width = sizes[i][0];
    scene->height = sizes[i][1];
}

static void random_road(struct scene_road *road, struct det_rng *rng)
{
    road->lane_width = det_rng_range(rng, 3.2F, 3.8F);
    const uint32_t layout = det_rng_below(rng, 10);
    road->lanes_out = layout < 4 ? 1 : 2 + (int)det_rng_below(rng, 2);
    road->lanes_in = layout == 9 ? 0 : road->lanes_out;
    const bool divided = road->lanes_out > 1 && road->lanes_in > 0 && chance(rng, 0.5F);
    road->median = divided ? det_rng_range(rng, 1.5F, 4) : 0;
    road->left = -road->median / 2 - (float)road->lanes_in * road->lane_width;
    road->right = road->median / 2 + (float)road->lanes_out * road->lane_width;
    if (road->lanes_in == 0) { /* one way: middle of the road at x = 0 */
        road->left = -0.5F * road->right;
        road->right *= 0.5F;
    }
    road->shoulder = det_rng_range(rng, 0.3F, 2.4F);
    road->curvature = chance(rng, 0.5F) ? det_rng_range(rng, -0.003F, 0.003F) : 0;
    const float grey = det_rng_range(rng, 0.07F, 0.19F), warm = det_rng_range(rng, 0.92F, 1.1F);
    road->asphalt[0] = grey * warm;
    road->asphalt[1] = grey;
    road->asphalt[2] = grey / warm;
    road->concrete = chance(rng, 0.2F);
    road->worn = chance(rng, 0.4F);
    road->yellow_middle = chance(rng, 0.4F);
    road->wet = chance(rng, 0.15F);
    road->verge = (enum verge)det_rng_below(rng, VERGE_KINDS);
    if (road->verge == VERGE_SNOW && chance(rng, 0.6F))
        road->verge = VERGE_GRASS;
    road->verge_tint = det_rng_range(rng, 0.7F, 1.25F);
}

/* Four kinds of view: gantry above the lanes, pole beside the road, low behind the traffic, across
 * the road. */
static void random_camera(struct scene *scene, struct det_rng *rng)
{
    struct scene_camera *camera = &scene->camera;
    const struct scene_road *road = &scene->road;
    const float side = chance(rng, 0.5F) ? 1.0F : -1.0F;
    const float edge = side > 0 ? road->right : road->left;
    const float kind = det_rng_uniform(rng);
    float x, height, yaw, pitch, view;
    if (kind < 0.36F) {
        x = det_rng_range(rng, road->left, road->right);
        height = det_rng_range(rng, 4.5F, 9);
        yaw = det_rng_range(rng, -0.22F, 0.22F);
        pitch = -det_rng_range(rng, 0.15F, 0.34F);
        view = det_rng_range(rng, 0.65F, 1.0F);
    } else if (kind < 0.74F) {
        x = edge + side * (road->shoulder + det_rng_range(rng, 1.5F, 6));
        height = det_rng_range(rng, 2.5F, 6.5F);
        yaw = -side * det_rng_range(rng, 0.25F, 0.85F);
        pitch = -det_rng_range(rng, 0.07F, 0.24F);
        view = det_rng_range(rng, 0.75F, 1.1F);
    } else if (kind < 0.85F) {
        x = road->right - road->lane_width * det_rng_range(rng, 0.3F, 0.8F);
        height = det_rng_range(rng, 1.5F, 2.6F);
        yaw = det_rng_range(rng, -0.12F, 0.08F);
        pitch = -det_rng_range(rng, 0.0F, 0.07F);
        view = det_rng_range(rng, 0.7F, 0.95F);
    } else {
        x = edge + side * (road->shoulder + det_rng_range(rng, 8, 16));
        height = det_rng_range(rng, 1.8F, 5);
        yaw = -side * det_rng_range(rng, 1.05F, 1.5F);
        pitch = -det_rng_range(rng, 0.02F, 0.16F);
        view = det_rng_range(rng, 0.75F, 1.0F);
        scene->road.curvature = 0;
    }
    camera->position[0] = x;
    camera->position[1] = 0;
    camera->position[2] = height;
    camera->yaw = yaw;
    camera->pitch = pitch;
    camera->roll = det_rng_range(rng, -0.03F, 0.03F);
    const int longer = scene->width > scene->height ? scene->width : scene->height;
    camera->focal_px = 0.5F * (float)longer / tanf(0.5F * view);
}

static enum vehicle_class random_class(struct det_rng *rng)
{
    const float u = det_rng_uniform(rng);
    return u < 0.5F ? VEHICLE_CAR : u < 0.77F ? VEHICLE_TRUCK : VEHICLE_BUS;
}

/* Fills one lane front to back; direction 0 is parked. */
static void fill_lane(struct scene *scene, struct det_rng *rng, float x, int direction,
                      float mean_gap)
{
    const float length = loop_end - loop_begin;
    const float speed = (float)direction * det_rng_range(rng, 6, 24);
    float gap_behind = 2.5F, place = gap_behind + det_rng_range(rng, 0, 20);
    for (;;) {
        if (scene->vehicle_count == SCENE_MAX_VEHICLES)
            return;
        struct scene_vehicle *v = &scene->vehicles[scene->vehicle_count];
        memset(v, 0, sizeof *v);
        const enum vehicle_class class_index =
            direction == 0 && chance(rng, 0.75F) ? VEHICLE_CAR : random_class(rng);
        vehicle_choose(&v->shape, class_index, rng);
        const float gap = 2.2F - logf(1 - det_rng_uniform(rng)) * mean_gap;
        place += v->shape.length / 2;
        if (place + v->shape.length / 2 + 2.5F > length)
            return;
        v->start = place;
        v->x = x + det_rng_range(rng, -0.25F, 0.25F);
        v->speed = speed;
        v->sway = direction == 0 ? 0 : 0.24F * minf(minf(gap, gap_behind), 6);
        gap_behind = gap;
        v->sway_rate = det_rng_range(rng, 0.2F, 0.6F);
        v->sway_phase = det_rng_range(rng, 0, 6.28F);
        /* At time 0 each vehicle is where it was put, and sway never closes a gap. */
        v->start -= v->sway * sinf(v->sway_phase);
        place += v->shape.length / 2 + gap;
        scene->vehicle_count++;
    }
}

static void random_traffic(struct scene *scene, struct det_rng *rng)
{
    const struct scene_road *road = &scene->road;
    const float mean_gap = det_rng_range(rng, 16, 60);
    scene->vehicle_count = 0;
    const float inner = road->lanes_in > 0 ? road->median / 2 : road->left;
    for (int i = 0; i < road->lanes_out; i++)
        fill_lane(scene, rng, inner + ((float)i + 0.5F) * road->lane_width, 1, mean_gap);
    for (int i = 0; i < road->lanes_in; i++)
        fill_lane(scene, rng, -road->median / 2 - ((float)i + 0.5F) * road->lane_width, -1,
                  mean_gap);
    if (road->shoulder > 1.6F && chance(rng, 0.35F)) {
        const bool left_side = chance(rng, 0.5F);
        fill_lane(scene, rng, left_side ? road->left - 1.4F : road->right + 1.4F, 0,
                  det_rng_range(rng, 8, 40));
    }
}

static void random_finish(struct scene *scene, struct det_rng *rng)
{
    struct scene_finish *finish = &scene->finish;
    finish->blur_px = chance(rng, 0.4F) ? det_rng_range(rng, 0.3F, 1.1F) : 0;
    finish->motion_px = chance(rng, 0.15F) ? det_rng_range(rng, 1.5F, 4) : 0;
    finish->motion_angle =
        chance(rng, 0.7F) ? det_rng_range(rng, -0.3F, 0.3F) : det_rng_range(rng, 0, 3.14F);
    const bool dark = scene->light.kind == LIGHT_NIGHT || scene->light.kind == LIGHT_DUSK;
    finish->noise = det_rng_range(rng, 0.003F, dark ? 0.03F : 0.018F);
    finish->vignette = chance(rng, 0.5F) ? det_rng_range(rng, 0.05F, 0.3F) : 0;
    for (int c = 0; c < 3; c++)
        finish->cast[c] = det_rng_range(rng, 0.94F, 1.06F);
    finish->contrast = det_rng_range(rng, 0.95F, 1.35F);
    finish->jpeg_quality = 55 + (int)det_rng_below(rng, 41);
}

void scene_random(struct scene *scene, uint64_t seed, uint64_t index)
{
    memset(scene, 0, sizeof *scene);
    scene->seed = seed;
    scene->index = index;
    scene->detail = 1;
    struct det_rng rng;
    det_rng_init(&rng, seed, index, 0);
    random_size(scene, &rng);
    random_road(&scene->road, &rng);
    random_camera(scene, &rng);
    scene_random_light(scene, &rng);
    random_traffic(scene, &rng);
    scene_random_props(scene, &rng);
    random_finish(scene, &rng);
}
