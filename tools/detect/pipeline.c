#include "detect/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "detect/queue.h"
#include "detect/stages.h"
#include "support/clock.h"
#include "support/mem.h"

enum { DRAWN_CAPACITY = 4 };

struct worker {
    struct pipeline *pipeline;
    det_context *own_context; /* NULL: the tool's is used */
    det_detector *detector;
    struct video_converter *converter;
    struct det_env env;
};

struct pipeline {
    struct pipeline_settings settings;
    struct worker *workers;
    size_t worker_count;
    struct frame *frames;
    size_t frame_count;
    /* Of the present run. */
    const struct pipeline_source *source;
    struct queue unused, decoded, drawn;
    struct reorder detected;
    struct frame spare; /* of a live reader, when all others are in use */
    atomic_int workers_left;
    atomic_llong dropped;
    atomic_bool stop;
    struct det_env reader_env, painter_env;
    det_context *reader_context;
    det_status reader_status, painter_status;
};

static det_status create_worker(struct det_env *env, struct pipeline *p, struct worker *worker)
{
    struct tool *tool = p->settings.tool;
    worker->pipeline = p;
    det_env_fork(&worker->env, env);
    det_context *context = tool->context;
    if (p->settings.workers > 1) {
        det_context_settings settings;
        det_context_settings_default(&settings);
        settings.allocator = &env->allocator;
        settings.logger = &env->logger;
        settings.threads = 1;
        settings.cpu = tool->cpu;
        settings.device = tool->device;
        settings.precision = tool->precision;
        settings.deterministic = tool->deterministic;
        settings.no_graph = !tool->graph;
        settings.no_tuning = !tool->tuning;
        det_error error;
        const det_status status =
            det_context_create_explained(&worker->own_context, &settings, &error);
        if (status != DET_OK)
            return det_fail(env, status, "worker: %s", error.text);
        context = worker->own_context;
    }
    const det_status status =
        det_detector_create(context, p->settings.model, &p->settings.detector, &worker->detector);
    return status != DET_OK ? tool_adopt(env, context, status) : DET_OK;
}

det_status pipeline_create(struct det_env *env, const struct pipeline_settings *settings,
                           struct pipeline **out)
{
    det_status status = DET_OK;
    struct pipeline *p = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &p, 1, sizeof *p, "pipeline"));
    p->settings = *settings;
    p->worker_count = (size_t)settings->workers;
    DET_TRY(det_alloc(env, &p->workers, p->worker_count, sizeof *p->workers, "workers"));
    for (size_t i = 0; i < p->worker_count; i++)
        DET_TRY(create_worker(env, p, &p->workers[i]));
    DET_TRY(tool_context(settings->tool, env, &p->reader_context));
    /* Each thread's own, what waits between them, and a few to go on with. */
    p->frame_count = 2 * p->worker_count + DRAWN_CAPACITY + 4;
    DET_TRY(det_alloc(env, &p->frames, p->frame_count, sizeof *p->frames, "frames"));
    *out = p;
    return DET_OK;
fail:
    pipeline_destroy(env, &p);
    return status;
}

void pipeline_destroy(struct det_env *env, struct pipeline **out)
{
    struct pipeline *p = *out;
    if (p == NULL)
        return;
    for (size_t i = 0; p->workers != NULL && i < p->worker_count; i++) {
        det_detector_destroy(&p->workers[i].detector);
        det_context_destroy(&p->workers[i].own_context);
        video_converter_free(env, &p->workers[i].converter);
    }
    for (size_t i = 0; p->frames != NULL && i < p->frame_count; i++)
        frame_free(env, &p->frames[i]);
    det_context_destroy(&p->reader_context);
    det_free(env, &p->frames);
    det_free(env, &p->workers);
    det_free(env, out);
}

/* --- reader --- */

static void recycle(struct pipeline *p, struct frame *frame)
{
    video_frame_release(&frame->video);
    queue_push(&p->unused, frame);
}

/* A live reader never waits: it takes back what nobody has looked at yet, or uses its spare. */
static struct frame *unused_frame(struct pipeline *p)
{
    if (!p->source->live)
        return queue_pop(&p->unused, NULL);
    struct frame *frame = queue_poll(&p->unused, NULL);
    if (frame == NULL) {
        frame = queue_steal(&p->decoded);
        if (frame != NULL)
            atomic_fetch_add(&p->dropped, 1);
        else
            frame = &p->spare;
        video_frame_release(&frame->video);
    }
    return frame;
}

static void hand_on(struct pipeline *p, struct frame *frame)
{
    void *old = NULL;
    if (frame == &p->spare) {
        video_frame_release(&frame->video);
        atomic_fetch_add(&p->dropped, 1);
    } else if (p->source->live) {
        queue_push_newest(&p->decoded, frame, &old);
        if (old != NULL) {
            recycle(p, old);
            atomic_fetch_add(&p->dropped, 1);
        }
    } else {
        queue_push(&p->decoded, frame);
    }
}

static void *read_frames(void *argument)
{
    struct pipeline *p = argument;
    const struct pipeline_source *source = p->source;
    struct reading reading = {
        .source = source, .context = p->reader_context, .begin_s = det_clock_seconds()};
    bool end = false;
    while (!end && !atomic_load(&p->stop) && !source->stop(source->user)) {
        struct frame *frame = unused_frame(p);
        p->reader_status = stage_read(&p->reader_env, &reading, frame, &end);
        if (p->reader_status != DET_OK || end) {
            end = true;
            if (frame != &p->spare)
                recycle(p, frame);
        } else {
            hand_on(p, frame);
        }
    }
    queue_close(&p->decoded);
    return NULL;
}

