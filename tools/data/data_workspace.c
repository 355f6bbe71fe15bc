#include "data/data_workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include "data/source_record.h"
#include "support/io.h"
#include "support/mem.h"

#define CONFIG_NAME  "pipeline.config"
#define WEIGHTS_NAME "pre-trained-models"

void workspace_free(struct det_env *env, struct workspace *w)
{
    if (w->lock >= 0)
        close(w->lock);
    det_free(env, &w->annotations);
    det_free(env, &w->config);
    det_free(env, &w->weights);
    det_free(env, &w->part);
    det_free(env, &w->part_config);
}

/* --- weights to begin from --- */

/* FOLDER/NAME.det, FOLDER/NAME/checkpoint/ckpt-0 as the model zoo's archives unpack, or a prefix in
 * FOLDER/NAME: the first by name; *count: how many there are. */
static det_status look_for_weights(struct data_job *job, const char *folder, char **weights,
                                   size_t *count)
{
    struct det_env *env = job->env;
    struct det_path_list list = {0};
    char *found = NULL, *index = NULL;
    det_status status = DET_OK;
    *count = 0;
    if (!det_is_directory(folder))
        return DET_OK;
    DET_TRY(det_list_directory(env, folder, &list));
    for (size_t i = 0; i < list.count; i++) {
        const char *path = list.paths[i], *dot = strrchr(path, '.');
        if (det_is_directory(path)) {
            DET_TRY(det_path_join(env, &found, path, "checkpoint/ckpt-0"));
            DET_TRY(det_format(env, &index, "%s.index", found));
        } else if (dot != NULL && strcmp(dot, ".det") == 0 && det_path_name(path)[0] != '.') {
            DET_TRY(det_strdup(env, &found, path));
            DET_TRY(det_strdup(env, &index, path));
        }
        if (index != NULL && det_file_exists(index) && (*count)++ == 0) {
            *weights = found;
            found = NULL;
        }
        det_free(env, &found);
        det_free(env, &index);
    }
fail:
    det_path_list_free(env, &list);
    det_free(env, &found);
    det_free(env, &index);
    return status;
}

/* In --output, then here. */
static det_status choose_weights(struct data_job *job, struct workspace *w)
{
    struct det_env *env = job->env;
    char *folder = NULL;
    size_t count = 0;
    det_status status = DET_OK;
    if (job->arguments.fine_tune_checkpoint != NULL)
        return det_strdup(env, &w->weights, job->arguments.fine_tune_checkpoint);
    DET_TRY(det_path_join(env, &folder, job->arguments.output, WEIGHTS_NAME));
    DET_TRY(look_for_weights(job, folder, &w->weights, &count));
    if (count == 0)
        DET_TRY(look_for_weights(job, WEIGHTS_NAME, &w->weights, &count));
    if (count > 0)
        tool_log(&job->tool, DET_LOG_INFO, "weights to begin from: %s%s", w->weights,
                 count > 1 ? ", the first of several (--fine_tune_checkpoint names another)" : "");
    else
        tool_log(
            &job->tool, DET_LOG_WARNING,
            "no weights to begin from: some hundred pictures teach little from scratch. Unpack "
            "a model of TensorFlow's zoo (ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8) into "
            "%s/" WEIGHTS_NAME ", or give --fine_tune_checkpoint",
            job->arguments.output);
fail:
    det_free(env, &folder);
    return status;
}

/* The config is found from any folder with it. */
static det_status find_weights(struct data_job *job, struct workspace *w)
{
    det_checkpoint_info info;
    DET_TRY_RETURN(choose_weights(job, w));
    if (w->weights == NULL)
        return DET_OK;
    DET_TRY_RETURN(det_checkpoint_find(job->tool.context, w->weights, &info));
    char *real = w->weights[0] == '/' ? NULL : realpath(".", NULL);
    if (real == NULL)
        return DET_OK;
    char *full = NULL;
    const det_status status = det_path_join(job->env, &full, real, w->weights);
    free(real);
    if (status == DET_OK) {
        det_free(job->env, &w->weights);
        w->weights = full;
    }
    return status;
}

/* --- what is there --- */

static det_status find_paths(struct data_job *job, struct workspace *w)
{
    struct det_env *env = job->env;
    const char *output = job->arguments.output;
    DET_TRY_RETURN(det_path_join(env, &w->annotations, output, w->layout->annotations));
    DET_TRY_RETURN(det_path_join(env, &w->config, output, w->layout->config));
    DET_TRY_RETURN(det_format(env, &w->part, "%s.part", w->annotations));
    return det_path_join(env, &w->part_config, w->part, CONFIG_NAME);
}

static det_status moved(struct data_job *job, const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return det_fail_errno(job->env, errno, "%s: cannot become %s", from, to);
    return DET_OK;
}

