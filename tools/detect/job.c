#include "detect/job.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "common/console.h"
#include "common/output.h"
#include "detect/classes.h"
#include "detect/inputs.h"
#include "detect/mjpeg.h"
#include "detect/names.h"
#include "detect/overlay.h"
#include "detect/pictures.h"
#include "detect/pipeline.h"
#include "detect/progress.h"
#include "detect/tracking.h"
#include "detect/video_file.h"
#include "detect/view.h"
#include "support/clock.h"
#include "support/mem.h"

/* On a GPU; on the CPU tiles one by one are as fast. */
enum { TILES_AT_ONCE = 8 };

struct job {
    struct tool *tool;
    struct det_env *env;
    /* of the threads that paint and write while the workers detect */
    det_context *painting, *writing;
    const struct job_options *options;
    det_model *model;
    struct class_filter filter;
    struct inputs inputs;
    struct names names;
    struct outputs *outputs;
    struct pipeline *pipeline;
    struct overlay overlay;
    det_tile_settings tiles;
    struct tracking tracking;
    struct det_text counted;
    struct progress progress;
    struct video_writer *writer; /* of the present video */
    struct view *view;
    struct mjpeg *mjpeg;
    atomic_bool closed; /* the window: like Ctrl-C, but wanted */
    bool draws, writes_pictures, writes_videos;
    bool one_picture; /* --output is its file, not a folder */
    bool turned_said; /* that images are turned upright */
    size_t failed;    /* inputs */
    struct pipeline_totals totals;
    int64_t detections;
    float top_score; /* seen anywhere; 0: nothing was looked at */
    int32_t top_class;
};

/* --- frames --- */

static det_status paint(void *user, struct det_env *env, struct frame *frame)
{
    struct job *job = user;
    if (job->tracking.on)
        DET_TRY_RETURN(tracking_frame(env, &job->tracking, frame));
    if (job->draws)
        DET_TRY_RETURN(overlay_draw(env, &job->overlay, frame));
    return DET_OK;
}

/* Once: a folder of a phone's pictures holds hundreds of them. */
static void say_turned(struct job *job, const struct frame *frame)
{
    if (frame->orientation == 1 || job->turned_said)
        return;
    job->turned_said = true;
    tool_log(job->tool, DET_LOG_INFO,
             "%s: EXIF orientation %d: such pictures are turned upright, and boxes are in the "
             "upright picture (--exif ignore takes the pixels as stored)",
             frame->source, frame->orientation);
}

static det_status output(void *user, struct det_env *env, struct frame *frame)
{
    struct job *job = user;
    progress_frame(&job->progress, frame);
    if (frame->status != DET_OK) {
        tool_error(job->tool, "%s", frame->message);
        return DET_OK;
    }
    say_turned(job, frame);
    job->detections += (int64_t)frame->count;
    if (frame->top_score > job->top_score) {
        job->top_score = frame->top_score;
        job->top_class = frame->top_class;
    }
    DET_TRY_RETURN(outputs_frame(env, job->outputs, frame));
    if (job->writes_pictures && !frame->of_video) {
        const char *output = job->options->output;
        const det_status status =
            job->one_picture
                ? pictures_write_file(env, job->writing, output, &frame->image)
                : pictures_write(env, job->writing, output, frame->name, &frame->image);
        if (status != DET_OK) { /* of this picture alone */
            tool_fail(job->tool, status);
            frame->status = status;
        }
    }
    if (job->mjpeg != NULL)
        DET_TRY_RETURN(mjpeg_frame(env, job->mjpeg, job->writing, &frame->image));
    if (job->view != NULL && !atomic_load(&job->closed)) {
        bool closed = false;
        DET_TRY_RETURN(view_frame(env, job->view, &frame->image, &closed));
        atomic_store(&job->closed, closed);
    }
    return job->writer != NULL ? video_writer_frame(env, job->writer, &frame->image, frame->ticks)
                               : DET_OK;
}

static bool stop(void *user)
{
    const struct job *job = user;
    return tool_interrupted() || atomic_load(&job->closed);
}

/* --- sources --- */

static det_status run_source(struct job *job, struct pipeline_source *source)
{
    source->paint = paint;
    source->output = output;
    source->stop = stop;
    source->user = job;
    progress_begin(&job->progress, source);
    const int64_t failed = job->totals.failed, dropped = job->totals.dropped;
    const det_status status = pipeline_run(job->env, job->pipeline, source, &job->totals);
    job->failed += (size_t)(job->totals.failed - failed);
    progress_end(&job->progress, job->tool, job->totals.dropped - dropped);
    if (status != DET_OK || !tracking_begun(&job->tracking))
        return status;
    const size_t before = job->counted.length;
    const char *name = source->reader != NULL ? source->video : "images";
    DET_TRY_RETURN(tracking_json(job->env, &job->tracking, name, &job->counted));
    if (job->options->counts == NULL)
        tool_log(job->tool, DET_LOG_INFO, "counted: %.*s", (int)(job->counted.length - before - 1),
                 job->counted.data + before);
    return DET_OK;
}

