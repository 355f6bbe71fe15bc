/* sources.c: reading all sources of a command, and writing. */
#include <stdio.h>
#include <string.h>

#include "common/output.h"
#include "data/data.h"
#include "support/encoding.h"
#include "support/io.h"
#include "support/mem.h"

bool data_exif_policy(const char *text, det_exif_policy *policy)
{
    static const char *const names[] = {"auto", "apply", "ignore"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
            *policy = (det_exif_policy)i;
            return true;
        }
    }
    return false;
}

static bool is_format(const char *name)
{
    const char *known = NULL;
    for (size_t i = 0; (known = det_annotation_format(i)) != NULL; i++)
        if (strcmp(known, name) == 0)
            return true;
    return false;
}

/* "tfrecord, voc, ... or csv" */
static void list_formats(char *text, size_t bytes)
{
    const char *name = NULL;
    text[0] = '\0';
    for (size_t i = 0; (name = det_annotation_format(i)) != NULL && strlen(text) < bytes; i++) {
        const char *gap = i == 0 ? "" : det_annotation_format(i + 1) != NULL ? ", " : " or ";
        snprintf(text + strlen(text), bytes - strlen(text), "%s%s", gap, name);
    }
}

bool data_arguments_fault(const struct data_arguments *a, char text[DATA_FAULT_BYTES])
{
    const char *const named[] = {a->from, a->to}, *const options[] = {"from", "to"};
    char formats[100];
    det_exif_policy exif;
    list_formats(formats, sizeof formats);
    text[0] = '\0';
    for (int i = 0; i < 2; i++)
        if (named[i] != NULL && !is_format(named[i]))
            snprintf(text, DATA_FAULT_BYTES, "--%s: got `%.100s`, expected %s", options[i],
                     named[i], formats);
    if (!data_exif_policy(a->exif, &exif))
        snprintf(text, DATA_FAULT_BYTES, "--exif: got `%.100s`, expected auto, apply or ignore",
                 a->exif);
    else if (a->encoding != NULL && !det_encoding_is_known(a->encoding))
        snprintf(text, DATA_FAULT_BYTES, "--encoding: `%.100s` is not known on this machine",
                 a->encoding);
    else if (a->tiles.size.given && (a->tiles.size.width == 0 || !a->copy_images))
        snprintf(text, DATA_FAULT_BYTES, "%s",
                 a->copy_images ? "--tiles: a size is missing, as in --tiles 640"
                                : "--tiles makes pictures, --nocopy_images writes none");
    else if (tile_options_fault(&a->tiles) != NULL)
        snprintf(text, DATA_FAULT_BYTES, "%s", tile_options_fault(&a->tiles));
    else if (!(a->least_inside > 0 && a->least_inside <= 1) || !(a->background >= 0))
        snprintf(text, DATA_FAULT_BYTES,
                 "--tile_least_inside: expected above 0, to 1, "
                 "--tile_background: 0 or more");
    else if (a->input_px != 0 && (a->input_px < 64 || a->input_px > 1280))
        snprintf(text, DATA_FAULT_BYTES, "--size: expected 64 to 1280");
    else if (a->batch_size < 0 || a->batch_size > 100000 || a->steps < 0 || a->steps > INT32_MAX)
        snprintf(text, DATA_FAULT_BYTES, "--batch_size, --steps: expected at least 0");
    return text[0] != '\0';
}

/* --- inputs --- */

det_status data_parse_input(struct data_job *job, const char *input, char **path, char **split)
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

/* A source whose format was not told apart: what the library says of it, and the way out. */
static det_status point_to_from(struct data_job *job, det_status status)
{
    char message[DET_ERROR_BYTES];
    snprintf(message, sizeof message, "%s", det_context_error(job->tool.context));
    return det_fail(job->env, status, "%.900s: say with --from which is meant", message);
}

