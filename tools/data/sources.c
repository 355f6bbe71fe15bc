/* sources.c: reading all sources of a command, and writing. */
#include <string.h>

#include "base/context.h"
#include "base/mem.h"
#include "common/output.h"
#include "convert/writers.h"
#include "data/data.h"
#include "data/formats.h"
#include "data/zip.h"

bool data_exif_policy(const char *text, enum det_exif_policy *policy)
{
    static const char *const names[] = {"auto", "apply", "ignore"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
            *policy = (enum det_exif_policy)i;
            return true;
        }
    }
    return false;
}

/* --- inputs --- */

/* "train=PATH" names the split. The path without "/" at its end; the caller frees both. */
static det_status parse_input(struct data_job *job, const char *input, char **path, char **split)
{
    struct det_env *env = job->env;
    const char *equals = strchr(input, '='), *slash = strchr(input, '/');
    const bool names_split = equals != NULL && equals != input &&
                             (slash == NULL || slash > equals) && !det_file_exists(input);
    if (names_split) {
        DET_TRY_RETURN(det_strndup(env, split, input, (size_t)(equals - input)));
        input = equals + 1;
    }
    return det_strndup(env, path, input, det_path_length(input));
}

static det_status mount(struct data_job *job, const char *path)
{
    return det_files_is_archive(path) && !det_is_directory(path)
               ? det_files_mount(job->env, &job->files, path)
               : DET_OK;
}

/* The folders of --images, or archives. */
static det_status index_images(struct data_job *job)
{
    const struct option_list *images = &job->arguments.images;
    for (size_t i = 0; i < images->count; i++) {
        DET_TRY_RETURN(mount(job, images->values[i]));
        DET_TRY_RETURN(det_image_index_add(job->env, &job->index, &job->files, images->values[i]));
    }
    det_image_index_sort(&job->index);
    return DET_OK;
}

static det_status read_source(struct data_job *job, const char *input)
{
    const struct data_arguments *a = &job->arguments;
    struct det_env *env = job->env;
    const struct data_format *from = a->from != NULL ? data_format_find(a->from) : NULL;
    struct data_sources sources = {0};
    char *path = NULL, *split = NULL;
    det_status status = DET_OK;
    DET_TRY(parse_input(job, input, &path, &split));
    if (split != NULL)
        DET_TRY(data_check_split(job, input, split));
    DET_TRY(mount(job, path));
    DET_TRY(data_sources_find(env, &job->files, path, from, &sources));
    job->format = sources.format->name;
    for (size_t i = 0; i < sources.count; i++) {
        const struct data_source *source = &sources.items[i];
        const struct det_read_settings settings = {
            .path = source->path,
            .files = &job->files,
            .split = split != NULL ? split : source->split,
            .image_dirs = a->images.values,
            .image_dir_count = a->images.count,
            .index = a->images.count > 0 ? &job->index : NULL,
            .encoding = a->encoding,
            .findings = &job->findings,
        };
        DET_TRY(sources.format->read(env, &settings, &job->set));
    }
fail:
    data_sources_free(env, &sources);
    det_free(env, &split);
    det_free(env, &path);
    return status;
}

/* --- inputs and outputs named --- */

static det_status announce_source(struct data_job *job, const char *input)
{
    const char *output = job->arguments.output;
    char *path = NULL, *split = NULL;
    det_status status = DET_OK;
    DET_TRY(parse_input(job, input, &path, &split));
    DET_TRY(tool_reads(&job->tool, path));
    if (output != NULL && det_same_file(path, output))
        DET_TRY(det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                         "--output %s: is a source, which would be overwritten: choose another "
                         "name",
                         output));
fail:
    det_free(job->env, &split);
    det_free(job->env, &path);
    return status;
}

det_status data_announce(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    struct tool *tool = &job->tool;
    for (size_t i = 0; i < job->inputs.count; i++)
        DET_TRY_RETURN(announce_source(job, job->inputs.values[i]));
    DET_TRY_RETURN(tool_reads(tool, a->label_map));
    DET_TRY_RETURN(tool_reads(tool, a->config));
    return tool_writes(tool, "--json", a->json);
}

det_status data_announce_images(struct data_job *job)
{
    for (size_t i = 0; i < job->set.image_count; i++)
        DET_TRY_RETURN(tool_reads(&job->tool, job->set.images[i].path));
    return DET_OK;
}

/* --- label map --- */

/* label_map.pbtxt in a folder; else NAME_label_map.pbtxt beside NAME.tfrecord, as Roboflow writes
 * it. */
static det_status look_for_map(struct data_job *job, const char *folder)
{
    static const char own[] = "label_map.pbtxt", end[] = "_label_map.pbtxt";
    struct det_env *env = job->env;
    struct det_path_list files = {0};
    char *path = NULL, *records = NULL;
    det_status status = DET_OK;
    if (job->label_map != NULL || !det_files_is_directory(&job->files, folder))
        return DET_OK;
    DET_TRY(det_path_join(env, &path, folder, own));
    if (det_files_exists(&job->files, path)) {
        job->label_map = path;
        return DET_OK;
    }
    DET_TRY(det_files_list(env, &job->files, folder, &files));
    for (size_t i = 0; i < files.count && job->label_map == NULL; i++) {
        const size_t length = strlen(files.paths[i]), tail = sizeof end - 1;
        if (length <= tail || strcmp(files.paths[i] + length - tail, end) != 0)
            continue;
        DET_TRY(det_format(env, &records, "%.*s.tfrecord", (int)(length - tail), files.paths[i]));
        if (det_files_exists(&job->files, records))
            DET_TRY(det_strdup(env, &job->label_map, files.paths[i]));
        det_free(env, &records);
    }
fail:
    det_free(env, &records);
    det_free(env, &path);
    det_path_list_free(env, &files);
    return status;
}

