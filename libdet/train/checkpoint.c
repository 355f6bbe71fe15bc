/* checkpoint.c: a training on disk. The "training" object of the meta JSON (model/model_file.c has
 * the rest):
 *
 *   {"optimizer": "momentum", "slots": 1, "updates": "600", "seed": "1", "next_sample": "4800",
 *    "evaluation": {"metric": "DetectionBoxes_Precision/mAP", "value": 0.41, "step": 500,
 *                   "reference": 0.41, "evaluated_step": 600, "stale": 1}}
 *
 * Numbers of 64 bits are strings, as JSON readers keep 53 bits. "evaluation" (train/best.h) is only
 * there when evaluations were made between the steps: the best so far, and how many came since;
 * "average_slot" (a number) when one of the slots holds moving averages of the weights. The ranges
 * of a training in 8 bits are tensors (model/act_ranges.h). */
#include "train/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/weights.h"
#include "model/model.h"
#include "support/io.h"
#include "support/json_writer.h"
#include "support/mem.h"

static const char *const rule_names[] = {"momentum", "rmsprop", "adam"};

static void slot_suffix(char buffer[24], int32_t slot)
{
    snprintf(buffer, 24, "/.SLOT/%d", slot);
}

/* --- saving --- */

/* A training that went wrong must not push the good checkpoints out of the rotation. */
static det_status check_finite(struct det_env *env, const char *path,
                               const struct det_learner *learner)
{
    for (int32_t p = 0; p < learner->graph.param_count; p++) {
        const struct det_param *param = &learner->graph.params[p];
        DET_TRY_RETURN(det_params_check_finite(env, path, param, learner->params + param->offset));
        for (int32_t s = 0; s < learner->slot_count; s++)
            if (det_params_check_finite(env, path, param, learner->slots[s] + param->offset) !=
                DET_OK)
                return det_fail_prefix(env, DET_STATUS_NON_FINITE, "optimizer state %d", s);
    }
    return DET_OK;
}

static det_status add_tensors(struct det_env *env, struct det_weights_writer *writer,
                              const struct det_learner *learner)
{
    for (int32_t p = 0; p < learner->graph.param_count; p++) {
        const struct det_param *param = &learner->graph.params[p];
        if (param->stored)
            DET_TRY_RETURN(det_params_add(env, writer, param, "", learner->params));
    }
    for (int32_t s = 0; s < learner->slot_count; s++) {
        char suffix[24];
        slot_suffix(suffix, s);
        for (int32_t p = 0; p < learner->graph.param_count; p++) {
            const struct det_param *param = &learner->graph.params[p];
            if (param->trainable)
                DET_TRY_RETURN(det_params_add(env, writer, param, suffix, learner->slots[s]));
        }
    }
    return DET_OK;
}

det_status det_checkpoint_save(struct det_env *env, const char *path,
                               const struct det_learner *learner, const char *const *class_names,
                               const struct det_checkpoint_state *state)
{
    DET_TRY_RETURN(check_finite(env, path, learner));
    return det_checkpoint_write(env, path, learner, class_names, state, NULL, 0);
}

/* Numbers that may be above 2^53 are strings: most readers take JSON's numbers for doubles. */
static void put_u64(struct det_json_writer *json, const char *key, uint64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    det_json_put_string(json, key, digits);
}

static det_status training_to_json(struct det_env *env, const struct det_learner *learner,
                                   const struct det_checkpoint_state *state, struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, "optimizer", rule_names[learner->settings.rule]);
    det_json_put_int(&json, "slots", learner->slot_count);
    put_u64(&json, "updates", (uint64_t)learner->updates);
    put_u64(&json, "seed", state->seed);
    put_u64(&json, "next_sample", state->next_sample);
    if (learner->average_slot >= 0)
        det_json_put_int(&json, "average_slot", learner->average_slot);
    if (state->best.metric[0] != '\0')
        det_best_to_json(&json, "evaluation", &state->best);
    det_json_close_object(&json);
    return det_json_end(&json);
}