static void report(struct job *job, det_status status)
{
    job->failed++;
    tool_fail(job->tool, status);
}

/* Each step is reported: the output is finished whatever happened before. */
static void run_video(struct job *job, const char *path, const char *name)
{
    struct det_env *env = job->env;
    struct video_reader *reader = NULL;
    const size_t failed = job->failed;
    det_status status =
        video_reader_open(env, path, (int)job->tool->threads, tool_interrupted, &reader);
    if (status == DET_OK && job->writes_videos)
        status = video_file_begin(env, job->tool, reader, path, name, job->options->output,
                                  job->options->codec, &job->writer);
    if (status == DET_OK) {
        const struct video_info *info = video_reader_info(reader);
        status =
            tracking_begin_video(env, &job->tracking, info->width, info->height, info->frame_rate);
    }
    if (status == DET_OK) {
        struct pipeline_source source = {.reader = reader,
                                         .video = path,
                                         .video_name = name,
                                         .live = job->options->live ||
                                                 video_reader_info(reader)->endless};
        status = run_source(job, &source);
        if (status != DET_OK)
            report(job, status);
        status = video_writer_close(env, &job->writer);
        if (status != DET_OK && job->failed == failed)
            report(job, status);
        if (!atomic_load(&job->closed))
            status = video_reader_verdict(env, reader);
    }
    if (status != DET_OK && job->failed == failed)
        report(job, status);
    video_reader_close(env, &reader);
}

static det_status run_all(struct job *job)
{
    const struct inputs *inputs = &job->inputs;
    if (inputs->images.count > 0) {
        struct pipeline_source source = {.images = &inputs->images,
                                         .image_names = job->names.images,
                                         .least_height = INT32_MAX,
                                         .least_width = INT32_MAX,
                                         .as_stored = strcmp(job->options->exif, "ignore") == 0};
        /* A picture that is drawn in needs all its pixels. */
        if (job->options->fast_decode && !job->writes_pictures) {
            source.least_height = det_model_input_height(job->model);
            source.least_width = det_model_input_width(job->model);
        }
        tracking_begin_images(&job->tracking);
        DET_TRY_RETURN(run_source(job, &source));
    }
    for (size_t i = 0; i < inputs->videos.count && !stop(job); i++)
        run_video(job, inputs->videos.paths[i], job->names.videos[i]);
    return DET_OK;
}

/* --- preparation --- */

static void gather_inputs(struct job *job)
{
    const struct job_options *o = job->options;
    for (size_t i = 0; i < o->inputs.count; i++) {
        const det_status status = inputs_add(job->env, &job->inputs, o->inputs.values[i]);
        if (status != DET_OK)
            report(job, status);
    }
    for (size_t i = 0; i < o->lists.count; i++) {
        const det_status status = inputs_add_list(job->env, &job->inputs, o->lists.values[i]);
        if (status != DET_OK)
            report(job, status);
    }
    for (size_t i = 0; i < o->videos.count; i++) {
        const det_status status =
            det_path_list_add(job->env, &job->inputs.videos, o->videos.values[i]);
        if (status != DET_OK)
            report(job, status);
    }
}

static bool is_stream(const struct inputs *inputs)
{
    for (size_t i = 0; i < inputs->videos.count; i++)
        if (strstr(inputs->videos.paths[i], "://") != NULL ||
            strncmp(inputs->videos.paths[i], "v4l2:", 5) == 0)
            return true;
    return false;
}

/* What is written when the options do not say. */
static void choose_outputs(struct job *job, struct output_paths *files)
{
    const struct job_options *o = job->options;
    const bool any_file = files->json != NULL || files->csv != NULL || files->coco != NULL ||
                          files->coco_results != NULL || files->cvat != NULL || files->yolo != NULL;
    const bool streams = is_stream(&job->inputs);
    job->writes_videos =
        !o->no_video && (o->output != NULL || !(any_file || streams || o->view || o->mjpeg > 0));
    job->writes_pictures = o->output != NULL && job->inputs.images.count > 0;
    job->draws = job->writes_pictures || (job->writes_videos && job->inputs.videos.count > 0) ||
                 o->view || o->mjpeg > 0;
    /* Pictures are looked at: lines of numbers beside them are for programs. */
    const bool shown = o->view || o->mjpeg > 0;
    const bool seen = (shown || o->output != NULL) && console_output_width() > 0;
    if (!any_file && !seen && (job->inputs.images.count > 0 || o->no_video || (streams && !shown)))
        files->json = "-";
    job->one_picture = job->writes_pictures && det_image_extension(o->output) != NULL &&
                       !det_is_directory(o->output);
}

