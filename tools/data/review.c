/* review.c: det-data review: likely label errors, and what to label next. */
#include <string.h>

#include "common/console.h"
#include "common/output.h"
#include "data/data.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/path.h"

/* --- the model --- */

/* A folder of a training has its config; a .det file needs none. */
static det_status find_config(struct data_job *job, const det_checkpoint_info *from, char **path)
{
    struct det_env *env = job->env;
    char *folder = NULL;
    DET_TRY_RETURN(det_path_directory(env, &folder, from->path));
    det_status status = det_path_join(env, path, folder, "pipeline.config");
    det_free(env, &folder);
    if (status == DET_OK && !det_file_exists(*path))
        det_free(env, path);
    return status;
}

/* Statistics that a short training has left halfway are taken anew, of the pictures that are looked
 * at where they are records: what the exported form would detect with the others is little. */
static det_status recalibrate(struct data_job *job, const det_pipeline_config *config,
                              det_model **model)
{
    det_decay_advice advice = {.struct_size = sizeof advice};
    det_recalibration_settings settings;
    det_model *anew = NULL;
    DET_TRY_RETURN(det_model_decay_advice(*model, &advice));
    if (!advice.warn)
        return DET_OK;
    const bool records = job->format != NULL && strcmp(job->format, "tfrecord") == 0;
    det_recalibration_settings_default(&settings);
    settings.records = records ? job->inputs.values : NULL;
    settings.record_count = records ? job->inputs.count : 0;
    const det_status status =
        det_model_recalibrate(job->tool.context, config, *model, &settings, &anew);
    if (status != DET_OK) {
        tool_log(
            &job->tool, DET_LOG_WARNING,
            "%s: the model detects less than it could: %.0f %% of its statistics are what "
            "they began with; det-export --recalibrate makes one that is better to review with",
            tool_message(&job->tool, status), 100 * advice.left);
        return DET_OK;
    }
    tool_log(&job->tool, DET_LOG_INFO, "statistics taken anew of %lld pictures",
             (long long)det_model_recalibrated_images(anew));
    det_model_destroy(model);
    *model = anew;
    return DET_OK;
}

static det_status load_checkpoint(struct data_job *job, const det_checkpoint_info *from,
                                  det_model **model)
{
    det_context *context = job->tool.context;
    det_pipeline_config *config = NULL;
    char *path = NULL;
    det_status status = DET_OK;
    if (job->arguments.config != NULL)
        DET_TRY(det_strdup(job->env, &path, job->arguments.config));
    else
        DET_TRY(find_config(job, from, &path));
    if (path == NULL && from->is_tensorflow)
        DET_TRY(det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                         "%s: a TensorFlow checkpoint does not say what network it is of: "
                         "--pipeline_config_path is needed",
                         from->path));
    if (path == NULL) {
        DET_TRY(det_model_load(context, from->path, model));
    } else {
        DET_TRY(det_pipeline_config_load(context, path, &config));
        DET_TRY(det_model_load_checkpoint(context, config, from->path, model));
        DET_TRY(recalibrate(job, config, model));
    }
fail:
    det_pipeline_config_destroy(&config);
    det_free(job->env, &path);
    return status;
}

static bool is_file(const char *path)
{
    return det_file_exists(path) && !det_is_directory(path);
}

static det_status load_model(struct data_job *job, det_model **model)
{
    det_checkpoint_info from;
    if (is_file(job->model)) {
        const det_status status = det_model_load(job->tool.context, job->model, model);
        if (status == DET_OK)
            return status;
        /* ckpt-2.index is a file, too, and so is what is no model at all. */
        if (strstr(det_path_name(job->model), ".det") != NULL)
            return status;
    }
    DET_TRY_RETURN(det_checkpoint_find(job->tool.context, job->model, &from));
    DET_TRY_RETURN(tool_reads_checkpoint(&job->tool, &from));
    tool_log(&job->tool, DET_LOG_INFO, "checkpoint %s", from.path);
    return load_checkpoint(job, &from, model);
}

/* --- unlabelled pictures --- */

enum { MOST_DEPTH = 16 };

static det_status add_picture(struct data_job *job, det_annotation_set *set, const char *path)
{
    const char *below = det_path_below(path, job->arguments.unlabelled);
    const det_annotation_image image = {
        .struct_size = sizeof image, .path = path, .name = below, .source_id = below};
    size_t position = 0;
    return det_annotation_set_add_image(set, &image, &position);
}

