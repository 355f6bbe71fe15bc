/* det/plot.h: a training's curves, figures and pictures as one HTML page, for people without
 * TensorBoard. */
#ifndef DET_PLOT_H
#define DET_PLOT_H

#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Reads the event files in MODEL_DIR/train, MODEL_DIR/eval and MODEL_DIR/eval_exported (libdet's
 * or TensorFlow's; one is enough; figures are of the exported form where both were evaluated) and
 * writes one self-contained page, atomically: losses, learning rate, AP over steps, precision over
 * recall, a table of the classes, pictures of the best and worst detections and of the augmented
 * input. It holds no script and asks for nothing from the network. NOT_FOUND when there are no
 * event files.
 */
DET_NODISCARD DET_API det_status det_plot_write(det_context *context, const char *model_dir,
                                                const char *path);

#ifdef __cplusplus
}
#endif
#endif
