/* trainer_broken.c: a step whose loss or gradient is not finite: which data it was, and a file to
 * repeat it with (train/replay.h). */
#include <stdio.h>
#include <string.h>

#include "support/mem.h"
#include "support/text.h"
#include "train/replay.h"
#include "train/trainer.h"

/* Of a message that names the records of a batch; the rest are counted. */
enum { NAMED_RECORDS_BYTES = 600 };

/* Adds step and records to the present message: which data to look at. */
static det_status name_the_batch(struct det_trainer *trainer, const struct det_batch *batch)
{
    struct det_env *env = trainer->env;
    char cause[256], names[NAMED_RECORDS_BYTES], name[512];
    size_t used = 0;
    int32_t named = 0;
    snprintf(cause, sizeof cause, "%.255s", env->error);
    names[0] = '\0';
    for (; named < batch->count; named++) {
        det_dataset_name(&trainer->dataset, (size_t)batch->record_index[named], name);
        const size_t length = strlen(name) + 2;
        if (used + length >= sizeof names)
            break;
        snprintf(names + used, sizeof names - used, "%s%s", named > 0 ? ", " : "", name);
        used += strlen(names + used);
    }
    char rest[40] = "";
    if (named < batch->count)
        snprintf(rest, sizeof rest, " and %d more", (int)(batch->count - named));
    return det_fail(env, DET_STATUS_NON_FINITE, "step %lld: %s; nothing was updated; batch: %s%s",
                    (long long)trainer->state.step + 1, cause, names, rest);
}

/* MODEL_DIR/replay-STEP.det, and what to do with it behind the present message. */
static det_status keep_replay(struct det_trainer *trainer, const struct det_batch *batch)
{
    struct det_env *env = trainer->env;
    char message[DET_ERROR_BYTES], good[80] = "";
    char *path = NULL;
    if (trainer->model_dir == NULL)
        return DET_STATUS_NON_FINITE;
    memcpy(message, env->error, sizeof message);
    det_status status = det_path_join_printf(env, &path, trainer->model_dir, "replay-%lld.det",
                                             (long long)trainer->state.step + 1);
    if (status == DET_OK)
        status = det_learner_pull(env, trainer->learner);
    if (status == DET_OK)
        status = det_replay_write(env, path, trainer->learner, det_trainer_class_names(trainer),
                                  &trainer->state, batch);
    if (status != DET_OK)
        det_log(env, DET_LOG_WARNING, "no replay file could be written: %s", env->error);
    if (trainer->saved_step >= 0)
        snprintf(good, sizeof good, "; the last good checkpoint is ckpt-%lld.det",
                 (long long)trainer->saved_step);
    det_fail(env, DET_STATUS_NON_FINITE, "%s%s%s%s%s", message, good,
             status == DET_OK ? "; det-train --replay " : "", status == DET_OK ? path : "",
             status == DET_OK ? " repeats the step" : "");
    det_free(env, &path);
    return DET_STATUS_NON_FINITE;
}

static det_status name_and_keep(struct det_trainer *trainer, const struct det_batch *batch)
{
    (void)name_the_batch(trainer, batch);
    return keep_replay(trainer, batch);
}

/* Another rank's batch, loaded once more: rank 0 alone writes. */
static det_status keep_of_rank(struct det_trainer *trainer, const struct det_batch *own,
                               int32_t rank)
{
    struct det_env *env = trainer->env;
    char message[DET_ERROR_BYTES];
    struct det_loader *loader = NULL;
    struct det_batch batch;
    memcpy(message, env->error, sizeof message);
    det_status status = det_loader_create_at(
        env, trainer->loader, own->first_sample + (uint64_t)rank * (uint64_t)trainer->batch_size,
        &loader);
    if (status == DET_OK)
        status = det_loader_next(env, loader, &batch);
    if (status == DET_OK)
        det_trainer_limit_boxes(trainer, &batch);
    else
        det_log(env, DET_LOG_WARNING, "the batch of rank %d could not be loaded again: %s",
                (int)rank, env->error);
    det_fail(env, DET_STATUS_NON_FINITE, "%s", message);
    if (status == DET_OK)
        (void)name_and_keep(trainer, &batch);
    det_loader_destroy(env, &loader);
    return DET_STATUS_NON_FINITE;
}

det_status det_trainer_keep_broken(struct det_trainer *trainer, const struct det_batch *batch,
                                   int32_t rank)
{
    if (rank < 0 || rank == trainer->rank)
        return name_and_keep(trainer, batch);
    return trainer->rank == 0 ? keep_of_rank(trainer, batch, rank) : DET_STATUS_NON_FINITE;
}