/* The config goes to its place last: with it the workspace is there. */
static det_status place_config(struct data_job *job, const struct workspace *w)
{
    char *from = NULL, *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(job->env, &from, w->annotations, CONFIG_NAME));
    DET_TRY(det_path_directory(job->env, &folder, w->config));
    DET_TRY(det_make_directories(job->env, folder));
    DET_TRY(moved(job, from, w->config));
fail:
    det_free(job->env, &from);
    det_free(job->env, &folder);
    return status;
}

static det_status is_there(struct data_job *job, const char *folder, const char *name, bool *there)
{
    char *path = NULL;
    DET_TRY_RETURN(det_path_join(job->env, &path, folder, name));
    *there = det_file_exists(path);
    det_free(job->env, &path);
    return DET_OK;
}

det_status workspace_look(struct data_job *job, const struct workspace_layout *layout,
                          struct workspace *w, enum workspace_state *state, const char **what)
{
    bool has_source = false, has_config = false;
    *w = (struct workspace){
        .layout = layout, .lock = -1, .choices = {.struct_size = sizeof w->choices}};
    *state = WORKSPACE_NONE;
    *what = NULL;
    DET_TRY_RETURN(find_paths(job, w));
    DET_TRY_RETURN(is_there(job, w->annotations, SOURCE_RECORD_NAME, &has_source));
    DET_TRY_RETURN(is_there(job, w->annotations, CONFIG_NAME, &has_config));
    if (has_source && has_config && !det_file_exists(w->config))
        DET_TRY_RETURN(place_config(job, w));
    if (det_file_exists(w->config))
        *what = w->config;
    else if (det_file_exists(w->annotations))
        *what = w->annotations;
    if (*what != NULL)
        *state = has_source && det_file_exists(w->config) ? WORKSPACE_MADE : WORKSPACE_OTHERS;
    return DET_OK;
}

/* --- the folder of what is being made --- */

static bool is_ours(const char *name)
{
    static const char *const names[] = {SOURCE_RECORD_NAME, CONFIG_NAME, "label_map.pbtxt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return name[0] == '.' || strstr(name, ".tfrecord") != NULL;
}

/* Of one that was interrupted; *any: there was something. */
static det_status clear_part(struct data_job *job, const struct workspace *w, bool *any)
{
    struct det_env *env = job->env;
    struct det_path_list entries = {0};
    det_status status = DET_OK;
    DET_TRY(det_list_directory(env, w->part, &entries));
    *any = entries.count > 0;
    for (size_t i = 0; i < entries.count; i++)
        if (!is_ours(det_path_name(entries.paths[i])))
            DET_TRY(det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                             "%s: is in the place of what is being made, and was not made here: "
                             "move it away",
                             entries.paths[i]));
    for (size_t i = 0; i < entries.count; i++)
        if (unlink(entries.paths[i]) != 0)
            DET_TRY(det_fail_errno(env, errno, "%s: cannot be removed", entries.paths[i]));
fail:
    det_path_list_free(env, &entries);
    return status;
}

