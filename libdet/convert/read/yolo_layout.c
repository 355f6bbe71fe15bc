#include "convert/read/yolo_layout.h"

#include <stdlib.h>
#include <string.h>

#include "convert/read/yolo_paths.h"
#include "convert/read/yolo_yaml.h"
#include "support/mem.h"

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

struct det_yolo_places det_yolo_places_of(const struct det_yolo_layout *layout)
{
    return (struct det_yolo_places){.root = layout->root, .data_root = layout->data_root};
}

/* --- parts --- */

static det_status add_part(struct det_env *env, struct det_yolo_layout *layout, const char *split,
                           const char *entry, char **path)
{
    DET_TRY_RETURN(det_grow(env, &layout->parts, &layout->part_capacity, layout->part_count + 1,
                            sizeof *layout->parts, "splits"));
    struct det_yolo_part *part = &layout->parts[layout->part_count++];
    part->path = *path;
    *path = NULL;
    DET_TRY_RETURN(det_strdup(env, &part->split, split));
    return det_strdup(env, &part->entry, entry);
}

/* Two entries that were both found nearby cannot both mean one folder. */
static bool is_taken(const struct det_yolo_layout *layout, const char *path, const char *entry)
{
    for (size_t i = 0; i < layout->part_count; i++)
        if (strcmp(layout->parts[i].path, path) == 0 && strcmp(layout->parts[i].entry, entry) != 0)
            return true;
    return false;
}

/* A warning where Roboflow's "../train/images" leads into another data set beside this one. */
static det_status warn_of_twins(struct det_env *env, const struct det_read_settings *settings,
                                const struct det_yolo_layout *layout, const char *entry,
                                uint32_t line, const char *path)
{
    char *twin = NULL;
    if (strncmp(entry, "../", 3) != 0)
        return DET_OK;
    DET_TRY_RETURN(det_path_join(env, &twin, layout->root, entry + 3));
    if (strcmp(twin, path) != 0 && det_files_exists(settings->files, twin))
        det_finding(settings->findings, DET_RULE_PATH_STALE,
                    "%s:%u: `%s` is taken as written: %s; there is %s too", layout->source, line,
                    entry, path, twin);
    det_free(env, &twin);
    return DET_OK;
}

static void tell_of_lost(const struct det_read_settings *settings,
                         const struct det_yolo_layout *layout, const char *split, const char *entry,
                         uint32_t line)
{
    /* Roboflow names a test part whether there is one or not; training needs none. */
    det_finding(settings->findings,
                strcmp(split, "test") == 0 ? DET_RULE_PATH_STALE : DET_RULE_NO_INPUT,
                "%s:%u: split `%s`: `%.300s` is neither there nor near this file", layout->source,
                line, split, entry);
}

static det_status add_entry(struct det_env *env, const struct det_read_settings *settings,
                            struct det_yolo_layout *layout, const char *split, const char *entry,
                            uint32_t line)
{
    const struct det_yolo_places places = det_yolo_places_of(layout);
    enum det_yolo_found found = DET_YOLO_NOT_FOUND;
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_yolo_resolve(env, settings->files, &places, entry, &path, &found));
    if (found == DET_YOLO_NEAR && is_taken(layout, path, entry))
        found = DET_YOLO_NOT_FOUND;
    if (found == DET_YOLO_NOT_FOUND) {
        tell_of_lost(settings, layout, split, entry, line);
        goto fail;
    }
    if (found == DET_YOLO_NEAR)
        det_finding(settings->findings, DET_RULE_PATH_STALE,
                    "%s:%u: split `%s`: `%.300s` is not there: %s is taken", layout->source, line,
                    split, entry, path);
    else
        DET_TRY(warn_of_twins(env, settings, layout, entry, line, path));
    DET_TRY(add_part(env, layout, split, entry, &path));
fail:
    det_free(env, &path);
    return status;
}

/* Where nothing says where the images are: images/train, train/images, train, ...; else images;
 * else the folder. */
