/* data/: det-demo-data is run as a user would and its workspace read back. */
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/image.h"
#include "formats/tf_example.h"
#include "formats/tfrecord.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"

enum { train_images = 4, test_images = 2 };

static const char *binary(char buffer[512])
{
    const char *folder = getenv("DET_BIN_DIR");
    snprintf(buffer, 512, "%s/det-demo-data", folder != NULL ? folder : "build/release/bin");
    return buffer;
}

/* Exit status of the program with its output thrown away. */
static int run(const char *const *arguments)
{
    char program[512];
    const char *list[10] = {binary(program)};
    for (int i = 0; arguments[i] != NULL; i++)
        list[i + 1] = arguments[i];
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        char *copies[10] = {NULL};
        for (int i = 0; list[i] != NULL; i++)
            copies[i] = strdup(list[i]);
        execv(program, copies);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_demo(const char *directory, const char *seed)
{
    const char *arguments[] = {directory, "--train", "4", "--test", "2", "--seed", seed, NULL};
    return run(arguments);
}

static void check_record(struct test_env *t, const char *name, const uint8_t *data, size_t bytes,
                         const char *folder, size_t *boxes)
{
    static const char *const classes[] = {"car", "truck", "bus"};
    struct det_example example;
    assert_ok(&t->env, det_example_parse(&t->env, name, data, bytes, &example));
    assert_int_equal(example.format.bytes, 4);
    assert_memory_equal(example.format.data, "jpeg", 4);
    struct det_image image = {0};
    assert_ok(&t->env,
              det_image_decode(&t->env, name, example.encoded.data, example.encoded.bytes, &image));
    assert_int_equal(image.width, example.width);
    assert_int_equal(image.height, example.height);
    assert_non_null(example.class_text);
    assert_non_null(example.class_label);
    for (size_t i = 0; i < example.box_count; i++) {
        const float h = (float)image.height, w = (float)image.width;
        assert_true(example.ymin[i] >= 0 && example.xmin[i] >= 0);
        assert_true(example.ymax[i] <= 1 && example.xmax[i] <= 1);
        assert_true((example.ymax[i] - example.ymin[i]) * h >= 11.9F);
        assert_true((example.xmax[i] - example.xmin[i]) * w >= 11.9F);
        assert_in_range(example.class_label[i], 1, 3);
        const char *text = classes[example.class_label[i] - 1];
        assert_int_equal(example.class_text[i].bytes, strlen(text));
        assert_memory_equal(example.class_text[i].data, text, strlen(text));
    }
    *boxes += example.box_count;
    /* The image beside the records is the record's. */
    char file[128] = {0};
    char *path = NULL;
    assert_true(example.filename.bytes < sizeof file);
    memcpy(file, example.filename.data, example.filename.bytes);
    assert_ok(&t->env, det_path_join(&t->env, &path, folder, file));
    struct det_file_bytes contents;
    assert_ok(&t->env, det_file_read(&t->env, path, &contents));
    assert_int_equal(contents.bytes, example.encoded.bytes);
    assert_memory_equal(contents.data, example.encoded.data, contents.bytes);
    det_file_release(&contents);
    det_free(&t->env, &path);
    det_image_free(&t->env, &image);
    det_example_free(&t->env, &example);
}

static void check_set(struct test_env *t, const char *directory, const char *set, size_t images)
{
    char *records = NULL, *folder = NULL;
    assert_ok(&t->env, det_format(&t->env, &records, "%s/annotations/%s.tfrecord", directory, set));
    assert_ok(&t->env, det_format(&t->env, &folder, "%s/images/%s", directory, set));
    struct det_record_set list;
    const char *patterns[] = {records};
    assert_ok(&t->env, det_record_set_open(&t->env, patterns, 1, &list));
    assert_int_equal(list.record_count, images);
    size_t boxes = 0;
    for (size_t i = 0; i < list.record_count; i++) {
        struct det_record record = {0};
        char name[512];
        assert_ok(&t->env, det_record_set_get(&t->env, &list, i, &record));
        check_record(t, det_record_set_name(&list, i, name), record.data, record.bytes, folder,
                     &boxes);
        det_record_free(&t->env, &record);
    }
    assert_true(boxes >= images / 2);
    det_record_set_close(&t->env, &list);
    det_free(&t->env, &folder);
    det_free(&t->env, &records);
}

static bool same_file(struct test_env *t, const char *a, const char *b, const char *name)
{
    struct det_file_bytes maps[2];
    const char *folders[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        char *path = NULL;
        assert_ok(&t->env, det_path_join(&t->env, &path, folders[i], name));
        assert_ok(&t->env, det_file_read(&t->env, path, &maps[i]));
        det_free(&t->env, &path);
    }
    const bool same =
        maps[0].bytes == maps[1].bytes && memcmp(maps[0].data, maps[1].data, maps[0].bytes) == 0;
    det_file_release(&maps[0]);
    det_file_release(&maps[1]);
    return same;
}

static void workspace_is_whole_and_repeatable(void **state)
{
    (void)state;
    static const char *const names[] = {"annotations/label_map.pbtxt", "annotations/train.tfrecord",
                                        "annotations/test.tfrecord", "models/demo/pipeline.config",
                                        "images/train/train_00003.jpg"};
    struct test_env t;
    test_env_init(&t);
    char a[256], b[256], c[256];
    test_make_directory(a, "demo-a");
    test_make_directory(b, "demo-b");
    test_make_directory(c, "demo-c");
    assert_int_equal(run_demo(a, "1"), 0);
    assert_int_equal(run_demo(b, "1"), 0);
    assert_int_equal(run_demo(c, "2"), 0);
    check_set(&t, a, "train", train_images);
    check_set(&t, a, "test", test_images);
    check_set(&t, c, "train", train_images);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_true(same_file(&t, a, b, names[i]));
    assert_true(same_file(&t, a, c, names[3]));
    assert_false(same_file(&t, a, c, names[1]));
    char *config = NULL;
    assert_ok(&t.env, det_path_join(&t.env, &config, a, names[3]));
    char *text = test_read_text(config);
    assert_non_null(strstr(text, "num_classes: 3"));
    assert_non_null(strstr(text, "\"../../annotations/label_map.pbtxt\""));
    free(text);
    det_free(&t.env, &config);
    test_remove_tree(a);
    test_remove_tree(b);
    test_remove_tree(c);
    test_env_check(&t);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const char *const wrong[][6] = {{NULL},
                                    {"build/none", "--train", NULL},
                                    {"build/none", "--train", "-3", NULL},
                                    {"build/none", "--test", "2x", NULL},
                                    {"build/none", "--seed", "99999999999999999999", NULL},
                                    {"build/none", "--train", "1000001", NULL},
                                    {"build/none", "--mosaic", "63x64", NULL},
                                    {"build/none", "--mosaic", "640", NULL},
                                    {"build/none", "--what", NULL},
                                    {"build/none", "build/other", NULL}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(run(wrong[i]), 2);
    assert_false(det_file_exists("build/none"));
    const char *const help[] = {"--help", NULL};
    assert_int_equal(run(help), 0);
    /* A folder that cannot be made is a failure with a message, not a crash. */
    const char *const nowhere[] = {"Makefile/demo", "--train", "1", "--test", "0", NULL};
    assert_int_equal(run(nowhere), 1);
}

int test_demo_data(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workspace_is_whole_and_repeatable),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("demo_data", tests, NULL, NULL);
}
