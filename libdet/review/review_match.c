#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/box_faults.h"
#include "model/targets.h"
#include "review/review.h"
#include "support/mem.h"

/* A detection belongs to a box from here on; up to EXPLAINS it is said to be beside it. */
#define TOUCHES  0.1F
#define EXPLAINS 0.5F
/* Share of a detection that lies in a crowd or group, which explains it. */
#define IN_CROWD 0.5F

struct given {
    float box[4];
    int32_t row;  /* in the list, -1: a crowd */
    size_t match; /* in found, SIZE_MAX: none */
};

struct pair {
    size_t given, found;
    float iou, weight;
};

static float overlap(const float a[4], const float b[4])
{
    const float height = fminf(a[2], b[2]) - fmaxf(a[0], b[0]);
    const float width = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    return height > 0 && width > 0 ? height * width : 0;
}

static float area(const float box[4])
{
    return (box[2] - box[0]) * (box[3] - box[1]);
}

static void widen(const float box[4], double out[4])
{
    for (int c = 0; c < 4; c++)
        out[c] = (double)box[c];
}

/* What the network gives the box's own class, any class, and which other one, at its place. */
static void take_chances(const struct det_look *look, const float box[4], struct det_evidence *e)
{
    e->other_class = -1;
    for (size_t i = 0; i < look->seen_count; i++) {
        const struct det_sighted *s = &look->seen[i];
        if (det_box_iou(s->box, box) < EXPLAINS)
            continue;
        const double own = (double)det_look_score(look, s, e->class_index);
        e->own = fmax(e->own, own);
        e->any = fmax(e->any, (double)s->score);
        if (s->class_index != e->class_index && (double)s->score > e->other) {
            e->other = (double)s->score;
            e->other_class = s->class_index;
        }
    }
}

static det_status take_box(struct det_env *env, const struct det_look *look,
                           const struct det_annotations *set, size_t image, size_t index,
                           struct det_evidence_list *list, struct given *given)
{
    const struct det_labelled_object *object =
        &set->objects[set->images[image].first_object + index];
    const struct det_model_spec *spec = &look->model->spec;
    struct det_evidence e = {.image = (uint32_t)image,
                             .object = (int64_t)index,
                             .class_index = object->class_index >= 0 ? object->class_index : -1,
                             .found_class = -1,
                             .difficult = object->difficult};
    memcpy(e.box, object->box, sizeof e.box);
    for (int c = 0; c < 4; c++)
        given->box[c] = (float)object->box[c];
    given->row = -1;
    given->match = SIZE_MAX;
    if (object->is_crowd || object->group_of)
        return DET_OK;
    e.side_px = sqrt((e.box[2] - e.box[0]) * spec->input_height * (e.box[3] - e.box[1]) *
                     spec->input_width);
    take_chances(look, given->box, &e);
    DET_TRY_RETURN(
        det_grow(env, &list->rows, &list->capacity, list->count + 1, sizeof *list->rows, "rows"));
    given->row = (int32_t)list->count;
    list->rows[list->count++] = e;
    return DET_OK;
}

static int by_weight(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->weight != y->weight)
        return (x->weight < y->weight) - (x->weight > y->weight);
    return x->given != y->given ? (x->given > y->given) - (x->given < y->given)
                                : (x->found > y->found) - (x->found < y->found);
}

/* One to one, by falling IoU times score: a sure detection beside a box, which was moved, before a
 * doubtful one on it, which a training on the error has left. */
