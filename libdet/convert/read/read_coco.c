/* read_coco.c: see readers.h. Categories become classes by rising id, so that 1 .. 90 with gaps is
 * 1 .. 80; the one that Roboflow puts above its classes (supercategory "none", without objects) is
 * none. An object without a known image is a finding. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/readers.h"
#include "formats/coco_json.h"
#include "support/encoding.h"
#include "support/mem.h"

static int by_id(const void *a, const void *b)
{
    const struct det_coco_category *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

struct reading {
    struct det_env *env;
    const struct det_read_settings *settings;
    struct det_annotations *set;
    struct det_coco_dataset data;
    char *base, *split;
    struct det_id_map images, categories; /* id -> position; of a category in data */
    int32_t *classes;                     /* of the categories */
    struct fault *faults;                 /* of entries, told once the images are known */
    size_t fault_count, fault_capacity;
    det_status status; /* of keeping them */
};

struct fault {
    char *message;
    int64_t image_id;
    bool knows_image;
};

/* --- what cannot be read --- */

static void keep_fault(void *user, const int64_t *image_id, const char *message)
{
    struct reading *r = user;
    if (r->status == DET_OK)
        r->status = det_grow(r->env, &r->faults, &r->fault_capacity, r->fault_count + 1,
                             sizeof *r->faults, "findings");
    if (r->status != DET_OK)
        return;
    struct fault *fault = &r->faults[r->fault_count++];
    fault->knows_image = image_id != NULL;
    fault->image_id = image_id != NULL ? *image_id : 0;
    r->status = det_strdup(r->env, &fault->message, message);
}

static void keep_note(void *user, const char *message)
{
    struct reading *r = user;
    det_finding(r->settings->findings, DET_RULE_NOT_JSON, "%s", message);
}

static void tell_faults(struct reading *r)
{
    for (size_t i = 0; i < r->fault_count; i++) {
        const struct fault *fault = &r->faults[i];
        uint32_t image = 0;
        if (fault->knows_image && det_id_map_find(&r->images, fault->image_id, &image)) {
            const char *name = r->set->images[image].name;
            det_lose_object(r->set, image);
            det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s (image `%.200s`)",
                        fault->message, name != NULL ? name : "");
        } else {
            det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s", fault->message);
        }
    }
}

/* --- classes and images --- */

/* "cars" of [{"cars", none}, {"van", cars}, {"bus", cars}], when no object has it. */
static bool is_parent(const struct det_coco_dataset *data, const struct det_coco_category *category)
{
    bool has_children = false;
    if (category->supercategory[0] != '\0' && strcmp(category->supercategory, "none") != 0)
        return false;
    for (size_t i = 0; i < data->category_count && !has_children; i++)
        has_children = &data->categories[i] != category &&
                       strcmp(data->categories[i].supercategory, category->name) == 0;
    for (size_t i = 0; i < data->annotation_count && has_children; i++)
        if (data->annotations[i].category_id == category->id)
            return false;
    return has_children && category->name[0] != '\0';
}

static det_status add_categories(struct det_env *env, struct reading *r)
{
    struct det_coco_dataset *data = &r->data;
    DET_TRY_RETURN(
        det_alloc(env, &r->classes, data->category_count, sizeof *r->classes, "categories"));
    if (data->category_count > 0)
        qsort(data->categories, data->category_count, sizeof *data->categories, by_id);
    for (size_t i = 0; i < data->category_count; i++) {
        const struct det_coco_category *category = &data->categories[i];
        r->classes[i] = DET_CLASS_NONE;
        if (is_parent(data, category))
            continue;
        /* One that the label map lacks is told when an object has it. */
        if (category->name[0] != '\0')
            DET_TRY_RETURN(det_annotations_class(env, r->set, category->name, &r->classes[i]));
        DET_TRY_RETURN(det_id_map_add(env, &r->categories, category->id, (uint32_t)i));
    }
    return DET_OK;
}

