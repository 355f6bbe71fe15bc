/* The four tools one after the other, as a user runs them, on a tiny workspace. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "formats/tfrecord.h"
#include "support/annotation_sets.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

/* Events below FOLDER/RUN whose bytes hold the tag. */
static int count_events(const char *folder, const char *run_name, const char *tag)
{
    struct test_env t;
    struct det_record_set set = {0};
    char pattern[600];
    int found = 0;
    test_env_init(&t);
    snprintf(pattern, sizeof pattern, "%s/%s/events.out.tfevents.*", folder, run_name);
    const char *const patterns[] = {pattern};
    assert_ok(&t.env, det_record_set_open(&t.env, patterns, 1, &set));
    for (size_t i = 0; i < set.record_count; i++) {
        struct det_record event = {0};
        assert_ok(&t.env, det_record_set_get(&t.env, &set, i, &event));
        bool holds = false;
        for (size_t at = 0; at + strlen(tag) <= event.bytes && !holds; at++)
            holds = memcmp(event.data + at, tag, strlen(tag)) == 0;
        found += holds;
        det_record_free(&t.env, &event);
    }
    det_record_set_close(&t.env, &set);
    test_env_check(&t);
    return found;
}

static double number_in(const cJSON *tree, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(tree, name);
    if (!cJSON_IsNumber(item))
        fail_msg("no number %s", name);
    return item->valuedouble;
}

/* The figures of det-bench hang together: a part takes no longer than the whole. */
static void bench_the_model(const struct workspace *w, const char *image)
{
    static const char *const parts[] = {"decode_ms", "resize_ms", "network_ms", "postprocess_ms"};
    static char out[100000];
    char json[400];
    snprintf(json, sizeof json, "%s/bench.json", w->directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-bench %s/exported/model.det --image %s --size 64x128 --batch 2 "
                              "--repeat 3 --threads 1 --threshold 0 --json %s",
                              w->directory, image, json),
                     0);
    assert_contains(out, "64 x 128, batch 2; cpu: ");
    assert_contains(out, "1 thread");
    assert_contains(out, "images/s: network ");
    char *text = test_read_text(json);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    const cJSON *whole = cJSON_GetObjectItem(tree, "whole_ms");
    double sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const cJSON *part = cJSON_GetObjectItem(tree, parts[i]);
        assert_true(number_in(part, "least") > 0);
        assert_true(number_in(part, "least") <= number_in(part, "p50"));
        assert_true(number_in(part, "p50") <= number_in(part, "p99"));
        assert_true(number_in(part, "p99") <= number_in(whole, "p99"));
        sum += number_in(part, "least");
    }
    assert_true(sum <= number_in(whole, "p99"));
    assert_true(number_in(tree, "load_ms") > 0 && number_in(tree, "first_ms") > 0);
    assert_true(number_in(tree, "images_per_second") <=
                number_in(tree, "network_images_per_second"));
    assert_true(number_in(tree, "picture_width") == 120 && number_in(tree, "height") == 64);
    assert_true(number_in(tree, "detections") > 0 && number_in(tree, "peak_bytes") > 1e6);
    cJSON_Delete(tree);
    free(text);
    /* Its own picture; JSON instead of the table. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-bench %s/exported/model.det --repeat 1 --json -", w->directory),
                     0);
    tree = cJSON_Parse(strchr(out, '{')); /* behind stderr's line */
    assert_non_null(tree);
    assert_true(number_in(tree, "picture_width") == 1280 && number_in(tree, "width") == 96);
    cJSON_Delete(tree);
}

