#include <math.h>
#include <stdio.h>
#include <string.h>

#include "monitor/chart.h"
#include "monitor/plot_parts.h"
#include "support/mem.h"

#define CATEGORY "DetectionBoxes_PerformanceByCategory/"

/* The newest value of a figure of a class, NaN when there is none. */
static det_status class_value(struct det_plot *plot, const char *figure, const char *name,
                              double *value)
{
    char *tag = NULL;
    DET_TRY_RETURN(det_format(plot->env, &tag, CATEGORY "%s/%s", figure, name));
    *value = det_plot_last_value(plot->eval, tag);
    det_free(plot->env, &tag);
    return DET_OK;
}

/* The threshold of a class's newest curve where F1 = 2 PR / (P + R) is highest; NaN without a
 * curve. */
static det_status best_f1(struct det_plot *plot, const char *name, double *f1, double *threshold)
{
    char *tag = NULL;
    *f1 = *threshold = NAN;
    DET_TRY_RETURN(det_format(plot->env, &tag, "PR@.50IOU/%s", name));
    const det_event *curve = det_plot_last(plot->eval, tag);
    det_free(plot->env, &tag);
    if (curve == NULL || curve->kind != DET_EVENT_PR_CURVE)
        return DET_OK;
    const size_t columns = (size_t)curve->columns;
    for (size_t t = 0; t < columns; t++) {
        const double hits = (double)curve->values[t], misses = (double)curve->values[columns + t];
        const double missed = (double)curve->values[3 * columns + t];
        const double value = hits > 0 ? 2 * hits / (2 * hits + misses + missed) : 0;
        if (!(value <= *f1)) {
            *f1 = value;
            *threshold = (double)t / (double)(columns - 1);
        }
    }
    return DET_OK;
}

/* "n/a" for what has no value: -1 means that there was no object to find. A bar shows the share
 * behind the number. */
static void put_share(struct det_xml_writer *xml, double value, bool bar)
{
    if (!(value >= 0 && value <= 1)) {
        det_xml_element(xml, "td", "n/a");
        return;
    }
    const int thousandths = (int)lround(value * 1000);
    det_xml_open(xml, "td");
    if (bar) {
        det_xml_attribute(xml, "class", "bar");
        det_xml_attribute_printf(xml, "style", "--p:%d.%d%%", thousandths / 10, thousandths % 10);
    }
    det_xml_text_printf(xml, "%d.%03d", thousandths / 1000, thousandths % 1000);
    det_xml_close(xml);
}

static void put_count(struct det_xml_writer *xml, double value)
{
    char number[32] = "n/a";
    if (fabs(value) < 9e15)
        snprintf(number, sizeof number, "%lld", (long long)value);
    det_xml_element(xml, "td", number);
}

static det_status put_row(struct det_plot *plot, const char *name)
{
    static const char *const shares[] = {"mAP", "mAP@.50IOU", "AR@100"};
    struct det_xml_writer *xml = &plot->xml;
    double value = NAN, f1 = NAN, threshold = NAN;
    det_xml_open(xml, "tr");
    det_xml_open(xml, "td");
    det_xml_text_shown(xml, name);
    det_xml_close(xml);
    DET_TRY_RETURN(class_value(plot, "objects", name, &value));
    put_count(xml, value);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        DET_TRY_RETURN(class_value(plot, shares[i], name, &value));
        put_share(xml, value, true);
    }
    DET_TRY_RETURN(best_f1(plot, name, &f1, &threshold));
    put_share(xml, f1, false);
    put_share(xml, threshold, false);
    det_xml_close(xml);
    det_xml_line(xml, 0);
    return xml->status;
}

static void open_table(struct det_xml_writer *xml)
{
    static const char *const heads[] = {
        "class", "objects", "AP", "AP at IoU .5", "AR, 100 detections", "best F1", "at a score of"};
    det_xml_element(xml, "h2", "Classes");
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "scroll");
    det_xml_open(xml, "table");
    det_xml_line(xml, 0);
    det_xml_open(xml, "tr");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        det_xml_element(xml, "th", heads[i]);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

det_status det_plot_append_classes(struct det_plot *plot)
{
    static const char prefix[] = CATEGORY "mAP/";
    const size_t count = plot->eval != NULL ? det_event_log_count(plot->eval) : 0;
    const char *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *tag = det_event_log_at(plot->eval, i)->tag;
        if (strncmp(tag, prefix, sizeof prefix - 1) != 0 ||
            (last != NULL && strcmp(tag, last) == 0))
            continue;
        if (last == NULL)
            open_table(&plot->xml);
        last = tag;
        DET_TRY_RETURN(put_row(plot, tag + sizeof prefix - 1));
    }
    if (last != NULL) {
        det_xml_close(&plot->xml);
        det_xml_close(&plot->xml);
        det_xml_line(&plot->xml, 0);
    }
    return plot->xml.status;
}
