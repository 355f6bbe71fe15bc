#include "data/loader.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/forks.h"
#include "base/pool.h"
#include "base/rng.h"
#include "support/clock.h"
#include "support/mem.h"

/* Sub-streams of the seed. */
enum { STREAM_ORDER = 1, STREAM_AUGMENT = 2 };

#define RING_BEHIND 2 /* batches in memory by default, besides the caller's */
#define RING_MOST   64
#define STRIDE_MOST 65536

struct slot {
    uint8_t *images;              /* [batch_size] places of det_picture_most_bytes() */
    struct det_picture *pictures; /* [batch_size]; NULL where the images are floats */
    struct det_ground_truth *truths;
    int64_t *record_index;
    int32_t (*original_size)[2];
    int32_t count; /* samples of the batch that it holds or will hold */
    int32_t done;  /* of them ready */
    /* The failure of the sample that comes first in the batch, so that the message does not depend
     * on the threads. */
    int32_t failed_sample;
    det_status status;
    char error[DET_ERROR_BYTES];
};

struct worker {
    struct det_loader *loader;
    pthread_t thread;
    struct det_env env;
    struct det_record record;
    struct det_sample sample;
    struct det_resizer resizer;
};

struct det_loader {
    struct det_loader_settings settings;
    struct det_augment_option *augment;
    int32_t height, width; /* of a picture in a batch */
    float outside[3];      /* a pixel around a picture that keeps its aspect */
    struct slot *slots;    /* [ring]; batch b is in slot b % ring */
    int32_t ring;
    struct worker *workers;
    int32_t worker_count, started;
    unsigned forks; /* det_forks() of the process that has the threads */

    pthread_mutex_t mutex;   /* guards everything below */
    pthread_cond_t may_work; /* a slot was given back, or stop */
    pthread_cond_t ready;    /* a batch is complete */
    bool stop;
    uint64_t batches_begun; /* whose slot has been prepared */
    uint64_t batches_taken; /* handed to the caller */
    uint64_t batches_over;  /* of them no longer the caller's */
    int32_t next_in_batch;  /* of the last begun batch, to be handed to a worker */
    uint64_t next_sample;
    uint32_t *order; /* of order_epoch */
    uint64_t order_epoch;
    uint64_t wait_ns;
};

