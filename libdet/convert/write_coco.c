/* write_coco.c: see writers.h. Category ids are 1 .. K. Image ids stay what they were where all of
 * a split are different positive numbers, else they are 1, 2, ... */
#include <math.h>
#include <string.h>

#include "convert/writers.h"
#include "formats/coco_json.h"
#include "support/mem.h"

/* The number that an id is; 0 when it is none. */
static int64_t number_of(const char *id)
{
    int64_t value = 0;
    if (id == NULL || *id < '1' || *id > '9' || strlen(id) > 15)
        return 0;
    for (; *id != '\0'; id++) {
        if (*id < '0' || *id > '9')
            return 0;
        value = value * 10 + (*id - '0');
    }
    return value;
}

struct split_writing {
    const struct det_annotations *set;
    int32_t split;
    size_t images, objects;
    bool ids_are_numbers;
};

static det_status look_at(struct det_env *env, struct split_writing *w)
{
    struct det_id_map ids = {0};
    det_status status = DET_OK;
    uint32_t other = 0;
    w->ids_are_numbers = true;
    for (size_t i = 0; i < w->set->image_count; i++) {
        const struct det_labelled_image *image = &w->set->images[i];
        if (image->broken || image->split != w->split)
            continue;
        w->images++;
        w->objects += image->object_count;
        const int64_t id = number_of(image->source_id);
        if (id == 0 || det_id_map_find(&ids, id, &other))
            w->ids_are_numbers = false;
        else
            DET_TRY(det_id_map_add(env, &ids, id, 0));
    }
fail:
    det_id_map_free(env, &ids);
    return status;
}

static struct det_coco_annotation annotation_of(const struct det_labelled_image *image,
                                                const struct det_labelled_object *object,
                                                int64_t id, int64_t image_id)
{
    struct det_coco_annotation a = {.id = id,
                                    .image_id = image_id,
                                    .category_id = object->class_index + 1,
                                    .is_crowd = object->is_crowd,
                                    .ignore = object->difficult};
    const double px[4] = {object->box[1] * image->width_px, object->box[0] * image->height_px,
                          (object->box[3] - object->box[1]) * image->width_px,
                          (object->box[2] - object->box[0]) * image->height_px};
    for (int c = 0; c < 4; c++) /* to a thousandth: float32 shares are no finer */
        a.box_px[c] = floor(px[c] * 1000 + .5) / 1000;
    a.area_px2 = object->area_px2 > 0 ? object->area_px2 : a.box_px[2] * a.box_px[3];
    return a;
}

static det_status write_split(struct det_env *env, const struct det_write_settings *settings,
                              struct split_writing *w, char **names,
                              struct det_write_counts *counts)
{
    const struct det_annotations *set = w->set;
    struct det_coco_dataset data = {0};
    char *path = NULL, *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &data.images, w->images, sizeof *data.images, "COCO images"));
    DET_TRY(det_alloc(env, &data.annotations, w->objects, sizeof *data.annotations,
                      "COCO annotations"));
    DET_TRY(det_alloc(env, &data.categories, set->classes.count, sizeof *data.categories,
                      "categories"));
    for (size_t k = 0; k < set->classes.count; k++)
        data.categories[data.category_count++] =
            (struct det_coco_category){.id = (int64_t)k + 1, .name = set->classes.paths[k]};
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        if (image->broken || image->split != w->split)
            continue;
        const int64_t id =
            w->ids_are_numbers ? number_of(image->source_id) : (int64_t)data.image_count + 1;
        data.images[data.image_count++] =
            (struct det_coco_image){.id = id,
                                    .width_px = image->width_px,
                                    .height_px = image->height_px,
                                    .file_name = det_name_to_write(settings, image, names[i])};
        for (size_t o = 0; o < image->object_count; o++) {
            const int64_t annotation = (int64_t)data.annotation_count + 1;
            data.annotations[data.annotation_count++] =
                annotation_of(image, &set->objects[image->first_object + o], annotation, id);
        }
        DET_TRY(det_write_image_file(env, settings, set, image, set->splits.paths[w->split],
                                     names[i], counts));
    }
    counts->images += data.image_count;
    counts->objects += data.annotation_count;
    DET_TRY(det_path_join(env, &folder, settings->directory, "annotations"));
    DET_TRY(det_make_directories(env, folder));
    DET_TRY(
        det_path_join_printf(env, &path, folder, "instances_%s.json", set->splits.paths[w->split]));
    DET_TRY(det_coco_json_write_dataset(env, path, &data));
fail:
    det_free(env, &path);
    det_free(env, &folder);
    /* The texts are lent. */
    det_free(env, &data.images);
    det_free(env, &data.annotations);
    det_free(env, &data.categories);
    return status;
}

det_status det_write_coco(struct det_env *env, const struct det_write_settings *settings,
                          const struct det_annotations *set, struct det_write_counts *counts)
{
    char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_written_names(env, set, det_scope_of_split, &names, counts));
    for (int32_t split = 0; split < (int32_t)set->splits.count; split++) {
        struct split_writing w = {.set = set, .split = split};
        DET_TRY(look_at(env, &w));
        if (w.images > 0)
            DET_TRY(write_split(env, settings, &w, names, counts));
    }
fail:
    det_written_names_free(env, set, &names);
    return status;
}
