/* Trucks: a cab over the engine or behind a hood, and what it carries. */
#include <stddef.h>

#include "vehicles.h"

enum { TRUCK_BOX, TRUCK_FLATBED, TRUCK_TANKER, TRUCK_TIPPER, TRUCK_SEMI, TRUCK_CONTAINER };

static struct material cab_paint(struct det_rng *rng)
{
    static const float paints[][3] = {
        {.70F, .70F, .70F}, {.68F, .68F, .66F}, {.45F, .04F, .03F}, {.04F, .12F, .40F},
        {.55F, .40F, .04F}, {.06F, .25F, .12F}, {.12F, .13F, .15F}, {.55F, .20F, .03F},
        {.10F, .30F, .50F}, {.35F, .36F, .38F}, {.30F, .05F, .12F},
    };
    const float *paint = paints[det_rng_below(rng, sizeof paints / sizeof paints[0])];
    return material_gloss(paint[0], paint[1], paint[2], det_rng_range(rng, .03F, .1F));
}

static struct material cargo_paint(struct det_rng *rng)
{
    if (det_rng_below(rng, 2) == 0) {
        const float grey = det_rng_range(rng, .5F, .78F);
        return material_matte(grey, grey, grey * det_rng_range(rng, .92F, 1.04F));
    }
    const struct material paint = cab_paint(rng);
    return material_matte(paint.rgb[0] * .9F, paint.rgb[1] * .9F, paint.rgb[2] * .9F);
}

/* Returns the cab's rear x. */
static float build_cab(const struct vehicle_shape *s, struct mesh *mesh, struct det_rng *rng,
                       bool hooded, float height, struct material paint)
{
    const struct material glass = vehicle_glass(rng), dark = material_matte(.025F, .025F, .027F);
    const struct material lamp = material_lamp(.75F, .75F, .7F, 3.0F);
    const float front = s->length / 2, half = s->width / 2 * .97F, z0 = .45F;
    const float cab_front = hooded ? front - 1.3F : front;
    const float rear = cab_front - det_rng_range(rng, 1.7F, 2.3F);
    const float waist = z0 + (height - z0) * .48F;
    const float slant = det_rng_range(rng, .08F, .3F);
    struct face *low[FRUSTUM_FACES], *up[FRUSTUM_FACES], *nose[FRUSTUM_FACES];
    const float a[4] = {rear, cab_front, half, z0}, b[4] = {rear, cab_front, half, waist};
    const float c[4] = {rear + .05F, cab_front - slant, half * .95F, height};
    mesh_frustum(mesh, a, b, paint, low);
    mesh_frustum(mesh, b, c, paint, up);
    mesh_inset(mesh, up[FACE_FRONT], .05F, .08F, .95F, .82F, glass);
    for (int side = FACE_LEFT; side <= FACE_RIGHT; side++) {
        mesh_inset(mesh, up[side], .42F, .05F, .93F, .78F, glass);
        mesh_inset(mesh, low[side], .38F, .05F, .40F, 1, dark);
        mesh_inset(mesh, low[side], .0F, .0F, 1, .12F, dark);
    }
    struct face **grille_on = low;
    if (hooded) {
        const float h0[4] = {cab_front, front, half * .86F, z0};
        const float h1[4] = {cab_front, front - .12F, half * .72F, waist - .1F};
        mesh_frustum(mesh, h0, h1, paint, nose);
        grille_on = nose;
    }
    struct face *g = grille_on[FACE_FRONT];
    mesh_inset(mesh, g, .0F, .0F, 1, .25F, dark);
    mesh_inset(mesh, g, .25F, .34F, .75F, .92F,
               det_rng_below(rng, 2) ? dark : material_gloss(.35F, .35F, .36F, .2F));
    mesh_inset(mesh, g, .03F, .3F, .2F, .58F, lamp);
    mesh_inset(mesh, g, .8F, .3F, .97F, .58F, lamp);
    if (det_rng_below(rng, 3) != 0 && height < s->height - .25F) { /* wind deflector */
        const float d0[4] = {rear + .1F, cab_front - slant - .2F, half * .85F, height};
        const float d1[4] = {rear + .1F, rear + .5F, half * .8F, s->height - .1F};
        mesh_frustum(mesh, d0, d1, paint, NULL);
    }
    vehicle_mirrors(mesh, cab_front - .15F, half, waist + .3F, .22F, dark);
    return rear;
}

