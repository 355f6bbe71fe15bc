/* workspace.h: a TF Object Detection API workspace of random scenes: label map, records, images,
 * pipeline.config. */
#ifndef DEMO_WORKSPACE_H
#define DEMO_WORKSPACE_H

#include <stddef.h>
#include <stdint.h>

#include "support/env.h"

struct workspace_options {
    const char *directory;
    int32_t train, test; /* images */
    uint64_t seed;
    /* Weights to start from, copied to pre-trained-models/ and named in the config with a short
     * schedule; NULL: from scratch, with a long one. */
    const char *weights;
    /* Of each picture, which then is one of many scenes (mosaic.h); 0: pictures of one scene */
    int32_t width, height;
};

struct workspace_summary {
    int32_t images;
    size_t boxes[3]; /* by class */
};

/* Writes below options->directory; the same options give the same bytes. Files are replaced whole;
 * the records come after their images. */
det_status workspace_write(struct det_env *env, const struct workspace_options *options,
                           struct workspace_summary *summary);

#endif