static void train_evaluate_export_detect(void **state)
{
    (void)state;
    static char out[100000];
    struct workspace w;
    workspace_make(&w, "tools");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --log_every 4 "
                              "--num_train_steps 8 --checkpoint_every_n 4",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "Step 4 per-step time ");
    assert_contains(out, "Step 8 per-step time ");
    assert_contains(out, "ckpt-8.det");
    /* Again: goes on to the config's 12 steps. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path=%s --model_dir=%s --log_every=1",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "Step 9 per-step time ");
    assert_contains(out, "Step 12 per-step time ");
    assert_null(strstr(out, "Step 8 "));
    /* Steps 1, 4 and 8, then 9 to 12. */
    assert_int_equal(count_events(w.model_dir, "train", "Loss/total_loss"), 7);
    assert_int_equal(count_events(w.model_dir, "train", "steps_per_sec"), 7);

    char json[400];
    snprintf(json, sizeof json, "%s/eval.json", w.directory);
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-eval --pipeline_config_path %s --checkpoint_dir %s --once --json %s",
                 w.config, w.model_dir, json),
        0);
    assert_contains(out,
                    " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = ");
    assert_contains(out, "+ Loss/total_loss: ");
    assert_int_equal(count_events(w.model_dir, "eval", "Loss/total_loss"), 1);
    assert_int_equal(count_events(w.model_dir, "eval", "DetectionBoxes_Precision/mAP@.50IOU"), 1);
    char *text = test_read_text(json);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(tree, "step")), 12);
    cJSON_Delete(tree);
    free(text);

    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/exported",
                              w.config, w.model_dir, w.directory),
                     0);
    assert_contains(out, "2 classes, 96 x 96, step 12");
    assert_int_equal(run_tool(out, sizeof out, "det-info %s/exported/model.det", w.directory), 0);
    assert_contains(out, "1 cat, 2 dog");
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-eval --pipeline_config_path %s --checkpoint %s/exported/model.det", w.config,
                 w.directory),
        0);
    assert_contains(out, "10 images");
    assert_int_equal(
        run_tool(
            out, sizeof out,
            "det-eval --pipeline_config_path %s --checkpoint %s/exported/model.det --cpu generic "
            "--precision bf16",
            w.config, w.directory),
        0);
    const char *missing = NULL;
    char device[64];
    snprintf(device, sizeof device, "cpu: %s, ", det_cpu_instruction_set(1, &missing));
    assert_contains(out, device);
    assert_contains(out, "bf16 without its instructions, slower than f32");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-bench %s/exported/model.det --repeat 2 --precision bf16",
                              w.directory),
                     0);

    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(120, 90, 3, &bytes);
    char image[400];
    snprintf(image, sizeof image, "%s/picture.jpg", w.directory);
    FILE *file = fopen(image, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(jpeg, 1, bytes, file), bytes);
    fclose(file);
    free(jpeg);
    snprintf(json, sizeof json, "%s/detections.jsonl", w.directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s/exported/model.det %s --threshold 0.001 --json %s "
                              "--output %s/annotated",
                              w.directory, image, json, w.directory),
                     0);
    text = test_read_text(json);
    tree = cJSON_Parse(text);
    assert_non_null(tree);
    assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(tree, "width")), 120);
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "detections")) > 0);
    cJSON_Delete(tree);
    free(text);
    char annotated[400];
    snprintf(annotated, sizeof annotated, "%s/annotated/picture.jpg", w.directory);
    assert_int_equal(access(annotated, R_OK), 0);

    bench_the_model(&w, image);

    /* The examples on the same files. */
    assert_int_equal(run_tool(out, sizeof out, "../examples/detect_image %s/exported/model.det %s",
                              w.directory, image),
                     0);
    assert_int_equal(run_tool(out, sizeof out,
                              "../examples/custom_postprocess %s/exported/model.det %s",
                              w.directory, image),
                     0);
    struct stat frames; /* any bytes are pixels */
    snprintf(json, sizeof json, "%s/drawn.bgr", w.directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "../examples/camera_frames %s/exported/model.det 16 12 %s < %s",
                              w.directory, json, image),
                     0);
    assert_contains(out, "{\"video\":\"camera\",\"frame\":1,\"time_s\":0.04,\"width\":16,");
    assert_int_equal(stat(json, &frames), 0);
    assert_true(frames.st_size >= 2 * 16 * 12 * 3);
    assert_int_equal(run_tool(out, sizeof out, "../examples/evaluate %s %s", w.config, w.model_dir),
                     0);
    assert_contains(out, "on 10 images");
    assert_int_equal(
        run_tool(out, sizeof out, "../examples/train_loop %s %s/loop 10", w.config, w.directory),
        0);
    assert_contains(out, "step 10 of 10: loss ");
    assert_contains(out, "loop/model.det");
    assert_int_equal(run_tool(out, sizeof out, "../examples/train_callback %s %s/callback 10",
                              w.config, w.directory),
                     0);
    assert_contains(out, "step 10 of 10: loss ");
    assert_contains(out, "of 20 samples that were not trained on");
    workspace_remove(&w);
}

