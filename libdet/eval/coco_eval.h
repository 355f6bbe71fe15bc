/* coco_eval.h: COCO box evaluation as pycocotools 2.0.11 does it (cocoeval.py: evaluate,
 * accumulate, summarize; maskApi.c: bbIou), behind det/coco.h.
 *
 * What was added stays in arrays in the order of arrival. det_coco_eval_compute() sorts indices
 * into cells (class, image), class major, only those that hold something; matches chunks of cells
 * (coco_match.c) and accumulates each class and area (coco_accumulate.c), both as pool tasks whose
 * borders do not depend on the number of threads.
 *
 * Kept from pycocotools, oddities included: `ignore` of an object is overwritten by `iscrowd`; an
 * object whose annotation id is 0 can be matched but the match does not count; the first row asks
 * for 100 detections whatever max_dets says. The first and the last can be switched off in the
 * settings. Different: no limit to what is sorted how, but no more than 32 IoU thresholds (one bit
 * each).
 */
#ifndef DET_EVAL_COCO_EVAL_H
#define DET_EVAL_COCO_EVAL_H

#include "base/pool.h"
#include "det/coco.h"
#include "formats/coco_json.h"
#include "support/id_map.h"

struct det_coco_eval;

/* settings NULL: defaults. They are copied. */
det_status det_coco_eval_create(struct det_env *env, const det_coco_settings *settings,
                                struct det_coco_eval **eval);
void det_coco_eval_destroy(struct det_env *env, struct det_coco_eval **eval);

/* The same id twice is an error. */
det_status det_coco_eval_add_category(struct det_env *env, struct det_coco_eval *eval, int64_t id,
                                      const char *name);
/* The same id twice is not: nothing changes. */
det_status det_coco_eval_add_image(struct det_env *env, struct det_coco_eval *eval, int64_t id);
/* Image and category must be there; all values finite, only the area may be NaN: width * height.
 * object->id only matters when it is 0 (see above). */
det_status det_coco_eval_add_object(struct det_env *env, struct det_coco_eval *eval,
                                    const struct det_coco_annotation *object);
det_status det_coco_eval_add_detection(struct det_env *env, struct det_coco_eval *eval,
                                       const struct det_coco_detection *detection);
void det_coco_eval_clear_detections(struct det_coco_eval *eval);

/* All of a file's content; entries of images (objects only) and categories that are not known are
 * dropped and counted in a warning. `path` is the name in messages. */
det_status det_coco_eval_add_dataset(struct det_env *env, struct det_coco_eval *eval,
                                     const char *path, const struct det_coco_dataset *dataset);
det_status det_coco_eval_add_detections(struct det_env *env, struct det_coco_eval *eval,
                                        const char *path,
                                        const struct det_coco_detection_list *list);

/* Copies of what was added, ids as given (annotations are numbered anew, from 1, but keep a 0). */
det_status det_coco_eval_to_dataset(struct det_env *env, const struct det_coco_eval *eval,
                                    struct det_coco_dataset *dataset);
det_status det_coco_eval_to_detections(struct det_env *env, const struct det_coco_eval *eval,
                                       struct det_coco_detection_list *list);

/* *result is owned by eval until the next compute or destroy; NULL after a failure. */
det_status det_coco_eval_compute(struct det_env *env, struct det_coco_eval *eval,
                                 struct det_pool *pool, const det_coco_result **result);
/* The last result, NULL if there is none. */
const det_coco_result *det_coco_eval_result(const struct det_coco_eval *eval);
size_t det_coco_eval_image_count(const struct det_coco_eval *eval);

/* What is behind a public evaluator. */
const struct det_coco_eval *det_coco_evaluator_eval(const det_coco_evaluator *evaluator);

#endif
