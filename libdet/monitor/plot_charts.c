#include <math.h>
#include <stdio.h>
#include <string.h>

#include "monitor/chart.h"
#include "monitor/plot_parts.h"
#include "support/mem.h"

enum { MOST_SERIES = 12 };

#define CURVE_PREFIX "PR@.50IOU/"

/* A chart while it is put together; the numbers belong to it. */
struct draft {
    struct det_chart_series series[MOST_SERIES];
    double *numbers[MOST_SERIES]; /* x, then y */
    size_t count;
};

static void free_draft(struct det_env *env, struct draft *draft)
{
    for (size_t i = 0; i < draft->count; i++)
        det_free(env, &draft->numbers[i]);
    draft->count = 0;
}

static det_status add_series(struct det_env *env, struct draft *draft, const char *name,
                             size_t points, int colour, bool dashed)
{
    double **numbers = &draft->numbers[draft->count];
    DET_TRY_RETURN(det_alloc(env, numbers, 2 * points, sizeof **numbers, "chart"));
    draft->series[draft->count++] = (struct det_chart_series){
        .name = name, .x = *numbers, .y = *numbers + points, .colour = colour, .dashed = dashed};
    return DET_OK;
}

/* The scalars of a tag; nothing when there are none. Figures of -1 (nothing to find) are left out
 * where `no_negative`. */
static det_status add_scalars(struct det_env *env, struct draft *draft, const det_event_log *log,
                              const char *tag, const char *name, int colour, bool dashed,
                              bool no_negative)
{
    const det_event *events = NULL;
    const size_t count = log != NULL ? det_event_log_find(log, tag, &events) : 0;
    if (count == 0 || events->kind != DET_EVENT_SCALAR || draft->count == MOST_SERIES)
        return DET_OK;
    DET_TRY_RETURN(add_series(env, draft, name, count, colour, dashed));
    struct det_chart_series *series = &draft->series[draft->count - 1];
    double *x = draft->numbers[draft->count - 1], *y = x + count;
    for (size_t i = 0; i < count; i++) {
        const double value = (double)events[i].values[0];
        if (!isfinite(value) || (no_negative && value < 0))
            continue;
        x[series->count] = (double)events[i].step;
        y[series->count++] = value;
    }
    return DET_OK;
}

enum run { TRAIN, EVAL, API };

struct line {
    enum run run;
    const char *tag, *name;
    int colour;
};

static const det_event_log *log_of(const struct det_plot *plot, enum run run)
{
    return run == TRAIN ? plot->train : run == EVAL ? plot->eval : plot->api;
}

/* Lines of evaluations among those of training are dashed, and those of the API's way among the
 * exported form's. */
