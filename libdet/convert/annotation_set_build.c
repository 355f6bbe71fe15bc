/* annotation_set_build.c: see det/dataset.h: a set built up, looked at and changed. */
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "convert/annotation_set.h"
#include "support/mem.h"

static det_status need_image(det_annotation_set *set, const char *function, size_t position)
{
    return position < set->set.image_count ? DET_OK
                                           : det_fail(set->env, DET_STATUS_INVALID_ARGUMENT,
                                                      "%s: there is no image %zu: the set has %zu",
                                                      function, position, set->set.image_count);
}

/* --- adding --- */

det_status det_annotation_set_add_class(det_annotation_set *set, const char *name,
                                        int32_t *class_id)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    int32_t index = 0;
    if (class_id != NULL)
        *class_id = 0;
    DET_NEED(env, set);
    DET_NEED(env, name);
    DET_NEED(env, class_id);
    if (name[0] == '\0')
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: the name is empty", __func__);
    DET_TRY_RETURN(det_annotations_order_classes(env, &set->set));
    const size_t before = set->set.classes.count;
    DET_TRY_RETURN(det_annotations_class(env, &set->set, name, &index));
    if (index < 0)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "class \"%.200s\" is not in the label map (%zu classes)", name, before);
    if (set->set.classes.count > before)
        det_annotation_set_touch(set);
    *class_id = index + 1;
    return det_annotations_order_classes(env, &set->set);
}

static det_status take_image(det_annotation_set *set, const det_annotation_image *given,
                             det_annotation_image *image)
{
    struct det_env *env = set->env;
    *image = (det_annotation_image){.struct_size = sizeof *image};
    DET_TRY_RETURN(DET_TAKE(env, det_annotation_image, image, given));
    if (image->path == NULL && image->data == NULL && image->name == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_image: path, data and name are NULL: one says which image "
                        "it is");
    if ((image->data == NULL) != (image->bytes == 0) ||
        (image->path != NULL && image->data != NULL))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_image: data and its %zu bytes come together, and without "
                        "path",
                        image->bytes);
    if (image->width_px < 0 || image->height_px < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_image: size %d x %d, expected 0 or more", image->width_px,
                        image->height_px);
    return DET_OK;
}

/* The bytes of a new image, or where they are. */
static det_status place_image(det_annotation_set *set, const struct det_read_settings *settings,
                              const det_annotation_image *given, struct det_labelled_image *image)
{
    struct det_env *env = set->env;
    if (given->data != NULL) {
        DET_TRY_RETURN(det_alloc_raw(env, &image->own, given->bytes, 1, "picture"));
        memcpy(image->own, given->data, given->bytes);
        image->own_bytes = given->bytes;
        return DET_OK;
    }
    if (given->path != NULL)
        return det_strdup(env, &image->path, given->path);
    return det_find_image(env, settings, given->folder != NULL ? given->folder : ".", given->split,
                          image);
}

static det_status fill_image(det_annotation_set *set, const struct det_read_settings *settings,
                             const det_annotation_image *given, size_t index)
{
    struct det_env *env = set->env;
    struct det_labelled_image *image = &set->set.images[index];
    image->width_px = given->width_px;
    image->height_px = given->height_px;
    if (given->source_id != NULL)
        DET_TRY_RETURN(det_strdup(env, &image->source_id, given->source_id));
    DET_TRY_RETURN(det_annotation_set_take_split(set, settings->split, &image->split));
    return place_image(set, settings, given, image);
}

