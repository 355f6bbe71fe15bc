/* trainer.h: what is behind a det_trainer. trainer_setup.c builds it from a config, trainer_start.c
 * gives it its weights, trainer.c steps and saves, trainer_eval.c evaluates between steps. */
#ifndef DET_TRAIN_TRAINER_H
#define DET_TRAIN_TRAINER_H

#include "base/context.h"
#include "data/loader.h"
#include "det/trainer.h"
#include "formats/label_map.h"
#include "model/from_config.h"
#include "train/checkpoint.h"
#include "train/dir_lock.h"
#include "train/learner.h"
#include "train/run_record.h"

struct det_trainer {
    struct det_context *context;
    struct det_env *env; /* the context's */

    char *model_dir; /* NULL: nothing is written */
    bool saves;      /* the settings have a model folder, on all ranks; model_dir is rank 0's */
    struct det_dir_lock lock;
    struct det_run_record record; /* MODEL_DIR/run.json */
    int64_t checkpoint_every_steps;
    double checkpoint_every_seconds;
    int32_t keep_checkpoints;

    struct det_label_map labels;
    struct det_dataset dataset;
    struct det_loader *loader;
    struct det_learner *learner;
    struct det_config_schedule schedule;
    int32_t max_boxes; /* train_input_reader.max_number_of_boxes */
    det_trainer_memory memory;
    int32_t batch_size;
    bool use_averages; /* snapshots are made of the moving averages of the weights */

    /* With several ranks (trainer_ranks.c); batch_size is one rank's then. */
    det_communicator *communicator; /* NULL: alone */
    int32_t rank, ranks;            /* 0 and 1 alone */
    int (*wants_stop)(void *user);  /* NULL: nobody is asked */
    void *wants_stop_user;
    bool stopped_by_rank; /* somebody was asked to stop, has given up or is lost */
    double *rank_seconds; /* [ranks] that each needed since the last look at them, on rank 0 */
    int64_t timed_steps, look_at_times;

    struct det_batch next; /* taken from the loader for the next step; count 0: none */
    bool staged;           /* and handed to the learner */

    struct det_checkpoint_state state; /* of the weights as they are now */
    int64_t num_steps;                 /* INT64_MAX: no end */
    int64_t saved_step;                /* step of the newest checkpoint, -1: none */
    uint64_t saved_ns;                 /* when it was written, or training began */
    bool save_failed;                  /* the last try: the disk was full */

    const struct det_pipeline_config *config; /* the caller's; NULL unless there are evaluations */
    int64_t eval_every_steps;                 /* 0: none */
    int32_t patience;
    double min_delta;
    det_evaluation_settings eval_settings;
    det_evaluation *evaluation;     /* the newest, NULL before the first */
    det_evaluation *api_evaluation; /* ... as the API evaluates; NULL unless wanted and different */
    bool wants_api_evaluation;
    bool stopped_early;

    int64_t recalibrate_images; /* 0: the exported form's statistics are the moving ones */
    float *recalibrated; /* NULL before the first, or the parameters with statistics taken anew */
    int64_t recalibrated_count;        /* over how many pictures */
    int64_t recalibrated_step;         /* after which step */
    struct det_loader_settings resize; /* how an image becomes the network's input */

    det_summary_writer *train_summaries, *eval_summaries; /* NULL: none, or given up */
    /* of the API's way, where it is made beside the exported form */
    det_summary_writer *api_summaries;
    char *results; /* MODEL_DIR/results.csv */
    int64_t summary_every_steps, picture_every_steps;
    bool summary_begun;
    int64_t summed_steps; /* since the last point of the curves */
    double summed_seconds, summed_wait_seconds, summed_rank_wait_seconds;
};

/* Everything but the loop; trainer->env and ->context are set. The caller destroys it after a
 * failure. */
det_status det_trainer_set_up(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *settings);

/* --- trainer_ranks.c: of one rank alone nothing happens in any of these --- */

/* Takes the settings over; the batch becomes this rank's part of it. */
det_status det_trainer_ranks_take(struct det_trainer *trainer,
                                  const det_trainer_settings *settings);
