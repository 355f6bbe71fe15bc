#include "raster.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "scalar.h"

static const float near_plane = 0.4F;
enum { max_clipped = 20 };

void raster_look(struct raster *r, const float position[3], float yaw, float pitch, float roll)
{
    const float cy = cosf(yaw), sy = sinf(yaw), cp = cosf(pitch), sp = sinf(pitch);
    const float cr = cosf(roll), sr = sinf(roll);
    const float right[3] = {cy, -sy, 0}, up[3] = {-sy * sp, -cy * sp, cp};
    memcpy(r->position, position, sizeof r->position);
    r->forward[0] = sy * cp;
    r->forward[1] = cy * cp;
    r->forward[2] = sp;
    for (int k = 0; k < 3; k++) {
        r->right[k] = cr * right[k] + sr * up[k];
        r->up[k] = cr * up[k] - sr * right[k];
    }
}

void raster_to_camera(const struct raster *r, const float world[3], float camera[3])
{
    const float d[3] = {world[0] - r->position[0], world[1] - r->position[1],
                        world[2] - r->position[2]};
    camera[0] = d[0] * r->right[0] + d[1] * r->right[1] + d[2] * r->right[2];
    camera[1] = d[0] * r->up[0] + d[1] * r->up[1] + d[2] * r->up[2];
    camera[2] = d[0] * r->forward[0] + d[1] * r->forward[1] + d[2] * r->forward[2];
}

void raster_clear(struct raster *r)
{
    const size_t count = (size_t)r->width * (size_t)r->height;
    memset(r->owner, 0, count * sizeof *r->owner);
    memset(r->stamp, 0, count * sizeof *r->stamp);
    memset(r->shadows, 0, count);
}

struct screen_vertex {
    float x, y, near, rgb[3];
};

/* Cuts at the near plane and projects; returns the number of vertices. */
static int project(const struct raster *r, const struct raster_vertex *in, int count,
                   struct screen_vertex *out, bool *cut)
{
    int n = 0;
    *cut = false;
    for (int i = 0; i < count && n + 2 <= max_clipped; i++) {
        const struct raster_vertex *a = &in[i], *b = &in[(i + 1) % count];
        const bool a_in = a->position[2] >= near_plane, b_in = b->position[2] >= near_plane;
        struct raster_vertex kept[2];
        int kept_count = 0;
        if (a_in)
            kept[kept_count++] = *a;
        else
            *cut = true;
        if (a_in != b_in) {
            const float t = (near_plane - a->position[2]) / (b->position[2] - a->position[2]);
            struct raster_vertex *v = &kept[kept_count++];
            for (int k = 0; k < 3; k++) {
                v->position[k] = a->position[k] + t * (b->position[k] - a->position[k]);
                v->rgb[k] = a->rgb[k] + t * (b->rgb[k] - a->rgb[k]);
            }
            v->position[2] = near_plane;
        }
        for (int k = 0; k < kept_count; k++, n++) {
            const float *p = kept[k].position, inverse = 1 / p[2];
            out[n] = (struct screen_vertex){r->centre_x + r->focal * p[0] * inverse,
                                            r->centre_y - r->focal * p[1] * inverse,
                                            inverse,
                                            {kept[k].rgb[0], kept[k].rgb[1], kept[k].rgb[2]}};
        }
    }
    return n;
}

struct span {
    int begin, end;
};

/* Samples of row `y` inside the triangle. */
static struct span row_span(const struct screen_vertex *const v[3], int y, int width)
{
    const float cy = (float)y + 0.5F;
    float low = 1e9F, high = -1e9F;
    for (int i = 0; i < 3; i++) {
        const struct screen_vertex *a = v[i], *b = v[(i + 1) % 3];
        if ((a->y <= cy) == (b->y <= cy))
            continue;
        const float x = a->x + (cy - a->y) * (b->x - a->x) / (b->y - a->y);
        low = minf(low, x);
        high = maxf(high, x);
    }
    const float limit = (float)width;
    low = minf(maxf(low, 0), limit);
    high = minf(maxf(high, 0), limit);
    return (struct span){(int)ceilf(low - 0.5F), (int)ceilf(high - 0.5F)};
}

