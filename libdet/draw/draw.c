#include "draw/draw.h"

#include <math.h>

#include "data/image_view.h"
#include "draw/font.h"

det_rgb det_palette_colour(int32_t class_index)
{
    static const det_rgb fixed[24] = {
        {52, 209, 75},   {255, 145, 30},  {70, 150, 255},  {235, 64, 86},   {255, 222, 40},
        {178, 102, 255}, {38, 214, 214},  {245, 90, 200},  {190, 230, 60},  {200, 120, 70},
        {20, 140, 140},  {255, 175, 170}, {110, 110, 235}, {150, 30, 60},   {150, 235, 195},
        {128, 128, 20},  {255, 205, 140}, {20, 75, 160},   {222, 180, 255}, {0, 130, 60},
        {250, 70, 20},   {140, 200, 245}, {120, 30, 140},  {170, 170, 170},
    };
    const uint32_t index = (uint32_t)class_index;
    if (index < 24)
        return fixed[index];
    /* Hue by the golden ratio, so that neighbours differ; lightness and saturation in three steps.
     */
    const float hue = (float)((index * 2654435769U) >> 8) / 16777216.0F * 6.0F;
    const float value = index % 3 == 1 ? 0.7F : 0.98F, saturation = index % 3 == 2 ? 0.5F : 0.85F;
    float channel[3];
    for (int c = 0; c < 3; c++) {
        float k = hue + (float)(c == 0 ? 5 : c == 1 ? 3 : 1);
        k = k >= 6 ? k - 6 : k;
        const float ramp = fmaxf(0, fminf(1, fminf(k, 4 - k)));
        channel[c] = 255 * value * (1 - saturation * ramp);
    }
    return (det_rgb){(uint8_t)channel[0], (uint8_t)channel[1], (uint8_t)channel[2]};
}

det_rgb det_text_colour_on(det_rgb plate)
{
    const int luminance = 299 * plate.r + 587 * plate.g + 114 * plate.b;
    return luminance > 128000 ? (det_rgb){0, 0, 0} : (det_rgb){255, 255, 255};
}

static uint8_t mix(uint8_t below, uint8_t above, float share)
{
    return (uint8_t)((float)below + ((float)above - (float)below) * share + 0.5F);
}

static void blend(const struct det_surface *to, int32_t x, int32_t y, det_rgb colour, float share)
{
    uint8_t *pixel = to->first + y * to->stride + (ptrdiff_t)x * to->bytes;
    if (to->bytes == 1) {
        *pixel =
            mix(*pixel, det_grey_of_rgb((const uint8_t[]){colour.r, colour.g, colour.b}), share);
        return;
    }
    pixel[to->red] = mix(pixel[to->red], colour.r, share);
    pixel[to->green] = mix(pixel[to->green], colour.g, share);
    pixel[to->blue] = mix(pixel[to->blue], colour.b, share);
}

/* Length of [low, high] inside pixel i. */
static float cover(float low, float high, int32_t i)
{
    const float a = fmaxf(low, (float)i), b = fminf(high, (float)i + 1);
    return fmaxf(0, b - a);
}

/* Pixels 0..limit-1 that [low, high] touches, as first..*end-1. */
static int32_t pixel_range(float low, float high, int32_t limit, int32_t *end)
{
    const float size = (float)limit;
    *end = (int32_t)ceilf(fminf(fmaxf(high, 0), size));
    return (int32_t)floorf(fminf(fmaxf(low, 0), size));
}

static bool is_box(const float box[4])
{
    for (int i = 0; i < 4; i++)
        if (!isfinite(box[i]))
            return false;
    return box[2] >= box[0] && box[3] >= box[1];
}

static bool is_drawable(const struct det_surface *to)
{
    return to->first != NULL && to->width > 0 && to->height > 0;
}

/* The area `outer` without `inner`. */
static void fill_between(const struct det_surface *to, const float outer[4], const float inner[4],
                         float opacity, det_rgb colour)
{
    int32_t y_end, x_end;
    const int32_t y_begin = pixel_range(outer[0], outer[2], to->height, &y_end);
    const int32_t x_begin = pixel_range(outer[1], outer[3], to->width, &x_end);
    for (int32_t y = y_begin; y < y_end; y++) {
        const float outer_y = cover(outer[0], outer[2], y), inner_y = cover(inner[0], inner[2], y);
        for (int32_t x = x_begin; x < x_end; x++) {
            if (inner_y >= 1 && (float)x >= inner[1] && (float)x + 1 <= inner[3]) {
                /* Nothing is covered up to the inner rectangle's right edge. */
                const int32_t last = (int32_t)fminf(floorf(inner[3]), (float)x_end) - 1;
                x = last > x ? last : x;
                continue;
            }
            const float share =
                outer_y * cover(outer[1], outer[3], x) - inner_y * cover(inner[1], inner[3], x);
            if (share > 0)
                blend(to, x, y, colour, fminf(1, share * opacity));
        }
    }
}