/* Fisher-Yates over 0..count-1. */
static void shuffle(uint32_t *order, uint32_t count, uint64_t seed, uint64_t epoch)
{
    struct det_rng rng;
    det_rng_init(&rng, seed, epoch, STREAM_ORDER);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        const uint32_t j = det_rng_below(&rng, i);
        const uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* Under the mutex; samples are asked for in rising order, so one permutation is enough. */
static uint32_t record_of(struct det_loader *loader, uint64_t sample)
{
    const uint64_t count = loader->settings.dataset->count;
    const uint64_t epoch = sample / count;
    if (!loader->settings.shuffle)
        return (uint32_t)(sample % count);
    if (epoch != loader->order_epoch) {
        shuffle(loader->order, (uint32_t)count, loader->settings.seed, epoch);
        loader->order_epoch = epoch;
    }
    return loader->order[sample % count];
}

void det_loader_sample_rng(struct det_rng *rng, uint64_t seed, uint64_t sample)
{
    det_rng_init(rng, seed, sample, STREAM_AUGMENT);
}

/* What a worker does for one sample, without the mutex. */
struct job {
    struct slot *slot;
    int32_t place;
    uint64_t sample;
    uint32_t record;
};

/* Where the image has a place of its own in the slot. */
static uint8_t *place_of(const struct det_loader *loader, const struct slot *slot, int32_t place)
{
    return slot->images + (size_t)place * det_picture_most_bytes(loader->height, loader->width);
}

/* What is seen of the sample, resized to height x width, into the slot; or what a device makes that
 * of. */
static det_status put_image(struct worker *worker, const struct job *job, int32_t height,
                            int32_t width)
{
    const struct det_loader *loader = worker->loader;
    uint8_t *room = place_of(loader, job->slot, job->place);
    if (job->slot->pictures != NULL) {
        struct det_picture *picture = &job->slot->pictures[job->place];
        memcpy(picture->outside, loader->outside, sizeof picture->outside);
        return det_picture_take(&worker->env, &worker->resizer, &worker->sample, height, width,
                                room, picture);
    }
    float *out = (float *)(void *)room;
    det_picture_fill_outside(loader->outside, height, width, loader->height, loader->width, out);
    return det_sample_resize(&worker->env, &worker->resizer, &worker->sample, out,
                             (size_t)loader->width * 3, height, width);
}

static det_status make_sample(struct worker *worker, const struct job *job)
{
    const struct det_loader *loader = worker->loader;
    struct det_env *env = &worker->env;
    struct det_sample *sample = &worker->sample;
    struct det_rng rng;
    struct det_image_least least = {INT32_MAX, INT32_MAX};
    if (loader->settings.fast_decode)
        least = (struct det_image_least){loader->height, loader->width};
    DET_TRY_RETURN(det_dataset_load_reduced(env, loader->settings.dataset, job->record, least,
                                            &worker->record, &sample->image, &sample->truth));
    job->slot->record_index[job->place] = job->record;
    job->slot->original_size[job->place][0] = sample->image.file_height;
    job->slot->original_size[job->place][1] = sample->image.file_width;
    det_sample_reset(sample);
    det_loader_sample_rng(&rng, loader->settings.seed, job->sample);
    DET_TRY_RETURN(
        det_augment_apply(env, loader->augment, loader->settings.augment_count, &rng, sample));
    int32_t height = loader->height, width = loader->width;
    if (loader->settings.max_dimension > 0) {
        det_keep_aspect_size(sample->window.height, sample->window.width,
                             loader->settings.min_dimension, loader->settings.max_dimension,
                             &height, &width);
        for (int32_t i = 0; i < sample->truth.count; i++) {
            for (int c = 0; c < 4; c++)
                sample->truth.boxes[i][c] *= c % 2 == 0 ? (float)height / (float)loader->height
                                                        : (float)width / (float)loader->width;
        }
    }
    DET_TRY_RETURN(put_image(worker, job, height, width));
    return det_ground_truth_copy(env, &job->slot->truths[job->place], &sample->truth);
}

/* Number in the sequence of the first sample of a batch. */
static uint64_t batch_begin(const struct det_loader *loader, uint64_t batch)
{
    const struct det_loader_settings *s = &loader->settings;
    const uint64_t stride = s->stride == 0 ? 1 : (uint64_t)s->stride;
    return s->first_sample + batch * stride * (uint64_t)s->batch_size;
}

/* Under the mutex: the next sample to make, false when there is none at present. */
static bool take_job(struct det_loader *loader, struct job *job)
{
    const struct det_loader_settings *s = &loader->settings;
    /* Before the first batch this names a slot by wrapping around; it is not looked at. */
    struct slot *slot =
        &loader
             ->slots[(loader->batches_begun + (uint64_t)loader->ring - 1) % (uint64_t)loader->ring];
    if (loader->batches_begun == 0 || loader->next_in_batch == slot->count) {
        const uint64_t first = batch_begin(loader, loader->batches_begun);
        if (s->end_sample > 0 && first >= s->end_sample)
            return false;
        if (loader->batches_begun - loader->batches_over >= (uint64_t)loader->ring)
            return false;
        slot = &loader->slots[loader->batches_begun % (uint64_t)loader->ring];
        loader->batches_begun++;
        loader->next_in_batch = 0;
        loader->next_sample = first;
        slot->count = s->batch_size;
        if (s->end_sample > 0 && s->end_sample - first < (uint64_t)s->batch_size)
            slot->count = (int32_t)(s->end_sample - first);
        slot->done = 0;
        slot->status = DET_OK;
    }
    job->slot = slot;
    job->place = loader->next_in_batch++;
    job->sample = loader->next_sample++;
    job->record = record_of(loader, job->sample);
    return true;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct det_loader *loader = worker->loader;
    pthread_mutex_lock(&loader->mutex);
    while (!loader->stop) {
        struct job job;
        if (!take_job(loader, &job)) {
            pthread_cond_wait(&loader->may_work, &loader->mutex);
            continue;
        }
        pthread_mutex_unlock(&loader->mutex);
        const det_status status = make_sample(worker, &job);
        pthread_mutex_lock(&loader->mutex);
        struct slot *slot = job.slot;
        if (status != DET_OK && (slot->status == DET_OK || job.place < slot->failed_sample)) {
            slot->status = status;
            slot->failed_sample = job.place;
            memcpy(slot->error, worker->env.error, sizeof slot->error);
        }
        if (++slot->done == slot->count)
            pthread_cond_signal(&loader->ready);
    }
    pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

static void picture_size(const struct det_loader_settings *s, int32_t *height, int32_t *width)
{
    *height = s->max_dimension > 0 ? s->max_dimension : s->height;
    *width = s->max_dimension > 0 ? s->max_dimension : s->width;
}

static int32_t held_by(const struct det_loader_settings *s)
{
    return s->held == 0 ? 1 : s->held;
}

static int32_t ring_of(const struct det_loader_settings *s)
{
    return s->ring == 0 ? held_by(s) + RING_BEHIND : s->ring;
}

size_t det_loader_ring_bytes(const struct det_loader_settings *settings)
{
    int32_t height, width;
    picture_size(settings, &height, &width);
    return (size_t)ring_of(settings) * (size_t)settings->batch_size *
           det_picture_most_bytes(height, width);
}

static det_status check_settings(struct det_env *env, const struct det_loader_settings *s)
{
    int32_t height, width;
    picture_size(s, &height, &width);
    if (s->dataset == NULL || s->dataset->count == 0 || s->dataset->count > UINT32_MAX)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "loader: the dataset has no images");
    if (s->batch_size < 1 || s->batch_size > 65536)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "loader: batch size: got %d, expected 1 to 65536", s->batch_size);
    if (height < 1 || width < 1 || height > 16384 || width > 16384)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "loader: input of %d x %d pixels: each side must be 1 to 16384", width,
                        height);
    if (s->max_dimension > 0 && s->min_dimension < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "loader: min_dimension: got %d, expected at least 1", s->min_dimension);
    if (s->threads < 0 || s->threads > 1024)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "loader: threads: got %d, expected 0 to 1024", s->threads);
    if (s->held < 0 || s->held > RING_MOST - RING_BEHIND)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "loader: batches held: got %d, expected 0 to %d", s->held,
                        RING_MOST - RING_BEHIND);
    if (s->ring != 0 && (s->ring <= held_by(s) || s->ring > RING_MOST))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "loader: batches in memory: got %d, expected %d to %d", s->ring,
                        held_by(s) + 1, RING_MOST);
    if (s->stride < 0 || s->stride > STRIDE_MOST)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "loader: stride: got %d, expected 0 to %d", s->stride, STRIDE_MOST);
    for (size_t i = 0; i < s->augment_count; i++)
        DET_TRY_RETURN(det_augment_check(env, &s->augment[i]));
    return DET_OK;
}

