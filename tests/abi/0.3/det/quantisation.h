/* det/quantisation.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_QUANTISATION_H
#define DET_QUANTISATION_H
#include "det/context.h"
#include "det/model.h"
#include "det/sample_source.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define DET_QUANTISATION_IMAGES     200
#define DET_QUANTISATION_MOST_FLOAT 0.25
typedef enum det_quantisation_observer {
    DET_OBSERVER_AUTO = 0,
    DET_OBSERVER_MINMAX = 1,
    DET_OBSERVER_AVERAGE = 2,
    DET_OBSERVER_PERCENTILE = 3,
    DET_OBSERVER_SQUARES = 4,
    DET_OBSERVER_TRAINED = 5
} det_quantisation_observer;
DET_API const char *det_quantisation_observer_name(det_quantisation_observer observer);
typedef enum det_quantisation_floats {
    DET_QUANTISATION_FLOATS_AUTO = 0,
    DET_QUANTISATION_FLOATS_NONE = 1
} det_quantisation_floats;
typedef struct det_quantisation_settings {
    size_t struct_size;
    const char *const *records;
    size_t record_count;
    const char *const *image_dirs;
    size_t image_dir_count;
    const det_sample_source *samples;
    int64_t images;
    det_quantisation_observer observer;
    det_quantisation_floats floats;
    int32_t equalise;
    int32_t correct_biases;
    int (*progress)(void *user, int64_t done, int64_t total);
    void *progress_user;
    int (*accept)(void *user, const det_model *candidate);
    void *accept_user;
} det_quantisation_settings;
DET_API void det_quantisation_settings_init(det_quantisation_settings *settings,
                                            size_t struct_size);
static inline void det_quantisation_settings_default(det_quantisation_settings *settings)
{
    det_quantisation_settings_init(settings, sizeof *settings);
}
DET_NODISCARD DET_API det_status det_model_quantise(det_context *context, const det_model *model,
                                                    const det_quantisation_settings *settings,
                                                    det_model **quantised);
DET_API int det_model_is_trained_in_8_bits(const det_model *model);
typedef struct det_quantisation_info {
    size_t struct_size;
    int32_t is_quantised;
    int32_t layers;
    int32_t float_layers;
    int32_t equalised;
    int64_t images;
    det_quantisation_observer observer;
    int32_t biases_corrected;
    double score_error, box_error;
    double float_share;
} det_quantisation_info;
DET_NODISCARD DET_API det_status det_model_quantisation(det_context *context,
                                                        const det_model *model,
                                                        det_quantisation_info *info);
typedef struct det_quantisation_layer {
    size_t struct_size;
    const char *name;
    int32_t is_float;
    int32_t reserved;
    double error;
} det_quantisation_layer;
DET_NODISCARD DET_API det_status det_model_quantisation_layer(det_context *context,
                                                              const det_model *model, size_t index,
                                                              det_quantisation_layer *layer);
#ifdef __cplusplus
}
#endif
#endif