static det_status add_usual(struct det_env *env, const struct det_read_settings *settings,
                            struct det_yolo_layout *layout)
{
    static const char *const splits[] = {"train", "val", "valid", "test"};
    char *path = NULL;
    bool there = false;
    det_status status = DET_OK;
    for (size_t s = 0; s < 4; s++) {
        for (size_t f = 0; f < 3; f++) {
            det_free(env, &path);
            DET_TRY(f == 0 ? det_path_join_printf(env, &path, layout->root, "images/%s", splits[s])
                    : f == 1
                        ? det_path_join_printf(env, &path, layout->root, "%s/images", splits[s])
                        : det_path_join(env, &path, layout->root, splits[s]));
            DET_TRY(det_yolo_is_there(env, settings->files, path, &there));
            if (!there)
                continue;
            DET_TRY(add_part(env, layout, splits[s], "", &path));
            break;
        }
    }
    if (layout->part_count > 0)
        goto fail;
    det_free(env, &path);
    DET_TRY(det_path_join(env, &path, layout->root, "images"));
    DET_TRY(det_yolo_is_there(env, settings->files, path, &there));
    if (!there) {
        det_free(env, &path);
        DET_TRY(det_strdup(env, &path, layout->root));
    }
    DET_TRY(add_part(env, layout, "data", "", &path));
fail:
    det_free(env, &path);
    return status;
}

/* --- names in a file of lines --- */

static det_status read_names(struct det_env *env, const struct det_read_settings *settings,
                             struct det_yolo_layout *layout, const char *path)
{
    char *text = NULL, *line = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_read_text(env, settings, path, &text));
    char *at = text;
    while (status == DET_OK && det_next_line(&at, &line)) {
        line = det_trimmed(line);
        if (line[0] != '\0')
            status = det_path_list_add(env, &layout->names, line);
    }
    det_free(env, &text);
    return status;
}

/* --- data.yaml --- */

/* `path:` against the file's folder, where it leads somewhere. */
static det_status find_data_root(struct det_env *env, const struct det_read_settings *settings,
                                 struct det_yolo_layout *layout, const char *path)
{
    char *joined = NULL;
    const bool archived = det_files_archive_of(settings->files, layout->root) != NULL;
    if (path == NULL || strcmp(path, ".") == 0 || strcmp(path, "./") == 0 || path[0] == '\0' ||
        (path[0] == '/' && archived))
        return DET_OK;
    DET_TRY_RETURN(det_path_join(env, &joined, layout->root, path));
    if (det_files_is_directory(settings->files, joined))
        layout->data_root = joined;
    else
        det_free(env, &joined);
    return DET_OK;
}

static det_status read_yaml(struct det_env *env, const struct det_read_settings *settings,
                            struct det_yolo_layout *layout)
{
    struct det_yolo_yaml y = {0};
    const struct {
        const char *split;
        const struct det_yolo_entries *entries;
    } parts[] = {{"train", &y.train}, {"val", &y.val}, {"test", &y.test}};
    size_t said = 0;
    char *text = NULL;
    det_status status = DET_OK;
    DET_TRY(det_read_text(env, settings, layout->source, &text));
    DET_TRY(det_yolo_yaml_parse(env, layout->source, text, &y));
    layout->keypoints = y.keypoints;
    DET_TRY(find_data_root(env, settings, layout, y.path));
    for (size_t p = 0; p < 3; p++) {
        said += parts[p].entries->texts.count;
        for (size_t i = 0; i < parts[p].entries->texts.count; i++)
            DET_TRY(add_entry(env, settings, layout, parts[p].split,
                              parts[p].entries->texts.paths[i], parts[p].entries->lines[i]));
    }
    if (said == 0)
        DET_TRY(add_usual(env, settings, layout));
    layout->names = y.names;
    y.names = (struct det_path_list){0};
fail:
    det_yolo_yaml_free(env, &y);
    det_free(env, &text);
    return status;
}

/* --- obj.data --- */

/* What obj.data calls its lists. */
static const struct list_key {
    const char *key, *split;
} list_keys[] = {{"train", "train"}, {"valid", "val"}, {"val", "val"}, {"test", "test"}};

enum { LIST_KEYS = sizeof list_keys / sizeof list_keys[0] };