/* The most objects of any image: room for them is made at once. */
static int32_t most_objects(const struct det_dataset *dataset)
{
    int32_t most = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        if (dataset->entries[i].object_count > most)
            most = dataset->entries[i].object_count;
    }
    return most;
}

static det_status allocate_slots(struct det_env *env, struct det_loader *loader)
{
    const int32_t objects = most_objects(loader->settings.dataset);
    const size_t batch = (size_t)loader->settings.batch_size;
    DET_TRY_RETURN(
        det_alloc(env, &loader->slots, (size_t)loader->ring, sizeof *loader->slots, "batch ring"));
    for (int32_t i = 0; i < loader->ring; i++) {
        struct slot *slot = &loader->slots[i];
        DET_TRY_RETURN(det_alloc_raw(env, &slot->images, batch,
                                     det_picture_most_bytes(loader->height, loader->width),
                                     "images of a batch"));
        if (loader->settings.pictures)
            DET_TRY_RETURN(det_alloc(env, &slot->pictures, batch, sizeof *slot->pictures, "batch"));
        DET_TRY_RETURN(det_alloc(env, &slot->truths, batch, sizeof *slot->truths, "batch"));
        for (size_t k = 0; k < batch; k++)
            DET_TRY_RETURN(det_ground_truth_reserve(env, &slot->truths[k], objects));
        DET_TRY_RETURN(
            det_alloc(env, &slot->record_index, batch, sizeof *slot->record_index, "batch"));
        DET_TRY_RETURN(
            det_alloc(env, &slot->original_size, batch, sizeof *slot->original_size, "batch"));
    }
    return DET_OK;
}

