/* plot.c: det/plot.h: the page's frame: what was read, the head with the figures that matter most,
 * the parts in order. */
#include "det/plot.h"

#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "monitor/chart.h"
#include "monitor/page.h"
#include "monitor/plot_parts.h"
#include "support/io.h"
#include "support/mem.h"

const det_event *det_plot_last(const det_event_log *log, const char *tag)
{
    const det_event *events = NULL;
    const size_t count = log != NULL ? det_event_log_find(log, tag, &events) : 0;
    return count > 0 ? &events[count - 1] : NULL;
}

double det_plot_last_value(const det_event_log *log, const char *tag)
{
    const det_event *event = det_plot_last(log, tag);
    return event != NULL && event->kind == DET_EVENT_SCALAR ? (double)event->values[0] : NAN;
}

/* --- reading --- */

static det_status read_run(struct det_plot *plot, const char *model_dir, const char *run,
                           det_event_log **log)
{
    char *folder = NULL;
    DET_TRY_RETURN(det_path_join(plot->env, &folder, model_dir, run));
    const det_status status = det_event_log_read(plot->context, folder, log);
    det_free(plot->env, &folder);
    return det_forgive(plot->env, status, DET_STATUS_NOT_FOUND);
}

static det_status read_runs(struct det_plot *plot, const char *model_dir)
{
    DET_TRY_RETURN(read_run(plot, model_dir, "train", &plot->train));
    DET_TRY_RETURN(read_run(plot, model_dir, plot->eval_run = "eval_exported", &plot->eval));
    if (plot->eval != NULL)
        DET_TRY_RETURN(read_run(plot, model_dir, "eval", &plot->api));
    else
        DET_TRY_RETURN(read_run(plot, model_dir, plot->eval_run = "eval", &plot->eval));
    /* Evaluations that were all made in another way (eval/evaluation_summary.h). */
    if (plot->eval == NULL && det_is_directory(model_dir))
        DET_TRY_RETURN(det_list_directory(plot->env, model_dir, &plot->runs));
    for (size_t i = 0; i < plot->runs.count && plot->eval == NULL; i++) {
        plot->eval_run = det_path_name(plot->runs.paths[i]);
        if (strncmp(plot->eval_run, "eval_", 5) == 0 && det_is_directory(plot->runs.paths[i]))
            DET_TRY_RETURN(read_run(plot, model_dir, plot->eval_run, &plot->eval));
    }
    if (plot->train == NULL && plot->eval == NULL)
        return det_fail(plot->env, DET_STATUS_NOT_FOUND,
                        "%s: no event files in train/ or eval/: det-train --eval_every or det-eval "
                        "--model_dir write them",
                        model_dir);
    return DET_OK;
}

/* --- head --- */

static void put_card(struct det_plot *plot, double value, const char *name, int64_t step)
{
    struct det_xml_writer *xml = &plot->xml;
    char number[32];
    if (!isfinite(value))
        return;
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "card");
    det_xml_element(xml, "b", det_chart_number(number, value));
    det_xml_open(xml, "span");
    det_xml_text(xml, name);
    if (step >= 0)
        det_xml_text_printf(xml, ", step %lld", (long long)step);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

/* Three decimals are what can be told apart. */
static double rounded(double value)
{
    return floor(value * 1000 + .5) / 1000;
}

static void put_cards(struct det_plot *plot)
{
    static const char ap[] = "DetectionBoxes_Precision/mAP";
    const det_event *events = NULL, *best = NULL;
    const size_t count = plot->eval != NULL ? det_event_log_find(plot->eval, ap, &events) : 0;
    for (size_t i = 0; i < count; i++)
        if (events[i].kind == DET_EVENT_SCALAR && events[i].values[0] >= 0 &&
            (best == NULL || events[i].values[0] > best->values[0]))
            best = &events[i];
    det_xml_open(&plot->xml, "div");
    det_xml_attribute(&plot->xml, "class", "cards");
    det_xml_line(&plot->xml, 0);
    if (best != NULL) {
        put_card(plot, rounded((double)best->values[0]), "best AP", best->step);
        put_card(plot, rounded((double)events[count - 1].values[0]), "newest AP",
                 events[count - 1].step);
        put_card(plot,
                 rounded(det_plot_last_value(plot->eval, "DetectionBoxes_Precision/mAP@.50IOU")),
                 "newest AP at IoU .5", -1);
    }
    const det_event *loss = det_plot_last(plot->train, "Loss/total_loss");
    if (loss != NULL)
        put_card(plot, det_plot_last_value(plot->train, "Loss/total_loss"), "training loss",
                 loss->step);
    put_card(plot, det_plot_last_value(plot->eval, "Loss/total_loss"), "evaluation loss", -1);
    put_card(plot, det_plot_last_value(plot->train, "steps_per_sec"), "steps per second", -1);
    det_xml_close(&plot->xml);
    det_xml_line(&plot->xml, 0);
}

static det_status write_page(struct det_plot *plot, const char *model_dir, const char *path)
{
    DET_TRY_RETURN(read_runs(plot, model_dir));
    struct det_xml_writer *xml = &plot->xml;
    det_xml_begin(xml, plot->env, &plot->html);
    det_page_begin(xml, model_dir, "Training report", NULL);
    put_cards(plot);
    DET_TRY_RETURN(det_plot_append_charts(plot));
    DET_TRY_RETURN(det_plot_append_classes(plot));
    DET_TRY_RETURN(det_plot_append_pictures(plot));
    det_page_end(xml);
    DET_TRY_RETURN(det_xml_end(xml));
    return det_write_file(plot->env, path, plot->html.data, plot->html.length);
}

det_status det_plot_write(det_context *context, const char *model_dir, const char *path)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model_dir);
    DET_NEED(env, path);
    struct det_plot plot = {.context = context, .env = env};
    const det_status status = write_page(&plot, model_dir, path);
    det_event_log_destroy(&plot.train);
    det_event_log_destroy(&plot.eval);
    det_event_log_destroy(&plot.api);
    det_path_list_free(env, &plot.runs);
    det_text_free(env, &plot.html);
    return status;
}
