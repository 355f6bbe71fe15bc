#include "convert/annotations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/mem.h"
#include "support/text.h"
#include "support/utf8.h"

/* The caller frees. */
static det_status copy_utf8(struct det_env *env, char **out, const char *name)
{
    struct det_text text = {0};
    const det_status status = det_text_utf8(env, &text, name);
    if (status != DET_OK)
        det_text_free(env, &text);
    *out = text.data;
    return status;
}

/* Of a name that is UTF-8. */
static det_status add_class(struct det_env *env, struct det_annotations *set, const char *name)
{
    uint32_t other = 0;
    DET_TRY_RETURN(det_path_list_add(env, &set->classes, name));
    /* Of two names with one hash the second is found by comparing all. */
    if (det_id_map_find(&set->class_map, det_id_of_text(name), &other))
        return DET_OK;
    const det_status status = det_id_map_add(env, &set->class_map, det_id_of_text(name),
                                             (uint32_t)set->classes.count - 1);
    if (status != DET_OK)
        det_free(env, &set->classes.paths[--set->classes.count]);
    return status;
}

static int32_t find_class(const struct det_annotations *set, const char *name)
{
    uint32_t found = 0;
    if (!det_id_map_find(&set->class_map, det_id_of_text(name), &found))
        return DET_CLASS_UNLISTED;
    if (found < set->classes.count && strcmp(set->classes.paths[found], name) == 0)
        return (int32_t)found;
    for (size_t i = 0; i < set->classes.count; i++)
        if (strcmp(set->classes.paths[i], name) == 0)
            return (int32_t)i;
    return DET_CLASS_UNLISTED;
}

det_status det_annotations_init(struct det_env *env, struct det_annotations *set,
                                const struct det_label_map *map)
{
    *set = (struct det_annotations){.classes_are_fixed = map != NULL};
    for (int32_t i = 0; map != NULL && i < map->count; i++) {
        char *name = NULL, number[24];
        snprintf(number, sizeof number, "class %d", (int)i + 1); /* an id without an item */
        det_status status = copy_utf8(env, &name, map->names[i] != NULL ? map->names[i] : number);
        if (status == DET_OK)
            status = add_class(env, set, name);
        det_free(env, &name);
        if (status != DET_OK) {
            det_annotations_free(env, set);
            return status;
        }
    }
    return DET_OK;
}

static void free_image(struct det_env *env, struct det_labelled_image *image)
{
    det_free(env, &image->where);
    det_free(env, &image->name);
    det_free(env, &image->source_id);
    det_free(env, &image->path);
    det_free(env, &image->own);
}

void det_annotations_free(struct det_env *env, struct det_annotations *set)
{
    for (size_t i = 0; i < set->image_count; i++)
        free_image(env, &set->images[i]);
    for (size_t i = 0; i < set->record_count; i++) {
        det_record_set_close(env, &set->records[i].records);
        det_source_bytes_close(env, &set->records[i].source);
    }
    det_free(env, &set->records);
    det_free(env, &set->images);
    det_free(env, &set->objects);
    det_path_list_free(env, &set->classes);
    det_annotations_forget_splits(env, set);
    det_id_map_free(env, &set->class_map);
    *set = (struct det_annotations){0};
}

det_status det_annotations_add_image(struct det_env *env, struct det_annotations *set,
                                     const char *where, const char *name, bool boxes_px,
                                     size_t *index)
{
    if (set->image_count >= UINT32_MAX)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: more than 2^32 images", where);
    DET_TRY_RETURN(det_grow(env, &set->images, &set->image_capacity, set->image_count + 1,
                            sizeof *set->images, "images"));
    struct det_labelled_image *image = &set->images[set->image_count];
    *image = (struct det_labelled_image){.boxes_px = boxes_px, .orientation = 1, .turn = 1};
    det_status status = det_strdup(env, &image->where, where);
    if (status == DET_OK && name != NULL)
        status = det_strdup(env, &image->name, name);
    *index = set->image_count++;
    if (status != DET_OK)
        det_annotations_take_back_image(env, set);
    return status;
}

