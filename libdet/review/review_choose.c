#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "review/review.h"
#include "support/mem.h"

/* A picture in which nothing is doubtful is still worth something where it is unlike the others. */
#define LEAST_WEIGHT 0.1
/* Nearer to a picture than this share of the usual distance it is that picture over again. */
#define A_COPY 0.02

struct pool {
    float *features;             /* [count][DET_FEATURES] */
    struct det_chosen *pictures; /* [count] */
    double *nearest;             /* [count] squared distance to what is known or chosen */
    size_t count;
};

/* Nats of a yes-or-no question, by that of an even chance. */
static double entropy(double p)
{
    return p > 0 && p < 1 ? -(p * log(p) + (1 - p) * log(1 - p)) / log(2) : 0;
}

/* The most doubtful detection counts most, the next two less. Scores are taken as shares of the
 * usual ones: what the model gives where it is right is no doubt. */
static double doubt(const struct det_look *look, const double *usual)
{
    double most[3] = {0};
    for (size_t i = 0; i < look->found_count; i++) {
        const struct det_sighted *f = &look->found[i];
        double h = entropy(fmin(1, (double)f->score / usual[f->class_index]));
        for (int m = 0; m < 3; m++)
            if (h > most[m]) {
                const double lower = most[m];
                most[m] = h;
                h = lower;
            }
    }
    return (most[0] + most[1] / 2 + most[2] / 4) / 1.75;
}

static det_status take_proposals(struct det_env *env, const struct det_review *review,
                                 const struct det_look *look, struct det_chosen *picture)
{
    DET_TRY_RETURN(det_alloc(env, &picture->detections, look->found_count,
                             sizeof *picture->detections, "detections"));
    for (size_t i = 0; i < look->found_count; i++) {
        const struct det_sighted *f = &look->found[i];
        if ((double)f->score < review->settings.proposed_score * review->usual[f->class_index])
            continue;
        picture->detections[picture->detection_count++] = (det_detection){
            f->class_index + 1, f->score, f->box[0], f->box[1], f->box[2], f->box[3]};
    }
    return DET_OK;
}

static det_status look_at_pool(struct det_review *review, const det_model *model,
                               const struct det_annotations *set, struct pool *pool, size_t usable)
{
    struct det_env *env = review->env;
    struct det_look look;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_look_open(env, review->context, model, &review->set->set, &look));
    for (size_t i = 0; i < set->image_count; i++) {
        if (set->images[i].broken)
            continue;
        struct det_chosen *picture = &pool->pictures[pool->count];
        picture->image = i;
        DET_TRY(det_review_progress(review, pool->count, usable));
        DET_TRY(det_look_at(env, &look, set, &set->images[i],
                            pool->features + pool->count * DET_FEATURES));
        pool->count++;
        picture->uncertainty = doubt(&look, review->usual);
        DET_TRY(take_proposals(env, review, &look, picture));
    }
fail:
    det_look_close(env, &look);
    return status;
}

/* --- distances --- */

/* Each feature counts alike: by its deviation over all pictures. */
static void scale_by(const float *features, size_t count, double *sums, double *squares)
{
    for (size_t i = 0; i < count; i++)
        for (int f = 0; f < DET_FEATURES; f++) {
            const double v = (double)features[i * DET_FEATURES + (size_t)f];
            sums[f] += v;
            squares[f] += v * v;
        }
}

static void find_scale(const struct det_review *review, const struct pool *pool, float *scale)
{
    double sums[DET_FEATURES] = {0}, squares[DET_FEATURES] = {0};
    const double count = (double)(review->feature_count + pool->count);
    scale_by(review->features, review->feature_count, sums, squares);
    scale_by(pool->features, pool->count, sums, squares);
    for (int f = 0; f < DET_FEATURES; f++) {
        const double mean = sums[f] / count, spread = squares[f] / count - mean * mean;
        /* Below that it is rounding. */
        scale[f] = spread > 1e-10 * mean * mean ? (float)(1 / sqrt(spread)) : 0;
    }
}

static double distance(const float *a, const float *b, const float *scale)
{
    double sum = 0;
    for (int f = 0; f < DET_FEATURES; f++) {
        const double d = (double)((a[f] - b[f]) * scale[f]);
        sum += d * d;
    }
    return sum;
}

static void come_nearer(const float *to, const float *scale, struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        pool->nearest[i] =
            fmin(pool->nearest[i], distance(pool->features + i * DET_FEATURES, to, scale));
}

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the labelled pictures' distances to their nearest; of a hundred of them, which is
 * enough. */
static double usual_distance(const struct det_review *review, const float *scale)
{
    enum { LOOKED_AT = 100 };
    double nearest[LOOKED_AT];
    size_t count = 0;
    const size_t stride = review->feature_count / LOOKED_AT + 1;
    for (size_t i = 0; i < review->feature_count && count < LOOKED_AT; i += stride) {
        double best = INFINITY;
        for (size_t k = 0; k < review->feature_count; k++)
            if (k != i)
                best = fmin(best, distance(review->features + i * DET_FEATURES,
                                           review->features + k * DET_FEATURES, scale));
        if (isfinite(best))
            nearest[count++] = sqrt(best);
    }
    qsort(nearest, count, sizeof *nearest, rising);
    return count > 0 && nearest[count / 2] > 0 ? nearest[count / 2] : 1;
}