static void interrupted_training_saves_and_goes_on(void **state)
{
    (void)state;
    static char out[100000];
    struct workspace w;
    workspace_make(&w, "interrupt");
    workspace_edit_config(&w, "num_steps: 12", "num_steps: 100000");
    const char *folder = getenv("DET_BIN_DIR");
    char program[600];
    snprintf(program, sizeof program, "%s/det-train",
             folder != NULL ? folder : "build/release/bin");
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        execl(program, program, "--pipeline_config_path", w.config, "--model_dir", w.model_dir,
              (char *)NULL);
        _exit(127);
    }
    /* Long enough to be training; the assertion below does not depend on how far it came. */
    char copied[400];
    snprintf(copied, sizeof copied, "%s/pipeline.config", w.model_dir);
    for (int i = 0; i < 600 && access(copied, R_OK) != 0; i++)
        usleep(100000);
    usleep(1000000);
    assert_int_equal(kill(child, SIGINT), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --once",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "+ Loss/total_loss: ");
    workspace_remove(&w);
}

/* Steps of "Evaluated step N: ..." in a text, in order, as "4 8 12 ". */
static void evaluated_steps(const char *out, char *steps, size_t size)
{
    size_t used = 0;
    steps[0] = '\0';
    for (const char *at = out; (at = strstr(at, "Evaluated step ")) != NULL; at++)
        used += (size_t)snprintf(steps + used, size - used, "%ld ",
                                 atol(at + strlen("Evaluated step ")));
}

static void evaluation_while_training_and_after(void **state)
{
    (void)state;
    static char out[100000];
    char steps[200];
    struct workspace w;
    workspace_make(&w, "watch");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --eval_every 4 "
                              "--checkpoint_every_n 4 --keep_best total_loss --patience 9",
                              w.config, w.model_dir),
                     0);
    evaluated_steps(out, steps, sizeof steps);
    assert_string_equal(steps, "4 8 12 ");
    /* Rows, and the tables once. */
    const char *table = strstr(out, "Eval metrics of the exported form at step ");
    assert_non_null(table);
    assert_null(strstr(table + 1, "Eval metrics of the exported form at step "));
    assert_contains(out, "(best so far)");
    assert_contains(out, "best Loss/total_loss: ");
    assert_contains(out, "3 evaluations, mean ");
    assert_int_equal(count_events(w.model_dir, "eval", "DetectionBoxes_Precision/mAP@.50IOU"), 3);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --all "
                              "--max_images 2",
                              w.config, w.model_dir),
                     0);
    evaluated_steps(out, steps, sizeof steps);
    assert_string_equal(steps, "4 8 12 ");
    /* Watching begins with the newest and gives up in time. */
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-eval --pipeline_config_path %s --checkpoint_dir %s --max_images 2 "
                 "--wait_interval 0 --eval_timeout 0",
                 w.config, w.model_dir),
        0);
    evaluated_steps(out, steps, sizeof steps);
    assert_string_equal(steps, "12 ");
    assert_contains(out, "then waiting for new ones, at most 0s for each; --once ends after");
    assert_contains(out, "no new checkpoint for 0 s: done");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --all",
                              w.config, w.directory),
                     1);
    assert_contains(out, "no checkpoint here");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s "
                              "--patience 2",
                              w.config, w.model_dir),
                     2);
    assert_contains(out, "need --eval_every");
    workspace_remove(&w);
}

