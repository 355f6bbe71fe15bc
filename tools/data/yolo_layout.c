#include "convert/yolo_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "convert/readers.h"

det_status det_yolo_resolve(struct det_env *env, const struct det_yolo_layout *layout,
                            const char *path, char **out)
{
    DET_TRY_RETURN(det_path_join(env, out, layout->root, path));
    if (det_file_exists(*out) || strncmp(path, "data/", 5) != 0)
        return DET_OK;
    char *without = NULL;
    DET_TRY_RETURN(det_path_join(env, &without, layout->root, path + 5));
    if (!det_file_exists(without)) {
        det_free(env, &without);
        return DET_OK;
    }
    det_free(env, out);
    *out = without;
    return DET_OK;
}

static det_status add_part(struct det_env *env, struct det_yolo_layout *layout, const char *split,
                           const char *path)
{
    DET_TRY_RETURN(det_grow(env, &layout->parts, &layout->part_capacity, layout->part_count + 1,
                            sizeof *layout->parts, "splits"));
    struct det_yolo_part *part = &layout->parts[layout->part_count++];
    DET_TRY_RETURN(det_strdup(env, &part->split, split));
    return det_yolo_resolve(env, layout, path, &part->path);
}

/* --- names in a file of lines --- */

static det_status read_names(struct det_env *env, struct det_yolo_layout *layout, const char *path)
{
    char *text = NULL, *line = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_read_text(env, path, &text));
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

/* Text without quotes around it and a comment behind it. */
static char *scalar(char *text)
{
    text = det_trimmed(text);
    if (text[0] == '"' || text[0] == '\'') {
        char *end = strchr(text + 1, text[0]);
        if (end != NULL) {
            *end = '\0';
            return text + 1;
        }
    }
    if (text[0] == '#')
        text[0] = '\0';
    char *comment = strstr(text, " #");
    if (comment != NULL)
        *comment = '\0';
    return det_trimmed(text);
}

struct yaml {
    struct det_yolo_layout *layout;
    const char *path;
    char *root; /* `path:` */
    struct det_path_list train, val, test;
    struct det_path_list names; /* by number; "" where one is missing */
    uint32_t line;
};

static struct det_path_list *list_of(struct yaml *y, const char *key)
{
    return strcmp(key, "train") == 0 ? &y->train
           : strcmp(key, "val") == 0 || strcmp(key, "valid") == 0 || strcmp(key, "validation") == 0
               ? &y->val
           : strcmp(key, "test") == 0  ? &y->test
           : strcmp(key, "names") == 0 ? &y->names
                                       : NULL;
}

/* "3: cat" of numbered names. False: no such entry. */
static bool numbered(char *text, size_t *number, char **value)
{
    char *end = NULL;
    if (*text < '0' || *text > '9')
        return false;
    const unsigned long at = strtoul(text, &end, 10);
    end += strspn(end, " \t");
    if (*end != ':' || at > 100000)
        return false;
    *number = at;
    *value = end + 1;
    return true;
}

static det_status put_entry(struct det_env *env, struct yaml *y, struct det_path_list *list,
                            char *text)
{
    size_t number = 0;
    char *value = NULL;
    text = det_trimmed(text);
    if (list != &y->names || !numbered(text, &number, &value))
        return det_path_list_add(env, list, scalar(text));
    if (number != list->count)
        return det_fail(env, DET_STATUS_PARSE,
                        "%s:%u: name number %zu, expected %zu: they must rise by one", y->path,
                        y->line, number, list->count);
    return det_path_list_add(env, list, scalar(value));
}

