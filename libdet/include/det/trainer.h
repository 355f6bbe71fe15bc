/* det/trainer.h: training as a handle: one call a step, or one call for all of it.
 *
 * A trainer owns the network, its optimizer state and the background loader. Checkpoints are .det
 * files MODEL_DIR/ckpt-STEP.det with weights, optimizer state, step, random seed and data position:
 * the same steps follow, bit for bit, whether training was interrupted or not, for any number of
 * threads.
 */
#ifndef DET_TRAINER_H
#define DET_TRAINER_H

#include <stddef.h>
#include <stdint.h>

#include "det/communicator.h"
#include "det/context.h"
#include "det/evaluation.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/recalibration.h"
#include "det/sample_source.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_trainer det_trainer;

/** The largest power of two up to 128 and the number of training images whose memory is at most
 * four fifths of what is available; on another device than the CPU the largest that fits. */
#define DET_BATCH_SIZE_AUTO (-1)

typedef struct det_trainer_settings {
    size_t struct_size;    /**< sizeof(det_trainer_settings), set by the default function */
    const char *model_dir; /**< where checkpoints go, made if need be; NULL: nothing is written */
    int64_t num_steps;     /**< 0, the default: the config's */
    uint64_t seed;         /**< of initial weights, order and augmentation; default 1 */
    int64_t checkpoint_every_steps;  /**< default 1000; 0: only by time and at the end */
    double checkpoint_every_seconds; /**< default 300; 0: not by time */
    int32_t keep_checkpoints;        /**< newest ones kept; default 5 */
    int32_t loader_threads;          /**< default 0: as the context */
    /** 1: JPEGs that are much larger than the network's input are decoded at a half, a quarter or
     * an eighth of their size: quicker, but other pixels than TensorFlow's. Default 0 */
    int fast_decode;
    const char *const *image_dirs; /**< for records whose image/encoded is empty */
    size_t image_dir_count;
    int resume;         /**< 1, the default: go on from the newest checkpoint in model_dir */
    int32_t batch_size; /**< 0, the default: the config's; DET_BATCH_SIZE_AUTO: see there */
    /** what training may take on the CPU; 0, the default: what the system says is available */
    size_t memory_limit_bytes;
    /** 1: multiply all rates as the warning about rate and batch advises; default 0 */
    int scale_learning_rate;
    /** batches whose mean gradient makes one step, as that many replicas in the API; default 1.
     * More than 1 only on the CPU */
    int32_t accumulate;

    /** evaluate after every so many steps and after the last one, in this process; 0, the default:
     * not at all */
    int64_t eval_every_steps;
    /** How; copied, but what it points to must outlive the trainer, as must the config. NULL, the
     * default: as det_evaluation_settings_default() says. */
    const det_evaluation_settings *evaluation;
    /** figure by which MODEL_DIR/best/ckpt-STEP.det is chosen, outside the rotation: a row of
     * COCO's table as det_coco_stat_name() has it, or Loss/total_loss, ..., or the part behind the
     * slash; of a loss less is better. NULL, the default: DetectionBoxes_Precision/mAP */
    const char *keep_best;
    int32_t patience; /**< stop after so many evaluations without a gain; 0, the default: never */
    double min_delta; /**< a gain is more than this; default 0 */

    /* Event files for TensorBoard in MODEL_DIR/train and, of evaluations, MODEL_DIR/eval, and a row
     * of MODEL_DIR/results.csv for each evaluation. */
    /** between points of the curves; default 100; 0: none of it */
    int64_t summary_every_steps;
    /** between pictures of the augmented training input; default 1000; 0: none, and none of
     * evaluations */
    int64_t picture_every_steps;

    /** before each evaluation and after the last step the exported form's batch norm statistics are
     * taken anew over so many training pictures (det/recalibration.h) and written into the
     * checkpoint beside the moving ones, for exports; default DET_RECALIBRATION_IMAGES, 0: never.
     * Weights do not depend on it */
    int64_t recalibrate_images;
    /** 1, the default: where the two forms can differ (det_evaluation_forms_differ()), each
     * evaluation is made as the API makes it too: MODEL_DIR/eval then holds its curves,
     * MODEL_DIR/eval_exported those of the exported form, which chooses the best checkpoint.
     * evaluation->as_exported is not looked at */
    int api_evaluation;
    /** 1: data without a single box is trained on; 0, the default: it is an error */
    int allow_no_boxes;

    /** images and boxes of the program's own, in place of the records of train_input_reader, whose
     * label map is still needed; image_dirs is not looked at then. Copied. NULL, the default: the
     * records. Evaluations have theirs: evaluation->samples */
    const det_sample_source *samples;

    /** the program's command line, for MODEL_DIR/run.json, which tells of each run what it was made
     * of (docs/monitoring.md). Copied. Default: none */
    const char *const *arguments;
    size_t argument_count;

    /** the ranks that train together; all make this trainer, and every call on it, with the same
     * settings and data, and get the same results and failures. batch_size is that of all together
     * then, a multiple of their number; rank 0 alone writes into model_dir, which only it needs to
     * see. Steps and weights are those of one process with a batch_size of one rank's part and
     * `accumulate` times the number of ranks, bit for bit on the CPU. Must outlive the trainer.
     * NULL, the default: this process alone */
    det_communicator *communicator;
    /** 1: batch norms take the statistics of the pictures of all ranks, and losses are divided by
     * what was matched on all, as one process with all the pictures in one batch does. Default 0:
     * each rank's part is normalised on its own, as the API's replicas are */
    int sync_batch_norm;
    /** 1: gradients go to the other ranks, and their sums come back, in bf16; default 0 */
    int bf16_gradients;
    /** with several ranks: asked between the operations of a step (on a GPU: while its end is
     * waited for) and the images of an evaluation; not 0, on any rank: what was done of the step
     * is dropped, and the training stops on all ranks as det_trainer_run() says of its callback,
     * within the time of an operation. For signals: mpirun leaves a process a second. NULL, the
     * default: only the callback stops */
    int (*wants_stop)(void *user);
    void *wants_stop_user;
} det_trainer_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_trainer_settings_init(det_trainer_settings *settings, size_t struct_size);
static inline void det_trainer_settings_default(det_trainer_settings *settings)
{
    det_trainer_settings_init(settings, sizeof *settings);
}

