/* det/detector.h: runs a model on images.
 *
 * A detector holds all working memory, planned when it is made: no call allocates after the first
 * image of the largest size (with tiles: of the most tiles and detections). It belongs to its
 * context's thread; several detectors may share one model.
 */
#ifndef DET_DETECTOR_H
#define DET_DETECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_detector det_detector;

typedef enum det_pixel_format {
    DET_PIXEL_RGB8 = 0,
    DET_PIXEL_BGR8 = 1,
    DET_PIXEL_GRAY8 = 2,
    DET_PIXEL_RGBA8 = 3, /**< alpha is not looked at */
    DET_PIXEL_BGRA8 = 4,
    /* What cameras and video decoders hand over: brightness Y for each pixel, colour U and V for
     * two or four together, which all have it as it is (no interpolation, as libyuv does it). An
     * odd side's last pixel has a colour of its own. */
    DET_PIXEL_NV12 = 5, /**< a plane of Y; one of U V for each 2 x 2 pixels */
    DET_PIXEL_I420 = 6, /**< planes of Y, U and V, the last two for each 2 x 2 pixels */
    DET_PIXEL_YUYV = 7  /**< Y U Y V for each two pixels of a row, in one plane (YUY2) */
} det_pixel_format;

/** What numbers Y, U and V are colours by: FFmpeg's colorspace and color_range, V4L2's ycbcr_enc
 *  and quantization. */
typedef enum det_yuv_color {
    /** Limited range (Y 16..235, U and V 16..240). What FFmpeg and libyuv take where nothing is
     *  said, so it is the default. */
    DET_YUV_BT601 = 0,
    DET_YUV_BT601_FULL = 1, /**< 0..255: JPEG, and cameras' Motion JPEG */
    DET_YUV_BT709 = 2,      /**< limited range: video of 720 rows and more */
    DET_YUV_BT709_FULL = 3
} det_yuv_color;

/** A part of an image, in pixels; all 0: the whole image. */
typedef struct det_region {
    int32_t y, x, height, width;
} det_region;

/** Pixels of the caller's, only read. Fields that are not named must be 0. */
typedef struct det_image_view {
    /** First pixel of the top row; of NV12 and I420 the plane of Y. */
    const uint8_t *pixels;
    int32_t width, height;
    /** From one row to the next, negative where they go upwards in memory; 0: no padding. */
    ptrdiff_t stride_bytes;
    det_pixel_format format;
    /** Of NV12, I420 and YUYV; of the others it is not looked at, nor are the planes of colour. */
    det_yuv_color yuv_color;
    /** First byte of the top row: NV12 has the plane of U and V in [0], I420 those of U and of V
     *  (exchanged: YV12). */
    const uint8_t *chroma[2];
    /** From one of its rows to the next, as stride_bytes. */
    ptrdiff_t chroma_stride_bytes[2];
    /** The part that is looked at, as if the image ended there. A detector's boxes are relative to
     *  the whole image. */
    det_region region;
} det_image_view;

/** How a picture is looked at in tiles: parts that overlap, each of which the network sees as large
 * as it is, so that small objects are not lost in scaling the picture down. docs/small_objects.md
 */
typedef struct det_tile_settings {
    size_t struct_size; /**< sizeof(det_tile_settings), set by the default function */
    /** of a tile, in pixels of the picture. 0, the default: of the network's input, so that nothing
     * is scaled. Tiles are as few as cover the picture with the overlap, spread evenly, and end at
     * its border; a side that is shorter than the tile's is taken whole */
    int32_t height, width;
    /** share of a tile's side that neighbours have in common at least, 0 to .9; default .2 */
    float overlap;
    /** 1, the default: the whole picture is looked at, too, scaled down, for objects that are
     * larger than a tile */
    int32_t whole;
} det_tile_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_tile_settings_init(det_tile_settings *settings, size_t struct_size);
static inline void det_tile_settings_default(det_tile_settings *settings)
{
    det_tile_settings_init(settings, sizeof *settings);
}

