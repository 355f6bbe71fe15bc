/* init.c: det-data init: a workspace of the TF Object Detection API's tutorial made of a data set:
 *
 *   OUTPUT/annotations/         train.tfrecord, test.tfrecord, label_map.pbtxt
 *   OUTPUT/models/my/           pipeline.config (det/starter.h)
 *   OUTPUT/pre-trained-models/  is looked into for weights to begin from
 */
#include <stdlib.h>
#include <string.h>

#include "common/console.h"
#include "common/output.h"
#include "data/data.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/path.h"

static const char config_folder[] = "models/my", config_name[] = "pipeline.config";

struct layout {
    char *annotations, *models, *config, *weights;
    const char *train, *test; /* names of splits */
};

static void forget(struct det_env *env, struct layout *l)
{
    det_free(env, &l->annotations);
    det_free(env, &l->models);
    det_free(env, &l->config);
    det_free(env, &l->weights);
}

/* OUTPUT/pre-trained-models/NAME/checkpoint/ckpt-0, as the model zoo's archives unpack. */
static det_status look_for_weights(struct data_job *job, struct layout *l)
{
    struct det_env *env = job->env;
    struct det_path_list list = {0};
    char *folder = NULL, *prefix = NULL, *index = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &folder, job->arguments.output, "pre-trained-models"));
    if (!det_is_directory(folder))
        goto fail;
    DET_TRY(det_list_directory(env, folder, &list));
    for (size_t i = 0; i < list.count && l->weights == NULL; i++) {
        DET_TRY(det_path_join(env, &prefix, list.paths[i], "checkpoint/ckpt-0"));
        DET_TRY(det_format(env, &index, "%s.index", prefix));
        if (det_file_exists(index)) {
            l->weights = prefix;
            prefix = NULL;
        }
        det_free(env, &prefix);
        det_free(env, &index);
    }
fail:
    det_path_list_free(env, &list);
    det_free(env, &folder);
    det_free(env, &prefix);
    det_free(env, &index);
    return status;
}

/* The config is found from any folder with it. */
static det_status find_weights(struct data_job *job, struct layout *l)
{
    const char *given = job->arguments.fine_tune_checkpoint;
    det_checkpoint_info info;
    if (given == NULL)
        DET_TRY_RETURN(look_for_weights(job, l));
    else
        DET_TRY_RETURN(det_strdup(job->env, &l->weights, given));
    if (l->weights == NULL) {
        tool_log(
            &job->tool, DET_LOG_WARNING,
            "no weights to begin from: some hundred pictures teach little from scratch. Unpack "
            "a model of TensorFlow's zoo (ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8) into "
            "%s/pre-trained-models, or give --fine_tune_checkpoint",
            job->arguments.output);
        return DET_OK;
    }
    DET_TRY_RETURN(det_checkpoint_find(job->tool.context, l->weights, &info));
    char *real = l->weights[0] == '/' ? NULL : realpath(".", NULL);
    if (real == NULL)
        return DET_OK;
    char *full = NULL;
    const det_status status = det_path_join(job->env, &full, real, l->weights);
    free(real);
    if (status == DET_OK) {
        det_free(job->env, &l->weights);
        l->weights = full;
    }
    return status;
}

/* What is there is somebody's work. */
static det_status keep(struct data_job *job, const char *path)
{
    if (!det_file_exists(path))
        return DET_OK;
    return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                    "%s is there already, and would be lost: choose another --output, or remove it",
                    path);
}

static det_status plan(struct data_job *job, struct layout *l)
{
    struct det_env *env = job->env;
    const char *output = job->arguments.output;
    DET_TRY_RETURN(det_path_join(env, &l->annotations, output, "annotations"));
    DET_TRY_RETURN(det_path_join(env, &l->models, output, config_folder));
    DET_TRY_RETURN(det_path_join(env, &l->config, l->models, config_name));
    DET_TRY_RETURN(keep(job, l->config));
    DET_TRY_RETURN(keep(job, l->annotations));
    return find_weights(job, l);
}

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
static det_status split(struct data_job *job, struct layout *l)
{
    static const char *const trains[] = {"train", "training", NULL};
    static const char *const tests[] = {"test", "val", "valid", "validation", NULL};
    static const char *const names[] = {"train", "test"};
    static const double shares[] = {0.8, 0.2};
    const size_t leaks =
        det_annotation_set_finding_count(job->set, "split-leak", DET_SEVERITY_WARNING);
    l->train = split_called(job, trains);
    l->test = split_called(job, tests);
    if (l->train != NULL && l->test != NULL && leaks == 0)
        return DET_OK;
    if (l->train != NULL && l->test != NULL)
        tool_log(&job->tool, DET_LOG_WARNING,
                 "%zu pictures stand in two splits: all of them are dealt out anew", leaks);
    l->train = names[0];
    l->test = names[1];
    return det_annotation_set_deal(job->set, names, shares, 2, (uint64_t)job->arguments.seed);
}

static det_status write_config(struct data_job *job, const struct layout *l,
                               det_starter_choices *choices)
{
    struct det_env *env = job->env;
    det_starter_settings settings;
    char *train = NULL, *test = NULL;
    det_status status = DET_OK;
    det_starter_settings_default(&settings);
    const char *shard = job->arguments.shards > 1 ? "-*" : "";
    DET_TRY(det_make_directories(env, l->models));
    DET_TRY(det_format(env, &train, "../../annotations/%s.tfrecord%s", l->train, shard));
    DET_TRY(det_format(env, &test, "../../annotations/%s.tfrecord%s", l->test, shard));
    settings.split = l->train;
    settings.train_records = train;
    settings.test_records = test;
    settings.label_map = "../../annotations/label_map.pbtxt";
    settings.fine_tune_checkpoint = l->weights;
    settings.input_px = (int32_t)job->arguments.input_px;
    settings.batch_size = (int32_t)job->arguments.batch_size;
    settings.steps = (int32_t)job->arguments.steps;
    status = det_starter_config_write(job->tool.context, job->set, l->config, &settings, choices);
fail:
    det_free(env, &train);
    det_free(env, &test);
    return status;
}

static void tell(const struct layout *l, const det_starter_choices *c)
{
    char name[CONSOLE_NAME_BYTES], folder[CONSOLE_NAME_BYTES];
    console_name(name, l->config);
    console_name(folder, l->models);
    console_print("%s: %d x %d, batch %d, %d steps; %.0f %% of the boxes meet an anchor\n", name,
                  c->input_px, c->input_px, c->batch_size, c->steps, 100 * c->covered);
    console_print("Next: det-train --pipeline_config_path %s --model_dir %s/run\n", name, folder);
}

int data_init(struct data_job *job)
{
    struct layout l = {0};
    det_starter_choices choices = {.struct_size = sizeof choices};
    det_status status = DET_OK;
    DET_TRY(plan(job, &l));
    DET_TRY(data_read(job));
    DET_TRY(det_annotation_set_check(job->set));
    DET_TRY(data_repair(job));
    DET_TRY(data_check_rest(job));
    DET_TRY(det_annotation_set_check(job->set));
    DET_TRY(split(job, &l));
    DET_TRY(data_cut(job));
    DET_TRY(data_write(job, "tfrecord", l.annotations));
    DET_TRY(write_config(job, &l, &choices));
    tell(&l, &choices);
fail:
    forget(job->env, &l);
    return status == DET_OK ? 0 : tool_fail(&job->tool, status);
}