/** What is known after a step. */
typedef struct det_step_report {
    size_t struct_size; /**< sizeof(det_step_report) */
    int64_t step;       /**< steps done, this one included */
    int64_t num_steps;  /**< at which training ends */
    double learning_rate;
    double localization_loss, classification_loss, regularization_loss, total_loss;
    double gradient_norm;
    double step_seconds;      /**< this step, waiting for data included */
    double data_wait_seconds; /**< part of it spent waiting for data */
    int32_t images;           /**< batch size */
    int saved;                /**< a checkpoint was written after this step */

    /** of the weights after this step as they would be exported, NULL: none was due. The trainer's,
     * until the next call on it */
    det_evaluation *evaluation;
    double eval_seconds; /**< time it took, not part of step_seconds */
    int is_best;         /**< best so far: saved in MODEL_DIR/best */
    /** as the API evaluates; NULL: not asked for, or `evaluation` is that too. Owned alike */
    det_evaluation *api_evaluation;
    /** part of step_seconds that this rank waited for others, and for what they sent; 0 without
     * a communicator */
    double rank_wait_seconds;
} det_step_report;

/**
 * Reads config, label map and data, builds the network, restores (the newest checkpoint of
 * model_dir, else the config's fine_tune_checkpoint, else initial values) and starts the loader.
 * Logs what it found and did. FINISHED when model_dir already holds the last step, or a training
 * that was stopped early. IN_USE when another training runs in model_dir, on this machine or on
 * another one that shares the disk: model_dir/training.lock says whose it is until the trainer is
 * destroyed (a lock whose owner is gone is taken over); a trainer whose lock was taken over,
 * because its machine slept for ten minutes, gets IN_USE from its next step or save and writes
 * nothing more.
 */
