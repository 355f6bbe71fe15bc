/* scene.h: a random road scene as data: camera, light, road, what stands beside it, traffic. A
 * scene is a function of (seed, index); where its vehicles are is a function of time, so that frame
 * t of a video is render_frame(scene, t).
 *
 * World: x to the right of the road's middle, y along the road, z up, metres; the camera is at y =
 * 0 and looks to rising y. The road's middle line is x = curvature * y^2 / 2. Traffic keeps to the
 * right. */
#ifndef DEMO_SCENE_H
#define DEMO_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "vehicles.h"

enum {
    SCENE_MAX_VEHICLES = 64,
    SCENE_MAX_PROPS = 160,
    SCENE_MAX_LANES = 10,
};

enum daylight { LIGHT_NOON, LIGHT_LOW_SUN, LIGHT_OVERCAST, LIGHT_DUSK, LIGHT_NIGHT, LIGHT_FOG };
enum verge { VERGE_GRASS, VERGE_DRY, VERGE_PAVEMENT, VERGE_SNOW, VERGE_GRAVEL, VERGE_KINDS };
enum skyline { SKYLINE_TREES, SKYLINE_CITY, SKYLINE_HILLS, SKYLINE_KINDS };

struct scene_camera {
    float position[3];
    float yaw, pitch, roll; /* radians; yaw to the right, pitch up */
    float focal_px;
};

struct scene_light {
    enum daylight kind;
    float to_sun[3];
    float sun[3], ambient[3], bounce[3];
    float zenith[3], horizon[3];
    float haze_per_m;
    float exposure;
    float clouds; /* share of the sky */
    bool lamps;   /* vehicles and street lamps are lit */
};

struct scene_road {
    int lanes_out, lanes_in; /* away from the camera (right), towards it (left) */
    float lane_width, median, shoulder;
    float curvature;
    float left, right; /* edges of the carriageway */
    float asphalt[3];
    bool concrete, worn, yellow_middle, wet;
    enum verge verge;
    float verge_tint;
};

enum prop_kind { PROP_TREE, PROP_BUSH, PROP_BUILDING, PROP_LAMP, PROP_SIGN, PROP_RAIL };

/* x is measured from the road's middle line at that y. */
struct scene_prop {
    enum prop_kind kind;
    float x, y, size[3];
    uint32_t seed;
};

struct scene_vehicle {
    struct vehicle_shape shape;
    float x;                           /* lateral, from the road's middle line */
    float start;                       /* place along its lane's loop at time 0 */
    float speed;                       /* m/s along +y (away) or -y */
    float sway, sway_rate, sway_phase; /* change of place along the lane around the mean */
};

struct scene_finish {
    float blur_px, motion_px, motion_angle;
    float noise, vignette, cast[3], contrast;
    int jpeg_quality;
};

struct scene {
    uint64_t seed, index;
    int width, height; /* pixels */
    float detail; /* how many times as large as the usual pictures: sizes in pixels grow with it */
    struct scene_camera camera;
    struct scene_light light;
    struct scene_road road;
    enum skyline skyline;
    float skyline_height;
    struct scene_vehicle vehicles[SCENE_MAX_VEHICLES];
    int vehicle_count;
    struct scene_prop props[SCENE_MAX_PROPS];
    int prop_count;
    struct scene_finish finish;
};

void scene_random(struct scene *scene, uint64_t seed, uint64_t index);

/* Place on the ground and unit heading at `time` seconds. */
struct vehicle_pose {
    float x, y, heading_x, heading_y;
};
struct vehicle_pose scene_vehicle_pose(const struct scene *scene, int vehicle, double time);

/* How often it has come to the end of its lane's loop and begins anew, as another vehicle so to
 * speak; 0 ... */
int scene_vehicle_lap(const struct scene *scene, int vehicle, double time);

/* The road's middle line. */
float scene_road_middle(const struct scene_road *road, float y);

/* Parts of scene_random, in scene_light.c and scene_props.c. */
void scene_random_light(struct scene *scene, struct det_rng *rng);
void scene_random_props(struct scene *scene, struct det_rng *rng);

#endif
