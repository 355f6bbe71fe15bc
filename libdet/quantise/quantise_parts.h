/* quantise_parts.h: what is behind det_quantise(), for the files that do it: quantise.c looks at
 * the pictures and chooses, tries.c makes further models until one is accepted. */
#ifndef DET_QUANTISE_QUANTISE_PARTS_H
#define DET_QUANTISE_QUANTISE_PARTS_H

#include "data/image.h"
#include "model/input.h"
#include "model/net.h"
#include "quantise/measure.h"
#include "quantise/quantise.h"
#include "quantise/ranges.h"

/* Parameters of the network, and what was seen of its tensors with them. */
struct det_quantise_way {
    float *params;
    bool equalised;                /* whether they are */
    struct det_observed *observed; /* per tensor; NULL: there is no such way */
};

struct det_quantise_work {
    struct det_context *context;
    struct det_env *env;
    const struct det_quantise_job *job;
    struct det_net *net;
    struct det_pool *pool;
    struct det_resizer resizer;
    struct det_image image;
    struct det_ground_truth truth;
    int64_t images;
    struct det_quantise_way way;   /* that is taken */
    struct det_quantise_way other; /* channels equalised or not, where it is the other way round */
    struct det_measure measure;
    int64_t done, total; /* pictures through the network, for the progress */
};

/* A network in 8 bits, and how far its outputs are from float32's. */
struct det_quantise_made {
    struct det_quantised *quantised;
    float *real;
    double error;
};

void det_quantise_forget(const struct det_quantise_work *work, struct det_quantise_made *made);
void det_quantise_exchange(struct det_quantise_made *a, struct det_quantise_made *b);
void det_quantise_exchange_ways(struct det_quantise_work *work);

/* With the settings' correction of biases. */
struct det_ranges_choice det_quantise_choice(const struct det_quantise_work *work, int32_t observer,
                                             const bool *eight_bits);
/* The way that is taken in 8 bits. */
det_status det_quantise_make(struct det_quantise_work *work, const struct det_ranges_choice *choice,
                             struct det_quantise_made *made);

/* Replaces `best`, the model that was chosen, until one is accepted; MISMATCH when none was. What
 * is judged lies in the places of the results meanwhile. `eight_bits` [operations]: workspace. */
det_status det_quantise_convince(struct det_quantise_work *work, bool *eight_bits,
                                 struct det_quantise_made *best, float *real,
                                 struct det_quantised **quantised);

#endif
