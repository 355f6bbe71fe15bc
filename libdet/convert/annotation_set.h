/* annotation_set.h: what is behind det/dataset.h: a set with the files, findings and inputs that
 * belong to it.
 *
 * annotation_set.c makes and resolves it, annotation_set_read.c reads, annotation_set_build.c adds,
 * shows and changes, annotation_set_use.c checks, repairs, deals, counts, draws and writes. */
#ifndef DET_CONVERT_ANNOTATION_SET_H
#define DET_CONVERT_ANNOTATION_SET_H

#include "convert/image_index.h"
#include "convert/readers.h"
#include "convert/stats.h"
#include "support/guard.h"

struct det_annotation_reader {
    char *format;
    det_annotation_reader_callback callback;
    void *user;
    bool is_running;
};

struct det_annotation_set {
    det_context *context;
    struct det_env *env;
    struct det_annotations set;
    struct det_files files;
    struct det_label_map map; /* count 0: none was given */
    struct det_path_list image_folders;
    struct det_image_index index; /* of these */
    bool index_is_sorted;
    struct det_annotation_reader *readers;
    size_t reader_count, reader_capacity;
    struct det_guard inputs; /* what was read where the context's env has no guard */
    const char *format;      /* of the last source that was read, NULL: none */

    char *encoding;
    det_exif_policy exif;
    det_finding_callback on_finding;
    void *user;

    /* Of reading and of the last check: when the set changes, `findings` is again what it was
     * before the check. */
    struct det_findings findings, before_check;
    char first_error[2][DET_ERROR_BYTES];    /* of reading, of the check */
    size_t mended;                           /* errors of reading that were repaired */
    bool is_resolved, is_checked, is_mended; /* the last: what the check found was repaired */

    struct det_set_stats stats; /* splits NULL: not counted yet */
    struct det_text text;       /* what was handed out last */
};

/* What a reader of convert/readers.h is given for a source of the set. */
det_status det_annotation_set_begin_read(det_annotation_set *set, const char *path,
                                         const char *split, struct det_read_settings *settings);
/* Before the set changes: what was found and counted of it is forgotten. */
void det_annotation_set_touch(det_annotation_set *set);
/* INVALID_ARGUMENT when the set has changed since it was resolved. */
det_status det_annotation_set_need(det_annotation_set *set, const char *function);
/* INVALID_ARGUMENT for a name of a split that is no safe name of a file. */
det_status det_annotation_set_check_split(det_annotation_set *set, const char *name);
/* Position of the split that is called so in the set, or in what was read; -1: none. */
int32_t det_annotation_set_find_split(const det_annotation_set *set, const char *name);
/* The same, added when there is none. */
det_status det_annotation_set_take_split(det_annotation_set *set, const char *name,
                                         int32_t *position);

/* The env's guard, or the set's own inputs, for what is read from here on; given back by the
 * second. */
struct det_guard *det_annotation_set_begin_guard(det_annotation_set *set);
void det_annotation_set_end_guard(det_annotation_set *set, struct det_guard *previous);

#endif
