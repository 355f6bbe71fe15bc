/* stats.h: figures of a resolved data set, as text for people and as JSON. */
#ifndef DET_CONVERT_STATS_H
#define DET_CONVERT_STATS_H

#include "convert/annotations.h"
#include "det/dataset.h"
#include "support/text.h"

struct det_class_stats {
    size_t objects, images;      /* images: with at least one object of the class */
    size_t small, medium, large; /* as COCO: area below 32^2, below 96^2, else, in pixels */
    det_quantiles side_px;       /* square root of the area */
    det_quantiles aspect;        /* width / height in pixels */
};

struct det_split_stats {
    size_t images, objects, without_objects;
    size_t difficult, crowd, group_of;
    size_t duplicates;       /* images whose pixels came before in the split */
    det_quantiles per_image; /* objects of an image */
    det_quantiles width_px, height_px;
    struct det_class_stats *classes; /* [K] */
};

struct det_set_stats {
    size_t class_count, split_count;
    size_t broken; /* images that cannot be used; not counted elsewhere */
    /* images whose pixels an image of another split has, one image a picture not counted */
    size_t across;
    struct det_split_stats *splits; /* [split_count + 1], the last: all of them */
};

det_status det_annotations_stats(struct det_env *env, const struct det_annotations *set,
                                 struct det_set_stats *stats);
void det_set_stats_free(struct det_env *env, struct det_set_stats *stats);

/* Appended to `text`. */
det_status det_set_stats_table(struct det_env *env, const struct det_annotations *set,
                               const struct det_set_stats *stats, struct det_text *text);
det_status det_set_stats_json(struct det_env *env, const struct det_annotations *set,
                              const struct det_set_stats *stats, struct det_text *text);

#endif
