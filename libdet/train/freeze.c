#include "train/freeze.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "support/mem.h"

#define UPDATE_FIELD "train_config.update_trainable_variables"
#define FREEZE_FIELD "train_config.freeze_variables"

/* What regcomp() and regexec() are given: a pattern's length times all its bounded repetitions is
 * about as many states as they make. */
#define MOST_BYTES      1000
#define MOST_NESTED     20
#define MOST_STATES     4000
#define MOST_STATES_ALL 20000 /* of all patterns together */

struct scan {
    const char *at;
    size_t repetitions; /* product of all {m,n} */
    int32_t depth;
    bool quantified; /* the part before is a quantifier */
};

/* Behind the `]` that ends the bracket expression at `at`; the end of the text when there is
 * none. */
static const char *skip_brackets(const char *at)
{
    at += 1 + (at[1] == '^');
    at += *at == ']';
    while (*at != '\0' && *at != ']') {
        const char kind = at[0] == '[' ? at[1] : '\0'; /* [:alpha:] */
        const bool named = kind == ':' || kind == '.' || kind == '=';
        at += named ? 2 : 1;
        while (named && *at != '\0' && !(at[0] == kind && at[1] == ']'))
            at++;
        at += named && *at != '\0' ? 2 : 0;
    }
    return at + (*at == ']');
}

/* Digits; a number far beyond all limits stays where it is. */
static bool read_number(const char **at, size_t *number)
{
    if (**at < '0' || **at > '9')
        return false;
    *number = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++)
        if (*number <= MOST_STATES)
            *number = *number * 10 + (size_t)(**at - '0');
    return true;
}

/* {m}, {m,}, {m,n}; any other brace is a letter or regcomp's to refuse. */
static bool read_interval(struct scan *s)
{
    const char *at = s->at + 1;
    size_t most = 0;
    if (!read_number(&at, &most))
        return false;
    if (*at == ',') {
        at++;
        (void)read_number(&at, &most);
    }
    if (*at != '}')
        return false;
    s->repetitions *= most > 1 ? most : 1;
    s->at = at;
    return true;
}

static const char *quantifier_fault(const struct scan *s)
{
    if (!s->quantified)
        return NULL;
    return *s->at == '?' ? "lazy quantifiers are not part of POSIX extended regular expressions"
                         : "a quantifier stands behind a quantifier";
}

/* One part of a pattern; NULL: nothing wrong with it. */
static const char *scan_part(struct scan *s)
{
    const char *fault = NULL;
    const char c = *s->at;
    const bool quantifier = c == '*' || c == '+' || c == '?' || (c == '{' && s->at[1] != '\0');
    if (quantifier && (c != '{' || read_interval(s))) {
        fault = quantifier_fault(s);
        s->quantified = true;
        s->at++;
        return s->repetitions > MOST_STATES ? "asks for too many repetitions" : fault;
    }
    s->quantified = false;
    if (c == '\\' && s->at[1] != '\0') {
        s->at++;
        if (*s->at >= '1' && *s->at <= '9')
            fault = "references to groups are not supported";
        else if (*s->at == 'd' || *s->at == 'D')
            fault = "\\d is not part of POSIX extended regular expressions, [0-9] is";
    } else if (c == '[') {
        s->at = skip_brackets(s->at) - 1;
    } else if (c == '(') {
        s->depth++;
        if (s->at[1] == '?')
            fault = "(? is not part of POSIX extended regular expressions";
        else if (s->depth > MOST_NESTED)
            fault = "its groups are nested too deep, 20 is the most";
    } else if (c == ')') {
        s->depth--;
    }
    s->at++;
    return fault;
}

/* *states: about how many it will make, added to those of the patterns before. */
static const char *pattern_fault(const char *pattern, size_t *states)
{
    struct scan scan = {.at = pattern, .repetitions = 1};
    const char *fault = NULL;
    const size_t bytes = strlen(pattern);
    if (bytes > MOST_BYTES)
        return "is longer than 1000 bytes";
    while (fault == NULL && *scan.at != '\0')
        fault = scan_part(&scan);
    if (fault != NULL)
        return fault;
    if (bytes * scan.repetitions > MOST_STATES)
        return "asks for too many repetitions";
    *states += bytes * scan.repetitions;
    return *states > MOST_STATES_ALL ? "and those before it are too many or too long" : NULL;
}

static det_status pattern_fail(struct det_env *env, const struct det_pipeline_config *config,
                               const char *field, const char *pattern, const char *reason)
{
    const struct det_position position = det_pipeline_config_value_position(config, pattern);
    return det_prototext_fail(env, DET_STATUS_INVALID_ARGUMENT, &config->document, position,
                              "%s: pattern \"%.80s\": %s", field, pattern, reason);
}

/* hit[p] = true for every variable in whose name the pattern is found. */
static det_status search(struct det_env *env, const struct det_pipeline_config *config,
                         const char *field, const char *pattern, const struct det_graph *graph,
                         size_t *states, bool *hit)
{
    char reason[512];
    regex_t compiled;
    const char *fault = pattern_fault(pattern, states);
    if (fault != NULL)
        return pattern_fail(env, config, field, pattern, fault);
    const int error = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (error != 0) {
        regerror(error, &compiled, reason, sizeof reason);
        return pattern_fail(env, config, field, pattern, reason);
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
    if (found > 0)
        return DET_OK;
    snprintf(reason, sizeof reason,
             "is found in no variable's name; names are like \"%.180s\" and \"%.180s\"",
             graph->params[0].key, graph->params[graph->param_count - 1].key);
    return pattern_fail(env, config, field, pattern, reason);
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
    size_t states = 0;
    det_status status = DET_OK;
    if (update->count == 0 && freeze->count == 0)
        return DET_OK;
    DET_TRY(det_alloc(env, &updated, (size_t)count, sizeof *updated, "variables to learn"));
    DET_TRY(det_alloc(env, &frozen, (size_t)count, sizeof *frozen, "frozen variables"));
    for (size_t i = 0; i < update->count; i++)
        DET_TRY(search(env, config, UPDATE_FIELD, update->values[i], &learner->graph, &states,
                       updated));
    for (size_t i = 0; i < freeze->count; i++)
        DET_TRY(
            search(env, config, FREEZE_FIELD, freeze->values[i], &learner->graph, &states, frozen));
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
