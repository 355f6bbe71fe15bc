/* report_files.c: the report of det/detection_report.h as a table and as files. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "draw/draw.h"
#include "eval/detection_report.h"
#include "support/io.h"
#include "support/json_writer.h"
#include "support/mem.h"
#include "support/utf8.h"
#include "support/xml_writer.h"

static const char *name_of(const det_class_report *class, char buffer[32])
{
    if (class->name[0] != '\0')
        return class->name;
    snprintf(buffer, 32, "%lld", (long long)class->id);
    return buffer;
}

/* --- table --- */

static const char *figure(char buffer[64], double value)
{
    return value < 0 ? "n/a" : det_fixed_text(buffer, value, 3);
}

static det_status put_row(struct det_env *env, struct det_text *text, size_t width,
                          const det_class_report *c)
{
    char n[6][64], number[32];
    DET_TRY_RETURN(det_text_column(env, text, name_of(c, number), width));
    return det_text_printf(env, text, " %8lld %10lld %6s %10s %7s %7s %7s %9s\n",
                           (long long)c->objects, (long long)c->detections,
                           figure(n[0], c->best_f1),
                           c->objects > 0 ? det_fixed_text(n[1], c->best_threshold, 4) : "n/a",
                           figure(n[2], c->best_precision), figure(n[3], c->best_recall),
                           figure(n[4], c->voc_ap), figure(n[5], c->voc_ap_11));
}

static struct det_env *env_of(const det_detection_report *report)
{
    return report == NULL ? NULL : det_context_env(report->context);
}

det_status det_detection_report_table(det_detection_report *report, const char **text)
{
    struct det_env *env = env_of(report);
    char iou[64], a[64], b[64], number[32];
    size_t width = 5;
    if (text != NULL)
        *text = "";
    DET_NEED(env, report);
    DET_NEED(env, text);
    report->text.length = 0;
    for (size_t k = 0; k < report->class_count; k++) {
        const size_t length = det_utf8_shown_length(name_of(&report->classes[k], number));
        width = length > width ? length : width;
    }
    width = width > DET_WIDEST_NAME ? DET_WIDEST_NAME : width;
    DET_TRY_RETURN(det_text_printf(env, &report->text,
                                   "At IoU %s: best F1 with its threshold, Pascal VOC AP\n",
                                   det_fixed_text(iou, report->settings.iou_threshold, 2)));
    DET_TRY_RETURN(det_text_printf(env, &report->text, "%-*s %8s %10s %6s %10s %7s %7s %7s %9s\n",
                                   (int)width, "class", "objects", "detections", "F1", "threshold",
                                   "prec.", "recall", "VOC AP", "11-point"));
    for (size_t k = 0; k < report->class_count; k++)
        DET_TRY_RETURN(put_row(env, &report->text, width, &report->classes[k]));
    DET_TRY_RETURN(det_text_printf(env, &report->text, "%-*s %8s %10s %6s %10s %7s %7s %7s %9s\n",
                                   (int)width, "mean", "", "", "", "", "", "",
                                   figure(a, report->voc_map), figure(b, report->voc_map_11)));
    *text = report->text.data;
    return DET_OK;
}

/* --- curves --- */

static det_status curves_csv(struct det_env *env, const det_detection_report *report,
                             struct det_text *text)
{
    char n[3][32], number[32];
    DET_TRY_RETURN(det_text_printf(
        env, text, "class,score,precision,recall,true_positives,false_positives\n"));
    for (size_t k = 0; k < report->class_count; k++) {
        const det_class_report *c = &report->classes[k];
        for (size_t i = 0; i < c->point_count; i++) {
            const det_curve_point *p = &c->points[i];
            DET_TRY_RETURN(det_text_csv(env, text, name_of(c, number)));
            DET_TRY_RETURN(det_text_printf(
                env, text, ",%s,%s,%s,%lld,%lld\n", det_format_double(n[0], p->score),
                det_format_double(n[1], p->precision), det_format_double(n[2], p->recall),
                (long long)p->true_positives, (long long)p->false_positives));
        }
    }
    return DET_OK;
}

/* One value of every point, at `offset` in it. */
static void put_values(struct det_json_writer *json, const char *key, const det_class_report *c,
                       size_t offset)
{
    det_json_line(json, 2);
    det_json_open_list(json, key);
    for (size_t i = 0; i < c->point_count; i++) {
        double value = 0;
        memcpy(&value, (const char *)&c->points[i] + offset, sizeof value);
        det_json_put_double(json, NULL, value);
    }
    det_json_close_list(json);
}

