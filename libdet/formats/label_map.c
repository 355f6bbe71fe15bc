/* label_map.c: see label_map.h. */
#include "formats/label_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/pipeline_schema.h"
#include "support/io.h"
#include "support/mem.h"

#define BACKGROUND    "background"
#define HIERARCHY     "labels have no hierarchy"
#define LVIS          "statistics of the LVIS data set"
#define MOST_WARNINGS 10
#define MOST_LISTED   8

struct item {
    const char *name;
    const char *display_name;
    int32_t id;
    bool has_id;
};

struct items {
    size_t count;
    const struct item *items;
};

#define BASE struct item
static const struct det_schema_word frequencies[] = {
    {"UNSPECIFIED", 0}, {"FREQUENT", 1}, {"COMMON", 2}, {"RARE", 3}, {NULL, 0}};
static const struct det_schema_field item_fields[] = {
    DET_STRING(name, ""),
    {DET_FIELD(id, INT), DET_AT(id), DET_MARK_BOOL(has_id)},
    DET_STRING(display_name, ""),
    {DET_FIELD(keypoints, MESSAGE), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = "keypoints are not predicted"},
    {DET_FIELD(ancestor_ids, INT), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = HIERARCHY},
    {DET_FIELD(descendant_ids, INT), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = HIERARCHY},
    {DET_FIELD(frequency, ENUM), .use = DET_SCHEMA_HARMLESS, .words = frequencies, .reason = LVIS},
    DET_HARMLESS(instance_count, INT, LVIS),
};
static const struct det_schema_message item_message = {
    .name = "StringIntLabelMapItem",
    .size = sizeof(struct item),
    .fields = item_fields,
    .count = sizeof item_fields / sizeof item_fields[0],
};
#undef BASE

#define BASE struct items
static const struct det_schema_field label_map[] = {
    {DET_FIELD(item, MESSAGE), DET_AT(count), .repeated = true, .message = &item_message},
};
const struct det_schema_message det_schema_label_map = DET_TABLE("StringIntLabelMap", label_map);
#undef BASE

/* --- what an item says --- */

static const char *shown_name(const struct item *item)
{
    return item->display_name[0] != '\0' ? item->display_name : item->name;
}

static bool is_background(const struct item *item)
{
    return strcmp(item->name, BACKGROUND) == 0 || strcmp(item->display_name, BACKGROUND) == 0;
}

/* Position of a field of an item, of the item itself if it lacks it: for messages. */
static struct det_position position_of(const struct det_prototext *document,
                                       const struct items *items, const struct item *item,
                                       const char *field)
{
    const struct det_prototext_field *at = document->root.first;
    for (size_t i = (size_t)(item - items->items); i > 0 && at->next != NULL; i--)
        at = at->next;
    const struct det_prototext_field *found = det_prototext_find(at, field);
    return found != NULL ? found->position : at->position;
}

static det_status check_item(struct det_env *env, const struct det_prototext *document,
                             const struct items *items, const struct item *item)
{
    const char *name = shown_name(item);
    if (item->id > 0 && item->id <= DET_LABEL_MAP_MOST_CLASSES)
        return DET_OK;
    if (item->id == 0 && is_background(item))
        return DET_OK;
    const struct det_position position = position_of(document, items, item, "id");
    if (item->id != 0)
        return det_prototext_fail(env, DET_STATUS_PARSE, document, position,
                                  "item \"%.80s\" has id %d, expected 1 to %d", name, (int)item->id,
                                  DET_LABEL_MAP_MOST_CLASSES);
    return det_prototext_fail(env, DET_STATUS_PARSE, document, position,
                              item->has_id
                                  ? "item \"%.80s\" has id 0, which is the background's: ids start "
                                    "at 1"
                                  : "item \"%.80s\" has no id, expected one from 1 on",
                              name);
}

/* --- texts --- */

/* One name or display name of one item. */
struct entry {
    const struct item *item;
    const char *text;
    bool is_display;
};

/* By text, names first, then in the order of the file. */
static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int text = strcmp(x->text, y->text);
    if (text != 0)
        return text;
    if (x->is_display != y->is_display)
        return x->is_display ? 1 : -1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static void tell_same_name(const struct det_env *env, const struct det_label_map *map,
                           const struct items *items, const struct entry *before,
                           const struct entry *at)
{
    const char *field = at->is_display ? "display_name" : "name";
    det_log(env, DET_LOG_WARNING,
            "%s:%d: \"%.80s\" is already that of id %d in line %d: objects called so are of id %d, "
            "as TensorFlow reads it",
            map->path, (int)position_of(&map->document, items, at->item, field).line, at->text,
            (int)before->item->id,
            (int)position_of(&map->document, items, before->item, field).line, (int)at->item->id);
}

