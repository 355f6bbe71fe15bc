/* formula.h: the weights and images that the goldens' README defines by a formula, so that no
 * weight file is needed. */
#ifndef DET_TESTS_SUPPORT_FORMULA_H
#define DET_TESTS_SUPPORT_FORMULA_H

#include "model/graph.h"

/* A small network: side x side, as few and as narrow layers as there can be. */
void formula_spec(struct det_model_spec *spec, int32_t side, int32_t classes);
/* Every stored parameter of a training-form graph; the others get their initial value. */
void formula_params(const struct det_graph *graph, float *params);
/* Image k of H x W as floats 0..255, [H, W, 3]. */
void formula_image(int k, int32_t height, int32_t width, float *image);

#endif