/* Makes the folder and takes it: two processes do not make one workspace. */
static det_status take_part(struct data_job *job, struct workspace *w)
{
    struct det_env *env = job->env;
    bool any = false;
    w->made_output = !det_file_exists(job->arguments.output);
    DET_TRY_RETURN(det_make_directories(env, w->part));
    w->lock = open(w->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->lock < 0)
        return det_fail_errno(env, errno, "%s", w->part);
    if (flock(w->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(w->lock);
        w->lock = -1;
        return det_fail(env, DET_STATUS_IN_USE, "%s: another process is making it",
                        job->arguments.output);
    }
    DET_TRY_RETURN(clear_part(job, w, &any));
    if (any)
        tool_log(&job->tool, DET_LOG_INFO, "%s was interrupted before: begun anew",
                 job->arguments.output);
    return DET_OK;
}

/* After a failure, whose message stays. */
static void give_part_back(struct data_job *job, const struct workspace *w)
{
    char message[DET_ERROR_BYTES];
    bool any = false;
    if (w->lock < 0)
        return;
    memcpy(message, job->env->error, sizeof message);
    if (clear_part(job, w, &any) == DET_OK && rmdir(w->part) == 0 && w->made_output)
        (void)rmdir(job->arguments.output); /* stays with anything else in it */
    memcpy(job->env->error, message, sizeof message);
}

/* --- making it --- */

/* A split of one of these names that something is left of; NULL: there is none. */
static const char *split_called(struct data_job *job, const char *const *names)
{
    det_annotation_split_stats stats = {.struct_size = sizeof stats};
    for (; *names != NULL; names++)
        if (det_annotation_set_split_stats(job->set, *names, &stats) == DET_OK && stats.objects > 0)
            return *names;
    return NULL;
}

/* The source's own splits where it has two, and no picture stands in both; else four fifths are for
 * training. */
static det_status split(struct data_job *job, struct workspace *w)
{
    static const char *const trains[] = {"train", "training", NULL};
    static const char *const tests[] = {"test", "val", "valid", "validation", NULL};
    static const char *const names[] = {"train", "test"};
    static const double shares[] = {0.8, 0.2};
    const size_t leaks =
        det_annotation_set_finding_count(job->set, "split-leak", DET_SEVERITY_WARNING);
    w->train = split_called(job, trains);
    w->test = split_called(job, tests);
    if (w->train != NULL && w->test != NULL && leaks == 0)
        return DET_OK;
    if (w->train != NULL && w->test != NULL)
        tool_log(&job->tool, DET_LOG_WARNING,
                 "%zu pictures stand in two splits: all of them are dealt out anew", leaks);
    w->train = names[0];
    w->test = names[1];
    DET_TRY_RETURN(
        det_annotation_set_deal(job->set, names, shares, 2, (uint64_t)job->arguments.seed));
    if (split_called(job, tests) == NULL) {
        w->test = w->train;
        tool_log(&job->tool, DET_LOG_WARNING,
                 "too few pictures to keep some for a test: what is evaluated was trained on, and "
                 "says nothing of other pictures");
    }
    return DET_OK;
}

static det_status write_config(struct data_job *job, struct workspace *w)
{
    struct det_env *env = job->env;
    const char *from = w->layout->to_annotations;
    det_starter_settings settings;
    char *train = NULL, *test = NULL, *labels = NULL;
    det_status status = DET_OK;
    det_starter_settings_default(&settings);
    const char *shard = job->arguments.shards > 1 ? "-*" : "";
    DET_TRY(det_format(env, &train, "%s/%s.tfrecord%s", from, w->train, shard));
    DET_TRY(det_format(env, &test, "%s/%s.tfrecord%s", from, w->test, shard));
    DET_TRY(det_format(env, &labels, "%s/label_map.pbtxt", from));
    settings.split = w->train;
    settings.train_records = train;
    settings.test_records = test;
    settings.label_map = labels;
    settings.fine_tune_checkpoint = w->weights;
    settings.input_px = (int32_t)job->arguments.input_px;
    settings.batch_size = (int32_t)job->arguments.batch_size;
    settings.steps = (int32_t)job->arguments.steps;
    settings.assignments = job->arguments.set.values;
    settings.assignment_count = job->arguments.set.count;
    status = det_starter_config_write(job->tool.context, job->set, w->part_config, &settings,
                                      &w->choices);
fail:
    det_free(env, &train);
    det_free(env, &test);
    det_free(env, &labels);
    return status;
}

/* All of it in the folder of what is being made; what it is made of first. */
static det_status fill_part(struct data_job *job, struct workspace *w)
{
    char *record = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(job->env, &record, w->part, SOURCE_RECORD_NAME));
    DET_TRY(source_record_write(job, record));
    DET_TRY(data_write(job, "tfrecord", w->part, w->annotations));
    DET_TRY(write_config(job, w));
fail:
    det_free(job->env, &record);
    return status;
}

/* "Car" beside "car" is a slip of whoever labelled, more often than not. */
static void warn_of_capitals(struct data_job *job)
{
    const int32_t count = det_annotation_set_class_count(job->set);
    for (int32_t a = 1; a <= count; a++)
        for (int32_t b = a + 1; b <= count; b++) {
            const char *one = det_annotation_set_class_name(job->set, a);
            const char *other = det_annotation_set_class_name(job->set, b);
            if (strcasecmp(one, other) == 0)
                tool_log(&job->tool, DET_LOG_WARNING,
                         "classes %d \"%s\" and %d \"%s\" differ in capitals alone, and are learnt "
                         "as two: where they are one, correct the labels",
                         (int)a, one, (int)b, other);
        }
}

static det_status make(struct data_job *job, struct workspace *w)
{
    DET_TRY_RETURN(take_part(job, w));
    DET_TRY_RETURN(data_read(job));
    warn_of_capitals(job);
    DET_TRY_RETURN(det_annotation_set_check(job->set));
    DET_TRY_RETURN(data_repair(job));
    DET_TRY_RETURN(data_check_rest(job));
    DET_TRY_RETURN(det_annotation_set_check(job->set));
    DET_TRY_RETURN(split(job, w));
    DET_TRY_RETURN(data_cut(job));
    return fill_part(job, w);
}

det_status workspace_make(struct data_job *job, struct workspace *w)
{
    DET_TRY_RETURN(find_weights(job, w));
    const det_status status = make(job, w);
    if (status != DET_OK) {
        give_part_back(job, w);
        return status;
    }
    DET_TRY_RETURN(moved(job, w->part, w->annotations));
    return place_config(job, w);
}

det_status workspace_compare(struct data_job *job, const struct workspace *w)
{
    char *record = NULL;
    DET_TRY_RETURN(det_path_join(job->env, &record, w->annotations, SOURCE_RECORD_NAME));
    const det_status status = source_record_compare(job, record);
    det_free(job->env, &record);
    return status;
}