static size_t worthiest(const struct pool *pool, double usual)
{
    size_t best = SIZE_MAX;
    double most = 0;
    for (size_t i = 0; i < pool->count; i++) {
        const double away = sqrt(pool->nearest[i]);
        const double worth = (LEAST_WEIGHT + pool->pictures[i].uncertainty) * away;
        if (away > A_COPY * usual && worth > most) {
            most = worth;
            best = i;
        }
    }
    return best;
}

static det_status choose(struct det_review *review, struct pool *pool, size_t most)
{
    struct det_env *env = review->env;
    float scale[DET_FEATURES];
    const size_t wanted = most < pool->count ? most : pool->count;
    DET_TRY_RETURN(
        det_alloc(env, &review->chosen, wanted, sizeof *review->chosen, "chosen pictures"));
    find_scale(review, pool, scale);
    const double usual = usual_distance(review, scale);
    for (size_t i = 0; i < pool->count; i++)
        pool->nearest[i] = INFINITY;
    for (size_t i = 0; i < review->feature_count; i++)
        come_nearer(review->features + i * DET_FEATURES, scale, pool);
    while (review->chosen_count < wanted) {
        const size_t best = worthiest(pool, usual);
        if (best == SIZE_MAX)
            break;
        struct det_chosen *to = &review->chosen[review->chosen_count++];
        *to = pool->pictures[best];
        to->distance = sqrt(pool->nearest[best]) / usual;
        pool->pictures[best].detections = NULL;
        come_nearer(pool->features + best * DET_FEATURES, scale, pool);
    }
    return DET_OK;
}

det_status det_review_choose(det_review *review, const det_model *model,
                             det_annotation_set *unlabelled, size_t most)
{
    struct det_env *env = review != NULL ? review->env : NULL;
    struct pool pool = {0};
    size_t usable = 0;
    det_status status = DET_OK;
    DET_NEED(env, review);
    DET_NEED(env, model);
    DET_NEED(env, unlabelled);
    det_review_forget_choice(review);
    DET_TRY_RETURN(det_review_need_sets(review));
    DET_TRY_RETURN(det_annotation_set_need(unlabelled, __func__));
    DET_TRY_RETURN(det_review_count_usable(env, unlabelled, &usable));
    DET_TRY(
        det_alloc(env, &pool.features, usable, DET_FEATURES * sizeof *pool.features, "features"));
    DET_TRY(det_alloc(env, &pool.pictures, usable, sizeof *pool.pictures, "pictures"));
    DET_TRY(det_alloc(env, &pool.nearest, usable, sizeof *pool.nearest, "distances"));
    DET_TRY(look_at_pool(review, model, &unlabelled->set, &pool, usable));
    review->unlabelled = unlabelled;
    review->unlabelled_images = unlabelled->set.image_count;
    DET_TRY(choose(review, &pool, most));
fail:
    for (size_t i = 0; pool.pictures != NULL && i < usable; i++)
        det_free(env, &pool.pictures[i].detections);
    det_free(env, &pool.features);
    det_free(env, &pool.pictures);
    det_free(env, &pool.nearest);
    if (status != DET_OK)
        det_review_forget_choice(review);
    return status;
}

size_t det_review_choice_count(const det_review *review)
{
    return review != NULL ? review->chosen_count : 0;
}

static det_status need_choice(const det_review *review, size_t index)
{
    return index < review->chosen_count
               ? DET_OK
               : det_fail(review->env, DET_STATUS_INVALID_ARGUMENT, "review: choice %zu of %zu",
                          index, review->chosen_count);
}

det_status det_review_choice_at(const det_review *review, size_t index, det_review_choice *choice)
{
    struct det_env *env = review != NULL ? review->env : NULL;
    DET_NEED(env, review);
    DET_NEED_REPORT(env, det_review_choice, choice);
    DET_TRY_RETURN(need_choice(review, index));
    const struct det_chosen *c = &review->chosen[index];
    const det_review_choice filled = {.struct_size = sizeof filled,
                                      .image = c->image,
                                      .uncertainty = c->uncertainty,
                                      .distance = c->distance,
                                      .detection_count = c->detection_count};
    det_fill_report(choice, &filled, sizeof filled);
    return DET_OK;
}

det_status det_review_choice_detections(const det_review *review, size_t index,
                                        const det_detection **detections, size_t *count)
{
    struct det_env *env = review != NULL ? review->env : NULL;
    if (detections != NULL)
        *detections = NULL;
    if (count != NULL)
        *count = 0;
    DET_NEED(env, review);
    DET_NEED(env, detections);
    DET_NEED(env, count);
    DET_TRY_RETURN(need_choice(review, index));
    *detections = review->chosen[index].detections;
    *count = review->chosen[index].detection_count;
    return DET_OK;
}
