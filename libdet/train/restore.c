#include "train/restore.h"

#include <stdio.h>
#include <string.h>

#include "formats/tf_bundle.h"
#include "formats/weights.h"
#include "model/model.h"
#include "support/mem.h"
#include "train/checkpoint.h"

#define BACKBONE_PREFIX "model/_feature_extractor/classification_backbone/"

/* --- where values come from: one of the two kinds of file --- */

struct source {
    const char *path;
    struct det_tf_bundle *bundle;
    struct det_weights *file;
    struct det_model_meta meta; /* of a .det file */
    int64_t step;
    bool by_name; /* the class predictor is, in this order: */
    struct det_class_order order;
};

/* One variable of a source. */
struct variable {
    const struct det_tf_entry *entry;
    const struct det_weights_tensor *tensor;
    int32_t dims;
    const int64_t *shape;
};

static det_status open_det(struct det_env *env, struct source *source)
{
    DET_TRY_RETURN(det_weights_open(env, source->path, true, &source->file));
    DET_TRY_RETURN(det_model_meta_read(env, source->file, &source->meta));
    source->step = source->meta.step;
    if (source->meta.folded)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "%s: is an exported model: its batch norms are folded into the "
                        "convolutions, nothing can be trained from it; use the checkpoint it was "
                        "exported from",
                        source->path);
    return DET_OK;
}

static det_status open_bundle(struct det_env *env, struct source *source)
{
    DET_TRY_RETURN(det_tf_bundle_open(env, source->path, &source->bundle));
    return det_tf_bundle_step(env, source->bundle, &source->step);
}

static void close_source(struct det_env *env, struct source *source)
{
    det_tf_bundle_close(env, &source->bundle);
    det_model_meta_free(env, &source->meta);
    det_weights_close(env, &source->file);
    det_free(env, &source->order.from);
}

static struct det_known_classes classes_of(const struct source *source)
{
    return (struct det_known_classes){source->path, source->meta.names,
                                      source->meta.spec.num_classes};
}

/* Decides whether the class predictor is taken by name. */
static det_status match_classes(struct det_env *env, struct source *source,
                                const struct det_restore_classes *classes)
{
    if (source->file == NULL || classes == NULL || classes->labels == NULL ||
        classes->match == DET_CLASSES_RENAME)
        return DET_OK;
    const struct det_known_classes theirs = classes_of(source);
    const struct det_label_map *ours = classes->labels;
    const bool remap = classes->match == DET_CLASSES_REMAP;
    DET_TRY_RETURN(det_class_order_make(env, &theirs, ours, &source->order));
    const bool as_it_is = source->order.same && (theirs.count == ours->count || !remap);
    const bool another_head = classes->start && theirs.count != ours->count && !remap;
    if (as_it_is || another_head)
        return DET_OK;
    if (!classes->start && !remap)
        return det_class_order_fail(env, &theirs, ours,
                                    "--remap_classes takes the classes by name, --rename_classes "
                                    "gives its ids the names of the label map");
    if (!classes->start)
        DET_TRY_RETURN(det_class_order_require_all(env, &theirs, ours, &source->order));
    source->by_name = true;
    det_log(env, DET_LOG_INFO, "%s has other classes than %s: %d of %d are taken by name%s",
            source->path, ours->path, (int)source->order.found, (int)ours->item_count,
            source->order.found < ours->item_count ? ", the others start from their initial values"
                                                   : "");
    return DET_OK;
}

/* Of the layer that predicts the classes: how many columns our and their parameter has. */
static int64_t their_columns(const struct source *source, const struct det_param *param)
{
    return (int64_t)param->shape[param->dims - 1] / (source->order.count + 1) *
           (source->meta.spec.num_classes + 1);
}

static bool find_key(const struct source *source, const char *key, struct variable *variable)
{
    *variable = (struct variable){0};
    if (source->bundle != NULL) {
        variable->entry = det_tf_bundle_find_variable(source->bundle, key);
        if (variable->entry != NULL) {
            variable->dims = variable->entry->dims;
            variable->shape = variable->entry->shape;
        }
        return variable->entry != NULL;
    }
    variable->tensor = det_weights_find(source->file, key);
    if (variable->tensor != NULL) {
        variable->dims = variable->tensor->dims;
        variable->shape = variable->tensor->shape;
    }
    return variable->tensor != NULL;
}

/* Classification checkpoints were saved as Checkpoint(feature_extractor=backbone). */
static bool find_param(const struct source *source, const struct det_param *param,
                       struct variable *variable)
{
    const size_t prefix = strlen(BACKBONE_PREFIX);
    if (find_key(source, param->key, variable))
        return true;
    if (!param->backbone || strncmp(param->key, BACKBONE_PREFIX, prefix) != 0)
        return false;
    char key[256];
    snprintf(key, sizeof key, "feature_extractor/%s", param->key + prefix);
    return find_key(source, key, variable);
}