static det_status add_image(struct det_env *env, struct reading *r,
                            const struct det_coco_image *image)
{
    const struct det_coco_dataset *data = &r->data;
    const char *name = image->file_name != NULL ? image->file_name : "without a name";
    char where[700];
    size_t index = 0;
    const bool named = data->names.count > 0;
    if (named)
        snprintf(where, sizeof where, "%.350s: image \"%.150s\" (%.150s)", r->settings->path,
                 data->names.names[image->id - 1], name);
    else
        snprintf(where, sizeof where, "%.400s: image %lld (%.200s)", r->settings->path,
                 (long long)image->id, name);
    DET_TRY_RETURN(det_annotations_add_image(env, r->set, where, image->file_name, true, &index));
    DET_TRY_RETURN(det_id_map_add(env, &r->images, image->id, (uint32_t)index));
    struct det_labelled_image *added = &r->set->images[index];
    added->width_px = image->width_px;
    added->height_px = image->height_px;
    DET_TRY_RETURN(named ? det_strdup(env, &added->source_id, data->names.names[image->id - 1])
                         : det_format(env, &added->source_id, "%lld", (long long)image->id));
    DET_TRY_RETURN(det_set_split(env, r->settings, r->set, index, r->split));
    return det_find_image(env, r->settings, r->base, r->split, &r->set->images[index]);
}

static det_status add_annotation(struct det_env *env, struct reading *r, size_t position,
                                 const struct det_coco_annotation *a)
{
    uint32_t image = 0, category = 0;
    if (!det_id_map_find(&r->images, a->image_id, &image)) {
        det_finding(r->settings->findings, DET_RULE_IMAGE_MISSING,
                    "%s: annotation %zu (id %lld): there is no image with its image_id",
                    r->settings->path, position, (long long)a->id);
        return DET_OK;
    }
    struct det_labelled_object object = det_annotations_object(image);
    const char *where = r->set->images[image].where;
    if (!det_id_map_find(&r->categories, a->category_id, &category)) {
        det_finding(r->settings->findings, DET_RULE_CLASS_UNKNOWN,
                    "%s: annotation id %lld: there is no category %lld", where, (long long)a->id,
                    (long long)a->category_id);
    } else {
        char place[800];
        snprintf(place, sizeof place, "%.700s: annotation id %lld", where, (long long)a->id);
        object.class_index = r->classes[category];
        det_tell_class(r->settings, r->set, place, r->data.categories[category].name,
                       object.class_index);
    }
    if (a->is_outline)
        det_finding(r->settings->findings, DET_RULE_SHAPE_BOXED,
                    "%s: annotation id %lld: no bbox: that around its segmentation is taken", where,
                    (long long)a->id);
    object.box[0] = a->box_px[1];
    object.box[1] = a->box_px[0];
    object.box[2] = a->box_px[1] + a->box_px[3];
    object.box[3] = a->box_px[0] + a->box_px[2];
    object.area_px2 = a->area_px2;
    object.is_crowd = a->is_crowd;
    object.difficult = a->ignore;
    return det_annotations_add_object(env, r->set, &object);
}

static det_status parse_file(struct det_env *env, struct reading *r)
{
    const struct det_coco_faults faults = {r, keep_fault, keep_note};
    const char *path = r->settings->path;
    struct det_source_bytes source = {0};
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_files_open(env, r->settings->files, path, &source));
    DET_TRY(det_decode_text(env, path, source.data, source.bytes, r->settings->encoding, &text));
    det_source_bytes_close(env, &source); /* half of the memory, where an archive holds it */
    DET_TRY(det_coco_json_parse_sound(env, path, text.data, text.length, &faults, &r->data));
    DET_TRY(r->status);
fail:
    det_source_bytes_close(env, &source);
    det_text_free(env, &text);
    return status;
}

det_status det_read_coco(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set)
{
    struct reading r = {.env = env, .settings = settings, .set = set};
    det_status status = DET_OK;
    DET_TRY(parse_file(env, &r));
    DET_TRY(det_path_directory(env, &r.base, settings->path));
    DET_TRY(det_split_of_path(env, settings->path, &r.split));
    DET_TRY(add_categories(env, &r));
    for (size_t i = 0; i < r.data.image_count; i++)
        DET_TRY(add_image(env, &r, &r.data.images[i]));
    tell_faults(&r);
    for (size_t i = 0; i < r.data.annotation_count; i++)
        DET_TRY(add_annotation(env, &r, i, &r.data.annotations[i]));
fail:
    for (size_t i = 0; i < r.fault_count; i++)
        det_free(env, &r.faults[i].message);
    det_free(env, &r.faults);
    det_free(env, &r.classes);
    det_coco_dataset_free(env, &r.data);
    det_id_map_free(env, &r.images);
    det_id_map_free(env, &r.categories);
    det_free(env, &r.base);
    det_free(env, &r.split);
    return det_source_fault(env, settings, status);
}