static det_status append_scalars(struct det_plot *plot, struct det_chart chart,
                                 const struct line *lines, size_t count, bool no_negative)
{
    struct draft draft = {.count = 0};
    bool of_train = false;
    det_status status = DET_OK;
    for (size_t i = 0; i < count; i++)
        of_train = of_train || lines[i].run == TRAIN;
    for (size_t i = 0; i < count; i++)
        DET_TRY(add_scalars(plot->env, &draft, log_of(plot, lines[i].run), lines[i].tag,
                            lines[i].name, lines[i].colour,
                            lines[i].run == API || (of_train && lines[i].run == EVAL),
                            no_negative));
    chart.x_name = "step";
    chart.series = draft.series;
    chart.series_count = draft.count;
    DET_TRY(det_chart_put(&plot->xml, &chart));
fail:
    free_draft(plot->env, &draft);
    return status;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static det_status append_training(struct det_plot *plot)
{
    static const struct line total[] = {
        {TRAIN, "Loss/total_loss", "training", 0},
        {EVAL, "Loss/total_loss", "evaluation", 1},
    };
    static const struct line parts[] = {
        {TRAIN, "Loss/classification_loss", "classification", 0},
        {TRAIN, "Loss/localization_loss", "localization", 1},
        {TRAIN, "Loss/regularization_loss", "regularization", 2},
        {EVAL, "Loss/classification_loss", "classification, evaluation", 0},
        {EVAL, "Loss/localization_loss", "localization, evaluation", 1},
    };
    static const struct line rate[] = {{TRAIN, "learning_rate", "learning rate", 3}};
    static const struct line norm[] = {{TRAIN, "gradient_norm", "global norm before clipping", 5}};
    static const struct line speed[] = {{TRAIN, "steps_per_sec", "steps per second", 2}};
    static const struct line wait[] = {{TRAIN, "data_wait_percent", "% of a step", 4},
                                       {TRAIN, "rank_wait_percent", "for other ranks", 1}};
    DET_TRY_RETURN(append_scalars(plot, (struct det_chart){.title = "Total loss", .smooth = true},
                                  total, COUNT(total), false));
    DET_TRY_RETURN(append_scalars(
        plot, (struct det_chart){.title = "Parts of the loss", .smooth = true, .from_zero = true},
        parts, COUNT(parts), false));
    DET_TRY_RETURN(append_scalars(plot,
                                  (struct det_chart){.title = "Learning rate", .from_zero = true},
                                  rate, COUNT(rate), false));
    DET_TRY_RETURN(append_scalars(
        plot, (struct det_chart){.title = "Gradient", .smooth = true, .from_zero = true}, norm,
        COUNT(norm), false));
    DET_TRY_RETURN(append_scalars(
        plot, (struct det_chart){.title = "Speed", .smooth = true, .from_zero = true}, speed,
        COUNT(speed), false));
    return append_scalars(
        plot, (struct det_chart){.title = "Waiting for data", .smooth = true, .from_zero = true},
        wait, COUNT(wait), false);
}

static det_status append_precision(struct det_plot *plot)
{
    static const struct line precision[] = {
        {EVAL, "DetectionBoxes_Precision/mAP", "AP", 0},
        {EVAL, "DetectionBoxes_Precision/mAP@.50IOU", "AP at IoU .5", 2},
        {EVAL, "DetectionBoxes_Precision/mAP@.75IOU", "AP at IoU .75", 1},
        {API, "DetectionBoxes_Precision/mAP", "AP as eval_continuously() evaluates", 0},
    };
    static const struct line sizes[] = {
        {EVAL, "DetectionBoxes_Precision/mAP (small)", "small, to 32\302\262 px", 3},
        {EVAL, "DetectionBoxes_Precision/mAP (medium)", "medium, to 96\302\262 px", 4},
        {EVAL, "DetectionBoxes_Precision/mAP (large)", "large", 5},
    };
    static const struct line recall[] = {
        {EVAL, "DetectionBoxes_Recall/AR@1", "1 detection an image", 6},
        {EVAL, "DetectionBoxes_Recall/AR@10", "10", 4},
        {EVAL, "DetectionBoxes_Recall/AR@100", "100", 0},
    };
    DET_TRY_RETURN(append_scalars(
        plot, (struct det_chart){.title = "Average precision", .from_zero = true, .y_max = 1},
        precision, COUNT(precision), true));
    DET_TRY_RETURN(append_scalars(
        plot,
        (struct det_chart){
            .title = "Average precision by size of the object", .from_zero = true, .y_max = 1},
        sizes, COUNT(sizes), true));
    return append_scalars(
        plot, (struct det_chart){.title = "Average recall", .from_zero = true, .y_max = 1}, recall,
        COUNT(recall), true);
}

/* --- precision over recall --- */

static det_status add_curve(struct det_env *env, struct draft *draft, const det_event *curve)
{
    const int32_t columns = curve->columns;
    const float *hits = curve->values, *misses = hits + columns;
    const float *precision = hits + (size_t)4 * (size_t)columns, *recall = precision + columns;
    DET_TRY_RETURN(add_series(env, draft, curve->tag + strlen(CURVE_PREFIX), (size_t)columns,
                              (int)draft->count, draft->count >= DET_CHART_COLOURS));
    struct det_chart_series *series = &draft->series[draft->count - 1];
    double *x = draft->numbers[draft->count - 1], *y = x + columns;
    /* By rising recall: from the highest threshold down; those that nothing reaches say nothing. */
    for (int32_t t = columns; t-- > 0;) {
        if (!(hits[t] + misses[t] > 0))
            continue;
        x[series->count] = (double)recall[t];
        y[series->count++] = (double)precision[t];
    }
    return DET_OK;
}

static det_status append_curves(struct det_plot *plot)
{
    struct draft draft = {.count = 0};
    char title[96] = "";
    size_t left_out = 0;
    det_status status = DET_OK;
    const size_t count = plot->eval != NULL ? det_event_log_count(plot->eval) : 0;
    for (size_t i = 0; i < count; i++) {
        const det_event *event = det_event_log_at(plot->eval, i);
        const det_event *next = det_event_log_at(plot->eval, i + 1);
        const bool newest = next == NULL || strcmp(next->tag, event->tag) != 0;
        if (!newest || event->kind != DET_EVENT_PR_CURVE ||
            strncmp(event->tag, CURVE_PREFIX, strlen(CURVE_PREFIX)) != 0)
            continue;
        if (draft.count == MOST_SERIES) {
            left_out++;
            continue;
        }
        DET_TRY(add_curve(plot->env, &draft, event));
        if (draft.series[draft.count - 1].count > 0)
            snprintf(title, sizeof title, "Precision over recall at IoU .5, step %lld",
                     (long long)event->step);
    }
    if (left_out > 0)
        snprintf(title + strlen(title), sizeof title - strlen(title),
                 ", %zu more classes not shown", left_out);
    const struct det_chart chart = {.title = title,
                                    .x_name = "recall",
                                    .series = draft.series,
                                    .series_count = draft.count,
                                    .from_zero = true,
                                    .x_max = 1,
                                    .y_max = 1};
    DET_TRY(det_chart_put(&plot->xml, &chart));
fail:
    free_draft(plot->env, &draft);
    return status;
}

static void open_grid(struct det_xml_writer *xml)
{
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "grid2");
    det_xml_line(xml, 0);
}

static void close_grid(struct det_xml_writer *xml)
{
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

det_status det_plot_append_charts(struct det_plot *plot)
{
    struct det_xml_writer *xml = &plot->xml;
    if (plot->eval != NULL) {
        det_xml_open(xml, "h2");
        det_xml_text(xml, "Evaluation");
        if (strcmp(plot->eval_run, "eval") != 0) {
            det_xml_text(xml, ", ");
            det_xml_text_shown(xml, plot->eval_run);
        }
        det_xml_close(xml);
        open_grid(xml);
        DET_TRY_RETURN(append_precision(plot));
        DET_TRY_RETURN(append_curves(plot));
        close_grid(xml);
    }
    if (plot->train == NULL && plot->eval == NULL)
        return xml->status;
    det_xml_element(xml, "h2", "Training");
    open_grid(xml);
    DET_TRY_RETURN(append_training(plot));
    close_grid(xml);
    return xml->status;
}