/* As det_ranks_agree(). */
det_status det_trainer_agree(struct det_trainer *trainer, det_status mine);
/* MISMATCH, the same one for all, where what has to be alike on all ranks is not. */
det_status det_trainer_compare_ranks(struct det_trainer *trainer,
                                     const struct det_pipeline_config *config,
                                     const det_trainer_settings *settings);
/* Rank 0's weights, optimizer state and place in the training become everybody's. */
det_status det_trainer_share_state(struct det_trainer *trainer);
/* Its memory of evaluations does: a best checkpoint that it could not write is none. */
det_status det_trainer_share_best(struct det_trainer *trainer, det_step_report *report);
det_status det_trainer_log_ranks(struct det_trainer *trainer);
/* Takes in how long the ranks needed for a step; now and then names one that is slow. */
void det_trainer_time_ranks(struct det_trainer *trainer, const struct det_step_result *result);

/* Whether to stop at once, because this rank's program says so or another rank is not there any
 * more; `user` is the trainer. */
bool det_trainer_is_stopped(void *user);
/* Of a CANCELLED that came of that: OK'd by whom, or who is lost. */
det_status det_trainer_why_stopped(struct det_trainer *trainer, det_status status);
/* Behind a step: *stop is set on all ranks when it is on one. */
det_status det_trainer_agree_to_stop(struct det_trainer *trainer, bool *stop);

/* A failure of this rank alone is told to the others; rank 0 saves what it has when one of them is
 * lost or has failed. Returns `status`. */
det_status det_trainer_tell_ranks(struct det_trainer *trainer, det_status status);

/* --- trainer_broken.c --- */

/* The present message, of a step that is not finite, with the records of the batch that it was, and
 * MODEL_DIR/replay-STEP.det. `rank` is the one whose batch it was, -1 without ranks. */
det_status det_trainer_keep_broken(struct det_trainer *trainer, const struct det_batch *batch,
                                   int32_t rank);
/* No more than train_input_reader.max_number_of_boxes in each image. */
void det_trainer_limit_boxes(const struct det_trainer *trainer, struct det_batch *batch);

/* --- trainer_start.c --- */

/* The newest checkpoint of the model folder. */
enum det_trainer_latest {
    DET_LATEST_NONE,
    DET_LATEST_OWN,
    DET_LATEST_TENSORFLOW,
    DET_LATEST_UNBEGUN, /* TensorFlow's, from before it had weights */
    DET_LATEST_ZOO      /* TensorFlow's, of no training */
};
det_status det_trainer_find_latest(struct det_trainer *trainer, det_checkpoint_info *info,
                                   enum det_trainer_latest *latest);
bool det_trainer_is_fine_tuned(const struct det_pipeline_config *config);
/* Weights, optimizer state and step into the learner, to be pushed then. FINISHED when there is
 * nothing left to do. */
det_status det_trainer_restore(struct det_trainer *trainer,
                               const struct det_pipeline_config *config,
                               const det_trainer_settings *settings);

/* --- trainer_advice.c --- */

/* The share of the boxes that the anchors reach, as a line or a warning; a learning
 * rate that does not suit the batch, as a warning or, where the settings ask for it, scaled. */
det_status det_trainer_log_coverage(struct det_trainer *trainer, const struct det_model_spec *spec);
void det_trainer_advise_rate(struct det_trainer *trainer, const struct det_pipeline_config *config,
                             const det_trainer_settings *settings);
/* Steps beside the schedule and the batch beside the data, as warnings. */
void det_trainer_advise_length(struct det_trainer *trainer);
/* Says that training starts from initial values, and whether it should. */
void det_trainer_advise_start(struct det_trainer *trainer);

/* The present state as a checkpoint, with the recalibrated statistics where they are of these
 * weights. */
det_status det_trainer_write_checkpoint(struct det_trainer *trainer, const char *path);

/* MODEL_DIR/ckpt-STEP.det; freed by the caller. */
det_status det_trainer_checkpoint_path(const struct det_trainer *trainer, int64_t step,
                                       char **path);

/* Names of the classes as they go into checkpoints and models: [K], NULL for an id without an
 * item. */
const char *const *det_trainer_class_names(const struct det_trainer *trainer);