static det_status add_folder(struct data_job *job, det_annotation_set *set, const char *folder,
                             int depth)
{
    struct det_path_list list = {0};
    det_status status = DET_OK;
    DET_TRY(det_list_directory(job->env, folder, &list));
    for (size_t i = 0; i < list.count; i++) {
        if (det_is_directory(list.paths[i])) {
            if (depth < MOST_DEPTH)
                DET_TRY(add_folder(job, set, list.paths[i], depth + 1));
        } else if (det_image_extension(list.paths[i]) != NULL) {
            DET_TRY(add_picture(job, set, list.paths[i]));
        }
    }
fail:
    det_path_list_free(job->env, &list);
    return status;
}

static det_status read_unlabelled(struct data_job *job, det_annotation_set **set)
{
    det_annotation_set_settings settings;
    det_annotation_set_settings_default(&settings);
    settings.allow_no_boxes = 1;
    settings.on_finding = job->on_finding;
    settings.user = job;
    data_exif_policy(job->arguments.exif, &settings.exif);
    DET_TRY_RETURN(det_annotation_set_create(job->tool.context, &settings, set));
    DET_TRY_RETURN(add_folder(job, *set, job->arguments.unlabelled, 0));
    if (det_annotation_set_image_count(*set) == 0)
        return det_fail(job->env, DET_STATUS_NOT_FOUND, "--unlabelled %s: no picture in it",
                        job->arguments.unlabelled);
    return det_annotation_set_resolve(*set);
}

/* --- the review --- */

static int progress(void *user, size_t done, size_t total)
{
    (void)user;
    console_progress("review: picture %zu of %zu", done + 1, total);
    return tool_interrupted();
}

static det_status announce(struct data_job *job)
{
    const char *file = NULL;
    DET_TRY_RETURN(tool_reads(&job->tool, job->model));
    for (size_t i = 0; (file = det_review_file(i)) != NULL; i++)
        DET_TRY_RETURN(tool_writes_in(&job->tool, "--output", job->arguments.output, file));
    return DET_OK;
}

static void tell(struct data_job *job, const det_review *review)
{
    size_t counts[DET_REVIEW_MOVED + 1] = {0};
    det_review_row row = {.struct_size = sizeof row};
    char name[CONSOLE_NAME_BYTES];
    const size_t rows = det_review_row_count(review);
    for (size_t i = 0; i < rows && det_review_row_at(review, i, &row) == DET_OK; i++)
        counts[row.kind] += row.suspicion >= 0.5;
    console_print(
        "%zu rows; with a suspicion of .5 or more: %zu missing, %zu spurious, %zu renamed, "
        "%zu moved\n",
        rows, counts[DET_REVIEW_MISSING], counts[DET_REVIEW_SPURIOUS], counts[DET_REVIEW_RENAMED],
        counts[DET_REVIEW_MOVED]);
    if (job->arguments.unlabelled != NULL)
        console_print("%zu pictures to label next\n", det_review_choice_count(review));
    console_print("Next: open %s/review.html in a browser; annotations.xml there loads into CVAT\n",
                  console_name(name, job->arguments.output));
}

static det_status write_results(struct data_job *job, det_review *review)
{
    const struct data_arguments *a = &job->arguments;
    const char *text = NULL;
    DET_TRY_RETURN(det_review_write(review, a->output, (size_t)a->most));
    if (a->json == NULL)
        return DET_OK;
    DET_TRY_RETURN(det_review_json(review, &text));
    return output_write(job->env, a->json, text, strlen(text));
}

int data_review(struct data_job *job)
{
    det_review_settings settings;
    det_model *model = NULL;
    det_review *review = NULL;
    det_annotation_set *unlabelled = NULL;
    det_status status = DET_OK;
    tool_catch_signals("stopping\n");
    DET_TRY(announce(job));
    DET_TRY(data_read(job));
    DET_TRY(load_model(job, &model));
    det_review_settings_default(&settings);
    settings.progress = progress;
    DET_TRY(det_review_create(job->tool.context, model, job->set, &settings, &review));
    if (job->arguments.unlabelled != NULL) {
        DET_TRY(read_unlabelled(job, &unlabelled));
        DET_TRY(det_review_choose(review, model, unlabelled, (size_t)job->arguments.next));
    }
    console_progress_clear();
    DET_TRY(write_results(job, review));
    tell(job, review);
fail:
    console_progress_clear();
    det_review_destroy(&review);
    det_annotation_set_destroy(&unlabelled);
    det_model_destroy(&model);
    return status == DET_OK ? 0 : tool_fail(&job->tool, status);
}
