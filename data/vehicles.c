#include "vehicles.h"

#include <stddef.h>

const char *const vehicle_class_names[VEHICLE_CLASSES] = {"car", "truck", "bus"};

enum { CAR_SEDAN, CAR_HATCHBACK, CAR_SUV, CAR_ESTATE, CAR_MPV, CAR_COUPE, CAR_STYLES };

struct range {
    float low, high;
};

struct style_size {
    struct range length, width, height;
};

void vehicle_choose(struct vehicle_shape *shape, enum vehicle_class class_index,
                    struct det_rng *rng)
{
    static const struct style_size cars[CAR_STYLES] = {
        {{4.4F, 4.95F}, {1.76F, 1.88F}, {1.40F, 1.50F}},
        {{3.6F, 4.25F}, {1.66F, 1.8F}, {1.44F, 1.56F}},
        {{4.3F, 4.9F}, {1.82F, 1.96F}, {1.66F, 1.86F}},
        {{4.5F, 4.9F}, {1.78F, 1.88F}, {1.44F, 1.54F}},
        {{4.2F, 4.8F}, {1.78F, 1.9F}, {1.64F, 1.8F}},
        {{4.2F, 4.6F}, {1.78F, 1.9F}, {1.24F, 1.36F}},
    };
    /* box, flatbed, tanker, tipper, semi with box, semi with container */
    static const struct style_size trucks[6] = {
        {{6.0F, 8.6F}, {2.2F, 2.5F}, {2.9F, 3.7F}},
        {{6.5F, 9.0F}, {2.3F, 2.5F}, {2.6F, 3.0F}},
        {{7.5F, 9.5F}, {2.4F, 2.5F}, {2.9F, 3.3F}},
        {{6.8F, 8.5F}, {2.4F, 2.5F}, {2.8F, 3.2F}},
        {{12.0F, 15.5F}, {2.5F, 2.55F}, {3.6F, 4.0F}},
        {{11.5F, 14.0F}, {2.45F, 2.5F}, {3.7F, 4.0F}},
    };
    /* city, coach, double-decker, school, midi */
    static const struct style_size buses[5] = {
        {{10.5F, 12.5F}, {2.5F, 2.55F}, {2.95F, 3.15F}},
        {{11.0F, 13.0F}, {2.5F, 2.55F}, {3.4F, 3.75F}},
        {{10.0F, 11.5F}, {2.5F, 2.55F}, {4.1F, 4.35F}},
        {{9.0F, 11.0F}, {2.35F, 2.5F}, {2.9F, 3.15F}},
        {{7.2F, 8.8F}, {2.25F, 2.4F}, {2.75F, 2.95F}},
    };
    shape->class_index = class_index;
    const struct style_size *size = NULL;
    if (class_index == VEHICLE_CAR) {
        shape->style = (int)det_rng_below(rng, CAR_STYLES);
        size = &cars[shape->style];
    } else if (class_index == VEHICLE_TRUCK) {
        shape->style = (int)det_rng_below(rng, 6);
        size = &trucks[shape->style];
    } else {
        shape->style = (int)det_rng_below(rng, 5);
        size = &buses[shape->style];
    }
    shape->length = det_rng_range(rng, size->length.low, size->length.high);
    shape->width = det_rng_range(rng, size->width.low, size->width.high);
    shape->height = det_rng_range(rng, size->height.low, size->height.high);
    const uint64_t high = det_rng_u32(rng);
    shape->seed = high << 32 | det_rng_u32(rng);
}

struct material vehicle_glass(struct det_rng *rng)
{
    const float tint = det_rng_range(rng, 0.015F, 0.05F);
    return material_gloss(tint, tint * 1.1F, tint * 1.25F, det_rng_range(rng, 0.3F, 0.55F));
}

