#include "train/best.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/mem.h"
#include "support/path.h"

#define LOSS_PREFIX "Loss/"

enum { LOSS_COUNT = 4, NAME_COUNT = DET_COCO_STAT_COUNT + LOSS_COUNT };

static const char *const loss_names[LOSS_COUNT] = {
    LOSS_PREFIX "localization_loss",
    LOSS_PREFIX "classification_loss",
    LOSS_PREFIX "regularization_loss",
    LOSS_PREFIX "total_loss",
};

static const char *name_at(int i)
{
    return i < DET_COCO_STAT_COUNT ? det_coco_stat_name((det_coco_stat)i)
                                   : loss_names[i - DET_COCO_STAT_COUNT];
}

det_status det_best_metric(struct det_env *env, const char *written,
                           char name[DET_METRIC_NAME_BYTES])
{
    struct det_text all = {0};
    det_status status = DET_OK;
    if (written == NULL || written[0] == '\0')
        written = det_coco_stat_name(DET_COCO_AP);
    for (int i = 0; i < NAME_COUNT; i++) /* "AR@100" means "DetectionBoxes_Recall/AR@100" */
        if (strcmp(written, name_at(i)) == 0 || strcmp(written, det_path_name(name_at(i))) == 0) {
            snprintf(name, DET_METRIC_NAME_BYTES, "%s", name_at(i));
            return DET_OK;
        }
    for (int i = 0; i < NAME_COUNT; i++)
        DET_TRY(det_text_printf(env, &all, "%s%s", i > 0 ? ", " : "", det_path_name(name_at(i))));
    status =
        det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                 "\"%.60s\" is no figure of an evaluation, expected one of: %s", written, all.data);
fail:
    det_text_free(env, &all);
    return status;
}

double det_best_value(const char *name, const det_coco_result *coco,
                      const det_evaluation_losses *losses)
{
    const double loss[LOSS_COUNT] = {losses->localization, losses->classification,
                                     losses->regularization, losses->total};
    for (int i = 0; i < NAME_COUNT; i++)
        if (strcmp(name, name_at(i)) == 0)
            return i < DET_COCO_STAT_COUNT ? coco->stats[i] : loss[i - DET_COCO_STAT_COUNT];
    return NAN;
}

static bool is_loss(const char *name)
{
    return strncmp(name, LOSS_PREFIX, strlen(LOSS_PREFIX)) == 0;
}

/* By how much `value` is better than `than`; negative: worse. */
static double gain(const struct det_best *best, double value, double than)
{
    return is_loss(best->metric) ? than - value : value - than;
}

bool det_best_update(struct det_best *best, double value, int64_t step, double min_delta)
{
    const bool usable = isfinite(value) && (is_loss(best->metric) || value >= 0);
    best->evaluated_step = step;
    if (!usable || (best->known && !(gain(best, value, best->reference) > min_delta)))
        best->stale++;
    else {
        best->stale = 0;
        best->reference = value;
    }
    /* Small gains that together do not reach min_delta still make the best checkpoint. */
    if (!usable || (best->known && !(gain(best, value, best->value) > 0)))
        return false;
    best->known = true;
    best->value = value;
    best->step = step;
    return true;
}

/* --- in a checkpoint --- */

/* Steps are numbers below 2^53 here; doubles are written so that they read back exactly. */
void det_best_to_json(struct det_json_writer *json, const char *key, const struct det_best *best)
{
    det_json_open_object(json, key);
    det_json_put_string(json, "metric", best->metric);
    if (best->known) {
        det_json_put_double(json, "value", best->value);
        det_json_put_int(json, "step", best->step);
        det_json_put_double(json, "reference", best->reference);
    }
    det_json_put_int(json, "evaluated_step", best->evaluated_step);
    det_json_put_int(json, "stale", best->stale);
    det_json_close_object(json);
}

static bool read_count(struct det_json json, const char *name, int64_t *value)
{
    double number = 0;
    if (!det_json_number(det_json_get(json, name), &number) || !(number >= 0 && number < 9e15) ||
        number != floor(number))
        return false;
    *value = (int64_t)number;
    return true;
}

det_status det_best_from_json(struct det_env *env, const char *path, struct det_json json,
                              struct det_best *best)
{
    *best = (struct det_best){0};
    if (det_json_kind(json) == DET_JSON_NONE)
        return DET_OK;
    const struct det_json value = det_json_get(json, "value");
    struct det_best read = {.known = det_json_kind(value) != DET_JSON_NONE};
    char *metric = NULL;
    DET_TRY_RETURN(det_json_string(env, det_json_get(json, "metric"), &metric));
    det_status status = DET_OK;
    if (metric == NULL || !read_count(json, "evaluated_step", &read.evaluated_step) ||
        !read_count(json, "stale", &read.stale) ||
        (read.known && (!det_json_number(value, &read.value) ||
                        !det_json_number(det_json_get(json, "reference"), &read.reference) ||
                        !isfinite(read.value) || !isfinite(read.reference) ||
                        !read_count(json, "step", &read.step))))
        status =
            det_fail(env, DET_STATUS_CORRUPT, "%s: no valid `evaluation` of the training", path);
    else
        status = det_best_metric(env, metric, read.metric);
    det_free(env, &metric);
    if (status == DET_OK)
        *best = read;
    return status;
}