det_status det_loader_create(struct det_env *env, const struct det_loader_settings *settings,
                             struct det_loader **out)
{
    *out = NULL;
    DET_TRY_RETURN(check_settings(env, settings));
    struct det_loader *loader = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_forks_watch(env));
    DET_TRY_RETURN(det_alloc(env, &loader, 1, sizeof *loader, "loader"));
    loader->forks = det_forks();
    pthread_mutex_init(&loader->mutex, NULL);
    pthread_cond_init(&loader->may_work, NULL);
    pthread_cond_init(&loader->ready, NULL);
    loader->settings = *settings;
    loader->ring = ring_of(settings);
    loader->order_epoch = UINT64_MAX;
    loader->worker_count = settings->threads > 0 ? settings->threads : det_default_threads();
    picture_size(settings, &loader->height, &loader->width);
    for (int c = 0; c < 3; c++) /* what normalisation makes the wanted one */
        loader->outside[c] = (settings->pad_value[c] + 1.0f) * 127.5f;
    DET_TRY(det_alloc(env, &loader->augment, settings->augment_count, sizeof *loader->augment,
                      "augmentation options"));
    if (settings->augment_count > 0)
        memcpy(loader->augment, settings->augment,
               settings->augment_count * sizeof *loader->augment);
    if (settings->shuffle)
        DET_TRY(det_alloc(env, &loader->order, settings->dataset->count, sizeof *loader->order,
                          "order of the images"));
    DET_TRY(allocate_slots(env, loader));
    DET_TRY(det_alloc(env, &loader->workers, (size_t)loader->worker_count, sizeof *loader->workers,
                      "loader threads"));
    for (int32_t i = 0; i < loader->worker_count; i++) {
        struct worker *worker = &loader->workers[i];
        worker->loader = loader;
        det_env_fork(&worker->env, env);
        const int error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error != 0)
            DET_TRY(det_fail_errno(env, error, "loader: cannot start thread %d of %d", i + 1,
                                   loader->worker_count));
        loader->started++;
    }
    *out = loader;
    return DET_OK;
fail:
    det_loader_destroy(env, &loader);
    return status;
}

det_status det_loader_create_at(struct det_env *env, const struct det_loader *like,
                                uint64_t first_sample, struct det_loader **loader)
{
    struct det_loader_settings settings = like->settings;
    settings.augment = like->augment;
    settings.first_sample = first_sample;
    return det_loader_create(env, &settings, loader);
}

static void stop_workers(struct det_loader *loader)
{
    pthread_mutex_lock(&loader->mutex);
    loader->stop = true;
    pthread_cond_broadcast(&loader->may_work);
    pthread_mutex_unlock(&loader->mutex);
    for (int32_t i = 0; i < loader->started; i++)
        pthread_join(loader->workers[i].thread, NULL);
    pthread_cond_destroy(&loader->ready);
    pthread_cond_destroy(&loader->may_work);
    pthread_mutex_destroy(&loader->mutex);
}