struct material vehicle_rim(struct det_rng *rng)
{
    const float grey = det_rng_below(rng, 5) == 0 ? 0.06F : det_rng_range(rng, 0.25F, 0.5F);
    return material_gloss(grey, grey, grey * 1.03F, 0.12F);
}

void vehicle_mirrors(struct mesh *mesh, float x, float y, float z, float size,
                     struct material material)
{
    for (int side = -1; side <= 1; side += 2) {
        const float a = (float)side * y, b = (float)side * (y + size);
        const float low[3] = {x - size * 0.4F, a < b ? a : b, z};
        const float high[3] = {x + size * 0.4F, a < b ? b : a, z + size * 0.75F};
        mesh_box(mesh, low, high, material, NULL);
    }
}

static struct material car_paint(struct det_rng *rng)
{
    static const float paints[][3] = {
        {.75F, .75F, .74F}, {.72F, .72F, .72F},   {.42F, .43F, .45F},  {.40F, .41F, .42F},
        {.16F, .17F, .18F}, {.025F, .025F, .03F}, {.03F, .03F, .035F}, {.42F, .03F, .03F},
        {.30F, .02F, .05F}, {.04F, .10F, .36F},   {.02F, .05F, .16F},  {.10F, .28F, .48F},
        {.03F, .14F, .08F}, {.48F, .42F, .30F},   {.62F, .45F, .04F},  {.60F, .22F, .03F},
        {.16F, .10F, .06F}, {.10F, .32F, .30F},   {.22F, .26F, .14F},  {.50F, .58F, .62F},
    };
    const float *paint = paints[det_rng_below(rng, sizeof paints / sizeof paints[0])];
    const float shade = det_rng_range(rng, 0.8F, 1.15F);
    return material_gloss(paint[0] * shade, paint[1] * shade, paint[2] * shade,
                          det_rng_range(rng, 0.05F, 0.16F));
}

/* Where the greenhouse sits: ends of its base and of its roof in lengths from the middle; heights
 * in body heights. */
struct car_profile {
    float base_rear, base_front, roof_rear, roof_front;
    float belt, trunk, hood, clearance;
};

static const struct car_profile car_profiles[CAR_STYLES] = {
    {-.34F, .22F, -.19F, .04F, .64F, .66F, .60F, .13F},
    {-.465F, .23F, -.36F, .05F, .62F, .60F, .60F, .13F},
    {-.47F, .22F, -.41F, .07F, .60F, .58F, .60F, .16F},
    {-.47F, .21F, -.41F, .04F, .63F, .62F, .60F, .13F},
    {-.475F, .32F, -.42F, .12F, .60F, .58F, .56F, .12F},
    {-.40F, .18F, -.15F, .00F, .66F, .66F, .60F, .12F},
};

static struct loft_station car_station(float x, float half, float share, float z0, float z1)
{
    const float w = half * share;
    return (struct loft_station){
        x, {w * .93F, w, w * .97F, w * .86F}, {z0, z0 + .45F * (z1 - z0), z1 - .05F, z1}};
}

