#include "convert/read/yolo_yaml.h"

#include <math.h>
#include <string.h>

#include "convert/read/yaml.h"
#include "convert/readers.h"
#include "support/mem.h"

enum { MOST_NAMES = 100000 };

void det_yolo_entries_free(struct det_env *env, struct det_yolo_entries *entries)
{
    det_path_list_free(env, &entries->texts);
    det_free(env, &entries->lines);
    entries->line_capacity = 0;
}

det_status det_yolo_entries_add(struct det_env *env, struct det_yolo_entries *entries,
                                const char *value, uint32_t line)
{
    if (value[0] == '\0')
        return DET_OK; /* "test: # optional" */
    DET_TRY_RETURN(det_grow(env, &entries->lines, &entries->line_capacity, entries->texts.count + 1,
                            sizeof *entries->lines, "splits"));
    entries->lines[entries->texts.count] = line;
    return det_path_list_add(env, &entries->texts, value);
}

struct reading {
    struct det_env *env;
    const char *file;
    struct det_yolo_yaml *yaml;
    struct det_path_list names; /* as they come */
    struct name_number {
        uint32_t number, line;
    } * numbers; /* of the names */
    size_t number_capacity;
    double keypoints[2];
    size_t keypoint_count;
    uint32_t keypoint_line;
    enum { OTHER, PATH, NAMES, KEYPOINTS, SPLIT } open; /* what the values are */
    struct det_yolo_entries *split;
};

static det_status on_key(void *user, const char *key)
{
    struct reading *y = user;
    y->split =
        strcmp(key, "train") == 0 ? &y->yaml->train
        : strcmp(key, "val") == 0 || strcmp(key, "valid") == 0 || strcmp(key, "validation") == 0
            ? &y->yaml->val
        : strcmp(key, "test") == 0 ? &y->yaml->test
                                   : NULL;
    y->open = y->split != NULL                ? SPLIT
              : strcmp(key, "path") == 0      ? PATH
              : strcmp(key, "names") == 0     ? NAMES
              : strcmp(key, "kpt_shape") == 0 ? KEYPOINTS
                                              : OTHER;
    /* Of a key that comes twice the last counts. */
    if (y->open == SPLIT)
        det_yolo_entries_free(y->env, y->split);
    else if (y->open == NAMES)
        det_path_list_free(y->env, &y->names);
    else if (y->open == KEYPOINTS)
        y->keypoint_count = 0;
    return DET_OK;
}

static det_status add_name(struct reading *y, const char *inner, const char *value, uint32_t line)
{
    double number = (double)y->names.count;
    if (inner != NULL && (!det_parse_coordinate(inner, &number) || number != floor(number) ||
                          !(number >= 0 && number < MOST_NAMES)))
        return det_fail(y->env, DET_STATUS_PARSE, "%s:%u: name number %.40s, expected 0 to %d",
                        y->file, line, inner, MOST_NAMES - 1);
    DET_TRY_RETURN(det_grow(y->env, &y->numbers, &y->number_capacity, y->names.count + 1,
                            sizeof *y->numbers, "class names"));
    y->numbers[y->names.count] = (struct name_number){(uint32_t)number, line};
    return det_path_list_add(y->env, &y->names, value);
}

/* The names by their numbers, which come in any order (a dump sorts "10" before "2") and are 0 to K
 * - 1. */
static det_status order_names(struct reading *y)
{
    const size_t count = y->names.count;
    size_t *place = NULL; /* 1 + that of each number among the names */
    det_status status = DET_OK;
    DET_TRY(det_alloc(y->env, &place, count, sizeof *place, "class names"));
    for (size_t i = 0; i < count; i++) {
        const size_t number = y->numbers[i].number;
        if (number >= count || place[number] != 0)
            DET_TRY(det_fail(
                y->env, DET_STATUS_PARSE, "%s:%u: name number %zu%s, expected 0 to %zu, each once",
                y->file, y->numbers[i].line, number, number < count ? " twice" : "", count - 1));
        place[number] = i + 1;
    }
    for (size_t n = 0; n < count; n++)
        DET_TRY(det_path_list_add(y->env, &y->yaml->names, y->names.paths[place[n] - 1]));
fail:
    det_free(y->env, &place);
    return status;
}

/* Taken for outlines, boxes with keypoints would be wrong without a word: no shape is guessed. */
static det_status add_keypoints(struct reading *y, const char *value, uint32_t line)
{
    double number = 0;
    if (value[0] == '\0' || strcmp(value, "null") == 0)
        return DET_OK;
    y->keypoint_line = line;
    if (y->keypoint_count == 2 || !det_parse_coordinate(value, &number) ||
        !(number >= 1 && number <= 10000) || number != floor(number))
        return det_fail(y->env, DET_STATUS_PARSE,
                        "%s:%u: kpt_shape has `%.40s`, expected [points, 2 or 3]", y->file, line,
                        value);
    y->keypoints[y->keypoint_count++] = number;
    return DET_OK;
}

static det_status on_value(void *user, const char *inner, const char *value, uint32_t line)
{
    struct reading *y = user;
    switch (y->open) {
    case SPLIT:
        return det_yolo_entries_add(y->env, y->split, value, line);
    case NAMES:
        return add_name(y, inner, value, line);
    case PATH:
        det_free(y->env, &y->yaml->path);
        return det_strdup(y->env, &y->yaml->path, value);
    case KEYPOINTS:
        return add_keypoints(y, value, line);
    case OTHER:
        break;
    }
    return DET_OK;
}

det_status det_yolo_yaml_parse(struct det_env *env, const char *file, const char *text,
                               struct det_yolo_yaml *yaml)
{
    struct reading y = {.env = env, .file = file, .yaml = yaml};
    const struct det_yaml_handlers handlers = {&y, on_key, on_value};
    det_status status = DET_OK;
    *yaml = (struct det_yolo_yaml){0};
    DET_TRY(det_yaml_parse(env, file, text, &handlers));
    if (y.names.count == 0)
        DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s: there is no `names:`", file));
    if (y.keypoint_count == 1)
        DET_TRY(det_fail(env, DET_STATUS_PARSE,
                         "%s:%u: kpt_shape has one number, expected [points, 2 or 3]", file,
                         y.keypoint_line));
    if (y.keypoint_count == 2)
        yaml->keypoints = (size_t)(y.keypoints[0] * y.keypoints[1]);
    DET_TRY(order_names(&y));
fail:
    det_path_list_free(env, &y.names);
    det_free(env, &y.numbers);
    return status;
}

void det_yolo_yaml_free(struct det_env *env, struct det_yolo_yaml *yaml)
{
    det_yolo_entries_free(env, &yaml->train);
    det_yolo_entries_free(env, &yaml->val);
    det_yolo_entries_free(env, &yaml->test);
    det_path_list_free(env, &yaml->names);
    det_free(env, &yaml->path);
}
