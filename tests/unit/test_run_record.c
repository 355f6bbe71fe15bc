/* run.json: what each run of a training was made of. */
#include <cjson/cJSON.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/annotation_sets.h"
#include "support/run_tool.h"
#include "support/sha256.h"
#include "support/workspace.h"

static char out[100000];

/* --- sums --- */

static void sums_of_known_texts(void **state)
{
    (void)state;
    static const char long_text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {long_text, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    struct det_sha256 sum;
    char hex[65];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        det_sha256_begin(&sum);
        det_sha256_add(&sum, cases[i].text, strlen(cases[i].text));
        det_sha256_end(&sum, hex);
        assert_string_equal(hex, cases[i].hex);
    }
    /* A million times "a", in pieces that fit no block. */
    static char piece[777];
    memset(piece, 'a', sizeof piece);
    det_sha256_begin(&sum);
    size_t left = 1000000;
    for (size_t bytes = 1; left > 0; bytes = bytes % sizeof piece + 1) {
        const size_t taken = bytes < left ? bytes : left;
        det_sha256_add(&sum, piece, taken);
        left -= taken;
    }
    det_sha256_end(&sum, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* --- the record --- */

static cJSON *read_record(const struct workspace *w, int runs)
{
    char path[400];
    snprintf(path, sizeof path, "%s/run.json", w->model_dir);
    char *text = test_read_text(path);
    cJSON *json = cJSON_Parse(text);
    if (json == NULL)
        fail_msg("%s: no JSON:\n%s", path, text);
    free(text);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "runs")), runs);
    return json;
}

static const cJSON *run_of(const cJSON *json, int index)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItem(json, "runs"), index);
}

static const cJSON *field(const cJSON *object, const char *path)
{
    char copy[200], *save = NULL;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *name = strtok_r(copy, "/", &save); name != NULL; name = strtok_r(NULL, "/", &save)) {
        object = cJSON_GetObjectItem(object, name);
        if (object == NULL)
            fail_msg("there is no %s", path);
    }
    return object;
}

static void expect_text(const cJSON *run, const char *path, const char *text)
{
    const cJSON *value = field(run, path);
    assert_true(cJSON_IsString(value));
    assert_string_equal(value->valuestring, text);
}

static void expect_number(const cJSON *run, const char *path, double number)
{
    assert_true(field(run, path)->valuedouble == number);
}

static int train(const struct workspace *w, const char *options)
{
    return run_tool(out, sizeof out, "det-train --pipeline_config_path %s --model_dir %s %s",
                    w->config, w->model_dir, options);
}

/* The files are those of the workspace, with their sums. */
static void expect_files(const struct workspace *w, const cJSON *run)
{
    static const char *const wanted[][2] = {
        {"train", "train.tfrecord"}, {"label_map", "label_map.pbtxt"}, {"eval", "test.tfrecord"}};
    const cJSON *data = field(run, "data");
    assert_int_equal(cJSON_GetArraySize(data), 3);
    for (int i = 0; i < 3; i++) {
        const cJSON *file = cJSON_GetArrayItem(data, i);
        char path[400], real[4096], hex[65];
        struct det_sha256 sum;
        struct stat info;
        size_t bytes = 0;
        snprintf(path, sizeof path, "%s/%s", w->directory, wanted[i][1]);
        assert_non_null(realpath(path, real));
        expect_text(file, "role", wanted[i][0]);
        expect_text(file, "path", real);
        assert_int_equal(stat(path, &info), 0);
        expect_number(file, "bytes", (double)info.st_size);
        char *content = test_read_bytes(path, &bytes);
        det_sha256_begin(&sum);
        det_sha256_add(&sum, content, bytes);
        det_sha256_end(&sum, hex);
        free(content);
        expect_text(file, "sha256", hex);
    }
}

static void each_run_has_an_entry(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "run_record");
    assert_int_equal(train(&w, "--num_train_steps 3 --seed 7 --eval_every 3"), 0);
    cJSON *json = read_record(&w, 1);
    const cJSON *run = run_of(json, 0);
    expect_text(run, "how", "finished");
    expect_number(run, "first_step", 0);
    expect_number(run, "last_step", 3);
    expect_number(run, "config/seed", 7);
    expect_number(run, "config/steps", 3);
    expect_number(run, "config/batch_size", 4);
    expect_text(run, "libdet/version", det_version_string());
    expect_number(run, "libdet/abi", det_abi_version());
    assert_true(field(run, "machine/processors")->valuedouble >= 1);
    assert_true(strlen(field(run, "machine/instruction_set")->valuestring) > 0);
    assert_true(strlen(field(run, "libdet/libraries/zlib")->valuestring) > 0);
    const cJSON *arguments = field(run, "arguments");
    assert_string_equal(cJSON_GetArrayItem(arguments, 5)->valuestring, "--num_train_steps");
    assert_true(cJSON_IsString(field(run, "ended")));
    expect_files(&w, run);
    cJSON_Delete(json);
    /* Going on adds one; what was there stays. */
    assert_int_equal(train(&w, "--num_train_steps 5"), 0);
    json = read_record(&w, 2);
    expect_number(run_of(json, 0), "last_step", 3);
    expect_number(run_of(json, 1), "first_step", 3);
    expect_number(run_of(json, 1), "last_step", 5);
    expect_number(run_of(json, 1), "config/seed", 7);
    cJSON_Delete(json);
    /* Where there is nothing left to do nothing has run. */
    assert_int_equal(train(&w, "--num_train_steps 5"), 0);
    cJSON_Delete(read_record(&w, 2));
    workspace_remove(&w);
}