/* "[a, b]" or "{0: a, 1: b}" */
static det_status put_flow(struct det_env *env, struct yaml *y, struct det_path_list *list,
                           char *text)
{
    const char close = text[0] == '[' ? ']' : '}';
    char *end = strrchr(text, close);
    if (end == NULL)
        return det_fail(env, DET_STATUS_PARSE,
                        "%s:%u: no `%c` in this line: write the list in one line, or "
                        "an entry a line with `- `",
                        y->path, y->line, close);
    *end = '\0';
    for (char *at = text + 1; *at != '\0';) {
        /* a comma in quotes separates nothing */
        char quote = 0;
        size_t length = 0;
        while (at[length] != '\0' && (quote != 0 || at[length] != ',')) {
            if (quote == 0 && (at[length] == '"' || at[length] == '\''))
                quote = at[length];
            else if (quote != 0 && at[length] == quote)
                quote = 0;
            length++;
        }
        char *next = at + length + (at[length] == ',');
        at[length] = '\0';
        if (det_trimmed(at)[0] != '\0')
            DET_TRY_RETURN(put_entry(env, y, list, at));
        at = next;
    }
    return DET_OK;
}

static det_status parse_yaml(struct det_env *env, struct yaml *y, char *text)
{
    struct det_path_list *open = NULL; /* the key whose entries follow on lines of their own */
    char *line = NULL;
    while (det_next_line(&text, &line)) {
        y->line++;
        const bool indented = line[0] == ' ' || line[0] == '\t';
        char *content = det_trimmed(line);
        if (content[0] == '\0' || content[0] == '#' || strcmp(content, "---") == 0)
            continue;
        if (open != NULL && content[0] == '-') {
            DET_TRY_RETURN(put_entry(env, y, open, content + 1));
            continue;
        }
        if (indented) {
            if (open != NULL)
                DET_TRY_RETURN(put_entry(env, y, open, content));
            continue; /* of a key that is not looked at */
        }
        char *colon = strchr(content, ':');
        if (colon == NULL)
            return det_fail(env, DET_STATUS_PARSE, "%s:%u: got `%.60s`, expected `key: value`",
                            y->path, y->line, content);
        *colon = '\0';
        struct det_path_list *list = list_of(y, scalar(content));
        char *value = det_trimmed(colon + 1);
        if (strcmp(scalar(content), "path") == 0 && y->root == NULL)
            DET_TRY_RETURN(det_strdup(env, &y->root, scalar(value)));
        open = list;
        if (list == NULL || value[0] == '\0' || value[0] == '#')
            continue;
        open = NULL;
        DET_TRY_RETURN(value[0] == '[' || value[0] == '{' ? put_flow(env, y, list, value)
                                                          : put_entry(env, y, list, value));
    }
    return DET_OK;
}

static det_status read_yaml(struct det_env *env, struct det_yolo_layout *layout)
{
    struct yaml y = {.layout = layout, .path = layout->source};
    char *text = NULL;
    det_status status = DET_OK;
    DET_TRY(det_read_text(env, layout->source, &text));
    DET_TRY(parse_yaml(env, &y, text));
    if (y.names.count == 0)
        DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s: there is no `names:`", layout->source));
    /* `path` of a data set that was moved leads nowhere: then the file's own folder. */
    if (y.root != NULL && y.root[0] != '\0') {
        char *joined = NULL;
        DET_TRY(det_path_join(env, &joined, layout->root, y.root));
        if (det_is_directory(joined)) {
            det_free(env, &layout->root);
            layout->root = joined;
        } else {
            det_free(env, &joined);
        }
    }
    const struct {
        const char *split;
        const struct det_path_list *list;
    } parts[] = {{"train", &y.train}, {"val", &y.val}, {"test", &y.test}};
    for (size_t p = 0; p < 3; p++)
        for (size_t i = 0; i < parts[p].list->count; i++)
            if (parts[p].list->paths[i][0] != '\0')
                DET_TRY(add_part(env, layout, parts[p].split, parts[p].list->paths[i]));
    for (size_t i = 0; i < y.names.count; i++)
        DET_TRY(det_path_list_add(env, &layout->names, y.names.paths[i]));
fail:
    det_path_list_free(env, &y.train);
    det_path_list_free(env, &y.val);
    det_path_list_free(env, &y.test);
    det_path_list_free(env, &y.names);
    det_free(env, &y.root);
    det_free(env, &text);
    return status;
}

