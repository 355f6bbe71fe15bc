/* loader.h: decoded, augmented, resized batches, made in the background.
 *
 * Sample i of the endless sequence is record order(e)[p] with e = i / images, p = i % images, where
 * order(e) is a permutation drawn from (seed, e), or 0, 1, 2, ... without shuffling. Its
 * augmentation draws from (seed, i). Which thread makes a sample, and how many there are, changes
 * nothing; first_sample continues an interrupted sequence exactly. Loaders with a stride hand out
 * the batches of one sequence by turns.
 *
 * A ring of batches lies between the workers and the caller: workers fill the samples of the next
 * batches in order and sleep when the ring is full. Buffers are reused, so once the largest image
 * was seen nothing is allocated any more.
 */
#ifndef DET_DATA_LOADER_H
#define DET_DATA_LOADER_H

#include "data/augment.h"
#include "data/dataset.h"

struct det_loader;

struct det_loader_settings {
    const struct det_dataset *dataset; /* must outlive the loader */
    int32_t batch_size;
    int32_t height, width; /* of the network's input: fixed_shape_resizer */
    /* keep_aspect_ratio_resizer with padding: max_dimension > 0 makes images of max_dimension x
     * max_dimension, the resized one at the top left, boxes relative to the whole; height and width
     * are then not used. */
    int32_t min_dimension, max_dimension;
    float pad_value[3]; /* after normalisation, as the API pads: 0 is the grey of 127.5 */
    const struct det_augment_option *augment; /* copied */
    size_t augment_count;
    uint64_t seed;
    bool pictures;    /* batches of pictures for a device that makes the floats itself */
    bool fast_decode; /* JPEGs reduced, to no less than the network's input (data/image.h) */
    bool shuffle;
    int threads; /* 0 = det_default_threads() */
    int ring;    /* batches in memory, the caller's included; more than `held`, 0 = held + 2 */
    int held;    /* the last `held` batches handed out stay valid, 0 = 1 */
    uint64_t first_sample; /* where to begin */
    uint64_t end_sample;   /* where to end, the last batch may be smaller; 0 = never */
    /* Behind each batch (stride - 1) * batch_size samples are other loaders' and left out; 0 and 1:
     * none. end_sample is that of the whole sequence. */
    int32_t stride;
};

struct det_batch {
    int32_t count;         /* N: samples that are filled in */
    int32_t height, width; /* of each picture */
    float *images;         /* [batch_size][height][width][3], 0..255, not yet normalised; NULL where
                              there are pictures */
    const struct det_picture *pictures; /* [batch_size]; NULL where there are images */
    struct det_ground_truth *truths;    /* [batch_size] */
    int64_t *record_index;              /* [batch_size] in the dataset */
    int32_t (*original_size)[2];        /* [batch_size] height, width of the image file */
    uint64_t first_sample;              /* number of the first one in the sequence */
};

/* Checks the settings and starts the workers. */
det_status det_loader_create(struct det_env *env, const struct det_loader_settings *settings,
                             struct det_loader **loader);
/* Another one with the same settings that begins at another sample. */
det_status det_loader_create_at(struct det_env *env, const struct det_loader *like,
                                uint64_t first_sample, struct det_loader **loader);
/* Stops the workers (at any time; waits for the samples in work) and releases all batches. */
void det_loader_destroy(struct det_env *env, struct det_loader **loader);

/* Waits for the next batch. It is valid until the next call, with `held` until the held-th from
 * now. DET_STATUS_FINISHED behind end_sample; a sample that cannot be loaded makes this and every
 * later call fail with its message, which names the record. */
det_status det_loader_next(struct det_env *env, struct det_loader *loader, struct det_batch *batch);

/* The floats [height][width][3] of image `index` of a batch, copied or made. */
det_status det_batch_image(struct det_env *env, const struct det_batch *batch, int32_t index,
                           float *out);

/* Time that det_loader_next has waited for workers, all calls together. */
uint64_t det_loader_wait_ns(const struct det_loader *loader);

/* The generator that the augmentation of a sample of the sequence draws from. */
void det_loader_sample_rng(struct det_rng *rng, uint64_t seed, uint64_t sample);

/* Bytes of the batches in memory, for a memory plan. */
size_t det_loader_ring_bytes(const struct det_loader_settings *settings);

#endif
