/* label_map.c: see label_map.h. */
#include "formats/label_map.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "formats/pipeline_schema.h"

#define HIERARCHY "labels have no hierarchy"
#define MAX_ITEMS 100000 /* as num_classes */
#define LVIS      "statistics of the LVIS data set"

struct item {
    const char *name;
    const char *display_name;
    int32_t id;
    bool has_name, has_display_name, has_id;
};

struct items {
    size_t count;
    const struct item *items;
};

#define BASE struct item
static const struct det_schema_word frequencies[] = {
    {"UNSPECIFIED", 0}, {"FREQUENT", 1}, {"COMMON", 2}, {"RARE", 3}, {NULL, 0}};
static const struct det_schema_field keypoint[] = {
    DET_HARMLESS(id, INT, "keypoints are not predicted"),
    DET_HARMLESS(label, STRING, "keypoints are not predicted"),
};
static const struct det_schema_message keypoint_message = {
    .name = "KeypointMap", .size = 1, .fields = keypoint, .count = 2};
struct keypoints {
    struct item item; /* first: an item is decoded into it */
    size_t count;
    const void *values;
};
static const struct det_schema_field item[] = {
    {DET_FIELD(name, STRING), DET_AT(name), DET_MARK_BOOL(has_name)},
    {DET_FIELD(id, INT), DET_AT(id), DET_MARK_BOOL(has_id)},
    {DET_FIELD(display_name, STRING), DET_AT(display_name), DET_MARK_BOOL(has_display_name)},
    {DET_FIELD(keypoints, MESSAGE), .repeated = true, .offset = offsetof(struct keypoints, count),
     .message = &keypoint_message},
    {DET_FIELD(ancestor_ids, INT), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = HIERARCHY},
    {DET_FIELD(descendant_ids, INT), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = HIERARCHY},
    {DET_FIELD(frequency, ENUM), .use = DET_SCHEMA_HARMLESS, .words = frequencies, .reason = LVIS},
    DET_HARMLESS(instance_count, INT, LVIS),
};
static const struct det_schema_message item_message = {.name = "StringIntLabelMapItem",
                                                       .size = sizeof(struct keypoints),
                                                       .fields = item,
                                                       .count = sizeof item / sizeof item[0]};
#undef BASE

#define BASE struct items
static const struct det_schema_field label_map[] = {
    {DET_FIELD(item, MESSAGE), DET_AT(count), .repeated = true, .message = &item_message},
};
static const struct det_schema_message label_map_message =
    DET_TABLE("StringIntLabelMap", label_map);
#undef BASE

static const struct item *item_at(const struct items *items, size_t index)
{
    const struct keypoints *all = (const struct keypoints *)(const void *)items->items;
    return &all[index].item;
}

/* Position of a field of item number `index`, of the item itself if it lacks it. */
static struct det_position position_of(const struct det_prototext *document, size_t index,
                                       const char *field)
{
    const struct det_prototext_field *at = document->root.first;
    for (; index > 0 && at->next != NULL; index--)
        at = at->next;
    const struct det_prototext_field *found = det_prototext_find(at, field);
    return found != NULL ? found->position : at->position;
}

/* owner[id - 1] = number of its item + 1. */
static det_status check_ids(struct det_env *env, const struct det_prototext *document,
                            const struct items *items, uint32_t *owner)
{
    const int32_t count = (int32_t)items->count;
    for (size_t i = 0; i < items->count; i++) {
        const struct det_position position = position_of(document, i, "id");
        const int32_t id = item_at(items, i)->id;
        if (!item_at(items, i)->has_id)
            return det_prototext_fail(env, DET_STATUS_PARSE, document, position,
                                      "item has no id, expected one from 1 to %d", (int)count);
        if (id < 1)
            return det_prototext_fail(env, DET_STATUS_PARSE, document, position,
                                      "id %d: ids start at 1%s", (int)id,
                                      id == 0 ? ", 0 is the background" : "");
        if (id <= count && owner[id - 1] != 0)
            return det_prototext_fail(env, DET_STATUS_PARSE, document, position,
                                      "id %d is already that of \"%.80s\" in line %d", (int)id,
                                      item_at(items, owner[id - 1] - 1)->name,
                                      (int)position_of(document, owner[id - 1] - 1, "id").line);
        if (id <= count)
            owner[id - 1] = (uint32_t)i + 1;
    }
    for (int32_t id = 1; id <= count; id++) {
        if (owner[id - 1] != 0)
            continue;
        for (size_t i = 0; i < items->count; i++)
            if (item_at(items, i)->id > count)
                return det_prototext_fail(
                    env, DET_STATUS_PARSE, document, position_of(document, i, "id"),
                    "id %d, but there are %d items and id %d is missing: ids must be 1 to %d "
                    "without a gap",
                    (int)item_at(items, i)->id, (int)count, (int)id, (int)count);
    }
    return DET_OK;
}