static bool fits(const struct source *source, const struct det_param *param,
                 const struct variable *variable)
{
    const bool by_name = source->by_name && det_param_is_by_class(param);
    bool same = param->dims == variable->dims;
    for (int32_t d = 0; same && d < param->dims; d++)
        same = variable->shape[d] == (by_name && d == param->dims - 1 ? their_columns(source, param)
                                                                      : (int64_t)param->shape[d]);
    return same;
}

static det_status read_by_name(struct det_env *env, const struct source *source,
                               const struct det_param *param, const struct variable *variable,
                               float *values)
{
    const int32_t theirs = source->meta.spec.num_classes;
    float *all = NULL;
    DET_TRY_RETURN(
        det_alloc_raw(env, &all, variable->tensor->count, sizeof *all, "class predictor"));
    const det_status status = det_weights_read_float(env, source->file, variable->tensor, all);
    if (status == DET_OK)
        det_class_columns_take(param, &source->order, theirs, all, values);
    det_free(env, &all);
    return status;
}

static det_status read_variable(struct det_env *env, const struct source *source,
                                const struct det_param *param, const struct variable *variable,
                                float *values)
{
    if (variable->entry != NULL)
        DET_TRY_RETURN(
            det_tf_bundle_read_float(env, source->bundle, variable->entry, values, param->count));
    else if (source->by_name && det_param_is_by_class(param))
        DET_TRY_RETURN(read_by_name(env, source, param, variable, values));
    else
        DET_TRY_RETURN(det_weights_read_float(env, source->file, variable->tensor, values));
    return det_params_check_finite(env, source->path, param, values);
}

static det_status read_values(struct det_env *env, const struct source *source,
                              const struct det_param *param, float *values)
{
    struct variable variable;
    (void)find_param(source, param, &variable); /* found before */
    return read_variable(env, source, param, &variable, values);
}

static bool ends_with(const char *text, const char *suffix)
{
    const size_t length = strlen(text), tail = strlen(suffix);
    return length >= tail && strcmp(text + length - tail, suffix) == 0;
}

/* Variables of the network in the file: no optimizer state, step or counters. */
static int32_t count_variables(const struct source *source)
{
    int32_t count = 0;
    for (size_t i = 0; source->bundle != NULL && i < det_tf_bundle_count(source->bundle); i++) {
        const char *key = det_tf_bundle_entry(source->bundle, i)->key;
        count += ends_with(key, DET_TF_VARIABLE_SUFFIX) && strstr(key, ".OPTIMIZER_SLOT") == NULL &&
                 strncmp(key, "optimizer/", 10) != 0 && strncmp(key, "step/", 5) != 0 &&
                 strncmp(key, "save_counter/", 13) != 0;
    }
    for (size_t i = 0; source->file != NULL && i < det_weights_count(source->file); i++)
        count += strstr(det_weights_tensor_at(source->file, i)->name, "/.") == NULL;
    return count;
}

/* --- the table --- */

enum group { GROUP_BACKBONE, GROUP_FPN, GROUP_COARSE, GROUP_BOX, GROUP_CLASS, GROUP_COUNT };

static const char *const group_names[GROUP_COUNT] = {"backbone", "FPN", "coarse levels", "box head",
                                                     "class head"};

/* A shared tower counts as the box head, whose name its batch norms carry. */
static enum group group_of(const struct det_param *param)
{
    if (param->backbone)
        return GROUP_BACKBONE;
    if (strstr(param->key, "/_fpn_features_generator/") != NULL)
        return GROUP_FPN;
    if (strstr(param->key, "/_coarse_feature_layers/") != NULL)
        return GROUP_COARSE;
    return strstr(param->key, "class_predictions_with_background") != NULL ||
                   strstr(param->key, "ClassPredictionTower") != NULL
               ? GROUP_CLASS
               : GROUP_BOX;
}

static bool in_scope(enum det_restore_scope scope, const struct det_param *param)
{
    const enum group group = group_of(param);
    return scope == DET_RESTORE_BACKBONE            ? group == GROUP_BACKBONE
           : scope == DET_RESTORE_FEATURE_EXTRACTOR ? group <= GROUP_COARSE
                                                    : true;
}

struct tally {
    struct {
        int32_t restored, wrong_shape, missing, out_of_scope;
    } groups[GROUP_COUNT];
    struct det_restore_report total;
    int32_t in_scope;
    int32_t required_failures; /* missing or misshapen where the scope must be complete */
    char first_missing[256], first_wrong[512];
};

