/* trainer_ranks.c: a training of several ranks (ranks/communicator.h). All ranks go through the
 * same stages and steps; what only rank 0 has (the model folder, and so the weights to begin with)
 * the others get from it, and what must be alike is compared before the first step. */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "devices/context.h"
#include "ranks/communicator.h"
#include "support/mem.h"
#include "support/text.h"
#include "train/trainer.h"

/* Slower than the median of the ranks by this share is worth a word. */
#define SLOW_SHARE .2

/* Updates over which the ranks' times are added up before the first look. */
enum { FIRST_LOOK = 100 };

/* --- settings --- */

det_status det_trainer_ranks_take(struct det_trainer *trainer, const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    const int32_t size = det_communicator_size(s->communicator);
    trainer->communicator = s->communicator;
    trainer->ranks = size;
    trainer->rank = det_communicator_rank(s->communicator);
    trainer->wants_stop = size > 1 ? s->wants_stop : NULL;
    trainer->wants_stop_user = s->wants_stop_user;
    if (size == 1)
        return DET_OK;
    if (trainer->batch_size % size != 0)
        return det_fail(
            env, DET_STATUS_INVALID_ARGUMENT,
            "a step's batch of %d images cannot be shared alike by %d ranks: %d or %d "
            "can (--batch_size, or --batch_per_rank)",
            (int)trainer->batch_size, (int)size,
            (int)(trainer->batch_size < size ? size : trainer->batch_size / size * size),
            (int)(trainer->batch_size / size * size + size));
    trainer->batch_size /= size;
    return det_alloc(env, &trainer->rank_seconds, (size_t)size, sizeof *trainer->rank_seconds,
                     "times of the ranks");
}

det_status det_trainer_agree(struct det_trainer *trainer, det_status mine)
{
    return det_ranks_agree(trainer->env, trainer->communicator, mine);
}

/* --- stopping --- */

bool det_trainer_is_stopped(void *user)
{
    struct det_trainer *trainer = user;
    struct det_env *env = trainer->env;
    if (trainer->stopped_by_rank || trainer->ranks == 1)
        return trainer->stopped_by_rank;
    if (trainer->wants_stop != NULL && trainer->wants_stop(trainer->wants_stop_user) != 0) {
        det_fail(env, DET_STATUS_CANCELLED, "was asked to stop");
        (void)det_ranks_give_up(env, trainer->communicator, DET_STATUS_CANCELLED);
        trainer->stopped_by_rank = true;
    } else if (det_ranks_check(env, trainer->communicator) != DET_OK) {
        trainer->stopped_by_rank = true;
    }
    return trainer->stopped_by_rank;
}

det_status det_trainer_why_stopped(struct det_trainer *trainer, det_status status)
{
    struct det_env *env = trainer->env;
    if (status != DET_STATUS_CANCELLED || trainer->ranks == 1)
        return status;
    const det_status why = det_ranks_check(env, trainer->communicator);
    return why == DET_OK ? status : why;
}

det_status det_trainer_agree_to_stop(struct det_trainer *trainer, bool *stop)
{
    int64_t goes_on = 1;
    if (trainer->ranks == 1)
        return DET_OK;
    DET_TRY_RETURN(
        det_ranks_smallest(trainer->env, trainer->communicator, *stop ? 0 : 1, &goes_on));
    *stop = goes_on == 0;
    return DET_OK;
}

/* The weights are those of the last whole step whatever happens. */
static void save_what_there_is(struct det_trainer *trainer)
{
    struct det_env *env = trainer->env;
    char message[DET_ERROR_BYTES];
    if (trainer->model_dir == NULL || trainer->saved_step >= trainer->state.step ||
        trainer->state.step == 0)
        return;
    memcpy(message, env->error, sizeof message);
    if (det_trainer_save(trainer) != DET_OK)
        det_log(env, DET_LOG_WARNING, "step %lld could not be saved: %s",
                (long long)trainer->state.step, env->error);
    memcpy(env->error, message, sizeof message);
}

det_status det_trainer_tell_ranks(struct det_trainer *trainer, det_status status)
{
    if (status == DET_OK || status == DET_STATUS_FINISHED || trainer->ranks == 1)
        return status;
    char message[DET_ERROR_BYTES];
    memcpy(message, trainer->env->error, sizeof message);
    const bool others = det_ranks_check(trainer->env, trainer->communicator) != DET_OK;
    memcpy(trainer->env->error, message, sizeof message);
    if (others)
        save_what_there_is(trainer);
    return det_ranks_give_up(trainer->env, trainer->communicator, status);
}

/* --- what must be alike --- */

enum { TEXT_BYTES = 64 };

/* Each rank's, compared with rank 0's. */
struct alike {
    char device[TEXT_BYTES]; /* rounds alike */
    int64_t settings[12];
    int64_t images, boxes;
    uint32_t config, data, labels;
};

static uint32_t add_text(uint32_t crc, const char *text)
{
    return text == NULL ? det_crc32c(crc, "", 1) : det_crc32c(crc, text, strlen(text) + 1);
}

