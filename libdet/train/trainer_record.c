/* trainer_record.c: what MODEL_DIR/run.json (train/run_record.h) tells of a run: what was asked
 * for, by which libdet on which machine, of which files. It is worth a warning when it cannot be
 * written, and never the training. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/build.h"
#include "base/forks.h"
#include "data/picture_libraries.h"
#include "devices/context.h"
#include "formats/pipeline_paths.h"
#include "support/file_sum.h"
#include "support/io.h"
#include "support/mem.h"
#include "train/trainer.h"

/* From so many bytes on whoever waits is told what for. */
#define LONG_SUM_BYTES (UINT64_C(1) << 30)

/* --- the machine --- */

/* "model name : X" of /proc/cpuinfo; "" where the kernel does not say it (aarch64). */
static void processor_name(char name[128])
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    name[0] = '\0';
    while (file != NULL && name[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL)
            snprintf(name, 128, "%.*s", (int)strcspn(colon + 1 + strspn(colon + 1, " "), "\n"),
                     colon + 1 + strspn(colon + 1, " "));
    }
    if (file != NULL)
        fclose(file);
}

static void put_machine(struct det_trainer *trainer, struct det_json_writer *json)
{
    const struct det_compute *compute = det_context_compute(trainer->context);
    struct utsname system;
    char name[128], processor[128];
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    processor_name(processor);
    if (uname(&system) != 0)
        memset(&system, 0, sizeof system);
    snprintf(name, sizeof name, "%.40s %.60s", system.sysname, system.release);
    det_json_open_object(json, "machine");
    det_json_put_string(json, "system", name);
    det_json_put_string(json, "architecture", system.machine);
    det_json_put_string(json, "processor", processor[0] != '\0' ? processor : NULL);
    det_json_put_int(json, "processors", sysconf(_SC_NPROCESSORS_ONLN));
    det_json_put_int(json, "memory_bytes",
                     pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : 0);
    det_json_put_string(json, "instruction_set", compute->ops->name);
    det_json_put_int(json, "threads", det_context_threads(trainer->context));
    det_json_put_string(json, "device", compute->device_text);
    det_json_close_object(json);
}

static void put_libdet(struct det_json_writer *json)
{
    const char *name = NULL, *version = NULL;
    det_json_open_object(json, "libdet");
    det_json_put_string(json, "version", det_version_string());
    det_json_put_int(json, "abi", det_abi_version());
    det_json_put_string(json, "build", det_build);
    det_json_put_string(json, "compiler", det_build_compiler);
    det_json_open_object(json, "libraries");
    for (int i = 0; (version = det_picture_library(i, &name)) != NULL; i++)
        det_json_put_string(json, name, version);
    det_json_close_object(json);
    det_json_close_object(json);
}

/* --- files --- */

struct file_list {
    const char **roles; /* [count]: what each is for; static */
    struct det_path_list paths;
    size_t role_capacity;
};

static void free_files(struct det_env *env, struct file_list *files)
{
    det_free(env, &files->roles);
    det_path_list_free(env, &files->paths);
}

static det_status add_file(struct det_env *env, struct file_list *files, const char *role,
                           const char *path)
{
    DET_TRY_RETURN(det_grow(env, &files->roles, &files->role_capacity, files->paths.count + 1,
                            sizeof *files->roles, "files of a run"));
    files->roles[files->paths.count] = role;
    char *full = realpath(path, NULL);
    const det_status status = det_path_list_add(env, &files->paths, full != NULL ? full : path);
    free(full);
    return status;
}

static det_status add_records(struct det_env *env, const struct det_pipeline_config *config,
                              const struct det_input_reader_config *reader, const char *role,
                              struct file_list *files)
{
    struct det_path_list patterns = {0}, found = {0};
    det_status status = DET_OK;
    DET_TRY(det_pipeline_path_records(env, config, reader, &patterns));
    for (size_t i = 0; i < patterns.count; i++)
        DET_TRY(det_record_paths(env, patterns.paths[i], &found));
    for (size_t i = 0; i < found.count; i++)
        DET_TRY(add_file(env, files, role, found.paths[i]));
fail:
    det_path_list_free(env, &patterns);
    det_path_list_free(env, &found);
    return status;
}