void det_annotations_take_back_image(struct det_env *env, struct det_annotations *set)
{
    free_image(env, &set->images[--set->image_count]);
}

struct det_labelled_object det_annotations_object(size_t image)
{
    return (struct det_labelled_object){
        .image = (uint32_t)image, .class_index = DET_CLASS_NONE, .weight = 1, .number = UINT32_MAX};
}

det_status det_annotations_add_object(struct det_env *env, struct det_annotations *set,
                                      const struct det_labelled_object *object)
{
    DET_TRY_RETURN(det_grow(env, &set->objects, &set->object_capacity, set->object_count + 1,
                            sizeof *set->objects, "objects"));
    struct det_labelled_object *at = &set->objects[set->object_count++];
    *at = *object;
    size_t *count = &set->images[object->image].object_count;
    if (at->number == UINT32_MAX)
        at->number = (uint32_t)*count + set->images[object->image].lost_objects;
    ++*count;
    return DET_OK;
}

static void lose(struct det_annotations *set, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        set->objects[i].image = DET_NO_IMAGE;
        set->objects[i].class_index = DET_CLASS_NONE;
    }
    set->objects_lost += count;
}

det_status det_annotations_set_objects(struct det_env *env, struct det_annotations *set,
                                       size_t image, const struct det_labelled_object *objects,
                                       size_t count)
{
    struct det_labelled_image *at = &set->images[image];
    /* Of an image that changes often not all that it ever had is kept. */
    if (set->objects_lost > 1000 && set->objects_lost > set->object_count / 2)
        DET_TRY_RETURN(det_annotations_gather(env, set));
    const size_t old = at->object_count;
    if (count > old) {
        DET_TRY_RETURN(det_grow(env, &set->objects, &set->object_capacity,
                                set->object_count + count, sizeof *set->objects, "objects"));
        lose(set, at->first_object, old);
        at->first_object = set->object_count;
        set->object_count += count;
    } else {
        lose(set, at->first_object + count, old - count);
    }
    for (size_t i = 0; i < count; i++) {
        set->objects[at->first_object + i] = objects[i];
        set->objects[at->first_object + i].image = (uint32_t)image;
    }
    at->object_count = count;
    return DET_OK;
}

bool det_number_is_sound(double number)
{
    return isfinite(number) && number >= 0;
}

bool det_annotations_box_is_px(const struct det_labelled_image *image,
                               const struct det_labelled_object *object)
{
    return object->frame == DET_BOX_AS_IMAGE ? image->boxes_px : object->frame == DET_BOX_PIXELS;
}

det_status det_annotations_class(struct det_env *env, struct det_annotations *set, const char *name,
                                 int32_t *index)
{
    char *utf8 = NULL;
    det_status status = DET_OK;
    *index = DET_CLASS_UNLISTED;
    DET_TRY(copy_utf8(env, &utf8, name));
    *index = find_class(set, utf8);
    if (*index >= 0 || set->classes_are_fixed)
        goto fail;
    DET_TRY(add_class(env, set, utf8));
    *index = (int32_t)set->classes.count - 1;
fail:
    det_free(env, &utf8);
    return status;
}

void det_annotations_take_back_classes(struct det_env *env, struct det_annotations *set,
                                       size_t count)
{
    while (set->classes.count > count) /* what the map says of them is passed over */
        det_free(env, &set->classes.paths[--set->classes.count]);
}

