#include "formats/coco_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/coco_segmentation.h"
#include "formats/coco_value.h"
#include "formats/python_json.h"
#include "support/io.h"
#include "support/json.h"
#include "support/mem.h"

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
static det_status fail_double(const struct det_coco_place *place, const struct id_place *entry,
                              const struct id_place *other)
{
    return det_fail(place->env, DET_STATUS_CORRUPT, "%s: %s[%zu]: id %lld is also that of %s[%zu]",
                    place->path, place->list, entry->index, (long long)entry->id, place->list,
                    other->index);
}

/* ids: sorted here. */
static det_status check_unique(const struct det_coco_place *place, struct id_place *ids,
                               size_t count)
{
    qsort(ids, count, sizeof *ids, compare_id_places);
    for (size_t i = 1; i < count; i++)
        if (ids[i].id == ids[i - 1].id)
            return fail_double(place, &ids[i], &ids[i - 1]);
    return DET_OK;
}

/* Entries that share an id cannot be told apart: all of them are marked, unless they are called the
 * same (`name_of` an array's element): then the first stays. */
static det_status mark_doubles(const struct det_coco_place *place, struct id_place *ids,
                               size_t count, const void *array,
                               const char *(*name_of)(const void *, size_t), bool *marks)
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
                det_coco_forgive(place, NULL, &status);
        }
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

/* One file while it is read. */
struct reading {
    struct det_env *env;
    const char *path;
    struct det_json root;
    const struct det_coco_faults *faults;
    struct det_coco_dataset *dataset;
};

