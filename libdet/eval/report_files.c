/* report_files.c: the report of det/detection_report.h as a table and as files. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "eval/detection_report.h"
#include "support/io.h"
#include "support/json_writer.h"
#include "support/mem.h"
#include "support/utf8.h"

const char *det_class_report_name(const det_class_report *class, char buffer[32])
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
    DET_TRY_RETURN(det_text_column(env, text, det_class_report_name(c, number), width));
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
        const size_t length =
            det_utf8_shown_length(det_class_report_name(&report->classes[k], number));
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
            DET_TRY_RETURN(det_text_csv(env, text, det_class_report_name(c, number)));
            DET_TRY_RETURN(det_text_printf(
                env, text, ",%s,%s,%s,%lld,%lld\n", det_format_value(n[0], p->score),
                det_format_float(n[1], (float)p->precision),
                det_format_float(n[2], (float)p->recall), (long long)p->true_positives,
                (long long)p->false_positives));
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
        det_json_put_float(json, NULL, (float)value);
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
    det_json_put_float(json, "best_f1", (float)c->best_f1);
    det_json_put_value(json, "best_threshold", c->best_threshold);
    det_json_put_float(json, "best_precision", (float)c->best_precision);
    det_json_put_float(json, "best_recall", (float)c->best_recall);
    det_json_put_int(json, "voc_objects", c->voc_objects);
    det_json_put_float(json, "voc_ap", (float)c->voc_ap);
    det_json_put_float(json, "voc_ap_11_point", (float)c->voc_ap_11);
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
    det_json_put_float(&json, "iou_threshold", (float)report->settings.iou_threshold);
    det_json_put_float(&json, "voc_map", (float)report->voc_map);
    det_json_put_float(&json, "voc_map_11_point", (float)report->voc_map_11);
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

/* --- the others --- */

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
        det_json_put_value(&json, det_class_report_name(c, number),
                           fmin(fmax(c->best_threshold, 0), 1));
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
    {"pr_curves.csv", curves_csv},
    {"pr_curves.json", curves_json},
    {"pr_curves.svg", det_report_curves_svg},
    {"confusion.csv", det_report_confusion_csv},
    {"confusion.svg", det_report_confusion_svg},
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