static void shape_text(char *buffer, size_t bytes, int32_t dims, const int64_t *shape)
{
    size_t used = (size_t)snprintf(buffer, bytes, "[");
    for (int32_t d = 0; d < dims && used < bytes; d++)
        used += (size_t)snprintf(buffer + used, bytes - used, "%s%lld", d ? ", " : "",
                                 (long long)shape[d]);
    if (used < bytes)
        snprintf(buffer + used, bytes - used, "]");
}

static void note_wrong_shape(struct tally *tally, const struct det_param *param,
                             const struct variable *variable)
{
    if (tally->first_wrong[0] != '\0')
        return;
    char theirs[96], ours[96];
    int64_t shape[4];
    for (int32_t d = 0; d < param->dims; d++)
        shape[d] = param->shape[d];
    shape_text(theirs, sizeof theirs, variable->dims, variable->shape);
    shape_text(ours, sizeof ours, param->dims, shape);
    snprintf(tally->first_wrong, sizeof tally->first_wrong, "%s is %s, expected %s", param->key,
             theirs, ours);
}

/* Looks every parameter up; take[p] says which can be read. */
static void compare(const struct source *source, enum det_restore_scope scope,
                    const struct det_graph *graph, bool *take, struct tally *tally)
{
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        if (!param->stored)
            continue;
        const enum group group = group_of(param);
        struct variable variable = {0};
        if (!in_scope(scope, param)) {
            tally->groups[group].out_of_scope++;
            tally->total.out_of_scope++;
            tally->total.left_out += group <= GROUP_COARSE &&
                                     find_param(source, param, &variable) &&
                                     fits(source, param, &variable);
            continue;
        }
        tally->in_scope++;
        if (!find_param(source, param, &variable)) {
            tally->groups[group].missing++;
            tally->total.missing++;
            if (tally->first_missing[0] == '\0')
                snprintf(tally->first_missing, sizeof tally->first_missing, "%s", param->key);
        } else if (!fits(source, param, &variable)) {
            tally->groups[group].wrong_shape++;
            tally->total.wrong_shape++;
            note_wrong_shape(tally, param, &variable);
        } else {
            tally->groups[group].restored++;
            tally->total.restored++;
            take[p] = true;
            continue;
        }
        tally->required_failures += scope != DET_RESTORE_FITTING || group == GROUP_BACKBONE;
    }
    tally->total.step = source->step;
    tally->total.unused =
        count_variables(source) - tally->total.restored - tally->total.wrong_shape;
}

static void log_table(const struct det_env *env, const struct source *source,
                      const struct tally *tally)
{
    char step[48] = "";
    if (tally->total.step >= 0)
        snprintf(step, sizeof step, " (step %lld)", (long long)tally->total.step);
    det_log(env, DET_LOG_INFO, "restored from %s%s:", source->path, step);
    det_log(env, DET_LOG_INFO, "  %-13s | restored | wrong shape | missing | not asked for",
            "variables of");
    for (int g = 0; g < GROUP_COUNT; g++)
        det_log(env, DET_LOG_INFO, "  %-13s | %8d | %11d | %7d | %13d", group_names[g],
                tally->groups[g].restored, tally->groups[g].wrong_shape, tally->groups[g].missing,
                tally->groups[g].out_of_scope);
    if (tally->total.wrong_shape > 0)
        det_log(env, DET_LOG_WARNING,
                "%d variables have another shape and start from their initial values; first: %s",
                tally->total.wrong_shape, tally->first_wrong);
    if (tally->total.missing > 0)
        det_log(env, DET_LOG_WARNING,
                "%d variables are not in the file and start from their initial values; first: %s",
                tally->total.missing, tally->first_missing);
    if (tally->total.unused > 0)
        det_log(env, DET_LOG_INFO, "  %d variables of the file were not used", tally->total.unused);
}

static det_status judge(struct det_env *env, const struct source *source,
                        enum det_restore_scope scope, const struct tally *tally)
{
    const struct det_restore_report *total = &tally->total;
    const bool wrong_first = total->wrong_shape > 0;
    if (total->restored == 0)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "%s: fits none of the network's %d variables (%d missing, %d with another "
                        "shape; first: %s): is this an ssd_mobilenet_v2_fpn_keras checkpoint?",
                        source->path, tally->in_scope, total->missing, total->wrong_shape,
                        wrong_first ? tally->first_wrong : tally->first_missing);
    if (tally->required_failures > 0)
        return det_fail(
            env, DET_STATUS_MISMATCH,
            "%s: does not fit the network: of %d variables %d are missing and %d have another "
            "shape; first: %s%s",
            source->path, tally->in_scope, total->missing, total->wrong_shape,
            wrong_first ? tally->first_wrong : tally->first_missing,
            scope == DET_RESTORE_ALL
                ? " (to start a training from a part of it, set fine_tune_checkpoint_type: "
                  "\"detection\" or \"fine_tune\")"
                : "");
    return DET_OK;
}