static void build_rear(struct mesh *mesh, float x, float half, struct material dark)
{
    const struct material tail = material_lamp(.5F, .02F, .02F, 1.2F);
    struct face *f[FRUSTUM_FACES];
    const float low[3] = {x, -half, .5F}, high[3] = {x + .12F, half, .78F};
    mesh_box(mesh, low, high, dark, f);
    mesh_inset(mesh, f[FACE_REAR], .02F, .2F, .16F, .9F, tail);
    mesh_inset(mesh, f[FACE_REAR], .84F, .2F, .98F, .9F, tail);
    mesh_inset(mesh, f[FACE_REAR], .4F, .2F, .6F, .9F, material_matte(.65F, .65F, .55F));
}

static void stripes_on(struct mesh *mesh, const struct face *quad, struct det_rng *rng, int kind,
                       struct material colour)
{
    (void)rng;
    if (kind == 0)
        mesh_inset(mesh, quad, .0F, .25F, 1, .4F, colour);
    else if (kind == 1)
        mesh_inset(mesh, quad, .3F, .35F, .75F, .75F, colour);
    else if (kind == 2)
        mesh_inset(mesh, quad, .55F, .0F, 1, 1, colour);
    else if (kind == 3)
        for (int i = 0; i < 5; i++)
            mesh_inset(mesh, quad, .2F + .12F * (float)i, .45F, .29F + .12F * (float)i,
                       .7F - .03F * (float)i, colour);
}

static void build_box(struct mesh *mesh, struct det_rng *rng, float x0, float x1, float half,
                      float z0, float z1, bool corrugated)
{
    const struct material paint = cargo_paint(rng), other = cargo_paint(rng);
    const struct material line =
        material_matte(paint.rgb[0] * .55F, paint.rgb[1] * .55F, paint.rgb[2] * .55F);
    struct face *f[FRUSTUM_FACES];
    const float low[3] = {x0, -half, z0}, high[3] = {x1, half, z1};
    mesh_box(mesh, low, high, paint, f);
    const int kind = (int)det_rng_below(rng, 6);
    for (int side = FACE_LEFT; side <= FACE_RIGHT; side++) {
        if (corrugated) {
            const int ribs = (int)((x1 - x0) / .45F);
            for (int i = 0; i < ribs; i++) {
                const float u = ((float)i + .3F) / (float)ribs;
                mesh_inset(mesh, f[side], u, .04F, u + .35F / (float)ribs, .96F, line);
            }
        }
        stripes_on(mesh, f[side], rng, kind, other);
        mesh_inset(mesh, f[side], 0, 0, 1, .035F, line);
        mesh_inset(mesh, f[side], 0, .965F, 1, 1, line);
    }
    mesh_inset(mesh, f[FACE_REAR], .03F, .03F, .97F, .97F, paint);
    mesh_inset(mesh, f[FACE_REAR], .49F, .03F, .51F, .97F, line);
    mesh_inset(mesh, f[FACE_REAR], .0F, .0F, 1, .04F, line);
    mesh_inset(mesh, f[FACE_REAR], .0F, .96F, 1, 1, line);
    mesh_inset(mesh, f[FACE_REAR], .3F, .05F, .32F, .95F, line);
    mesh_inset(mesh, f[FACE_REAR], .68F, .05F, .7F, .95F, line);
}

static void build_flatbed(struct mesh *mesh, struct det_rng *rng, float x0, float x1, float half,
                          float z0)
{
    const struct material bed = cargo_paint(rng), wood = material_matte(.30F, .19F, .09F);
    const float side_height = det_rng_below(rng, 3) ? det_rng_range(rng, .3F, .6F) : .06F;
    const float low[3] = {x0, -half, z0}, high[3] = {x1, half, z0 + side_height};
    struct face *f[FRUSTUM_FACES];
    mesh_box(mesh, low, high, bed, f);
    mesh_inset(mesh, f[FACE_TOP], .01F, .04F, .99F, .96F, material_matte(.12F, .09F, .06F));
    for (int side = FACE_LEFT; side <= FACE_RIGHT; side++)
        for (int i = 1; i < 5; i++)
            mesh_inset(mesh, f[side], .2F * (float)i, 0, .2F * (float)i + .015F, 1,
                       material_matte(.04F, .04F, .04F));
    const int load = (int)det_rng_below(rng, 3), pieces = 1 + (int)det_rng_below(rng, 3);
    const float step = (x1 - x0) / (float)pieces;
    for (int i = 0; i < pieces; i++) {
        const float a = x0 + step * (float)i + .1F, b = a + step * det_rng_range(rng, .6F, .9F);
        const float z = z0 + side_height, h = det_rng_range(rng, .4F, 1.3F);
        if (load == 0) { /* crates */
            const float w = half * det_rng_range(rng, .5F, .9F);
            const float l[3] = {a, -w, z}, u[3] = {b, w, z + h};
            mesh_box(mesh, l, u, wood, NULL);
        } else if (load == 1) { /* pipes */
            mesh_cylinder(mesh, a, b, z + .35F, half * .8F, .4F, cargo_paint(rng));
        } else { /* covered by a sheet */
            const float l[4] = {a, b, half * .95F, z}, u[4] = {a + .2F, b - .2F, half * .6F, z + h};
            mesh_frustum(mesh, l, u, material_matte(.08F, .16F, .12F), NULL);
        }
    }
}

