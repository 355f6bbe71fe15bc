#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/chart.h"
#include "monitor/plot_parts.h"

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

/* The threshold of a class's newest curve where F1 = 2 PR / (P + R) is highest; NaN without a curve. */
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

/* "n/a" for what has no value: -1 means that there was no object to find. A bar shows the share behind the number. */
static det_status append_share(struct det_plot *plot, double value, bool bar)
{
    if (!(value >= 0 && value <= 1))
        return det_text_printf(plot->env, &plot->html, "<td>n/a</td>");
    const int thousandths = (int)lround(value * 1000);
    if (bar)
        DET_TRY_RETURN(det_text_printf(plot->env, &plot->html,
                                       "<td class=\"bar\" style=\"--p:%d.%d%%\">", thousandths / 10,
                                       thousandths % 10));
    else
        DET_TRY_RETURN(det_text_printf(plot->env, &plot->html, "<td>"));
    return det_text_printf(plot->env, &plot->html, "%d.%03d</td>", thousandths / 1000,
                           thousandths % 1000);
}

static det_status append_count(struct det_plot *plot, double value)
{
    return isfinite(value)
               ? det_text_printf(plot->env, &plot->html, "<td>%lld</td>", (long long)value)
               : det_text_printf(plot->env, &plot->html, "<td>n/a</td>");
}

static det_status append_row(struct det_plot *plot, const char *name)
{
    static const struct {
        const char *figure;
        bool bar;
    } shares[] = {{"mAP", true}, {"mAP@.50IOU", true}, {"AR@100", true}};
    double value = NAN, f1 = NAN, threshold = NAN;
    DET_TRY_RETURN(det_text_printf(plot->env, &plot->html, "<tr><td>"));
    DET_TRY_RETURN(det_text_xml_shown(plot->env, &plot->html, name));
    DET_TRY_RETURN(det_text_printf(plot->env, &plot->html, "</td>"));
    DET_TRY_RETURN(class_value(plot, "objects", name, &value));
    DET_TRY_RETURN(append_count(plot, value));
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        DET_TRY_RETURN(class_value(plot, shares[i].figure, name, &value));
        DET_TRY_RETURN(append_share(plot, value, shares[i].bar));
    }
    DET_TRY_RETURN(best_f1(plot, name, &f1, &threshold));
    DET_TRY_RETURN(append_share(plot, f1, false));
    DET_TRY_RETURN(append_share(plot, threshold, false));
    return det_text_printf(plot->env, &plot->html, "</tr>\n");
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
            DET_TRY_RETURN(det_text_printf(
                plot->env, &plot->html,
                "<h2>Classes</h2><div class=\"scroll\"><table>\n<tr><th>class</th><th>objects</th>"
                "<th>AP</th><th>AP at IoU .5</th><th>AR, 100 detections</th><th>best F1</th>"
                "<th>at a score of</th></tr>\n"));
        last = tag;
        DET_TRY_RETURN(append_row(plot, tag + sizeof prefix - 1));
    }
    return last != NULL ? det_text_printf(plot->env, &plot->html, "</table></div>\n") : DET_OK;
}