det_status det_annotations_split_index(struct det_env *env, struct det_annotations *set,
                                       const char *name, int32_t *index)
{
    const int64_t id = det_id_of_text(name);
    char *safe = NULL, *unique = NULL, *source = NULL;
    uint32_t found = 0;
    det_status status = DET_OK;
    const bool known = det_id_map_find(&set->split_map, id, &found);
    /* At its place, or, where that was kept for one that there was no memory for, elsewhere. */
    for (size_t i = known ? found : SIZE_MAX; i < set->split_sources.count; i++)
        if (strcmp(set->split_sources.paths[i], name) == 0) {
            *index = (int32_t)i;
            return DET_OK;
        }
    *index = (int32_t)set->splits.count;
    const size_t count = set->splits.count + 1;
    DET_TRY(det_strdup(env, &source, name));
    DET_TRY(det_safe_name(env, name, &safe));
    DET_TRY(
        det_grow(env, &set->splits.paths, &set->splits.capacity, count, sizeof(char *), "splits"));
    DET_TRY(det_grow(env, &set->split_sources.paths, &set->split_sources.capacity, count,
                     sizeof(char *), "splits"));
    if (!known)
        DET_TRY(det_id_map_add(env, &set->split_map, id, (uint32_t)*index));
    DET_TRY(det_name_set_unique(env, &set->split_names, 0, safe, &unique));
    set->splits.paths[set->splits.count++] = unique;
    set->split_sources.paths[set->split_sources.count++] = source;
    unique = source = NULL;
fail:
    det_free(env, &unique);
    det_free(env, &source);
    det_free(env, &safe);
    return status;
}

void det_annotations_forget_splits(struct det_env *env, struct det_annotations *set)
{
    det_path_list_free(env, &set->splits);
    det_path_list_free(env, &set->split_sources);
    det_name_set_free(env, &set->split_names);
    det_id_map_free(env, &set->split_map);
}

struct class_key {
    int64_t label; /* the number that its objects have, 0: none, or not always the same */
    char *name;
    int32_t index;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct class_key *)a)->name, ((const struct class_key *)b)->name);
}

static int by_label(const void *a, const void *b)
{
    const struct class_key *x = a, *y = b;
    return x->label < y->label ? -1 : x->label > y->label;
}

/* True when the numbers of the classes that `keys` are of are those of the places from `first` on.
 */
static bool find_labels(const struct det_annotations *set, size_t first, struct class_key *keys)
{
    const size_t count = set->classes.count - first;
    for (size_t i = 0; i < set->object_count; i++) {
        const struct det_labelled_object *object = &set->objects[i];
        if (object->class_index < (int64_t)first)
            continue;
        struct class_key *key = &keys[(size_t)object->class_index - first];
        if (key->label == 0)
            key->label = object->label;
    }
    qsort(keys, count, sizeof *keys, by_label);
    for (size_t i = 0; i < count; i++)
        if (keys[i].label != (int64_t)(first + i) + 1)
            return false;
    return true;
}

/* Those from `first` on. */
static det_status order_classes(struct det_env *env, struct det_annotations *set, size_t first)
{
    const size_t all = set->classes.count, count = all - first;
    struct class_key *keys = NULL;
    struct det_id_map map = {0};
    int32_t *to = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &keys, count, sizeof *keys, "classes"));
    DET_TRY(det_alloc(env, &to, count, sizeof *to, "classes"));
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct class_key){.name = set->classes.paths[first + i], .index = (int32_t)i};
    const bool numbered = find_labels(set, first, keys);
    if (!numbered)
        qsort(keys, count, sizeof *keys, by_name);
    for (size_t i = 0; i < all; i++) {
        const char *name = i < first ? set->classes.paths[i] : keys[i - first].name;
        uint32_t other = 0;
        if (!det_id_map_find(&map, det_id_of_text(name), &other))
            DET_TRY(det_id_map_add(env, &map, det_id_of_text(name), (uint32_t)i));
    }
    det_id_map_free(env, &set->class_map);
    set->class_map = map;
    map = (struct det_id_map){0};
    for (size_t i = 0; i < count; i++) {
        to[keys[i].index] = (int32_t)(first + i);
        set->classes.paths[first + i] = keys[i].name;
    }
    for (size_t i = 0; i < set->object_count; i++) {
        struct det_labelled_object *object = &set->objects[i];
        if (object->class_index < (int64_t)first)
            continue;
        object->class_index = to[(size_t)object->class_index - first];
        if (!numbered)
            object->label = 0; /* numbers of a map that is not here */
    }