det_status det_annotation_set_add_image(det_annotation_set *set, const det_annotation_image *image,
                                        size_t *position)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    det_annotation_image given;
    struct det_read_settings settings;
    char where[40];
    if (position != NULL)
        *position = 0;
    DET_NEED(env, set);
    DET_NEED(env, image);
    DET_NEED(env, position);
    DET_TRY_RETURN(take_image(set, image, &given));
    const size_t index = set->set.image_count;
    const char *name = given.name;
    if (name == NULL && given.path != NULL)
        name = det_path_name(given.path);
    snprintf(where, sizeof where, "image %zu", index);
    if (given.where == NULL)
        given.where = given.path != NULL ? given.path : name;
    if (given.where == NULL || given.where[0] == '\0')
        given.where = where;
    DET_TRY_RETURN(det_annotation_set_begin_read(
        set, given.where, given.split != NULL ? given.split : "data", &settings));
    DET_TRY_RETURN(det_annotations_add_image(env, &set->set, given.where, name, false, position));
    const struct det_finding_place before = set->findings.at;
    set->findings.at =
        (struct det_finding_place){.where = given.where, .image = (int64_t)index + 1};
    const det_status status = fill_image(set, &settings, &given, index);
    set->findings.at = before;
    if (status != DET_OK) {
        det_annotations_take_back_image(env, &set->set);
        *position = 0;
    }
    return status;
}

static const det_annotation_object object_defaults = {.struct_size = sizeof object_defaults,
                                                      .weight = 1};

void det_annotation_object_init(det_annotation_object *object, size_t struct_size)
{
    det_init_struct(object, struct_size, &object_defaults, sizeof object_defaults);
}

/* Number `number` of its image's, normalised where that has been resolved; the set is not changed:
 * its class is what `given` has of it. */
static det_status take_object(det_annotation_set *set, size_t position, size_t number,
                              const det_annotation_object *object, det_annotation_object *given,
                              struct det_labelled_object *taken)
{
    struct det_env *env = set->env;
    const struct det_labelled_image *image = &set->set.images[position];
    *given = object_defaults;
    DET_TRY_RETURN(DET_TAKE(env, det_annotation_object, given, object));
    *taken = det_annotations_object(position);
    taken->number = (uint32_t)number;
    if (given->class_id < 0 || (size_t)given->class_id > set->set.classes.count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: class id %d, expected 1 to %zu, or 0 for none", image->where,
                        given->class_id, set->set.classes.count);
    if (!det_number_is_sound(given->weight) || !det_number_is_sound(given->area_px2))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: weight %g, area %g, expected finite numbers of at least 0",
                        image->where, given->weight, given->area_px2);
    memcpy(taken->box, given->box, sizeof taken->box);
    taken->frame = given->in_pixels != 0 ? DET_BOX_PIXELS : DET_BOX_SHARES;
    if (taken->frame == DET_BOX_PIXELS && image->resolved && !image->broken) {
        for (int c = 0; c < 4; c++)
            taken->box[c] /= c % 2 == 0 ? image->height_px : image->width_px;
        taken->frame = DET_BOX_SHARES;
    }
    taken->area_px2 = given->area_px2;
    taken->weight = given->weight;
    taken->difficult = given->difficult != 0;
    taken->group_of = given->group_of != 0;
    taken->is_crowd = given->is_crowd != 0;
    taken->truncated = given->truncated != 0;
    return DET_OK;
}

/* Its class, which is added when it is new. */
static det_status take_class(det_annotation_set *set, const det_annotation_object *given,
                             struct det_labelled_object *taken)
{
    taken->class_index = given->class_id > 0 ? given->class_id - 1 : DET_CLASS_NONE;
    if (given->class_name == NULL)
        return DET_OK;
    taken->class_index = DET_CLASS_NONE;
    return given->class_name[0] != '\0'
               ? det_annotations_class(set->env, &set->set, given->class_name, &taken->class_index)
               : DET_OK;
}

/* When it is one of the set's. */
static void tell_class(det_annotation_set *set, size_t position, const det_annotation_object *given,
                       const struct det_labelled_object *taken)
{
    const struct det_labelled_image *image = &set->set.images[position];
    const struct det_read_settings settings = {.findings = &set->findings};
    const struct det_finding_place before = set->findings.at;
    char place[700];
    snprintf(place, sizeof place, "%.600s: object %u", image->where, taken->number);
    set->findings.at = (struct det_finding_place){image->where, (int64_t)position + 1,
                                                  (int64_t)taken->number + 1, 0};
    det_tell_class(&settings, &set->set, place, given->class_name != NULL ? given->class_name : "",
                   taken->class_index);
    set->findings.at = before;
}

