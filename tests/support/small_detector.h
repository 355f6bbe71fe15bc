/* small_detector.h: a detector of a small network with the formula's weights, and pictures for
 * it. */
#ifndef DET_TESTS_SUPPORT_SMALL_DETECTOR_H
#define DET_TESTS_SUPPORT_SMALL_DETECTOR_H

#include "det/det.h"
#include "model/model.h"
#include "support/test.h"

enum { SMALL_SIDE = 96, SMALL_CLASSES = 3 };

det_model *small_detector_model(struct det_env *env, const struct det_model_spec *spec);
/* The same model as it is after an export. */
det_model *small_detector_fold(struct det_env *env, const det_model *model);

struct small_detector {
    struct test_env t;
    det_context *context;
    struct det_env *env; /* the context's */
    det_model *model;
    det_detector *detector;
};

/* `spec` NULL: formula_spec() of SMALL_SIDE and SMALL_CLASSES. */
void small_detector_make(struct small_detector *f, const struct det_model_spec *spec);
void small_detector_drop(struct small_detector *f);

/* A smooth picture with one channel's share of noise; `grey`: all channels the same. */
uint8_t *make_rgb_picture(int32_t width, int32_t height, bool grey);
det_image_view rgb_picture_view(const uint8_t *rgb, int32_t width, int32_t height);

/* The picture in another format with `pad` bytes behind each row, upside down in memory for a
 * negative stride. *memory is to be freed. */
det_image_view convert_picture(const uint8_t *rgb, int32_t width, int32_t height,
                               det_pixel_format format, int32_t pad, bool upwards,
                               uint8_t **memory);

/* Copies of a run's detections. */
struct detected {
    det_detection list[512];
    size_t count;
};

void small_detector_run(struct small_detector *f, const det_image_view *view, struct detected *run);
/* Classes, order, scores and boxes are such as there can be. */
void assert_sound_detections(const struct detected *run);

#endif
