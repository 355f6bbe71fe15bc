/* repair.c: see check.h. */
#include <string.h>

#include "base/mem.h"
#include "convert/box_rules.h"
#include "convert/check.h"

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
    for (int c = 0; c < 4; c++)
        if (!isfinite(box[c]))
            return false;
    swap_if_reversed(&box[0], &box[2], &swapped);
    swap_if_reversed(&box[1], &box[3], &swapped);
    divide_pixels(object, image);
    bool clipped = false;
    for (int c = 0; c < 4; c++) {
        const double inside = fmin(fmax(box[c], 0), 1);
        clipped |= inside != box[c];
        box[c] = inside;
    }
    if (!(box[0] < box[2] && box[1] < box[3]))
        return false;
    repairs->boxes_swapped += swapped;
    repairs->boxes_clipped += clipped;
    return true;
}

static size_t mend_objects(struct det_annotations *set, const struct det_labelled_image *image,
                           struct det_labelled_object *to, struct det_repairs *repairs)
{
    size_t kept = 0;
    for (size_t i = 0; i < image->object_count; i++) {
        struct det_labelled_object object = set->objects[image->first_object + i];
        bool keep = object.class_index >= 0 && mend_box(&object, image, repairs);
        for (size_t other = 0; keep && other < kept; other++)
            keep = !det_same_object(&to[other], &object);
        if (!keep) {
            repairs->boxes_dropped++;
            continue;
        }
        repairs->classes_by_text += object.label != 0 && object.label != object.class_index + 1;
        object.label = object.class_index + 1;
        to[kept++] = object;
    }
    return kept;
}

/* Of equal pictures the first stays. */
static det_status drop_duplicates(struct det_env *env, struct det_annotations *set)
{
    uint32_t *order = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_images_by_hash(env, set, &order, &count));
    for (size_t i = 1, first = 0; i < count; i++) {
        if (set->images[order[first]].pixel_hash == set->images[order[i]].pixel_hash)
            set->images[order[i]].broken = true;
        else
            first = i;
    }
    det_free(env, &order);
    return DET_OK;
}

static det_status rename_ids(struct det_env *env, struct det_annotations *set,
                             struct det_repairs *repairs)
{
    uint32_t *order = NULL;
    size_t count = 0;
    det_status status = DET_OK;
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
        repairs->ids_changed++;
    }
fail:
    det_free(env, &order);
    return status;
}

det_status det_annotations_repair(struct det_env *env, struct det_annotations *set,
                                  struct det_repairs *repairs)
{
    *repairs = (struct det_repairs){0};
    DET_TRY_RETURN(drop_duplicates(env, set));
    DET_TRY_RETURN(rename_ids(env, set, repairs));
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
