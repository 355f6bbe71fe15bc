/* Buses: long bodies with a band of windows. */
#include <stddef.h>

#include "vehicles.h"

enum { BUS_CITY, BUS_COACH, BUS_DOUBLE, BUS_SCHOOL, BUS_MIDI };

static struct material livery(struct det_rng *rng)
{
    static const float paints[][3] = {
        {.68F, .68F, .66F}, {.50F, .04F, .04F}, {.05F, .16F, .45F}, {.60F, .44F, .05F},
        {.08F, .32F, .14F}, {.55F, .24F, .04F}, {.40F, .55F, .60F}, {.30F, .06F, .26F},
        {.72F, .70F, .60F}, {.10F, .36F, .38F},
    };
    const float *paint = paints[det_rng_below(rng, sizeof paints / sizeof paints[0])];
    return material_gloss(paint[0], paint[1], paint[2], det_rng_range(rng, .04F, .1F));
}

/* Panes along u0..u1 at heights v0..v1 of a side. */
static void window_band(struct mesh *mesh, struct face *side, int panes, float u0, float u1,
                        float v0, float v1, bool framed, struct material glass)
{
    const struct material trim = material_matte(.02F, .02F, .022F);
    const float step = (u1 - u0) / (float)panes, pillar = framed ? .12F : .03F;
    if (!framed)
        mesh_inset(mesh, side, u0 - .005F, v0 - .01F, u1 + .005F, v1 + .01F, trim);
    const int layer = side->layer;
    side->layer = layer + 1;
    for (int i = 0; i < panes; i++) {
        const float a = u0 + step * ((float)i + pillar / 2);
        mesh_inset(mesh, side, a, v0, a + step * (1 - pillar), v1, glass);
    }
    side->layer = layer;
}

static void build_hood(const struct vehicle_shape *s, struct mesh *mesh, struct material paint,
                       float cab_front)
{
    const float half = s->width / 2, front = s->length / 2;
    const float b[4] = {cab_front, front, half * .82F, .45F};
    const float t[4] = {cab_front, front - .12F, half * .7F, 1.45F};
    struct face *f[FRUSTUM_FACES];
    mesh_frustum(mesh, b, t, paint, f);
    const struct material dark = material_matte(.03F, .03F, .03F);
    mesh_inset(mesh, f[FACE_FRONT], .0F, .0F, 1, .22F, dark);
    mesh_inset(mesh, f[FACE_FRONT], .27F, .32F, .73F, .9F, dark);
    mesh_inset(mesh, f[FACE_FRONT], .04F, .4F, .2F, .75F, material_lamp(.75F, .75F, .7F, 3));
    mesh_inset(mesh, f[FACE_FRONT], .8F, .4F, .96F, .75F, material_lamp(.75F, .75F, .7F, 3));
}

static void build_ends(const struct vehicle_shape *s, struct mesh *mesh, struct det_rng *rng,
                       struct face *const f[FRUSTUM_FACES], struct material glass, float v0,
                       float v1)
{
    const struct material dark = material_matte(.025F, .025F, .027F);
    const struct material lamp = material_lamp(.75F, .75F, .7F, 3.0F);
    const struct material tail = material_lamp(.5F, .02F, .02F, 1.2F);
    const struct material sign = material_lamp(.10F, .07F, .01F, .8F);
    struct face *front = f[FACE_FRONT], *rear = f[FACE_REAR];
    if (s->style != BUS_SCHOOL) {
        const float sill = s->style == BUS_DOUBLE ? .17F : .3F;
        mesh_inset(mesh, front, .04F, sill, .96F, s->style == BUS_DOUBLE ? .46F : .83F, glass);
        mesh_inset(mesh, front, .03F, .07F, .2F, .16F, lamp);
        mesh_inset(mesh, front, .8F, .07F, .97F, .16F, lamp);
        mesh_inset(mesh, front, .0F, .0F, 1, .05F, dark);
        mesh_inset(mesh, front, .36F, .06F, .64F, .12F, material_matte(.65F, .65F, .55F));
    } else {
        mesh_inset(mesh, front, .06F, .45F, .94F, .82F, glass);
    }
    if (s->style == BUS_DOUBLE) {
        mesh_inset(mesh, front, .05F, .62F, .95F, .92F, glass);
        mesh_inset(mesh, front, .2F, .49F, .8F, .58F, sign);
        mesh_inset(mesh, rear, .1F, .64F, .9F, .9F, glass);
    } else {
        mesh_inset(mesh, front, .16F, .86F, .84F, .96F, sign);
        mesh_inset(mesh, rear, .1F, v0 + .05F, .9F, v1, glass);
        if (s->style == BUS_CITY && det_rng_below(rng, 2))
            mesh_inset(mesh, rear, .3F, .88F, .7F, .96F, sign);
    }
    mesh_inset(mesh, rear, .02F, .1F, .1F, .34F, tail);
    mesh_inset(mesh, rear, .9F, .1F, .98F, .34F, tail);
    mesh_inset(mesh, rear, .15F, .12F, .85F, .3F, dark);
    mesh_inset(mesh, rear, .0F, .0F, 1, .05F, dark);
}

