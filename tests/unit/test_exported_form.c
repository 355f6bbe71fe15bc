/* The tools tell the exported form of a model from TensorFlow's way of evaluating it: det-train,
 * det-eval, det-export, det-plot, and what det-detect says when it finds nothing. */
#include <unistd.h>

#include <cjson/cJSON.h>

#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static char out[200000];

/* The line of a figure behind `heading` in the output. */
static void line_behind(const char *heading, const char *figure, char line[120])
{
    const char *at = strstr(out, heading);
    if (at == NULL)
        fail_msg("\"%s\" is not in:\n%s", heading, out);
    at = strstr(at, figure);
    assert_non_null(at);
    snprintf(line, 120, "%.*s", (int)strcspn(at, "\n"), at);
}

static double number(const cJSON *tree, const char *a, const char *b, const char *c)
{
    const cJSON *item = cJSON_GetObjectItem(tree, a);
    item = b != NULL ? cJSON_GetObjectItem(item, b) : item;
    item = c != NULL ? cJSON_GetObjectItem(item, c) : item;
    if (!cJSON_IsNumber(item))
        fail_msg("no number %s %s %s", a, b != NULL ? b : "", c != NULL ? c : "");
    return cJSON_GetNumberValue(item);
}

static const char api[] = "As eval_continuously() of the TF Object Detection API evaluates:";
static const char exported[] = "As the exported model computes:";
static const char total[] = "+ Loss/localization_loss: ";

static void both_forms_are_told_apart(void **state)
{
    (void)state;
    struct workspace w;
    char train_api[120], train_exported[120], line[120], json[400], path[500];
    workspace_make(&w, "forms");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --eval_every 12 "
                              "--threads 2",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "warning: batch_norm { decay: 0.9 } leaves 28 %");
    line_behind(api, total, train_api);
    line_behind(exported, total, train_exported);
    assert_string_not_equal(train_api, train_exported);
    snprintf(path, sizeof path, "%s/eval_exported", w.model_dir);
    assert_int_equal(access(path, R_OK), 0);
    /* det-eval prints the same of the checkpoint. */
    snprintf(json, sizeof json, "%s/eval.json", w.directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint %s/ckpt-12.det "
                              "--json %s --report_dir %s/report --threads 1",
                              w.config, w.model_dir, json, w.directory),
                     0);
    line_behind(api, total, line);
    assert_string_equal(line, train_api);
    line_behind(exported, total, line);
    assert_string_equal(line, train_exported);
    char *text = test_read_text(json);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(tree, "form")), "api");
    assert_int_equal((int)number(tree, "exported", "recalibrated_images", NULL), 10);
    assert_near(number(tree, "losses", "localization_loss", NULL),
                atof(train_api + sizeof total - 1), 1e-6);
    assert_near(number(tree, "exported", "losses", "localization_loss"),
                atof(train_exported + sizeof total - 1), 1e-6);
    cJSON_Delete(tree);
    free(text);
    /* One of them. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint %s/ckpt-12.det "
                              "--form api",
                              w.config, w.model_dir),
                     0);
    assert_null(strstr(out, exported));
    assert_contains(out, train_api);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint %s/ckpt-12.det "
                              "--form exported --json %s",
                              w.config, w.model_dir, json),
                     0);
    assert_null(strstr(out, api));
    assert_contains(out, train_exported);
    text = test_read_text(json);
    assert_contains(text, "\"form\": \"exported\"");
    free(text);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint x --form other",
                              w.config),
                     2);
    assert_contains(out, "--form: expected api, exported or both");
    /* The export needs no records any more, and computes what was evaluated. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/exported",
                              w.config, w.model_dir, w.directory),
                     0);
    assert_null(strstr(out, "leaves"));
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint "
                              "%s/exported/model.det",
                              w.config, w.directory),
                     0);
    assert_null(strstr(out, api));
    assert_null(strstr(out, exported));
    assert_contains(out, train_exported);
    assert_int_equal(run_tool(out, sizeof out, "det-info %s/exported/model.det", w.directory), 0);
    assert_contains(out, "batch norm statistics taken anew over 10 pictures");
    /* The page has both curves. */
    assert_int_equal(
        run_tool(out, sizeof out, "det-plot %s --output %s/page.html", w.model_dir, w.directory),
        0);
    snprintf(path, sizeof path, "%s/page.html", w.directory);
    text = test_read_text(path);
    assert_contains(text, "AP as eval_continuously() evaluates");
    free(text);
    workspace_remove(&w);
}