static bool triangle_rows(const struct raster *r, const struct screen_vertex *const v[3],
                          int *begin, int *end)
{
    const float top = minf(v[0]->y, minf(v[1]->y, v[2]->y));
    const float bottom = maxf(v[0]->y, maxf(v[1]->y, v[2]->y));
    const float left = minf(v[0]->x, minf(v[1]->x, v[2]->x));
    const float right = maxf(v[0]->x, maxf(v[1]->x, v[2]->x));
    const float height = (float)r->height;
    if (!(bottom > 0 && top < height && right > 0 && left < (float)r->width))
        return false;
    *begin = (int)ceilf(maxf(top, 0) - 0.5F);
    *end = (int)ceilf(minf(bottom, height) - 0.5F);
    *begin = *begin < 0 ? 0 : *begin;
    *end = *end > r->height ? r->height : *end;
    return true;
}

struct gradient {
    float at, dx, dy; /* value at v[0]; slopes */
};

static struct gradient slope(const struct screen_vertex *const v[3], float inverse_area, float a,
                             float b, float c)
{
    const float bx = v[1]->x - v[0]->x, by = v[1]->y - v[0]->y;
    const float cx = v[2]->x - v[0]->x, cy = v[2]->y - v[0]->y;
    return (struct gradient){a, ((b - a) * cy - (c - a) * by) * inverse_area,
                             ((c - a) * bx - (b - a) * cx) * inverse_area};
}

static void fill_triangle(struct raster *r, const struct screen_vertex *const v[3], float closer,
                          uint16_t owner, int *area)
{
    int y_begin, y_end;
    const float double_area =
        (v[1]->x - v[0]->x) * (v[2]->y - v[0]->y) - (v[2]->x - v[0]->x) * (v[1]->y - v[0]->y);
    if (fabsf(double_area) < 1e-6F || !triangle_rows(r, v, &y_begin, &y_end))
        return;
    const float inverse = 1 / double_area;
    struct gradient g[4];
    g[3] = slope(v, inverse, v[0]->near * closer, v[1]->near * closer, v[2]->near * closer);
    for (int k = 0; k < 3; k++)
        g[k] = slope(v, inverse, v[0]->rgb[k], v[1]->rgb[k], v[2]->rgb[k]);
    for (int y = y_begin; y < y_end; y++) {
        const struct span span = row_span(v, y, r->width);
        const float dx = (float)span.begin + 0.5F - v[0]->x, dy = (float)y + 0.5F - v[0]->y;
        float value[4];
        for (int k = 0; k < 4; k++)
            value[k] = g[k].at + g[k].dx * dx + g[k].dy * dy;
        const size_t row = (size_t)y * (size_t)r->width;
        for (int x = span.begin; x < span.end; x++) {
            const size_t i = row + (size_t)x;
            if (owner != 0 && r->stamp[i] != owner) {
                r->stamp[i] = owner;
                ++*area;
            }
            if (value[3] > r->samples[i].near) {
                r->samples[i] = (struct raster_sample){{value[0], value[1], value[2]}, value[3]};
                r->owner[i] = owner;
            }
            for (int k = 0; k < 4; k++)
                value[k] += g[k].dx;
        }
    }
}

void raster_polygon(struct raster *r, const struct raster_vertex *vertices, int count, int layer,
                    uint16_t owner, struct raster_outline *outline)
{
    struct screen_vertex points[max_clipped];
    bool cut;
    const int n = project(r, vertices, count, points, &cut);
    int area = 0;
    for (int i = 1; i + 1 < n; i++) {
        const struct screen_vertex *const v[3] = {&points[0], &points[i], &points[i + 1]};
        fill_triangle(r, v, 1 + 0.0012F * (float)layer, owner, &area);
    }
    if (outline == NULL)
        return;
    outline->behind_camera |= cut;
    outline->area += area;
    for (int i = 0; i < n; i++) {
        outline->left = minf(outline->left, points[i].x);
        outline->right = maxf(outline->right, points[i].x);
        outline->top = minf(outline->top, points[i].y);
        outline->bottom = maxf(outline->bottom, points[i].y);
    }
}

void raster_shadow(struct raster *r, const struct raster_vertex *vertices, int count, uint8_t bits)
{
    struct screen_vertex points[max_clipped];
    bool cut;
    const int n = project(r, vertices, count, points, &cut);
    for (int i = 1; i + 1 < n; i++) {
        const struct screen_vertex *const v[3] = {&points[0], &points[i], &points[i + 1]};
        int y_begin, y_end;
        if (!triangle_rows(r, v, &y_begin, &y_end))
            continue;
        for (int y = y_begin; y < y_end; y++) {
            const struct span span = row_span(v, y, r->width);
            uint8_t *row = r->shadows + (size_t)y * (size_t)r->width;
            for (int x = span.begin; x < span.end; x++)
                row[x] |= bits;
        }
    }
}
