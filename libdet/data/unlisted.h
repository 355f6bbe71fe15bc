/* unlisted.h: objects of records whose class is not the label map's: counted by what they are
 * called, and told in one line. */
#ifndef DET_DATA_UNLISTED_H
#define DET_DATA_UNLISTED_H

#include "data/dataset.h"

/* What a record calls an object; neither text nor number: it says nothing. */
struct det_object_label {
    struct det_bytes text;
    bool has_number;
    int64_t number;
    bool is_background; /* the text is the background's */
};

struct det_unlisted_label {
    struct det_object_label label; /* its text is `text`, cut */
    char *text;
    bool learnt;
    size_t count;
};

struct det_unlisted {
    struct det_unlisted_label *labels;
    size_t count, capacity;
    size_t more; /* objects of labels beyond those that are kept apart */
};

/* `learnt`: the object has a number that is one of the network's, but no item has it. */
det_status det_unlisted_add(struct det_env *env, struct det_unlisted *unlisted,
                            const struct det_object_label *label, bool learnt);
void det_unlisted_free(struct det_env *env, struct det_unlisted *unlisted);

/* The warnings: how many objects of which labels, what the map lists, which class may be meant.
 * Nothing when there are none. `labels` may be NULL. */
det_status det_unlisted_tell(struct det_env *env, const struct det_label_map *labels,
                             const char *role, const struct det_dataset_counts *counts,
                             const struct det_unlisted *unlisted);

/* MISMATCH for one object of a record. */
det_status det_unlisted_fail(struct det_env *env, const struct det_label_map *labels,
                             int32_t class_count, const char *record, size_t object,
                             const struct det_object_label *label);

#endif
