/* best.h: which of a training's evaluations was the best by one figure, and for how long there was
 * no better one. Part of every checkpoint, so that a resumed training keeps and stops as an
 * uninterrupted one does. */
#ifndef DET_TRAIN_BEST_H
#define DET_TRAIN_BEST_H

#include "det/evaluation.h"
#include "support/json.h"
#include "support/json_writer.h"

enum { DET_METRIC_NAME_BYTES = 64 };

struct det_best {
    char metric[DET_METRIC_NAME_BYTES]; /* full name */
    bool known;                         /* value and step are set */
    double value;
    int64_t step;
    int64_t evaluated_step; /* of the newest evaluation; 0: none */
    int64_t stale;          /* evaluations since one was better by min_delta */
    double reference;       /* the value which that one had: what min_delta counts from */
};

/* From what a user writes ("mAP", "AR@100", "DetectionBoxes_Precision/mAP@.50IOU", "total_loss") to
 * the full name. NULL or empty is the mAP. INVALID_ARGUMENT lists the names. */
det_status det_best_metric(struct det_env *env, const char *written,
                           char name[DET_METRIC_NAME_BYTES]);

/* The figure of this full name; of a loss less is better. */
double det_best_value(const char *name, const det_coco_result *coco,
                      const det_evaluation_losses *losses);

/* Takes in an evaluation; true: it is the best so far. Figures that are not known (-1: nothing to
 * find; NaN) never are. */
bool det_best_update(struct det_best *best, double value, int64_t step, double min_delta);

/* As a JSON object, and back; CORRUPT names `path`. A checkpoint without one (`json` NONE) gives an
 * empty `best`. */
void det_best_to_json(struct det_json_writer *json, const char *key, const struct det_best *best);
det_status det_best_from_json(struct det_env *env, const char *path, struct det_json json,
                              struct det_best *best);

#endif
