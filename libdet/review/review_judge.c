/* How suspicion is made. Scores are compared with what the model usually gives the class where it
 * agrees with a box (the idea of confident learning: Northcutt, Jiang, Chuang, JAIR 2021), places
 * with how closely it usually meets a box, and silence with how often it speaks about boxes of that
 * size, so that a weak model accuses less. For the kinds of errors see Tkachenko, Thyagarajan,
 * Mueller, "ObjectLab", 2023. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "review/review.h"
#include "support/mem.h"

/* Fewer agreements than this tell nothing of a class: those of all classes stand in. */
enum { FEW = 5, SIZE_BINS = 4 };
/* A detection without a box that is less sure than usual is more often the model's error than the
 * labels'. */
#define MISSING_POWER 1.5

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool agrees(const struct det_evidence *e)
{
    return e->object >= 0 && e->class_index >= 0 && e->found_class == e->class_index &&
           e->iou >= 0.5;
}

/* At a share of the values, 0 where there is none. Sorts them. */
static double at_share(double *values, size_t count, double share)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, rising);
    return values[(size_t)(share * (double)(count - 1) + 0.5)];
}

det_status det_review_usual_scores(struct det_env *env, const struct det_evidence_list *list,
                                   int32_t classes, double *usual)
{
    double *scores = NULL;
    DET_TRY_RETURN(det_alloc(env, &scores, list->count, sizeof *scores, "scores"));
    double of_all = 0;
    for (int32_t k = -1; k < classes; k++) {
        size_t count = 0;
        for (size_t i = 0; i < list->count; i++)
            if (agrees(&list->rows[i]) && (k < 0 || list->rows[i].class_index == k))
                scores[count++] = list->rows[i].score;
        const double median = at_share(scores, count, 0.5);
        if (k < 0)
            of_all = count > 0 ? median : 1;
        else
            usual[k] = count >= FEW ? median : of_all;
    }
    det_free(env, &scores);
    return DET_OK;
}

/* A score as a share of the usual one. */
static double relative(double score, int32_t class_index, const double *usual)
{
    return class_index >= 0 ? fmin(1, score / usual[class_index]) : 0;
}

struct closeness {
    double usual, spread; /* of the IoU where box and detection agree */
};

static det_status measure_closeness(struct det_env *env, const struct det_evidence_list *list,
                                    struct closeness *closeness)
{
    double *ious = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_alloc(env, &ious, list->count, sizeof *ious, "overlaps"));
    for (size_t i = 0; i < list->count; i++)
        if (agrees(&list->rows[i]))
            ious[count++] = list->rows[i].iou;
    closeness->usual = count > 0 ? at_share(ious, count, 0.5) : 0.8;
    closeness->spread = closeness->usual - at_share(ious, count, 0.16);
    if (closeness->spread < 0.03)
        closeness->spread = 0.03;
    det_free(env, &ious);
    return DET_OK;
}

/* How far beside the usual: 0 at the usual IoU, near 1 at several spreads below. */
static double beside(const struct closeness *c, double iou)
{
    const double away = fmax(0, (c->usual - iou) / c->spread);
    return 1 - exp(-away * away / 9);
}

/* Mean of what the network sees of boxes of about that size. */
struct by_size {
    double limits[SIZE_BINS - 1], seen[SIZE_BINS];
};

static int bin_of(const struct by_size *sizes, double side)
{
    int bin = 0;
    while (bin < SIZE_BINS - 1 && side > sizes->limits[bin])
        bin++;
    return bin;
}

static det_status measure_sizes(struct det_env *env, const struct det_evidence_list *list,
                                const double *usual, struct by_size *sizes)
{
    double *sides = NULL, sums[SIZE_BINS] = {0};
    size_t count = 0, counts[SIZE_BINS] = {0};
    DET_TRY_RETURN(det_alloc(env, &sides, list->count, sizeof *sides, "sizes"));
    for (size_t i = 0; i < list->count; i++)
        if (list->rows[i].object >= 0)
            sides[count++] = list->rows[i].side_px;
    for (int b = 0; b < SIZE_BINS - 1; b++)
        sizes->limits[b] = at_share(sides, count, (b + 1.0) / SIZE_BINS);
    det_free(env, &sides);
    for (size_t i = 0; i < list->count; i++) {
        const struct det_evidence *e = &list->rows[i];
        if (e->object < 0)
            continue;
        const int b = bin_of(sizes, e->side_px);
        sums[b] += relative(e->own, e->class_index, usual);
        counts[b]++;
    }
    for (int b = 0; b < SIZE_BINS; b++)
        sizes->seen[b] = counts[b] > 0 ? sums[b] / (double)counts[b] : 0;
    return DET_OK;
}

static void suspect(struct det_evidence *e, det_review_kind kind, double suspicion)
{
    if (suspicion <= e->suspicion)
        return;
    e->kind = kind;
    e->suspicion = suspicion;
}

/* Of one class over another by their odds: 0 where there is none, to 1. */
static double preference(double score, double other)
{
    const double odds = score * (1 - other), against = other * (1 - score);
    return odds > against ? (odds - against) / (odds + against) : 0;
}

static void judge_box(struct det_evidence *e, const double *usual,
                      const struct closeness *closeness, const struct by_size *sizes)
{
    const double seen = sizes->seen[bin_of(sizes, e->side_px)];
    const double found = relative(e->score, e->found_class, usual);
    const bool known = e->class_index >= 0;
    if (e->found_class >= 0 && e->found_class != e->class_index && e->iou >= 0.3)
        suspect(e, DET_REVIEW_RENAMED, found * preference(e->score, fmax(e->own, e->found_own)));
    if (e->found_class >= 0 && known)
        suspect(e, DET_REVIEW_MOVED, found * beside(closeness, e->iou));
    if (known && !e->difficult)
        suspect(e, DET_REVIEW_SPURIOUS,
                seen * seen * (1 - relative(fmax(e->any, e->own), e->class_index, usual)));
}

static int by_suspicion(const void *a, const void *b)
{
    const struct det_evidence *x = a, *y = b;
    if (x->suspicion != y->suspicion)
        return (x->suspicion < y->suspicion) - (x->suspicion > y->suspicion);
    if (x->image != y->image)
        return (x->image > y->image) - (x->image < y->image);
    if (x->object != y->object)
        return (x->object > y->object) - (x->object < y->object);
    return (x->score < y->score) - (x->score > y->score);
}

det_status det_review_judge(struct det_env *env, struct det_evidence_list *list,
                            const double *usual, double least)
{
    struct closeness closeness;
    struct by_size sizes;
    size_t kept = 0;
    DET_TRY_RETURN(measure_closeness(env, list, &closeness));
    DET_TRY_RETURN(measure_sizes(env, list, usual, &sizes));
    for (size_t i = 0; i < list->count; i++) {
        struct det_evidence *e = &list->rows[i];
        const double found = relative(e->score, e->found_class, usual);
        if (e->object >= 0) {
            judge_box(e, usual, &closeness, &sizes);
        } else {
            e->kind = DET_REVIEW_MISSING;
            e->suspicion = pow(found, MISSING_POWER) * (1 - e->covered);
        }
        if (e->object >= 0 || found >= least)
            list->rows[kept++] = *e;
    }
    list->count = kept;
    if (kept > 1)
        qsort(list->rows, kept, sizeof *list->rows, by_suspicion);
    return DET_OK;
}
