#include "common/progress_json.h"

#include <math.h>

#include "common/console.h"
#include "common/output.h"
#include "support/json_writer.h"

det_status progress_json_open(struct tool *tool, struct progress_json *json, const char *path)
{
    if (path == NULL)
        return DET_OK;
    DET_TRY_RETURN(tool_writes(tool, "--json", path));
    DET_TRY_RETURN(output_open(&tool->env, path, &json->writer));
    json->open = true;
    return DET_OK;
}

/* A training goes on without it. */
static det_status send(struct tool *tool, struct progress_json *json, struct det_json_writer *line)
{
    det_json_close_object(line);
    det_json_line(line, 0);
    DET_TRY_RETURN(det_json_end(line));
    const det_status status =
        console_send(&tool->env, &json->writer, json->text.data, json->text.length);
    if (status == DET_OK)
        return DET_OK;
    tool_log(tool, DET_LOG_WARNING, "--json: %s; nothing more is written there",
             tool_message(tool, status));
    det_writer_discard(&tool->env, &json->writer);
    json->open = false;
    return DET_OK;
}

static void begin(struct tool *tool, struct progress_json *json, struct det_json_writer *line)
{
    json->text.length = 0;
    det_json_begin(line, &tool->env, &json->text, DET_JSON_COMPACT);
    det_json_open_object(line, NULL);
}

static void put_losses(struct det_json_writer *line, double total, double localization,
                       double classification, double regularization)
{
    det_json_open_object(line, "loss");
    det_json_put_float(line, "total", (float)total);
    det_json_put_float(line, "localization", (float)localization);
    det_json_put_float(line, "classification", (float)classification);
    det_json_put_float(line, "regularization", (float)regularization);
    det_json_close_object(line);
}

det_status progress_json_step(struct tool *tool, struct progress_json *json,
                              const det_step_report *r, double seconds_per_step, double eta_s)
{
    struct det_json_writer line;
    const bool ends = r->num_steps < INT64_MAX;
    if (!json->open)
        return DET_OK;
    begin(tool, json, &line);
    det_json_put_int(&line, "step", r->step);
    if (ends)
        det_json_put_int(&line, "num_steps", r->num_steps);
    else
        det_json_put_made(&line, "num_steps", "null");
    det_json_put_float(&line, "eta_s", ends ? (float)eta_s : NAN);
    det_json_put_float(&line, "seconds_per_step", (float)seconds_per_step);
    det_json_put_float(&line, "images_per_second", (float)(r->images / seconds_per_step));
    put_losses(&line, r->total_loss, r->localization_loss, r->classification_loss,
               r->regularization_loss);
    det_json_put_float(&line, "learning_rate", (float)r->learning_rate);
    return send(tool, json, &line);
}

det_status progress_json_evaluation(struct tool *tool, struct progress_json *json,
                                    const det_step_report *r)
{
    struct det_json_writer line;
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    if (!json->open)
        return DET_OK;
    const double *stats = det_evaluation_coco(r->evaluation)->stats;
    DET_TRY_RETURN(det_evaluation_get_losses(r->evaluation, &losses));
    begin(tool, json, &line);
    det_json_put_int(&line, "evaluated_step", r->step);
    det_json_put_float(&line, "mAP", (float)stats[DET_COCO_AP]);
    det_json_put_float(&line, "AP50", (float)stats[DET_COCO_AP50]);
    det_json_put_float(&line, "AP75", (float)stats[DET_COCO_AP75]);
    det_json_put_float(&line, "AR100", (float)stats[DET_COCO_AR_100]);
    put_losses(&line, losses.total, losses.localization, losses.classification,
               losses.regularization);
    if (r->api_evaluation != NULL)
        det_json_put_float(&line, "api_mAP",
                           (float)det_evaluation_coco(r->api_evaluation)->stats[DET_COCO_AP]);
    det_json_put_float(&line, "seconds", (float)r->eval_seconds);
    det_json_put_bool(&line, "best", r->is_best != 0);
    return send(tool, json, &line);
}

det_status progress_json_close(struct tool *tool, struct progress_json *json)
{
    const bool open = json->open;
    json->open = false;
    det_text_free(&tool->env, &json->text);
    return open ? det_writer_commit(&tool->env, &json->writer) : DET_OK;
}
