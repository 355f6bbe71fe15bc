/* The files that a pipeline.config names: as written, beside it, as patterns, written on Windows;
 * all missing ones in one message. */
#include <sys/stat.h>
#include <unistd.h>

#include "formats/pipeline_paths.h"
#include "support/mem.h"
#include "support/test.h"
#include "support/text.h"
#include "support/workspace.h"

struct fixture {
    struct test_env t;
    struct det_pipeline_config config;
    char directory[256];
    struct test_warnings warnings;
};

static const struct det_pipeline_reading everything = {
    .train_input = true, .eval_input = true, .fine_tune_checkpoint = true};

static void touch(const struct fixture *f, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    for (char *at = path + strlen(f->directory) + 1; *at != '\0'; at++)
        if (*at == '/') {
            *at = '\0';
            mkdir(path, 0777);
            *at = '/';
        }
    struct det_env env;
    det_env_default(&env);
    assert_ok(&env, det_write_file(&env, path, "x", 1));
}

/* The workspace of the API's tutorials: annotations/, models/NAME/pipeline.config. */
static void open_fixture(struct fixture *f)
{
    test_env_init(&f->t);
    f->warnings = (struct test_warnings){{0}, 0};
    f->t.env.logger = (det_logger){.user = &f->warnings, .write = test_keep_warning};
    test_make_directory(f->directory, "config_paths");
    touch(f, "models/my_ssd/pipeline.config");
    touch(f, "models/my_ssd/beside.pbtxt");
    touch(f, "annotations/label_map.pbtxt");
    touch(f, "annotations/train.record-00000-of-00002");
    touch(f, "annotations/train.record-00001-of-00002");
    touch(f, "annotations/test [1].record");
    touch(f, "My Drive/test.record-00000-of-00001");
    touch(f, "pre-trained-models/zoo/checkpoint/ckpt-0.index");
}

static void close_fixture(struct fixture *f)
{
    test_remove_tree(f->directory);
    test_env_check(&f->t);
}

/* A config in models/my_ssd with these paths, in the text's own escapes. */
static void read_with(struct fixture *f, const char *label_map, const char *input,
                      const char *checkpoint)
{
    char golden[256], name[600];
    char *text = test_read_text(test_golden(golden, "configs/raccoon_320.config"));
    char *at = strstr(text, "fine_tune_checkpoint:"), *readers = strstr(text, "train_input_reader");
    char *end = strstr(at, "\n");
    struct det_text all = {0};
    struct det_env env;
    det_env_default(&env);
    assert_ok(&env, det_text_printf(&env, &all, "%.*sfine_tune_checkpoint: \"%s\"%.*s",
                                    (int)(at - text), text, checkpoint, (int)(readers - end), end));
    assert_ok(&env,
              det_text_printf(&env, &all,
                              "train_input_reader {\n label_map_path: \"%s\"\n "
                              "tf_record_input_reader { input_path: \"%s\" } }\n"
                              "eval_config { }\neval_input_reader {\n label_map_path: \"%s\"\n "
                              "tf_record_input_reader { input_path: [\"%s\", \"%s\"] } }\n",
                              label_map, input, label_map, input, input));
    snprintf(name, sizeof name, "%s/models/my_ssd/pipeline.config", f->directory);
    assert_ok(&f->t.env,
              det_pipeline_config_read_text(&f->t.env, name, all.data, all.length, &f->config));
    det_text_free(&env, &all);
    free(text);
}

static void finds_in_two_places(void **state)
{
    (void)state;
    struct fixture f;
    char *out = NULL;
    open_fixture(&f);
    struct det_env *env = &f.t.env;
    read_with(&f, "beside.pbtxt", "x", "y");
    assert_ok(env, det_pipeline_path_find(env, &f.config, "beside.pbtxt", DET_PATH_FILE, &out));
    assert_int_equal(strncmp(out, f.directory, strlen(f.directory)), 0);
    det_free(env, &out);
    assert_ok(env, det_pipeline_path_find(env, &f.config, "Makefile", DET_PATH_FILE, &out));
    assert_string_equal(out, "Makefile");
    det_free(env, &out);
    assert_ok(env, det_pipeline_path_find(env, &f.config,
                                          "../../pre-trained-models/zoo/checkpoint/ckpt-0",
                                          DET_PATH_CHECKPOINT, &out));
    det_free(env, &out);
    assert_fails(env, DET_STATUS_NOT_FOUND,
                 "\"a/b\" does not exist, neither as \"a/b\" here nor as",
                 det_pipeline_path_find(env, &f.config, "a/b", DET_PATH_FILE, &out));
    assert_null(out);
    assert_fails(env, DET_STATUS_NOT_FOUND, "\"/no/b\" does not exist",
                 det_pipeline_path_find(env, &f.config, "/no/b", DET_PATH_FILE, &out));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "a path is empty",
                 det_pipeline_path_find(env, &f.config, "", DET_PATH_FILE, &out));
    det_pipeline_config_free(env, &f.config);
    close_fixture(&f);
}