det_status det_checkpoint_write(struct det_env *env, const char *path,
                                const struct det_learner *learner, const char *const *class_names,
                                const struct det_checkpoint_state *state,
                                const struct det_checkpoint_extra *extra, size_t extra_count)
{
    struct det_weights_writer *writer = NULL;
    struct det_text training = {0}, json = {0};
    det_status status = DET_OK;
    const struct det_model_meta meta = {
        .spec = learner->spec,
        .step = state->step,
        .names = class_names,
        .recalibrated_images = state->recalibrated != NULL ? state->recalibrated_images : 0,
        .recalibrated_with_averages = state->recalibrated_with_averages,
    };
    DET_TRY(training_to_json(env, learner, state, &training));
    DET_TRY(det_model_meta_to_json(env, &meta, training.data, &json));
    DET_TRY(det_weights_writer_create(env, path, NULL, &writer));
    DET_TRY(det_weights_writer_set_meta(env, writer, json.data));
    DET_TRY(add_tensors(env, writer, learner));
    if (learner->ranges.updates > 0)
        DET_TRY(det_act_ranges_add(env, writer, &learner->ranges));
    if (state->recalibrated != NULL)
        DET_TRY(det_recalibrated_add(env, writer, &learner->graph, state->recalibrated));
    for (size_t i = 0; i < extra_count; i++)
        DET_TRY(det_weights_writer_add(env, writer, extra[i].name, DET_WEIGHTS_F32, extra[i].shape,
                                       extra[i].dims, extra[i].data));
    DET_TRY(det_weights_writer_finish(env, &writer));
fail:
    det_weights_writer_destroy(env, &writer);
    det_text_free(env, &training);
    det_text_free(env, &json);
    return status;
}

/* --- loading --- */

/* A decimal number without sign. */
static det_status read_u64(struct det_env *env, const char *path, struct det_json training,
                           const char *name, uint64_t *value)
{
    char *text = NULL;
    DET_TRY_RETURN(det_json_string(env, det_json_get(training, name), &text));
    const char *digit = text != NULL ? text : "";
    bool good = *digit != '\0';
    *value = 0;
    for (; good && *digit != '\0'; digit++) {
        const unsigned next = (unsigned)(*digit - '0');
        good = next <= 9 && *value <= (UINT64_MAX - next) / 10;
        *value = *value * 10 + next;
    }
    det_free(env, &text);
    return good
               ? DET_OK
               : det_fail(env, DET_STATUS_CORRUPT, "%s: no valid `%s` of the training", path, name);
}

static det_status check_spec(struct det_env *env, const char *path,
                             const struct det_model_spec *theirs, const struct det_model_spec *ours)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_model_spec_difference(env, theirs, ours, true, &text));
    if (text.length > 0)
        DET_TRY(det_fail(env, DET_STATUS_MISMATCH,
                         "%s: was trained for another network than the config describes: %s", path,
                         text.data));
    DET_TRY(det_model_spec_difference(env, theirs, ours, false, &text));
    if (text.length > 0)
        det_log(env, DET_LOG_WARNING, "%s: the config has changed since: %s", path, text.data);
fail:
    det_text_free(env, &text);
    return status;
}

static det_status check_optimizer(struct det_env *env, const char *path, struct det_json training,
                                  const struct det_learner *learner)
{
    const struct det_json theirs = det_json_get(training, "optimizer");
    const char *ours = rule_names[learner->settings.rule];
    if (det_json_kind(theirs) != DET_JSON_STRING)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: holds no training state", path);
    if (!det_json_equals(theirs, ours)) {
        size_t bytes = 0;
        const char *text = det_json_source(theirs, &bytes);
        return det_fail(env, DET_STATUS_MISMATCH,
                        "%s: optimizer is %.*s instead of the config's \"%s\"", path,
                        (int)(bytes < 40 ? bytes : 40), text, ours);
    }
    const bool averages = det_json_kind(det_json_get(training, "average_slot")) == DET_JSON_NUMBER;
    if (averages != (learner->average_slot >= 0))
        return det_fail(
            env, DET_STATUS_MISMATCH, "%s: was trained %s use_moving_average, the config says %s",
            path, averages ? "with" : "without", learner->average_slot >= 0 ? "true" : "false");
    return DET_OK;
}