static void put_class(struct det_json_writer *json, const det_class_report *c)
{
    det_json_open_object(json, NULL);
    det_json_put_int(json, "id", c->id);
    det_json_put_string(json, "name", c->name);
    det_json_put_int(json, "objects", c->objects);
    det_json_put_int(json, "detections", c->detections);
    det_json_put_double(json, "best_f1", c->best_f1);
    det_json_put_double(json, "best_threshold", c->best_threshold);
    det_json_put_double(json, "best_precision", c->best_precision);
    det_json_put_double(json, "best_recall", c->best_recall);
    det_json_put_int(json, "voc_objects", c->voc_objects);
    det_json_put_double(json, "voc_ap", c->voc_ap);
    det_json_put_double(json, "voc_ap_11_point", c->voc_ap_11);
    put_values(json, "score", c, offsetof(det_curve_point, score));
    put_values(json, "precision", c, offsetof(det_curve_point, precision));
    put_values(json, "recall", c, offsetof(det_curve_point, recall));
    det_json_close_object(json);
}

static det_status curves_json(struct det_env *env, const det_detection_report *report,
                              struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_double(&json, "iou_threshold", report->settings.iou_threshold);
    det_json_put_double(&json, "voc_map", report->voc_map);
    det_json_put_double(&json, "voc_map_11_point", report->voc_map_11);
    det_json_open_list(&json, "classes");
    for (size_t k = 0; k < report->class_count; k++) {
        det_json_line(&json, 1);
        put_class(&json, &report->classes[k]);
    }
    det_json_close_list(&json);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

/* --- picture --- */

enum {
    PLOT_X = 60,
    PLOT_Y = 20,
    PLOT_SIDE = 480,
    LEGEND_X = 570,
    LEGEND_LINE = 18,
    MOST_POINTS = 400
};

static void put_text(struct det_xml_writer *xml, int x, int y, const char *anchor, const char *text)
{
    det_xml_open(xml, "text");
    det_xml_attribute_int(xml, "x", x);
    det_xml_attribute_int(xml, "y", y);
    if (anchor != NULL)
        det_xml_attribute(xml, "text-anchor", anchor);
    det_xml_text_shown(xml, text);
    det_xml_close(xml);
}

static void put_colour(struct det_xml_writer *xml, const char *attribute, size_t k)
{
    const det_rgb colour = det_palette_colour((int32_t)k);
    det_xml_attribute_printf(xml, attribute, "#%02x%02x%02x", colour.r, colour.g, colour.b);
}

static det_status curve_points(struct det_env *env, const det_class_report *c,
                               struct det_text *points)
{
    const size_t step = c->point_count / MOST_POINTS + 1;
    char x[64], y[64];
    DET_TRY_RETURN(det_text_append(env, points, "", 0));
    for (size_t i = 0; i < c->point_count; i++) {
        const det_curve_point *p = &c->points[i];
        if (i % step != 0 && i + 1 < c->point_count)
            continue;
        DET_TRY_RETURN(det_text_printf(
            env, points, "%s,%s ", det_fixed_text(x, PLOT_X + PLOT_SIDE * p->recall, 1),
            det_fixed_text(y, PLOT_Y + PLOT_SIDE * (1 - p->precision), 1)));
    }
    return DET_OK;
}

static void put_line(struct det_xml_writer *xml, const det_class_report *c, size_t k)
{
    struct det_text points = {0};
    if (xml->status == DET_OK)
        xml->status = curve_points(xml->env, c, &points);
    det_xml_open(xml, "polyline");
    det_xml_attribute(xml, "fill", "none");
    det_xml_attribute_int(xml, "stroke-width", 2);
    put_colour(xml, "stroke", k);
    det_xml_attribute(xml, "points", points.data);
    det_xml_close_empty(xml);
    det_xml_line(xml, 0);
    det_text_free(xml->env, &points);
}

static void put_legend(struct det_xml_writer *xml, const det_class_report *c, size_t k, size_t line)
{
    const int y = PLOT_Y + 12 + (int)line * LEGEND_LINE;
    char a[64], b[64], number[32];
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
    det_xml_text_shown(xml, name_of(c, number));
    det_xml_text_printf(xml, ": F1 %s at %s", figure(a, c->best_f1),
                        det_fixed_text(b, c->best_threshold, 3));
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
        put_text(xml, x, PLOT_Y + PLOT_SIDE + 18, "middle", tenths);
        put_text(xml, PLOT_X - 8, y + 4, "end", tenths);
        det_xml_line(xml, 0);
    }
}