void vehicle_build_truck(const struct vehicle_shape *s, struct mesh *mesh, struct det_rng *rng)
{
    const bool semi = s->style == TRUCK_SEMI || s->style == TRUCK_CONTAINER;
    const struct material dark = material_matte(.03F, .03F, .033F), rim = vehicle_rim(rng);
    const struct material paint = cab_paint(rng);
    const float half = s->width / 2, rear = -s->length / 2;
    const bool hooded = det_rng_below(rng, 5) == 0;
    const float full = semi ? s->height * .86F : s->height * .88F;
    const float cab_height = full < 2.4F ? 2.4F : (full > 3.3F ? 3.3F : full);
    const float cab_rear = build_cab(s, mesh, rng, hooded, cab_height, paint);
    const float gap = semi ? .9F : .15F, x1 = cab_rear - gap, deck = semi ? 1.15F : 1.0F;
    const float frame_low[3] = {rear + .1F, -half * .42F, .55F};
    const float frame_high[3] = {s->length / 2 - .8F, half * .42F, .95F};
    mesh_box(mesh, frame_low, frame_high, dark, NULL);
    build_rear(mesh, rear, half * .96F, dark);
    if (s->style == TRUCK_BOX || semi) {
        build_box(mesh, rng, rear, semi ? x1 + .5F : x1, half, deck, s->height,
                  s->style == TRUCK_CONTAINER);
        const float skirt_low[3] = {rear + 2.4F, -half * .96F, .5F};
        const float skirt_high[3] = {x1 - (semi ? 2.2F : 1.2F), half * .96F, .95F};
        if (skirt_high[0] > skirt_low[0] + .5F && det_rng_below(rng, 2))
            mesh_box(mesh, skirt_low, skirt_high, material_matte(.15F, .15F, .16F), NULL);
    } else if (s->style == TRUCK_FLATBED) {
        build_flatbed(mesh, rng, rear, x1, half, deck);
    } else if (s->style == TRUCK_TANKER) {
        const float radius = (s->height - deck) / 2;
        struct material tank = cargo_paint(rng);
        tank.gloss = .14F;
        mesh_cylinder(mesh, rear + .1F, x1, deck + radius, half * .97F, radius, tank);
        const float l[3] = {rear + 1, -.3F, s->height - .05F},
                    u[3] = {x1 - 1, .3F, s->height + .1F};
        mesh_box(mesh, l, u, dark, NULL);
        const float f0[3] = {rear + .1F, -half * .98F, deck - .05F};
        const float f1[3] = {x1, half * .98F, deck + .12F};
        mesh_box(mesh, f0, f1, dark, NULL);
    } else {
        const struct material bin = cargo_paint(rng);
        const struct material rib =
            material_matte(bin.rgb[0] * .6F, bin.rgb[1] * .6F, bin.rgb[2] * .6F);
        const float b[4] = {rear + .3F, x1, half * .85F, deck};
        const float t[4] = {rear, x1 + .1F, half, s->height * .86F};
        struct face *f[FRUSTUM_FACES];
        mesh_frustum(mesh, b, t, bin, f);
        mesh_inset(mesh, f[FACE_TOP], .03F, .06F, .97F, .94F, material_matte(.17F, .13F, .09F));
        for (int side = FACE_LEFT; side <= FACE_RIGHT; side++)
            for (int i = 0; i < 6; i++)
                mesh_inset(mesh, f[side], .04F + .17F * (float)i, 0, .08F + .17F * (float)i, 1,
                           rib);
        mesh_inset(mesh, f[FACE_REAR], .05F, .0F, .12F, 1, rib);
        mesh_inset(mesh, f[FACE_REAR], .88F, .0F, .95F, 1, rib);
        mesh_inset(mesh, f[FACE_REAR], .0F, .85F, 1, 1, rib);
    }
    const float radius = .48F, front_axle = s->length / 2 - (hooded ? .9F : 1.25F);
    float axles[5] = {front_axle, rear + (semi ? 1.3F : 1.7F)};
    int count = 2;
    if (semi) {
        axles[count++] = rear + 2.5F;
        axles[count++] = cab_rear - .5F;
    } else if (s->length > 7.6F) {
        axles[count++] = rear + 2.8F;
    }
    for (int i = 0; i < count; i++)
        for (int side = -1; side <= 1; side += 2)
            mesh_wheel(mesh, axles[i], half * .99F, (float)side, radius, .45F, rim);
}