/* Names matter where something is called by them. */
static det_status choose_names(struct job *job, const struct output_paths *files)
{
    DET_TRY_RETURN(names_make(job->env, &job->inputs, &job->names));
    const size_t changed = job->names.changed;
    const bool video = job->writes_videos && job->inputs.videos.count > 0;
    if (changed > 0 && (job->writes_pictures || video || files->coco != NULL ||
                        files->cvat != NULL || files->yolo != NULL))
        tool_log(job->tool, DET_LOG_WARNING,
                 "%zu input%s called otherwise in the outputs, since another one has the name: "
                 "%s%s",
                 changed, changed == 1 ? " is" : "s are", job->names.told.data,
                 changed > 3 ? ", ..." : "");
    return DET_OK;
}

/* What is read and written, as far as the options say it; what the pictures' names make of it is
 * seen when they are written. */
static det_status announce(struct job *job, const struct output_paths *files)
{
    const struct job_options *o = job->options;
    struct tool *tool = job->tool;
    const struct {
        const char *option, *path;
    } outputs[] = {{"--json", files->json}, {"--csv", files->csv},
                   {"--coco", files->coco}, {"--coco_results", files->coco_results},
                   {"--cvat", files->cvat}, {"--counts", o->counts}};
    DET_TRY_RETURN(tool_reads(tool, o->model));
    DET_TRY_RETURN(tool_reads(tool, o->threshold_file));
    for (size_t i = 0; i < o->lists.count; i++)
        DET_TRY_RETURN(tool_reads(tool, o->lists.values[i]));
    for (size_t i = 0; i < job->inputs.images.count; i++)
        DET_TRY_RETURN(tool_reads(tool, job->inputs.images.paths[i]));
    for (size_t i = 0; i < job->inputs.videos.count; i++)
        DET_TRY_RETURN(tool_reads(tool, job->inputs.videos.paths[i]));
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        DET_TRY_RETURN(tool_writes(tool, outputs[i].option, outputs[i].path));
    if (files->yolo != NULL)
        tool_tells_of_contents(tool, files->yolo);
    if (job->one_picture)
        DET_TRY_RETURN(tool_writes(tool, "--output", o->output));
    for (size_t i = 0; i < job->inputs.videos.count && job->writes_videos; i++)
        DET_TRY_RETURN(video_file_announce(job->env, tool, job->inputs.videos.paths[i],
                                           job->names.videos[i], o->output));
    return DET_OK;
}

/* A file is of one input. */
static det_status check_output(struct job *job)
{
    const char *output = job->options->output;
    const size_t images = job->inputs.images.count, videos = job->inputs.videos.count;
    const bool video = output != NULL && is_video_name(output) && !job->options->no_video;
    if ((video && (videos != 1 || images > 0)) ||
        (job->one_picture && (images != 1 || (videos > 0 && job->writes_videos))))
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "--output %s: is one %s, but there are %zu videos and %zu images: give a "
                        "folder",
                        output, video ? "video" : "picture", videos, images);
    if (job->one_picture && !pictures_can_write(output))
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "--output %s: an annotated picture is a .jpg or a .png", output);
    return DET_OK;
}

static int32_t worker_count(const struct job *job)
{
    const int threads = det_context_threads(job->tool->context);
    const size_t inputs = job->inputs.images.count + 1000 * job->inputs.videos.count;
    if (job->options->workers > 0)
        return (int32_t)job->options->workers;
    /* One worker with all threads answers soonest; several answer more often. */
    if (job->options->live || is_stream(&job->inputs) || inputs == 1)
        return 1;
    if (strncmp(det_context_device(job->tool->context), "cpu", 3) != 0)
        return 2; /* one prepares while the device is busy with the other's frame */
    return threads < (int)inputs || inputs == 0 ? (int32_t)threads : (int32_t)inputs;
}

