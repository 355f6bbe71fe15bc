/* evaluation_figures.h: the figures of an evaluation: images with what was found in them are taken
 * in one after the other, COCO's and the losses' figures made of them, and all of it written to
 * event files and results.csv.
 *
 * Agrees with metrics/coco_evaluation.py of the TF Object Detection API: boxes scaled to pixels of
 * the original image in float32, an object's area from the record or else from its box, the mean
 * of each image's losses. */
#ifndef DET_EVAL_EVALUATION_FIGURES_H
#define DET_EVAL_EVALUATION_FIGURES_H

#include "eval/evaluation_data.h"
#include "eval/evaluation_found.h"

/* What the caller gets. */
struct det_evaluation {
    det_context *context;
    det_coco_evaluator *evaluator;
    const det_coco_result *coco;
    det_evaluation_losses losses;
};

struct det_evaluation_figures;

/* All is borrowed; `evaluation` is filled in. */
struct det_evaluation_figures_settings {
    det_context *context;
    const struct det_pipeline_config *config;
    const det_model *model;
    const struct det_evaluation_data *data;
    const det_evaluation_settings *asked;
    det_evaluation *evaluation;
};

det_status det_evaluation_figures_open(const struct det_evaluation_figures_settings *settings,
                                       struct det_evaluation_figures **figures);
void det_evaluation_figures_close(struct det_evaluation_figures **figures);

/* The next image. */
det_status det_evaluation_figures_take(struct det_evaluation_figures *figures,
                                       const struct det_evaluation_found *found);
/* Behind the last. */
det_status det_evaluation_figures_compute(struct det_evaluation_figures *figures);
/* To where the settings say; what fails is a warning. */
void det_evaluation_figures_write(struct det_evaluation_figures *figures);

#endif