/* A file that has its size and time still is not read again for its sum. */
static void sums_are_taken_once(void **state)
{
    (void)state;
    struct workspace w;
    char path[400];
    workspace_make(&w, "run_record_sums");
    assert_int_equal(train(&w, "--num_train_steps 1"), 0);
    snprintf(path, sizeof path, "%s/run.json", w.model_dir);
    char *text = test_read_text(path), *sum = strstr(text, "\"sha256\": \"");
    assert_non_null(sum);
    memset(sum + strlen("\"sha256\": \""), 'f', 64);
    test_write_bytes(path, text, strlen(text));
    free(text);
    assert_int_equal(train(&w, "--num_train_steps 2"), 0);
    cJSON *json = read_record(&w, 2);
    char planted[65];
    memset(planted, 'f', 64);
    planted[64] = '\0';
    expect_text(cJSON_GetArrayItem(field(run_of(json, 1), "data"), 0), "sha256", planted);
    cJSON_Delete(json);
    /* One that was touched is. */
    snprintf(path, sizeof path, "%s/train.tfrecord", w.directory);
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(train(&w, "--num_train_steps 3"), 0);
    json = read_record(&w, 3);
    assert_string_not_equal(
        field(cJSON_GetArrayItem(field(run_of(json, 2), "data"), 0), "sha256")->valuestring,
        planted);
    cJSON_Delete(json);
    workspace_remove(&w);
}

static void what_is_none_is_kept(void **state)
{
    (void)state;
    static const char *const others[] = {"", "mine", "[1, 2]", "{\"runs\": 3}"};
    struct workspace w;
    char path[400], kept[420];
    workspace_make(&w, "run_record_others");
    snprintf(path, sizeof path, "%s/run.json", w.model_dir);
    snprintf(kept, sizeof kept, "%s.old", path);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(mkdir(w.model_dir, 0777), 0);
        test_write_bytes(path, others[i], strlen(others[i]));
        assert_int_equal(train(&w, "--num_train_steps 1"), 0);
        assert_contains(out, "run.json tells of no training, kept as");
        char *text = test_read_text(kept);
        assert_string_equal(text, others[i]);
        free(text);
        cJSON_Delete(read_record(&w, 1));
        test_remove_tree(w.model_dir);
    }
    /* One that cannot be written is said, and the training goes on. */
    assert_int_equal(mkdir(w.model_dir, 0777), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(train(&w, "--num_train_steps 1"), 0);
    assert_contains(out, "warning: run.json could not be written: ");
    assert_contains(out, "ckpt-1.det");
    workspace_remove(&w);
}

/* What ran is kept also where the config lies beside the checkpoints; it is gone on with. */
static void fields_that_were_set_are_kept(void **state)
{
    (void)state;
    struct workspace w;
    char path[400];
    workspace_make(&w, "run_record_set");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --set "
                              "train_config.batch_size=2 --num_train_steps 1",
                              w.config, w.directory),
                     0);
    assert_contains(out, "pipeline.config was another one, kept as");
    snprintf(path, sizeof path, "%s/pipeline.config", w.directory);
    char *text = test_read_text(path);
    assert_contains(text, "batch_size: 2");
    free(text);
    assert_int_equal(
        run_tool(out, sizeof out, "det-train --model_dir %s --num_train_steps 2", w.directory), 0);
    assert_contains(out, "memory for batch 2");
    assert_contains(out, "resumed from");
    assert_null(strstr(out, "kept as"));
    workspace_remove(&w);
}

/* A copy of a config elsewhere, whose paths are found from there. */
static void a_copied_config_is_found_from_its_folder(void **state)
{
    (void)state;
    struct workspace w;
    char folder[300], config[400];
    workspace_make(&w, "run_record_copy");
    snprintf(folder, sizeof folder, "%s/models/my", w.directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data init %s/train.tfrecord --output %s/ws --size 64 --steps 4 "
                              "--batch_size 2",
                              w.directory, w.directory),
                     0);
    snprintf(config, sizeof config, "%s/ws/models/my/pipeline.config", w.directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s/elsewhere/run "
                              "--num_train_steps 2",
                              config, w.directory),
                     0);
    if (run_tool(out, sizeof out, "det-train --model_dir %s/elsewhere/run --eval_every 0",
                 w.directory) != 0)
        fail_msg("%s", out);
    assert_contains(out, "resumed from");
    assert_contains(out, "elsewhere/run/model.det, of step 4");
    workspace_remove(&w);
}

int test_run_record(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_known_texts),
        cmocka_unit_test(each_run_has_an_entry),
        cmocka_unit_test(sums_are_taken_once),
        cmocka_unit_test(what_is_none_is_kept),
        cmocka_unit_test(fields_that_were_set_are_kept),
        cmocka_unit_test(a_copied_config_is_found_from_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
