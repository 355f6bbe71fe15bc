/* report_curves.c: precision over recall as SVG: a line through every point of the curve, that of
 * each different score, and a ring where F1 is best.
 *
 * A class of a large set has a point for each of many thousand detections. Those that change no
 * pixel are not written: of the points in one column of a tenth of a unit the first and last, the
 * highest and lowest (the line through all of them covers just what lies between these), and within
 * a level run the ends. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "draw/draw.h"
#include "eval/detection_report.h"
#include "eval/report_svg.h"
#include "support/mem.h"

enum {
    PLOT_X = 60,
    PLOT_Y = 20,
    PLOT_SIDE = 480,
    LEGEND_X = 570,
    LEGEND_LINE = 18,
    LEGEND_LETTERS = 22,
    WIDTH = 900,
    MOST_LINES = 1000
};

static void put_colour(struct det_xml_writer *xml, const char *attribute, size_t k)
{
    const det_rgb colour = det_palette_colour((int32_t)k);
    det_xml_attribute_printf(xml, attribute, "#%02x%02x%02x", colour.r, colour.g, colour.b);
}

/* --- the line --- */

/* In tenths of the picture's unit. */
struct place {
    long x, y;
};

static struct place place_of(double recall, double precision)
{
    return (struct place){lround(10 * (PLOT_X + PLOT_SIDE * recall)),
                          lround(10 * (PLOT_Y + PLOT_SIDE * (1 - precision)))};
}

/* A line that is written as it grows: the last place stays back until it is known that no level run
 * goes on through it. */
struct line {
    struct det_env *env;
    struct det_text *text;
    struct place written, last;
    size_t count; /* places so far, `last` among them */
};

static det_status write_place(struct line *line, struct place place)
{
    line->written = place;
    return det_text_printf(line->env, line->text, "%ld.%ld,%ld.%ld ", place.x / 10, place.x % 10,
                           place.y / 10, place.y % 10);
}

static det_status add_place(struct line *line, struct place place)
{
    if (line->count > 0 && place.x == line->last.x && place.y == line->last.y)
        return DET_OK;
    const bool level = line->count > 1 && line->written.y == line->last.y &&
                       line->last.y == place.y && place.x >= line->last.x;
    if (line->count > 0 && !level)
        DET_TRY_RETURN(write_place(line, line->last));
    line->last = place;
    line->count++;
    return DET_OK;
}

/* Points [from, to) lie in one column. */
static det_status add_column(struct line *line, const det_class_report *c, size_t from, size_t to)
{
    struct place high = place_of(c->points[from].recall, c->points[from].precision), low = high;
    const struct place first = high,
                       last = place_of(c->points[to - 1].recall, c->points[to - 1].precision);
    for (size_t i = from; i < to; i++) {
        const struct place p = place_of(c->points[i].recall, c->points[i].precision);
        high = p.y < high.y ? p : high;
        low = p.y > low.y ? p : low;
    }
    DET_TRY_RETURN(add_place(line, first));
    DET_TRY_RETURN(add_place(line, high));
    DET_TRY_RETURN(add_place(line, low));
    return add_place(line, last);
}

static det_status curve_points(struct det_env *env, const det_class_report *c,
                               struct det_text *points)
{
    struct line line = {.env = env, .text = points};
    DET_TRY_RETURN(det_text_append(env, points, "", 0));
    for (size_t from = 0, to = 0; from < c->point_count; from = to) {
        const long x = place_of(c->points[from].recall, 0).x;
        while (to < c->point_count && place_of(c->points[to].recall, 0).x == x)
            to++;
        DET_TRY_RETURN(add_column(&line, c, from, to));
    }
    return line.count > 0 ? write_place(&line, line.last) : DET_OK;
}

static void put_line(struct det_xml_writer *xml, const det_class_report *c, size_t k)
{
    struct det_text points = {0};
    char x[64], y[64];
    if (xml->status == DET_OK)
        xml->status = curve_points(xml->env, c, &points);
    det_xml_open(xml, "polyline");
    det_xml_attribute(xml, "fill", "none");
    det_xml_attribute_int(xml, "stroke-width", 2);
    put_colour(xml, "stroke", k);
    det_xml_attribute(xml, "stroke-linejoin", "round");
    det_xml_attribute(xml, "points", points.data);
    det_xml_close_empty(xml);
    det_xml_line(xml, 0);
    det_text_free(xml->env, &points);
    if (!(c->best_f1 > 0))
        return;
    det_xml_open(xml, "circle");
    det_xml_attribute(xml, "cx", det_fixed_text(x, PLOT_X + PLOT_SIDE * c->best_recall, 1));
    det_xml_attribute(xml, "cy",
                      det_fixed_text(y, PLOT_Y + PLOT_SIDE * (1 - c->best_precision), 1));
    det_xml_attribute_int(xml, "r", 4);
    det_xml_attribute(xml, "fill", "white");
    det_xml_attribute_int(xml, "stroke-width", 2);
    put_colour(xml, "stroke", k);
    det_xml_close_empty(xml);
    det_xml_line(xml, 0);
}

