#include "convert/split.h"

#include <string.h>

#include "base/rng.h"
#include "convert/box_rules.h"
#include "support/mem.h"

/* Images of equal pixels. */
struct group {
    uint32_t first, count;           /* in order */
    size_t first_class, class_count; /* in classes: those of its objects, each once */
    bool placed;
};

struct dealing {
    struct det_annotations *set;
    const struct det_split_settings *settings;
    uint32_t *order; /* images by pixel hash */
    struct group *groups;
    size_t group_count;
    uint32_t *shuffled; /* groups in random order */
    int32_t *classes;
    size_t class_count, class_capacity;
    double *wanted;       /* [split] groups still to come */
    double *wanted_class; /* [class][split] groups with the class still to come */
    size_t *left;         /* [class] groups with the class that have no split yet */
    size_t *seen;         /* [class] last group that named it, + 1 */
};

static det_status add_classes(struct det_env *env, struct dealing *d, size_t number)
{
    struct group *group = &d->groups[number];
    group->first_class = d->class_count;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct det_labelled_image *image = &d->set->images[d->order[group->first + i]];
        for (size_t o = 0; o < image->object_count; o++) {
            const int32_t k = d->set->objects[image->first_object + o].class_index;
            if (k < 0 || d->seen[k] == number + 1)
                continue;
            d->seen[k] = number + 1;
            DET_TRY_RETURN(det_grow(env, &d->classes, &d->class_capacity, d->class_count + 1,
                                    sizeof *d->classes, "classes of images"));
            d->classes[d->class_count++] = k;
            group->class_count++;
        }
    }
    return DET_OK;
}

static det_status make_groups(struct det_env *env, struct dealing *d)
{
    const struct det_annotations *set = d->set;
    size_t count = 0;
    DET_TRY_RETURN(det_images_by_hash(env, set, &d->order, &count));
    DET_TRY_RETURN(det_alloc(env, &d->groups, count, sizeof *d->groups, "groups"));
    DET_TRY_RETURN(det_alloc(env, &d->shuffled, count, sizeof *d->shuffled, "groups"));
    for (size_t i = 0; i < count; i++) {
        struct group *last = d->group_count > 0 ? &d->groups[d->group_count - 1] : NULL;
        if (last != NULL &&
            set->images[d->order[last->first]].pixel_hash == set->images[d->order[i]].pixel_hash)
            last->count++;
        else
            d->groups[d->group_count++] = (struct group){.first = (uint32_t)i, .count = 1};
    }
    for (size_t g = 0; g < d->group_count; g++)
        DET_TRY_RETURN(add_classes(env, d, g));
    return DET_OK;
}

/* Which of two splits a group with class `k` (-1: none) should rather go to: > 0 the second. */
static double prefer(const struct dealing *d, int32_t k, size_t a, size_t b)
{
    if (k >= 0) {
        const double *wanted = d->wanted_class + (size_t)k * d->settings->count;
        if (wanted[a] != wanted[b])
            return wanted[b] - wanted[a];
    }
    return d->wanted[b] - d->wanted[a];
}

static void place(struct dealing *d, struct group *group, int32_t k)
{
    const size_t splits = d->settings->count;
    size_t best = 0;
    for (size_t s = 1; s < splits; s++)
        if (prefer(d, k, best, s) > 0)
            best = s;
    group->placed = true;
    d->wanted[best]--;
    for (size_t c = 0; c < group->class_count; c++) {
        const size_t class_index = (size_t)d->classes[group->first_class + c];
        d->wanted_class[class_index * splits + best]--;
        d->left[class_index]--;
    }
    for (uint32_t i = 0; i < group->count; i++)
        d->set->images[d->order[group->first + i]].split = (int32_t)best;
}

static bool has_class(const struct dealing *d, const struct group *group, int32_t k)
{
    for (size_t c = 0; c < group->class_count; c++)
        if (d->classes[group->first_class + c] == k)
            return true;
    return false;
}

/* The class of which the fewest groups are left, -1 when none is. */
static int32_t rarest(const struct dealing *d)
{
    int32_t best = -1;
    for (size_t k = 0; k < d->set->classes.count; k++)
        if (d->left[k] > 0 && (best < 0 || d->left[k] < d->left[best]))
            best = (int32_t)k;
    return best;
}