static struct det_coco_place place_in(const struct reading *r, const char *list)
{
    return (struct det_coco_place){r->env, r->path, list, 0, r->faults};
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

static det_status collect_names(const struct reading *r, struct det_json list, size_t count)
{
    static const char *const keys[] = {"id"};
    struct det_env *env = r->env;
    struct det_coco_names *names = &r->dataset->names;
    DET_TRY_RETURN(det_alloc(env, &names->names, count, sizeof *names->names, "image names"));
    struct det_coco_place place = place_in(r, "images");
    struct det_json_entry entry;
    for (bool more = det_json_first(list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_json id = {0};
        det_status status = det_coco_keys(&place, entry.value, keys, &id, 1);
        if (status == DET_OK && det_json_kind(id) != DET_JSON_STRING)
            status = det_coco_wrong_kind(&place, "id", id, "a string as the first image's");
        if (status != DET_OK && r->faults != NULL)
            continue; /* told when the image is read */
        DET_TRY_RETURN(status);
        DET_TRY_RETURN(det_json_string(env, id, &names->names[names->count]));
        names->count++;
    }
    qsort(names->names, names->count, sizeof *names->names, det_coco_compare_names);
    for (size_t i = 1; i < names->count && r->faults == NULL; i++) {
        if (strcmp(names->names[i], names->names[i - 1]) == 0)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: images: id \"%s\" appears twice", r->path,
                            names->names[i]);
    }
    drop_equal(env, names);
    return DET_OK;
}

/* What `image` owns is released with the dataset, also after a failure. */
static det_status read_image(const struct det_coco_place *place, struct det_json entry,
                             const struct det_coco_names *names, struct det_coco_image *image)
{
    static const char *const keys[] = {"id", "width", "height", "file_name"};
    struct det_json values[4] = {{0}};
    DET_TRY_RETURN(det_coco_keys(place, entry, keys, values, 4));
    DET_TRY_RETURN(det_coco_image_id(place, "id", values[0], names, &image->id));
    for (int side = 1; side <= 2; side++) {
        int64_t size = 0;
        if (det_coco_is_absent(values[side]))
            continue;
        DET_TRY_RETURN(det_coco_integer(place, keys[side], values[side], &size));
        if (size < 0 || size > INT32_MAX)
            return det_coco_at(place, det_fail(place->env, DET_STATUS_PARSE, "`%s` is %lld",
                                               keys[side], (long long)size));
        *(side == 1 ? &image->width_px : &image->height_px) = (int32_t)size;
    }
    return det_json_string(place->env, values[3], &image->file_name);
}

/* A list whose entries have ids of their own: what is kept of them is read into an array. */
struct entries {
    struct det_json list;
    size_t count;
    struct id_place *ids; /* [count], of those that are kept */
    bool *doubles;        /* [count] */
};

static det_status open_entries(const struct reading *r, const char *name, struct entries *e)
{
    struct det_env *env = r->env;
    *e = (struct entries){0};
    DET_TRY_RETURN(find_list(env, r->path, r->root, name, true, &e->list, &e->count));
    DET_TRY_RETURN(det_alloc(env, &e->ids, e->count, sizeof *e->ids, name));
    return det_alloc(env, &e->doubles, e->count, sizeof *e->doubles, name);
}

static void close_entries(struct det_env *env, struct entries *e)
{
    det_free(env, &e->doubles);
    det_free(env, &e->ids);
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
    struct entries all;
    size_t kept = 0;
    det_status status = DET_OK;
    DET_TRY(open_entries(r, "images", &all));
    DET_TRY(det_alloc(env, &dataset->images, all.count, sizeof *dataset->images, "images"));
    struct det_json_entry first;
    if (det_json_first(all.list, &first) &&
        det_json_kind(det_json_get(first.value, "id")) == DET_JSON_STRING)
        DET_TRY(collect_names(r, all.list, all.count));
    struct det_coco_place place = place_in(r, "images");
    struct det_json_entry entry;
    for (bool more = det_json_first(all.list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_image *image = &dataset->images[dataset->image_count];
        status = read_image(&place, entry.value, &dataset->names, image);
        if (det_coco_forgive(&place, NULL, &status)) {
            det_free(env, &image->file_name);
            *image = (struct det_coco_image){0};
            continue;
        }
        const size_t position = dataset->image_count++;
        DET_TRY(status);
        all.ids[position] = (struct id_place){image->id, place.index, position};
    }
    DET_TRY(mark_doubles(&place, all.ids, dataset->image_count, dataset->images, image_name,
                         all.doubles));
    for (size_t i = 0; i < dataset->image_count; i++) {
        if (all.doubles[i])
            det_free(env, &dataset->images[i].file_name);
        else
            dataset->images[kept++] = dataset->images[i];
    }
    dataset->image_count = kept;
fail:
    close_entries(env, &all);
    return status;
}

/* "" where it is no string. */
static det_status read_text(struct det_env *env, struct det_json value, char **text)
{
    return det_json_kind(value) == DET_JSON_STRING ? det_json_string(env, value, text)
                                                   : det_strdup(env, text, "");
}

static det_status read_category(const struct det_coco_place *place, struct det_json entry,
                                struct det_coco_category *category)
{
    static const char *const keys[] = {"id", "name", "supercategory"};
    struct det_json values[3] = {{0}};
    DET_TRY_RETURN(det_coco_keys(place, entry, keys, values, 3));
    DET_TRY_RETURN(det_coco_integer(place, "id", values[0], &category->id));
    if (det_json_kind(values[1]) != DET_JSON_NONE && det_json_kind(values[1]) != DET_JSON_STRING)
        return det_coco_wrong_kind(place, "name", values[1], "a string");
    DET_TRY_RETURN(read_text(place->env, values[1], &category->name));
    return read_text(place->env, values[2], &category->supercategory);
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
    struct entries all;
    size_t kept = 0;
    det_status status = DET_OK;
    DET_TRY(open_entries(r, "categories", &all));
    DET_TRY(
        det_alloc(env, &dataset->categories, all.count, sizeof *dataset->categories, "categories"));
    struct det_coco_place place = place_in(r, "categories");
    struct det_json_entry entry;
    for (bool more = det_json_first(all.list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_category *category = &dataset->categories[dataset->category_count];
        status = read_category(&place, entry.value, category);
        if (det_coco_forgive(&place, NULL, &status)) {
            free_category(env, category);
            continue;
        }
        const size_t position = dataset->category_count++;
        DET_TRY(status);
        all.ids[position] = (struct id_place){category->id, place.index, position};
    }
    DET_TRY(mark_doubles(&place, all.ids, dataset->category_count, dataset->categories,
                         category_name, all.doubles));
    for (size_t i = 0; i < dataset->category_count; i++) {
        if (all.doubles[i])
            free_category(env, &dataset->categories[i]);
        else
            dataset->categories[kept++] = dataset->categories[i];
    }
    dataset->category_count = kept;
fail:
    close_entries(env, &all);
    return status;
}

/* `bbox`; where there is none, the box around `segmentation`. */
static det_status read_object_box(const struct det_coco_place *place, struct det_json box,
                                  struct det_json segmentation, struct det_coco_annotation *object)
{
    object->is_outline = det_coco_is_absent(box) ||
                         (det_json_kind(box) == DET_JSON_LIST && det_json_count(box) == 0);
    if (!object->is_outline)
        return det_coco_box(place, box, object->box_px);
    bool found = false;
    DET_TRY_RETURN(det_coco_segmentation_box(place->env, segmentation, object->box_px, &found));
    return found ? DET_OK
                 : det_coco_at(place, det_fail(place->env, DET_STATUS_PARSE,
                                               "no `bbox`, and no outline in `segmentation`"));
}

/* *image_id: known, for the message, once *knows_image is true. */
static det_status read_annotation(const struct det_coco_place *place, struct det_json entry,
                                  const struct det_coco_names *names,
                                  struct det_coco_annotation *object, bool *knows_image)
{
    static const char *const keys[] = {"id",   "image_id", "category_id", "bbox",
                                       "area", "iscrowd",  "ignore",      "segmentation"};
    struct det_json values[8] = {{0}};
    *object = (struct det_coco_annotation){.id = (int64_t)place->index + 1};
    *knows_image = false;
    DET_TRY_RETURN(det_coco_keys(place, entry, keys, values, 8));
    DET_TRY_RETURN(det_coco_image_id(place, "image_id", values[1], names, &object->image_id));
    *knows_image = true;
    if (!det_coco_is_absent(values[0]))
        DET_TRY_RETURN(det_coco_integer(place, "id", values[0], &object->id));
    DET_TRY_RETURN(det_coco_integer(place, "category_id", values[2], &object->category_id));
    DET_TRY_RETURN(read_object_box(place, values[3], values[7], object));
    object->area_px2 = object->box_px[2] * object->box_px[3];
    if (!det_coco_is_absent(values[4]))
        DET_TRY_RETURN(det_coco_number(place, "area", values[4], &object->area_px2));
    DET_TRY_RETURN(det_coco_flag(place, "iscrowd", values[5], &object->is_crowd));
    return det_coco_flag(place, "ignore", values[6], &object->ignore);
}

static det_status read_annotations(const struct reading *r)
{
    struct det_env *env = r->env;
    struct det_coco_dataset *dataset = r->dataset;
    struct det_json list = {0};
    size_t count = 0;
    struct id_place *ids = NULL;
    det_status status = DET_OK;
    DET_TRY(find_list(env, r->path, r->root, "annotations", false, &list, &count));
    DET_TRY(
        det_alloc(env, &dataset->annotations, count, sizeof *dataset->annotations, "annotations"));
    DET_TRY(det_alloc(env, &ids, count, sizeof *ids, "annotations"));
    struct det_coco_place place = place_in(r, "annotations");
    struct det_json_entry entry;
    for (bool more = det_json_first(list, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_annotation *object = &dataset->annotations[dataset->annotation_count];
        bool knows_image = false;
        status = read_annotation(&place, entry.value, &dataset->names, object, &knows_image);
        if (det_coco_forgive(&place, knows_image ? &object->image_id : NULL, &status))
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

/* Where faults are gathered, what Python writes and JSON does not have is one of the entries that
 * use it. *json is what *root may lie in; the caller frees. */
static det_status parse_text(const struct reading *r, const void *data, size_t bytes,
                             struct det_text *json, struct det_json *root)
{
    size_t count = 0;
    const det_status status = det_json_parse(r->env, r->path, data, bytes, root);
    if (status == DET_OK || r->faults == NULL)
        return status;
    char message[DET_ERROR_BYTES];
    snprintf(message, sizeof message, "%s", r->env->error);
    DET_TRY_RETURN(det_python_json_replace(r->env, data, bytes, json, &count));
    if (count == 0 || det_json_parse(r->env, r->path, json->data, json->length, root) != DET_OK)
        return det_fail(r->env, status, "%s", message);
    r->faults->note(r->faults->user, message);
    return DET_OK;
}

static det_status parse_dataset(const struct reading *reading, const void *data, size_t bytes)
{
    struct reading r = *reading;
    struct det_text json = {0};
    det_status status = DET_OK;
    *r.dataset = (struct det_coco_dataset){0};
    const struct det_budget before = det_budget_open(r.env, r.path);
    DET_TRY(parse_text(&r, data, bytes, &json, &r.root));
    if (det_json_kind(r.root) != DET_JSON_OBJECT)
        DET_TRY(det_fail(r.env, DET_STATUS_PARSE,
                         "%s: is %s, expected an object with `images`, `annotations` and "
                         "`categories`",
                         r.path, det_json_kind_text(r.root)));
    DET_TRY(read_images(&r));
    DET_TRY(read_categories(&r));
    DET_TRY(read_annotations(&r));
fail:
    det_text_free(r.env, &json);
    det_budget_close(r.env, before);
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
    struct det_file_bytes contents;
    DET_TRY_RETURN(det_file_read(env, path, &contents));
    const det_status status =
        det_coco_json_parse_dataset(env, path, contents.data, contents.bytes, dataset);
    det_file_release(&contents);
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
