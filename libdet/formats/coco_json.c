#include "formats/coco_json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "formats/coco_segmentation.h"
#include "formats/prototext.h"
#include "formats/python_json.h"

/* Where the reader is, for messages: "path: annotations[12]: ...". */
struct place {
    struct det_env *env;
    const char *path;
    const char *list;
    size_t index;
    const struct det_coco_faults *faults; /* NULL: the first fault is a failure */
};

/* After det_fail(): adds the place. */
static det_status at(const struct place *place, det_status status)
{
    return det_fail_prefix(place->env, status, "%s: %s[%zu]", place->path, place->list,
                           place->index);
}

/* True: what `status` says was handed on as a fault of this entry, which the caller leaves out. */
static bool forgive(const struct place *place, const int64_t *image_id, det_status *status)
{
    if (*status == DET_OK || *status == DET_STATUS_OUT_OF_MEMORY || place->faults == NULL)
        return false;
    place->faults->entry(place->faults->user, image_id, place->env->error);
    *status = DET_OK;
    return true;
}

static const char *kind_of(const cJSON *value)
{
    if (cJSON_IsNull(value))
        return "null";
    if (cJSON_IsBool(value))
        return "a truth value";
    if (cJSON_IsNumber(value))
        return "a number";
    if (cJSON_IsString(value))
        return "a string";
    return cJSON_IsArray(value) ? "a list" : "an object";
}

static det_status wrong_kind(const struct place *place, const char *key, const cJSON *value,
                             const char *expected)
{
    if (value == NULL)
        return at(place, det_fail(place->env, DET_STATUS_PARSE, "no `%s`", key));
    return at(place, det_fail(place->env, DET_STATUS_PARSE, "`%s` is %s, expected %s", key,
                              kind_of(value), expected));
}

/* Some exporters quote their numbers, which is let pass where faults are gathered. */
static bool number_of(const struct place *place, const cJSON *value, double *number)
{
    if (cJSON_IsNumber(value)) {
        *number = value->valuedouble;
        return true;
    }
    return place->faults != NULL && cJSON_IsString(value) &&
           det_parse_double(value->valuestring, number);
}

static det_status read_integer(const struct place *place, const char *key, const cJSON *value,
                               int64_t *out)
{
    double number = 0;
    if (!number_of(place, value, &number))
        return wrong_kind(place, key, value, "an integer");
    /* cJSON keeps numbers as double: beyond 2^53 two ids may have become one. */
    if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
        return at(place,
                  det_fail(place->env, DET_STATUS_PARSE,
                           "`%s` is %.17g, expected an integer of at most 2^53", key, number));
    *out = (int64_t)number;
    return DET_OK;
}

static det_status read_number(const struct place *place, const char *key, const cJSON *value,
                              double *out)
{
    if (!number_of(place, value, out))
        return wrong_kind(place, key, value, "a number");
    if (!isfinite(*out))
        return at(place, det_fail(place->env, DET_STATUS_NON_FINITE, "`%s` is not finite", key));
    return DET_OK;
}