/** The tiles of a picture of height x width pixels, row by row: *count how many, the first
 * `capacity` of them into tiles, which may be NULL when that is 0. A picture that is no larger than
 * a tile is one. settings->height and width must not be 0 here. UNSUPPORTED: more than 65536
 * tiles. */
DET_NODISCARD DET_API det_status det_tile_plan(det_context *context,
                                               const det_tile_settings *settings, int32_t height,
                                               int32_t width, det_region *tiles, size_t capacity,
                                               size_t *count);

typedef struct det_detector_settings {
    size_t struct_size;     /**< sizeof(det_detector_settings), set by the default function */
    float score_threshold;  /**< lowest score that is reported, 0..1; default .5; never below the
                               model's own */
    int32_t max_detections; /**< per image; 0, the default: what the model's config says (100); more
                               than that also lifts the config's limit per class */
    int32_t input_height, input_width; /* of the network; 0, the default: the model's own. Another
                               size than it was trained for trades accuracy for time */
    int32_t batch; /**< most images of one det_detector_run_batch(); default 1 */

    /** 1: the network's outputs are kept for det_detector_outputs(); default 0 */
    int32_t keep_outputs;
    /** [class_count] by class index, in place of score_threshold: the lowest score of each class
     *  that is reported, 0..1. class_count is the model's. NULL, the default: score_threshold for
     *  all. Copied. */
    const float *class_score;
    int32_t class_count;
    int32_t chosen_count;
    /** [chosen_count] ids of the classes that are reported, the others then are not. NULL, the
     *  default: all. Copied. */
    const int32_t *chosen_classes;
    /** Each image is looked at in tiles, `batch` of which the network sees at once, and what was
     * found in them is merged: an object in several tiles is reported once, with all of its box,
     * also where it is cut in each of them. max_detections then counts what is merged; 0: what the
     * model's config says is the limit of each tile, and the image has none. Not with keep_outputs.
     * An image that is no larger than a tile is looked at as without. NULL, the default: no tiles.
     * Copied. */
    const det_tile_settings *tiles;
} det_detector_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_detector_settings_init(det_detector_settings *settings, size_t struct_size);
static inline void det_detector_settings_default(det_detector_settings *settings)
{
    det_detector_settings_init(settings, sizeof *settings);
}

typedef struct det_detection {
    int32_t class_id; /**< 1..K */
    float score;
    /** Normalised to the image, 0..1; to all of it, also where a region was looked at. */
    float ymin, xmin, ymax, xmax;
} det_detection;

/** `settings` may be NULL. The model must outlive the detector. */
DET_NODISCARD DET_API det_status det_detector_create(det_context *context, const det_model *model,
                                                     const det_detector_settings *settings,
                                                     det_detector **detector);
DET_API void det_detector_destroy(det_detector **detector);

/** Detects in one image. *detections, by falling score, belong to the detector and hold until its
 *  next run. NON_FINITE when the network's output holds a NaN or infinity. */
DET_NODISCARD DET_API det_status det_detector_run(det_detector *detector,
                                                  const det_image_view *image,
                                                  const det_detection **detections, size_t *count);

/**
 * From the next run on detections of class `class_id` (1..K; 0: of all classes) are reported from
 * `score` (0..1) on, never below the model's own threshold. Nothing is allocated. Scores are
 * compared before suppression, which gives what sorting out afterwards would (a detection
 * suppresses none that is surer than it; with tiles it may, where that one is cut by a tile's
 * border), except that max_detections counts only what is reported.
 * After a failure nothing has changed.
 */
DET_NODISCARD DET_API det_status det_detector_set_score(det_detector *detector, int32_t class_id,
                                                        float score);

/** From the next run on only detections of these classes (ids 1..K, in any order) are reported;
 *  count 0: of all classes. Scores by class stay. Nothing is allocated. After a failure nothing has
 *  changed. */
