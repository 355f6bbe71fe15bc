#include "convert/annotation_set.h"

#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "convert/resolve.h"
#include "support/encoding.h"
#include "support/mem.h"

/* --- findings --- */

const char *det_annotation_rule(size_t index, det_severity *severity)
{
    const bool known = index < DET_RULE_COUNT;
    if (severity != NULL)
        *severity =
            known ? det_rule_severity((enum det_rule)index) : (det_severity)DET_SEVERITY_WARNING;
    return known ? det_rule_name((enum det_rule)index) : NULL;
}

static void deliver(void *user, enum det_rule rule, const char *message)
{
    det_annotation_set *set = user;
    const struct det_finding_place *at = &set->findings.at;
    const det_severity severity = det_rule_severity(rule);
    char *first = set->first_error[set->is_checked];
    if (severity >= DET_SEVERITY_ERROR && first[0] == '\0')
        snprintf(first, sizeof set->first_error[0], "%s", message);
    const det_annotation_finding finding = {
        .struct_size = sizeof finding,
        .rule = det_rule_name(rule),
        .severity = severity,
        .message = message,
        .where = at->where != NULL ? at->where : "",
        .image = at->image - 1,
        .object = at->object - 1,
        .line = at->line,
    };
    if (set->on_finding != NULL)
        set->on_finding(set->user, &finding);
}

void det_annotation_set_touch(det_annotation_set *set)
{
    det_set_stats_free(set->env, &set->stats);
    if (!set->is_checked)
        return;
    set->before_check.at = set->findings.at;
    set->findings = set->before_check;
    set->first_error[1][0] = '\0';
    set->is_checked = set->is_mended = false;
}

det_status det_annotation_set_need(det_annotation_set *set, const char *function)
{
    return set->is_resolved
               ? DET_OK
               : det_fail(set->env, DET_STATUS_INVALID_ARGUMENT,
                          "%s: call det_annotation_set_resolve() first: the set is new or has "
                          "changed",
                          function);
}

/* --- a set --- */

static const det_annotation_set_settings defaults = {.struct_size = sizeof defaults};

void det_annotation_set_settings_init(det_annotation_set_settings *settings, size_t struct_size)
{
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static det_status take_settings(det_annotation_set *set, const det_annotation_set_settings *given)
{
    struct det_env *env = set->env;
    det_annotation_set_settings settings = defaults;
    DET_TRY_RETURN(DET_TAKE(env, det_annotation_set_settings, &settings, given));
    if (settings.exif < DET_EXIF_AUTO || settings.exif > DET_EXIF_IGNORE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_set_settings: exif is %d, which is no det_exif_policy",
                        (int)settings.exif);
    if (settings.encoding != NULL && !det_encoding_is_known(settings.encoding))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_set_settings: encoding `%s` is not known on this machine",
                        settings.encoding);
    set->exif = settings.exif;
    set->on_finding = settings.on_finding;
    set->user = settings.user;
    set->findings.allowed[DET_RULE_NO_BOX] = settings.allow_no_boxes != 0;
    set->findings.report = deliver;
    set->findings.user = set;
    return settings.encoding != NULL ? det_strdup(env, &set->encoding, settings.encoding) : DET_OK;
}

det_status det_annotation_set_create(det_context *context,
                                     const det_annotation_set_settings *settings,
                                     det_annotation_set **set)
{
    struct det_env *env = det_context_env(context);
    det_status status = DET_OK;
    if (set != NULL)
        *set = NULL;
    DET_NEED(env, context);
    DET_NEED(env, set);
    DET_TRY_RETURN(det_alloc(env, set, 1, sizeof **set, "data set"));
    (*set)->context = context;
    (*set)->env = env;
    DET_TRY(take_settings(*set, settings));
    DET_TRY(det_annotations_init(env, &(*set)->set, NULL));
    (*set)->set.files = &(*set)->files;
    return DET_OK;
fail:
    det_annotation_set_destroy(set);
    return status;
}

void det_annotation_set_destroy(det_annotation_set **set)
{
    if (set == NULL || *set == NULL)
        return;
    det_annotation_set *s = *set;
    struct det_env *env = s->env;
    det_text_free(env, &s->text);
    det_set_stats_free(env, &s->stats);
    det_annotations_free(env, &s->set);
    for (size_t i = 0; i < s->reader_count; i++)
        det_free(env, &s->readers[i].format);
    det_free(env, &s->readers);
    det_guard_free(env, &s->inputs);
    det_image_index_free(env, &s->index);
    det_path_list_free(env, &s->image_folders);
    det_files_close(env, &s->files);
    det_label_map_free(env, &s->map);
    det_free(env, &s->encoding);
    det_free(env, set);
}