void det_fill_rectangle(struct det_surface to, const float box_px[4], float opacity, det_rgb colour)
{
    static const float nothing[4] = {0, 0, 0, 0};
    if (is_drawable(&to) && is_box(box_px) && opacity > 0)
        fill_between(&to, box_px, nothing, fminf(opacity, 1), colour);
}

void det_draw_rectangle(struct det_surface to, const float box_px[4], float thickness_px,
                        det_rgb colour)
{
    if (!is_drawable(&to) || !is_box(box_px) || !(thickness_px > 0))
        return;
    const float half = thickness_px / 2;
    const float outer[4] = {box_px[0] - half, box_px[1] - half, box_px[2] + half, box_px[3] + half};
    float inner[4] = {box_px[0] + half, box_px[1] + half, box_px[2] - half, box_px[3] - half};
    if (inner[2] <= inner[0] || inner[3] <= inner[1])
        inner[0] = inner[1] = inner[2] = inner[3] = 0;
    fill_between(&to, outer, inner, 1, colour);
}

float det_text_width_px(const char *text, float size_px)
{
    const float scale = size_px / DET_FONT_LINE_UNITS;
    float width = 0;
    for (unsigned c; (c = det_font_next(&text)) != 0;)
        width += roundf(((float)det_font_glyph(c)->width_units + DET_FONT_GAP_UNITS) * scale);
    return width;
}

/* A segment as a pixel's distance from it is computed: once for each pixel and stroke of a text. */
struct stroke {
    float x0, y0, dx, dy;
    float share_x, share_y; /* dx and dy by the squared length; 0 for a point */
};

static struct stroke stroke_of(const struct det_font_segment *s)
{
    const float dx = s->x1 - s->x0, dy = s->y1 - s->y0, length = dx * dx + dy * dy;
    const float inverse = length > 0 ? 1 / length : 0;
    return (struct stroke){s->x0, s->y0, dx, dy, dx * inverse, dy * inverse};
}

static float distance_squared(const struct stroke *s, float x, float y)
{
    const float from_x = x - s->x0, from_y = y - s->y0;
    float t = from_x * s->share_x + from_y * s->share_y;
    /* Not fminf() and fmaxf(): calls, for the sake of a NaN. */
    t = t > 0 ? (t < 1 ? t : 1) : 0;
    const float ex = from_x - t * s->dx, ey = from_y - t * s->dy;
    return ex * ex + ey * ey;
}

/* Coverage from the distance to the nearest stroke: exact enough for strokes of a pixel and more.
 */
static void draw_glyph(const struct det_surface *to, const struct det_glyph *glyph, float x_px,
                       float y_px, float scale, det_rgb colour)
{
    struct det_font_segment segments[DET_FONT_MAX_SEGMENTS];
    struct stroke strokes[DET_FONT_MAX_SEGMENTS];
    const int count = det_font_segments(glyph, segments);
    for (int i = 0; i < count; i++)
        strokes[i] = stroke_of(&segments[i]);
    const float half_px = fmaxf(0.5F * DET_FONT_STROKE_UNITS * scale, 0.55F);
    const float margin = half_px + 1;
    int32_t y_end, x_end;
    const int32_t y_begin =
        pixel_range(y_px - margin, y_px + DET_FONT_LINE_UNITS * scale + margin, to->height, &y_end);
    const int32_t x_begin = pixel_range(
        x_px - margin, x_px + (float)glyph->width_units * scale + margin, to->width, &x_end);
    for (int32_t y = y_begin; y < y_end; y++)
        for (int32_t x = x_begin; x < x_end; x++) {
            const float gx = ((float)x + 0.5F - x_px) / scale,
                        gy = ((float)y + 0.5F - y_px) / scale;
            float nearest = 1e9F;
            for (int i = 0; i < count; i++) {
                const float distance = distance_squared(&strokes[i], gx, gy);
                nearest = distance < nearest ? distance : nearest;
            }
            const float share = half_px + 0.5F - sqrtf(nearest) * scale;
            if (share > 0)
                blend(to, x, y, colour, fminf(share, 1));
        }
}