DET_NODISCARD DET_API det_status det_detector_choose_classes(det_detector *detector,
                                                             const int32_t *class_ids,
                                                             size_t count);

/** One image's part of a batch. */
typedef struct det_image_detections {
    const det_detection *detections; /* by falling score */
    size_t count;
} det_image_detections;

/** Detects in 1 to settings.batch images at once; results [count], which hold until the next run.
 * Fewer images cost as much time as a whole batch. A count out of range leaves `results` as they
 * are; after any other failure all are empty. */
DET_NODISCARD DET_API det_status det_detector_run_batch(det_detector *detector,
                                                        const det_image_view *images, size_t count,
                                                        det_image_detections *results);

/** The highest score that the network gave image `index` of the last run, to any class and anywhere
 * in it, also below the threshold: what to say when nothing was found (with tiles, and where
 * something was, the highest of that). NON_FINITE as the run; INVALID_ARGUMENT when the network has
 * not seen the image. */
DET_NODISCARD DET_API det_status det_detector_top_score(det_detector *detector, size_t index,
                                                        float *score, int32_t *class_id);

/** What the network gave for an image, for post-processing of one's own (det/boxes.h). */
typedef struct det_detector_raw {
    size_t struct_size; /**< sizeof(det_detector_raw) */
    /** [anchor_count][class_count + 1] before the sigmoid; column 0 is the background, which is
     *  learnt but not looked at */
    const float *logits;
    const float *encodings; /**< [anchor_count][4] ty, tx, th, tw */
    /** [anchor_count][4] ymin, xmin, ymax, xmax, relative to the network's input, as decoded boxes
     *  are */
    const float *anchors;
    int32_t anchor_count, class_count;
    float window[4]; /**< where the image is in the input: 0, 0, 1, 1 unless it was padded */
} det_detector_raw;

/** Of image `index` of the last run, with settings.keep_outputs. The arrays belong to the detector
 *  and hold until its next run. INVALID_ARGUMENT also when the last run failed, or there was none.
 *  Source: meta_architectures/ssd_meta_arch.py predict() of the TF Object Detection API. */
DET_NODISCARD DET_API det_status det_detector_outputs(det_detector *detector, size_t index,
                                                      det_detector_raw *outputs);

/** Nanoseconds of the last run: resize and normalise, network, post-processing; with tiles of all
 * of them, and what merging took in the last. */
typedef struct det_detector_times {
    size_t struct_size; /**< sizeof(det_detector_times) */
    uint64_t preprocess_ns, network_ns, postprocess_ns;
} det_detector_times;
DET_NODISCARD DET_API det_status det_detector_last_times(const det_detector *detector,
                                                         det_detector_times *times);

/** Bytes of working memory, weights not included. */
DET_API size_t det_detector_memory_bytes(const det_detector *detector);

/**
 * One image's detections as one line of JSON (without the newline):
 * {"image":"a.jpg","width":640,"height":480,"detections":[{"class_id":1,"class":"car","score":0.87,
 *  "box_px":[ymin,xmin,ymax,xmax],"box":[ymin,xmin,ymax,xmax]}]}, box_px in pixels, box
 *  normalised.
 * Numbers read back as the same floats and do not depend on the locale; a byte of `image` that is
 * no UTF-8 becomes "%" and two hexadecimal digits. `model` gives the class names; NULL: "class N".
 * A value that is not finite is NON_FINITE. *json is allocated with the context's allocator:
 * release it with det_json_destroy(); NULL on failure.
 */
DET_NODISCARD DET_API det_status det_detections_to_json(det_context *context,
                                                        const det_model *model, const char *image,
                                                        int32_t width, int32_t height,
                                                        const det_detection *detections,
                                                        size_t count, char **json);
/** Releases the text and sets *json to NULL. NULL is allowed. */
DET_API void det_json_destroy(det_context *context, char **json);

#ifdef __cplusplus
}
#endif
#endif