static void an_export_is_warned_of_and_mended(void **state)
{
    (void)state;
    struct workspace w;
    char before[120], after[120];
    workspace_make(&w, "mended");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s "
                              "--recalibrate_images 0 --nosummaries",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "the exported model will be worse than the trained one unless");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint %s/ckpt-12.det",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "det-export --recalibrate takes them anew");
    line_behind(exported, total, before);
    static const char export[] = "det-export --pipeline_config_path %s --checkpoint %s/ckpt-12.det "
                                 "--output_directory %s/exported %s%s%s";
    assert_int_equal(
        run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory, "", "", ""), 0);
    assert_contains(out, "warning: batch_norm { decay: 0.9 } leaves 28 %");
    assert_contains(out,
                    "--recalibrate TRAIN_RECORDS takes them anew; a training with decay: 0.681");
    assert_int_equal(run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory,
                              "--recalibrate ", w.directory, "/train.tfrecord"),
                     0);
    assert_contains(out, "batch norm statistics taken anew over 10 pictures");
    assert_null(strstr(out, "leaves"));
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint "
                              "%s/exported/model.det",
                              w.config, w.directory),
                     0);
    line_behind("Eval metrics", total, after);
    assert_string_not_equal(before, after);
    assert_int_equal(run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory,
                              "--recalibrate ", w.directory,
                              "/train.tfrecord --recalibrate_images 4"),
                     0);
    assert_contains(out, "taken anew over 4 pictures");
    assert_int_equal(run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory,
                              "--recalibrate ", w.directory, "/train.tfrecord --weights"),
                     2);
    assert_int_equal(run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory,
                              "--recalibrate_images 4", "", ""),
                     2);
    assert_contains(out, "is for --recalibrate RECORDS, which is not given");
    assert_int_equal(run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory,
                              "--recalibrate ", w.directory, "/none.tfrecord"),
                     1);
    assert_contains(out, "none.tfrecord");
    workspace_remove(&w);
}

static void a_detector_that_finds_nothing_says_what_it_saw(void **state)
{
    (void)state;
    struct workspace w;
    size_t bytes = 0;
    char image[400];
    workspace_make(&w, "nothing");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --nosummaries",
                              w.config, w.model_dir),
                     0);
    unsigned char *jpeg = test_make_jpeg(120, 90, 3, &bytes);
    snprintf(image, sizeof image, "%s/picture.jpg", w.directory);
    FILE *file = fopen(image, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(jpeg, 1, bytes, file), bytes);
    fclose(file);
    free(jpeg);
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s/ckpt-12.det %s --threshold 0.99",
                              w.model_dir, image),
                     0);
    assert_contains(out, "nothing was found: the highest score anywhere was 0.");
    assert_contains(out, "--threshold lets lower scores pass");
    double score = 0;
    const char *at = strstr(out, "anywhere was ");
    assert_int_equal(sscanf(at, "anywhere was %lf, of ", &score), 1);
    /* That is the best detection's score when it may pass. */
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s/ckpt-12.det %s --threshold 0.0001",
                              w.model_dir, image),
                     0);
    assert_null(strstr(out, "nothing was found"));
    double best = 0;
    at = strstr(out, "\"score\":");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"score\":%lf", &best), 1);
    assert_near(score, best, 6e-4);
    workspace_remove(&w);
}

int test_exported_form(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_are_told_apart),
        cmocka_unit_test(an_export_is_warned_of_and_mended),
        cmocka_unit_test(a_detector_that_finds_nothing_says_what_it_saw),
    };
    return cmocka_run_group_tests_name("exported_form", tests, NULL, NULL);
}
