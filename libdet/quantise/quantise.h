/* quantise.h: a folded network in 8 bits, from pictures. What det_model_quantise() does between its
 * arguments and its model. */
#ifndef DET_QUANTISE_QUANTISE_H
#define DET_QUANTISE_QUANTISE_H

#include "base/context.h"
#include "data/dataset.h"
#include "det/quantisation.h"
#include "model/quantised.h"

struct det_quantise_job {
    const struct det_model_spec *spec;
    const struct det_graph *graph; /* folded */
    const float *params;
    const struct det_dataset *dataset;
    det_quantisation_settings settings; /* all of them set */
    /* Whether what now lies in the places of the results will do, as
     * det_quantisation_settings.accept has it; NULL: it does. */
    int (*accept)(void *user);
    void *accept_user;
};

/* `real` [graph.param_floats]: what the weights stand for, and biases. Same bits for any number of
 * threads. As long as it is not accepted, it is calibrated in other ways, then the layers that cost
 * most go back to float32. */
det_status det_quantise(struct det_context *context, const struct det_quantise_job *job,
                        float *real, struct det_quantised **quantised);

#endif