/* What is learnt from, wherever the files are. */
static uint32_t data_sum(const struct det_dataset *data)
{
    const struct det_ground_truth *objects = &data->objects;
    const size_t count = (size_t)objects->count;
    uint32_t crc = 0;
    for (size_t i = 0; i < data->count; i++) {
        const struct det_dataset_entry *e = &data->entries[i];
        const int64_t numbers[] = {(int64_t)e->encoded_bytes, e->height_px, e->width_px,
                                   e->object_count};
        crc = det_crc32c(add_text(crc, e->id), numbers, sizeof numbers);
    }
    if (count == 0)
        return crc;
    crc = det_crc32c(crc, objects->boxes, count * sizeof *objects->boxes);
    return det_crc32c(crc, objects->class_index, count * sizeof *objects->class_index);
}

static void describe(const struct det_trainer *trainer, const struct det_pipeline_config *config,
                     const det_trainer_settings *s, struct alike *a)
{
    const struct det_compute *compute = det_context_compute(trainer->context);
    memset(a, 0, sizeof *a);
    /* On a device the driver chooses how it computes: its kind is what can be told. */
    snprintf(a->device, sizeof a->device, "%s %s", compute->backend->name, compute->ops->name);
    a->config = det_crc32c(0, config->text, config->text_bytes);
    const int64_t settings[] = {
        trainer->num_steps, (int64_t)s->seed,          trainer->batch_size,
        s->accumulate,      trainer->eval_every_steps, trainer->patience,
        s->fast_decode,     s->recalibrate_images,     s->sync_batch_norm,
        s->bf16_gradients,  s->model_dir != NULL,      trainer->eval_settings.max_images,
    };
    memcpy(a->settings, settings, sizeof settings);
    a->images = (int64_t)trainer->dataset.counts.images;
    a->boxes = (int64_t)trainer->dataset.counts.boxes;
    a->data = data_sum(&trainer->dataset);
    for (int32_t c = 0; c < trainer->labels.count; c++)
        a->labels = add_text(a->labels, det_trainer_class_names(trainer)[c]);
}

static det_status differ(struct det_trainer *trainer, int32_t rank, const char *what)
{
    return det_fail(trainer->env, DET_STATUS_MISMATCH,
                    "rank %d on %s has %s than rank 0 on %s: all ranks need the same", (int)rank,
                    det_communicator_host(trainer->communicator, rank), what,
                    det_communicator_host(trainer->communicator, 0));
}

static det_status compare(struct det_trainer *trainer, const struct alike *all, int32_t rank)
{
    const struct alike *a = &all[rank], *b = &all[0];
    char what[200];
    if (strcmp(a->device, b->device) != 0)
        snprintf(what, sizeof what, "another instruction set (%.60s, not %.60s; see --cpu)",
                 a->device, b->device);
    else if (a->config != b->config)
        snprintf(what, sizeof what, "another pipeline.config");
    else if (a->labels != b->labels)
        snprintf(what, sizeof what, "another label map");
    else if (a->data != b->data || a->images != b->images || a->boxes != b->boxes)
        snprintf(what, sizeof what,
                 "other training data (%lld images with %lld boxes, not %lld with %lld)",
                 (long long)a->images, (long long)a->boxes, (long long)b->images,
                 (long long)b->boxes);
    else if (memcmp(a->settings, b->settings, sizeof a->settings) != 0)
        snprintf(what, sizeof what, "other settings");
    else
        return DET_OK;
    return differ(trainer, rank, what);
}

det_status det_trainer_compare_ranks(struct det_trainer *trainer,
                                     const struct det_pipeline_config *config,
                                     const det_trainer_settings *settings)
{
    struct det_env *env = trainer->env;
    struct alike own, *all = NULL;
    det_status status = DET_OK;
    if (trainer->ranks == 1)
        return DET_OK;
    describe(trainer, config, settings, &own);
    DET_TRY(det_alloc(env, &all, (size_t)trainer->ranks, sizeof *all, "ranks to compare"));
    DET_TRY(det_ranks_gather(env, trainer->communicator, &own, all, sizeof own));
    for (int32_t r = 1; r < trainer->ranks; r++)
        DET_TRY(compare(trainer, all, r));
fail:
    det_free(env, &all);
    return status;
}

/* --- what rank 0 has --- */

static det_status share_bytes(struct det_trainer *trainer, void *data, size_t bytes)
{
    return det_ranks_broadcast(trainer->env, trainer->communicator, data, bytes);
}