fail:
    det_id_map_free(env, &map);
    det_free(env, &keys);
    det_free(env, &to);
    return status;
}

det_status det_annotations_order_classes(struct det_env *env, struct det_annotations *set)
{
    if (set->classes_as_met && set->classes.count - set->classes_ordered > 1)
        DET_TRY_RETURN(order_classes(env, set, set->classes_ordered));
    set->classes_ordered = set->classes.count;
    return DET_OK;
}

/* A counting sort: stable, so that objects keep their order within an image. */
det_status det_annotations_gather(struct det_env *env, struct det_annotations *set)
{
    struct det_labelled_object *sorted = NULL;
    size_t total = 0;
    DET_TRY_RETURN(det_alloc(env, &sorted, set->object_count, sizeof *sorted, "objects"));
    for (size_t i = 0; i < set->image_count; i++) {
        set->images[i].first_object = total;
        total += set->images[i].object_count;
        set->images[i].object_count = 0;
    }
    for (size_t i = 0; i < set->object_count; i++) {
        if (set->objects[i].image == DET_NO_IMAGE)
            continue;
        struct det_labelled_image *image = &set->images[set->objects[i].image];
        sorted[image->first_object + image->object_count++] = set->objects[i];
    }
    det_free(env, &set->objects);
    set->objects = sorted;
    set->object_capacity = set->object_count;
    set->object_count = total;
    set->objects_lost = 0;
    return DET_OK;
}

const char *det_image_id(const struct det_labelled_image *image)
{
    return image->source_id != NULL ? image->source_id : image->name != NULL ? image->name : "";
}

/* *changed counts. */
static det_status make_utf8(struct det_env *env, char **name, size_t *changed)
{
    char *utf8 = NULL;
    if (*name == NULL || det_utf8_valid(*name))
        return DET_OK;
    DET_TRY_RETURN(copy_utf8(env, &utf8, *name));
    det_free(env, name);
    *name = utf8;
    ++*changed;
    return DET_OK;
}

det_status det_annotations_finish(struct det_env *env, struct det_annotations *set,
                                  struct det_findings *findings)
{
    int32_t index = 0;
    size_t changed = 0, first = 0;
    if (set->splits.count == 0)
        DET_TRY_RETURN(det_annotations_split_index(env, set, "data", &index));
    for (size_t i = 0; i < set->image_count; i++) {
        first = changed == 0 ? i : first;
        DET_TRY_RETURN(make_utf8(env, &set->images[i].name, &changed));
        DET_TRY_RETURN(make_utf8(env, &set->images[i].source_id, &changed));
    }
    if (changed > 0) {
        findings->at =
            (struct det_finding_place){set->images[first].where, (int64_t)first + 1, 0, 0};
        det_finding(findings, DET_RULE_NAME_CHANGED,
                    "%s: the name `%.200s` was not UTF-8 (%zu such names and ids): a byte that is "
                    "none is written as %% and its two digits",
                    set->images[first].where, det_image_id(&set->images[first]), changed);
        findings->at = (struct det_finding_place){0};
    }
    DET_TRY_RETURN(det_annotations_order_classes(env, set));
    return det_annotations_gather(env, set);
}

det_status det_image_bytes_open(struct det_env *env, const struct det_annotations *set,
                                const struct det_labelled_image *image,
                                struct det_source_bytes *source)
{
    const struct det_record_part *part = &image->encoded;
    *source = (struct det_source_bytes){0};
    if (image->path != NULL)
        return det_files_open(env, set->files, image->path, source);
    source->data = image->own;
    source->bytes = image->own_bytes;
    if (image->own != NULL)
        return DET_OK;
    if (part->bytes == 0)
        return DET_OK;
    struct det_record record = {0};
    const det_status status = det_record_read(env, part->record, &record);
    source->own = record.own;
    source->data = status == DET_OK ? record.data + part->offset : NULL;
    source->bytes = part->bytes;
    if (status != DET_OK)
        det_source_bytes_close(env, source);
    return status;
}