/* Checkpoints that come while it watches: each, in order, from those that are there at the second
 * look. */
static void each_new_checkpoint_is_seen(void **state)
{
    (void)state;
    static char out[100000];
    char steps[200], watched[400];
    struct workspace w;
    workspace_make(&w, "follow");
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-train --pipeline_config_path %s --model_dir %s --checkpoint_every_n "
                 "2 --keep 9",
                 w.config, w.model_dir),
        0);
    snprintf(watched, sizeof watched, "%s/watched", w.directory);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* The folder does not even exist at first. */
        char from[500], to[500];
        usleep(300000);
        if (mkdir(watched, 0777) != 0)
            _exit(1);
        for (int step = 2; step <= 12; step += 2) {
            snprintf(from, sizeof from, "%s/ckpt-%d.det", w.model_dir, step);
            snprintf(to, sizeof to, "%s/ckpt-%d.det", watched, step);
            if (rename(from, to) != 0)
                _exit(1);
            usleep(step == 2 ? 1500000 : 1000);
        }
        _exit(0);
    }
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-eval --pipeline_config_path %s --checkpoint_dir %s --max_images 1 "
                 "--wait_interval 0.1 --eval_timeout 4",
                 w.config, watched),
        0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    evaluated_steps(out, steps, sizeof steps);
    assert_string_equal(steps, "2 4 6 8 10 12 ");
    workspace_remove(&w);
}

static void mistakes_are_answered(void **state)
{
    (void)state;
    static char out[100000];
    struct workspace w;
    workspace_make(&w, "mistakes");
    assert_int_equal(
        run_tool(out, sizeof out, "det-train --pipeline_config_path %s --modell_dir x", w.config),
        2);
    assert_contains(out, "model_dir");
    assert_int_equal(
        run_tool(out, sizeof out, "det-train --pipeline_config_path none --model_dir x"), 1);
    assert_contains(out, "det-train: none: No such file");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --once",
                              w.config, w.directory),
                     1);
    assert_contains(out, w.directory);
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s %s", w.config, w.directory), 1);
    assert_contains(out, "not a libdet file");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --device cuda --pipeline_config_path %s --model_dir x",
                              w.config),
                     1);
    assert_contains(out, "cuda");
    assert_int_equal(run_tool(out, sizeof out, "det-bench none --size 320x"), 2);
    assert_contains(out, "--size: got `320x`, expected HxW");
    assert_int_equal(run_tool(out, sizeof out, "det-bench none --batch 0"), 2);
    assert_int_equal(run_tool(out, sizeof out, "det-bench"), 2);
    assert_int_equal(run_tool(out, sizeof out, "det-bench none"), 1);
    assert_contains(out, "det-bench: none: No such file");
    assert_int_equal(run_tool(out, sizeof out, "det-info --cpu generic --threads 1"), 0);
    const char *missing = NULL;
    char listed[64];
    snprintf(listed, sizeof listed, "  %-11s can be used\n", det_cpu_instruction_set(1, &missing));
    assert_contains(out, listed);
    assert_contains(out, "  chosen: generic, by --cpu\n");
    assert_contains(out,
                    "  --precision bf16: the same answers by widening to f32, slower than f32: ");
    assert_contains(out, "threads: 1, by --threads\n");
    assert_int_equal(run_tool(out, sizeof out, "det-info --cpu ref --precision bf16"), 1);
    assert_contains(out, "precision bf16: instruction set \"ref\" computes in f32 only");
    assert_int_equal(run_tool(out, sizeof out, "det-info --cpu generic --precision tf32"), 1);
    assert_contains(out, "precision tf32: the CPU computes in f32 or bf16, tf32 needs CUDA");
    assert_int_equal(run_tool(out, sizeof out, "det-info --cpu sse3"), 1);
    assert_contains(out, "instruction set \"sse3\": unknown instruction set, expected ");
    assert_int_equal(run_tool(out, sizeof out, "det-info --help"), 0);
    assert_contains(out, "usage: det-info");
    workspace_remove(&w);
}

