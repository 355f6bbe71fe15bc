/* quantise_run.h: a small model of drawn weights in 8 bits, from drawn pictures. */
#ifndef DET_TESTS_SUPPORT_QUANTISE_RUN_H
#define DET_TESTS_SUPPORT_QUANTISE_RUN_H

#include "det/det.h"
#include "support/exports.h"

enum { QUANTISE_RUN_PICTURES = 5, QUANTISE_RUN_SIDE = 70 };

struct quantise_run {
    struct test_env t;
    det_context *context;
    det_model *model, *quantised;
};

/* The pictures to calibrate by, which quantise_run_start() draws, and the first of them. */
extern const det_sample_source quantise_run_pictures;
det_image_view quantise_run_view(void);

void quantise_run_start(struct quantise_run *run, int threads, const char *precision);
/* Of three that differ in what their heads share and are made of. */
void quantise_run_model(struct quantise_run *run, int32_t variant);
void quantise_run_stop(struct quantise_run *run);

det_status quantise_run(struct quantise_run *run, det_quantisation_observer observer,
                        det_quantisation_floats floats, const det_model *model,
                        det_model **quantised);
det_quantisation_info quantise_run_info(struct quantise_run *run, const det_model *model);
/* Encodings, then logits, of the first picture; how many values is returned. free() them. */
size_t quantise_run_outputs(struct quantise_run *run, const det_model *model, float **values);

#endif
