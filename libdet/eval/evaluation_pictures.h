/* evaluation_pictures.h: pictures of an evaluation for TensorBoard: detections at the left, ground
 * truth at the right.
 *
 * eval_side_by_side_N_0 are the first images, as many and with as many boxes as the config's
 * eval_config says, as draw_side_by_side_evaluation_image() of the TF Object Detection API's
 * utils/visualization_utils.py shows them. Ours are eval_best/N and eval_worst/N: the images that
 * went best and worst. How well an image went is
 *
 *   sum of the scores of detections that find an object / (objects + sum of the squared scores of
 *   those that find none)
 *
 * (by falling score, an object is found once, by a detection of its class with an IoU of at least
 * .5), 1 less that second sum when there is no object: no threshold has to be chosen, and the many
 * faint detections weigh little.
 *
 * Large images are shrunk to at most 800 pixels a side. Only the positions of the best and worst
 * are kept while evaluating; their images are decoded again at the end.
 */
#ifndef DET_EVAL_EVALUATION_PICTURES_H
#define DET_EVAL_EVALUATION_PICTURES_H

#include "data/dataset.h"
#include "det/summary.h"
#include "formats/pipeline_config.h"
#include "model/postprocess.h"

struct det_evaluation_pictures;

/* All is borrowed. Tags get the step. */
struct det_evaluation_pictures_settings {
    const struct det_dataset *dataset;
    const char *const *class_names; /* [K] */
    const struct det_eval_config *config;
    det_summary_writer *writer;
    int64_t step;
};

det_status det_evaluation_pictures_create(struct det_env *env,
                                          const struct det_evaluation_pictures_settings *settings,
                                          struct det_evaluation_pictures **pictures);
void det_evaluation_pictures_destroy(struct det_env *env,
                                     struct det_evaluation_pictures **pictures);

/* The next image: record `index`, boxes normalised to the image, by falling score. */
det_status det_evaluation_pictures_take(struct det_env *env,
                                        struct det_evaluation_pictures *pictures, size_t index,
                                        const struct det_detections *detections);
/* Writes the best and the worst. */
det_status det_evaluation_pictures_finish(struct det_env *env,
                                          struct det_evaluation_pictures *pictures);

/* How well an image went, 0..1. `used` is scratch: [truth->count]. */
double det_evaluation_quality(const struct det_ground_truth *truth,
                              const struct det_detections *detections, bool *used);

#endif
