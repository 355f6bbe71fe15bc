/* model_golden.h: a network's outputs for the formula's weights and image 0, K = 3, 320 x 320,
 * against TensorFlow's. */
#ifndef DET_TESTS_SUPPORT_MODEL_GOLDEN_H
#define DET_TESTS_SUPPORT_MODEL_GOLDEN_H

/* `name` is "box_encodings" or "class_logits", `ours` all of them; prints the largest difference
 * under `label`, asserts that it is within 2e-4, or within `bound`. */
void model_golden_compare(const char *name, const float *ours, const char *label);
void model_golden_compare_within(const char *name, const float *ours, double bound,
                                 const char *label);

#endif