/* A training that has begun to round goes on so: its batch norms are frozen, its weights are those
 * of 8 bits. */
static det_status read_ranges(struct det_env *env, const struct det_weights *file,
                              struct det_learner *learner)
{
    if (!det_act_ranges_are_in(file)) {
        learner->ranges.updates = 0;
        return DET_OK;
    }
    if (!learner->settings.quantise)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "%s: is trained in 8 bits, but the config has no graph_rewriter; to train "
                        "on without it give it as fine_tune_checkpoint",
                        det_weights_path(file));
    return det_act_ranges_read(env, file, &learner->ranges);
}

/* With `copy` false only looks everything up, so that a learner is never half overwritten. */
static det_status visit_tensors(struct det_env *env, const struct det_weights *file,
                                struct det_learner *learner, bool copy, bool finite)
{
    const char *path = det_weights_path(file);
    for (int32_t p = 0; p < learner->graph.param_count; p++) {
        const struct det_param *param = &learner->graph.params[p];
        for (int32_t s = -1; s < learner->slot_count; s++) {
            const struct det_weights_tensor *tensor = NULL;
            char suffix[24] = "";
            if (s < 0 ? !param->stored : !param->trainable)
                continue;
            if (s >= 0)
                slot_suffix(suffix, s);
            DET_TRY_RETURN(det_params_require(env, file, param, suffix, &tensor));
            float *to = (s < 0 ? learner->params : learner->slots[s]) + param->offset;
            if (copy)
                memcpy(to, tensor->data, tensor->bytes);
            else if (finite)
                DET_TRY_RETURN(det_params_check_finite(env, path, param, tensor->data));
        }
    }
    return DET_OK;
}

static det_status load(struct det_env *env, const char *path, struct det_learner *learner,
                       bool finite, struct det_checkpoint_state *state)
{
    struct det_weights *file = NULL;
    struct det_model_meta meta = {0};
    struct det_checkpoint_state read = {0};
    uint64_t updates = 0;
    det_status status = DET_OK;
    DET_TRY(det_weights_open(env, path, true, &file));
    DET_TRY(det_model_meta_read(env, file, &meta));
    const struct det_json training = det_json_get(det_weights_meta(file), "training");
    if (meta.folded)
        DET_TRY(det_fail(env, DET_STATUS_MISMATCH,
                         "%s: is an exported model, expected a training checkpoint", path));
    DET_TRY(check_optimizer(env, path, training, learner));
    DET_TRY(check_spec(env, path, &meta.spec, &learner->spec));
    DET_TRY(read_u64(env, path, training, "updates", &updates));
    DET_TRY(read_u64(env, path, training, "seed", &read.seed));
    DET_TRY(read_u64(env, path, training, "next_sample", &read.next_sample));
    DET_TRY(det_best_from_json(env, path, det_json_get(training, "evaluation"), &read.best));
    read.step = meta.step;
    DET_TRY(visit_tensors(env, file, learner, false, finite));
    DET_TRY(read_ranges(env, file, learner));
    DET_TRY(visit_tensors(env, file, learner, true, finite));
    learner->updates = (int64_t)(updates & INT64_MAX);
    *state = read;
fail:
    det_model_meta_free(env, &meta);
    det_weights_close(env, &file);
    return status;
}

det_status det_checkpoint_load(struct det_env *env, const char *path, struct det_learner *learner,
                               struct det_checkpoint_state *state)
{
    return load(env, path, learner, true, state);
}

det_status det_checkpoint_load_any(struct det_env *env, const char *path,
                                   struct det_learner *learner, struct det_checkpoint_state *state)
{
    return load(env, path, learner, false, state);
}

/* --- folders --- */

static int by_falling_number(const void *a, const void *b)
{
    const int64_t x = det_checkpoint_number(*(char *const *)a);
    const int64_t y = det_checkpoint_number(*(char *const *)b);
    return x > y ? -1 : x < y;
}