static det_status pair_up(struct det_env *env, const struct det_look *look, struct given *given,
                          size_t count, bool *used)
{
    struct pair *pairs = NULL;
    size_t pair_count = 0, capacity = 0;
    det_status status = DET_OK;
    for (size_t g = 0; g < count; g++)
        for (size_t f = 0; given[g].row >= 0 && f < look->found_count; f++) {
            const float iou = det_box_iou(given[g].box, look->found[f].box);
            if (iou < TOUCHES)
                continue;
            DET_TRY(det_grow(env, &pairs, &capacity, pair_count + 1, sizeof *pairs, "pairs"));
            pairs[pair_count++] = (struct pair){g, f, iou, iou * look->found[f].score};
        }
    if (pair_count > 1)
        qsort(pairs, pair_count, sizeof *pairs, by_weight);
    for (size_t i = 0; i < pair_count; i++)
        if (given[pairs[i].given].match == SIZE_MAX && !used[pairs[i].found]) {
            given[pairs[i].given].match = pairs[i].found;
            used[pairs[i].found] = true;
        }
fail:
    det_free(env, &pairs);
    return status;
}

static void note_match(const struct det_look *look, const struct given *given,
                       struct det_evidence *e)
{
    const struct det_sighted *found = &look->found[given->match];
    e->found_class = found->class_index;
    e->score = (double)found->score;
    e->iou = (double)det_box_iou(given->box, found->box);
    e->found_own = (double)det_look_score(look, found, e->class_index);
    widen(found->box, e->found_box);
}

static bool is_explained(const struct det_sighted *found, const struct given *given, size_t count)
{
    for (size_t g = 0; g < count; g++) {
        const bool crowd = given[g].row < 0;
        if (det_box_iou(given[g].box, found->box) >= EXPLAINS ||
            (crowd && overlap(given[g].box, found->box) >= IN_CROWD * area(found->box)))
            return true;
    }
    return false;
}

/* Share of a detection that lies in one box. */
static float most_covered(const struct det_sighted *found, const struct given *given, size_t count)
{
    float most = 0;
    for (size_t g = 0; g < count; g++)
        most = fmaxf(most, overlap(given[g].box, found->box) / area(found->box));
    return most;
}

static det_status take_unexplained(struct det_env *env, const struct det_look *look, size_t image,
                                   const struct given *given, size_t count, const bool *used,
                                   double least, struct det_evidence_list *list)
{
    for (size_t f = 0; f < look->found_count; f++) {
        const struct det_sighted *found = &look->found[f];
        if (used[f] || (double)found->score < least || is_explained(found, given, count))
            continue;
        struct det_evidence e = {.image = (uint32_t)image,
                                 .object = -1,
                                 .class_index = -1,
                                 .other_class = -1,
                                 .found_class = found->class_index,
                                 .score = (double)found->score};
        e.covered = (double)most_covered(found, given, count);
        widen(found->box, e.found_box);
        DET_TRY_RETURN(det_grow(env, &list->rows, &list->capacity, list->count + 1,
                                sizeof *list->rows, "rows"));
        list->rows[list->count++] = e;
    }
    return DET_OK;
}

det_status det_review_match(struct det_env *env, const struct det_look *look,
                            const struct det_annotations *set, size_t image, double least,
                            struct det_evidence_list *list)
{
    const size_t count = set->images[image].object_count;
    struct given *given = NULL;
    bool *used = NULL;
    size_t taken = 0;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &given, count, sizeof *given, "boxes"));
    DET_TRY(det_alloc(env, &used, look->found_count, sizeof *used, "detections"));
    for (size_t i = 0; i < count; i++) {
        double beyond = 0;
        const unsigned faults =
            det_box_faults(set->objects[set->images[image].first_object + i].box, &beyond);
        /* Those are check's to tell. */
        if (faults & (DET_BOX_NOT_FINITE | DET_BOX_REVERSED | DET_BOX_NO_AREA))
            continue;
        DET_TRY(take_box(env, look, set, image, i, list, &given[taken]));
        taken++;
    }
    DET_TRY(pair_up(env, look, given, taken, used));
    for (size_t g = 0; g < taken; g++)
        if (given[g].match != SIZE_MAX)
            note_match(look, &given[g], &list->rows[given[g].row]);
    DET_TRY(take_unexplained(env, look, image, given, taken, used, least, list));
fail:
    det_free(env, &given);
    det_free(env, &used);
    return status;
}
