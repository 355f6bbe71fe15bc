#include "convert/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/box_rules.h"
#include "support/mem.h"

/* --- orders --- */

/* qsort has no argument, so it gets what it compares beside the position. */
struct key {
    uint64_t hash;
    const char *id;
    int32_t split;
    uint32_t index;
};

static int by_hash(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->split != y->split)
        return x->split < y->split ? -1 : 1;
    const int order = strcmp(x->id, y->id);
    if (order != 0)
        return order;
    return x->index < y->index ? -1 : 1;
}

static det_status sorted(struct det_env *env, const struct det_annotations *set,
                         int (*compare)(const void *, const void *), uint32_t **order,
                         size_t *count)
{
    struct key *keys = NULL;
    det_status status = DET_OK;
    *order = NULL;
    *count = 0;
    DET_TRY(det_alloc(env, &keys, set->image_count, sizeof *keys, "image order"));
    DET_TRY(det_alloc(env, order, set->image_count, sizeof **order, "image order"));
    size_t used = 0;
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        if (!image->broken)
            keys[used++] =
                (struct key){image->pixel_hash, det_image_id(image), image->split, (uint32_t)i};
    }
    qsort(keys, used, sizeof *keys, compare);
    for (size_t i = 0; i < used; i++)
        (*order)[i] = keys[i].index;
    *count = used;
fail:
    det_free(env, &keys);
    return status;
}

det_status det_images_by_hash(struct det_env *env, const struct det_annotations *set,
                              uint32_t **order, size_t *count)
{
    return sorted(env, set, by_hash, order, count);
}

det_status det_images_by_id(struct det_env *env, const struct det_annotations *set,
                            uint32_t **order, size_t *count)
{
    return sorted(env, set, by_id, order, count);
}

bool det_same_object(const struct det_labelled_object *a, const struct det_labelled_object *b)
{
    if (a->class_index != b->class_index)
        return false;
    for (int c = 0; c < 4; c++)
        if (!(fabs(a->box[c] - b->box[c]) <= 1e-6))
            return false;
    return true;
}

/* --- objects --- */

/* "a.xml: object 3 (line 12)" */
static const char *place_of(const struct det_labelled_image *image,
                            const struct det_labelled_object *object, char buffer[700])
{
    char line[32] = "";
    if (object->line > 0)
        snprintf(line, sizeof line, " (line %u)", object->line);
    snprintf(buffer, 700, "%.600s: object %u%s", image->where, object->number, line);
    return buffer;
}

static void check_class(const struct det_annotations *set, const struct det_labelled_object *object,
                        const char *place, struct det_findings *findings)
{
    const int32_t count = (int32_t)set->classes.count;
    if (object->class_index < 0)
        return; /* its reader has reported what it found there */
    if (object->label != 0 && object->label != object->class_index + 1)
        det_finding(findings, DET_RULE_CLASS_DISAGREES,
                    "%s: class \"%s\" has number %d %s (1 to %d), the record says %lld", place,
                    set->classes.paths[object->class_index], object->class_index + 1,
                    set->classes_are_fixed ? "in the label map" : "elsewhere", count,
                    (long long)object->label);
}

static void check_box(const struct det_labelled_image *image,
                      const struct det_labelled_object *object, const char *place,
                      struct det_findings *findings)
{
    const char *const texts[DET_RULE_COUNT] = {
        [DET_RULE_BOX_NOT_FINITE] = det_box_fault_text(DET_BOX_NOT_FINITE),
        [DET_RULE_BOX_PIXELS] = "looks like pixels: coordinates are shares of the image, 0 to 1",
        [DET_RULE_BOX_REVERSED] = det_box_fault_text(DET_BOX_REVERSED),
        [DET_RULE_BOX_ZERO_SIZE] = det_box_fault_text(DET_BOX_NO_AREA),
        [DET_RULE_BOX_OUTSIDE] = det_box_fault_text(DET_BOX_OUTSIDE),
        [DET_RULE_BOX_EDGE] = "reaches outside the image by a rounding",
        [DET_RULE_BOX_TINY] = "is smaller than a pixel",
    };
    const enum det_rule rule = det_box_rule(object->box, image->width_px, image->height_px);
    if (rule == DET_RULE_COUNT)
        return;
    const double w = image->width_px, h = image->height_px, *b = object->box;
    det_finding(findings, rule,
                "%s: box ymin %g, xmin %g, ymax %g, xmax %g (pixels %g, %g, %g, %g of %d x %d) %s",
                place, b[0], b[1], b[2], b[3], b[0] * h, b[1] * w, b[2] * h, b[3] * w,
                image->width_px, image->height_px, texts[rule]);
}

