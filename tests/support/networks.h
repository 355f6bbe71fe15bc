/* networks.h: small networks of all kinds, for the tests of what runs whole ones. */
#ifndef DET_TESTS_SUPPORT_NETWORKS_H
#define DET_TESTS_SUPPORT_NETWORKS_H

#include "model/quantised.h"
#include "support/test.h"

struct network {
    const char *name;
    int32_t height, width, batch;
    float alpha;
    int32_t depth;
    bool dense_fpn, dense_head, apart;
    int32_t head_kernel, classes;
};

enum { NETWORKS = 7 };
extern const struct network networks[NETWORKS];

void network_spec(const struct network *network, struct det_model_spec *spec);

/* Its two forms, the folded one's parameters from the formula's, and pixels [batch][input];
 * asserts. To be released with det_graph_free() and det_free(). */
void network_make(struct det_env *env, const struct network *network, struct det_graph *training,
                  struct det_graph *folded, float **params, float **pixels);

/* Which operations of a network in 8 bits are in float32. */
enum network_floats {
    NETWORK_NONE,
    NETWORK_LAST,
    NETWORK_FIRST,
    NETWORK_FIRST_AND_LAST,
    NETWORK_SOME,
    NETWORK_FLOATS
};

/* A folded network in 8 bits, whose weights become what they stand for. Ranges are drawn at random:
 * results are clamped here and there, and zeros lie anywhere. To be released with
 * det_quantised_destroy(). */
void network_quantise(struct det_env *env, const struct det_graph *graph,
                      enum network_floats floats, float *params, struct det_quantised **quantised);

#endif