/* --- workers and painter --- */

static void *detect_frames(void *argument)
{
    struct worker *worker = argument;
    struct pipeline *p = worker->pipeline;
    struct frame *frame;
    int64_t number = 0;
    while ((frame = queue_pop(&p->decoded, &number)) != NULL) {
        frame->number = number;
        if (frame->status == DET_OK)
            frame->status = stage_detect(&worker->env, p->source, &worker->converter,
                                         worker->own_context != NULL ? worker->own_context
                                                                     : p->settings.tool->context,
                                         worker->detector, frame);
        if (frame->status != DET_OK && frame->message[0] == '\0')
            memcpy(frame->message, worker->env.error, sizeof frame->message);
        video_frame_release(&frame->video);
        reorder_put(&p->detected, number, frame);
    }
    if (atomic_fetch_sub(&p->workers_left, 1) == 1)
        reorder_close(&p->detected);
    return NULL;
}

static void *paint_frames(void *argument)
{
    struct pipeline *p = argument;
    struct frame *frame;
    while ((frame = reorder_take(&p->detected)) != NULL) {
        const double start = det_clock_seconds();
        if (frame->status == DET_OK && p->painter_status == DET_OK)
            p->painter_status = p->source->paint(p->source->user, &p->painter_env, frame);
        frame->painted = p->painter_status == DET_OK;
        if (!frame->painted)
            atomic_store(&p->stop, true);
        frame->ms[STAGE_DRAW] = (det_clock_seconds() - start) * 1e3;
        queue_push(&p->drawn, frame);
    }
    queue_close(&p->drawn);
    return NULL;
}

/* --- all of it --- */

static det_status open_queues(struct det_env *env, struct pipeline *p)
{
    const size_t waiting = p->source->live ? 1 : p->worker_count + 1;
    DET_TRY_RETURN(queue_init(env, &p->unused, p->frame_count));
    DET_TRY_RETURN(queue_init(env, &p->decoded, waiting));
    DET_TRY_RETURN(queue_init(env, &p->drawn, DRAWN_CAPACITY));
    DET_TRY_RETURN(reorder_init(env, &p->detected, p->frame_count));
    for (size_t i = 0; i < p->frame_count; i++)
        queue_push(&p->unused, &p->frames[i]);
    return DET_OK;
}

static void close_queues(struct det_env *env, struct pipeline *p)
{
    queue_free(env, &p->unused);
    queue_free(env, &p->decoded);
    queue_free(env, &p->drawn);
    reorder_free(env, &p->detected);
    frame_free(env, &p->spare);
}

static det_status write_frames(struct det_env *env, struct pipeline *p,
                               struct pipeline_totals *totals)
{
    det_status status = DET_OK;
    struct frame *frame;
    while ((frame = queue_pop(&p->drawn, NULL)) != NULL) {
        const double start = det_clock_seconds();
        if (status == DET_OK && frame->painted) {
            status = p->source->output(p->source->user, env, frame);
            if (status != DET_OK)
                atomic_store(&p->stop, true);
            frame->ms[STAGE_WRITE] = (det_clock_seconds() - start) * 1e3;
            totals->frames += frame->status == DET_OK && status == DET_OK;
            totals->failed += frame->status != DET_OK;
            for (int stage = 0; frame->status == DET_OK && stage < STAGE_COUNT; stage++)
                totals->ms[stage] += frame->ms[stage];
        }
        recycle(p, frame);
    }
    return status;
}

det_status pipeline_run(struct det_env *env, struct pipeline *p,
                        const struct pipeline_source *source, struct pipeline_totals *totals)
{
    pthread_t reader, painter, *workers = NULL;
    size_t started = 0;
    bool reading = false, painting = false;
    det_status status = DET_OK;
    p->source = source;
    p->reader_status = p->painter_status = DET_OK;
    atomic_store(&p->stop, false);
    atomic_store(&p->dropped, 0);
    atomic_store(&p->workers_left, (int)p->worker_count);
    det_env_fork(&p->reader_env, env);
    det_env_fork(&p->painter_env, env);
    DET_TRY(det_alloc(env, &workers, p->worker_count, sizeof *workers, "threads"));
    DET_TRY(open_queues(env, p));
    painting = pthread_create(&painter, NULL, paint_frames, p) == 0;
    while (painting && started < p->worker_count &&
           pthread_create(&workers[started], NULL, detect_frames, &p->workers[started]) == 0)
        started++;
    /* Fewer workers do as well; none does not. */
    if (atomic_fetch_sub(&p->workers_left, (int)(p->worker_count - started)) ==
        (int)(p->worker_count - started))
        reorder_close(&p->detected);
    reading = started > 0 && pthread_create(&reader, NULL, read_frames, p) == 0;
    if (!reading) {
        queue_close(&p->decoded);
        status = det_fail(env, DET_STATUS_OUT_OF_MEMORY, "no more threads can be started");
    }
    if (painting) {
        const det_status written = write_frames(env, p, totals);
        status = status == DET_OK ? written : status;
        pthread_join(painter, NULL);
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(workers[i], NULL);
    if (reading)
        pthread_join(reader, NULL);
    totals->dropped += atomic_load(&p->dropped);
    if (status == DET_OK && p->painter_status != DET_OK) {
        status = p->painter_status;
        det_env_adopt_error(env, &p->painter_env);
    } else if (status == DET_OK && p->reader_status != DET_OK) {
        status = p->reader_status;
        det_env_adopt_error(env, &p->reader_env);
    }
fail:
    close_queues(env, p);
    det_free(env, &workers);
    return status;
}