struct det_guard *det_annotation_set_begin_guard(det_annotation_set *set)
{
    struct det_guard *previous = set->env->guard;
    if (previous == NULL)
        set->env->guard = &set->inputs;
    return previous;
}

void det_annotation_set_end_guard(det_annotation_set *set, struct det_guard *previous)
{
    set->env->guard = previous;
}

/* --- classes --- */

static det_status read_label_map(det_annotation_set *set, const char *path)
{
    struct det_env *env = set->env;
    struct det_source_bytes source;
    struct det_label_map map = {0};
    struct det_annotations fixed = {0};
    DET_TRY_RETURN(det_files_open(env, &set->files, path, &source));
    const det_status status =
        det_label_map_read_text(env, path, (const char *)source.data, source.bytes, &map);
    det_source_bytes_close(env, &source);
    if (status == DET_STATUS_PARSE || status == DET_STATUS_CORRUPT) {
        set->findings.at.where = path;
        det_finding(&set->findings, DET_RULE_LABEL_MAP, "%s", env->error);
        set->findings.at.where = NULL;
        det_forget_error(env);
        return DET_OK;
    }
    DET_TRY_RETURN(status);
    const det_status made = det_annotations_init(env, &fixed, &map);
    if (made != DET_OK) {
        det_label_map_free(env, &map);
        return made;
    }
    det_annotations_free(env, &set->set);
    set->set = fixed;
    set->set.files = &set->files;
    set->map = map;
    return DET_OK;
}

det_status det_annotation_set_load_label_map(det_annotation_set *set, const char *path)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED(env, path);
    if (set->set.image_count > 0 || set->set.classes.count > 0 || set->map.count > 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: the set has classes or images already: a label map comes first", path);
    struct det_guard *previous = det_annotation_set_begin_guard(set);
    det_annotation_set_touch(set);
    const det_status status = read_label_map(set, path);
    det_annotation_set_end_guard(set, previous);
    return status;
}

det_status det_annotation_set_check_config(det_annotation_set *set,
                                           const det_pipeline_config *config)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED(env, config);
    if (set->map.count == 0)
        return DET_OK;
    const det_status status = det_label_map_fit(env, &set->map, config);
    if (status == DET_OK || status == DET_STATUS_OUT_OF_MEMORY)
        return status;
    det_annotation_set_touch(set);
    det_finding(&set->findings, DET_RULE_CLASS_COUNT, "%s", env->error);
    det_forget_error(env);
    return DET_OK;
}

/* --- splits --- */

det_status det_annotation_set_check_split(det_annotation_set *set, const char *name)
{
    char *safe = NULL;
    DET_TRY_RETURN(det_safe_name(set->env, name, &safe));
    const bool is_safe = strcmp(safe, name) == 0;
    det_free(set->env, &safe);
    return is_safe ? DET_OK
                   : det_fail(set->env, DET_STATUS_INVALID_ARGUMENT,
                              "`%s` is no name of a file, which the split's would become part of",
                              name);
}

static int32_t find_in(const struct det_path_list *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->paths[i], name) == 0)
            return (int32_t)i;
    return -1;
}

int32_t det_annotation_set_find_split(const det_annotation_set *set, const char *name)
{
    const int32_t found = find_in(&set->set.splits, name);
    return found >= 0 ? found : find_in(&set->set.split_sources, name);
}

det_status det_annotation_set_take_split(det_annotation_set *set, const char *name,
                                         int32_t *position)
{
    *position = det_annotation_set_find_split(set, name);
    return *position >= 0 ? DET_OK
                          : det_annotations_split_index(set->env, &set->set, name, position);
}

/* --- pictures --- */

det_status det_annotation_set_resolve(det_annotation_set *set)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    if (set->is_resolved)
        return DET_OK;
    DET_TRY_RETURN(det_annotations_finish(env, &set->set, &set->findings));
    DET_TRY_RETURN(det_annotations_resolve(env, &set->set, set->exif,
                                           det_context_pool(set->context), &set->findings));
    set->is_resolved = true;
    return DET_OK;
}