static void deal(struct dealing *d)
{
    struct det_rng rng;
    det_rng_init(&rng, d->settings->seed, 0, 0);
    for (size_t i = 0; i < d->group_count; i++) { /* Fisher and Yates, inside out */
        const size_t j = det_rng_below(&rng, (uint32_t)i + 1);
        d->shuffled[i] = d->shuffled[j];
        d->shuffled[j] = (uint32_t)i;
    }
    for (int32_t k = rarest(d); k >= 0; k = rarest(d)) {
        for (size_t i = 0; i < d->group_count; i++) {
            struct group *group = &d->groups[d->shuffled[i]];
            if (!group->placed && has_class(d, group, k))
                place(d, group, k);
        }
    }
    for (size_t i = 0; i < d->group_count; i++)
        if (!d->groups[d->shuffled[i]].placed)
            place(d, &d->groups[d->shuffled[i]], -1);
}

static det_status prepare(struct det_env *env, struct dealing *d)
{
    const size_t classes = d->set->classes.count, splits = d->settings->count;
    double total = 0;
    DET_TRY_RETURN(det_alloc(env, &d->seen, classes, sizeof *d->seen, "classes"));
    DET_TRY_RETURN(det_alloc(env, &d->left, classes, sizeof *d->left, "classes"));
    DET_TRY_RETURN(det_alloc(env, &d->wanted, splits, sizeof *d->wanted, "splits"));
    DET_TRY_RETURN(
        det_alloc(env, &d->wanted_class, classes, splits * sizeof *d->wanted_class, "splits"));
    DET_TRY_RETURN(make_groups(env, d));
    for (size_t s = 0; s < splits; s++)
        total += d->settings->shares[s];
    for (size_t c = 0; c < d->class_count; c++)
        d->left[d->classes[c]]++;
    for (size_t s = 0; s < splits; s++) {
        const double share = d->settings->shares[s] / total;
        d->wanted[s] = share * (double)d->group_count;
        for (size_t k = 0; k < classes; k++)
            d->wanted_class[k * splits + s] = share * (double)d->left[k];
    }
    return DET_OK;
}

/* The splits of `named`, which has nothing else, become the set's. */
static void take_splits(struct det_env *env, struct det_annotations *set,
                        struct det_annotations *named)
{
    det_annotations_forget_splits(env, set);
    set->splits = named->splits;
    set->split_sources = named->split_sources;
    set->split_names = named->split_names;
    set->split_map = named->split_map;
    *named = (struct det_annotations){0};
    for (size_t i = 0; i < set->image_count; i++)
        if (set->images[i].broken)
            set->images[i].split = 0;
}

det_status det_annotations_split(struct det_env *env, struct det_annotations *set,
                                 const struct det_split_settings *settings)
{
    struct dealing d = {.set = set, .settings = settings};
    struct det_annotations named = {0}; /* settings->names may be the set's own */
    det_status status = DET_OK;
    if (settings->count == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "no split is named");
    for (size_t s = 0; s < settings->count; s++) {
        if (!(settings->shares[s] > 0) || !isfinite(settings->shares[s]))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "split `%s`: share %g, expected more than 0", settings->names[s],
                            settings->shares[s]);
        for (size_t other = 0; other < s; other++)
            if (strcmp(settings->names[other], settings->names[s]) == 0)
                return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "split `%s` is named twice",
                                settings->names[s]);
    }
    DET_TRY(prepare(env, &d));
    for (size_t s = 0; s < settings->count; s++) {
        int32_t index = 0;
        DET_TRY(det_annotations_split_index(env, &named, settings->names[s], &index));
    }
    deal(&d);
    take_splits(env, set, &named);
fail:
    det_annotations_forget_splits(env, &named);
    det_free(env, &d.order);
    det_free(env, &d.groups);
    det_free(env, &d.shuffled);
    det_free(env, &d.classes);
    det_free(env, &d.wanted);
    det_free(env, &d.wanted_class);
    det_free(env, &d.left);
    det_free(env, &d.seen);
    return status;
}