/* Where the list is gone CVAT's folder for it may be there: obj_train_data. Else it goes to
 * `lost`. */
static det_status add_list(struct det_env *env, const struct det_read_settings *settings,
                           struct det_yolo_layout *layout, const struct list_key *list,
                           const char *value, uint32_t line, struct det_yolo_entries *lost)
{
    const struct det_yolo_places places = det_yolo_places_of(layout);
    enum det_yolo_found found = DET_YOLO_NOT_FOUND;
    char *path = NULL, *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_yolo_resolve(env, settings->files, &places, value, &path, &found));
    DET_TRY(det_path_join_printf(env, &folder, layout->root, "obj_%s_data", list->key));
    if (found != DET_YOLO_NOT_FOUND) {
        DET_TRY(add_entry(env, settings, layout, list->split, value, line));
    } else if (det_files_is_directory(settings->files, folder)) {
        det_finding(settings->findings, DET_RULE_PATH_STALE,
                    "%s:%u: split `%s`: `%.300s` is not there: %s is taken", layout->source, line,
                    list->split, value, folder);
        DET_TRY(add_part(env, layout, list->split, value, &folder));
    } else {
        DET_TRY(det_yolo_entries_add(env, lost, value, line));
    }
fail:
    det_free(env, &folder);
    det_free(env, &path);
    return status;
}

/* With no list left, what lies beside the file is what it is about. */
static det_status settle_lost(struct det_env *env, const struct det_read_settings *settings,
                              struct det_yolo_layout *layout,
                              const struct det_yolo_entries lost[LIST_KEYS])
{
    const bool nothing_else = layout->part_count == 0;
    size_t count = 0;
    for (size_t k = 0; k < LIST_KEYS; k++) {
        const struct det_path_list *texts = &lost[k].texts;
        for (size_t i = 0; i < texts->count; i++, count++) {
            if (nothing_else)
                det_finding(settings->findings, DET_RULE_PATH_STALE,
                            "%s:%u: split `%s`: `%.300s` is not there: what lies beside this file "
                            "is taken",
                            layout->source, lost[k].lines[i], list_keys[k].split, texts->paths[i]);
            else
                tell_of_lost(settings, layout, list_keys[k].split, texts->paths[i],
                             lost[k].lines[i]);
        }
    }
    return count > 0 && nothing_else ? add_usual(env, settings, layout) : DET_OK;
}

static det_status read_listed_names(struct det_env *env, const struct det_read_settings *settings,
                                    struct det_yolo_layout *layout, const char *value,
                                    uint32_t line)
{
    const struct det_yolo_places places = det_yolo_places_of(layout);
    static const char *const others[] = {"obj.names", "classes.txt"};
    enum det_yolo_found found = DET_YOLO_NOT_FOUND;
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_yolo_resolve(env, settings->files, &places, value, &path, &found));
    for (size_t i = 0; i < 2 && found == DET_YOLO_NOT_FOUND; i++) {
        det_free(env, &path);
        DET_TRY(det_path_join(env, &path, layout->root, others[i]));
        found = det_files_exists(settings->files, path) ? DET_YOLO_NEAR : DET_YOLO_NOT_FOUND;
    }
    if (found == DET_YOLO_NOT_FOUND)
        DET_TRY(det_fail(env, DET_STATUS_PARSE,
                         "%s:%u: names = `%.300s`: the file is neither there nor near this one",
                         layout->source, line, value));
    if (found == DET_YOLO_NEAR)
        det_finding(settings->findings, DET_RULE_PATH_STALE,
                    "%s:%u: names = `%.300s` is not there: %s is taken", layout->source, line,
                    value, path);
    DET_TRY(read_names(env, settings, layout, path));
fail:
    det_free(env, &path);
    return status;
}