static void car_greenhouse(const struct vehicle_shape *s, const struct car_profile *p,
                           struct mesh *mesh, struct material paint, struct material glass,
                           struct det_rng *rng)
{
    const float L = s->length, half = s->width / 2, H = s->height, belt = p->belt * H;
    const float bottom[4] = {p->base_rear * L, p->base_front * L, half * .87F, belt - .02F};
    const float roof[4] = {p->roof_rear * L, p->roof_front * L, half * .70F, H - .05F};
    const float crown0[4] = {roof[0], roof[1], roof[2], H - .05F};
    const float crown1[4] = {roof[0] + .15F, roof[1] - .18F, roof[2] - .12F, H};
    struct face *f[FRUSTUM_FACES];
    mesh_frustum(mesh, bottom, roof, paint, f);
    mesh_inset(mesh, f[FACE_FRONT], .06F, .06F, .94F, .93F, glass);
    mesh_inset(mesh, f[FACE_REAR], .08F, .18F, .92F, .9F, glass);
    const struct material trim = material_matte(.02F, .02F, .02F);
    for (int side = FACE_LEFT; side <= FACE_RIGHT; side++) {
        const bool long_cabin = p->roof_rear < -.3F;
        mesh_inset(mesh, f[side], .05F, .1F, .95F, .9F, trim);
        f[side]->layer = 1; /* panes lie above the trim */
        if (long_cabin) {
            mesh_inset(mesh, f[side], .07F, .13F, .27F, .86F, glass);
            mesh_inset(mesh, f[side], .30F, .13F, .58F, .86F, glass);
        } else {
            mesh_inset(mesh, f[side], .10F, .13F, .5F, .86F, glass);
        }
        mesh_inset(mesh, f[side], long_cabin ? .61F : .54F, .13F, .92F, .86F, glass);
        f[side]->layer = 0;
    }
    struct face *c[FRUSTUM_FACES];
    mesh_frustum(mesh, crown0, crown1, paint, c);
    if (det_rng_below(rng, 5) == 0) /* sun roof */
        mesh_inset(mesh, c[FACE_TOP], .45F, .15F, .85F, .85F, glass);
    if (p->clearance > .15F || det_rng_below(rng, 4) == 0)
        for (int side = -1; side <= 1; side += 2) { /* roof rails */
            const float y = (float)side * (roof[2] - .08F);
            const float low[3] = {roof[0] + .1F, y - .02F, H - .04F};
            const float high[3] = {roof[1] - .15F, y + .02F, H + .05F};
            mesh_box(mesh, low, high, trim, NULL);
        }
    if (paint.rgb[0] > .5F && paint.rgb[2] < .1F && s->style == CAR_SEDAN) { /* taxi */
        const float x = (roof[0] + roof[1]) / 2;
        const float low[3] = {x - .12F, -.3F, H}, high[3] = {x + .12F, .3F, H + .16F};
        mesh_box(mesh, low, high, material_lamp(.8F, .75F, .5F, .6F), NULL);
    }
    vehicle_mirrors(mesh, p->base_front * L - .35F, half * .95F, belt, .17F, paint);
}

