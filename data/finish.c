/* From samples to pixels: shadows are applied by render.c before bodies are drawn; here exposure,
 * glow of lamps, blur, sensor noise, vignette and colour cast. */
#include <math.h>
#include <string.h>

#include "noise.h"
#include "render_parts.h"

/* 1 - exp(-x) nearly, then gamma 2. */
static float tone(float x)
{
    const float a = x * (x + 2);
    return sqrtf(a / (a + 2));
}

void finish_resolve(const struct scene *s, const struct raster *r, float *planes)
{
    float *out = planes;
    const float scale = s->light.exposure / (float)(RASTER_SAMPLES * RASTER_SAMPLES);
    for (int y = 0; y < s->height; y++) {
        const struct raster_sample *a = r->samples + (size_t)(2 * y) * (size_t)r->width;
        const struct raster_sample *b = a + r->width;
        for (int x = 0; x < s->width; x++, a += 2, b += 2, out += 3)
            for (int c = 0; c < 3; c++)
                out[c] = (a[0].rgb[c] + a[1].rgb[c] + b[0].rgb[c] + b[1].rgb[c]) * scale;
    }
}

void finish_glows(const struct scene *s, const struct raster *r, const struct body_glows *glows,
                  float *planes)
{
    for (int i = 0; i < glows->count; i++) {
        const struct body_glow *g = &glows->list[i];
        if (!(g->x >= 0 && g->y >= 0 && g->x < (float)r->width && g->y < (float)r->height))
            continue;
        const size_t at = (size_t)g->y * (size_t)r->width + (size_t)g->x;
        if (r->samples[at].near > g->near * 1.02F) /* something is in front */
            continue;
        const float cx = g->x / 2, cy = g->y / 2, radius = g->radius / 2 + 1;
        const int x0 = (int)maxf(0, cx - radius), x1 = (int)minf((float)s->width, cx + radius + 1);
        const int y0 = (int)maxf(0, cy - radius), y1 = (int)minf((float)s->height, cy + radius + 1);
        for (int y = y0; y < y1; y++)
            for (int x = x0; x < x1; x++) {
                const float dx = (float)x + 0.5F - cx, dy = (float)y + 0.5F - cy;
                const float q = 1 - (dx * dx + dy * dy) / (radius * radius);
                if (q <= 0)
                    continue;
                float *pixel = planes + 3 * ((size_t)y * (size_t)s->width + (size_t)x);
                for (int c = 0; c < 3; c++)
                    pixel[c] += g->rgb[c] * q * q * q * s->light.exposure;
            }
    }
}

static int clamp_index(int i, int limit)
{
    return i < 0 ? 0 : i >= limit ? limit - 1 : i;
}

/* Three taps a direction, weights chosen for the wanted standard deviation. */
static void blur(const struct scene *s, float *planes)
{
    const int w = s->width, h = s->height;
    const size_t count = (size_t)w * (size_t)h * 3, row = (size_t)w * 3;
    float *other = planes + count;
    const int passes = s->finish.blur_px > 0.75F ? 2 : 1;
    const float variance = s->finish.blur_px * s->finish.blur_px / (float)passes;
    const float side = minf(variance / 2, 0.33F), middle = 1 - 2 * side;
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < h; y++) {
            const float *in = planes + (size_t)y * row;
            float *out = other + (size_t)y * row;
            for (size_t i = 0; i < row; i++) {
                const size_t left = i < 3 ? i : i - 3, right = i + 3 < row ? i + 3 : i;
                out[i] = middle * in[i] + side * (in[left] + in[right]);
            }
        }
        for (int y = 0; y < h; y++) {
            const float *up = other + (size_t)clamp_index(y - 1, h) * row;
            const float *in = other + (size_t)y * row;
            const float *down = other + (size_t)clamp_index(y + 1, h) * row;
            float *out = planes + (size_t)y * row;
            for (size_t i = 0; i < row; i++)
                out[i] = middle * in[i] + side * (up[i] + down[i]);
        }
    }
}

/* The camera shook: mean along a short line. */
static void motion_blur(const struct scene *s, float *planes)
{
    const int w = s->width, h = s->height;
    const size_t count = (size_t)w * (size_t)h * 3;
    float *other = planes + count;
    enum { taps = 5 };
    int offset[taps][2];
    for (int i = 0; i < taps; i++) {
        const float t = ((float)i / (float)(taps - 1) - 0.5F) * s->finish.motion_px;
        offset[i][0] = (int)lroundf(t * cosf(s->finish.motion_angle));
        offset[i][1] = (int)lroundf(t * sinf(s->finish.motion_angle));
    }
    memcpy(other, planes, count * sizeof *planes);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float sum[3] = {0, 0, 0};
            for (int i = 0; i < taps; i++) {
                const float *p = other + 3 * ((size_t)clamp_index(y + offset[i][1], h) * (size_t)w +
                                              (size_t)clamp_index(x + offset[i][0], w));
                for (int c = 0; c < 3; c++)
                    sum[c] += p[c];
            }
            float *out = planes + 3 * ((size_t)y * (size_t)w + (size_t)x);
            for (int c = 0; c < 3; c++)
                out[c] = sum[c] * (1.0F / (float)taps);
        }
}

void finish_image(const struct scene *s, double time, float *planes, uint8_t *rgb)
{
    const struct scene_finish *f = &s->finish;
    if (f->blur_px > 0)
        blur(s, planes);
    if (f->motion_px > 0)
        motion_blur(s, planes);
    const uint32_t seed = noise_hash((uint32_t)s->index, (uint32_t)(int64_t)floor(time * 1000),
                                     (uint32_t)s->seed + 99U);
    const float cx = 0.5F * (float)s->width, cy = 0.5F * (float)s->height;
    const float scale = f->noise / 74.0F; /* deviation of the sum of four bytes / 2 is about 74 */
    size_t i = 0;
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            const float dx = ((float)x - cx) / cx, dy = ((float)y - cy) / cy;
            const float shade = 1 - f->vignette * 0.5F * (dx * dx + dy * dy);
            const uint32_t shared = noise_hash((uint32_t)x, (uint32_t)y, seed);
            for (int c = 0; c < 3; c++, i++) {
                const uint32_t h = (shared + 0x9E3779B9U * (uint32_t)(c + 1)) * 0x85EBCA6BU;
                const uint32_t k = h ^ h >> 13;
                const int sum = (int)(k & 255) + (int)(k >> 8 & 255) + (int)(k >> 16 & 255) +
                                (int)(k >> 24) - 510;
                float value = tone(planes[i] * shade * f->cast[c]);
                value = (value - 0.45F) * f->contrast + 0.45F + 0.5F * (float)sum * scale;
                value = value < 0 ? 0 : value > 1 ? 1 : value;
                rgb[i] = (uint8_t)(value * 255 + 0.5F);
            }
        }
}
