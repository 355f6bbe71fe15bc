/* det-detect: detects in image files; results as JSON lines and as annotated pictures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/context.h"
#include "base/id_map.h"
#include "base/io.h"
#include "base/mem.h"
#include "common/tool.h"

struct job {
    struct tool *tool;
    struct det_env *env;
    det_model *model;
    det_detector *detector;
    struct det_path_list images;
    const char *output;       /* folder, NULL: no pictures */
    struct det_id_map taken;  /* hashes of the names used in it */
    struct det_writer writer; /* of --json FILE */
    bool to_file;
    size_t failed, done, detections;
    double stage_ms[5]; /* read, preprocess, network, post-process, write: sums */
};

/* --- which images --- */

static bool has_image_extension(const char *path)
{
    const char *dot = strrchr(det_path_name(path), '.');
    return dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
                           strcasecmp(dot, ".png") == 0);
}

static det_status add_folder(struct job *job, const char *folder)
{
    struct det_env *env = job->env;
    struct det_path_list files = {0};
    const size_t before = job->images.count;
    det_status status = det_list_directory(env, folder, &files);
    for (size_t i = 0; status == DET_OK && i < files.count; i++)
        if (has_image_extension(files.paths[i]) && !det_is_directory(files.paths[i]))
            status = det_path_list_add(env, &job->images, files.paths[i]);
    det_path_list_free(env, &files);
    if (status == DET_OK && job->images.count == before)
        status = det_fail(env, DET_STATUS_NOT_FOUND,
                          "%s: the folder holds no .jpg, .jpeg or .png file", folder);
    return status;
}

/* A file, which need not be there yet: reading it will tell; a folder; or a pattern for both. */
static det_status add_argument(struct job *job, const char *argument)
{
    struct det_path_list found = {0};
    const bool is_pattern = strpbrk(argument, "*?[") != NULL && !det_file_exists(argument);
    det_status status = is_pattern ? det_glob(job->env, argument, &found)
                                   : det_path_list_add(job->env, &found, argument);
    for (size_t i = 0; status == DET_OK && i < found.count; i++)
        status = det_is_directory(found.paths[i])
                     ? add_folder(job, found.paths[i])
                     : det_path_list_add(job->env, &job->images, found.paths[i]);
    det_path_list_free(job->env, &found);
    return status;
}

static void report(struct job *job, det_status status)
{
    job->failed++;
    tool_fail(job->tool, status);
}

/* --- where pictures go --- */

/* A picture must never replace the image that it was made from. */
static det_status check_output(struct job *job)
{
    struct stat output, folder;
    DET_TRY_RETURN(det_make_directories(job->env, job->output));
    if (stat(job->output, &output) != 0)
        return DET_OK;
    for (size_t i = 0; i < job->images.count; i++) {
        char *path = NULL;
        DET_TRY_RETURN(det_path_directory(job->env, &path, job->images.paths[i]));
        const bool same = stat(path, &folder) == 0 && folder.st_dev == output.st_dev &&
                          folder.st_ino == output.st_ino;
        det_free(job->env, &path);
        if (same)
            return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                            "--output %s: is the folder of the input %s, which would be "
                            "overwritten: choose another one",
                            job->output, job->images.paths[i]);
    }
    return DET_OK;
}

static int64_t hash_name(const char *name)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    return (int64_t)hash;
}

/* DIR/name.jpg, or DIR/name_2.jpg when this run has used that name already; names without an image
 * extension get .png. */