void det_loader_destroy(struct det_env *env, struct det_loader **out)
{
    struct det_loader *loader = *out;
    if (loader == NULL)
        return;
    /* A fork's child has neither the threads nor, if one of them held it, ever the mutex. */
    if (loader->forks == det_forks())
        stop_workers(loader);
    for (int32_t i = 0; i < loader->started; i++) {
        det_record_free(env, &loader->workers[i].record);
        det_sample_free(env, &loader->workers[i].sample);
        det_resizer_free(env, &loader->workers[i].resizer);
    }
    for (int32_t i = 0; loader->slots != NULL && i < loader->ring; i++) {
        struct slot *slot = &loader->slots[i];
        for (int32_t k = 0; slot->truths != NULL && k < loader->settings.batch_size; k++)
            det_ground_truth_free(env, &slot->truths[k]);
        det_free(env, &slot->truths);
        det_free(env, &slot->images);
        det_free(env, &slot->pictures);
        det_free(env, &slot->record_index);
        det_free(env, &slot->original_size);
    }
    det_free(env, &loader->workers);
    det_free(env, &loader->slots);
    det_free(env, &loader->order);
    det_free(env, &loader->augment);
    det_free(env, out);
}

det_status det_loader_next(struct det_env *env, struct det_loader *loader, struct det_batch *batch)
{
    const struct det_loader_settings *s = &loader->settings;
    *batch = (struct det_batch){0};
    if (loader->forks != det_forks())
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "loader: this process is the child of a fork, the threads that bring the "
                        "images are its parent's: make the trainer after the fork");
    pthread_mutex_lock(&loader->mutex);
    if (loader->batches_taken - loader->batches_over >= (uint64_t)held_by(s)) {
        loader->batches_over++;
        pthread_cond_broadcast(&loader->may_work);
    }
    const uint64_t first = batch_begin(loader, loader->batches_taken);
    if (s->end_sample > 0 && first >= s->end_sample) {
        pthread_mutex_unlock(&loader->mutex);
        return det_fail(env, DET_STATUS_FINISHED, "loader: all samples were taken");
    }
    struct slot *slot = &loader->slots[loader->batches_taken % (uint64_t)loader->ring];
    const uint64_t start = det_clock_ns();
    while (loader->batches_begun <= loader->batches_taken || slot->done < slot->count)
        pthread_cond_wait(&loader->ready, &loader->mutex);
    loader->wait_ns += det_clock_ns() - start;
    det_status status = slot->status;
    if (status != DET_OK) {
        /* Not taken: the next call meets it again. */
        det_fail(env, status, "%s", slot->error);
    } else {
        loader->batches_taken++;
        *batch = (struct det_batch){
            .count = slot->count,
            .height = loader->height,
            .width = loader->width,
            .images = slot->pictures == NULL ? (float *)(void *)slot->images : NULL,
            .pictures = slot->pictures,
            .truths = slot->truths,
            .record_index = slot->record_index,
            .original_size = slot->original_size,
            .first_sample = first,
        };
    }
    pthread_mutex_unlock(&loader->mutex);
    return status;
}

det_status det_batch_image(struct det_env *env, const struct det_batch *batch, int32_t index,
                           float *out)
{
    if (batch->pictures != NULL)
        return det_picture_to_floats(env, &batch->pictures[index], batch->height, batch->width,
                                     out);
    const size_t values = (size_t)batch->height * (size_t)batch->width * 3;
    memcpy(out, batch->images + (size_t)index * values, values * sizeof *out);
    return DET_OK;
}

uint64_t det_loader_wait_ns(const struct det_loader *loader)
{
    return loader->wait_ns; /* only the caller's thread changes it */
}
