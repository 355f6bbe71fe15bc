#include "convert/stats.h"

#include <stdlib.h>

#include "convert/box_rules.h"
#include "support/mem.h"

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts the values. The quantile q is the value at rank ceil(q * n). */
static det_quantiles quantiles(double *values, size_t count)
{
    det_quantiles q = {0};
    if (count == 0)
        return q;
    qsort(values, count, sizeof *values, by_value);
    for (size_t i = 0; i < count; i++)
        q.mean += values[i] / (double)count;
    const double n = (double)count;
    q.least = values[0];
    q.q05 = values[(size_t)ceil(.05 * n) - 1];
    q.median = values[(size_t)ceil(.5 * n) - 1];
    q.q95 = values[(size_t)ceil(.95 * n) - 1];
    q.most = values[count - 1];
    return q;
}

/* Room for one list of numbers. */
struct lists {
    double *a, *b, *c;
};

static bool belongs(const struct det_labelled_image *image, size_t split, size_t all)
{
    return !image->broken && (split == all || (size_t)image->split == split);
}

static void count_class(const struct det_annotations *set, size_t split, size_t all, int32_t k,
                        struct lists *lists, struct det_class_stats *stats)
{
    size_t count = 0;
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        const size_t before = count;
        for (size_t o = 0; belongs(image, split, all) && o < image->object_count; o++) {
            const struct det_labelled_object *object = &set->objects[image->first_object + o];
            const double h = (object->box[2] - object->box[0]) * image->height_px;
            const double w = (object->box[3] - object->box[1]) * image->width_px;
            if (object->class_index != k || !(w > 0 && h > 0))
                continue;
            const double area = w * h;
            stats->small += area < 32 * 32;
            stats->medium += area >= 32 * 32 && area < 96 * 96;
            stats->large += area >= 96 * 96;
            lists->a[count] = sqrt(area);
            lists->b[count++] = w / h;
        }
        stats->images += count > before;
    }
    stats->objects = count;
    stats->side_px = quantiles(lists->a, count);
    stats->aspect = quantiles(lists->b, count);
}

static void count_split(const struct det_annotations *set, size_t split, size_t all,
                        struct lists *lists, struct det_split_stats *stats)
{
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        if (!belongs(image, split, all))
            continue;
        lists->a[stats->images] = (double)image->object_count;
        lists->b[stats->images] = image->width_px;
        lists->c[stats->images++] = image->height_px;
        stats->objects += image->object_count;
        stats->without_objects += image->object_count == 0;
        for (size_t o = 0; o < image->object_count; o++) {
            const struct det_labelled_object *object = &set->objects[image->first_object + o];
            stats->difficult += object->difficult;
            stats->crowd += object->is_crowd;
            stats->group_of += object->group_of;
        }
    }
    stats->per_image = quantiles(lists->a, stats->images);
    stats->width_px = quantiles(lists->b, stats->images);
    stats->height_px = quantiles(lists->c, stats->images);
    for (size_t k = 0; k < set->classes.count; k++)
        count_class(set, split, all, (int32_t)k, lists, &stats->classes[k]);
}

static det_status count_duplicates(struct det_env *env, const struct det_annotations *set,
                                   struct det_set_stats *stats)
{
    uint32_t *order = NULL;
    size_t *seen = NULL; /* [split] the last group of equal pictures that had one there, + 1 */
    size_t count = 0;
    det_status status = DET_OK;
    DET_TRY(det_images_by_hash(env, set, &order, &count));
    DET_TRY(det_alloc(env, &seen, stats->split_count, sizeof *seen, "statistics"));
    for (size_t i = 0, first = 0; i < count; i++) {
        const struct det_labelled_image *at = &set->images[order[i]];
        if (set->images[order[first]].pixel_hash != at->pixel_hash)
            first = i;
        stats->splits[at->split].duplicates += seen[at->split] == first + 1;
        stats->splits[stats->split_count].duplicates += i > first;
        stats->across += at->split != set->images[order[first]].split;
        seen[at->split] = first + 1;
    }
fail:
    det_free(env, &seen);
    det_free(env, &order);
    return status;
}

det_status det_annotations_stats(struct det_env *env, const struct det_annotations *set,
                                 struct det_set_stats *stats)
{
    struct lists lists = {0};
    const size_t most = set->image_count > set->object_count ? set->image_count : set->object_count;
    det_status status = DET_OK;
    *stats =
        (struct det_set_stats){.class_count = set->classes.count, .split_count = set->splits.count};
    DET_TRY(det_alloc(env, &stats->splits, stats->split_count + 1, sizeof *stats->splits,
                      "statistics"));
    DET_TRY(det_alloc(env, &lists.a, most, sizeof *lists.a, "statistics"));
    DET_TRY(det_alloc(env, &lists.b, most, sizeof *lists.b, "statistics"));
    DET_TRY(det_alloc(env, &lists.c, most, sizeof *lists.c, "statistics"));
    for (size_t s = 0; s <= stats->split_count; s++) {
        DET_TRY(det_alloc(env, &stats->splits[s].classes, stats->class_count,
                          sizeof *stats->splits[s].classes, "statistics"));
        count_split(set, s, stats->split_count, &lists, &stats->splits[s]);
    }
    for (size_t i = 0; i < set->image_count; i++)
        stats->broken += set->images[i].broken;
    DET_TRY(count_duplicates(env, set, stats));
fail:
    det_free(env, &lists.a);
    det_free(env, &lists.b);
    det_free(env, &lists.c);
    if (status != DET_OK)
        det_set_stats_free(env, stats);
    return status;
}

void det_set_stats_free(struct det_env *env, struct det_set_stats *stats)
{
    for (size_t s = 0; stats->splits != NULL && s <= stats->split_count; s++)
        det_free(env, &stats->splits[s].classes);
    det_free(env, &stats->splits);
    *stats = (struct det_set_stats){0};
}
