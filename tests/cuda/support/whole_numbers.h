/* whole_numbers.h: numbers in 8 bits at random for the tests of what works with them. */
#ifndef DET_TESTS_CUDA_WHOLE_NUMBERS_H
#define DET_TESTS_CUDA_WHOLE_NUMBERS_H

#include "ops/q8.h"
#include "support/test.h"

/* From low to high, both included. */
int32_t whole_draw(int32_t low, int32_t high);

enum whole_filling { WHOLE_ANY, WHOLE_LOWEST, WHOLE_HIGHEST, WHOLE_ENDS, WHOLE_FILLINGS };
/* malloc. */
int8_t *whole_bytes(size_t count, enum whole_filling how);

/* Scales: usual ones; of exact ties; the ends of what there is, 0 too. */
enum whole_scales { WHOLE_USUAL, WHOLE_TIES, WHOLE_EXTREME, WHOLE_KINDS };

/* A convolution with zeros anywhere, at both ends too, now and then a channel of zeros, a bias as
 * large as can be and narrow limits. `q` points to the rest. */
struct whole_layer {
    struct det_q8_conv q;
    int8_t *weights;
    int32_t *bias;
    float *scales;
};
/* `terms`: products of a sum. */
struct whole_layer whole_layer_make(int32_t terms, int32_t out_c, enum whole_scales scales);
void whole_layer_drop(struct whole_layer *layer);

struct det_q8_add whole_draw_add(void);

/* Fails with the first difference. */
void whole_assert_equal(const char *what, const int8_t *got, const int8_t *want, size_t count);

#endif
