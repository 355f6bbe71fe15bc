/* read_coco.c: see readers.h. Categories become classes by rising id, so that 1 .. 90 with gaps is 1 ..
 * 80. An object without a known image is a finding. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "convert/readers.h"
#include "formats/coco_json.h"

static int by_id(const void *a, const void *b)
{
    const struct det_coco_category *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

struct reading {
    const struct det_read_settings *settings;
    struct det_annotations *set;
    char *base, *split;
    struct det_id_map images, categories; /* id -> position; category: class index + 1, 0 unknown */
};

static det_status add_categories(struct det_env *env, struct reading *r,
                                 struct det_coco_dataset *data)
{
    /* COCO: position in the annotations array is all that a message can name. */
    if (data->category_count > 0)
        qsort(data->categories, data->category_count, sizeof *data->categories, by_id);
    for (size_t i = 0; i < data->category_count; i++) {
        int32_t index = -1;
        char place[600];
        snprintf(place, sizeof place, "%.500s: category %lld", r->settings->path,
                 (long long)data->categories[i].id);
        DET_TRY_RETURN(
            det_find_class(env, r->settings, r->set, place, data->categories[i].name, &index));
        DET_TRY_RETURN(
            det_id_map_add(env, &r->categories, data->categories[i].id, (uint32_t)(index + 1)));
    }
    return DET_OK;
}

static det_status add_image(struct det_env *env, struct reading *r,
                            const struct det_coco_dataset *data, const struct det_coco_image *image)
{
    char where[600];
    size_t index = 0;
    const bool named = data->names.count > 0;
    if (named)
        snprintf(where, sizeof where, "%.400s: image \"%.150s\"", r->settings->path,
                 data->names.names[image->id - 1]);
    else
        snprintf(where, sizeof where, "%.400s: image %lld", r->settings->path,
                 (long long)image->id);
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
    if (!det_id_map_find(&r->categories, a->category_id, &category))
        det_finding(r->settings->findings, DET_RULE_CLASS_UNKNOWN,
                    "%s: annotation id %lld: there is no category %lld",
                    r->set->images[image].where, (long long)a->id, (long long)a->category_id);
    object.class_index = (int32_t)category - 1;
    object.box[0] = a->box_px[1];
    object.box[1] = a->box_px[0];
    object.box[2] = a->box_px[1] + a->box_px[3];
    object.box[3] = a->box_px[0] + a->box_px[2];
    object.area_px2 = a->area_px2;
    object.is_crowd = a->is_crowd;
    object.difficult = a->ignore;
    return det_annotations_add_object(env, r->set, &object);
}

det_status det_read_coco(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set)
{
    struct reading r = {.settings = settings, .set = set};
    struct det_coco_dataset data = {0};
    det_status status = det_coco_json_read_dataset(env, settings->path, &data);
    if (status == DET_STATUS_OUT_OF_MEMORY || status == DET_STATUS_NOT_FOUND)
        return status;
    if (status != DET_OK) {
        det_finding(settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        return DET_OK;
    }
    DET_TRY(det_path_directory(env, &r.base, settings->path));
    DET_TRY(det_split_of_path(env, settings->path, &r.split));
    DET_TRY(add_categories(env, &r, &data));
    for (size_t i = 0; i < data.image_count; i++)
        DET_TRY(add_image(env, &r, &data, &data.images[i]));
    for (size_t i = 0; i < data.annotation_count; i++)
        DET_TRY(add_annotation(env, &r, i, &data.annotations[i]));
fail:
    det_coco_dataset_free(env, &data);
    det_id_map_free(env, &r.images);
    det_id_map_free(env, &r.categories);
    det_free(env, &r.base);
    det_free(env, &r.split);
    return status;
}