static det_status check_names(struct det_env *env, const struct det_prototext *document,
                              const struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        const struct item *at = item_at(items, i);
        if (!at->has_name || at->name[0] == '\0')
            return det_prototext_fail(env, DET_STATUS_PARSE, document,
                                      position_of(document, i, "name"), "item has no name");
        for (size_t other = 0; other < i; other++)
            if (strcmp(item_at(items, other)->name, at->name) == 0)
                return det_prototext_fail(
                    env, DET_STATUS_PARSE, document, position_of(document, i, "name"),
                    "name \"%.80s\" is already that of id %d in line %d", at->name,
                    (int)item_at(items, other)->id, (int)position_of(document, other, "name").line);
    }
    return DET_OK;
}

det_status det_label_map_parse(struct det_env *env, const char *name, const char *text,
                               size_t bytes, struct det_label_map *map)
{
    det_status status = DET_OK;
    struct det_prototext document = {0};
    struct items items = {0};
    uint32_t *owner = NULL;
    memset(map, 0, sizeof *map);
    DET_TRY_RETURN(det_prototext_parse(env, name, text, bytes, &document));
    DET_TRY(det_schema_decode(env, &document, &label_map_message, &document.root, &items));
    if (items.count == 0) {
        status = det_fail(env, DET_STATUS_PARSE, "%s: no item, expected at least one class", name);
        goto fail;
    }
    if (items.count > MAX_ITEMS) {
        status = det_fail(env, DET_STATUS_PARSE, "%s: %zu items, expected at most %d", name,
                          items.count, MAX_ITEMS);
        goto fail;
    }
    DET_TRY(det_prototext_allocate(env, &document, &owner, items.count, sizeof *owner));
    DET_TRY(check_names(env, &document, &items));
    DET_TRY(check_ids(env, &document, &items, owner));
    DET_TRY(det_strdup(env, &map->path, name));
    DET_TRY(det_alloc(env, &map->names, items.count, sizeof *map->names, "class names"));
    DET_TRY(det_alloc(env, &map->display_names, items.count, sizeof *map->names, "class names"));
    map->count = (int32_t)items.count;
    for (size_t i = 0; i < items.count; i++) {
        const struct item *at = item_at(&items, owner[i] - 1);
        DET_TRY(det_strdup(env, &map->names[i], at->name));
        DET_TRY(det_strdup(env, &map->display_names[i],
                           at->has_display_name ? at->display_name : at->name));
    }
    det_prototext_free(env, &document);
    return DET_OK;
fail:
    det_prototext_free(env, &document);
    det_label_map_free(env, map);
    return status;
}

det_status det_label_map_read(struct det_env *env, const char *path, struct det_label_map *map)
{
    struct det_file_map file;
    memset(map, 0, sizeof *map);
    DET_TRY_RETURN(det_file_map_open(env, path, &file));
    const det_status status =
        det_label_map_parse(env, path, (const char *)file.data, file.bytes, map);
    det_file_map_close(&file);
    return status;
}

void det_label_map_free(struct det_env *env, struct det_label_map *map)
{
    for (int32_t i = 0; i < map->count; i++) {
        det_free(env, &map->names[i]);
        det_free(env, &map->display_names[i]);
    }
    det_free(env, &map->names);
    det_free(env, &map->display_names);
    det_free(env, &map->path);
    memset(map, 0, sizeof *map);
}

int32_t det_label_map_index(const struct det_label_map *map, const char *name,
                            bool use_display_name)
{
    char *const *names = use_display_name ? map->display_names : map->names;
    for (int32_t i = 0; i < map->count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

det_status det_label_map_check(struct det_env *env, const struct det_label_map *map,
                               const struct det_pipeline_config *config)
{
    if (map->count == config->ssd.num_classes)
        return DET_OK;
    return det_fail(env, DET_STATUS_MISMATCH, "%s has %d class%s but %s:%d num_classes is %d",
                    map->path, (int)map->count, map->count == 1 ? "" : "es", config->path,
                    (int)det_pipeline_config_position(config, "model.ssd.num_classes").line,
                    (int)config->ssd.num_classes);
}