static det_status read_obj_data(struct det_env *env, const struct det_read_settings *settings,
                                struct det_yolo_layout *layout)
{
    struct det_yolo_entries lost[LIST_KEYS] = {0};
    char *text = NULL, *line = NULL;
    uint32_t number = 0;
    det_status status = DET_OK;
    DET_TRY(det_read_text(env, settings, layout->source, &text));
    char *at = text;
    while (det_next_line(&at, &line)) {
        number++;
        line = det_trimmed(line);
        if (line[0] == '\0' || line[0] == '#')
            continue;
        char *equals = strchr(line, '=');
        if (equals == NULL)
            DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s:%u: got `%.60s`, expected `key = value`",
                             layout->source, number, line));
        *equals = '\0';
        const char *key = det_trimmed(line), *value = det_trimmed(equals + 1);
        for (size_t k = 0; k < LIST_KEYS; k++)
            if (strcmp(key, list_keys[k].key) == 0 && value[0] != '\0')
                DET_TRY(add_list(env, settings, layout, &list_keys[k], value, number, &lost[k]));
        if (strcmp(key, "names") == 0 && layout->names.count == 0)
            DET_TRY(read_listed_names(env, settings, layout, value, number));
    }
    if (layout->names.count == 0)
        DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s: there is no `names = FILE`", layout->source));
    DET_TRY(settle_lost(env, settings, layout, lost));
fail:
    for (size_t k = 0; k < LIST_KEYS; k++)
        det_yolo_entries_free(env, &lost[k]);
    det_free(env, &text);
    return status;
}

/* --- the file --- */

det_status det_yolo_find_source(struct det_env *env, const struct det_files *files,
                                const char *folder, char **path)
{
    static const char *const names[] = {"data.yaml",   "data.yml",  "dataset.yaml",   "obj.data",
                                        "classes.txt", "obj.names", "_darknet.labels"};
    *path = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && *path == NULL; i++) {
        DET_TRY_RETURN(det_path_join(env, path, folder, names[i]));
        if (!det_files_exists(files, *path))
            det_free(env, path);
    }
    return DET_OK;
}

det_status det_yolo_layout_read(struct det_env *env, const struct det_read_settings *settings,
                                struct det_yolo_layout *layout)
{
    const char *path = settings->path;
    det_status status = DET_OK;
    *layout = (struct det_yolo_layout){0};
    if (det_files_is_directory(settings->files, path)) {
        DET_TRY(det_strdup(env, &layout->root, path));
        DET_TRY(det_yolo_find_source(env, settings->files, path, &layout->source));
        if (layout->source == NULL)
            DET_TRY(
                det_fail(env, DET_STATUS_NOT_FOUND,
                         "%s: the folder holds no data.yaml, obj.data, classes.txt, obj.names or "
                         "_darknet.labels: the names of the classes are needed",
                         path));
    } else {
        DET_TRY(det_strdup(env, &layout->source, path));
        DET_TRY(det_path_directory(env, &layout->root, path));
    }
    /* labelImg writes the names to where it writes the labels. */
    if (strcmp(det_path_name(layout->root), "labels") == 0) {
        char *above = NULL;
        DET_TRY(det_path_directory(env, &above, layout->root));
        det_free(env, &layout->root);
        layout->root = above;
    }
    if (ends_with(layout->source, ".yaml") || ends_with(layout->source, ".yml")) {
        DET_TRY(read_yaml(env, settings, layout));
    } else if (ends_with(layout->source, ".data")) {
        DET_TRY(read_obj_data(env, settings, layout));
    } else {
        DET_TRY(read_names(env, settings, layout, layout->source));
        DET_TRY(add_usual(env, settings, layout));
    }
    if (layout->names.count == 0)
        DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s: names no class", layout->source));
    return DET_OK;
fail:
    det_yolo_layout_free(env, layout);
    return status;
}

void det_yolo_layout_free(struct det_env *env, struct det_yolo_layout *layout)
{
    for (size_t i = 0; i < layout->part_count; i++) {
        det_free(env, &layout->parts[i].split);
        det_free(env, &layout->parts[i].path);
        det_free(env, &layout->parts[i].entry);
    }
    det_free(env, &layout->parts);
    det_path_list_free(env, &layout->names);
    det_free(env, &layout->source);
    det_free(env, &layout->root);
    det_free(env, &layout->data_root);
    *layout = (struct det_yolo_layout){0};
}