static void patterns_in_both_readers(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "../../annotations/train.record-????\?-of-00002",
        "../../annotations/train.record-*-of-00002",
        "../../annotations/train.record@2",
        "../../annotations/*.record-*",
        "../../annotations/test [1].record",
        "../../My\\\\ Drive/test.record-????\?-of-00001",
        "../../My\\\\ Drive/test.record-00000-of-00001",
    };
    struct fixture f;
    open_fixture(&f);
    struct det_env *env = &f.t.env;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct det_path_list list = {0};
        read_with(&f, "beside.pbtxt", patterns[i],
                  "../../pre-trained-models/zoo/checkpoint/ckpt-0");
        assert_ok(env, det_pipeline_paths_check(env, &f.config, everything));
        assert_ok(env,
                  det_pipeline_path_records(env, &f.config, &f.config.train_input_reader, &list));
        assert_ok(
            env, det_pipeline_path_records(env, &f.config, &f.config.eval_input_readers[0], &list));
        assert_int_equal(list.count, 3);
        assert_string_equal(list.paths[0], list.paths[2]);
        assert_null(strchr(list.paths[0], '\\'));
        det_path_list_free(env, &list);
        det_pipeline_config_free(env, &f.config);
    }
    assert_string_equal(f.warnings.text, "");
    close_fixture(&f);
}

static void brings_windows_paths_over(void **state)
{
    (void)state;
    static const struct {
        const char *label_map, *found;
    } cases[] = {
        {"..\\\\..\\\\annotations\\\\label_map.pbtxt", "my_ssd/../../annotations/label_map.pbtxt"},
        {"annotations\\\\label_map.pbtxt", "/annotations/label_map.pbtxt"},
        {"annotations\\label_map.pbtxt", "/annotations/label_map.pbtxt"},
        {"C:\\work\\annotations\\label_map.pbtxt", "/annotations/label_map.pbtxt"},
        {"C:\\\\Users\\\\me\\\\Tensorflow\\\\annotations\\\\label_map.pbtxt",
         "/annotations/label_map.pbtxt"},
        {"D:/work/annotations/label_map.pbtxt", "/annotations/label_map.pbtxt"},
        {"\\\\\\\\server\\\\share\\\\annotations\\\\label_map.pbtxt",
         "/annotations/label_map.pbtxt"},
        {"C:\\\\Users\\\\me\\\\beside.pbtxt", "my_ssd/beside.pbtxt"},
    };
    struct fixture f;
    open_fixture(&f);
    struct det_env *env = &f.t.env;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f.warnings.text[0] = '\0';
        read_with(&f, cases[i].label_map,
                  i % 2 == 0 ? "C:\\\\w\\\\annotations\\\\train.record-????\?-of-00002"
                             : "C:\\w\\annotations\\train.record-????\?-of-00002",
                  "C:\\\\w\\\\zoo\\\\checkpoint\\\\ckpt-0");
        assert_contains(f.config.train_input_reader.label_map_path, cases[i].found);
        assert_contains(f.config.eval_input_readers[0].input_paths.values[1],
                        "/annotations/train.record-????\?-of-00002");
        assert_contains(f.warnings.text, "train_input_reader.label_map_path \"");
        assert_contains(f.warnings.text, "was written on Windows: taken as \"");
        det_pipeline_config_free(env, &f.config);
    }
    /* A checkpoint is looked for by two components at least: "ckpt-0" is in every folder. */
    touch(&f, "models/my_ssd/ckpt-0.index");
    read_with(&f, "beside.pbtxt", "x", "C:\\\\ckpt-0");
    assert_string_equal(f.config.train.fine_tune_checkpoint, "C:\\ckpt-0");
    det_pipeline_config_free(env, &f.config);
    read_with(&f, "beside.pbtxt", "x", "C:\\\\w\\\\zoo\\\\checkpoint\\\\ckpt-0");
    assert_string_equal(f.config.train.fine_tune_checkpoint,
                        "C:\\w\\zoo\\checkpoint\\ckpt-0"); /* is not under models/ */
    det_pipeline_config_free(env, &f.config);
    close_fixture(&f);
}