DET_NODISCARD DET_API det_status det_trainer_create(det_context *context,
                                                    const det_pipeline_config *config,
                                                    const det_trainer_settings *settings,
                                                    det_trainer **trainer);
DET_API void det_trainer_destroy(det_trainer **trainer);

/** *running is 1 when somebody trains in `model_dir` now, on this machine or another one that
 * shares the disk; disturbs nobody. Nobody does in a folder that is not there. */
DET_NODISCARD DET_API det_status det_trainer_is_running(det_context *context, const char *model_dir,
                                                        int *running);

/** One step; evaluates and saves when that is due. FINISHED when all steps are done or training was
 * stopped early. NON_FINITE when the loss is not a number: nothing was updated, and the last good
 * checkpoint stands. A checkpoint that cannot be written for want of space is a warning and tried
 * again after a minute; after the last step it is an error. When a run ended between a step and
 * its evaluation, the resumed one makes up for it first: a report with `evaluation` and without a
 * step (`images` is 0). An evaluation that settings.evaluation->progress stops counts as not
 * made. */
DET_NODISCARD DET_API det_status det_trainer_step(det_trainer *trainer, det_step_report *report);

/** Writes a checkpoint now. */
DET_NODISCARD DET_API det_status det_trainer_save(det_trainer *trainer);

/** Called after each step; return 0 to go on, anything else to stop (then a checkpoint is written
 * and DET_OK comes back; with several ranks all stop when one does). */
typedef int (*det_step_callback)(void *user, const det_step_report *report);

/** Steps until the end or until the callback stops it, and saves at the end. */
DET_NODISCARD DET_API det_status det_trainer_run(det_trainer *trainer, det_step_callback callback,
                                                 void *user);

/** The best evaluation so far, those of earlier runs included. */
typedef struct det_trainer_best {
    size_t struct_size; /**< sizeof(det_trainer_best) */
    const char *metric; /**< full name, the trainer's; "" without evaluations */
    int known;          /**< 0: no evaluation gave a value, the next two are 0 */
    double value;
    int64_t step;
    int64_t evaluations_since; /**< without a gain: what is compared with `patience` */
    int stopped_early;
} det_trainer_best;
DET_NODISCARD DET_API det_status det_trainer_get_best(const det_trainer *trainer,
                                                      det_trainer_best *best);

/** Steps done so far, those of earlier runs included. */
DET_API int64_t det_trainer_steps_done(const det_trainer *trainer);

/** A copy of the present weights as a model (training form, can be exported or evaluated), with
 * recalibrated statistics when they were taken after this step. */
DET_NODISCARD DET_API det_status det_trainer_snapshot(det_trainer *trainer, det_model **model);

/**
 * Repeats, without updating anything, the step that a replay file (MODEL_DIR/replay-STEP.det,
 * written when a loss or gradient was not finite) was made of: the same parameters, the same
 * batch. NON_FINITE tells the first layer that goes wrong, as it did in training; DET_OK when all
 * is finite here (another device or instruction set rounds differently). *report has what was
 * computed.
 */
DET_NODISCARD DET_API det_status det_trainer_replay(det_context *context,
                                                    const det_pipeline_config *config,
                                                    const char *path, det_step_report *report);

/** Bytes of memory planned: parameters and optimizer, activations, batches of the loader. */
typedef struct det_trainer_memory {
    size_t struct_size; /**< sizeof(det_trainer_memory) */
    size_t parameters_bytes, activations_bytes, loader_bytes;
} det_trainer_memory;
DET_NODISCARD DET_API det_status det_trainer_memory_plan(const det_trainer *trainer,
                                                         det_trainer_memory *memory);

#ifdef __cplusplus
}
#endif
#endif