static det_status add_label_map(struct det_env *env, const struct det_pipeline_config *config,
                                const char *written, struct file_list *files)
{
    char *path = NULL;
    if (written == NULL || written[0] == '\0')
        return DET_OK;
    DET_TRY_RETURN(det_pipeline_path_find(env, config, written, DET_PATH_FILE, &path));
    const det_status status = add_file(env, files, "label_map", path);
    det_free(env, &path);
    return status;
}

/* A .det file, or all files whose names begin as a TensorFlow checkpoint's. */
static det_status add_checkpoint(struct det_env *env, const struct det_pipeline_config *config,
                                 struct file_list *files)
{
    struct det_path_list beside = {0};
    char *path = NULL, *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_pipeline_path_find(env, config, config->train.fine_tune_checkpoint,
                                   DET_PATH_CHECKPOINT, &path));
    if (det_is_directory(path))
        goto fail; /* which of them was taken is in the log; status is OK */
    DET_TRY(det_path_directory(env, &folder, path));
    DET_TRY(det_list_directory(env, folder, &beside));
    const char *name = det_path_name(path);
    const size_t length = strlen(name);
    for (size_t i = 0; i < beside.count; i++) {
        const char *other = det_path_name(beside.paths[i]);
        if (strncmp(other, name, length) == 0 && (other[length] == '\0' || other[length] == '.'))
            DET_TRY(add_file(env, files, "fine_tune_checkpoint", beside.paths[i]));
    }
fail:
    det_path_list_free(env, &beside);
    det_free(env, &path);
    det_free(env, &folder);
    return status;
}

static det_status find_files(const struct det_trainer *trainer,
                             const struct det_pipeline_config *config,
                             const det_trainer_settings *s, struct file_list *files)
{
    struct det_env *env = trainer->env;
    const struct det_input_reader_config *reader = &config->train_input_reader;
    if (s->samples == NULL)
        DET_TRY_RETURN(add_records(env, config, reader, "train", files));
    DET_TRY_RETURN(add_label_map(env, config, reader->label_map_path, files));
    if (s->eval_every_steps > 0 && trainer->eval_settings.samples == NULL) {
        reader = &config->eval_input_readers[0];
        DET_TRY_RETURN(add_records(env, config, reader, "eval", files));
    }
    if (trainer->state.step == 0 && det_trainer_is_fine_tuned(config))
        DET_TRY_RETURN(add_checkpoint(env, config, files));
    return DET_OK;
}

/* A sum costs a reading: it is taken once of a file that stays as it is. */
static det_status put_file(struct det_trainer *trainer, const char *role, const char *path,
                           struct det_json_writer *json)
{
    struct det_env *env = trainer->env;
    struct det_file_sum sum;
    DET_TRY_RETURN(det_file_sum_look(env, path, &sum));
    if (!det_run_record_find_sum(env, &trainer->record, path, sum.bytes, sum.modified_ns,
                                 sum.sha256)) {
        if (sum.bytes >= LONG_SUM_BYTES)
            det_log(env, DET_LOG_INFO, "%s: taking the sum of %.1f GB for " DET_RUN_RECORD_NAME,
                    path, (double)sum.bytes * 1e-9);
        DET_TRY_RETURN(det_file_sum_take(env, path, &sum));
    }
    det_json_line(json, 6);
    det_json_open_object(json, NULL);
    det_json_put_string(json, "role", role);
    det_json_put_string(json, "path", path);
    det_json_put_int(json, "bytes", (int64_t)sum.bytes);
    det_json_put_int(json, "modified_ns", sum.modified_ns);
    det_json_put_string(json, "sha256", sum.sha256);
    det_json_close_object(json);
    return DET_OK;
}

static det_status put_data(struct det_trainer *trainer, const struct det_pipeline_config *config,
                           const det_trainer_settings *s, struct det_json_writer *json)
{
    struct file_list files = {0};
    det_status status = DET_OK;
    det_json_open_list(json, "data");
    DET_TRY(find_files(trainer, config, s, &files));
    for (size_t i = 0; i < files.paths.count; i++)
        DET_TRY(put_file(trainer, files.roles[i], files.paths.paths[i], json));
    det_json_close_list(json);
fail:
    free_files(trainer->env, &files);
    return status;
}

/* --- the run --- */

