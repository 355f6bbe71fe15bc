/* class_match.h: the classes that a model or checkpoint knows, beside those of a label map. Their
 * order is in no weight, so that a map in another order would make trucks of cars without a word;
 * names are therefore compared wherever the two meet. An id that one of them does not name is no
 * difference. */
#ifndef DET_MODEL_CLASS_MATCH_H
#define DET_MODEL_CLASS_MATCH_H

#include "det/pipeline_config.h"
#include "formats/label_map.h"
#include "model/graph.h"

/* Classes of a file. */
struct det_known_classes {
    const char *path;
    const char *const *names; /* [count] by class index; NULL, "" and "class ID": not named */
    int32_t count;
};

/* Where each class of a label map is in a file. */
struct det_class_order {
    int32_t *from; /* [count] by the map's class index: the file's, -1: it has none of that name */
    int32_t count; /* the map's */
    int32_t found; /* of the map's items */
    bool same;     /* no name stands at another id: nothing needs to be done */
};

/* Freed with det_free(&order->from). */
det_status det_class_order_make(struct det_env *env, const struct det_known_classes *theirs,
                                const struct det_label_map *ours, struct det_class_order *order);

/* MISMATCH that says how the lists differ, with what to do about it (`advice`). */
det_status det_class_order_fail(struct det_env *env, const struct det_known_classes *theirs,
                                const struct det_label_map *ours, const char *advice);
/* MISMATCH that names the map's classes which the file does not have; OK when it has all. */
det_status det_class_order_require_all(struct det_env *env, const struct det_known_classes *theirs,
                                       const struct det_label_map *ours,
                                       const struct det_class_order *order);

/* Whether a parameter's last dimension is anchors of a cell x (background + classes): the layer
 * that predicts the classes. */
bool det_param_is_by_class(const struct det_param *param);
/* Takes the classes' columns, and the background's, from a parameter of `their_classes` into ours,
 * [rows, anchors, 1 + classes]; a class that is not there keeps what `ours` holds. */
void det_class_columns_take(const struct det_param *param, const struct det_class_order *order,
                            int32_t their_classes, const float *theirs, float *ours);

#endif