static det_status open_source(struct det_env *env, const struct det_checkpoint_info *info,
                              const struct det_restore_classes *classes, struct source *source)
{
    source->path = info->path;
    DET_TRY_RETURN(info->is_tensorflow ? open_bundle(env, source) : open_det(env, source));
    return match_classes(env, source, classes);
}

det_status det_restore_params(struct det_env *env, const char *path, enum det_restore_scope scope,
                              const struct det_graph *graph,
                              const struct det_restore_classes *classes, float *params,
                              struct det_restore_report *report)
{
    const bool head = scope == DET_RESTORE_ALL || scope == DET_RESTORE_FITTING;
    struct det_checkpoint_info *info = NULL;
    struct source source = {.step = -1};
    struct tally tally = {0};
    bool *take = NULL;
    det_status status = DET_OK;
    *report = (struct det_restore_report){.step = -1};
    DET_TRY(det_alloc(env, &info, 1, sizeof *info, "checkpoint path"));
    DET_TRY(det_checkpoint_locate(env, path, info));
    DET_TRY(open_source(env, info, head ? classes : NULL, &source));
    DET_TRY(det_alloc(env, &take, (size_t)graph->param_count, sizeof *take, "restored variables"));
    compare(&source, scope, graph, take, &tally);
    *report = tally.total;
    DET_TRY(judge(env, &source, scope, &tally));
    for (int32_t p = 0; p < graph->param_count; p++)
        if (take[p])
            DET_TRY(read_values(env, &source, &graph->params[p], params + graph->params[p].offset));
    log_table(env, &source, &tally);
fail:
    det_free(env, &take);
    close_source(env, &source);
    det_free(env, &info);
    return status;
}

det_status det_restore_check_classes(struct det_env *env, const char *path,
                                     const struct det_restore_classes *classes)
{
    struct source source = {.path = path};
    det_status status = DET_OK;
    if (classes->match == DET_CLASSES_RENAME)
        return DET_OK;
    DET_TRY(open_det(env, &source));
    const struct det_known_classes theirs = classes_of(&source);
    DET_TRY(det_class_order_make(env, &theirs, classes->labels, &source.order));
    if (!source.order.same)
        DET_TRY(det_class_order_fail(
            env, &theirs, classes->labels,
            "a training goes on with the classes it began with: start one in another folder with "
            "this as its fine_tune_checkpoint; --rename_classes gives its ids the names of the "
            "label map"));
fail:
    close_source(env, &source);
    return status;
}

/* "/.SLOT/N" or TensorFlow's name of the slot; false: the file has no averages. */
static bool average_suffix(const struct source *source, char suffix[64])
{
    snprintf(suffix, 64, "/.OPTIMIZER_SLOT/optimizer/average");
    if (source->bundle != NULL)
        return true;
    const struct det_json training = det_json_get(det_weights_meta(source->file), "training");
    double slot = 0;
    if (!det_json_number(det_json_get(training, "average_slot"), &slot))
        return false;
    snprintf(suffix, 64, "/.SLOT/%.0f", slot);
    return true;
}

det_status det_restore_averages(struct det_env *env, const char *path,
                                const struct det_graph *graph,
                                const struct det_restore_classes *classes, float *params)
{
    struct det_checkpoint_info *info = NULL;
    struct source source = {.step = -1};
    char suffix[64], key[320];
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &info, 1, sizeof *info, "checkpoint path"));
    DET_TRY(det_checkpoint_locate(env, path, info));
    DET_TRY(open_source(env, info, classes, &source));
    const bool any = average_suffix(&source, suffix);
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        struct variable variable = {0};
        if (!param->trainable)
            continue;
        snprintf(key, sizeof key, "%s%s", param->key, suffix);
        if (!any || !find_key(&source, key, &variable) || !fits(&source, param, &variable))
            DET_TRY(det_fail(env, DET_STATUS_MISMATCH,
                             "%s: has no moving average of %s: it was trained without "
                             "use_moving_average, set eval_config.use_moving_averages: false",
                             source.path, param->key));
        DET_TRY(read_variable(env, &source, param, &variable, params + param->offset));
    }
    det_log(env, DET_LOG_INFO, "%s: the moving averages of the weights are used", source.path);
fail:
    close_source(env, &source);
    det_free(env, &info);
    return status;
}