static det_status read_flag(const struct place *place, const char *key, const cJSON *value,
                            bool *out)
{
    if (value == NULL || cJSON_IsNull(value))
        return DET_OK;
    if (cJSON_IsBool(value)) {
        *out = cJSON_IsTrue(value);
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

static det_status read_box(const struct place *place, const cJSON *value, double box_px[4])
{
    if (value == NULL || !cJSON_IsArray(value))
        return wrong_kind(place, "bbox", value, "a list of 4 numbers");
    const int count = cJSON_GetArraySize(value);
    if (count != 4)
        return at(place, det_fail(place->env, DET_STATUS_PARSE, "`bbox` has %d numbers, expected 4",
                                  count));
    const cJSON *item = value->child;
    for (int i = 0; i < 4; i++, item = item->next)
        DET_TRY_RETURN(read_number(place, "bbox", item, &box_px[i]));
    return DET_OK;
}

/* `bbox`; where there is none, the box around `segmentation`. */
static det_status read_object_box(const struct place *place, const cJSON *box,
                                  const cJSON *segmentation, struct det_coco_annotation *object)
{
    object->is_outline =
        box == NULL || cJSON_IsNull(box) || (cJSON_IsArray(box) && cJSON_GetArraySize(box) == 0);
    if (!object->is_outline)
        return read_box(place, box, object->box_px);
    if (det_coco_segmentation_box(segmentation, object->box_px))
        return DET_OK;
    return at(place, det_fail(place->env, DET_STATUS_PARSE,
                              "no `bbox`, and no outline in `segmentation`"));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* An image id: a number, or a name of the sorted list. */
static det_status read_image_id(const struct place *place, const char *key, const cJSON *value,
                                const struct det_coco_names *names, int64_t *out)
{
    if (names == NULL || names->count == 0) {
        if (place->faults == NULL && cJSON_IsString(value))
            return at(place, det_fail(place->env, DET_STATUS_MISMATCH,
                                      "`%s` is the string \"%s\", but the ids of the images are "
                                      "integers",
                                      key, value->valuestring));
        return read_integer(place, key, value, out);
    }
    if (value == NULL || !cJSON_IsString(value))
        return wrong_kind(place, key, value, "a string as the ids of the images");
    char *const *found = bsearch(&value->valuestring, names->names, names->count,
                                 sizeof *names->names, compare_names);
    if (found == NULL)
        return at(place, det_fail(place->env, DET_STATUS_NOT_FOUND,
                                  "`%s` \"%s\" is not an image of the ground truth", key,
                                  value->valuestring));
    *out = (int64_t)(found - names->names) + 1;
    return DET_OK;
}

/* Values of the wanted keys of one object, the last of equal keys; NULL where missing. */
static det_status read_keys(const struct place *place, const cJSON *entry, const char *const *keys,
                            const cJSON **values, size_t count)
{
    if (!cJSON_IsObject(entry))
        return at(place, det_fail(place->env, DET_STATUS_PARSE, "is %s, expected an object",
                                  kind_of(entry)));
    for (size_t k = 0; k < count; k++)
        values[k] = NULL;
    for (const cJSON *child = entry->child; child != NULL; child = child->next) {
        for (size_t k = 0; k < count; k++) {
            if (strcmp(child->string, keys[k]) == 0)
                values[k] = child;
        }
    }
    return DET_OK;
}

/* An entry of a list that has an id, and where it is in the dataset's array. */
struct id_place {
    int64_t id;
    size_t index;    /* in the file */
    size_t position; /* in the array */
};

static int compare_id_places(const void *a, const void *b)
{
    const struct id_place *left = a, *right = b;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* Two entries with one id. */
static det_status fail_double(const struct place *place, const struct id_place *entry,
                              const struct id_place *other)
{
    return det_fail(place->env, DET_STATUS_CORRUPT, "%s: %s[%zu]: id %lld is also that of %s[%zu]",
                    place->path, place->list, entry->index, (long long)entry->id, place->list,
                    other->index);
}

/* ids: sorted here. */
static det_status check_unique(const struct place *place, struct id_place *ids, size_t count)
{
    qsort(ids, count, sizeof *ids, compare_id_places);
    for (size_t i = 1; i < count; i++)
        if (ids[i].id == ids[i - 1].id)
            return fail_double(place, &ids[i], &ids[i - 1]);
    return DET_OK;
}

/* Entries that share an id cannot be told apart: all of them are marked, unless they are called the
 * same (`name_of` an array's element): then the first stays. */
static det_status mark_doubles(const struct place *place, struct id_place *ids, size_t count,
                               const void *array, const char *(*name_of)(const void *, size_t),
                               bool *marks)
{
    if (place->faults == NULL)
        return check_unique(place, ids, count);
    qsort(ids, count, sizeof *ids, compare_id_places);
    for (size_t first = 0, end = 0; first < count; first = end) {
        bool is_same = true;
        for (end = first + 1; end < count && ids[end].id == ids[first].id; end++)
            is_same &=
                strcmp(name_of(array, ids[first].position), name_of(array, ids[end].position)) == 0;
        for (size_t i = first; end - first > 1 && i < end; i++) {
            det_status status = fail_double(place, &ids[i], &ids[i == first ? i + 1 : first]);
            marks[ids[i].position] = i > first || !is_same;
            if (!is_same)
                forgive(place, NULL, &status);
        }
    }
    return DET_OK;
}

/* A list of the top object. *list stays NULL when a list that may be missing is. */
static det_status find_list(struct det_env *env, const char *path, const cJSON *root,
                            const char *key, bool required, const cJSON **list, size_t *count)
{
    *list = NULL;
    *count = 0;
    for (const cJSON *child = root->child; child != NULL; child = child->next) {
        if (strcmp(child->string, key) == 0)
            *list = child;
    }
    if (*list == NULL && !required)
        return DET_OK;
    if (*list == NULL)
        return det_fail(env, DET_STATUS_PARSE, "%s: no list `%s`", path, key);
    if (!cJSON_IsArray(*list))
        return det_fail(env, DET_STATUS_PARSE, "%s: `%s` is %s, expected a list", path, key,
                        kind_of(*list));
    *count = (size_t)cJSON_GetArraySize(*list);
    return DET_OK;
}

/* One file while it is read. */
struct reading {
    struct det_env *env;
    const char *path;
    const cJSON *root;
    const struct det_coco_faults *faults;
    struct det_coco_dataset *dataset;
};

static struct place place_in(const struct reading *r, const char *list)
{
    return (struct place){r->env, r->path, list, 0, r->faults};
}

/* The first of equal names stays, in place. */
static void drop_equal(struct det_env *env, struct det_coco_names *names)
{
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (kept > 0 && strcmp(names->names[i], names->names[kept - 1]) == 0)
            det_free(env, &names->names[i]);
        else
            names->names[kept++] = names->names[i];
    }
    names->count = kept;
}

static det_status collect_names(const struct reading *r, const cJSON *list, size_t count)
{
    static const char *const keys[] = {"id"};
    struct det_env *env = r->env;
    struct det_coco_names *names = &r->dataset->names;
    DET_TRY_RETURN(det_alloc(env, &names->names, count, sizeof *names->names, "image names"));
    struct place place = place_in(r, "images");
    for (const cJSON *entry = list->child; entry != NULL; entry = entry->next, place.index++) {
        const cJSON *id = NULL;
        det_status status = read_keys(&place, entry, keys, &id, 1);
        if (status == DET_OK && !cJSON_IsString(id))
            status = wrong_kind(&place, "id", id, "a string as the first image's");
        if (status != DET_OK && r->faults != NULL)
            continue; /* told when the image is read */
        DET_TRY_RETURN(status);
        DET_TRY_RETURN(det_strdup(env, &names->names[names->count], id->valuestring));
        names->count++;
    }
    qsort(names->names, names->count, sizeof *names->names, compare_names);
    for (size_t i = 1; i < names->count && r->faults == NULL; i++) {
        if (strcmp(names->names[i], names->names[i - 1]) == 0)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: images: id \"%s\" appears twice", r->path,
                            names->names[i]);
    }
    drop_equal(env, names);
    return DET_OK;
}

/* What `image` owns is released with the dataset, also after a failure. */
static det_status read_image(const struct place *place, const cJSON *entry,
                             const struct det_coco_names *names, struct det_coco_image *image)
{
    static const char *const keys[] = {"id", "width", "height", "file_name"};
    const cJSON *values[4] = {NULL};
    DET_TRY_RETURN(read_keys(place, entry, keys, values, 4));
    DET_TRY_RETURN(read_image_id(place, "id", values[0], names, &image->id));
    for (int side = 1; side <= 2; side++) {
        int64_t size = 0;
        if (values[side] == NULL || cJSON_IsNull(values[side]))
            continue;
        DET_TRY_RETURN(read_integer(place, keys[side], values[side], &size));
        if (size < 0 || size > INT32_MAX)
            return at(place, det_fail(place->env, DET_STATUS_PARSE, "`%s` is %lld", keys[side],
                                      (long long)size));
        *(side == 1 ? &image->width_px : &image->height_px) = (int32_t)size;
    }
    return cJSON_IsString(values[3])
               ? det_strdup(place->env, &image->file_name, values[3]->valuestring)
               : DET_OK;
}

static const char *image_name(const void *images, size_t position)
{
    const char *name = ((const struct det_coco_image *)images)[position].file_name;
    return name != NULL ? name : "";
}

static det_status read_images(const struct reading *r)
{
    struct det_env *env = r->env;
    struct det_coco_dataset *dataset = r->dataset;
    const cJSON *list = NULL;
    size_t count = 0, kept = 0;
    struct id_place *ids = NULL;
    bool *doubles = NULL;
    det_status status = DET_OK;
    DET_TRY(find_list(env, r->path, r->root, "images", true, &list, &count));
    DET_TRY(det_alloc(env, &dataset->images, count, sizeof *dataset->images, "images"));
    DET_TRY(det_alloc(env, &ids, count, sizeof *ids, "images"));
    DET_TRY(det_alloc(env, &doubles, count, sizeof *doubles, "images"));
    if (list->child != NULL && cJSON_IsString(cJSON_GetObjectItemCaseSensitive(list->child, "id")))
        DET_TRY(collect_names(r, list, count));
    struct place place = place_in(r, "images");
    for (const cJSON *entry = list->child; entry != NULL; entry = entry->next, place.index++) {
        struct det_coco_image *image = &dataset->images[dataset->image_count];
        status = read_image(&place, entry, &dataset->names, image);
        if (forgive(&place, NULL, &status)) {
            det_free(env, &image->file_name);
            *image = (struct det_coco_image){0};
            continue;
        }
        const size_t position = dataset->image_count++;
        DET_TRY(status);
        ids[position] = (struct id_place){image->id, place.index, position};
    }
    DET_TRY(mark_doubles(&place, ids, dataset->image_count, dataset->images, image_name, doubles));
    for (size_t i = 0; i < dataset->image_count; i++) {
        if (doubles[i])
            det_free(env, &dataset->images[i].file_name);
        else
            dataset->images[kept++] = dataset->images[i];
    }
    dataset->image_count = kept;
fail:
    det_free(env, &doubles);
    det_free(env, &ids);
    return status;
}

static det_status read_category(const struct place *place, const cJSON *entry,
                                struct det_coco_category *category)
{
    static const char *const keys[] = {"id", "name", "supercategory"};
    const cJSON *values[3] = {NULL};
    DET_TRY_RETURN(read_keys(place, entry, keys, values, 3));
    DET_TRY_RETURN(read_integer(place, "id", values[0], &category->id));
    if (values[1] != NULL && !cJSON_IsString(values[1]))
        return wrong_kind(place, "name", values[1], "a string");
    DET_TRY_RETURN(
        det_strdup(place->env, &category->name, values[1] != NULL ? values[1]->valuestring : ""));
    return det_strdup(place->env, &category->supercategory,
                      cJSON_IsString(values[2]) ? values[2]->valuestring : "");
}

static const char *category_name(const void *categories, size_t position)
{
    return ((const struct det_coco_category *)categories)[position].name;
}

static void free_category(struct det_env *env, struct det_coco_category *category)
{
    det_free(env, &category->name);
    det_free(env, &category->supercategory);
    *category = (struct det_coco_category){0};
}

static det_status read_categories(const struct reading *r)
{
    struct det_env *env = r->env;
    struct det_coco_dataset *dataset = r->dataset;
    const cJSON *list = NULL;
    size_t count = 0, kept = 0;
    struct id_place *ids = NULL;
    bool *doubles = NULL;
    det_status status = DET_OK;
    DET_TRY(find_list(env, r->path, r->root, "categories", true, &list, &count));
    DET_TRY(det_alloc(env, &dataset->categories, count, sizeof *dataset->categories, "categories"));
    DET_TRY(det_alloc(env, &ids, count, sizeof *ids, "categories"));
    DET_TRY(det_alloc(env, &doubles, count, sizeof *doubles, "categories"));
    struct place place = place_in(r, "categories");
    for (const cJSON *entry = list->child; entry != NULL; entry = entry->next, place.index++) {
        struct det_coco_category *category = &dataset->categories[dataset->category_count];
        status = read_category(&place, entry, category);
        if (forgive(&place, NULL, &status)) {
            free_category(env, category);
            continue;
        }
        const size_t position = dataset->category_count++;
        DET_TRY(status);
        ids[position] = (struct id_place){category->id, place.index, position};
    }
    DET_TRY(mark_doubles(&place, ids, dataset->category_count, dataset->categories, category_name,
                         doubles));
    for (size_t i = 0; i < dataset->category_count; i++) {
        if (doubles[i])
            free_category(env, &dataset->categories[i]);
        else
            dataset->categories[kept++] = dataset->categories[i];
    }
    dataset->category_count = kept;
fail:
    det_free(env, &doubles);
    det_free(env, &ids);
    return status;
}

/* *image_id: known, for the message, once *knows_image is true. */
static det_status read_annotation(const struct place *place, const cJSON *entry,
                                  const struct det_coco_names *names,
                                  struct det_coco_annotation *object, bool *knows_image)
{
    static const char *const keys[] = {"id",   "image_id", "category_id", "bbox",
                                       "area", "iscrowd",  "ignore",      "segmentation"};
    const cJSON *values[8] = {NULL};
    *object = (struct det_coco_annotation){.id = (int64_t)place->index + 1};
    *knows_image = false;
    DET_TRY_RETURN(read_keys(place, entry, keys, values, 8));
    DET_TRY_RETURN(read_image_id(place, "image_id", values[1], names, &object->image_id));
    *knows_image = true;
    if (values[0] != NULL && !cJSON_IsNull(values[0]))
        DET_TRY_RETURN(read_integer(place, "id", values[0], &object->id));
    DET_TRY_RETURN(read_integer(place, "category_id", values[2], &object->category_id));
    DET_TRY_RETURN(read_object_box(place, values[3], values[7], object));
    object->area_px2 = object->box_px[2] * object->box_px[3];
    if (values[4] != NULL && !cJSON_IsNull(values[4]))
        DET_TRY_RETURN(read_number(place, "area", values[4], &object->area_px2));
    DET_TRY_RETURN(read_flag(place, "iscrowd", values[5], &object->is_crowd));
    return read_flag(place, "ignore", values[6], &object->ignore);
}

static det_status read_annotations(const struct reading *r)
{
    struct det_env *env = r->env;
    struct det_coco_dataset *dataset = r->dataset;
    const cJSON *list = NULL;
    size_t count = 0;
    struct id_place *ids = NULL;
    det_status status = DET_OK;
    DET_TRY(find_list(env, r->path, r->root, "annotations", false, &list, &count));
    DET_TRY(
        det_alloc(env, &dataset->annotations, count, sizeof *dataset->annotations, "annotations"));
    DET_TRY(det_alloc(env, &ids, count, sizeof *ids, "annotations"));
    struct place place = place_in(r, "annotations");
    for (const cJSON *entry = list != NULL ? list->child : NULL; entry != NULL;
         entry = entry->next, place.index++) {
        struct det_coco_annotation *object = &dataset->annotations[dataset->annotation_count];
        bool knows_image = false;
        status = read_annotation(&place, entry, &dataset->names, object, &knows_image);
        if (forgive(&place, knows_image ? &object->image_id : NULL, &status))
            continue;
        DET_TRY(status);
        const size_t position = dataset->annotation_count++;
        ids[position] = (struct id_place){object->id, place.index, position};
    }
    /* Where boxes are all that counts, an annotation's id says nothing. */
    if (r->faults == NULL)
        DET_TRY(check_unique(&place, ids, dataset->annotation_count));
fail:
    det_free(env, &ids);
    return status;
}

/* *rest: where the JSON value ends, or what is none begins. */
static bool is_json(const char *text, size_t bytes, cJSON **root, const char **rest)
{
    *rest = text;
    *root = bytes > 0 ? cJSON_ParseWithLengthOpts(text, bytes, rest, 0) : NULL;
    while (*root != NULL && *rest < text + bytes && **rest != 0 &&
           strchr(" \t\r\n", **rest) != NULL)
        ++*rest;
    return *root != NULL && *rest == text + bytes;
}

/* What Python writes is told from what nobody reads. *root: with NULL faults a failure, else with
 * infinity in the place of each such word. */
static det_status parse_python(struct det_env *env, const char *path, const char *text,
                               size_t bytes, const struct det_coco_faults *faults, cJSON **root)
{
    struct det_python_json found;
    struct det_text json = {0};
    const char *rest = NULL;
    det_status status = det_python_json_replace(env, text, bytes, &json, &found);
    if (status != DET_OK || found.count == 0)
        goto fail;
    const bool is_sound = is_json(json.data, json.length, root, &rest);
    if (is_sound && faults != NULL) {
        det_fail(env, DET_STATUS_PARSE,
                 "%s:%zu: `%s` at byte %zu, which Python writes and JSON "
                 "does not have (%zu such words)",
                 path, found.line, found.word, found.byte, found.count);
        faults->note(faults->user, env->error);
        goto fail;
    }
    cJSON_Delete(*root);
    *root = NULL;
    if (is_sound)
        status = det_fail(env, DET_STATUS_PARSE,
                          "%s:%zu: `%s` at byte %zu, which Python writes and JSON does not have",
                          path, found.line, found.word, found.byte);
fail:
    det_text_free(env, &json);
    return status;
}

static det_status parse_text(struct det_env *env, const char *path, const void *data, size_t bytes,
                             const struct det_coco_faults *faults, cJSON **root)
{
    const char *text = data, *rest = NULL;
    if (is_json(text, bytes, root, &rest))
        return DET_OK;
    const bool trailing = *root != NULL;
    cJSON_Delete(*root);
    *root = NULL;
    DET_TRY_RETURN(parse_python(env, path, text, bytes, faults, root));
    if (*root != NULL)
        return DET_OK;
    const size_t offset = rest < text + bytes ? (size_t)(rest - text) : bytes;
    size_t line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return det_fail(env, DET_STATUS_PARSE, "%s:%zu: %s at byte %zu of %zu", path, line,
                    trailing ? "text after the end of the JSON value" : "not valid JSON", offset,
                    bytes);
}

static det_status parse_dataset(const struct reading *reading, const void *data, size_t bytes)
{
    struct reading r = *reading;
    cJSON *root = NULL;
    *r.dataset = (struct det_coco_dataset){0};
    DET_TRY_RETURN(parse_text(r.env, r.path, data, bytes, r.faults, &root));
    det_status status = DET_OK;
    r.root = root;
    if (!cJSON_IsObject(root))
        DET_TRY(det_fail(r.env, DET_STATUS_PARSE,
                         "%s: is %s, expected an object with `images`, `annotations` and "
                         "`categories`",
                         r.path, kind_of(root)));
    DET_TRY(read_images(&r));
    DET_TRY(read_categories(&r));
    DET_TRY(read_annotations(&r));
fail:
    cJSON_Delete(root);
    if (status != DET_OK)
        det_coco_dataset_free(r.env, r.dataset);
    return status;
}

det_status det_coco_json_parse_dataset(struct det_env *env, const char *path, const void *data,
                                       size_t bytes, struct det_coco_dataset *dataset)
{
    return parse_dataset(&(struct reading){.env = env, .path = path, .dataset = dataset}, data,
                         bytes);
}

det_status det_coco_json_parse_sound(struct det_env *env, const char *path, const void *data,
                                     size_t bytes, const struct det_coco_faults *faults,
                                     struct det_coco_dataset *dataset)
{
    return parse_dataset(
        &(struct reading){.env = env, .path = path, .faults = faults, .dataset = dataset}, data,
        bytes);
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
        free_category(env, &dataset->categories[i]);
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
    cJSON *root = NULL;
    DET_TRY_RETURN(parse_text(env, path, data, bytes, NULL, &root));
    det_status status = DET_OK;
    if (root == NULL || !cJSON_IsArray(root)) {
        status = det_fail(env, DET_STATUS_PARSE, "%s: is %s, expected a list of detections", path,
                          kind_of(root));
        goto fail;
    }
    DET_TRY(det_alloc(env, &list->items, (size_t)cJSON_GetArraySize(root), sizeof *list->items,
                      "detections"));
    struct place place = {.env = env, .path = path, .list = "detections"};
    for (const cJSON *entry = root->child; entry != NULL; entry = entry->next, place.index++) {
        struct det_coco_detection *item = &list->items[place.index];
        const cJSON *values[4] = {NULL};
        DET_TRY(read_keys(&place, entry, keys, values, 4));
        DET_TRY(read_image_id(&place, "image_id", values[0], names, &item->image_id));
        DET_TRY(read_integer(&place, "category_id", values[1], &item->category_id));
        DET_TRY(read_box(&place, values[2], item->box_px));
        DET_TRY(read_number(&place, "score", values[3], &item->score));
        list->count++;
    }
fail:
    cJSON_Delete(root);
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
