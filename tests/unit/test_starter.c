/* det/starter.h: the config says what was chosen, the readers take it, and the choices follow the
 * data. */
#include <math.h>
#include <unistd.h>

#include "base/context.h"
#include "formats/pipeline_config.h"
#include "support/records.h"
#include "support/workspace.h"

enum { WIDTH = 800, HEIGHT = 600, IMAGES = 12 };

struct fixture {
    struct test_env t;
    det_context *context;
    det_annotation_set *set;
    char folder[256], path[300];
};

/* IMAGES pictures in "train" and one in "test", with two boxes each of this size in pixels. */
static void open_fixture(struct fixture *f, const char *class_name, double height, double width)
{
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(WIDTH, HEIGHT, 1, &bytes);
    *f = (struct fixture){0};
    test_env_init(&f->t);
    test_make_directory(f->folder, "starter");
    snprintf(f->path, sizeof f->path, "%s/pipeline.config", f->folder);
    f->context = workspace_context(&f->t, 2);
    assert_context_ok(f->context, det_annotation_set_create(f->context, NULL, &f->set));
    for (int i = 0; i <= IMAGES; i++) {
        char name[20];
        size_t position = 0;
        snprintf(name, sizeof name, "%d.jpg", i);
        const det_annotation_image image = {.struct_size = sizeof image,
                                            .data = jpeg,
                                            .bytes = bytes,
                                            .name = name,
                                            .split = i == IMAGES ? "test" : "train"};
        assert_context_ok(f->context, det_annotation_set_add_image(f->set, &image, &position));
        for (int k = 0; k < 2; k++) {
            det_annotation_object object;
            det_annotation_object_default(&object);
            object.class_name = class_name;
            object.in_pixels = 1;
            object.box[0] = 7 + 23 * i;
            object.box[1] = 11 + 31 * i + 300 * k;
            object.box[2] = object.box[0] + height;
            object.box[3] = object.box[1] + width;
            assert_context_ok(f->context, det_annotation_set_add_object(f->set, position, &object));
        }
    }
    assert_context_ok(f->context, det_annotation_set_resolve(f->set));
    free(jpeg);
}

