/* Time of day and weather. */
#include <math.h>
#include <string.h>

#include "scene.h"

struct light_preset {
    float weight, elevation[2], sun[3], ambient[3], zenith[3], horizon[3], haze_per_m, exposure;
};

static const struct light_preset presets[] = {
    [LIGHT_NOON] = {.30F,
                    {.5F, 1.2F},
                    {2.5F, 2.35F, 2.1F},
                    {.55F, .62F, .75F},
                    {.16F, .36F, .85F},
                    {.75F, .88F, 1.05F},
                    .0012F,
                    1.0F},
    [LIGHT_LOW_SUN] = {.20F,
                       {.13F, .4F},
                       {2.4F, 1.55F, .85F},
                       {.48F, .48F, .56F},
                       {.22F, .34F, .62F},
                       {1.1F, .85F, .6F},
                       0.0016F,
                       1.1F},
    [LIGHT_OVERCAST] = {.24F,
                        {.6F, 1.2F},
                        {.25F, .25F, .25F},
                        {1.05F, 1.08F, 1.12F},
                        {.75F, .78F, .84F},
                        {.95F, .97F, 1.0F},
                        0.0016F,
                        1.05F},
    [LIGHT_DUSK] = {.10F,
                    {.3F, .8F},
                    {.05F, .05F, .06F},
                    {.42F, .44F, .58F},
                    {.10F, .14F, .30F},
                    {.65F, .45F, .42F},
                    0.0016F,
                    1.15F},
    [LIGHT_NIGHT] = {.08F,
                     {.5F, 1.2F},
                     {.0F, .0F, .0F},
                     {.30F, .27F, .22F},
                     {.008F, .01F, .02F},
                     {.06F, .05F, .05F},
                     0.0016F,
                     1.5F},
    [LIGHT_FOG] = {.08F,
                   {.6F, 1.2F},
                   {.1F, .1F, .1F},
                   {.95F, .97F, 1.0F},
                   {.85F, .87F, .9F},
                   {.9F, .92F, .94F},
                   .016F,
                   1.0F},
};

void scene_random_light(struct scene *scene, struct det_rng *rng)
{
    struct scene_light *light = &scene->light;
    float u = det_rng_uniform(rng);
    int kind = 0;
    while (kind < LIGHT_FOG && u >= presets[kind].weight)
        u -= presets[kind++].weight;
    const struct light_preset *p = &presets[kind];
    light->kind = (enum daylight)kind;
    const float elevation = det_rng_range(rng, p->elevation[0], p->elevation[1]);
    const float azimuth = det_rng_range(rng, 0, 6.2831853F);
    light->to_sun[0] = cosf(elevation) * cosf(azimuth);
    light->to_sun[1] = cosf(elevation) * sinf(azimuth);
    light->to_sun[2] = sinf(elevation);
    const float strength = det_rng_range(rng, 0.75F, 1.15F), tint = det_rng_range(rng, 0.9F, 1.1F);
    for (int c = 0; c < 3; c++) {
        light->sun[c] = p->sun[c] * strength;
        light->ambient[c] = p->ambient[c] * strength;
        light->zenith[c] = p->zenith[c] * strength;
        light->horizon[c] = p->horizon[c] * strength * (c == 0 ? tint : c == 2 ? 1 / tint : 1);
        light->bounce[c] = light->ambient[c] * 0.45F + light->sun[c] * 0.1F;
    }
    light->haze_per_m = p->haze_per_m * det_rng_range(rng, 0.4F, 1.6F);
    light->exposure = p->exposure * det_rng_range(rng, 0.8F, 1.25F);
    light->clouds = kind == LIGHT_OVERCAST || kind == LIGHT_FOG ? 1 : det_rng_uniform(rng);
    light->lamps =
        kind == LIGHT_NIGHT || kind == LIGHT_DUSK || (kind == LIGHT_FOG && det_rng_below(rng, 2));
}
