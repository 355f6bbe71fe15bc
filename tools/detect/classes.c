#include "detect/classes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/io.h"
#include "support/json.h"
#include "support/mem.h"

/* Id of a class by name, or by number; 0 when there is none. */
static int32_t class_id(const det_model *model, const char *name, size_t length)
{
    const int32_t count = det_model_class_count(model);
    for (int32_t id = 1; id <= count; id++) {
        const char *known = det_model_class_name(model, id);
        if (det_model_class_is_used(model, id) && strlen(known) == length &&
            memcmp(known, name, length) == 0)
            return id;
    }
    int32_t id = 0;
    for (size_t i = 0; i < length && id <= count; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        id = id * 10 + (name[i] - '0');
    }
    return det_model_class_is_used(model, id) ? id : 0;
}

static det_status unknown_class(struct det_env *env, const det_model *model, const char *option,
                                const char *name, size_t length)
{
    char list[400] = "";
    for (int32_t id = 1; id <= det_model_class_count(model); id++) {
        const size_t used = strlen(list);
        if (det_model_class_is_used(model, id))
            snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "",
                     det_model_class_name(model, id));
    }
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s: \"%.*s\" is no class of the model; it has: %s", option, (int)length, name,
                    list);
}

static det_status choose_classes(struct det_env *env, const det_model *model, const char *classes,
                                 bool *wanted)
{
    int count = 0;
    while (*classes != '\0') {
        const size_t length = strcspn(classes, ",");
        const int32_t id = class_id(model, classes, length);
        if (id == 0)
            return unknown_class(env, model, "--classes", classes, length);
        wanted[id] = true;
        classes += length + (classes[length] == ',');
        count++;
    }
    return count > 0 ? DET_OK
                     : det_fail(env, DET_STATUS_INVALID_ARGUMENT, "--classes: names no class");
}

/* 0 to 1, and nothing behind it but `end`. */
static bool parse_score(const char *text, size_t length, float *score)
{
    char copy[40], *end = NULL;
    if (length == 0 || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *score = strtof(copy, &end); /* the tools never set a locale */
    return *end == '\0' && *score >= 0 && *score <= 1;
}

static det_status read_thresholds(struct det_env *env, const det_model *model, const char *text,
                                  struct class_filter *filter, bool by_name)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, ",");
        const char *equals = memchr(text, '=', length);
        const size_t name = equals != NULL ? (size_t)(equals - text) : 0;
        const char *number = equals != NULL ? equals + 1 : text;
        float score = 0;
        if (!parse_score(number, length - (size_t)(number - text), &score))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "--threshold: got \"%.*s\", expected 0 to 1 or CLASS=0 to 1",
                            (int)length, text);
        const int32_t id = equals != NULL ? class_id(model, text, name) : 0;
        if (equals != NULL && id == 0)
            return unknown_class(env, model, "--threshold", text, name);
        if (equals != NULL && by_name)
            filter->threshold[id] = score;
        for (int32_t i = 1; equals == NULL && !by_name && i <= filter->count; i++)
            filter->threshold[i] = score;
        text += length + (text[length] == ',');
    }
    return DET_OK;
}

static det_status apply_entry(struct det_env *env, const det_model *model, const char *path,
                              const struct det_json_entry *entry, const char *name,
                              struct class_filter *filter, bool *given)
{
    const int32_t id = class_id(model, name, strlen(name));
    struct det_json_entry other = *entry;
    double threshold = 0;
    if (id == 0)
        return unknown_class(env, model, path, name, strlen(name));
    while (det_json_next(&other))
        if (det_json_equals(other.key, name))
            return det_fail(env, DET_STATUS_CORRUPT, "%s: \"%s\" is there twice", path, name);
    if (!det_json_number(entry->value, &threshold) || !(threshold >= 0 && threshold <= 1))
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: \"%s\" has no threshold: expected a number from 0 to 1", path, name);
    filter->threshold[id] = (float)threshold;
    given[id] = true;
    return DET_OK;
}

static det_status apply_tree(struct det_env *env, const det_model *model, const char *path,
                             struct det_json tree, struct class_filter *filter, bool *given)
{
    struct det_json_entry entry;
    if (det_json_kind(tree) != DET_JSON_OBJECT)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: expected a JSON object of class names and thresholds", path);
    for (bool more = det_json_first(tree, &entry); more; more = det_json_next(&entry)) {
        char *name = NULL;
        DET_TRY_RETURN(det_json_string(env, entry.key, &name));
        const det_status status = apply_entry(env, model, path, &entry, name, filter, given);
        det_free(env, &name);
        DET_TRY_RETURN(status);
    }
    return DET_OK;
}

/* Classes that the file leaves as they are: of an evaluation without an object of theirs, or of
 * another model. */
static void tell_missing(const struct det_env *env, const det_model *model, const char *path,
                         const bool *given)
{
    char list[300] = "";
    for (int32_t id = 1; id <= det_model_class_count(model); id++) {
        const size_t used = strlen(list);
        if (det_model_class_is_used(model, id) && !given[id])
            snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "",
                     det_model_class_name(model, id));
    }
    if (list[0] != '\0')
        det_log(env, DET_LOG_INFO, "%s has no threshold for %s: theirs stays", path, list);
}

static det_status apply_file(struct det_env *env, const det_model *model, const char *path,
                             struct class_filter *filter)
{
    struct det_file_bytes contents;
    struct det_json tree;
    bool *given = NULL;
    DET_TRY_RETURN(det_file_read(env, path, &contents));
    det_status status = DET_OK;
    DET_TRY(det_json_parse(env, path, contents.data, contents.bytes, &tree));
    DET_TRY(det_alloc(env, &given, (size_t)filter->count + 1, sizeof *given, "thresholds"));
    DET_TRY(apply_tree(env, model, path, tree, filter, given));
    tell_missing(env, model, path, given);
fail:
    det_file_release(&contents);
    det_free(env, &given);
    return status;
}

det_status class_filter_make(struct det_env *env, const det_model *model, const char *classes,
                             const char *threshold, const char *file, struct class_filter *filter)
{
    det_status status = DET_OK;
    bool *wanted = NULL;
    filter->count = det_model_class_count(model);
    const size_t entries = (size_t)filter->count + 1;
    DET_TRY(det_alloc(env, &wanted, entries, sizeof *wanted, "class list"));
    DET_TRY(det_alloc(env, &filter->threshold, entries, sizeof *filter->threshold, "thresholds"));
    DET_TRY(det_alloc(env, &filter->wanted, entries, sizeof *filter->wanted, "class list"));
    for (int32_t id = 1; id <= filter->count; id++) {
        filter->threshold[id] = 0.5F;
        wanted[id] = classes == NULL && det_model_class_is_used(model, id);
    }
    if (classes != NULL)
        DET_TRY(choose_classes(env, model, classes, wanted));
    if (threshold != NULL)
        DET_TRY(read_thresholds(env, model, threshold, filter, false));
    if (file != NULL)
        DET_TRY(apply_file(env, model, file, filter));
    if (threshold != NULL)
        DET_TRY(read_thresholds(env, model, threshold, filter, true));
    filter->lowest = 1;
    for (int32_t id = 1; id <= filter->count; id++) {
        if (!wanted[id])
            continue;
        filter->wanted[filter->wanted_count++] = id;
        filter->lowest = fminf(filter->lowest, filter->threshold[id]);
    }
fail:
    det_free(env, &wanted);
    return status;
}

void class_filter_free(struct det_env *env, struct class_filter *filter)
{
    det_free(env, &filter->threshold);
    det_free(env, &filter->wanted);
}