static void close_fixture(struct fixture *f)
{
    det_annotation_set_destroy(&f->set);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

static det_starter_choices write_config(struct fixture *f, const det_starter_settings *settings)
{
    det_starter_choices choices = {.struct_size = sizeof choices};
    assert_context_ok(f->context,
                      det_starter_config_write(f->context, f->set, f->path, settings, &choices));
    return choices;
}

static void the_config_says_what_was_chosen(void **state)
{
    (void)state;
    struct fixture f;
    struct det_env *env;
    struct det_pipeline_config config;
    open_fixture(&f, "cat", 120, 150);
    env = det_context_env(f.context);
    det_starter_settings settings;
    det_starter_settings_default(&settings);
    settings.label_map = "a \"map\".pbtxt";
    settings.train_records = "../data/train.tfrecord-*-of-00002";
    settings.fine_tune_checkpoint = "backbone\\ckpt-1";
    const det_starter_choices c = write_config(&f, &settings);
    assert_ok(env, det_pipeline_config_read(env, f.path, &config));
    assert_int_equal(config.ssd.num_classes, 1);
    assert_int_equal(config.ssd.image_resizer.height, c.input_px);
    assert_int_equal(config.train.batch_size, c.batch_size);
    assert_int_equal(config.train.num_steps, c.steps);
    assert_string_equal(config.train.fine_tune_checkpoint, settings.fine_tune_checkpoint);
    assert_string_equal(config.train_input_reader.label_map_path, settings.label_map);
    assert_string_equal(config.train_input_reader.input_paths.values[0], settings.train_records);
    assert_string_equal(config.eval_input_readers[0].input_paths.values[0], "test.tfrecord");
    assert_int_equal(c.input_px, 320);
    assert_int_equal(c.batch_size, 8);
    assert_int_equal(c.steps, 600);
    assert_near(0.04, c.learning_rate, 1e-9);
    assert_true(pow(c.decay, c.steps) <= 0.0101);
    assert_near(sqrt(120.0 / HEIGHT * 150.0 / WIDTH) * 320, c.median_side_px, 1e-3);
    assert_near(4, c.anchor_scale, 0);
    assert_true(c.covered == c.covered_by_default && c.covered > 0.95);
    det_pipeline_config_free(env, &config);
    close_fixture(&f);
}

static void choices_follow_the_data(void **state)
{
    (void)state;
    struct fixture f;
    /* Tall and thin: other shapes, and the share that they cover. */
    open_fixture(&f, "light", 90, 22);
    det_starter_choices c = write_config(&f, NULL);
    assert_true(c.covered >= c.covered_by_default + 0.05);
    assert_true(c.aspect_ratios[2] < c.aspect_ratios[0] && c.aspect_ratios[0] < c.aspect_ratios[1]);
    assert_true(c.aspect_ratios[0] < 0.5);
    assert_int_equal(c.flips, 1);
    close_fixture(&f);
    /* Too small at 320, in pictures that have more to show. */
    open_fixture(&f, "bird", 24, 32);
    c = write_config(&f, NULL);
    assert_int_equal(c.input_px, 640);
    det_starter_settings settings;
    det_starter_settings_default(&settings);
    settings.input_px = 256;
    settings.batch_size = 2;
    settings.steps = 5000;
    c = write_config(&f, &settings);
    assert_int_equal(c.input_px, 256);
    assert_int_equal(c.batch_size, 2);
    assert_int_equal(c.steps, 5000);
    assert_near(0.01, c.learning_rate, 1e-9);
    assert_near(0.997, c.decay, 1e-9);
    close_fixture(&f);
    static const struct {
        const char *name;
        int flips;
    } names[] = {{"turn_left", 0}, {"Right hand", 0}, {"leftover", 1}, {"bright", 1}, {"LEFT", 0}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        open_fixture(&f, names[i].name, 120, 150);
        c = write_config(&f, NULL);
        assert_int_equal(c.flips, names[i].flips);
        char *text = test_read_text(f.path);
        assert_int_equal(strstr(text, "{ random_horizontal_flip") != NULL, names[i].flips);
        free(text);
        close_fixture(&f);
    }
}

static void what_cannot_be_trained_on_is_told(void **state)
{
    (void)state;
    struct fixture f;
    det_starter_choices choices = {.struct_size = sizeof choices};
    det_starter_settings settings;
    open_fixture(&f, "cat", 120, 150);
    det_starter_settings_default(&settings);
    settings.split = "nobody";
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "`nobody` has 0 images",
                         det_starter_config_write(f.context, f.set, f.path, &settings, &choices));
    det_starter_settings_default(&settings);
    settings.input_px = 63;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "input_px is 63",
                         det_starter_config_write(f.context, f.set, f.path, &settings, NULL));
    settings.input_px = 0;
    settings.steps = -1;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "steps -1",
                         det_starter_config_write(f.context, f.set, f.path, &settings, NULL));
    /* Nothing was written; after a failed allocation nothing is, or all of it. */
    assert_false(access(f.path, F_OK) == 0);
    for (long n = 1;; n++) {
        test_env_fail_at(&f.t, n);
        const det_status status =
            det_starter_config_write(f.context, f.set, f.path, NULL, &choices);
        test_env_fail_at(&f.t, 0);
        if (status == DET_OK)
            break;
        assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        if (access(f.path, F_OK) == 0) {
            char *text = test_read_text(f.path);
            assert_non_null(strstr(text, "test.tfrecord\" }\n}\n"));
            free(text);
            unlink(f.path);
        }
    }
    close_fixture(&f);
}

int test_starter(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_config_says_what_was_chosen),
        cmocka_unit_test(choices_follow_the_data),
        cmocka_unit_test(what_cannot_be_trained_on_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
