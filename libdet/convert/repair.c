/* repair.c: see check.h. */
#include <string.h>

#include "convert/box_rules.h"
#include "convert/check.h"
#include "support/mem.h"

static void swap_if_reversed(double *low, double *high, bool *swapped)
{
    if (*low <= *high)
        return;
    const double other = *low;
    *low = *high;
    *high = other;
    *swapped = true;
}

/* A box in pixels where shares belong: known by its size, divided by the image's. */
static void divide_pixels(struct det_labelled_object *object,
                          const struct det_labelled_image *image)
{
    if (det_box_rule(object->box, image->width_px, image->height_px) != DET_RULE_BOX_PIXELS)
        return;
    const double *b = object->box;
    if (b[2] > image->height_px * (1 + DET_BOX_TOLERANCE) ||
        b[3] > image->width_px * (1 + DET_BOX_TOLERANCE))
        return; /* no pixels either */
    object->box[0] /= image->height_px;
    object->box[1] /= image->width_px;
    object->box[2] /= image->height_px;
    object->box[3] /= image->width_px;
}

/* False: the object cannot be kept. */
static bool mend_box(struct det_labelled_object *object, const struct det_labelled_image *image,
                     struct det_repairs *repairs)
{
    double *box = object->box;
    bool swapped = false;
    double beyond = 0;
    if ((det_box_faults(box, &beyond) & DET_BOX_NOT_FINITE) != 0)
        return false;
    swap_if_reversed(&box[0], &box[2], &swapped);
    swap_if_reversed(&box[1], &box[3], &swapped);
    divide_pixels(object, image);
    det_box_faults(box, &beyond);
    if (!det_box_clip(box))
        return false;
    repairs->boxes_swapped += swapped;
    repairs->boxes_clipped += beyond > 0;
    return true;
}

static bool is_repeated(const struct det_labelled_object *kept, size_t count,
                        const struct det_labelled_object *object)
{
    for (size_t i = 0; i < count; i++)
        if (det_same_object(&kept[i], object))
            return true;
    return false;
}

/* The objects that can be kept to `to`; 0 also for an image that lost all it had. */
static size_t mend_objects(struct det_annotations *set, struct det_labelled_image *image,
                           struct det_labelled_object *to, struct det_repairs *repairs)
{
    size_t kept = 0, lost = image->lost_objects;
    for (size_t i = 0; i < image->object_count; i++) {
        struct det_labelled_object object = set->objects[image->first_object + i];
        if (object.class_index == DET_CLASS_UNLISTED) {
            repairs->boxes_unlisted++;
        } else if (object.class_index < 0 || !det_number_is_sound(object.weight) ||
                   !mend_box(&object, image, repairs)) {
            lost++;
        } else if (is_repeated(to, kept, &object)) {
            repairs->boxes_repeated++;
        } else {
            repairs->classes_by_text += object.label != 0 && object.label != object.class_index + 1;
            object.label = object.class_index + 1;
            to[kept++] = object;
        }
    }
    repairs->boxes_dropped += lost;
    repairs->images_thinned += lost > 0 && kept > 0;
    if (lost > 0 && kept == 0) {
        repairs->images_emptied++;
        image->broken = true;
    }
    return kept;
}

/* Of equal pictures the one with the most objects stays, of such the first. */
static det_status drop_duplicates(struct det_env *env, struct det_annotations *set)
{
    uint32_t *order = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_images_by_hash(env, set, &order, &count));
    for (size_t i = 1, kept = 0; i < count; i++) {
        struct det_labelled_image *best = &set->images[order[kept]], *at = &set->images[order[i]];
        const bool is_same = best->pixel_hash == at->pixel_hash;
        const bool is_better = at->object_count > best->object_count;
        if (is_same)
            (is_better ? best : at)->broken = true;
        if (!is_same || is_better)
            kept = i;
    }
    det_free(env, &order);
    return DET_OK;
}

static det_status rename_ids(struct det_env *env, struct det_annotations *set, size_t *changed)
{
    uint32_t *order = NULL;
    size_t count = 0;
    det_status status = DET_OK;
    *changed = 0;
    DET_TRY_RETURN(det_images_by_id(env, set, &order, &count));
    for (size_t i = count;
         i-- > 1;) { /* from the back, so that the one before keeps its id until then */
        struct det_labelled_image *before = &set->images[order[i - 1]],
                                  *at = &set->images[order[i]];
        if (before->split != at->split || strcmp(det_image_id(before), det_image_id(at)) != 0 ||
            det_image_id(at)[0] == '\0')
            continue;
        char *id = NULL;
        DET_TRY(det_format(env, &id, "%s#%zu", det_image_id(at), (size_t)order[i] + 1));
        det_free(env, &at->source_id);
        at->source_id = id;
        ++*changed;
    }
fail:
    det_free(env, &order);
    return status;
}

det_status det_annotations_rename_ids(struct det_env *env, struct det_annotations *set,
                                      size_t *changed)
{
    size_t now = 0;
    *changed = 0;
    /* A new id may be one that the source has too. */
    do {
        DET_TRY_RETURN(rename_ids(env, set, &now));
        *changed += now;
    } while (now > 0);
    return DET_OK;
}

det_status det_annotations_repair(struct det_env *env, struct det_annotations *set,
                                  struct det_repairs *repairs)
{
    *repairs = (struct det_repairs){0};
    DET_TRY_RETURN(drop_duplicates(env, set));
    DET_TRY_RETURN(det_annotations_rename_ids(env, set, &repairs->ids_changed));
    size_t kept = 0;
    for (size_t i = 0; i < set->image_count; i++) {
        struct det_labelled_image *image = &set->images[i];
        struct det_labelled_object *to = set->objects + kept;
        if (image->broken) {
            repairs->images_dropped++;
            image->object_count = 0;
        } else {
            repairs->images_turned += image->turn != 1;
            repairs->tags_removed += image->turn == 1 && image->orientation != 1;
            repairs->sizes_corrected +=
                (image->stored_width_px > 0 && image->stored_width_px != image->width_px) ||
                (image->stored_height_px > 0 && image->stored_height_px != image->height_px);
            image->object_count = mend_objects(set, image, to, repairs);
        }
        image->first_object = kept;
        kept += image->object_count;
    }
    set->object_count = kept;
    return DET_OK;
}