static void check_image(const struct det_annotations *set, const struct det_labelled_image *image,
                        struct det_findings *findings)
{
    char place[700];
    for (size_t i = 0; i < image->object_count; i++) {
        const struct det_labelled_object *object = &set->objects[image->first_object + i];
        place_of(image, object, place);
        findings->at = (struct det_finding_place){image->where, image - set->images + 1,
                                                  (int64_t)object->number + 1, object->line};
        check_class(set, object, place, findings);
        check_box(image, object, place, findings);
        if (!det_number_is_sound(object->weight))
            det_finding(findings, DET_RULE_WEIGHT,
                        "%s: weight %g, expected a finite number of at least 0", place,
                        object->weight);
        for (size_t other = 0; other < i; other++) {
            const struct det_labelled_object *earlier = &set->objects[image->first_object + other];
            if (!det_same_object(earlier, object))
                continue;
            det_finding(findings, DET_RULE_BOX_DUPLICATE, "%s: the same class and box as object %u",
                        place, earlier->number);
            break;
        }
    }
}

/* --- the set --- */

static det_status check_duplicates(struct det_env *env, const struct det_annotations *set,
                                   struct det_findings *findings)
{
    uint32_t *order = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_images_by_hash(env, set, &order, &count));
    for (size_t i = 0, first = 0; i < count; i++) {
        const struct det_labelled_image *at = &set->images[order[i]];
        if (set->images[order[first]].pixel_hash != at->pixel_hash)
            first = i;
        /* Only against the first of its kind: a thousand equal pictures are not a million pairs. */
        const struct det_labelled_image *before = &set->images[order[first]];
        findings->at = (struct det_finding_place){at->where, (int64_t)order[i] + 1, 0, 0};
        if (at->split != before->split)
            det_finding(findings, DET_RULE_SPLIT_LEAK,
                        "%s: the same picture as %s: it is in split `%s` and in `%s`", at->where,
                        before->where, set->splits.paths[at->split],
                        set->splits.paths[before->split]);
        else if (i > first)
            det_finding(findings, DET_RULE_IMAGE_DUPLICATE, "%s: the same picture as %s", at->where,
                        before->where);
    }
    det_free(env, &order);
    return DET_OK;
}

static det_status check_ids(struct det_env *env, const struct det_annotations *set,
                            struct det_findings *findings)
{
    uint32_t *order = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_images_by_id(env, set, &order, &count));
    for (size_t i = 1; i < count; i++) {
        const struct det_labelled_image *before = &set->images[order[i - 1]],
                                        *at = &set->images[order[i]];
        findings->at = (struct det_finding_place){at->where, (int64_t)order[i] + 1, 0, 0};
        if (before->split == at->split && det_image_id(at)[0] != '\0' &&
            strcmp(det_image_id(before), det_image_id(at)) == 0)
            det_finding(findings, DET_RULE_ID_DUPLICATE,
                        "%s: id \"%s\" is already that of %s: evaluation takes both for one image",
                        at->where, det_image_id(at), before->where);
    }
    det_free(env, &order);
    return DET_OK;
}

static det_status check_unused(struct det_env *env, const struct det_annotations *set,
                               struct det_findings *findings)
{
    size_t *uses = NULL;
    DET_TRY_RETURN(det_alloc(env, &uses, set->classes.count, sizeof *uses, "class counts"));
    findings->at = (struct det_finding_place){0};
    for (size_t i = 0; i < set->object_count; i++) {
        if (set->objects[i].class_index >= 0)
            uses[set->objects[i].class_index]++;
    }
    for (size_t k = 0; k < set->classes.count; k++) {
        if (uses[k] == 0)
            det_finding(findings, DET_RULE_CLASS_UNUSED, "class %zu \"%s\" has no object", k + 1,
                        set->classes.paths[k]);
    }
    det_free(env, &uses);
    return DET_OK;
}

det_status det_annotations_check(struct det_env *env, const struct det_annotations *set,
                                 struct det_findings *findings)
{
    if (set->image_count == 0)
        det_finding(findings, DET_RULE_NO_INPUT, "the input holds no image");
    else if (set->object_count == 0)
        det_finding(findings, DET_RULE_NO_BOX, "%zu image%s, and not one box", set->image_count,
                    set->image_count == 1 ? "" : "s");
    for (size_t i = 0; i < set->image_count; i++) {
        if (!set->images[i].broken)
            check_image(set, &set->images[i], findings);
    }
    DET_TRY_RETURN(check_ids(env, set, findings));
    DET_TRY_RETURN(check_duplicates(env, set, findings));
    return check_unused(env, set, findings);
}