/* One text after the other: of the names the last item's id, of the display names too, and the
 * higher of both. */
static det_status make_texts(struct det_env *env, struct det_label_map *map,
                             const struct items *items)
{
    struct det_prototext *document = &map->document;
    struct entry *entries = NULL;
    struct det_label_text *texts = NULL;
    size_t count = 0;
    int32_t told = 0, ids[2] = {-1, -1}; /* of the text as a name, as a display name */
    DET_TRY_RETURN(
        det_prototext_allocate(env, document, &entries, 2 * items->count, sizeof *entries));
    for (size_t i = 0; i < items->count; i++) {
        const struct item *at = &items->items[i];
        if (at->name[0] != '\0')
            entries[count++] = (struct entry){at, at->name, false};
        if (at->display_name[0] != '\0')
            entries[count++] = (struct entry){at, at->display_name, true};
    }
    if (count > 1)
        qsort(entries, count, sizeof *entries, compare_entries);
    DET_TRY_RETURN(det_prototext_allocate(env, document, &texts, count, sizeof *texts));
    for (size_t i = 0; i < count; i++) {
        const struct entry *at = &entries[i];
        const struct entry *before = i > 0 ? at - 1 : NULL;
        const bool same = before != NULL && strcmp(before->text, at->text) == 0;
        if (!same) {
            texts[map->text_count++] = (struct det_label_text){at->text, -1};
            ids[0] = ids[1] = -1;
        }
        const bool replaces = same && before->is_display == at->is_display;
        if (replaces && before->item->id != at->item->id && told++ < MOST_WARNINGS)
            tell_same_name(env, map, items, before, at);
        ids[at->is_display] = at->item->id;
        texts[map->text_count - 1].id = ids[0] > ids[1] ? ids[0] : ids[1];
    }
    map->texts = texts;
    return DET_OK;
}

/* --- classes --- */

static det_status make_classes(struct det_env *env, struct det_label_map *map,
                               const struct items *items)
{
    struct det_prototext *document = &map->document;
    const struct item **owner = NULL;
    int32_t told = 0;
    for (size_t i = 0; i < items->count; i++) {
        DET_TRY_RETURN(check_item(env, document, items, &items->items[i]));
        map->count = map->count > items->items[i].id ? map->count : items->items[i].id;
    }
    if (map->count == 0)
        return det_fail(env, DET_STATUS_PARSE, "%s: no item, expected at least one class",
                        map->path);
    const size_t count = (size_t)map->count;
    DET_TRY_RETURN(det_prototext_allocate(env, document, &owner, count, sizeof *owner));
    DET_TRY_RETURN(det_prototext_allocate(env, document, &map->names, count, sizeof *map->names));
    DET_TRY_RETURN(det_prototext_allocate(env, document, &map->display_names, count,
                                          sizeof *map->display_names));
    for (size_t i = 0; i < items->count; i++) {
        const struct item *at = &items->items[i];
        if (at->id == 0)
            continue;
        const size_t c = (size_t)at->id - 1;
        if (owner[c] != NULL) {
            if (told++ < MOST_WARNINGS)
                det_log(env, DET_LOG_WARNING,
                        "%s:%d: id %d is already that of \"%.80s\" in line %d: \"%.80s\" is the "
                        "same class",
                        map->path, (int)position_of(document, items, at, "id").line, (int)at->id,
                        map->display_names[c],
                        (int)position_of(document, items, owner[c], "id").line, shown_name(at));
            continue;
        }
        owner[c] = at;
        map->item_count++;
        map->names[c] = at->name[0] != '\0' ? at->name : at->display_name;
        map->display_names[c] = shown_name(at);
        if (shown_name(at)[0] != '\0')
            continue;
        char *name = NULL;
        DET_TRY_RETURN(det_prototext_allocate(env, document, &name, 24, 1));
        snprintf(name, 24, "class %d", (int)at->id);
        map->names[c] = map->display_names[c] = name;
    }
    return DET_OK;
}

