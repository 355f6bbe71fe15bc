#include "planted.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* splitmix64: the program's own, so that the table is the same wherever it is made. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static double uniform(uint64_t *state)
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

static double iou_of(const double a[4], const double b[4])
{
    const double h = fmin(a[2], b[2]) - fmax(a[0], b[0]), w = fmin(a[3], b[3]) - fmax(a[1], b[1]);
    const double both = h > 0 && w > 0 ? h * w : 0;
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both);
}

/* Clipped to the picture; false: too much of it is lost, or it is where it was. */
static bool move(uint64_t *state, const double box[4], double moved[4])
{
    const double angle = 2 * 3.14159265358979 * uniform(state), by = .25 + .35 * uniform(state);
    const double dy = by * sin(angle) * (box[2] - box[0]), dx = by * cos(angle) * (box[3] - box[1]);
    for (int c = 0; c < 4; c++)
        moved[c] = fmin(fmax(box[c] + (c % 2 == 0 ? dy : dx), 0), 1);
    const double left =
        (moved[2] - moved[0]) * (moved[3] - moved[1]) / ((box[2] - box[0]) * (box[3] - box[1]));
    return left > .5 && iou_of(box, moved) < .6;
}

struct place {
    size_t image, object;
};

static det_status list_boxes(det_annotation_set *set, struct place **places, size_t *count)
{
    *count = 0;
    *places = malloc((det_annotation_set_object_count(set) + 1) * sizeof **places);
    for (size_t i = 0; i < det_annotation_set_image_count(set); i++) {
        det_annotation_image_info info = {.struct_size = sizeof info};
        const det_status status = det_annotation_set_image(set, i, &info);
        if (status != DET_OK)
            return status;
        for (size_t k = 0; info.usable && k < info.object_count; k++)
            (*places)[(*count)++] = (struct place){i, k};
    }
    return DET_OK;
}

static void shuffle(uint64_t *state, struct place *places, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        const size_t other = (size_t)(next(state) % i);
        const struct place swapped = places[i - 1];
        places[i - 1] = places[other];
        places[other] = swapped;
    }
}

static det_status other_class(det_annotation_set *set, uint64_t *state, int32_t *class_id)
{
    const int32_t classes = det_annotation_set_class_count(set);
    if (classes == 1)
        return det_annotation_set_add_class(set, "other", class_id);
    const int32_t step = 1 + (int32_t)(next(state) % (uint64_t)(classes - 1));
    *class_id = (*class_id - 1 + step) % classes + 1;
    return DET_OK;
}

/* Kinds of an image's boxes are changed from the last to the first, so that places stay. */
static int last_first(const void *a, const void *b)
{
    const struct planted *x = a, *y = b;
    if (x->image != y->image)
        return (x->image > y->image) - (x->image < y->image);
    return (x->object < y->object) - (x->object > y->object);
}

static det_status apply(det_annotation_set *set, uint64_t *state, struct planted *first,
                        size_t count)
{
    det_annotation_image_info info = {.struct_size = sizeof info};
    det_status status = det_annotation_set_image(set, first->image, &info);
    if (status != DET_OK)
        return status;
    det_annotation_object *objects = malloc((info.object_count + 1) * sizeof *objects);
    size_t left = info.object_count;
    for (size_t k = 0; k < left && status == DET_OK; k++) {
        objects[k].struct_size = sizeof *objects;
        status = det_annotation_set_object(set, first->image, k, &objects[k]);
        objects[k].class_name = NULL;
    }
    for (size_t p = 0; p < count && status == DET_OK; p++) {
        const size_t at = (size_t)first[p].object;
        memcpy(first[p].box, objects[at].box, sizeof first[p].box);
        bool moved = first[p].kind != PLANT_MOVED;
        for (int tries = 0; !moved && tries < 1000; tries++)
            moved = move(state, first[p].box, objects[at].box);
        if (first[p].kind == PLANT_RENAMED)
            status = other_class(set, state, &objects[at].class_id);
        if (first[p].kind != PLANT_DROPPED)
            continue;
        left--;
        memmove(&objects[at], &objects[at + 1], (left - at) * sizeof *objects);
        first[p].object = -1;
        for (size_t q = 0; q < p; q++) /* those behind it */
            first[q].object -= first[q].object > 0;
    }
    if (status == DET_OK)
        status = det_annotation_set_set_objects(set, first->image, objects, left);
    free(objects);
    return status;
}

det_status plant_errors(det_annotation_set *set, const double shares[PLANT_KINDS], uint64_t seed,
                        struct plants *plants)
{
    struct place *places = NULL;
    size_t boxes = 0, at = 0;
    uint64_t state = seed;
    det_status status = list_boxes(set, &places, &boxes);
    *plants = (struct plants){.boxes = boxes, .list = malloc((boxes + 1) * sizeof *plants->list)};
    shuffle(&state, places, boxes);
    for (int kind = 0; kind < PLANT_KINDS; kind++)
        for (size_t n = (size_t)(shares[kind] * (double)boxes + .5); n > 0 && at < boxes; n--, at++)
            plants->list[plants->count++] = (struct planted){
                .kind = kind, .image = places[at].image, .object = (int64_t)places[at].object};
    free(places);
    if (plants->count > 1)
        qsort(plants->list, plants->count, sizeof *plants->list, last_first);
    for (size_t i = 0, end = 0; i < plants->count && status == DET_OK; i = end) {
        for (end = i; end < plants->count && plants->list[end].image == plants->list[i].image;)
            end++;
        status = apply(set, &state, &plants->list[i], end - i);
    }
    return status == DET_OK ? det_annotation_set_resolve(set) : status;
}

static bool row_finds(const det_review_row *row, const struct planted *p)
{
    if (row->image != p->image)
        return false;
    if (p->object >= 0 && row->object == p->object)
        return true;
    return p->kind != PLANT_RENAMED && row->object < 0 && iou_of(row->detected_box, p->box) >= .5;
}

void plants_found(const det_review *review, const struct plants *plants, size_t rows,
                  size_t found[PLANT_KINDS], size_t of[PLANT_KINDS])
{
    memset(found, 0, PLANT_KINDS * sizeof *found);
    memset(of, 0, PLANT_KINDS * sizeof *of);
    for (size_t p = 0; p < plants->count; p++) {
        bool is_found = false;
        for (size_t r = 0; r < rows && !is_found; r++) {
            det_review_row row = {.struct_size = sizeof row};
            is_found =
                det_review_row_at(review, r, &row) == DET_OK && row_finds(&row, &plants->list[p]);
        }
        of[plants->list[p].kind]++;
        found[plants->list[p].kind] += is_found;
    }
}
