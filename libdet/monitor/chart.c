#include "monitor/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/mem.h"
#include "support/number.h"

/* Of the drawing, in its own units. */
enum { WIDTH = 600, HEIGHT = 282, LEFT = 52, RIGHT = 14, TOP = 10, BOTTOM = 44 };
enum { TICKS = 5, MOST_POINTS = 700, MANY_POINTS = 150, LABELLED_POINTS = 60 };

#define SMOOTHING 0.9 /* share of the old value in each point of the smoothed line */

struct axis {
    double low, high, step;
};

struct frame {
    struct axis x, y;
};

char *det_chart_number(char buffer[32], double value)
{
    const double size = fabs(value);
    if (!isfinite(value))
        snprintf(buffer, 32, "-");
    else if (size >= 1e6)
        snprintf(buffer, 32, "%.4gM", value / 1e6);
    else if (size >= 1e4)
        snprintf(buffer, 32, "%.4gk", value / 1e3);
    else
        snprintf(buffer, 32, "%.4g", value);
    return det_use_point(buffer);
}

/* A coordinate with one decimal, whatever the locale is. Returns `buffer`. */
static char *coordinate(char buffer[24], double value)
{
    const long tenths = lround(fmin(fmax(value, -1e6), 1e6) * 10);
    snprintf(buffer, 24, "%s%ld.%ld", tenths < 0 ? "-" : "", labs(tenths) / 10, labs(tenths) % 10);
    return buffer;
}

/* --- axes --- */

/* Steps of 1, 2 or 5 times a power of ten, about TICKS of them; the ends become multiples where
 * `round_ends`. */
static struct axis make_axis(double low, double high, bool round_ends)
{
    if (!(high > low)) {
        const double room = fabs(low) > 0 ? fabs(low) * 0.5 : 1;
        low -= room;
        high += room;
    }
    const double rough = (high - low) / TICKS, power = pow(10, floor(log10(rough)));
    const double share = rough / power;
    struct axis axis = {low, high,
                        power * (share < 1.5   ? 1
                                 : share < 3.5 ? 2
                                 : share < 7.5 ? 5
                                               : 10)};
    if (round_ends) {
        axis.low = floor(low / axis.step + 1e-9) * axis.step;
        axis.high = ceil(high / axis.step - 1e-9) * axis.step;
    }
    return axis;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool usable(const struct det_chart_series *s, size_t i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]);
}

/* False: nothing to draw. `values` has room for all points. */
static bool make_frame(const struct det_chart *chart, double *values, struct frame *frame)
{
    double x_low = INFINITY, x_high = -INFINITY;
    size_t count = 0;
    for (size_t s = 0; s < chart->series_count; s++)
        for (size_t i = 0; i < chart->series[s].count; i++)
            if (usable(&chart->series[s], i)) {
                x_low = fmin(x_low, chart->series[s].x[i]);
                x_high = fmax(x_high, chart->series[s].x[i]);
                values[count++] = chart->series[s].y[i];
            }
    if (count == 0)
        return false;
    qsort(values, count, sizeof *values, compare_doubles);
    double low = values[0], high = values[count - 1];
    /* The first steps of a training may lie far above all others. */
    if (chart->smooth && count >= MANY_POINTS) {
        const double usual = values[count - 1 - count / 20];
        if (high - low > 3 * (usual - low))
            high = low + 1.4 * (usual - low);
    }
    if (chart->from_zero)
        low = fmin(low, 0);
    frame->x =
        make_axis(chart->x_max > 0 ? 0 : x_low, chart->x_max > 0 ? chart->x_max : x_high, false);
    frame->y = make_axis(low, chart->y_max > 0 ? chart->y_max : high, true);
    if (chart->y_max > 0)
        frame->y.high = chart->y_max;
    return true;
}

static double place_x(const struct frame *f, double x)
{
    return LEFT + (x - f->x.low) / (f->x.high - f->x.low) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct frame *f, double y)
{
    return HEIGHT - BOTTOM - (y - f->y.low) / (f->y.high - f->y.low) * (HEIGHT - TOP - BOTTOM);
}

