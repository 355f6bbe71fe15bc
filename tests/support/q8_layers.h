/* q8_layers.h: layers in 8 bits with made-up weights, tensors in the blocks of blocked.h's 8-bit
 * form and what they hold, for tests of its kernels against the plain operations of ops/q8.h. */
#ifndef DET_TESTS_SUPPORT_Q8_LAYERS_H
#define DET_TESTS_SUPPORT_Q8_LAYERS_H

#include "devices/cpu/prepared/prepared_map.h"
#include "ops/cpu/blocked/q8_finish.h"
#include "ops/q8.h"

/* The same in each run; `low` and `high` are among them. */
int32_t q8_draw(int32_t low, int32_t high);

/* Integers between guards. */
int8_t *q8_bytes(size_t count);
void q8_drop_bytes(int8_t *bytes);

enum q8_filling { Q8_RANDOM, Q8_LOWEST, Q8_HIGHEST, Q8_ENDS, Q8_FILLINGS };
int8_t *q8_filled(size_t count, enum q8_filling how);

/* Stored value `index` of words: 8 or 16 bits. */
int32_t q8_stored(const struct detk_blocked *k, const float *words, int32_t index);
float *q8_words(const struct detk_blocked *k, const int8_t *values, int32_t count);

/* A tensor in blocks between guards, what no channel uses at random. */
struct q8_blocks {
    struct detk_map map;
    float *memory;
};
struct q8_blocks q8_blocks_of(const struct detk_blocked *k, int32_t zero, int32_t h, int32_t w,
                              int32_t c, bool framed, const int8_t *plain);
/* Of rows y .. end - 1; `want` is whole. */
void q8_check_rows(const char *name, const struct q8_blocks *got, const int8_t *want, int32_t y,
                   int32_t end);

struct q8_layer {
    struct det_q8_conv q;
    int8_t *weights;
    int32_t *bias;
    float *scales;
};

/* Scales: usual ones, those of exact ties, tiny, zero and huge ones. SATURATING: every weight at an
 * end, of one sign or of one for two terms, and results within their range: two products of 255
 * with 127 leave 16 bits. RAISED: sums up to the last that can be raised (q8_finish.h), on both
 * sides, behind a relu6; TOO_HIGH: up to the next one. */
enum q8_kind { Q8_USUAL, Q8_TIES, Q8_HUGE_SCALES, Q8_SATURATING, Q8_RAISED, Q8_TOO_HIGH, Q8_KINDS };
struct q8_layer q8_layer_make(int32_t terms, int32_t out_c, enum q8_kind kind);
void q8_layer_drop(struct q8_layer *l);
/* That kernels took its sums for what they are, where that is certain. */
void q8_check_sums(const char *name, const struct detk_blocked *k,
                   const struct detk_q8_finish *finish, const struct q8_layer *l,
                   enum q8_kind kind);

#endif