static det_status read_source(struct data_job *job, const char *input)
{
    struct det_env *env = job->env;
    const char *from = job->arguments.from;
    char *path = NULL, *split = NULL;
    det_status status = DET_OK;
    DET_TRY(data_parse_input(job, input, &path, &split));
    status = det_annotation_set_read(job->set, from, path, split);
    job->format = det_annotation_set_format(job->set);
    const bool is_unclear = status == DET_STATUS_INVALID_ARGUMENT || status == DET_STATUS_NOT_FOUND;
    if (is_unclear && job->format == NULL && from == NULL && det_file_exists(path))
        status = point_to_from(job, status);
fail:
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
    DET_TRY(data_parse_input(job, input, &path, &split));
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

/* --- label map --- */

/* Without --label_map: the one that lies with the first source, if there is one. */
static det_status load_label_map(struct data_job *job)
{
    struct det_env *env = job->env;
    const char *given = job->arguments.label_map, *found = NULL;
    char *path = NULL, *split = NULL;
    det_status status = DET_OK;
    if (given != NULL)
        return det_annotation_set_load_label_map(job->set, given);
    DET_TRY(data_parse_input(job, job->inputs.values[0], &path, &split));
    DET_TRY(det_annotation_set_find_label_map(job->set, path, &found));
    if (found != NULL) {
        tool_log(&job->tool, DET_LOG_INFO, "classes from %s", found);
        DET_TRY(det_annotation_set_load_label_map(job->set, found));
    }
fail:
    det_free(env, &split);
    det_free(env, &path);
    return status;
}

/* --- the job --- */

static det_status make_set(struct data_job *job)
{
    det_annotation_set_settings settings;
    det_annotation_set_settings_default(&settings);
    data_exif_policy(job->arguments.exif, &settings.exif);
    settings.encoding = job->arguments.encoding;
    settings.allow_no_boxes = job->arguments.allow_no_boxes;
    settings.on_finding = job->on_finding;
    settings.user = job;
    return det_annotation_set_create(job->tool.context, &settings, &job->set);
}

det_status data_read(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    DET_TRY_RETURN(make_set(job));
    DET_TRY_RETURN(load_label_map(job));
    if (a->config != NULL) {
        DET_TRY_RETURN(det_pipeline_config_load(job->tool.context, a->config, &job->config));
        DET_TRY_RETURN(det_annotation_set_check_config(job->set, job->config));
    }
    for (size_t i = 0; i < a->images.count; i++)
        DET_TRY_RETURN(det_annotation_set_add_image_folder(job->set, a->images.values[i]));
    for (size_t i = 0; i < job->inputs.count; i++)
        DET_TRY_RETURN(read_source(job, job->inputs.values[i]));
    DET_TRY_RETURN(det_annotation_set_resolve(job->set));
    const size_t splits = det_annotation_set_split_count(job->set);
    tool_log(&job->tool, DET_LOG_INFO, "%s: %zu images, %zu boxes, %d classes, %zu split%s",
             job->command, det_annotation_set_image_count(job->set),
             det_annotation_set_object_count(job->set), det_annotation_set_class_count(job->set),
             splits, splits == 1 ? "" : "s");
    return DET_OK;
}

void data_job_close(struct data_job *job)
{
    if (job->env == NULL)
        return;
    det_annotation_set_destroy(&job->set);
    det_pipeline_config_destroy(&job->config);
}

det_status data_write(struct data_job *job, const char *format, const char *directory,
                      const char *shown)
{
    det_annotation_write_settings settings;
    det_annotations_written w = {.struct_size = sizeof w};
    det_annotation_write_settings_default(&settings);
    settings.shards = (int32_t)job->arguments.shards;
    settings.without_images = !job->arguments.copy_images;
    tool_tells_of_contents(&job->tool, directory);
    DET_TRY_RETURN(det_annotation_set_write(job->set, format, directory, &settings, &w));
    tool_log(
        &job->tool, DET_LOG_INFO,
        "%s: %zu images, %zu boxes in %d classes; %zu images copied as they are, %zu encoded anew",
        shown, w.images, w.objects, det_annotation_set_class_count(job->set), w.copied, w.encoded);
    if (w.renamed > 0)
        tool_log(&job->tool, DET_LOG_INFO,
                 "%zu images have another name than in the source: theirs was there twice, is no "
                 "safe name of a file or has the wrong extension",
                 w.renamed);
    return DET_OK;
}
