/* Command lines of the tools: what is another way to say the same, what TensorFlow's scripts have,
 * what is misspelt. */
#include "det/version.h"
#include "support/run_tool.h"

static char out[100000];

struct command_line {
    const char *line;
    int status;
    const char *says; /* NULL: anything */
};

static void assert_lines(const struct command_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int status = run_tool(out, sizeof out, "%s", lines[i].line);
        if (status != lines[i].status)
            fail_msg("%s: status %d: %s", lines[i].line, status, out);
        if (lines[i].says != NULL && strstr(out, lines[i].says) == NULL)
            fail_msg("%s: says %s", lines[i].line, out);
    }
}

#define ASSERT_LINES(lines) assert_lines(lines, sizeof(lines) / sizeof((lines)[0]))

static void names_have_more_than_one_form(void **state)
{
    (void)state;
    /* `none` is not there: whoever gets so far took the options. */
    static const struct command_line lines[] = {
        {"det-train --pipeline-config-path none --model-dir x", 1, "none: No such file"},
        {"det-train --pipeline-config_path=none --model_dir=x --log-every=5", 1, "none: No such"},
        {"det-train -pipeline-config-path none -model-dir x --no-resume", 1, "none: No such"},
        {"det-train --pipeline_config_path none --model_dir x --no_resume --noresume", 1,
         "none: No such"},
        {"det-train --log-every x", 2, "--log_every: got `x`, expected an integer"},
        {"det-train --no-resume=1", 2, "--noresume takes no value"},
        {"det-bench none --fast-decode", 1, "none: No such file"},
        {"det-detect none none.jpg --threshold-file=none2", 1, NULL},
        {"det-data stats none --allow-no-boxes", 1, "none"},
    };
    ASSERT_LINES(lines);
}

static void versions_and_pages(void **state)
{
    (void)state;
    static const char *const tools[] = {"train", "eval", "detect", "export",   "data",
                                        "info",  "plot", "bench",  "demo-data"};
    char text[100];
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        assert_int_equal(run_tool(out, sizeof out, "det-%s --version", tools[i]), 0);
        snprintf(text, sizeof text, "det-%s (libdet) %s\n", tools[i], det_version_string());
        assert_string_equal(out, text);
        assert_int_equal(run_tool(out, sizeof out, "det-%s --help", tools[i]), 0);
        snprintf(text, sizeof text, "usage: det-%s ", tools[i]);
        assert_contains(out, text);
    }
    static const struct command_line lines[] = {
        {"det-data convert --help", 0, "usage: det-data convert [options] SOURCE ...\n"},
        {"det-data --help convert", 0, "  --to FORMAT"},
        {"det-data help show", 0, "  --columns N"},
        {"det-data help", 0, "commands:\n"},
        {"det-data help shwo", 2, "unknown command `shwo`: did you mean `show`?"},
        {"det-data --tiles --help", 0, "commands:\n"},
    };
    ASSERT_LINES(lines);
    /* A page has what its command takes, and nothing else. */
    assert_int_equal(run_tool(out, sizeof out, "det-data show --help"), 0);
    assert_null(strstr(out, "--to FORMAT"));
    assert_null(strstr(out, "--[no]fix"));
    assert_contains(out, "--[no]quiet");
    assert_int_equal(run_tool(out, sizeof out, "det-data --help"), 0);
    assert_null(strstr(out, "--columns"));
}

static void the_nearest_is_offered(void **state)
{
    (void)state;
    static const struct command_line lines[] = {
        {"det-train --modell_dir x", 2,
         "unknown option `--modell_dir`: did you mean `--model_dir`?"},
        {"det-train --modell-dir x", 2, "did you mean `--model_dir`?"},
        {"det-train --no-sumaries", 2, "did you mean `--nosummaries`?"},
        {"det-train --steps 5", 2, "did you mean `--num_train_steps`?"},
        {"det-eval --confidence .5", 2, "unknown option `--confidence`\n"},
        {"det-data convrt x", 2, "unknown command `convrt`: did you mean `convert`?"},
        {"det-data frobnicate x", 2, "got `frobnicate`, expected init, convert, "},
        {"det-data --strict", 2, "a command is missing: init, convert, "},
        {"det-data convert x --to csv --output y --count 3", 2,
         "--count goes with show and report, not with convert\nTry `det-data convert --help`."},
        {"det-data stats x --fix", 2, "--fix goes with convert, check and split, not with stats"},
        {"det-data stats x --tiles 9", 2, "--tiles goes with init and convert, not with stats"},
        {"det-data -- stats none.json", 1, "none.json"},
        {"det-data --", 2, "a command is missing: init, convert, "},
        {"det-data --from coco stats none.json", 1, "none.json"},
    };
    ASSERT_LINES(lines);
}

