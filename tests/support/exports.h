/* exports.h: models of drawn weights, and their exported files before and after something was done
 * to the bytes. */
#ifndef DET_TESTS_SUPPORT_EXPORTS_H
#define DET_TESTS_SUPPORT_EXPORTS_H

#include "det/sample_source.h"
#include "export/proof.h"
#include "support/test.h"

/* As small as a network of this size of picture gets, K classes. */
void exports_spec(struct det_model_spec *spec, int32_t height, int32_t width, int32_t classes);
/* Other levels, towers and kernels by each bit of four. */
void exports_vary_spec(struct det_model_spec *spec, uint32_t bits);
/* With the formula's weights, step 77; names as of det_model_create(). */
det_status exports_model(struct det_env *env, const struct det_model_spec *spec,
                         const char *const *names, det_model **model);

/* Makes a channel of a tensor so many times larger, and what reads it as much smaller: in float32
 * the network stays the same. With EXPORTS_SPOILT the other channels are a step or two in 8 bits,
 * and equalising them does not help. Of the first tensor that a 1 x 1 convolution alone reads and
 * no activation bounds, or of all, how many is returned; `model` in the training form. */
#define EXPORTS_SPOILT 4000
int32_t exports_spoil(det_model *model, float factor, bool all);

/* What exports are made with: a context on the reference operations, and a model. */
struct exports_setup {
    struct test_env t;
    det_context *context;
    struct det_env *env; /* the context's */
    det_model *model;    /* NULL at first; taken away at the end */
};
void exports_start(struct exports_setup *setup);
void exports_end(struct exports_setup *setup);

/* An export whose bytes can be changed before it is proved. */
struct exports_file {
    struct det_env *env;
    det_model *model;
    const struct det_export_writer *writer;
    struct det_export_job job;
    struct det_export exported;
};

/* Writes `format` of a model of the spec; asserts. `settings` NULL: the defaults. */
void exports_open(struct exports_file *file, struct det_env *env, const struct det_model_spec *spec,
                  const char *format, const det_export_settings *settings);
/* ... of a model, which it takes over. */
void exports_open_model(struct exports_file *file, struct det_env *env, det_model *model,
                        const char *format, const det_export_settings *settings);
void exports_close(struct exports_file *file);
/* What a writer has made. */
void exports_free(struct det_env *env, struct det_export *exported);
/* The bytes of its first file. */
struct det_text *exports_bytes(struct exports_file *file);
/* Reads and compares all. */
det_status exports_prove(struct exports_file *file);
/* The same without running it. */
det_status exports_prove_structure(struct exports_file *file);
/* Replaces the place `index` (0: the first) where `from` stands; asserts that there is one. */
void exports_replace(struct exports_file *file, const void *from, size_t bytes, int index,
                     const void *to);

/* Square pictures of one size one behind the other, and what fills a det_sample_source with them,
 * its user. */
struct exports_squares {
    const uint8_t *pixels;
    int32_t side;
};
int exports_fill_square(void *squares, size_t index, det_labelled_sample *sample);

/* Changes a byte here and there, each `step` bytes of the first `dense` and each `sparse` behind,
 * and then cuts the end off at `cuts` places, in a block of just that size. `read` is called with
 * each of these files. */
void exports_damage(struct det_text *data, size_t step, size_t dense, size_t sparse, size_t cuts,
                    void (*read)(void *user), void *user);
/* Such a function: reads an exports_file within a budget; asserts that it is read or refused. */
void exports_read_damaged(void *file);
/* For test_each_allocation_fails(): writes what the exports_file is once more, and reads that. */
det_status exports_write_and_read(struct det_env *env, void *file);

#endif
