/* inference.h: what running a model takes besides a device: the network in the form that is run,
 * its anchors, and what its post-processing does. The one place that makes it, for detection and
 * for evaluation. */
#ifndef DET_MODEL_INFERENCE_H
#define DET_MODEL_INFERENCE_H

#include "model/model.h"
#include "model/postprocess.h"

enum det_inference_form {
    /* Batch norms are part of the convolutions: as an exported model runs. */
    DET_INFERENCE_FOLDED,
    /* As the model is: batch norms of a training form are operations of their own, as the API
     * evaluates. */
    DET_INFERENCE_AS_IT_IS
};

struct det_inference {
    const struct det_graph *graph;         /* the model's, or `own_graph` */
    const float *params;                   /* the model's, or `own_params` */
    const struct det_quantised *quantised; /* the model's; NULL: float32 */
    struct det_graph own_graph;
    float *own_params;
    float (*anchors)[4];
    int32_t anchor_count;
    struct det_postprocess_settings postprocess;
};

/* `spec` is the model's, or that of another input size. `model` must outlive it. */
det_status det_inference_open(struct det_env *env, const det_model *model,
                              const struct det_model_spec *spec, enum det_inference_form form,
                              struct det_inference *inference);
void det_inference_close(struct det_env *env, struct det_inference *inference);

/* What a spec says of the post-processing, in the frame of the picture. */
struct det_postprocess_settings det_spec_postprocess(const struct det_model_spec *spec);

#endif