static void put_axis_names(struct det_xml_writer *xml, double iou_threshold)
{
    char name[96], iou[64];
    snprintf(name, sizeof name, "recall (IoU %s)", det_fixed_text(iou, iou_threshold, 2));
    put_text(xml, PLOT_X + PLOT_SIDE / 2, PLOT_Y + PLOT_SIDE + 40, "middle", name);
    det_xml_open(xml, "text");
    det_xml_attribute_printf(xml, "transform", "translate(18 %d) rotate(-90)",
                             PLOT_Y + PLOT_SIDE / 2);
    det_xml_attribute(xml, "text-anchor", "middle");
    det_xml_text(xml, "precision");
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static void open_picture(struct det_xml_writer *xml, size_t class_count)
{
    const int lines = (int)(class_count < 1000 ? class_count : 1000);
    const int legend = PLOT_Y + 20 + lines * LEGEND_LINE;
    det_xml_open(xml, "svg");
    det_xml_attribute(xml, "xmlns", "http://www.w3.org/2000/svg");
    det_xml_attribute_int(xml, "width", 860);
    det_xml_attribute_int(xml, "height", legend > PLOT_SIDE + 70 ? legend : PLOT_SIDE + 70);
    det_xml_attribute(xml, "font-family", "sans-serif");
    det_xml_attribute_int(xml, "font-size", 13);
    det_xml_line(xml, 0);
    det_xml_open(xml, "rect");
    det_xml_attribute(xml, "width", "100%");
    det_xml_attribute(xml, "height", "100%");
    det_xml_attribute(xml, "fill", "white");
    det_xml_close_empty(xml);
    det_xml_line(xml, 0);
}

static det_status curves_svg(struct det_env *env, const det_detection_report *report,
                             struct det_text *text)
{
    struct det_xml_writer xml;
    det_xml_begin(&xml, env, text);
    open_picture(&xml, report->class_count);
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

/* --- the others --- */

static det_status confusion_csv(struct det_env *env, const det_detection_report *report,
                                struct det_text *text)
{
    const size_t side = report->class_count + 1;
    char number[32];
    DET_TRY_RETURN(det_text_printf(env, text, "\"object \\ detected as\""));
    for (size_t k = 0; k < report->class_count; k++) {
        DET_TRY_RETURN(det_text_append(env, text, ",", 1));
        DET_TRY_RETURN(det_text_csv(env, text, name_of(&report->classes[k], number)));
    }
    DET_TRY_RETURN(det_text_printf(env, text, ",(missed)\n"));
    for (size_t row = 0; row < side; row++) {
        DET_TRY_RETURN(det_text_csv(env, text,
                                    row < report->class_count
                                        ? name_of(&report->classes[row], number)
                                        : "(nothing there)"));
        for (size_t column = 0; column < side; column++)
            DET_TRY_RETURN(det_text_printf(env, text, ",%lld",
                                           (long long)report->confusion[row * side + column]));
        DET_TRY_RETURN(det_text_append(env, text, "\n", 1));
    }
    return DET_OK;
}

static det_status thresholds_json(struct det_env *env, const det_detection_report *report,
                                  struct det_text *text)
{
    struct det_json_writer json;
    char number[32];
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    for (size_t k = 0; k < report->class_count; k++) {
        const det_class_report *c = &report->classes[k];
        /* Without an object or a hit there is nothing to choose by. */
        if (!(c->best_f1 > 0))
            continue;
        det_json_line(&json, 1);
        det_json_put_double(&json, name_of(c, number), fmin(fmax(c->best_threshold, 0), 1));
    }
    det_json_line(&json, 0);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

static const struct {
    const char *name;
    det_status (*put)(struct det_env *env, const det_detection_report *report,
                      struct det_text *text);
} files[] = {
    {"pr_curves.csv", curves_csv},        {"pr_curves.json", curves_json},
    {"pr_curves.svg", curves_svg},        {"confusion.csv", confusion_csv},
    {"thresholds.json", thresholds_json},
};

const char *det_detection_report_file(size_t index)
{
    return index < sizeof files / sizeof files[0] ? files[index].name : NULL;
}

det_status det_detection_report_write(const det_detection_report *report, const char *directory)
{
    struct det_env *env = env_of(report);
    DET_NEED(env, report);
    DET_NEED(env, directory);
    DET_TRY_RETURN(det_make_directories(env, directory));
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct det_text text = {0};
        char *path = NULL;
        det_status status = files[i].put(env, report, &text);
        if (status == DET_OK)
            status = det_path_join(env, &path, directory, files[i].name);
        if (status == DET_OK)
            status = det_write_file(env, path, text.data, text.length);
        det_free(env, &path);
        det_text_free(env, &text);
        DET_TRY_RETURN(status);
    }
    return DET_OK;
}
