/* report_files.c: the report of det/detection_report.h as a table and as files. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "detect/draw.h"
#include "eval/detection_report.h"

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

static det_status put_values(struct det_env *env, struct det_text *text, const char *key,
                             const det_class_report *c, size_t offset)
{
    DET_TRY_RETURN(det_text_printf(env, text, ",\n  \"%s\": [", key));
    for (size_t i = 0; i < c->point_count; i++) {
        double value = 0;
        char n[32];
        memcpy(&value, (const char *)&c->points[i] + offset, sizeof value);
        DET_TRY_RETURN(
            det_text_printf(env, text, "%s%s", i > 0 ? ", " : "", det_format_double(n, value)));
    }
    return det_text_append(env, text, "]", 1);
}

static det_status curves_json(struct det_env *env, const det_detection_report *report,
                              struct det_text *text)
{
    char n[8][32];
    DET_TRY_RETURN(det_text_printf(
        env, text,
        "{\"iou_threshold\": %s, \"voc_map\": %s, \"voc_map_11_point\": %s, \"classes\": [",
        det_format_double(n[0], report->settings.iou_threshold),
        det_format_double(n[1], report->voc_map), det_format_double(n[2], report->voc_map_11)));
    for (size_t k = 0; k < report->class_count; k++) {
        const det_class_report *c = &report->classes[k];
        DET_TRY_RETURN(det_text_printf(
            env, text, "%s\n {\"id\": %lld, \"name\": ", k > 0 ? "," : "", (long long)c->id));
        DET_TRY_RETURN(det_text_json_string(env, text, c->name));
        DET_TRY_RETURN(det_text_printf(
            env, text,
            ", \"objects\": %lld, \"detections\": %lld, \"best_f1\": %s, \"best_threshold\": %s, "
            "\"best_precision\": %s, \"best_recall\": %s, \"voc_objects\": %lld, \"voc_ap\": %s, "
            "\"voc_ap_11_point\": %s",
            (long long)c->objects, (long long)c->detections, det_format_double(n[0], c->best_f1),
            det_format_double(n[1], c->best_threshold), det_format_double(n[2], c->best_precision),
            det_format_double(n[3], c->best_recall), (long long)c->voc_objects,
            det_format_double(n[4], c->voc_ap), det_format_double(n[5], c->voc_ap_11)));
        DET_TRY_RETURN(put_values(env, text, "score", c, offsetof(det_curve_point, score)));
        DET_TRY_RETURN(put_values(env, text, "precision", c, offsetof(det_curve_point, precision)));
        DET_TRY_RETURN(put_values(env, text, "recall", c, offsetof(det_curve_point, recall)));
        DET_TRY_RETURN(det_text_append(env, text, "}", 1));
    }
    return det_text_printf(env, text, "]}\n");
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

static det_status put_line(struct det_env *env, struct det_text *text, const det_class_report *c,
                           size_t k)
{
    const struct det_colour colour = det_palette_colour((int32_t)k);
    const size_t step = c->point_count / MOST_POINTS + 1;
    char x[64], y[64];
    DET_TRY_RETURN(
        det_text_printf(env, text,
                        "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"#%02x%02x%02x\" "
                        "points=\"",
                        colour.r, colour.g, colour.b));
    for (size_t i = 0; i < c->point_count; i++) {
        const det_curve_point *p = &c->points[i];
        if (i % step != 0 && i + 1 < c->point_count)
            continue;
        DET_TRY_RETURN(det_text_printf(
            env, text, "%s,%s ", det_fixed_text(x, PLOT_X + PLOT_SIDE * p->recall, 1),
            det_fixed_text(y, PLOT_Y + PLOT_SIDE * (1 - p->precision), 1)));
    }
    return det_text_printf(env, text, "\"/>\n");
}

static det_status put_legend(struct det_env *env, struct det_text *text, const det_class_report *c,
                             size_t k, size_t line)
{
    const struct det_colour colour = det_palette_colour((int32_t)k);
    const int y = PLOT_Y + 12 + (int)line * LEGEND_LINE;
    char a[64], b[64], number[32];
    DET_TRY_RETURN(det_text_printf(env, text,
                                   "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" "
                                   "fill=\"#%02x%02x%02x\"/><text x=\"%d\" y=\"%d\">",
                                   LEGEND_X, y - 10, colour.r, colour.g, colour.b, LEGEND_X + 18,
                                   y));
    DET_TRY_RETURN(det_text_xml_shown(env, text, name_of(c, number)));
    return det_text_printf(env, text, ": F1 %s at %s</text>\n", figure(a, c->best_f1),
                           det_fixed_text(b, c->best_threshold, 3));
}

static det_status curves_svg(struct det_env *env, const det_detection_report *report,
                             struct det_text *text)
{
    const int lines = (int)(report->class_count < 1000 ? report->class_count : 1000);
    const int height = PLOT_Y + 20 + lines * LEGEND_LINE > PLOT_SIDE + 70
                           ? PLOT_Y + 20 + lines * LEGEND_LINE
                           : PLOT_SIDE + 70;
    char iou[64];
    DET_TRY_RETURN(
        det_text_printf(env, text,
                        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"%d\" "
                        "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%%\" "
                        "height=\"100%%\" fill=\"white\"/>\n",
                        height));
    for (int i = 0; i <= 10; i++) {
        const int x = PLOT_X + PLOT_SIDE * i / 10, y = PLOT_Y + PLOT_SIDE - PLOT_SIDE * i / 10;
        DET_TRY_RETURN(det_text_printf(env, text,
                                       "<path d=\"M%d %dV%dM%d %dH%d\" stroke=\"#ddd\"/><text "
                                       "x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d.%d</text>"
                                       "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%d.%d</text>\n",
                                       x, PLOT_Y, PLOT_Y + PLOT_SIDE, PLOT_X, y, PLOT_X + PLOT_SIDE,
                                       x, PLOT_Y + PLOT_SIDE + 18, i / 10, i % 10, PLOT_X - 8,
                                       y + 4, i / 10, i % 10));
    }
    DET_TRY_RETURN(det_text_printf(
        env, text,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">recall (IoU %s)</text>"
        "<text transform=\"translate(18 %d) rotate(-90)\" "
        "text-anchor=\"middle\">precision</text>\n",
        PLOT_X + PLOT_SIDE / 2, PLOT_Y + PLOT_SIDE + 40,
        det_fixed_text(iou, report->settings.iou_threshold, 2), PLOT_Y + PLOT_SIDE / 2));
    for (size_t k = 0, line = 0; k < report->class_count; k++) {
        if (report->classes[k].objects == 0)
            continue;
        DET_TRY_RETURN(put_line(env, text, &report->classes[k], k));
        DET_TRY_RETURN(put_legend(env, text, &report->classes[k], k, line++));
    }
    return det_text_printf(env, text, "</svg>\n");
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
    char number[32], value[32];
    size_t count = 0;
    DET_TRY_RETURN(det_text_append(env, text, "{", 1));
    for (size_t k = 0; k < report->class_count; k++) {
        const det_class_report *c = &report->classes[k];
        /* Without an object or a hit there is nothing to choose by. */
        if (!(c->best_f1 > 0))
            continue;
        DET_TRY_RETURN(det_text_printf(env, text, count++ > 0 ? ",\n " : "\n "));
        DET_TRY_RETURN(det_text_json_string(env, text, name_of(c, number)));
        DET_TRY_RETURN(det_text_printf(
            env, text, ": %s", det_format_double(value, fmin(fmax(c->best_threshold, 0), 1))));
    }
    return det_text_printf(env, text, "\n}\n");
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