static det_status output_path(struct job *job, const char *image, char **path)
{
    const char *name = det_path_name(image);
    const char *extension = has_image_extension(image) ? strrchr(name, '.') : ".png";
    const int stem = has_image_extension(image) ? (int)(extension - name) : (int)strlen(name);
    char *unique = NULL;
    uint32_t index = 0;
    for (int n = 1;; n++) {
        det_free(job->env, &unique);
        DET_TRY_RETURN(n == 1
                           ? det_format(job->env, &unique, "%.*s%s", stem, name, extension)
                           : det_format(job->env, &unique, "%.*s_%d%s", stem, name, n, extension));
        if (!det_id_map_find(&job->taken, hash_name(unique), &index))
            break;
    }
    det_status status = det_id_map_add(job->env, &job->taken, hash_name(unique), 0);
    if (status == DET_OK)
        status = det_path_join(job->env, path, job->output, unique);
    det_free(job->env, &unique);
    return status;
}

/* --- one image --- */

static det_status write_line(struct job *job, const char *json)
{
    if (job->to_file) {
        DET_TRY_RETURN(det_writer_write(job->env, &job->writer, json, strlen(json)));
        return det_writer_write(job->env, &job->writer, "\n", 1);
    }
    tool_progress_clear(job->tool);
    /* Flushed, so that a reader at the other end of a pipe sees each image at once. */
    if (puts(json) < 0 || fflush(stdout) != 0)
        return det_fail(job->env, DET_STATUS_IO, "standard output: cannot write");
    return DET_OK;
}

/* *fatal: no later image can fare better. */
static det_status detect(struct job *job, const char *path, bool *fatal)
{
    det_picture *picture = NULL;
    const det_detection *found = NULL;
    size_t count = 0;
    char *json = NULL, *output = NULL;
    det_status status = DET_OK;
    const double start = tool_seconds();
    DET_TRY(det_picture_read(job->tool->context, path, &picture));
    const double read = tool_seconds();
    const det_image_view view = det_picture_view(picture);
    status = det_detector_run(job->detector, &view, &found, &count);
    if (status != DET_OK) {
        det_fail_prefix(job->env, status, "%s", path);
        goto fail;
    }
    det_detector_times times;
    det_detector_last_times(job->detector, &times);
    const double detected = tool_seconds();
    DET_TRY(det_detections_to_json(job->tool->context, job->model, path, view.width, view.height,
                                   found, count, &json));
    if (job->output != NULL) {
        DET_TRY(det_picture_draw(picture, job->model, found, count));
        DET_TRY(output_path(job, path, &output));
        DET_TRY(det_picture_write(picture, output));
    }
    *fatal = true;
    DET_TRY(write_line(job, json));
    *fatal = false;
    job->done++;
    job->detections += count;
    const double stages_ms[5] = {
        (read - start) * 1e3, (double)times.preprocess_ns * 1e-6, (double)times.network_ns * 1e-6,
        (double)times.postprocess_ns * 1e-6, (tool_seconds() - detected) * 1e3};
    for (int stage = 0; stage < 5; stage++)
        job->stage_ms[stage] += stages_ms[stage];
fail:
    det_json_destroy(job->tool->context, &json);
    det_free(job->env, &output);
    det_picture_destroy(&picture);
    return status;
}

/* --- all of them --- */

static det_status detect_all(struct job *job, bool quiet)
{
    bool fatal = false;
    for (size_t i = 0; i < job->images.count && !tool_interrupted(); i++) {
        if (!quiet)
            tool_progress(job->tool, "%zu/%zu %s", i + 1, job->images.count, job->images.paths[i]);
        const det_status status = detect(job, job->images.paths[i], &fatal);
        if (fatal)
            return status;
        if (status != DET_OK)
            report(job, status);
    }
    tool_progress_clear(job->tool);
    return job->to_file ? det_writer_commit(job->env, &job->writer) : DET_OK;
}

static void summarize(const struct job *job, double seconds)
{
    const double n = job->done > 0 ? (double)job->done : 1, *ms = job->stage_ms;
    tool_log(job->tool, DET_LOG_INFO,
             "%zu image%s, %zu detection%s in %.2f s; ms per image: read %.2f, preprocess %.2f, "
             "network %.2f, post-process %.2f, write %.2f",
             job->done, job->done == 1 ? "" : "s", job->detections, job->detections == 1 ? "" : "s",
             seconds, ms[0] / n, ms[1] / n, ms[2] / n, ms[3] / n, ms[4] / n);
}