void vehicle_build_bus(const struct vehicle_shape *s, struct mesh *mesh, struct det_rng *rng)
{
    const struct material glass = vehicle_glass(rng), rim = vehicle_rim(rng);
    const struct material dark = material_matte(.03F, .03F, .032F);
    struct material paint = livery(rng), second = livery(rng);
    const bool school = s->style == BUS_SCHOOL;
    if (school)
        paint = material_gloss(.62F, .36F, .02F, .06F);
    const float half = s->width / 2, H = s->height, rear = -s->length / 2;
    const float front = s->length / 2 - (school ? 1.35F : 0), z0 = .32F, shoulder = H - .22F;
    const float slant = s->style == BUS_COACH ? .45F : .12F;
    const float a[4] = {rear, front, half, z0};
    const float b[4] = {rear + .04F, front - slant, half * .985F, shoulder};
    const float c[4] = {rear + .2F, front - slant - .2F, half * .82F, H};
    struct face *f[FRUSTUM_FACES], *roof[FRUSTUM_FACES];
    mesh_frustum(mesh, a, b, paint, f);
    const struct material roof_paint =
        det_rng_below(rng, 2) ? paint : material_matte(.62F, .62F, .62F);
    mesh_frustum(mesh, b, c, roof_paint, roof);
    if (!school)
        for (int i = 0; i < 2; i++) { /* hatches, cooling */
            const float x = rear + s->length * (.25F + .4F * (float)i);
            const float l[3] = {x, -.6F, H - .02F}, u[3] = {x + 1.5F, .6F, H + .16F};
            mesh_box(mesh, l, u, roof_paint, NULL);
        }
    float v0 = .42F, v1 = .88F;
    if (s->style == BUS_COACH) {
        v0 = .50F;
        v1 = .92F;
    } else if (s->style == BUS_DOUBLE) {
        v0 = .2F;
        v1 = .46F;
    } else if (school) {
        v0 = .52F;
        v1 = .84F;
    }
    const int panes = (int)(s->length / (school ? .95F : 1.45F));
    const bool framed = s->style != BUS_COACH && det_rng_below(rng, 3) != 0;
    const int decoration = (int)det_rng_below(rng, 4);
    for (int side = FACE_LEFT; side <= FACE_RIGHT; side++) {
        if (decoration == 0 && !school)
            mesh_inset(mesh, f[side], 0, .03F, 1, .22F, second);
        else if (decoration == 1 && !school)
            mesh_inset(mesh, f[side], 0, .03F, .3F, .97F, second);
        else if (decoration == 2)
            mesh_inset(mesh, f[side], 0, v0 - .09F, 1, v0 - .04F, school ? dark : second);
        if (school) {
            mesh_inset(mesh, f[side], 0, .18F, 1, .21F, dark);
            mesh_inset(mesh, f[side], 0, .36F, 1, .39F, dark);
        }
        f[side]->layer = 1;
        window_band(mesh, f[side], panes, .02F, school ? .97F : .985F, v0, v1, framed, glass);
        if (s->style == BUS_DOUBLE)
            window_band(mesh, f[side], panes, .02F, .985F, .63F, .9F, framed, glass);
        mesh_inset(mesh, f[side], 0, 0, 1, .03F, dark);
        f[side]->layer = 0;
    }
    /* doors on the kerb side */
    f[FACE_RIGHT]->layer = 3;
    const float door_top = s->style == BUS_DOUBLE ? .47F : .86F;
    const int doors = s->style == BUS_CITY ? 3 : s->style == BUS_DOUBLE ? 2 : 1;
    for (int i = 0; i < doors; i++) {
        const float u = .88F - .36F * (float)i, w = .42F / s->length;
        mesh_inset(mesh, f[FACE_RIGHT], u - 2.2F * w, .02F, u + 1.2F * w, door_top, dark);
        f[FACE_RIGHT]->layer = 4;
        mesh_inset(mesh, f[FACE_RIGHT], u - 2 * w, .06F, u - .55F * w, door_top - .03F, glass);
        mesh_inset(mesh, f[FACE_RIGHT], u - .45F * w, .06F, u + w, door_top - .03F, glass);
        f[FACE_RIGHT]->layer = 3;
    }
    f[FACE_RIGHT]->layer = 0;
    build_ends(s, mesh, rng, f, glass, v0, v1);
    if (school)
        build_hood(s, mesh, paint, front);
    vehicle_mirrors(mesh, front - .05F, half, H * .55F, .24F, dark);
    const float radius = .48F, axles[2] = {rear + s->length * .26F, front - (school ? -.4F : 2.6F)};
    for (int i = 0; i < 2; i++)
        for (int side = -1; side <= 1; side += 2)
            mesh_wheel(mesh, axles[i], half + .012F, (float)side, radius, .35F, rim);
}