static void put_label(struct det_xml_writer *xml, const char *class, int x, int y, const char *text)
{
    det_xml_open(xml, "text");
    det_xml_attribute(xml, "class", class);
    det_xml_attribute_int(xml, "x", x);
    det_xml_attribute_int(xml, "y", y);
    det_xml_text_shown(xml, text);
    det_xml_close(xml);
}

static void put_axes(struct det_xml_writer *xml, const struct frame *f, const char *x_name)
{
    char number[32];
    const double first_y = ceil(f->y.low / f->y.step - 1e-9);
    for (double n = first_y; n * f->y.step <= f->y.high + f->y.step * 1e-6; n++) {
        const int y = (int)lround(place_y(f, n * f->y.step));
        det_xml_open(xml, "path");
        det_xml_attribute(xml, "class", "grid");
        det_xml_attribute_printf(xml, "d", "M%d %dH%d", LEFT, y, WIDTH - RIGHT);
        det_xml_close_empty(xml);
        put_label(xml, "ty", LEFT - 7, y + 4,
                  det_chart_number(number, fabs(n) < 1e-9 ? 0 : n * f->y.step));
    }
    const double first_x = ceil(f->x.low / f->x.step - 1e-9);
    for (double n = first_x; n * f->x.step <= f->x.high + f->x.step * 1e-6; n++) {
        const int x = (int)lround(place_x(f, n * f->x.step));
        det_xml_open(xml, "path");
        det_xml_attribute(xml, "class", "tick");
        det_xml_attribute_printf(xml, "d", "M%d %dv5", x, HEIGHT - BOTTOM);
        det_xml_close_empty(xml);
        put_label(xml, "tx", x, HEIGHT - BOTTOM + 18,
                  det_chart_number(number, fabs(n) < 1e-9 ? 0 : n * f->x.step));
    }
    det_xml_open(xml, "path");
    det_xml_attribute(xml, "class", "axis");
    det_xml_attribute_printf(xml, "d", "M%d %dH%d", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    det_xml_close_empty(xml);
    put_label(xml, "tx", LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, x_name);
}

/* --- lines --- */

/* Where there are more points than can be seen, the mean of each bucket; smoothed: what a moving
 * average makes of them, corrected for its start (as Adam corrects its moments). */
static det_status trace(struct det_env *env, const struct frame *f,
                        const struct det_chart_series *s, bool smoothed, struct det_text *path)
{
    const size_t bucket = s->count / MOST_POINTS + 1;
    double average = 0, weight = 0;
    DET_TRY_RETURN(det_text_append(env, path, "", 0));
    for (size_t first = 0; first < s->count; first += bucket) {
        double x = 0, y = 0;
        int count = 0;
        for (size_t i = first; i < first + bucket && i < s->count; i++) {
            if (!usable(s, i))
                continue;
            average = SMOOTHING * average + (1 - SMOOTHING) * s->y[i];
            weight = SMOOTHING * weight + (1 - SMOOTHING);
            x += s->x[i];
            y += smoothed ? average / weight : s->y[i];
            count++;
        }
        if (count == 0)
            continue;
        char place[2][24];
        DET_TRY_RETURN(det_text_printf(env, path, "%c%s %s", path->length > 0 ? 'L' : 'M',
                                       coordinate(place[0], place_x(f, x / count)),
                                       coordinate(place[1], place_y(f, y / count))));
    }
    return DET_OK;
}

static void put_line(struct det_xml_writer *xml, const struct frame *f,
                     const struct det_chart_series *s, bool smoothed, const char *class)
{
    struct det_text path = {0};
    if (xml->status == DET_OK)
        xml->status = trace(xml->env, f, s, smoothed, &path);
    det_xml_open(xml, "path");
    det_xml_attribute_printf(xml, "class", "%s c%d%s", class, s->colour % DET_CHART_COLOURS,
                             s->dashed ? " dashed" : "");
    det_xml_attribute(xml, "d", path.data);
    det_xml_close_empty(xml);
    det_text_free(xml->env, &path);
}

static void put_points(struct det_xml_writer *xml, const struct frame *f,
                       const struct det_chart *chart, const struct det_chart_series *s)
{
    char x[32], y[32], place[24];
    for (size_t i = 0; i < s->count; i++) {
        if (!usable(s, i))
            continue;
        det_xml_open(xml, "circle");
        det_xml_attribute_printf(xml, "class", "c%d", s->colour % DET_CHART_COLOURS);
        det_xml_attribute(xml, "cx", coordinate(place, place_x(f, s->x[i])));
        det_xml_attribute(xml, "cy", coordinate(place, place_y(f, s->y[i])));
        det_xml_attribute_int(xml, "r", 3);
        det_xml_open(xml, "title");
        det_xml_text_shown(xml, s->name);
        det_xml_text_printf(xml, ": %s at %s ", det_chart_number(y, s->y[i]),
                            det_chart_number(x, s->x[i]));
        det_xml_text_shown(xml, chart->x_name);
        det_xml_close(xml);
        det_xml_close(xml);
    }
}

static void put_series(struct det_xml_writer *xml, const struct frame *f,
                       const struct det_chart *chart, const struct det_chart_series *s)
{
    const bool smooth = chart->smooth && s->count >= MANY_POINTS;
    if (smooth)
        put_line(xml, f, s, false, "line faint");
    put_line(xml, f, s, smooth, "line");
    if (s->count <= LABELLED_POINTS)
        put_points(xml, f, chart, s);
}

static void put_legend(struct det_xml_writer *xml, const struct det_chart *chart,
                       const struct frame *f)
{
    char number[32];
    det_xml_open(xml, "p");
    det_xml_attribute(xml, "class", "legend");
    for (size_t s = 0; s < chart->series_count; s++) {
        const struct det_chart_series *series = &chart->series[s];
        if (series->count == 0)
            continue;
        det_xml_open(xml, "span");
        det_xml_open(xml, "i");
        det_xml_attribute_printf(xml, "class", "c%d%s", series->colour % DET_CHART_COLOURS,
                                 series->dashed ? " dashed" : "");
        det_xml_close(xml);
        det_xml_text_shown(xml, series->name);
        /* The newest value; next to nothing on this scale is 0. */
        const double last = series->y[series->count - 1];
        if (!(chart->x_max > 0)) {
            det_xml_text(xml, " ");
            det_xml_element(xml, "b",
                            det_chart_number(number, fabs(last) < f->y.step * 1e-3 ? 0 : last));
        }
        det_xml_close(xml);
    }
    det_xml_close(xml);
}

static void put_plot(struct det_xml_writer *xml, const struct det_chart *chart,
                     const struct frame *f)
{
    const int x = LEFT - 4, y = TOP - 6, w = WIDTH - LEFT - RIGHT + 8,
              h = HEIGHT - TOP - BOTTOM + 10;
    det_xml_open(xml, "svg");
    det_xml_attribute_printf(xml, "viewBox", "0 0 %d %d", WIDTH, HEIGHT);
    det_xml_attribute(xml, "role", "img");
    put_axes(xml, f, chart->x_name);
    det_xml_open(xml, "svg"); /* cuts off what lies outside the axes */
    det_xml_attribute_int(xml, "x", x);
    det_xml_attribute_int(xml, "y", y);
    det_xml_attribute_int(xml, "width", w);
    det_xml_attribute_int(xml, "height", h);
    det_xml_attribute_printf(xml, "viewBox", "%d %d %d %d", x, y, w, h);
    for (size_t s = 0; s < chart->series_count; s++)
        put_series(xml, f, chart, &chart->series[s]);
    det_xml_close(xml);
    det_xml_close(xml);
}

det_status det_chart_put(struct det_xml_writer *xml, const struct det_chart *chart)
{
    struct det_env *env = xml->env;
    double *values = NULL;
    struct frame frame;
    size_t points = 0;
    for (size_t s = 0; s < chart->series_count; s++)
        points += chart->series[s].count;
    if (points == 0)
        return xml->status;
    DET_TRY_RETURN(det_alloc(env, &values, points, sizeof *values, "chart"));
    if (make_frame(chart, values, &frame)) {
        det_xml_open(xml, "figure");
        det_xml_open(xml, "h3");
        det_xml_text_shown(xml, chart->title);
        det_xml_close(xml);
        put_legend(xml, chart, &frame);
        put_plot(xml, chart, &frame);
        det_xml_close(xml);
        det_xml_line(xml, 0);
    }
    det_free(env, &values);
    return xml->status;
}
