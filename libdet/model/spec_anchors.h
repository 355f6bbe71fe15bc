/* spec_anchors.h: the anchors of a model_spec: those of anchors.h on the grids of the network's
 * feature maps. */
#ifndef DET_MODEL_SPEC_ANCHORS_H
#define DET_MODEL_SPEC_ANCHORS_H

#include "model/spec.h"
#include "support/env.h"

/* *anchors [*count][4], caller frees with det_free. */
det_status det_spec_anchors(struct det_env *env, const struct det_model_spec *spec,
                            float (**anchors)[4], int32_t *count);

#endif
