/* recalibrate.h: statistics for the batch norms of an exported model, taken anew over training
 * pictures (model/population.h).
 *
 * Pictures are resized as the network sees them, without augmentation: what the exported model will
 * be given. They pass the network in batches, normalised by each batch's own statistics as in
 * training. With one batch of all pictures that is the exported model exactly; over batches of
 * eight no figure of an evaluation differs by more than the choice of pictures makes it
 * (docs/recipes.md has both). Same bits for any number of threads, and of ranks: these take the
 * batches by turns, and every one takes in the statistics of all in their order. */
#ifndef DET_TRAIN_RECALIBRATE_H
#define DET_TRAIN_RECALIBRATE_H

#include "base/context.h"
#include "data/loader.h"
#include "det/communicator.h"
#include "det/recalibration.h"

struct det_graph;
struct det_model_spec;
struct det_step;

struct det_recalibration {
    const struct det_model_spec *spec;
    const struct det_graph *graph; /* training form */
    const float *params;
    const struct det_dataset *dataset;
    /* how an image becomes the network's input: det_config_resize() */
    struct det_loader_settings resize;
    int64_t images; /* at most; 0: all */
    int32_t batch;  /* 0: the largest up to 16 that half a gigabyte holds */
    /* NULL, or a training step of this graph and batch that is not under way */
    struct det_step *idle;
    int (*progress)(void *user, int64_t done, int64_t total); /* NULL, or as in the settings */
    void *progress_user;
    /* NULL, or the ranks that do it together: all call it with the same question, and all get the
     * same status; a rank that is told to stop stops all */
    det_communicator *communicator;
};

/* The parameters with new statistics into `recalibrated` [graph.param_floats], how many pictures
 * they are of into *images. INVALID_ARGUMENT for a network that is trained with the statistics it
 * has (freeze_batchnorm). */
det_status det_recalibrate(struct det_context *context, const struct det_recalibration *question,
                           float *recalibrated, int64_t *images);

/* A decay of moving averages that leaves .01 of what they began with; 0 for no step. */
double det_decay_fitting(int64_t steps);

/* Of the moving averages of a graph's batch norms after so many steps; `warn` looks at what is left
 * alone. */
det_decay_advice det_decay_advise(const struct det_graph *graph, int64_t steps);

#endif