det_status det_label_map_read_text(struct det_env *env, const char *name, const char *text,
                                   size_t bytes, struct det_label_map *map)
{
    det_status status = DET_OK;
    struct items items = {0};
    memset(map, 0, sizeof *map);
    DET_TRY_RETURN(det_prototext_parse(env, name, text, bytes, &map->document));
    map->path = map->document.name;
    det_schema_merge(env, &map->document, &det_schema_label_map, &map->document.root);
    DET_TRY(det_schema_decode(env, &map->document, &det_schema_label_map, &map->document.root, NULL,
                              &items));
    DET_TRY(make_classes(env, map, &items));
    DET_TRY(make_texts(env, map, &items));
    return DET_OK;
fail:
    det_label_map_free(env, map);
    return status;
}

det_status det_label_map_read(struct det_env *env, const char *path, struct det_label_map *map)
{
    struct det_file_bytes file;
    memset(map, 0, sizeof *map);
    DET_TRY_RETURN(det_file_read(env, path, &file));
    const det_status status =
        det_label_map_read_text(env, path, (const char *)file.data, file.bytes, map);
    det_file_release(&file);
    return status;
}

void det_label_map_free(struct det_env *env, struct det_label_map *map)
{
    det_prototext_free(env, &map->document);
    memset(map, 0, sizeof *map);
}

/* --- questions --- */

int32_t det_label_map_find(const struct det_label_map *map, const char *text, size_t bytes)
{
    size_t low = 0, high = map->text_count;
    while (bytes > 0 && low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct det_label_text *at = &map->texts[middle];
        const size_t length = strlen(at->text);
        int order = memcmp(at->text, text, length < bytes ? length : bytes);
        if (order == 0)
            order = length < bytes ? -1 : length > bytes;
        if (order == 0)
            return at->id;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

det_status det_label_map_fit(struct det_env *env, struct det_label_map *map,
                             const struct det_pipeline_config *config)
{
    const int32_t wanted = config->ssd.num_classes;
    const char **lists[2] = {NULL, NULL};
    if (map->count > wanted)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "%s has ids up to %d (\"%.80s\"), but %s:%d num_classes is %d", map->path,
                        (int)map->count, map->display_names[map->count - 1], config->path,
                        (int)det_pipeline_config_position(config, "model.ssd.num_classes").line,
                        (int)wanted);
    if (map->count == wanted)
        return DET_OK;
    for (int i = 0; i < 2; i++) {
        const char **from = i == 0 ? map->names : map->display_names;
        DET_TRY_RETURN(det_prototext_allocate(env, &map->document, &lists[i], (size_t)wanted,
                                              sizeof *lists[i]));
        memcpy(lists[i], from, (size_t)map->count * sizeof *from);
    }
    map->names = lists[0];
    map->display_names = lists[1];
    map->count = wanted;
    return DET_OK;
}

det_status det_label_map_list(struct det_env *env, const struct det_label_map *map,
                              struct det_text *text)
{
    int32_t listed = 0;
    for (int32_t c = 0; c < map->count && listed < MOST_LISTED; c++) {
        if (map->display_names[c] == NULL)
            continue;
        DET_TRY_RETURN(
            det_text_printf(env, text, "%s%.80s", listed > 0 ? ", " : "", map->display_names[c]));
        listed++;
    }
    return map->item_count > listed
               ? det_text_printf(env, text, " and %d more", (int)(map->item_count - listed))
               : DET_OK;
}

/* The next byte that is no space, dash or underscore, in lower case. */
static char next_folded(const char **text)
{
    *text += strspn(*text, " \t_-");
    const char c = **text;
    *text += c != '\0';
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_but_for_case_and_spaces(const char *a, const char *b)
{
    for (;;) {
        const char x = next_folded(&a), y = next_folded(&b);
        if (x != y)
            return false;
        if (x == '\0')
            return true;
    }
}

const char *det_label_map_nearest(const struct det_label_map *map, const char *text)
{
    const int length = (int)strlen(text);
    int distance = length < 3 ? 1 : length < 6 ? 2 : 3; /* as many, and it is another word */
    const char *best = NULL;
    for (size_t i = 0; i < map->text_count; i++) {
        const char *known = map->texts[i].text;
        if (map->texts[i].id == 0)
            continue;
        if (same_but_for_case_and_spaces(known, text))
            return known;
        const int found = det_edit_distance(known, text);
        if (found < distance) {
            distance = found;
            best = known;
        }
    }
    return best;
}