/* All ckpt-N.det of a folder, the highest number first. */
static det_status list_checkpoints(struct det_env *env, const char *directory,
                                   struct det_path_list *list)
{
    DET_TRY_RETURN(det_list_directory(env, directory, list));
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        char *path = list->paths[i];
        list->paths[i] = NULL;
        if (det_checkpoint_number(path) >= 0)
            list->paths[kept++] = path;
        else
            det_free(env, &path);
    }
    list->count = kept;
    if (kept > 1)
        qsort(list->paths, kept, sizeof *list->paths, by_falling_number);
    return DET_OK;
}

/* The newest, then all that are kept, rising. */
static det_status write_state(struct det_env *env, const char *directory, const char *newest,
                              const struct det_path_list *list, size_t kept)
{
    struct det_text text = {0};
    char *path = NULL;
    bool foreign = false;
    det_status status = DET_OK;
    DET_TRY(det_checkpoint_own_state(env, directory, &path, &foreign));
    DET_TRY(det_text_printf(env, &text, "model_checkpoint_path: \"%s\"\n", det_path_name(newest)));
    for (size_t i = kept; i-- > 0;)
        DET_TRY(det_text_printf(env, &text, "all_model_checkpoint_paths: \"%s\"\n",
                                det_path_name(list->paths[i])));
    DET_TRY(det_write_file(env, path, text.data, text.length));
fail:
    det_text_free(env, &text);
    det_free(env, &path);
    return status;
}

det_status det_checkpoint_rotate(struct det_env *env, const char *directory, const char *path,
                                 int32_t keep)
{
    struct det_path_list list = {0};
    det_status status = DET_OK;
    DET_TRY(list_checkpoints(env, directory, &list));
    /* The newest of this run stays even when an older run left higher numbers: it moves to the kept
     * end. */
    size_t kept = keep < 1 || (size_t)keep > list.count ? list.count : (size_t)keep;
    for (size_t i = kept; i < list.count; i++)
        if (strcmp(det_path_name(list.paths[i]), det_path_name(path)) == 0) {
            char *last = list.paths[kept - 1];
            list.paths[kept - 1] = list.paths[i];
            list.paths[i] = last;
        }
    /* First the list, then the files: it never names one that is gone. */
    DET_TRY(write_state(env, directory, path, &list, kept));
    for (size_t i = kept; i < list.count; i++)
        if (unlink(list.paths[i]) != 0 && errno != ENOENT)
            det_log(env, DET_LOG_WARNING, "%s: cannot remove: %s", list.paths[i], strerror(errno));
    det_writer_remove_leftovers(env, directory, "ckpt-");
    det_writer_remove_leftovers(env, directory, "checkpoint");
fail:
    det_path_list_free(env, &list);
    return status;
}

det_status det_checkpoint_load_newest(struct det_env *env, const char *directory,
                                      struct det_learner *learner,
                                      struct det_checkpoint_state *state, bool *found)
{
    struct det_path_list list = {0};
    det_status status = DET_OK;
    *found = false;
    if (!det_is_directory(directory))
        return DET_OK;
    DET_TRY(list_checkpoints(env, directory, &list));
    for (size_t i = 0; i < list.count && !*found; i++) {
        status = det_checkpoint_load(env, list.paths[i], learner, state);
        if (status == DET_OK) {
            *found = true;
            break;
        }
        /* Damage of this one file; anything else (another network, no memory) would repeat with the
         * next. */
        if (status != DET_STATUS_CORRUPT && status != DET_STATUS_NOT_FOUND &&
            status != DET_STATUS_NON_FINITE && status != DET_STATUS_PARSE)
            goto fail;
        det_log(env, DET_LOG_WARNING, "cannot use this checkpoint, %s: %s",
                i + 1 < list.count ? "trying the one before it" : "and there is none before it",
                env->error);
    }
    if (*found)
        det_forget_error(env);
    else if (status != DET_OK)
        det_fail_prefix(env, status, "%s: none of %zu checkpoints can be used; the oldest",
                        directory, list.count);
fail:
    det_path_list_free(env, &list);
    return status;
}