static void put_arguments(const det_trainer_settings *s, struct det_json_writer *json)
{
    char *folder = realpath(".", NULL);
    det_json_line(json, 4);
    det_json_open_list(json, "arguments");
    for (size_t i = 0; i < s->argument_count; i++)
        det_json_put_string(json, NULL, s->arguments[i]);
    det_json_close_list(json);
    det_json_line(json, 4);
    det_json_put_string(json, "working_folder", folder);
    free(folder);
}

/* Of the config as it was read: MODEL_DIR/pipeline.config has what ran. */
static void put_config(const struct det_trainer *trainer, const struct det_pipeline_config *config,
                       struct det_json_writer *json)
{
    struct det_sha256 sum;
    char hex[65], *full = realpath(config->path, NULL);
    det_sha256_begin(&sum);
    det_sha256_add(&sum, config->text, config->text_bytes);
    det_sha256_end(&sum, hex);
    det_json_line(json, 4);
    det_json_open_object(json, "config");
    det_json_put_string(json, "path", full != NULL ? full : config->path);
    det_json_put_string(json, "sha256_of_what_ran", hex);
    det_json_put_int(json, "steps", trainer->num_steps == INT64_MAX ? 0 : trainer->num_steps);
    det_json_put_int(json, "batch_size", (int64_t)trainer->batch_size * trainer->ranks);
    if (trainer->ranks > 1)
        det_json_put_int(json, "ranks", trainer->ranks);
    det_json_put_int(json, "accumulate", trainer->learner->settings.accumulate);
    det_json_put_int(json, "seed", (int64_t)trainer->state.seed);
    det_json_close_object(json);
    free(full);
}

static det_status describe(struct det_trainer *trainer, const struct det_pipeline_config *config,
                           const det_trainer_settings *s)
{
    struct det_json_writer json;
    det_json_begin(&json, trainer->env, &trainer->record.about, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    put_arguments(s, &json);
    put_config(trainer, config, &json);
    det_json_line(&json, 4);
    put_libdet(&json);
    det_json_line(&json, 4);
    put_machine(trainer, &json);
    det_json_line(&json, 4);
    DET_TRY_RETURN(put_data(trainer, config, s, &json));
    det_json_close_object(&json);
    return det_json_end(&json);
}

static void give_up(struct det_trainer *trainer, const char *what)
{
    det_log(trainer->env, DET_LOG_WARNING, "%s: %s; the training does not depend on it", what,
            trainer->env->error);
    det_forget_error(trainer->env);
    det_run_record_free(trainer->env, &trainer->record);
}

void det_trainer_record_begin(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *settings)
{
    struct det_env *env = trainer->env;
    struct det_run_record *record = &trainer->record;
    if (trainer->model_dir == NULL)
        return;
    det_status status = det_run_record_open(env, trainer->model_dir, record);
    record->started_ns = det_clock_ns();
    det_clock_utc(record->started);
    record->first_step = record->step = trainer->state.step;
    record->process = det_forks();
    if (status == DET_OK)
        status = describe(trainer, config, settings);
    if (status == DET_OK)
        status = det_run_record_write(env, record);
    if (status != DET_OK)
        give_up(trainer, DET_RUN_RECORD_NAME " could not be written");
}

void det_trainer_record_note(struct det_trainer *trainer, det_status status)
{
    struct det_run_record *record = &trainer->record;
    const bool failed = status != DET_OK && status != DET_STATUS_FINISHED;
    record->step = trainer->state.step;
    record->how = failed                         ? det_status_text(status)
                  : trainer->stopped_early       ? "stopped early"
                  : det_trainer_is_done(trainer) ? "finished"
                                                 : "stopped";
}

void det_trainer_record_end(struct det_trainer *trainer)
{
    struct det_run_record *record = &trainer->record;
    char message[DET_ERROR_BYTES];
    /* Neither a child of fork() nor who has lost the folder has anything to say of it. */
    if (record->path == NULL || record->process != det_forks())
        return;
    memcpy(message, trainer->env->error, sizeof message);
    if (record->how == NULL)
        record->how = "stopped";
    if (det_dir_lock_beat(trainer->env, &trainer->lock, true) == DET_OK &&
        det_run_record_write(trainer->env, record) != DET_OK)
        det_log(trainer->env, DET_LOG_WARNING, "the end of this run is not in %s: %s", record->path,
                trainer->env->error);
    memcpy(trainer->env->error, message, sizeof message);
    det_run_record_free(trainer->env, record);
}
