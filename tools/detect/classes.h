/* classes.h: which detections count: --classes, --threshold and --threshold_file. */
#ifndef DET_TOOLS_DETECT_CLASSES_H
#define DET_TOOLS_DETECT_CLASSES_H

#include "det/model.h"
#include "support/env.h"

struct class_filter {
    float *threshold;     /* [K + 1] by class id: lowest score */
    int32_t *wanted;      /* [wanted_count] ids */
    int32_t wanted_count; /* at least 1 */
    float lowest;         /* threshold of those that are wanted */
    int32_t count;        /* K */
};

/* `classes`: "car,bus" or ids, NULL: all. `threshold`: "0.5" or "0.5,car=0.8" or "car=0.8" (others
 * then have .5). `file`: JSON object of class names to thresholds (docs/formats.md), NULL: none;
 * what `threshold` says by name goes before it. */
det_status class_filter_make(struct det_env *env, const det_model *model, const char *classes,
                             const char *threshold, const char *file, struct class_filter *filter);
void class_filter_free(struct det_env *env, struct class_filter *filter);

#endif