void det_draw_line(struct det_surface to, float x0_px, float y0_px, float x1_px, float y1_px,
                   float thickness_px, det_rgb colour)
{
    const struct stroke line = stroke_of(&(struct det_font_segment){x0_px, y0_px, x1_px, y1_px});
    if (!is_drawable(&to) || !(thickness_px > 0) || !isfinite(x0_px) || !isfinite(y0_px) ||
        !isfinite(x1_px) || !isfinite(y1_px))
        return;
    const float half = 0.5F * thickness_px, margin = half + 1;
    int32_t y_end, x_end;
    const int32_t y_begin =
        pixel_range(fminf(y0_px, y1_px) - margin, fmaxf(y0_px, y1_px) + margin, to.height, &y_end);
    const int32_t x_begin =
        pixel_range(fminf(x0_px, x1_px) - margin, fmaxf(x0_px, x1_px) + margin, to.width, &x_end);
    for (int32_t y = y_begin; y < y_end; y++)
        for (int32_t x = x_begin; x < x_end; x++) {
            const float share =
                half + 0.5F - sqrtf(distance_squared(&line, (float)x + 0.5F, (float)y + 0.5F));
            if (share > 0)
                blend(&to, x, y, colour, fminf(share, 1));
        }
}

void det_draw_text(struct det_surface to, float x_px, float y_px, float size_px, det_rgb colour,
                   const char *text)
{
    if (!is_drawable(&to) || text == NULL || !isfinite(x_px) || !isfinite(y_px) ||
        !(size_px >= 1) || !isfinite(size_px))
        return;
    const float scale = size_px / DET_FONT_LINE_UNITS;
    for (unsigned c; x_px < (float)to.width && (c = det_font_next(&text)) != 0;) {
        const struct det_glyph *glyph = det_font_glyph(c);
        const float gap = 0.5F * DET_FONT_GAP_UNITS * scale;
        draw_glyph(&to, glyph, x_px + gap, y_px, scale, colour);
        x_px += roundf(((float)glyph->width_units + DET_FONT_GAP_UNITS) * scale);
    }
}

static float surface_scale(const struct det_surface *to)
{
    return sqrtf((float)to->width * (float)to->height);
}

float det_draw_thickness_px(struct det_surface to)
{
    return fmaxf(1.5F, 0.0035F * surface_scale(&to));
}

float det_draw_text_size_px(struct det_surface to)
{
    return roundf(fmaxf(13, 0.024F * surface_scale(&to)));
}

static void draw_label(const struct det_surface *to, const float box_px[4], float thickness,
                       det_rgb plate, const char *text)
{
    const float size = det_draw_text_size_px(*to), pad = roundf(0.2F * size);
    const float width = det_text_width_px(text, size) + 2 * pad,
                height = size + roundf(0.1F * size);
    float y = roundf(box_px[0] - thickness / 2 - height);
    if (y < 0) /* no room above: inside the box's top edge */
        y = roundf(box_px[0] + thickness / 2);
    float x = roundf(box_px[1] - thickness / 2);
    x = fmaxf(0, fminf(x, (float)to->width - width));
    y = fmaxf(0, fminf(y, (float)to->height - height));
    const float area[4] = {y, x, y + height, x + width};
    det_fill_rectangle(*to, area, 0.88F, plate);
    det_draw_text(*to, x + pad, y, size, det_text_colour_on(plate), text);
}

void det_draw_box(struct det_surface to, const float box_norm[4], int32_t class_index,
                  const char *text)
{
    if (!is_drawable(&to) || !is_box(box_norm))
        return;
    const float h = (float)to.height, w = (float)to.width;
    const float box_px[4] = {box_norm[0] * h, box_norm[1] * w, box_norm[2] * h, box_norm[3] * w};
    if (!is_box(box_px))
        return;
    const det_rgb colour = det_palette_colour(class_index);
    const float thickness = det_draw_thickness_px(to);
    det_draw_rectangle(to, box_px, thickness, colour);
    if (text != NULL && text[0] != '\0' && box_px[0] <= h && box_px[1] <= w && box_px[2] >= 0 &&
        box_px[3] >= 0)
        draw_label(&to, box_px, thickness, colour, text);
}

float det_draw_note(struct det_surface to, float x_px, float y_px, det_rgb plate, const char *text)
{
    if (!is_drawable(&to) || text == NULL)
        return y_px;
    const float size = det_draw_text_size_px(to), pad = roundf(0.35F * size);
    const float height = size + roundf(0.2F * size);
    const float area[4] = {y_px, x_px, y_px + height,
                           x_px + det_text_width_px(text, size) + 2 * pad};
    det_fill_rectangle(to, area, 0.8F, plate);
    det_draw_text(to, x_px + pad, y_px + roundf(0.1F * size), size, det_text_colour_on(plate),
                  text);
    return y_px + height;
}