static det_status add_object(det_annotation_set *set, size_t position,
                             const det_annotation_object *object)
{
    struct det_env *env = set->env;
    const struct det_labelled_image *image = &set->set.images[position];
    const size_t classes = set->set.classes.count;
    det_annotation_object given;
    struct det_labelled_object taken;
    det_status status = DET_OK;
    DET_TRY_RETURN(take_object(set, position, image->object_count + image->lost_objects, object,
                               &given, &taken));
    DET_TRY(take_class(set, &given, &taken));
    DET_TRY(det_annotations_add_object(env, &set->set, &taken));
    tell_class(set, position, &given, &taken);
    set->is_resolved = false;
    return DET_OK;
fail:
    det_annotations_take_back_classes(env, &set->set, classes);
    return status;
}

det_status det_annotation_set_add_object(det_annotation_set *set, size_t position,
                                         const det_annotation_object *object)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED(env, object);
    DET_TRY_RETURN(need_image(set, __func__, position));
    det_annotation_set_touch(set);
    return add_object(set, position, object);
}

det_status det_annotation_set_add_finding(det_annotation_set *set, const char *rule,
                                          size_t position, const char *message)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    size_t number = 0;
    DET_NEED(env, set);
    DET_NEED(env, rule);
    DET_NEED(env, message);
    while (number < DET_RULE_COUNT && strcmp(det_rule_name((enum det_rule)number), rule) != 0)
        number++;
    if (number == DET_RULE_COUNT)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: `%.200s` is no rule", __func__,
                        rule);
    if (position != SIZE_MAX)
        DET_TRY_RETURN(need_image(set, __func__, position));
    det_annotation_set_touch(set);
    const struct det_finding_place before = set->findings.at;
    if (position != SIZE_MAX)
        set->findings.at = (struct det_finding_place){.where = set->set.images[position].where,
                                                      .image = (int64_t)position + 1};
    det_finding(&set->findings, (enum det_rule)number, "%s", message);
    set->findings.at = before;
    if (number == DET_RULE_UNREADABLE && position != SIZE_MAX)
        det_lose_object(&set->set, position);
    return DET_OK;
}

/* --- looking --- */

size_t det_annotation_set_image_count(const det_annotation_set *set)
{
    return set == NULL ? 0 : set->set.image_count;
}

size_t det_annotation_set_object_count(const det_annotation_set *set)
{
    return set == NULL ? 0 : set->set.object_count - set->set.objects_lost;
}

int32_t det_annotation_set_class_count(const det_annotation_set *set)
{
    return set == NULL ? 0 : (int32_t)set->set.classes.count;
}

const char *det_annotation_set_class_name(const det_annotation_set *set, int32_t class_id)
{
    return class_id >= 1 && class_id <= det_annotation_set_class_count(set)
               ? set->set.classes.paths[class_id - 1]
               : NULL;
}

size_t det_annotation_set_split_count(const det_annotation_set *set)
{
    return set == NULL ? 0 : set->set.splits.count;
}

const char *det_annotation_set_split_name(const det_annotation_set *set, size_t index)
{
    return index < det_annotation_set_split_count(set) ? set->set.splits.paths[index] : NULL;
}

det_status det_annotation_set_image(det_annotation_set *set, size_t position,
                                    det_annotation_image_info *info)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED_REPORT(env, det_annotation_image_info, info);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(need_image(set, __func__, position));
    const struct det_labelled_image *image = &set->set.images[position];
    const det_annotation_image_info filled = {
        .struct_size = sizeof filled,
        .name = image->name != NULL ? image->name : "",
        .source_id = det_image_id(image),
        .split = set->set.splits.paths[image->split],
        .path = image->path,
        .where = image->where,
        .width_px = image->broken ? 0 : image->width_px,
        .height_px = image->broken ? 0 : image->height_px,
        .object_count = image->object_count,
        .usable = !image->broken,
        .orientation = image->orientation,
    };
    det_fill_report(info, &filled, sizeof filled);
    return DET_OK;
}

