#include "train/freeze.h"

#include <regex.h>
#include <string.h>

#include "base/mem.h"

#define UPDATE_FIELD "train_config.update_trainable_variables"
#define FREEZE_FIELD "train_config.freeze_variables"

/* What Python reads otherwise; NULL: nothing. */
static const char *foreign_part(const char *pattern)
{
    static const char *const parts[] = {"(?", "*?", "+?", "??", "}?", "\\d", "\\D"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(pattern, parts[i]) != NULL)
            return parts[i];
    return NULL;
}

/* hit[p] = true for every variable in whose name the pattern is found. */
static det_status search(struct det_env *env, const struct det_pipeline_config *config,
                         const char *field, const char *pattern, const struct det_graph *graph,
                         bool *hit)
{
    const char *foreign = foreign_part(pattern);
    if (foreign != NULL)
        return det_pipeline_config_fail(
            env, DET_STATUS_INVALID_ARGUMENT, config, field,
            "pattern \"%.80s\": \"%s\" is not part of POSIX extended regular expressions", pattern,
            foreign);
    regex_t compiled;
    const int error = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (error != 0) {
        char reason[120];
        regerror(error, &compiled, reason, sizeof reason);
        return det_pipeline_config_fail(env, DET_STATUS_INVALID_ARGUMENT, config, field,
                                        "pattern \"%.80s\": %s", pattern, reason);
    }
    int32_t found = 0;
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        if (!param->trainable || regexec(&compiled, param->key, 0, NULL, 0) != 0)
            continue;
        hit[p] = true;
        found++;
    }
    regfree(&compiled);
    if (found == 0)
        return det_pipeline_config_fail(
            env, DET_STATUS_INVALID_ARGUMENT, config, field,
            "pattern \"%.80s\" is found in no variable's name; names are like \"%s\" and \"%s\"",
            pattern, graph->params[0].key, graph->params[graph->param_count - 1].key);
    return DET_OK;
}

static void log_what_is_learnt(const struct det_env *env, const struct det_learner *learner)
{
    int32_t learnt = 0, all = 0;
    size_t learnt_values = 0, all_values = 0;
    for (int32_t p = 0; p < learner->graph.param_count; p++) {
        const struct det_param *param = &learner->graph.params[p];
        if (!param->trainable)
            continue;
        all++;
        all_values += param->count;
        if (learner->trainable[p]) {
            learnt++;
            learnt_values += param->count;
        }
    }
    det_log(env, DET_LOG_INFO,
            "learning %d of %d variables (%zu of %zu values), the others are frozen", (int)learnt,
            (int)all, learnt_values, all_values);
}

det_status det_freeze_variables(struct det_env *env, const struct det_pipeline_config *config,
                                struct det_learner *learner)
{
    const struct det_string_list *update = &config->train.update_trainable_variables;
    const struct det_string_list *freeze = &config->train.freeze_variables;
    const int32_t count = learner->graph.param_count;
    bool *updated = NULL, *frozen = NULL, any = false;
    det_status status = DET_OK;
    if (update->count == 0 && freeze->count == 0)
        return DET_OK;
    DET_TRY(det_alloc(env, &updated, (size_t)count, sizeof *updated, "variables to learn"));
    DET_TRY(det_alloc(env, &frozen, (size_t)count, sizeof *frozen, "frozen variables"));
    for (size_t i = 0; i < update->count; i++)
        DET_TRY(search(env, config, UPDATE_FIELD, update->values[i], &learner->graph, updated));
    for (size_t i = 0; i < freeze->count; i++)
        DET_TRY(search(env, config, FREEZE_FIELD, freeze->values[i], &learner->graph, frozen));
    for (int32_t p = 0; p < count; p++) {
        learner->trainable[p] =
            learner->graph.params[p].trainable && (update->count == 0 || updated[p]) && !frozen[p];
        any = any || learner->trainable[p];
    }
    if (!any)
        DET_TRY(det_pipeline_config_fail(env, DET_STATUS_INVALID_ARGUMENT, config,
                                         freeze->count > 0 ? FREEZE_FIELD : UPDATE_FIELD,
                                         "every variable is frozen, there is nothing to learn"));
    log_what_is_learnt(env, learner);
fail:
    det_free(env, &updated);
    det_free(env, &frozen);
    return status;
}