/* A write that may do better later: no room, or a fault of the device. */
static inline bool det_trainer_disk_failed(det_status status)
{
    return status == DET_STATUS_NO_SPACE || status == DET_STATUS_IO;
}

/* --- trainer_model_dir.c --- */

/* Takes the folder for this training, where it is there already (`make`: makes it); nothing when it
 * is taken. */
det_status det_trainer_lock_model_dir(struct det_trainer *trainer, bool make);
/* Puts the config into it. */
det_status det_trainer_prepare_model_dir(struct det_trainer *trainer,
                                         const struct det_pipeline_config *config);

/* --- trainer_record.c --- */

/* Begins this run's entry of MODEL_DIR/run.json; what fails is a warning. */
void det_trainer_record_begin(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *settings);
/* How the run goes so far: `status` of the last step, or of the save behind it. */
void det_trainer_record_note(struct det_trainer *trainer, det_status status);
/* Ends the entry; nothing where none was begun. */
void det_trainer_record_end(struct det_trainer *trainer);

/* --- trainer_eval.c --- */

/* The evaluations' settings, over the defaults; these alone where none are made. */
det_status det_trainer_eval_take(const struct det_trainer *trainer,
                                 const det_trainer_settings *settings,
                                 det_evaluation_settings *taken);
/* Takes the settings over and looks into the evaluation data: its errors are to be told before
 * training. */
det_status det_trainer_eval_set_up(struct det_trainer *trainer,
                                   const struct det_pipeline_config *config,
                                   const det_trainer_settings *settings);
/* A checkpoint's memory of evaluations that were made by another metric than this run's begins
 * anew. */
void det_trainer_eval_resume(struct det_trainer *trainer, struct det_checkpoint_state *state);
bool det_trainer_eval_is_due(const struct det_trainer *trainer);
/* Evaluates the present weights, keeps the best checkpoint, fills in the evaluation's part of the
 * report. */
det_status det_trainer_evaluate_now(struct det_trainer *trainer, det_step_report *report);
/* What the evaluations' progress function is asked by, and whether to stop; `user` is the
 * trainer. */
int det_trainer_progress(void *user, int64_t done, int64_t total);
/* Sets stopped_early. */
void det_trainer_check_patience(struct det_trainer *trainer);
/* All steps done, or stopped early. */
bool det_trainer_is_done(const struct det_trainer *trainer);

/* --- trainer_recalibrate.c --- */

/* Takes the setting over; warns where moving averages alone would not do for an export. */
det_status det_trainer_recalibrate_set_up(struct det_trainer *trainer,
                                          const struct det_pipeline_config *config,
                                          const det_trainer_settings *settings);
void det_trainer_recalibrate_free(struct det_trainer *trainer);
/* Statistics of the present weights, unless they are there or not wanted. What fails is a warning,
 * and then there are none; only CANCELLED, by the evaluations' progress function, is returned. */
det_status det_trainer_recalibrate(struct det_trainer *trainer);
/* They are there, of the present weights. */
bool det_trainer_is_recalibrated(const struct det_trainer *trainer);

/* --- trainer_rounding.c --- */

/* Told with the config: training in 8 bits that never begins. */
void det_trainer_advise_rounding(const struct det_trainer *trainer,
                                 const struct det_pipeline_config *config,
                                 const struct det_learner_settings *learner);
/* Before a step: where the next one is the first with 8 bits in it, the batch norms get the
 * statistics that are frozen then. CANCELLED by the evaluations' progress function. */
det_status det_trainer_begin_rounding(struct det_trainer *trainer);

/* --- trainer_summary.c --- */

/* After det_trainer_eval_set_up() and when the model folder is there. */
det_status det_trainer_summary_set_up(struct det_trainer *trainer,
                                      const det_trainer_settings *settings);
void det_trainer_summary_free(struct det_trainer *trainer);
/* What is due of the batch that the next step learns from, then after that step; a failure is a
 * warning, and the end of the summaries. */
void det_trainer_summary_batch(struct det_trainer *trainer, const struct det_batch *batch);
void det_trainer_summary_step(struct det_trainer *trainer, const det_step_report *report);

#endif