det_status det_annotation_set_object(det_annotation_set *set, size_t position, size_t index,
                                     det_annotation_object *object)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED_REPORT(env, det_annotation_object, object);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(need_image(set, __func__, position));
    const struct det_labelled_image *image = &set->set.images[position];
    if (index >= image->object_count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: there is no object %zu: %s has %zu",
                        __func__, index, image->where, image->object_count);
    const struct det_labelled_object *at = &set->set.objects[image->first_object + index];
    det_annotation_object filled = {
        .struct_size = sizeof filled,
        .class_name = at->class_index >= 0 ? set->set.classes.paths[at->class_index] : NULL,
        .class_id = at->class_index >= 0 ? at->class_index + 1 : 0,
        .in_pixels = det_annotations_box_is_px(image, at),
        .area_px2 = at->area_px2,
        .weight = at->weight,
        .difficult = at->difficult,
        .group_of = at->group_of,
        .is_crowd = at->is_crowd,
        .truncated = at->truncated,
    };
    memcpy(filled.box, at->box, sizeof filled.box);
    det_fill_report(object, &filled, sizeof filled);
    return DET_OK;
}

/* --- changing --- */

/* All of them are taken before the set changes: after a failure it is as it was. */
static det_status set_objects(det_annotation_set *set, size_t position,
                              const det_annotation_object *objects, size_t count)
{
    struct det_env *env = set->env;
    const size_t classes = set->set.classes.count;
    struct det_labelled_object *taken = NULL;
    det_annotation_object *given = NULL;
    det_status status = DET_OK;
    const char *at = (const char *)objects;
    DET_TRY(det_alloc(env, &taken, count, sizeof *taken, "objects"));
    DET_TRY(det_alloc(env, &given, count, sizeof *given, "objects"));
    for (size_t i = 0; i < count; i++, at += objects[0].struct_size) {
        const det_annotation_object *object = (const void *)at;
        if (object->struct_size != objects[0].struct_size) {
            status = det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                              "det_annotation_set_set_objects: struct_size of object %zu is %zu, "
                              "that of the first one %zu",
                              i, object->struct_size, objects[0].struct_size);
            goto fail;
        }
        DET_TRY(take_object(set, position, i, object, &given[i], &taken[i]));
    }
    for (size_t i = 0; i < count; i++)
        DET_TRY(take_class(set, &given[i], &taken[i]));
    DET_TRY(det_annotations_set_objects(env, &set->set, position, taken, count));
    for (size_t i = 0; i < count; i++)
        tell_class(set, position, &given[i], &taken[i]);
fail:
    if (status != DET_OK)
        det_annotations_take_back_classes(env, &set->set, classes);
    det_free(env, &given);
    det_free(env, &taken);
    return status;
}

det_status det_annotation_set_set_objects(det_annotation_set *set, size_t position,
                                          const det_annotation_object *objects, size_t count)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED_ARRAY(env, objects, count);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(need_image(set, __func__, position));
    if (set->set.images[position].broken)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: %s cannot be used", __func__,
                        set->set.images[position].where);
    det_annotation_set_touch(set);
    return set_objects(set, position, objects, count);
}

det_status det_annotation_set_set_split(det_annotation_set *set, size_t position, const char *split)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED(env, split);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(need_image(set, __func__, position));
    DET_TRY_RETURN(det_annotation_set_check_split(set, split));
    int32_t index = 0;
    det_annotation_set_touch(set);
    DET_TRY_RETURN(det_annotation_set_take_split(set, split, &index));
    set->set.images[position].split = index;
    return DET_OK;
}

det_status det_annotation_set_drop_image(det_annotation_set *set, size_t position)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(need_image(set, __func__, position));
    det_annotation_set_touch(set);
    DET_TRY_RETURN(det_annotations_set_objects(env, &set->set, position, NULL, 0));
    set->set.images[position].broken = true;
    return DET_OK;
}
