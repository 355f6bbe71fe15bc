#include "formats/coco_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

/* Where the reader is, for messages: "path: annotations[12]: ...". */
struct place {
    struct det_env *env;
    const char *path;
    const char *list;
    size_t index;
};

/* After det_fail(): adds the place. */
static det_status at(const struct place *place, det_status status)
{
    return det_fail_prefix(place->env, status, "%s: %s[%zu]", place->path, place->list,
                           place->index);
}

static det_status wrong_kind(const struct place *place, const char *key, struct det_json value,
                             const char *expected)
{
    if (det_json_kind(value) == DET_JSON_NONE)
        return at(place, det_fail(place->env, DET_STATUS_PARSE, "no `%s`", key));
    return at(place, det_fail(place->env, DET_STATUS_PARSE, "`%s` is %s, expected %s", key,
                              det_json_kind_text(value), expected));
}

static det_status read_integer(const struct place *place, const char *key, struct det_json value,
                               int64_t *out)
{
    double number = 0;
    if (!det_json_number(value, &number))
        return wrong_kind(place, key, value, "an integer");
    /* Numbers are read as double: beyond 2^53 two ids may have become one. */
    if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
        return at(place,
                  det_fail(place->env, DET_STATUS_PARSE,
                           "`%s` is %.17g, expected an integer of at most 2^53", key, number));
    *out = (int64_t)number;
    return DET_OK;
}

static det_status read_number(const struct place *place, const char *key, struct det_json value,
                              double *out)
{
    if (!det_json_number(value, out))
        return wrong_kind(place, key, value, "a number");
    if (!isfinite(*out))
        return at(place, det_fail(place->env, DET_STATUS_NON_FINITE, "`%s` is not finite", key));
    return DET_OK;
}

static det_status read_flag(const struct place *place, const char *key, struct det_json value,
                            bool *out)
{
    if (det_json_kind(value) == DET_JSON_NONE)
        return DET_OK;
    if (det_json_kind(value) == DET_JSON_BOOL) {
        *out = det_json_is_true(value);
        return DET_OK;
    }
    int64_t number = 0;
    DET_TRY_RETURN(read_integer(place, key, value, &number));
    if (number != 0 && number != 1)
        return at(place, det_fail(place->env, DET_STATUS_PARSE, "`%s` is %lld, expected 0 or 1",
                                  key, (long long)number));
    *out = number == 1;
    return DET_OK;
}