static void build_car(const struct vehicle_shape *s, struct mesh *mesh, struct det_rng *rng)
{
    const struct car_profile *p = &car_profiles[s->style];
    const struct material paint = car_paint(rng), glass = vehicle_glass(rng);
    const struct material rim = vehicle_rim(rng), dark = material_matte(.02F, .02F, .022F);
    const struct material plate = material_matte(.7F, .7F, .6F);
    const float L = s->length, half = s->width / 2, H = s->height;
    const float belt = p->belt * H, trunk = p->trunk * H, hood = p->hood * H, z0 = p->clearance * H;
    const float nose = hood - det_rng_range(rng, .12F, .24F);
    const bool boxy_tail = p->base_rear < -.45F;
    const struct loft_station body[] = {
        car_station(-.5F * L, half, .88F, z0 + .1F, trunk - (boxy_tail ? .02F : .10F)),
        car_station(-.475F * L, half, .97F, z0, trunk),
        car_station(p->base_rear * L + .02F, half, 1, z0, belt),
        car_station(p->base_front * L, half, 1, z0, belt - .02F),
        car_station(.40F * L, half, .97F, z0, (hood + nose) / 2 + .03F),
        car_station(.475F * L, half, .92F, z0 + .02F, nose),
        car_station(.5F * L, half, .80F, z0 + .1F, nose - .1F),
    };
    const struct loft_faces ends = mesh_loft(mesh, body, sizeof body / sizeof body[0], paint);
    car_greenhouse(s, p, mesh, paint, glass, rng);

    const struct material lamp = material_lamp(.75F, .75F, .7F, 3.0F);
    const struct material tail = material_lamp(.5F, .02F, .02F, 1.2F);
    const float lamp_width = det_rng_range(rng, .2F, .3F);
    const struct material grille =
        det_rng_below(rng, 3) ? dark : material_gloss(.3F, .3F, .3F, .2F);
    mesh_inset(mesh, ends.front[1], .02F, .25F, lamp_width, .95F, lamp);
    mesh_inset(mesh, ends.front[1], 1 - lamp_width, .25F, .98F, .95F, lamp);
    mesh_inset(mesh, ends.front[1], lamp_width + .06F, .1F, .94F - lamp_width, .85F, grille);
    mesh_inset(mesh, ends.front[0], .1F, .15F, .9F, .6F, dark);
    mesh_inset(mesh, ends.front[0], .36F, .62F, .64F, .98F, plate);
    const bool tall_tail = det_rng_below(rng, 2) != 0;
    mesh_inset(mesh, ends.rear[1], .02F, tall_tail ? .05F : .45F, .2F, .98F, tail);
    mesh_inset(mesh, ends.rear[1], .8F, tall_tail ? .05F : .45F, .98F, .98F, tail);
    mesh_inset(mesh, ends.rear[1], .36F, .3F, .64F, .75F, plate);
    mesh_inset(mesh, ends.rear[0], .02F, .0F, .98F, .5F, dark);

    const float radius = (s->style == CAR_SUV ? .37F : .32F) + det_rng_range(rng, -.015F, .02F);
    const float axle[2] = {-.29F * L, .31F * L};
    for (int i = 0; i < 2; i++)
        for (int side = -1; side <= 1; side += 2) {
            const float y = half + .012F, arch = radius * 1.17F;
            float points[MESH_FACE_POINTS][3];
            mesh_wheel(mesh, axle[i], y, (float)side, radius, .2F, rim);
            /* The arch: a dark half disc on the body's side behind the wheel. */
            static const float cosine[7] = {1, .866F, .5F, 0, -.5F, -.866F, -1};
            static const float sine[7] = {0, .5F, .866F, 1, .866F, .5F, 0};
            for (int k = 0; k < 7; k++) {
                points[k][0] = axle[i] + arch * cosine[k];
                points[k][1] = (float)side * (half + .004F);
                points[k][2] = radius + arch * sine[k];
            }
            const float outward[3] = {0, (float)side, 0};
            mesh_add(mesh, (const float(*)[3])points, 7, outward, dark);
        }
    /* sills, door lines */
    for (int side = -1; side <= 1; side += 2) {
        const float y = (float)side * (half + .003F), z = z0 + .45F * (belt - z0);
        const float outward[3] = {0, (float)side, 0};
        const float doors[3] = {-.2F * L, -.02F * L, .16F * L};
        for (int i = 0; i < 3; i++) {
            const float line[4][3] = {{doors[i], y, z0 + .1F},
                                      {doors[i] + .025F, y, z0 + .1F},
                                      {doors[i] + .025F, y * .985F, belt - .07F},
                                      {doors[i], y * .985F, belt - .07F}};
            mesh_add(mesh, line, 4, outward, dark)->layer = 1;
        }
        const float strip[4][3] = {{-.2F * L, y, z - .03F},
                                   {.2F * L, y, z - .03F},
                                   {.2F * L, y, z + .03F},
                                   {-.2F * L, y, z + .03F}};
        if (det_rng_below(rng, 6) == 0 && side > 0)
            mesh_add(mesh, strip, 4, outward, dark)->layer = 1;
    }
}

void vehicle_build(const struct vehicle_shape *shape, struct mesh *mesh)
{
    struct det_rng rng;
    det_rng_init(&rng, shape->seed, 0, 77);
    mesh->count = 0;
    if (shape->class_index == VEHICLE_CAR)
        build_car(shape, mesh, &rng);
    else if (shape->class_index == VEHICLE_TRUCK)
        vehicle_build_truck(shape, mesh, &rng);
    else
        vehicle_build_bus(shape, mesh, &rng);
}