static det_status prepare(struct job *job)
{
    const struct job_options *o = job->options;
    struct det_env *env = job->env;
    struct output_paths files = o->files;
    gather_inputs(job);
    choose_outputs(job, &files);
    DET_TRY_RETURN(check_output(job));
    DET_TRY_RETURN(choose_names(job, &files));
    DET_TRY_RETURN(announce(job, &files));
    DET_TRY_RETURN(det_model_load(job->tool->context, o->model, &job->model));
    DET_TRY_RETURN(tool_context(job->tool, env, &job->painting));
    DET_TRY_RETURN(tool_context(job->tool, env, &job->writing));
    DET_TRY_RETURN(class_filter_make(env, job->model, o->classes, o->threshold, o->threshold_file,
                                     &job->filter));
    job->tracking = (struct tracking){
        .on = o->track, .context = job->painting, .model = job->model, .filter = &job->filter};
    DET_TRY_RETURN(tracking_parse(env, &job->tracking, &o->count_lines, &o->count_zones));
    struct pipeline_settings settings = {
        .tool = job->tool, .model = job->model, .workers = worker_count(job)};
    det_detector_settings_default(&settings.detector);
    if (job->tracking.on) { /* which has the scores by class */
        settings.detector.score_threshold = fminf(TRACKING_LOW_SCORE, job->filter.lowest);
    } else {
        settings.detector.class_score = job->filter.threshold + 1;
        settings.detector.class_count = job->filter.count;
    }
    settings.detector.chosen_classes = job->filter.wanted;
    settings.detector.chosen_count = job->filter.wanted_count;
    settings.detector.max_detections = (int32_t)o->max;
    settings.detector.tiles = tile_options_settings(&o->tiles, &job->tiles);
    if (o->tiles.size.given && strncmp(det_context_device(job->tool->context), "cpu", 3) != 0)
        settings.detector.batch = TILES_AT_ONCE;
    DET_TRY_RETURN(pipeline_create(env, &settings, &job->pipeline));
    if (job->writes_pictures && !job->one_picture)
        DET_TRY_RETURN(pictures_open(job->tool, o->output, &job->inputs.images));
    else if (job->writes_videos && !job->one_picture && o->output != NULL &&
             !is_video_name(o->output))
        DET_TRY_RETURN(det_make_directories(env, o->output));
    DET_TRY_RETURN(outputs_open(env, job->writing, job->model, &files,
                                job->inputs.videos.count + (job->inputs.images.count > 0) > 1,
                                &job->outputs));
    if (o->view)
        DET_TRY_RETURN(view_open(env, "det-detect", &job->view));
    if (o->mjpeg > 0) {
        DET_TRY_RETURN(mjpeg_open(env, (int)o->mjpeg, &job->mjpeg));
        tool_log(job->tool, DET_LOG_INFO, "look at http://127.0.0.1:%d/", (int)o->mjpeg);
    }
    job->overlay = (struct overlay){.context = job->painting,
                                    .model = job->model,
                                    .tracking = &job->tracking,
                                    .show_count = o->count,
                                    .show_time = o->time};
    return DET_OK;
}

static int finish(struct job *job, det_status status)
{
    struct tool *tool = job->tool;
    int exit_status = status != DET_OK ? tool_fail(tool, status) : 0;
    status = outputs_close(job->env, &job->outputs);
    if (status == DET_OK && job->options->counts != NULL && job->tracking.on)
        status =
            output_write(job->env, job->options->counts,
                         job->counted.data != NULL ? job->counted.data : "", job->counted.length);
    if (status != DET_OK)
        exit_status = tool_fail(tool, status);
    if (exit_status != 0)
        return exit_status;
    const size_t all = (size_t)job->totals.frames;
    if (tool_interrupted())
        return is_stream(&job->inputs) && job->failed == 0
                   ? 0 /* the only way to end one */
                   : tool_error(tool, "interrupted after %zu frames", all);
    if (job->failed > 0)
        return tool_error(tool, "%zu input%s failed", job->failed, job->failed == 1 ? "" : "s");
    return 0;
}

/* Whether the threshold or the model is to be looked at. */
static void tell_of_nothing(const struct job *job)
{
    if (job->detections == 0 && job->top_score > 0)
        tool_log(job->tool, DET_LOG_INFO,
                 "nothing was found: the highest score anywhere was %.3f, of %s%s",
                 (double)job->top_score, det_model_class_name(job->model, job->top_class),
                 job->top_score < job->filter.lowest ? "; --threshold lets lower scores pass" : "");
}

int job_run(struct tool *tool, const struct job_options *options)
{
    struct job job = {.tool = tool, .env = &tool->env, .options = options};
    det_status status = prepare(&job);
    if (status == DET_OK) {
        tool_catch_signals("\nstopping after the frames that were read\n");
        const double start = det_clock_seconds();
        status = run_all(&job);
        progress_summary(tool, &job.totals, job.detections, det_clock_seconds() - start);
        tell_of_nothing(&job);
    }
    const int exit_status = finish(&job, status);
    if (options->view)
        view_close(job.env, &job.view);
    mjpeg_close(job.env, &job.mjpeg);
    pipeline_destroy(job.env, &job.pipeline);
    names_free(job.env, &job.names);
    inputs_free(job.env, &job.inputs);
    tracking_free(job.env, &job.tracking);
    det_text_free(job.env, &job.counted);
    class_filter_free(job.env, &job.filter);
    det_context_destroy(&job.painting);
    det_context_destroy(&job.writing);
    det_model_destroy(&job.model);
    return exit_status;
}
