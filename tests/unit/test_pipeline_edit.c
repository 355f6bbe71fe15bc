/* formats/pipeline_edit.h: fields of a pipeline.config that are set from outside. */
#include "det/det.h"
#include "formats/pipeline_config.h"
#include "formats/pipeline_edit.h"
#include "support/mem.h"
#include "support/workspace.h"

static const char before[] = "# what I tried\n"
                             "train_config: {\n"
                             "  batch_size: 8 # small\n"
                             "  num_steps: 100\n"
                             "  optimizer { momentum_optimizer { momentum_optimizer_value: .9 } }\n"
                             "}\n"
                             "eval_config { metrics_set: \"a\" metrics_set: 'b' }\n"
                             "eval_input_reader { label_map_path: \"x\" }\n"
                             "eval_input_reader { label_map_path: \"y\" }\n";

/* The text after "PATH=VALUE" holds `has`, lacks `lacks` (NULL: anything). */
static void edited(const char *assignment, const char *has, const char *lacks)
{
    struct test_env t;
    struct det_text text = {0};
    test_env_init(&t);
    assert_ok(&t.env, det_text_append(&t.env, &text, before, sizeof before - 1));
    assert_ok(&t.env, det_pipeline_edit(&t.env, "x.config", assignment, &text));
    if (strstr(text.data, has) == NULL)
        fail_msg("%s: no `%s` in:\n%s", assignment, has, text.data);
    if (lacks != NULL && strstr(text.data, lacks) != NULL)
        fail_msg("%s: `%s` is still in:\n%s", assignment, lacks, text.data);
    assert_non_null(strstr(text.data, "# what I tried\n"));
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void fields_are_set_in_the_text(void **state)
{
    (void)state;
    edited("train_config.batch_size=4", "  batch_size: 4 # small\n  num_steps: 100\n", "8");
    edited("train_config.fine_tune_checkpoint=a \"b\".c=d",
           "}\n  fine_tune_checkpoint: \"a \\\"b\\\".c=d\"\n}\n", NULL);
    edited("train_config.fine_tune_checkpoint=\"x\"", "fine_tune_checkpoint: \"x\"\n", NULL);
    edited("train_config.optimizer.momentum_optimizer.momentum_optimizer_value=.8",
           "momentum_optimizer { momentum_optimizer_value: .8 } }", ".9");
    edited("train_config.optimizer.momentum_optimizer.learning_rate.constant_learning_rate."
           "learning_rate=.01",
           ".9  learning_rate { constant_learning_rate { learning_rate: .01 } } } }", NULL);
    edited("train_config.optimizer={ adam_optimizer { } }", "  optimizer { adam_optimizer { } }\n}",
           "momentum");
    /* A list is replaced, not added to. */
    edited("eval_config.metrics_set=c", "{  metrics_set: \"c\" }", "\"a\"");
    edited("eval_config.metrics_set=[\"c\", 'd']", "metrics_set: [\"c\", 'd'] }", "\"a\"");
    edited("eval_input_reader[1].label_map_path=z",
           "{ label_map_path: \"x\" }\neval_input_reader { label_map_path: \"z\" }", "\"y\"");
    edited("model.ssd.num_classes=3", "\"y\" }\nmodel { ssd { num_classes: 3 } }\n", NULL);
    edited("train_config.data_augmentation_options={ random_horizontal_flip { } }",
           "  data_augmentation_options { random_horizontal_flip { } }\n}\n", NULL);
}

static void what_cannot_be_set_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *assignment, *text;
    } cases[] = {
        {"train_config.batch_size", "expected FIELD.FIELD=VALUE"},
        {"=4", "empty name"},
        {"train_config..batch_size=4", "empty name"},
        {"train_config.batchsize=4", "unknown field `batchsize` in TrainConfig; did you mean "
                                     "`batch_size`?"},
        {"nothing_like_it_here=4", "unknown field `nothing_like_it_here`"},
        {"train_config=4", "`train_config` is a message"},
        {"train_config.batch_size.more=4", "`batch_size` is a value"},
        {"train_config.batch_size=", "is one value"},
        {"train_config.batch_size=4 num_steps: 5", "is one value"},
        {"train_config.batch_size[0]=4", "`batch_size` is no list"},
        {"train_config[x].batch_size=4", "expected `train_config[NUMBER]`"},
        {"train_config[0=4", "expected `train_config[NUMBER]`"},
        {"eval_input_reader.label_map_path=z", "there are 2 `eval_input_reader`: expected "
                                               "`eval_input_reader[0]` to `eval_input_reader[1]`"},
        {"eval_input_reader[2].label_map_path=z", "there is no `eval_input_reader[2]`, there are "
                                                  "2"},
    };
    struct test_env t;
    struct det_text text = {0};
    test_env_init(&t);
    assert_ok(&t.env, det_text_append(&t.env, &text, before, sizeof before - 1));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, cases[i].text,
                     det_pipeline_edit(&t.env, "x.config", cases[i].assignment, &text));
        assert_string_equal(text.data, before);
    }
    /* Any allocation may fail; the text is then the old one. */
    for (long n = 1;; n++) {
        test_env_fail_at(&t, n);
        const det_status status = det_pipeline_edit(
            &t.env, "x.config", "train_config.optimizer.adam_optimizer.epsilon=1", &text);
        test_env_fail_at(&t, 0);
        if (status == DET_OK)
            break;
        assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        assert_string_equal(text.data, before);
    }
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void a_config_is_loaded_with_fields_set(void **state)
{
    (void)state;
    struct test_env t;
    struct workspace w;
    det_pipeline_config *config = NULL;
    test_env_init(&t);
    workspace_make(&w, "edit");
    det_context *context = workspace_context(&t, 1);
    const char *const sets[] = {"train_config.batch_size=3", "train_config.num_steps=5",
                                "train_config.batch_size=2"};
    assert_context_ok(context, det_pipeline_config_load_with(context, w.config, sets, 3, &config));
    assert_int_equal(det_pipeline_config_batch_size(config), 2);
    assert_int_equal(det_pipeline_config_num_steps(config), 5);
    det_pipeline_config_destroy(&config);
    const char *const bad[] = {"train_config.batch_size=many"};
    assert_context_fails(context, DET_STATUS_PARSE, "batch_size",
                         det_pipeline_config_load_with(context, w.config, bad, 1, &config));
    assert_null(config);
    det_context_destroy(&context);
    workspace_remove(&w);
    test_env_check(&t);
}

int test_pipeline_edit(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_set_in_the_text),
        cmocka_unit_test(what_cannot_be_set_is_told),
        cmocka_unit_test(a_config_is_loaded_with_fields_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