static int run(struct job *job, const struct option_list *arguments,
               const det_detector_settings *settings, const char *json, bool quiet)
{
    struct tool *tool = job->tool;
    det_status status = DET_OK;
    job->env = det_context_env(tool->context);
    DET_TRY(det_model_load(tool->context, arguments->values[0], &job->model));
    DET_TRY(det_detector_create(tool->context, job->model, settings, &job->detector));
    for (size_t i = 1; i < arguments->count; i++) {
        status = add_argument(job, arguments->values[i]);
        if (status != DET_OK)
            report(job, status);
    }
    const size_t all = job->images.count + job->failed;
    if (job->output != NULL)
        DET_TRY(check_output(job));
    if (json != NULL && strcmp(json, "-") != 0) {
        DET_TRY(det_writer_open(job->env, json, &job->writer));
        job->to_file = true;
    }
    tool_catch_signals("\nstopping after this image\n");
    const double start = tool_seconds();
    DET_TRY(detect_all(job, quiet));
    if (!quiet)
        summarize(job, tool_seconds() - start);
    if (tool_interrupted())
        return tool_error(tool, "interrupted after %zu of %zu images", job->done,
                          job->images.count);
    if (job->failed > 0)
        return tool_error(tool, "%zu of %zu image%s failed", job->failed, all, all == 1 ? "" : "s");
    return 0;
fail:
    return tool_fail(tool, status);
}

int main(int argc, char **argv)
{
    struct tool tool = TOOL_INIT("det-detect");
    struct job job = {.tool = &tool, .writer.descriptor = -1};
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    double threshold = (double)settings.score_threshold;
    int64_t most = 0;
    const char *json = NULL;
    bool quiet = false;
    const struct option table[] = {
        {"threshold", OPTION_DOUBLE, &threshold, "SCORE", "lowest score that is reported, 0 to 1"},
        {"json", OPTION_STRING, &json, "FILE",
         "where the JSON lines go, one per image; - or nothing: standard output"},
        {"output", OPTION_STRING, &job.output, "DIR", "draw boxes and labels, pictures into DIR"},
        {"max", OPTION_INT, &most, "N", "most detections per image, 0: as the model's config says"},
        {"quiet", OPTION_FLAG, &quiet, NULL, "no progress and no summary, only errors"},
        TOOL_OPTIONS(&tool),
        {0},
    };
    struct options options = {
        .program = "det-detect",
        .usage = "MODEL.det IMAGE|FOLDER|PATTERN ...",
        .description = "Detects objects in JPEG and PNG files (of a folder: .jpg, .jpeg, .png).\n"
                       "An image that fails is reported, the others go on; the exit status is then "
                       "1.",
        .table = table,
        .positional_max = SIZE_MAX,
    };
    int exit_status = 0;
    if (!options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    if (options.positional.count < 2)
        exit_status = options_error(&options, "expected a model and at least one image or folder");
    else if (!(threshold >= 0 && threshold <= 1))
        exit_status = options_error(&options, "--threshold: got %g, expected 0 to 1", threshold);
    else if (most < 0 || most > 1000000)
        exit_status =
            options_error(&options, "--max: got %lld, expected 0 to 1000000", (long long)most);
    else if (tool_open(&tool, &exit_status)) {
        settings.score_threshold = (float)threshold;
        settings.max_detections = (int32_t)most;
        exit_status = run(&job, &options.positional, &settings, json, quiet);
        det_writer_discard(job.env, &job.writer);
        det_id_map_free(job.env, &job.taken);
        det_path_list_free(job.env, &job.images);
        det_detector_destroy(&job.detector);
        det_model_destroy(&job.model);
    }
    tool_close(&tool);
    options_free(&options);
    return exit_status;
}