static det_status read_box(const struct place *place, struct det_json value, double box_px[4])
{
    if (det_json_kind(value) != DET_JSON_LIST)
        return wrong_kind(place, "bbox", value, "a list of 4 numbers");
    const size_t count = det_json_count(value);
    if (count != 4)
        return at(place, det_fail(place->env, DET_STATUS_PARSE,
                                  "`bbox` has %zu numbers, expected 4", count));
    struct det_json_entry item;
    det_json_first(value, &item);
    for (int i = 0; i < 4; i++, det_json_next(&item))
        DET_TRY_RETURN(read_number(place, "bbox", item.value, &box_px[i]));
    return DET_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* *text must be freed, also after a failure. */
static det_status find_name(const struct place *place, const char *key, struct det_json value,
                            const struct det_coco_names *names, char **text, int64_t *out)
{
    DET_TRY_RETURN(det_json_string(place->env, value, text));
    char *const *found =
        names != NULL && names->count > 0
            ? bsearch(text, names->names, names->count, sizeof *names->names, compare_names)
            : NULL;
    if (names == NULL || names->count == 0)
        return at(place, det_fail(place->env, DET_STATUS_MISMATCH,
                                  "`%s` is the string \"%s\", but the ids of the images are "
                                  "integers",
                                  key, *text));
    if (found == NULL)
        return at(place, det_fail(place->env, DET_STATUS_NOT_FOUND,
                                  "`%s` \"%s\" is not an image of the ground truth", key, *text));
    *out = (int64_t)(found - names->names) + 1;
    return DET_OK;
}

/* An image id: a number, or a name of the sorted list. */
static det_status read_image_id(const struct place *place, const char *key, struct det_json value,
                                const struct det_coco_names *names, int64_t *out)
{
    const bool by_name = names != NULL && names->count > 0;
    if (det_json_kind(value) != DET_JSON_STRING)
        return by_name ? wrong_kind(place, key, value, "a string as the ids of the images")
                       : read_integer(place, key, value, out);
    char *text = NULL;
    const det_status status = find_name(place, key, value, names, &text, out);
    det_free(place->env, &text);
    return status;
}

/* Values of the wanted keys of one object, the last of equal keys; NONE where missing. */
static det_status read_keys(const struct place *place, struct det_json entry,
                            const char *const *keys, struct det_json *values, size_t count)
{
    if (det_json_kind(entry) != DET_JSON_OBJECT)
        return at(place, det_fail(place->env, DET_STATUS_PARSE, "is %s, expected an object",
                                  det_json_kind_text(entry)));
    for (size_t k = 0; k < count; k++)
        values[k] = (struct det_json){0};
    struct det_json_entry child;
    for (bool more = det_json_first(entry, &child); more; more = det_json_next(&child)) {
        for (size_t k = 0; k < count; k++) {
            if (det_json_equals(child.key, keys[k]))
                values[k] = child.value;
        }
    }
    return DET_OK;
}

struct id_place {
    int64_t id;
    size_t index;
};

static int compare_id_places(const void *a, const void *b)
{
    const struct id_place *left = a, *right = b;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* ids: sorted here. */
static det_status check_unique(struct det_env *env, const char *path, const char *list,
                               struct id_place *ids, size_t count)
{
    qsort(ids, count, sizeof *ids, compare_id_places);
    for (size_t i = 1; i < count; i++) {
        if (ids[i].id == ids[i - 1].id)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: %s[%zu]: id %lld is also that of %s[%zu]",
                            path, list, ids[i].index, (long long)ids[i].id, list, ids[i - 1].index);
    }
    return DET_OK;
}

/* A list of the top object. *list stays NONE when a list that may be missing is. */
static det_status find_list(struct det_env *env, const char *path, struct det_json root,
                            const char *key, bool required, struct det_json *list, size_t *count)
{
    *list = det_json_get(root, key);
    *count = 0;
    if (det_json_kind(*list) == DET_JSON_NONE && !required)
        return DET_OK;
    if (det_json_kind(*list) == DET_JSON_NONE)
        return det_fail(env, DET_STATUS_PARSE, "%s: no list `%s`", path, key);
    if (det_json_kind(*list) != DET_JSON_LIST)
        return det_fail(env, DET_STATUS_PARSE, "%s: `%s` is %s, expected a list", path, key,
                        det_json_kind_text(*list));
    *count = det_json_count(*list);
    return DET_OK;
}

static det_status collect_names(struct det_env *env, const char *path, struct det_json list,
                                size_t count, struct det_coco_names *names)
{
    static const char *const keys[] = {"id"};
    DET_TRY_RETURN(det_alloc(env, &names->names, count, sizeof *names->names, "image names"));
    struct place place = {env, path, "images", 0};
    struct det_json_entry entry;
    for (bool more = det_json_first(list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_json id = {0};
        DET_TRY_RETURN(read_keys(&place, entry.value, keys, &id, 1));
        if (det_json_kind(id) != DET_JSON_STRING)
            return wrong_kind(&place, "id", id, "a string as the first image's");
        DET_TRY_RETURN(det_json_string(env, id, &names->names[names->count]));
        names->count++;
    }
    qsort(names->names, names->count, sizeof *names->names, compare_names);
    for (size_t i = 1; i < names->count; i++) {
        if (strcmp(names->names[i], names->names[i - 1]) == 0)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: images: id \"%s\" appears twice", path,
                            names->names[i]);
    }
    return DET_OK;
}

static det_status read_images(struct det_env *env, const char *path, struct det_json root,
                              struct det_coco_dataset *dataset)
{
    static const char *const keys[] = {"id", "width", "height", "file_name"};
    struct det_json list = {0};
    size_t count = 0;
    struct id_place *ids = NULL;
    det_status status = DET_OK;
    DET_TRY(find_list(env, path, root, "images", true, &list, &count));
    DET_TRY(det_alloc(env, &dataset->images, count, sizeof *dataset->images, "images"));
    DET_TRY(det_alloc(env, &ids, count, sizeof *ids, "images"));
    struct det_json_entry first;
    if (det_json_first(list, &first) &&
        det_json_kind(det_json_get(first.value, "id")) == DET_JSON_STRING)
        DET_TRY(collect_names(env, path, list, count, &dataset->names));
    struct place place = {env, path, "images", 0};
    struct det_json_entry entry;
    for (bool more = det_json_first(list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_image *image = &dataset->images[place.index];
        struct det_json values[4] = {{0}};
        DET_TRY(read_keys(&place, entry.value, keys, values, 4));
        DET_TRY(read_image_id(&place, "id", values[0], &dataset->names, &image->id));
        dataset->image_count++;
        ids[place.index] = (struct id_place){image->id, place.index};
        for (int side = 1; side <= 2; side++) {
            int64_t size = 0;
            if (det_json_kind(values[side]) <= DET_JSON_NULL)
                continue;
            DET_TRY(read_integer(&place, keys[side], values[side], &size));
            if (size < 0 || size > INT32_MAX) {
                status = at(&place, det_fail(env, DET_STATUS_PARSE, "`%s` is %lld", keys[side],
                                             (long long)size));
                goto fail;
            }
            *(side == 1 ? &image->width_px : &image->height_px) = (int32_t)size;
        }
        DET_TRY(det_json_string(env, values[3], &image->file_name));
    }
    DET_TRY(check_unique(env, path, "images", ids, count));
fail:
    det_free(env, &ids);
    return status;
}

static det_status read_categories(struct det_env *env, const char *path, struct det_json root,
                                  struct det_coco_dataset *dataset)
{
    static const char *const keys[] = {"id", "name"};
    struct det_json list = {0};
    size_t count = 0;
    struct id_place *ids = NULL;
    det_status status = DET_OK;
    DET_TRY(find_list(env, path, root, "categories", true, &list, &count));
    DET_TRY(det_alloc(env, &dataset->categories, count, sizeof *dataset->categories, "categories"));
    DET_TRY(det_alloc(env, &ids, count, sizeof *ids, "categories"));
    struct place place = {env, path, "categories", 0};
    struct det_json_entry entry;
    for (bool more = det_json_first(list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_category *category = &dataset->categories[place.index];
        struct det_json values[2] = {{0}};
        DET_TRY(read_keys(&place, entry.value, keys, values, 2));
        DET_TRY(read_integer(&place, "id", values[0], &category->id));
        const enum det_json_kind name = det_json_kind(values[1]);
        if (name != DET_JSON_NONE && name != DET_JSON_STRING)
            DET_TRY(wrong_kind(&place, "name", values[1], "a string"));
        dataset->category_count++;
        DET_TRY(name == DET_JSON_STRING ? det_json_string(env, values[1], &category->name)
                                        : det_strdup(env, &category->name, ""));
        ids[place.index] = (struct id_place){category->id, place.index};
    }
    DET_TRY(check_unique(env, path, "categories", ids, count));
fail:
    det_free(env, &ids);
    return status;
}

static det_status read_annotations(struct det_env *env, const char *path, struct det_json root,
                                   struct det_coco_dataset *dataset)
{
    static const char *const keys[] = {"id",   "image_id", "category_id", "bbox",
                                       "area", "iscrowd",  "ignore"};
    struct det_json list = {0};
    size_t count = 0;
    struct id_place *ids = NULL;
    det_status status = DET_OK;
    DET_TRY(find_list(env, path, root, "annotations", false, &list, &count));
    DET_TRY(
        det_alloc(env, &dataset->annotations, count, sizeof *dataset->annotations, "annotations"));
    DET_TRY(det_alloc(env, &ids, count, sizeof *ids, "annotations"));
    struct place place = {env, path, "annotations", 0};
    struct det_json_entry entry;
    for (bool more = det_json_first(list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_annotation *object = &dataset->annotations[place.index];
        struct det_json values[7] = {{0}};
        DET_TRY(read_keys(&place, entry.value, keys, values, 7));
        object->id = (int64_t)place.index + 1;
        if (det_json_kind(values[0]) != DET_JSON_NONE)
            DET_TRY(read_integer(&place, "id", values[0], &object->id));
        DET_TRY(read_image_id(&place, "image_id", values[1], &dataset->names, &object->image_id));
        DET_TRY(read_integer(&place, "category_id", values[2], &object->category_id));
        DET_TRY(read_box(&place, values[3], object->box_px));
        object->area_px2 = object->box_px[2] * object->box_px[3];
        if (det_json_kind(values[4]) != DET_JSON_NONE)
            DET_TRY(read_number(&place, "area", values[4], &object->area_px2));
        DET_TRY(read_flag(&place, "iscrowd", values[5], &object->is_crowd));
        DET_TRY(read_flag(&place, "ignore", values[6], &object->ignore));
        dataset->annotation_count++;
        ids[place.index] = (struct id_place){object->id, place.index};
    }
    DET_TRY(check_unique(env, path, "annotations", ids, count));
fail:
    det_free(env, &ids);
    return status;
}

det_status det_coco_json_parse_dataset(struct det_env *env, const char *path, const void *data,
                                       size_t bytes, struct det_coco_dataset *dataset)
{
    *dataset = (struct det_coco_dataset){0};
    struct det_json root;
    DET_TRY_RETURN(det_json_parse(env, path, data, bytes, &root));
    det_status status = DET_OK;
    const struct det_budget before = det_budget_open(env, path);
    if (det_json_kind(root) != DET_JSON_OBJECT)
        DET_TRY(det_fail(env, DET_STATUS_PARSE,
                         "%s: is %s, expected an object with `images`, `annotations` and "
                         "`categories`",
                         path, det_json_kind_text(root)));
    DET_TRY(read_images(env, path, root, dataset));
    DET_TRY(read_categories(env, path, root, dataset));
    DET_TRY(read_annotations(env, path, root, dataset));
fail:
    det_budget_close(env, before);
    if (status != DET_OK)
        det_coco_dataset_free(env, dataset);
    return status;
}

det_status det_coco_json_read_dataset(struct det_env *env, const char *path,
                                      struct det_coco_dataset *dataset)
{
    *dataset = (struct det_coco_dataset){0};
    struct det_file_map map;
    DET_TRY_RETURN(det_file_map_open(env, path, &map));
    const det_status status = det_coco_json_parse_dataset(env, path, map.data, map.bytes, dataset);
    det_file_map_close(&map);
    return status;
}

void det_coco_names_free(struct det_env *env, struct det_coco_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        det_free(env, &names->names[i]);
    det_free(env, &names->names);
    names->count = 0;
}

void det_coco_dataset_free(struct det_env *env, struct det_coco_dataset *dataset)
{
    for (size_t i = 0; i < dataset->image_count; i++)
        det_free(env, &dataset->images[i].file_name);
    for (size_t i = 0; i < dataset->category_count; i++)
        det_free(env, &dataset->categories[i].name);
    det_free(env, &dataset->images);
    det_free(env, &dataset->categories);
    det_free(env, &dataset->annotations);
    det_coco_names_free(env, &dataset->names);
    *dataset = (struct det_coco_dataset){0};
}

det_status det_coco_json_parse_detections(struct det_env *env, const char *path, const void *data,
                                          size_t bytes, const struct det_coco_names *names,
                                          struct det_coco_detection_list *list)
{
    static const char *const keys[] = {"image_id", "category_id", "bbox", "score"};
    *list = (struct det_coco_detection_list){0};
    struct det_json root;
    DET_TRY_RETURN(det_json_parse(env, path, data, bytes, &root));
    det_status status = DET_OK;
    const struct det_budget before = det_budget_open(env, path);
    if (det_json_kind(root) != DET_JSON_LIST)
        DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s: is %s, expected a list of detections", path,
                         det_json_kind_text(root)));
    DET_TRY(det_alloc(env, &list->items, det_json_count(root), sizeof *list->items, "detections"));
    struct place place = {env, path, "detections", 0};
    struct det_json_entry entry;
    for (bool more = det_json_first(root, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_detection *item = &list->items[place.index];
        struct det_json values[4] = {{0}};
        DET_TRY(read_keys(&place, entry.value, keys, values, 4));
        DET_TRY(read_image_id(&place, "image_id", values[0], names, &item->image_id));
        DET_TRY(read_integer(&place, "category_id", values[1], &item->category_id));
        DET_TRY(read_box(&place, values[2], item->box_px));
        DET_TRY(read_number(&place, "score", values[3], &item->score));
        list->count++;
    }
fail:
    det_budget_close(env, before);
    if (status != DET_OK)
        det_coco_detection_list_free(env, list);
    return status;
}

det_status det_coco_json_read_detections(struct det_env *env, const char *path,
                                         const struct det_coco_names *names,
                                         struct det_coco_detection_list *list)
{
    *list = (struct det_coco_detection_list){0};
    struct det_file_map map;
    DET_TRY_RETURN(det_file_map_open(env, path, &map));
    const det_status status =
        det_coco_json_parse_detections(env, path, map.data, map.bytes, names, list);
    det_file_map_close(&map);
    return status;
}

void det_coco_detection_list_free(struct det_env *env, struct det_coco_detection_list *list)
{
    det_free(env, &list->items);
    list->count = 0;
}