static void tensorflows_flags(void **state)
{
    (void)state;
    static const struct command_line lines[] = {
        /* taken */
        {"det-train --pipeline_config_path=none --model_dir=x --alsologtostderr "
         "--sample_1_of_n_eval_examples=1 --sample_1_of_n_eval_on_train_examples=5 "
         "--num_train_steps=10 --eval_timeout=5 --use_tpu=false --num_workers=1 "
         "--checkpoint_every_n=5 --record_summaries=False --hparams_overrides= "
         "--eval_on_train_data=false --noeval_on_train_data",
         1, "none: No such file"},
        {"det-train --record_summaries=maybe", 2,
         "--summaries: got `maybe`, expected true or false"},
        {"det-train --pipeline_config_path=none --train_dir=x --logtostderr --v=1 "
         "--record_summaries --norecord_summaries --nouse_tpu --num_clones 1",
         1, "none: No such file"},
        {"det-eval --pipeline_config_path none --checkpoint_dir x --model_dir x --num_train_steps "
         "5 --run_once --eval_timeout 3 --stderrthreshold info --use-tpu=false",
         1, "none: No such file"},
        {"det-export --input_type image_tensor --input-type float_image_tensor "
         "--trained_checkpoint_prefix none --output_directory build/test-tmp/unused "
         "--config_override '' --nouse_side_inputs --ssd_use_regular_nms",
         1, "none"},
        {"det-data stats none --label_map_path none2 --alsologtostderr", 1, "none2"},
        {"det-data convert none --to tfrecord --labels_path none2 --output_dir x --num_shards 3 "
         "--image_dir x -l none3",
         1, "none3"},
        {"det-info --logtostderr --threads 1", 0, NULL},
        /* answered */
        {"det-train --checkpoint_dir x", 2,
         "det-eval --pipeline_config_path FILE --checkpoint_dir"},
        {"det-train --use_tpu", 2, "there is no TPU here"},
        {"det-train --num_workers 4", 2, "--accumulate N"},
        {"det-train --sample_1_of_n_eval_examples=2", 2, "--eval_max_images N"},
        {"det-train --hparams_overrides=a=1", 2, "--set FIELD=VALUE"},
        {"det-train --log_dir x", 2, "2>&1 | tee FILE"},
        {"det-train --num_workers", 2, "--num_workers: a value is missing"},
        {"det-eval --sample-1-of-n-eval-examples 3", 2, "--max_images N"},
        {"det-eval --eval_on_train_data", 2, "name the training records there"},
        {"det-export --input_type tf_example", 2, "--input image, nhwc or nchw"},
        {"det-export --config_override 'model { }'", 2, "--score_threshold"},
        {"det-export --ssd_use_regular_nms=false", 2, "--tflite_outputs fast_detections"},
        {"det-export --input_shape 1,320,320,3", 2, "--batch N"},
        {"det-data convert -x images/train", 2, "det-data convert train=PATH --to tfrecord"},
        {"det-data convert --output_path a/train.record", 2, "becomes DIR/SPLIT.tfrecord"},
        {"det-data split --ratio 0.1", 2, "--split train=0.9,test=0.1"},
        {"det-data convert --include_masks", 2, "there are boxes alone"},
        {"det-data show none --num_shards 3 --output x.png", 2, "--shards goes with init, "},
    };
    ASSERT_LINES(lines);
    assert_int_equal(run_tool(out, sizeof out, "det-train --help"), 0);
    assert_contains(out, "--alsologtostderr");
    assert_null(strstr(out, "--use_tpu"));
}

int test_tool_options(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_more_than_one_form),
        cmocka_unit_test(versions_and_pages),
        cmocka_unit_test(the_nearest_is_offered),
        cmocka_unit_test(tensorflows_flags),
    };
    return cmocka_run_group_tests_name("tool_options", tests, NULL, NULL);
}
