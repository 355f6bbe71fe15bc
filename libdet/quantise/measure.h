/* measure.h: how far a network in 8 bits is from the same in float32, on some pictures.
 *
 * It runs in float32 with everything rounded as 8 bits would round it: the same numbers but for
 * float32's own rounding, in the time of the float32 network.
 */
#ifndef DET_QUANTISE_MEASURE_H
#define DET_QUANTISE_MEASURE_H

#include "model/net.h"
#include "model/quantised.h"

struct det_output_error {
    double scores; /* root mean square of the differences, in shares of the scores' own */
    double boxes;  /* of box encodings, each weighted by its anchor's highest score, likewise */
};

/* The larger one. */
double det_output_error_most(struct det_output_error error);

struct det_measure {
    struct det_net *net; /* INFER, of one image */
    const struct det_graph *graph;
    int32_t images;
    float *inputs;             /* [images][input] */
    float *encodings, *logits; /* [images][outputs]: the float32 network's */
};

/* `net` is lent, the inputs are copied by det_measure_add(), at most `images` times. */
det_status det_measure_create(struct det_env *env, const struct det_graph *graph,
                              struct det_net *net, int32_t images, struct det_measure *measure);
void det_measure_free(struct det_env *env, struct det_measure *measure);
/* What the network makes of its present input with these parameters is what is right. */
void det_measure_add(struct det_measure *measure, const float *params);

/* With the parameters as 8 bits leave them, `real`, and tensors rounded. */
struct det_output_error det_measure_run(const struct det_measure *measure,
                                        const struct det_quantised *quantised, const float *real);

#endif
