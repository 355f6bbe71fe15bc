/* det/detector.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_DETECTOR_H
#define DET_DETECTOR_H
#include "det/context.h"
#include "det/model.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_detector det_detector;
typedef enum det_pixel_format {
    DET_PIXEL_RGB8 = 0,
    DET_PIXEL_BGR8 = 1,
    DET_PIXEL_GRAY8 = 2,
    DET_PIXEL_RGBA8 = 3,
    DET_PIXEL_BGRA8 = 4,
    DET_PIXEL_NV12 = 5,
    DET_PIXEL_I420 = 6,
    DET_PIXEL_YUYV = 7
} det_pixel_format;
typedef enum det_yuv_color {
    DET_YUV_BT601 = 0,
    DET_YUV_BT601_FULL = 1,
    DET_YUV_BT709 = 2,
    DET_YUV_BT709_FULL = 3
} det_yuv_color;
typedef struct det_region {
    int32_t y, x, height, width;
} det_region;
typedef struct det_image_view {
    const uint8_t *pixels;
    int32_t width, height;
    ptrdiff_t stride_bytes;
    det_pixel_format format;
    det_yuv_color yuv_color;
    const uint8_t *chroma[2];
    ptrdiff_t chroma_stride_bytes[2];
    det_region region;
} det_image_view;
typedef struct det_tile_settings {
    size_t struct_size;
    int32_t height, width;
    float overlap;
    int32_t whole;
} det_tile_settings;
DET_API void det_tile_settings_init(det_tile_settings *settings, size_t struct_size);
static inline void det_tile_settings_default(det_tile_settings *settings)
{
    det_tile_settings_init(settings, sizeof *settings);
}
DET_NODISCARD DET_API det_status det_tile_plan(det_context *context,
                                               const det_tile_settings *settings, int32_t height,
                                               int32_t width, det_region *tiles, size_t capacity,
                                               size_t *count);
typedef struct det_detector_settings {
    size_t struct_size;
    float score_threshold;
    int32_t max_detections;
    int32_t input_height, input_width;
    int32_t batch;
    int32_t keep_outputs;
    const float *class_score;
    int32_t class_count;
    int32_t chosen_count;
    const int32_t *chosen_classes;
    const det_tile_settings *tiles;
} det_detector_settings;
DET_API void det_detector_settings_init(det_detector_settings *settings, size_t struct_size);
static inline void det_detector_settings_default(det_detector_settings *settings)
{
    det_detector_settings_init(settings, sizeof *settings);
}
typedef struct det_detection {
    int32_t class_id;
    float score;
    float ymin, xmin, ymax, xmax;
} det_detection;
DET_NODISCARD DET_API det_status det_detector_create(det_context *context, const det_model *model,
                                                     const det_detector_settings *settings,
                                                     det_detector **detector);
DET_API void det_detector_destroy(det_detector **detector);
DET_NODISCARD DET_API det_status det_detector_run(det_detector *detector,
                                                  const det_image_view *image,
                                                  const det_detection **detections, size_t *count);
DET_NODISCARD DET_API det_status det_detector_set_score(det_detector *detector, int32_t class_id,
                                                        float score);
DET_NODISCARD DET_API det_status det_detector_choose_classes(det_detector *detector,
                                                             const int32_t *class_ids,
                                                             size_t count);
typedef struct det_image_detections {
    const det_detection *detections;
    size_t count;
} det_image_detections;
DET_NODISCARD DET_API det_status det_detector_run_batch(det_detector *detector,
                                                        const det_image_view *images, size_t count,
                                                        det_image_detections *results);
DET_NODISCARD DET_API det_status det_detector_top_score(det_detector *detector, size_t index,
                                                        float *score, int32_t *class_id);
typedef struct det_detector_raw {
    size_t struct_size;
    const float *logits;
    const float *encodings;
    const float *anchors;
    int32_t anchor_count, class_count;
    float window[4];
} det_detector_raw;
DET_NODISCARD DET_API det_status det_detector_outputs(det_detector *detector, size_t index,
                                                      det_detector_raw *outputs);
typedef struct det_detector_times {
    size_t struct_size;
    uint64_t preprocess_ns, network_ns, postprocess_ns;
} det_detector_times;
DET_NODISCARD DET_API det_status det_detector_last_times(const det_detector *detector,
                                                         det_detector_times *times);
DET_API size_t det_detector_memory_bytes(const det_detector *detector);
DET_NODISCARD DET_API det_status det_detections_to_json(det_context *context,
                                                        const det_model *model, const char *image,
                                                        int32_t width, int32_t height,
                                                        const det_detection *detections,
                                                        size_t count, char **json);
DET_API void det_json_destroy(det_context *context, char **json);
#ifdef __cplusplus
}
#endif
#endif