/* A tool's own failures and the library's have messages in two places: what is shown is of the one
 * that ended it, though one before it was handled. */
static void the_message_is_of_the_last_failure(void **state)
{
    (void)state;
    static char out[100000];
    struct workspace w;
    workspace_make(&w, "messages");
    const char *d = w.directory;
    /* Handled by the tool: that the folder cannot be listed; then the library has no events. */
    assert_int_equal(run_tool(out, sizeof out, "det-plot %s/missing --output %s/page.html", d, d),
                     1);
    assert_contains(out, "/missing: no event files");
    /* Handled: that the library finds no checkpoint; then the tool has no folder for its output. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s/missing "
                              "--json %s/nowhere/a.json",
                              w.config, d, d),
                     1);
    assert_contains(out, "/nowhere");
    assert_null(strstr(out, "/missing"));
    /* One input after the other, of the tool, of the library, of the tool. */
    test_write_text(d, "a.jpg", "no picture");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s "
                              "--num_train_steps 1",
                              w.config, w.model_dir),
                     0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/exported",
                              w.config, w.model_dir, d),
                     0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s/exported/model.det '%s/*.gone' %s/a.jpg %s/b.jpg "
                              "--quiet",
                              d, d, d, d),
                     1);
    const char *first = strstr(out, ".gone"), *second = strstr(out, "a.jpg: not a JPEG"),
               *third = strstr(out, "b.jpg: No such file");
    assert_true(first != NULL && second != NULL && third != NULL && first < second &&
                second < third);
    assert_contains(out, "3 inputs failed");
    workspace_remove(&w);
}

static void coco_files_alone(void **state)
{
    (void)state;
    static char out[100000];
    char expected[256];
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-eval --ground_truth tests/golden/coco_eval/ties.gt.json --detections "
                 "tests/golden/coco_eval/ties.dt.json"),
        0);
    snprintf(expected, sizeof expected,
             " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.238\n");
    assert_contains(out, expected);
    assert_int_equal(
        run_tool(out, sizeof out, "det-eval --ground_truth tests/golden/coco_eval/ties.gt.json"),
        2);
}

/* What eval_config.use_moving_averages says holds for libdet's own checkpoints too. */
static void evaluation_takes_the_averages(void **state)
{
    (void)state;
    static char out[100000], other[100000];
    struct workspace w;
    workspace_make(&w, "tool_averages");
    workspace_edit_config(&w, "use_moving_average: false",
                          "use_moving_average: true moving_average_decay: 0.999");
    workspace_edit_config(&w, "eval_config {", "eval_config { use_moving_averages: true ");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --threads 2 "
                              "--eval_every 12 --nosummaries",
                              w.config, w.model_dir),
                     0);
    const char *total = strstr(out, "+ Loss/total_loss: ");
    assert_non_null(total);
    char line[100];
    snprintf(line, sizeof line, "%.*s", (int)strcspn(total, "\n"), total);
    static const char *const from[][2] = {{"--once --checkpoint_dir ", ""},
                                          {"--checkpoint ", "/ckpt-12.det"}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_tool(other, sizeof other,
                                  "det-eval --pipeline_config_path %s %s%s%s --threads 2", w.config,
                                  from[i][0], w.model_dir, from[i][1]),
                         0);
        assert_contains(other, "the moving averages of the weights are used");
        assert_contains(other, line);
    }
    workspace_remove(&w);
}

int test_tools(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(train_evaluate_export_detect),
        cmocka_unit_test(interrupted_training_saves_and_goes_on),
        cmocka_unit_test(evaluation_while_training_and_after),
        cmocka_unit_test(each_new_checkpoint_is_seen),
        cmocka_unit_test(evaluation_takes_the_averages),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(the_message_is_of_the_last_failure),
        cmocka_unit_test(coco_files_alone),
    };
    return cmocka_run_group_tests_name("tools", tests, NULL, NULL);
}
