/* Sky, skyline and ground. Textures fade where they get finer than a pixel, markings are blended by
 * area. */
#include <math.h>
#include <string.h>

#include "noise.h"
#include "render_parts.h"

static void mix(float rgb[3], const float other[3], float share)
{
    if (share <= 0)
        return;
    for (int c = 0; c < 3; c++)
        rgb[c] += (other[c] - rgb[c]) * share;
}

static float clamp01(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

void background_sky(const struct scene_light *light, float up, float rgb[3])
{
    const float t = clamp01(up * 1.6F), share = t * (2 - t);
    for (int c = 0; c < 3; c++)
        rgb[c] = light->horizon[c] + (light->zenith[c] - light->horizon[c]) * share;
}

static void sky_pixel(const struct scene *s, const float d[3], float rgb[3])
{
    const struct scene_light *light = &s->light;
    const uint32_t seed = (uint32_t)s->index * 31U + (uint32_t)s->seed;
    background_sky(light, d[2], rgb);
    if (light->clouds > 0.15F && d[2] > 0.01F && light->kind != LIGHT_NIGHT) {
        const float k = 1.2F / (d[2] + 0.12F), x = d[0] * k, y = d[1] * k;
        const float n = 0.6F * noise_value(x, y, seed) +
                        0.28F * noise_value(x * 2.3F, y * 2.3F, seed + 1) +
                        0.12F * noise_value(x * 5.1F, y * 5.1F, seed + 2);
        const float cover = clamp01((n - 0.85F + 0.6F * light->clouds) * 4) * 0.75F;
        float cloud[3];
        for (int c = 0; c < 3; c++)
            cloud[c] = (light->ambient[c] * 1.1F + light->sun[c] * 0.22F) * (0.65F + 0.45F * n);
        mix(rgb, cloud, cover);
    }
    const float sun = d[0] * light->to_sun[0] + d[1] * light->to_sun[1] + d[2] * light->to_sun[2];
    if (sun > 0) {
        const float s2 = sun * sun, s8 = s2 * s2 * s2 * s2,
                    s64 = s8 * s8 * s8 * s8 * s8 * s8 * s8 * s8;
        for (int c = 0; c < 3; c++)
            rgb[c] += light->sun[c] * (0.12F * s8 + 0.8F * s64);
    }
}

/* Height (tangent of the elevation) of trees, houses or hills at an azimuth. */
static float skyline_top(const struct scene *s, float azimuth, uint32_t seed)
{
    const float h = s->skyline_height;
    if (s->skyline == SKYLINE_TREES)
        return h * (0.5F + 0.5F * noise_value(azimuth * 9, 0, seed) +
                    0.22F * noise_value(azimuth * 60, 3, seed) +
                    0.1F * noise_value(azimuth * 220, 5, seed));
    if (s->skyline == SKYLINE_CITY) {
        const int32_t block = floori(azimuth * 26 + 2 * noise_value(azimuth * 5, 1, seed));
        return h * (0.25F + 1.2F * noise_cell(block, 7, seed) * noise_cell(block, 9, seed));
    }
    return h * (0.2F + 1.1F * noise_value(azimuth * 3, 0, seed) +
                0.1F * noise_value(azimuth * 24, 1, seed));
}

static void skyline_pixel(const struct scene *s, float azimuth, float elevation, uint32_t seed,
                          float rgb[3])
{
    const struct scene_light *light = &s->light;
    float colour[3] = {.05F, .085F, .035F};
    if (s->skyline == SKYLINE_CITY) {
        const float tone = noise_cell(floori(azimuth * 26), 11, seed);
        const int32_t wx = floori(azimuth * 260), wy = floori(elevation * 330);
        const float window = noise_cell(wx, wy, seed) > 0.55F ? 0.6F : 1;
        for (int c = 0; c < 3; c++)
            colour[c] = (0.14F + 0.2F * tone) * window;
    } else if (s->skyline == SKYLINE_HILLS) {
        colour[0] = .09F;
        colour[1] = .12F;
        colour[2] = .09F;
    }
    const float n = 0.7F + 0.6F * noise_value(azimuth * 140, elevation * 140, seed + 9);
    for (int c = 0; c < 3; c++)
        colour[c] *= n * (light->ambient[c] * 0.7F + light->sun[c] * 0.3F);
    body_haze(light, s->skyline == SKYLINE_HILLS ? 420 : 200, colour);
    memcpy(rgb, colour, sizeof colour);
}

struct ground_point {
    float x, y;          /* x from the road's middle line */
    float across, along; /* size of the pixel on the ground, metres */
};

/* Texture of a frequency (cells per metre) as -1..1, fading where a pixel holds more than half a
 * cell. */
static float texture(const struct ground_point *p, float fx, float fy, uint32_t seed)
{
    const float size = maxf(p->across * fx, p->along * fy);
    if (size >= 1)
        return 0;
    return (2 * noise_value(p->x * fx, p->y * fy, seed) - 1) *
           (size < 0.4F ? 1 : (1 - size) / 0.6F);
}

static float line_cover(const struct ground_point *p, float x, float half_width)
{
    const float edge = half_width + 0.5F * p->across - fabsf(p->x - x);
    return clamp01(edge / p->across) * minf(1, 2 * half_width / p->across);
}

/* Dashes of 3 m every 9 m; grey on average where they blur. */
static float dashes(const struct ground_point *p, uint32_t seed)
{
    const float y = p->y + (float)(seed & 7);
    const float phase = 9 * fraction(y / 9);
    const float sharp = clamp01((1.5F + 0.5F * p->along - fabsf(phase - 4.5F)) / p->along);
    const float blurred = clamp01((p->along - 3) / 6);
    return sharp + (0.333F - sharp) * blurred;
}

static void markings(const struct scene *s, const struct ground_point *p, uint32_t seed,
                     float rgb[3])
{
    const struct scene_road *road = &s->road;
    static const float white[3] = {.62F, .62F, .6F}, yellow[3] = {.58F, .38F, .05F};
    float wear = road->worn ? 0.45F + 0.5F * texture(p, 2.2F, 0.8F, seed + 40) : 0.9F;
    wear = clamp01(wear);
    const float half = 0.07F;
    mix(rgb, white, wear * line_cover(p, road->left + 0.2F, half));
    mix(rgb, white, wear * line_cover(p, road->right - 0.2F, half));
    const float inner = road->lanes_in > 0 ? road->median / 2 : road->left;
    for (int i = 1; i < road->lanes_out; i++)
        mix(rgb, white,
            wear * dashes(p, seed) * line_cover(p, inner + (float)i * road->lane_width, half));
    for (int i = 1; i < road->lanes_in; i++)
        mix(rgb, white,
            wear * dashes(p, seed >> 3) *
                line_cover(p, -road->median / 2 - (float)i * road->lane_width, half));
    if (road->lanes_in == 0)
        return;
    const float *middle = road->yellow_middle ? yellow : white;
    if (road->median > 0) {
        mix(rgb, middle, wear * line_cover(p, road->median / 2 + 0.2F, half));
        mix(rgb, middle, wear * line_cover(p, -road->median / 2 - 0.2F, half));
    } else if (road->lanes_out == 1 && (seed & 16)) {
        mix(rgb, middle, wear * dashes(p, seed >> 5) * line_cover(p, 0, half));
    } else {
        mix(rgb, middle, wear * line_cover(p, 0.13F, 0.055F));
        mix(rgb, middle, wear * line_cover(p, -0.13F, 0.055F));
    }
}

static void asphalt(const struct scene *s, const struct ground_point *p, uint32_t seed,
                    float rgb[3])
{
    const struct scene_road *road = &s->road;
    float tone = 1 + 0.16F * texture(p, 0.3F, 0.06F, seed) +
                 0.10F * texture(p, 1.7F, 0.9F, seed + 1) + 0.16F * texture(p, 13, 13, seed + 2);
    const float base = road->median / 2;
    const float lateral = road->lanes_in == 0 ? p->x - road->left : fabsf(p->x) - base;
    const float lane = lateral / road->lane_width,
                in_lane = (fraction(lane) - 0.5F) * road->lane_width;
    if (p->x > road->left && p->x < road->right && lateral > 0) {
        const float track = fabsf(in_lane) - 0.8F;
        tone *= 1 - (road->worn ? 0.2F : 0.1F) / (1 + 12 * track * track);
        tone *= 1 - 0.08F / (1 + 8 * in_lane * in_lane);
    }
    /* repairs: rectangles of another tone */
    const int32_t cx = floori(p->x / 2.4F), cy = floori(p->y / 7);
    const float patch = noise_cell(cx, cy, seed + 5);
    if (patch < (road->worn ? 0.12F : 0.04F))
        tone *= patch < 0.03F ? 1.2F : 0.75F;
    if (road->concrete) {
        const float joint = fraction(p->y / 6);
        if (joint < 0.012F + p->along / 6)
            tone *= 1 - 0.5F * minf(1, 0.08F / p->along);
    } else if (road->worn && p->along < 0.3F) { /* cracks along the zero of a noise */
        const float crack = noise_value(p->x * 0.8F + 3 * noise_value(p->x, p->y, seed + 8),
                                        p->y * 0.35F, seed + 7) -
                            0.5F;
        if (fabsf(crack) < 0.008F)
            tone *= 0.7F;
    }
    for (int c = 0; c < 3; c++)
        rgb[c] = road->asphalt[c] * tone * (road->concrete ? 1.7F : 1) * (road->wet ? 0.6F : 1);
    markings(s, p, seed, rgb);
}

static void verge(const struct scene *s, const struct ground_point *p, float beyond, uint32_t seed,
                  float rgb[3])
{
    static const float low[VERGE_KINDS][3] = {{.05F, .10F, .02F},
                                              {.20F, .15F, .07F},
                                              {.22F, .21F, .2F},
                                              {.55F, .57F, .6F},
                                              {.19F, .17F, .15F}};
    static const float high[VERGE_KINDS][3] = {{.13F, .20F, .05F},
                                               {.32F, .26F, .13F},
                                               {.28F, .27F, .26F},
                                               {.75F, .76F, .8F},
                                               {.28F, .26F, .23F}};
    enum verge kind = s->road.verge;
    if (kind == VERGE_PAVEMENT && beyond > 4.5F)
        kind = VERGE_GRASS;
    const float n =
        clamp01(0.5F + 0.3F * texture(p, 0.12F, 0.1F, seed + 20) +
                0.25F * texture(p, 0.9F, 0.7F, seed + 21) + 0.35F * texture(p, 6, 6, seed + 22));
    for (int c = 0; c < 3; c++)
        rgb[c] = (low[kind][c] + (high[kind][c] - low[kind][c]) * n) * s->road.verge_tint;
    if (kind == VERGE_PAVEMENT) {
        const float joint = fraction(p->y / 0.8F);
        if (p->along < 0.4F && joint < 0.08F + p->along)
            for (int c = 0; c < 3; c++)
                rgb[c] *= 0.85F;
        if (beyond < 0.25F) { /* kerb stone */
            const float kerb[3] = {.36F, .36F, .35F};
            mix(rgb, kerb, 0.8F);
        }
    }
}

/* Reflectance of the ground at a point. */
static void ground_colour(const struct scene *s, const struct ground_point *p, uint32_t seed,
                          float rgb[3])
{
    const struct scene_road *road = &s->road;
    const float left = road->left - road->shoulder, right = road->right + road->shoulder;
    float outside = maxf(left - p->x, p->x - right);
    if (road->verge != VERGE_PAVEMENT && fabsf(outside) < 0.5F) /* a ragged edge */
        outside += 0.12F * texture(p, 0.8F, 0.8F, seed + 30);
    const float inside_median = road->median > 0 ? road->median / 2 - 0.1F - fabsf(p->x) : -1;
    if (outside > 0.5F * p->across || inside_median > 0.5F * p->across) {
        verge(s, p, maxf(outside, inside_median), seed, rgb);
        return;
    }
    asphalt(s, p, seed, rgb);
    const float edge = maxf(outside, inside_median) / p->across + 0.5F;
    if (edge > 0) {
        float other[3];
        verge(s, p, 0, seed, other);
        mix(rgb, other, clamp01(edge));
    }
}

static void ground_pixel(const struct scene *s, const struct raster *r, const float d[3],
                         uint32_t seed, float rgb[3])
{
    const struct scene_light *light = &s->light;
    const float height = r->position[2], t = height / -d[2]; /* d is a unit vector: t metres away */
    struct ground_point p = {.x = r->position[0] + d[0] * t, .y = r->position[1] + d[1] * t};
    const float pixel = t * (float)RASTER_SAMPLES / r->focal, stretched = pixel * t / height;
    /* The pixel is long in the direction of view: shares of it along and across the road. */
    const float flat = sqrtf(d[0] * d[0] + d[1] * d[1]) + 1e-6F;
    p.across = pixel + (stretched - pixel) * fabsf(d[0]) / flat;
    p.along = pixel + (stretched - pixel) * fabsf(d[1]) / flat;
    if (fabsf(p.y) < 400)
        p.x -= scene_road_middle(&s->road, p.y);
    if (t > 600) {
        p.across = p.along = 100;
        p.y = 0;
    }
    ground_colour(s, &p, seed, rgb);
    float lamp = 0;
    if (light->kind == LIGHT_NIGHT) { /* pools of light under street lamps */
        const float y = fraction(p.y / 28) - 0.5F;
        lamp = 0.55F / (1 + 14 * y * y + 0.004F * p.x * p.x);
    }
    const float sun = light->to_sun[2];
    for (int c = 0; c < 3; c++)
        rgb[c] *= light->ambient[c] + light->sun[c] * sun +
                  lamp * (c == 0   ? 1
                          : c == 1 ? .8F
                                   : .5F);
    if (s->road.wet) {
        float sky[3];
        background_sky(light, -d[2], sky);
        const float grazing = 1 + d[2];
        mix(rgb, sky, 0.35F * grazing * grazing * grazing);
    }
    body_haze(light, t, rgb);
}

void background_draw(const struct scene *s, struct raster *r)
{
    const uint32_t seed =
        noise_hash((uint32_t)s->index, (uint32_t)(s->index >> 32), (uint32_t)s->seed);
    const int step = RASTER_SAMPLES;
    for (int y = 0; y < r->height; y += step)
        for (int x = 0; x < r->width; x += step) {
            const float u = ((float)x + 0.5F * (float)step - r->centre_x) / r->focal;
            const float v = (r->centre_y - (float)y - 0.5F * (float)step) / r->focal;
            const float norm = 1 / sqrtf(1 + u * u + v * v);
            float d[3];
            for (int k = 0; k < 3; k++)
                d[k] = (r->forward[k] + u * r->right[k] + v * r->up[k]) * norm;
            struct raster_sample sample = {.near = 0};
            if (d[2] < -1e-4F) {
                ground_pixel(s, r, d, seed, sample.rgb);
            } else {
                const float azimuth = fabsf(d[1]) > fabsf(d[0]) ? d[0] / d[1] : 2 - d[1] / d[0];
                const float elevation = d[2] / sqrtf(d[0] * d[0] + d[1] * d[1] + 1e-6F);
                if (d[2] < 0.25F && elevation < skyline_top(s, azimuth, seed + 50))
                    skyline_pixel(s, azimuth, elevation, seed + 50, sample.rgb);
                else
                    sky_pixel(s, d, sample.rgb);
            }
            for (int j = 0; j < step; j++)
                for (int i = 0; i < step; i++)
                    r->samples[(size_t)(y + j) * (size_t)r->width + (size_t)(x + i)] = sample;
        }
}