/* Without --label_map: the one that lies with the first source, or in its train/, if there is
 * one. */
static det_status find_label_map(struct data_job *job)
{
    struct det_env *env = job->env;
    char *path = NULL, *split = NULL, *folder = NULL, *train = NULL;
    det_status status = DET_OK;
    if (job->arguments.label_map != NULL)
        return det_strdup(env, &job->label_map, job->arguments.label_map);
    DET_TRY(parse_input(job, job->inputs.values[0], &path, &split));
    DET_TRY(mount(job, path));
    DET_TRY(det_files_is_directory(&job->files, path) ? det_strdup(env, &folder, path)
                                                      : det_path_directory(env, &folder, path));
    DET_TRY(look_for_map(job, folder));
    DET_TRY(det_path_join(env, &train, folder, "train"));
    DET_TRY(look_for_map(job, train));
    if (job->label_map != NULL)
        tool_log(&job->tool, DET_LOG_INFO, "classes from %s", job->label_map);
fail:
    det_free(env, &train);
    det_free(env, &folder);
    det_free(env, &split);
    det_free(env, &path);
    return status;
}

/* A label map that is wrong is a finding; the classes are then taken as they come. */
static det_status read_label_map(struct data_job *job)
{
    struct det_env *env = job->env;
    DET_TRY_RETURN(find_label_map(job));
    if (job->label_map == NULL)
        return det_annotations_init(env, &job->set, NULL);
    struct det_source_bytes source;
    DET_TRY_RETURN(det_files_open(env, &job->files, job->label_map, &source));
    const det_status status = det_label_map_read_text(
        env, job->label_map, (const char *)source.data, source.bytes, &job->map);
    det_source_bytes_close(env, &source);
    if (status == DET_STATUS_PARSE || status == DET_STATUS_CORRUPT) {
        det_finding(&job->findings, DET_RULE_LABEL_MAP, "%s", env->error);
        return det_annotations_init(env, &job->set, NULL);
    }
    DET_TRY_RETURN(status);
    return det_annotations_init(env, &job->set, &job->map);
}

static det_status check_config(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    if (a->config == NULL)
        return DET_OK;
    DET_TRY_RETURN(det_pipeline_config_load(job->tool.context, a->config, &job->config));
    if (job->map.count > 0 && det_label_map_fit(job->env, &job->map, job->config) != DET_OK)
        det_finding(&job->findings, DET_RULE_CLASS_COUNT, "%s", job->env->error);
    return DET_OK;
}

/* --- the job --- */

det_status data_read(struct data_job *job)
{
    enum det_exif_policy exif = DET_EXIF_AUTO;
    data_exif_policy(job->arguments.exif, &exif);
    job->files.ops = &zip_archive_ops;
    DET_TRY_RETURN(read_label_map(job));
    job->set.files = &job->files;
    DET_TRY_RETURN(check_config(job));
    DET_TRY_RETURN(index_images(job));
    for (size_t i = 0; i < job->inputs.count; i++)
        DET_TRY_RETURN(read_source(job, job->inputs.values[i]));
    DET_TRY_RETURN(det_annotations_finish(job->env, &job->set, &job->findings));
    DET_TRY_RETURN(det_annotations_resolve(job->env, &job->set, exif,
                                           det_context_pool(job->tool.context), &job->findings));
    tool_log(&job->tool, DET_LOG_INFO, "%s: %zu images, %zu boxes, %zu classes, %zu split%s",
             job->command, job->set.image_count, job->set.object_count, job->set.classes.count,
             job->set.splits.count, job->set.splits.count == 1 ? "" : "s");
    return DET_OK;
}

void data_job_close(struct data_job *job)
{
    if (job->env == NULL)
        return;
    det_annotations_free(job->env, &job->set);
    det_image_index_free(job->env, &job->index);
    det_files_close(job->env, &job->files);
    det_label_map_free(job->env, &job->map);
    det_free(job->env, &job->label_map);
    det_pipeline_config_destroy(&job->config);
}

det_status data_write(struct data_job *job, const char *format, const char *directory)
{
    const det_writer_of_set write = data_format_find(format)->write;
    struct det_write_counts counts = {0};
    const struct det_write_settings settings = {
        .directory = directory,
        .shards = (int32_t)job->arguments.shards,
        .without_images = !job->arguments.copy_images,
        .name = det_path_name(directory),
    };
    DET_TRY_RETURN(data_announce_images(job));
    job->tool.guard.rehearsing = true;
    const det_status status = write(job->env, &settings, &job->set, &counts);
    job->tool.guard.rehearsing = false;
    DET_TRY_RETURN(status);
    counts = (struct det_write_counts){0};
    DET_TRY_RETURN(write(job->env, &settings, &job->set, &counts));
    tool_log(
        &job->tool, DET_LOG_INFO,
        "%s: %zu images, %zu boxes in %zu classes; %zu images copied as they are, %zu encoded anew",
        directory, counts.images, counts.objects, job->set.classes.count, counts.copied,
        counts.encoded);
    if (counts.renamed > 0)
        tool_log(&job->tool, DET_LOG_INFO,
                 "%zu images have another name than in the source: theirs was there twice, is no "
                 "safe name of a file or has the wrong extension",
                 counts.renamed);
    return DET_OK;
}