/* --- around it --- */

static void put_legend(struct det_xml_writer *xml, const det_class_report *c, size_t k, size_t line)
{
    const int y = PLOT_Y + 12 + (int)line * LEGEND_LINE;
    char f1[64], score[64], number[32];
    det_xml_open(xml, "rect");
    det_xml_attribute_int(xml, "x", LEGEND_X);
    det_xml_attribute_int(xml, "y", y - 10);
    det_xml_attribute_int(xml, "width", 12);
    det_xml_attribute_int(xml, "height", 12);
    put_colour(xml, "fill", k);
    det_xml_close_empty(xml);
    det_xml_open(xml, "text");
    det_xml_attribute_int(xml, "x", LEGEND_X + 18);
    det_xml_attribute_int(xml, "y", y);
    det_report_svg_name(xml, det_class_report_name(c, number), LEGEND_LETTERS);
    det_xml_text_printf(xml, ": F1 %s at %s", det_fixed_text(f1, c->best_f1, 3),
                        det_fixed_text(score, c->best_threshold, 3));
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static void put_grid(struct det_xml_writer *xml)
{
    for (int i = 0; i <= 10; i++) {
        const int x = PLOT_X + PLOT_SIDE * i / 10, y = PLOT_Y + PLOT_SIDE - PLOT_SIDE * i / 10;
        char tenths[16];
        snprintf(tenths, sizeof tenths, "%d.%d", i / 10, i % 10);
        det_xml_open(xml, "path");
        det_xml_attribute_printf(xml, "d", "M%d %dV%dM%d %dH%d", x, PLOT_Y, PLOT_Y + PLOT_SIDE,
                                 PLOT_X, y, PLOT_X + PLOT_SIDE);
        det_xml_attribute(xml, "stroke", "#ddd");
        det_xml_close_empty(xml);
        det_report_svg_text(xml, x, PLOT_Y + PLOT_SIDE + 18, "middle", tenths);
        det_report_svg_text(xml, PLOT_X - 8, y + 4, "end", tenths);
        det_xml_line(xml, 0);
    }
}

static void put_axis_names(struct det_xml_writer *xml, double iou_threshold)
{
    char name[96], iou[64];
    snprintf(name, sizeof name, "recall (IoU %s)", det_fixed_text(iou, iou_threshold, 2));
    det_report_svg_text(xml, PLOT_X + PLOT_SIDE / 2, PLOT_Y + PLOT_SIDE + 40, "middle", name);
    det_xml_open(xml, "text");
    det_xml_attribute_printf(xml, "transform", "translate(18 %d) rotate(-90)",
                             PLOT_Y + PLOT_SIDE / 2);
    det_xml_attribute(xml, "text-anchor", "middle");
    det_xml_text(xml, "precision");
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

det_status det_report_curves_svg(struct det_env *env, const det_detection_report *report,
                                 struct det_text *text)
{
    struct det_xml_writer xml;
    size_t lines = 0;
    for (size_t k = 0; k < report->class_count; k++)
        lines += report->classes[k].objects > 0 && lines < MOST_LINES;
    const int legend = PLOT_Y + 20 + (int)lines * LEGEND_LINE;
    det_xml_begin(&xml, env, text);
    det_report_svg_open(&xml, WIDTH, legend > PLOT_SIDE + 70 ? legend : PLOT_SIDE + 70);
    put_grid(&xml);
    put_axis_names(&xml, report->settings.iou_threshold);
    for (size_t k = 0, line = 0; k < report->class_count; k++) {
        if (report->classes[k].objects == 0)
            continue;
        put_line(&xml, &report->classes[k], k);
        put_legend(&xml, &report->classes[k], k, line++);
    }
    det_xml_close(&xml);
    det_xml_line(&xml, 0);
    return det_xml_end(&xml);
}
