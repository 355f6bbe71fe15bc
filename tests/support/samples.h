/* samples.h: samples of augmentation with every window, mirror and list of colours. */
#ifndef DET_TESTS_SUPPORT_SAMPLES_H
#define DET_TESTS_SUPPORT_SAMPLES_H

#include "data/augment.h"

/* Pixels of every kind (greys, black, white, one channel, noise) in an image of this size, and a
 * window on it, from the seed. */
void test_sample_make(struct det_env *env, struct det_sample *sample, int32_t height, int32_t width,
                      uint64_t seed);
/* One operation of this kind as the augmentation draws it, listed or done to float pixels. */
void test_sample_color(struct det_env *env, struct det_sample *sample, enum det_color kind,
                       struct det_rng *rng);
/* `count` of them of any kinds. */
void test_sample_colors(struct det_env *env, struct det_sample *sample, int32_t count,
                        uint64_t seed);

#endif