/* --- obj.data --- */

static det_status read_obj_data(struct det_env *env, struct det_yolo_layout *layout)
{
    char *text = NULL, *line = NULL, *names = NULL;
    uint32_t number = 0;
    det_status status = DET_OK;
    DET_TRY(det_read_text(env, layout->source, &text));
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
        if (strcmp(key, "train") == 0)
            DET_TRY(add_part(env, layout, "train", value));
        else if (strcmp(key, "valid") == 0)
            DET_TRY(add_part(env, layout, "val", value));
        else if (strcmp(key, "test") == 0)
            DET_TRY(add_part(env, layout, "test", value));
        else if (strcmp(key, "names") == 0 && names == NULL)
            DET_TRY(det_yolo_resolve(env, layout, value, &names));
    }
    if (names == NULL)
        DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s: there is no `names = FILE`", layout->source));
    DET_TRY(read_names(env, layout, names));
fail:
    det_free(env, &names);
    det_free(env, &text);
    return status;
}

/* --- names alone --- */

static det_status read_plain(struct det_env *env, struct det_yolo_layout *layout)
{
    DET_TRY_RETURN(read_names(env, layout, layout->source));
    char *images = NULL;
    DET_TRY_RETURN(det_path_join(env, &images, layout->root, "images"));
    const bool there = det_is_directory(images);
    det_free(env, &images);
    /* images/train, images/val: splits of their own */
    static const char *const splits[] = {"train", "val", "test"};
    for (size_t i = 0; there && i < 3; i++) {
        char folder[32], *path = NULL;
        snprintf(folder, sizeof folder, "images/%s", splits[i]);
        DET_TRY_RETURN(det_path_join(env, &path, layout->root, folder));
        const bool is_split = det_is_directory(path);
        det_free(env, &path);
        if (is_split)
            DET_TRY_RETURN(add_part(env, layout, splits[i], folder));
    }
    if (layout->part_count > 0)
        return DET_OK;
    return add_part(env, layout, "data", there ? "images" : ".");
}

det_status det_yolo_layout_read(struct det_env *env, const char *path,
                                struct det_yolo_layout *layout)
{
    static const char *const files[] = {"data.yaml", "dataset.yaml", "obj.data", "classes.txt",
                                        "obj.names"};
    det_status status = DET_OK;
    *layout = (struct det_yolo_layout){0};
    if (det_is_directory(path)) {
        DET_TRY(det_strdup(env, &layout->root, path));
        for (size_t i = 0; i < sizeof files / sizeof files[0] && layout->source == NULL; i++) {
            DET_TRY(det_path_join(env, &layout->source, path, files[i]));
            if (!det_file_exists(layout->source))
                det_free(env, &layout->source);
        }
        if (layout->source == NULL)
            DET_TRY(det_fail(
                env, DET_STATUS_NOT_FOUND,
                "%s: the folder holds no data.yaml, obj.data, classes.txt or obj.names: the names "
                "of the classes are needed",
                path));
    } else {
        DET_TRY(det_strdup(env, &layout->source, path));
        DET_TRY(det_path_directory(env, &layout->root, path));
    }
    const char *name = det_path_name(layout->source);
    const size_t length = strlen(name);
    if (length > 5 &&
        (strcmp(name + length - 5, ".yaml") == 0 || strcmp(name + length - 4, ".yml") == 0))
        DET_TRY(read_yaml(env, layout));
    else if (length > 5 && strcmp(name + length - 5, ".data") == 0)
        DET_TRY(read_obj_data(env, layout));
    else
        DET_TRY(read_plain(env, layout));
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
    }
    det_free(env, &layout->parts);
    det_path_list_free(env, &layout->names);
    det_free(env, &layout->source);
    det_free(env, &layout->root);
    *layout = (struct det_yolo_layout){0};
}