det_status det_trainer_share_state(struct det_trainer *trainer)
{
    struct det_learner *l = trainer->learner;
    const size_t bytes = l->graph.param_floats * sizeof(float);
    const size_t range_bytes = (size_t)l->ranges.count * sizeof *l->ranges.low;
    if (trainer->ranks == 1)
        return DET_OK;
    DET_TRY_RETURN(share_bytes(trainer, l->params, bytes));
    for (int32_t s = 0; s < l->slot_count; s++)
        DET_TRY_RETURN(share_bytes(trainer, l->slots[s], bytes));
    DET_TRY_RETURN(share_bytes(trainer, &l->updates, sizeof l->updates));
    DET_TRY_RETURN(share_bytes(trainer, &l->ranges.updates, sizeof l->ranges.updates));
    DET_TRY_RETURN(share_bytes(trainer, l->ranges.low, range_bytes));
    DET_TRY_RETURN(share_bytes(trainer, l->ranges.high, range_bytes));
    struct det_checkpoint_state state = trainer->state;
    DET_TRY_RETURN(share_bytes(trainer, &state, sizeof state));
    state.recalibrated = NULL;
    trainer->state = state;
    det_trainer_check_patience(trainer);
    return DET_OK;
}

det_status det_trainer_share_best(struct det_trainer *trainer, det_step_report *report)
{
    DET_TRY_RETURN(share_bytes(trainer, &report->is_best, sizeof report->is_best));
    DET_TRY_RETURN(share_bytes(trainer, &trainer->state.best, sizeof trainer->state.best));
    det_trainer_check_patience(trainer);
    return DET_OK;
}

/* --- what there is to say --- */

/* "a: 2, b: 2" */
static det_status name_hosts(struct det_trainer *trainer, struct det_text *text, int32_t *machines)
{
    const det_communicator *c = trainer->communicator;
    *machines = 0;
    for (int32_t r = 0; r < trainer->ranks; r++) {
        int32_t here = 0, before = 0;
        for (int32_t i = 0; i < trainer->ranks; i++)
            if (strcmp(det_communicator_host(c, i), det_communicator_host(c, r)) == 0) {
                here++;
                before += i < r;
            }
        if (before > 0)
            continue;
        (*machines)++;
        if (*machines <= 16)
            DET_TRY_RETURN(det_text_printf(trainer->env, text, "%s%s: %d",
                                           *machines > 1 ? ", " : "", det_communicator_host(c, r),
                                           (int)here));
    }
    return *machines > 16 ? det_text_printf(trainer->env, text, ", ...") : DET_OK;
}

det_status det_trainer_log_ranks(struct det_trainer *trainer)
{
    struct det_text hosts = {0};
    int32_t machines = 0;
    if (trainer->ranks == 1)
        return DET_OK;
    const det_status status = name_hosts(trainer, &hosts, &machines);
    if (status == DET_OK)
        det_log(
            trainer->env, DET_LOG_INFO,
            "%d ranks on %d machine%s (%s): each learns from %d of a step's %d images",
            (int)trainer->ranks, (int)machines, machines == 1 ? "" : "s", hosts.data,
            (int)(trainer->batch_size * trainer->learner->settings.accumulate),
            (int)(trainer->batch_size * trainer->learner->settings.accumulate * trainer->ranks));
    det_text_free(trainer->env, &hosts);
    return status;
}

static double median_of(const double *seconds, int32_t count)
{
    /* the value that half of the others do not exceed; ranks are few */
    for (int32_t i = 0; i < count; i++) {
        int32_t below = 0, same = 0;
        for (int32_t k = 0; k < count; k++) {
            below += seconds[k] < seconds[i];
            same += seconds[k] == seconds[i];
        }
        if (below <= (count - 1) / 2 && below + same > (count - 1) / 2)
            return seconds[i];
    }
    return 0;
}

static void name_slowest(struct det_trainer *trainer)
{
    const double *seconds = trainer->rank_seconds;
    const double usual = median_of(seconds, trainer->ranks);
    const double steps = (double)trainer->timed_steps;
    int32_t slowest = 0;
    for (int32_t r = 1; r < trainer->ranks; r++)
        if (seconds[r] > seconds[slowest])
            slowest = r;
    if (!(seconds[slowest] > usual * (1 + SLOW_SHARE)))
        return;
    det_log(trainer->env, DET_LOG_WARNING,
            "rank %d on %s is slow: it takes %.0f %% longer than the others (%.3g s a step, they "
            "%.3g s), which wait for it",
            (int)slowest, det_communicator_host(trainer->communicator, slowest),
            100 * (seconds[slowest] / usual - 1), seconds[slowest] / steps, usual / steps);
}

void det_trainer_time_ranks(struct det_trainer *trainer, const struct det_step_result *result)
{
    if (trainer->ranks == 1 || trainer->rank != 0 || result->rank_seconds == NULL)
        return;
    for (int32_t r = 0; r < trainer->ranks; r++)
        trainer->rank_seconds[r] += result->rank_seconds[r];
    trainer->timed_steps++;
    if (trainer->look_at_times == 0)
        trainer->look_at_times = FIRST_LOOK;
    if (trainer->timed_steps < trainer->look_at_times)
        return;
    name_slowest(trainer);
    memset(trainer->rank_seconds, 0, (size_t)trainer->ranks * sizeof *trainer->rank_seconds);
    trainer->timed_steps = 0;
    trainer->look_at_times *= 2; /* said often enough */
}
