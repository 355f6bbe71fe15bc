/* det/quantisation.h: a model in 8 bits, made after training or of one that was trained in 8 bits.
 *
 * What convolutions read and write become whole numbers of 8 bits, their weights too, each output
 * channel with a scale of its own: TFLite's 8-bit quantization specification (docs/quantisation.md
 * tells the arithmetic). Which range of real numbers the 8 bits of a tensor cover is taken from
 * pictures like those that the model will see; labels are not needed. A checkpoint that was trained
 * with graph_rewriter { quantization { } } in its pipeline.config has learnt its ranges: pictures
 * are not needed either, and the model in 8 bits is what the training saw.
 *
 * Thread safety: as the context; a model that is made is not changed any more.
 */
#ifndef DET_QUANTISATION_H
#define DET_QUANTISATION_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/model.h"
#include "det/sample_source.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Pictures that are enough. */
#define DET_QUANTISATION_IMAGES 200

/** Of the multiplications, the share that may go back to float32 for the sake of
 * det_quantisation_settings.accept. */
#define DET_QUANTISATION_MOST_FLOAT 0.25

/** How the range of a tensor is chosen from what it held. */
typedef enum det_quantisation_observer {
    /** the one of the others with which the outputs differ least from the float32 network's */
    DET_OBSERVER_AUTO = 0,
    /** all that was seen */
    DET_OBSERVER_MINMAX = 1,
    /** the means of the pictures' least and largest values */
    DET_OBSERVER_AVERAGE = 2,
    /** all but one value of ten thousand */
    DET_OBSERVER_PERCENTILE = 3,
    /** the range with the least squared error of rounding and clamping together */
    DET_OBSERVER_SQUARES = 4,
    /** what training in 8 bits has learnt; of models that were trained so, which take nothing
     * else */
    DET_OBSERVER_TRAINED = 5
} det_quantisation_observer;

/** "auto", "minmax", "average", "percentile", "squares", "trained"; NULL for another value.
 * Static. */
DET_API const char *det_quantisation_observer_name(det_quantisation_observer observer);

/** Which convolutions stay in float32. */
typedef enum det_quantisation_floats {
    /** the first, the last, both or none: the fewest that make the outputs markedly better */
    DET_QUANTISATION_FLOATS_AUTO = 0,
    /** none: for accelerators that know 8 bits only */
    DET_QUANTISATION_FLOATS_NONE = 1
} det_quantisation_floats;

typedef struct det_quantisation_settings {
    /** sizeof(det_quantisation_settings), set by the default function */
    size_t struct_size;
    /** TFRecord files or patterns; their boxes are not looked at */
    const char *const *records;
    size_t record_count;
    /** for records whose image/encoded is empty */
    const char *const *image_dirs;
    size_t image_dir_count;
    /** pictures of the program's own, in place of records. NULL, the default: records */
    const det_sample_source *samples;
    /** at most, taken evenly from all; default DET_QUANTISATION_IMAGES */
    int64_t images;
    det_quantisation_observer observer;
    det_quantisation_floats floats;
    /** 1, the default: channels in front of depthwise and projecting convolutions are scaled so
     * that they use their tensor's range, where that makes the outputs better (Nagel et al.,
     * "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section
     * 4.1) */
    int32_t equalise;
    /** 1, the default: what rounding the weights adds to a channel on the average is taken off its
     * bias (there, section 4.2) */
    int32_t correct_biases;
    /** Called now and then; return non-zero to stop with CANCELLED. May be NULL. */
    int (*progress)(void *user, int64_t done, int64_t total);
    void *progress_user;
    /** Whether a model that was made is good enough, which a program knows by evaluating it. More
     * than 0 takes it, less stops with CANCELLED; with 0 another is made and it is asked again.
     * First come the other calibrations, which are as fast: by the other observers, with channels
     * equalised or not, with biases corrected or not, as far as `observer`, `equalise` and
     * `correct_biases` leave that open; none whose outputs differ from float32's more than twice as
     * much as the best one's, the best first. Then, as the first one was calibrated, the layers
     * that cost most for their work go back to float32, a few at a time, until more than
     * DET_QUANTISATION_MOST_FLOAT of the multiplications would be in float32; with
     * DET_QUANTISATION_FLOATS_NONE none does. Of a model that was trained in 8 bits it is asked
     * once. The candidate is lent; the one that is taken is what *quantised becomes. The context
     * may be used. NULL, the default: the first one is taken. */
    int (*accept)(void *user, const det_model *candidate);
    void *accept_user;
} det_quantisation_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_quantisation_settings_init(det_quantisation_settings *settings,
                                            size_t struct_size);
static inline void det_quantisation_settings_default(det_quantisation_settings *settings)
{
    det_quantisation_settings_init(settings, sizeof *settings);
}

/**
 * A copy of `model`, in the form that is exported, in 8 bits. It is saved, loaded, run and
 * exported like any other. Of a model that was trained in 8 bits without pictures, all in 8 bits,
 * by its own ranges; `images`, `floats`, `equalise` and `correct_biases` have no meaning then.
 * INVALID_ARGUMENT: no pictures, or pictures for a model that was trained in 8 bits, or a model
 * that is in 8 bits already. NON_FINITE: outputs or weights that are. MISMATCH: none was accepted.
 * On failure *quantised is NULL.
 */
DET_NODISCARD DET_API det_status det_model_quantise(det_context *context, const det_model *model,
                                                    const det_quantisation_settings *settings,
                                                    det_model **quantised);

/** 1: the model was trained in 8 bits and knows its ranges; 0 for NULL. Thread-safe. */
DET_API int det_model_is_trained_in_8_bits(const det_model *model);

/** What is known of a model's 8 bits. */
typedef struct det_quantisation_info {
    size_t struct_size; /**< sizeof(det_quantisation_info), set by the caller */
    /** 0: the model is in float32, and all else is 0 */
    int32_t is_quantised;
    int32_t layers;       /**< convolutions */
    int32_t float_layers; /**< of these in float32 */
    int32_t equalised;    /**< channels were scaled */
    int64_t images;       /**< that the ranges were taken from; 0: by training */
    det_quantisation_observer observer;
    int32_t biases_corrected; /**< by what rounding the weights adds to them */
    /** of the outputs on some of these, in shares of what the float32 network gives: root of the
     * mean squared difference of scores, and of box encodings weighted by their score */
    double score_error, box_error;
    double float_share; /**< of the multiplications, in float32 */
} det_quantisation_info;

DET_NODISCARD DET_API det_status det_model_quantisation(det_context *context,
                                                        const det_model *model,
                                                        det_quantisation_info *info);

/** A convolution of a model in 8 bits; lent as long as the model. */
typedef struct det_quantisation_layer {
    size_t struct_size; /**< sizeof(det_quantisation_layer), set by the caller */
    const char *name;   /**< the weight's name; levels that share weights have the same */
    int32_t is_float;
    int32_t reserved;
    /** of the outputs as above, the larger one, when this layer alone is in 8 bits as the model
     * that was made first is calibrated */
    double error;
} det_quantisation_layer;

/** Number `index` of them, from 0 on, in the network's order. INVALID_ARGUMENT out of range. */
DET_NODISCARD DET_API det_status det_model_quantisation_layer(det_context *context,
                                                              const det_model *model, size_t index,
                                                              det_quantisation_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