static void missing_files_are_told_at_once(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    struct det_env *env = &f.t.env;
    read_with(&f, "PATH_TO_BE_CONFIGURED", "C:\\\\no\\\\train.record", "no/ckpt-0");
    const struct det_pipeline_reading training = {.train_input = true,
                                                  .fine_tune_checkpoint = true};
    assert_fails(env, DET_STATUS_NOT_FOUND, "6 files do not exist, neither from here nor from",
                 det_pipeline_paths_check(env, &f.config, training));
    assert_contains(env->error, "line 174: train_input_reader.label_map_path "
                                "\"PATH_TO_BE_CONFIGURED\", which is still to be filled in; ");
    assert_contains(env->error, "line 175: train_input_reader.tf_record_input_reader.input_path "
                                "\"C:\\no\\train.record\"; ");
    assert_contains(env->error, "train_config.fine_tune_checkpoint \"no/ckpt-0\"; ");
    assert_contains(env->error, "eval_input_reader.tf_record_input_reader.input_path \"");
    assert_contains(env->error, "; `\\` separates no folders here: write `/`");
    const struct det_pipeline_reading evaluation = {.eval_input = true};
    assert_fails(env, DET_STATUS_NOT_FOUND, "3 files do not exist",
                 det_pipeline_paths_check(env, &f.config, evaluation));
    det_pipeline_config_free(env, &f.config);
    /* More than a message can hold are counted. */
    char name[400];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    read_with(&f, name, name, "");
    assert_fails(env, DET_STATUS_NOT_FOUND, "; and ",
                 det_pipeline_paths_check(env, &f.config, everything));
    assert_contains(env->error, "5 files do not exist");
    det_pipeline_config_free(env, &f.config);
    /* One alone, and an override, which has no line. */
    read_with(&f, "beside.pbtxt", "../../annotations/train.record@2", "no/ckpt-0");
    assert_ok(env, det_pipeline_config_override_string(
                       env, &f.config, &f.config.train.fine_tune_checkpoint, "other/ckpt-1"));
    assert_fails(env, DET_STATUS_NOT_FOUND, ": train_config.fine_tune_checkpoint \"other/ckpt-1\"",
                 det_pipeline_paths_check(env, &f.config, training));
    assert_contains(env->error, "1 file does not exist");
    det_pipeline_config_free(env, &f.config);
    close_fixture(&f);
}

/* By a program: what no type is at once, what no file is when it is going to be read. */
static void checkpoints_that_are_nothing_are_told(void **state)
{
    (void)state;
    struct test_env t;
    char golden[256], folder[256];
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    test_env_init(&t);
    test_make_directory(folder, "config_checkpoint");
    det_context *context = workspace_context(&t, 1);
    assert_context_ok(context,
                      det_pipeline_config_load(
                          context, test_golden(golden, "configs/raccoon_320.config"), &config));
    assert_context_ok(
        context, det_pipeline_config_set_fine_tune_checkpoint(config, "a/ckpt-0", "detection"));
    assert_context_fails(context, DET_STATUS_UNSUPPORTED,
                         "fine_tune_checkpoint_type \"whole\" is not supported",
                         det_pipeline_config_set_fine_tune_checkpoint(config, "b/ckpt-0", "whole"));
    assert_string_equal(det_pipeline_config_fine_tune_checkpoint(config), "a/ckpt-0");
    det_trainer_settings_default(&settings);
    settings.model_dir = folder;
    assert_context_fails(context, DET_STATUS_NOT_FOUND,
                         "train_config.fine_tune_checkpoint \"a/ckpt-0\"",
                         det_trainer_create(context, config, &settings, &trainer));
    assert_null(trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    test_remove_tree(folder);
    test_env_check(&t);
}

static det_status read_windows_config(struct det_env *env, void *argument)
{
    const struct fixture *f = argument;
    struct det_pipeline_config config;
    char golden[256], name[600];
    char *text = test_read_text(test_golden(golden, "configs/raccoon_320.config"));
    char *at = strstr(text, "label_map_path: \"");
    assert_non_null(at);
    struct det_env plain;
    struct det_text all = {0};
    det_env_default(&plain);
    assert_ok(&plain, det_text_printf(&plain, &all,
                                      "%.*s label_map_path: "
                                      "\"C:\\\\w\\\\annotations\\\\label_map.pbtxt\" %s",
                                      (int)(at - text), text, at));
    snprintf(name, sizeof name, "%s/models/my_ssd/pipeline.config", f->directory);
    det_status status = det_pipeline_config_read_text(env, name, all.data, all.length, &config);
    det_pipeline_config_free(env, &config);
    det_text_free(&plain, &all);
    free(text);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    test_each_allocation_fails(read_windows_config, &f);
    close_fixture(&f);
}

int test_config_paths(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_in_two_places),
        cmocka_unit_test(patterns_in_both_readers),
        cmocka_unit_test(brings_windows_paths_over),
        cmocka_unit_test(missing_files_are_told_at_once),
        cmocka_unit_test(checkpoints_that_are_nothing_are_told),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("config_paths", tests, NULL, NULL);
}
