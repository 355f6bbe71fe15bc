/* coco_value.h: the values in the entries of COCO's lists, with messages that say where they
 * are. */
#ifndef DET_FORMATS_COCO_VALUE_H
#define DET_FORMATS_COCO_VALUE_H

#include "formats/coco_json.h"
#include "support/json.h"

/* Where the reader is, for messages: "path: annotations[12]: ...". */
struct det_coco_place {
    struct det_env *env;
    const char *path;
    const char *list;
    size_t index;
    const struct det_coco_faults *faults; /* NULL: the first fault is a failure */
};

/* After det_fail(): adds the place. */
det_status det_coco_at(const struct det_coco_place *place, det_status status);
/* True: what `status` says was handed on as a fault of this entry, which the caller leaves out. */
bool det_coco_forgive(const struct det_coco_place *place, const int64_t *image_id,
                      det_status *status);
/* "`key` is a list, expected a number"; of one that is not there "no `key`". */
det_status det_coco_wrong_kind(const struct det_coco_place *place, const char *key,
                               struct det_json value, const char *expected);

/* Values of the wanted keys of one object, the last of equal keys; NONE where missing and, where
 * faults are collected, for a number that is not finite. */
det_status det_coco_keys(const struct det_coco_place *place, struct det_json entry,
                         const char *const *keys, struct det_json *values, size_t count);

/* Missing or null. */
bool det_coco_is_absent(struct det_json value);
/* Numbers may be in quotes where faults are gathered: some exporters write them so. */
det_status det_coco_integer(const struct det_coco_place *place, const char *key,
                            struct det_json value, int64_t *out);
det_status det_coco_number(const struct det_coco_place *place, const char *key,
                           struct det_json value, double *out);
/* 0, 1 or a truth value; an absent one leaves *out as it is. */
det_status det_coco_flag(const struct det_coco_place *place, const char *key, struct det_json value,
                         bool *out);
/* [x, y, width, height] */
det_status det_coco_box(const struct det_coco_place *place, struct det_json value,
                        double box_px[4]);
/* An image id: a number, or a name of the sorted list where there are names. */
det_status det_coco_image_id(const struct det_coco_place *place, const char *key,
                             struct det_json value, const struct det_coco_names *names,
                             int64_t *out);
/* The order of the list. */
int det_coco_compare_names(const void *a, const void *b);

#endif
