/* data/dataset.h: counts, classes, box rules, images in folders, and the messages. */
#include <math.h>

#include "data/dataset.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/pictures.h"
#include "support/records.h"
#include "support/test.h"

/* A log that keeps its last lines. */
struct log_lines {
    char info[256], warning[512];
};

static void keep_line(void *user, det_log_level level, const char *message)
{
    struct log_lines *lines = user;
    if (level == DET_LOG_INFO)
        snprintf(lines->info, sizeof lines->info, "%s", message);
    if (level == DET_LOG_WARNING)
        snprintf(lines->warning, sizeof lines->warning, "%s", message);
}

static struct det_dataset_settings settings_of(const char *const *pattern)
{
    return (struct det_dataset_settings){
        .role = "train",
        .patterns = pattern,
        .pattern_count = 1,
        .labels = test_labels(),
        .class_count = 2,
    };
}

static void counts_and_loads(void **state)
{
    (void)state;
    struct test_env t;
    struct log_lines lines = {{0}, {0}};
    test_env_init(&t);
    t.env.logger = (det_logger){.user = &lines, .write = keep_line};
    char directory[256], path[300];
    test_make_directory(directory, "dataset");
    snprintf(path, sizeof path, "%s/a.tfrecord", directory);
    test_write_records(&t.env, path, 10);
    const char *const patterns[] = {path};
    const struct det_dataset_settings settings = settings_of(patterns);
    struct det_dataset dataset;
    assert_ok(&t.env, det_dataset_open(&t.env, &settings, &dataset));
    assert_string_equal(lines.info, "train: 10 images, 9 boxes, 1 files");
    assert_string_equal(lines.warning, "");
    assert_int_equal(dataset.count, 10);
    assert_int_equal(dataset.counts.images_without_boxes, 4);
    assert_int_equal(dataset.boxes_of_class[0] + dataset.boxes_of_class[1], 9);
    struct det_image image = {0};
    struct det_ground_truth truth = {0};
    char buffer[512];
    assert_ok(&t.env, det_dataset_load(&t.env, &dataset, 5, &image, &truth));
    assert_int_equal(image.width, 45);
    assert_int_equal(image.height, 30);
    assert_int_equal(truth.count, 2);
    assert_int_equal(truth.class_index[0], 0);
    assert_int_equal(truth.class_index[1], 1);
    assert_near(truth.boxes[1][3], 1, 0);
    assert_near(truth.weight[0], 1, 0);
    assert_near(truth.area_px[0], 0.5 * 45 * 0.5 * 30, 1e-2);
    assert_string_equal(det_dataset_id(&dataset, 5, buffer), "5.jpg");
    assert_non_null(strstr(det_dataset_name(&dataset, 5, buffer), "a.tfrecord: record 5 (5.jpg)"));
    /* Nothing is allocated once there is room. */
    const struct det_image_least whole = {INT32_MAX, INT32_MAX};
    struct det_record record = {0};
    long before = 0;
    for (int pass = 0; pass < 2; pass++) {
        before = test_env_allocations(&t);
        for (size_t i = 0; i < 10; i++)
            assert_ok(&t.env, det_dataset_load_reduced(&t.env, &dataset, i, whole, &record, &image,
                                                       &truth));
    }
    assert_int_equal(test_env_allocations(&t), before);
    det_record_free(&t.env, &record);
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "record 10 of 10",
                 det_dataset_load(&t.env, &dataset, 10, &image, &truth));
    det_image_free(&t.env, &image);
    det_ground_truth_free(&t.env, &truth);
    det_dataset_close(&t.env, &dataset);
    test_remove_tree(directory);
    test_env_check(&t);
}

/* One record with one box; `change` edits the example. */
static det_status open_one(struct det_env *env, const struct det_dataset_settings *base,
                           const struct det_example *example, struct det_dataset *dataset)
{
    char directory[256], path[300];
    test_make_directory(directory, "one");
    snprintf(path, sizeof path, "%s/one.tfrecord", directory);
    struct det_writer writer;
    assert_ok(env, det_writer_open(env, path, &writer));
    test_write_example(env, &writer, example);
    assert_ok(env, det_writer_commit(env, &writer));
    const char *const patterns[] = {path};
    struct det_dataset_settings settings = *base;
    settings.patterns = patterns;
    const det_status status = det_dataset_open(env, &settings, dataset);
    test_remove_tree(directory);
    return status;
}

static void box_rules(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(20, 20, 1, &bytes);
    const struct {
        float box[4];     /* ymin xmin ymax xmax */
        const char *rule; /* message with the default policy, NULL: no error */
        size_t kept[3];   /* by policy */
    } cases[] = {
        {{0.1f, 0.1f, 0.5f, 0.5f}, NULL, {1, 1, 1}},
        {{-0.005f, 0, 1.005f, 1}, NULL, {1, 1, 1}},
        {{0.2f, 0.3f, 0.2f, 0.5f}, NULL, {0, 0, 0}},
        {{1.0f, 0.3f, 1.009f, 0.5f}, NULL, {0, 0, 0}},
        {{0.5f, 0.1f, 0.4f, 0.5f}, "is reversed (min > max)", {0, 0, 0}},
        {{NAN, 0.1f, 0.4f, 0.5f}, "is not finite", {0, 0, 0}},
        {{0.1f, 0.1f, 0.4f, INFINITY}, "is not finite", {0, 0, 0}},
        {{0.1f, 0.1f, 1.3f, 0.5f}, "is outside the image", {0, 1, 0}},
        {{20, 30, 50, 60}, "is outside the image", {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float ymin[2] = {0.1f, cases[i].box[0]}, xmin[2] = {0.1f, cases[i].box[1]};
        float ymax[2] = {0.9f, cases[i].box[2]}, xmax[2] = {0.9f, cases[i].box[3]};
        int64_t labels[2] = {2, 1};
        const struct det_example example = {
            .encoded = {jpeg, bytes},
            .box_count = 2,
            .ymin = ymin,
            .xmin = xmin,
            .ymax = ymax,
            .xmax = xmax,
            .filename = {(const uint8_t *)"x.jpg", 5},
            .class_label = labels,
        };
        for (int policy = 0; policy < 3; policy++) {
            struct det_dataset dataset;
            struct det_dataset_settings settings = settings_of(NULL);
            settings.box_policy = (enum det_box_policy)policy;
            const det_status status = open_one(&t.env, &settings, &example, &dataset);
            if (cases[i].rule != NULL && policy == DET_BOX_FAIL) {
                assert_int_equal(status, DET_STATUS_CORRUPT);
                assert_non_null(
                    strstr(t.env.error, "one.tfrecord: record 0 (x.jpg): object 1: box ymin"));
                assert_non_null(strstr(t.env.error, cases[i].rule));
                assert_int_equal(dataset.count, 0);
                continue;
            }
            assert_ok(&t.env, status);
            if (dataset.counts.boxes != 1 + cases[i].kept[policy])
                fail_msg("case %zu policy %d: %zu boxes", i, policy, dataset.counts.boxes);
            assert_int_equal(dataset.counts.dropped, 1 - cases[i].kept[policy]);
            for (int32_t k = 0; k < dataset.objects.count; k++) {
                for (int c = 0; c < 4; c++)
                    assert_true(dataset.objects.boxes[k][c] >= 0 &&
                                dataset.objects.boxes[k][c] <= 1);
            }
            det_dataset_close(&t.env, &dataset);
        }
    }
    free(jpeg);
    test_env_check(&t);
}

static void class_rules(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(20, 20, 1, &bytes);
    float low[1] = {0.1f}, high[1] = {0.9f};
    struct det_bytes text[1] = {test_text("dog")};
    int64_t label[1] = {1};
    struct det_example example = {
        .encoded = {jpeg, bytes},
        .box_count = 1,
        .ymin = low,
        .xmin = low,
        .ymax = high,
        .xmax = high,
        .class_text = text,
        .class_label = label,
    };
    struct det_dataset dataset;
    struct det_dataset_settings settings = settings_of(NULL);
    /* The text decides, even against the number. */
    assert_ok(&t.env, open_one(&t.env, &settings, &example, &dataset));
    assert_int_equal(dataset.objects.class_index[0], 1);
    det_dataset_close(&t.env, &dataset);
    /* An empty text leaves it to the number. */
    text[0] = test_text("");
    assert_ok(&t.env, open_one(&t.env, &settings, &example, &dataset));
    assert_int_equal(dataset.objects.class_index[0], 0);
    det_dataset_close(&t.env, &dataset);
    text[0] = test_text("zebra");
    settings.strict = true;
    assert_fails(
        &t.env, DET_STATUS_MISMATCH,
        "one.tfrecord: record 0: object 0: class \"zebra\" is not in the label map labels, "
        "which lists: cat, dog",
        open_one(&t.env, &settings, &example, &dataset));
    settings.strict = false;
    assert_ok(&t.env, open_one(&t.env, &settings, &example, &dataset));
    assert_int_equal(dataset.counts.unknown_class, 1);
    assert_int_equal(dataset.counts.boxes, 0);
    assert_int_equal(dataset.counts.images_without_boxes, 1);
    det_dataset_close(&t.env, &dataset);
    settings.strict = true;
    example.class_text = NULL;
    for (label[0] = 0; label[0] <= 3; label[0] += 3)
        assert_fails(&t.env, DET_STATUS_MISMATCH, "is not one of the 2 classes",
                     open_one(&t.env, &settings, &example, &dataset));
    example.class_label = NULL;
    assert_fails(&t.env, DET_STATUS_MISMATCH, "neither image/object/class/text",
                 open_one(&t.env, &settings, &example, &dataset));
    example.encoded = test_text("%PDF-1.4....");
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED,
                 "one.tfrecord: record 0: not a JPEG, PNG, BMP, GIF or WebP image (starts with 25 "
                 "50 44 46: PDF)",
                 open_one(&t.env, &settings, &example, &dataset));
    free(jpeg);
    test_env_check(&t);
}

/* One record with one object for each label. */
static void open_labelled(struct det_env *env, const struct det_label_map *map, bool strict,
                          const char *const *texts, const int64_t *numbers, size_t count,
                          struct det_dataset *dataset)
{
    enum { MOST = 8 };
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(16, 12, 1, &bytes);
    float low[MOST], high[MOST];
    struct det_bytes text[MOST] = {{0}};
    int64_t label[MOST] = {0};
    assert_true(count <= MOST);
    for (size_t i = 0; i < count; i++) {
        low[i] = .25f;
        high[i] = .75f;
        text[i] = test_text(texts != NULL && texts[i] != NULL ? texts[i] : "");
        label[i] = numbers != NULL ? numbers[i] : 0;
    }
    const struct det_example example = {
        .encoded = {jpeg, bytes},
        .box_count = count,
        .ymin = low,
        .xmin = low,
        .ymax = high,
        .xmax = high,
        .class_text = texts != NULL ? text : NULL,
        .class_label = numbers != NULL ? label : NULL,
    };
    const struct det_dataset_settings settings = {
        .role = "train",
        .pattern_count = 1,
        .labels = map,
        .class_count = map->count,
        .strict = strict,
    };
    assert_ok(env, open_one(env, &settings, &example, dataset));
    free(jpeg);
}

/* What _ClassTensorHandler and filter_unrecognized_classes of the API do with real label maps, and
 * the one warning that the API does not give. */
static void classes_of_real_label_maps(void **state)
{
    (void)state;
    static const char text[] = "item { id: 1 name: '/m/0k4j' display_name: 'car' }\n"
                               "item { id: 2 name: 'pedestrian' }\n"
                               "item { id: 4 name: 'cyclist' }\n"
                               "item { id: 0 name: 'background' }\n";
    struct test_env t;
    struct log_lines lines = {{0}, {0}};
    test_env_init(&t);
    t.env.logger = (det_logger){.user = &lines, .write = keep_line};
    struct det_label_map map;
    struct det_dataset dataset;
    assert_ok(&t.env, det_label_map_read_text(&t.env, "lm.pbtxt", text, sizeof text - 1, &map));
    /* Name and display name, with a gap. */
    open_labelled(&t.env, &map, true, (const char *const[]){"car", "/m/0k4j", "cyclist"}, NULL, 3,
                  &dataset);
    assert_int_equal(dataset.counts.boxes, 3);
    assert_int_equal(dataset.objects.class_index[0], 0);
    assert_int_equal(dataset.objects.class_index[1], 0);
    assert_int_equal(dataset.objects.class_index[2], 3);
    assert_string_equal(lines.warning, "");
    det_dataset_close(&t.env, &dataset);
    /* The background is never an object, and no error. */
    open_labelled(&t.env, &map, true, (const char *const[]){"background", "car"}, NULL, 2,
                  &dataset);
    assert_int_equal(dataset.counts.boxes, 1);
    det_dataset_close(&t.env, &dataset);
    /* Unlisted ones: one line with counts, the list and what was meant. */
    open_labelled(&t.env, &map, false,
                  (const char *const[]){"zebra", "Car", "car", "zebra", "pedestrain"}, NULL, 5,
                  &dataset);
    assert_int_equal(dataset.counts.boxes, 1);
    assert_int_equal(dataset.counts.unknown_class, 4);
    assert_string_equal(
        lines.warning,
        "train: 4 of 5 objects are left out, as TensorFlow does, because lm.pbtxt does not list "
        "their class: \"zebra\" 2, \"Car\" (did you mean \"car\"?) 1, \"pedestrain\" (did you mean "
        "\"pedestrian\"?) 1; it lists: car, pedestrian, cyclist");
    det_dataset_close(&t.env, &dataset);
    open_labelled(&t.env, &map, false, (const char *const[]){"zebra"}, NULL, 1, &dataset);
    assert_contains(lines.warning, "; no object is left");
    det_dataset_close(&t.env, &dataset);
    /* Numbers alone: 3 is an output of the network that no item names. */
    open_labelled(&t.env, &map, false, NULL, (const int64_t[]){4, 3, 3, 1}, 4, &dataset);
    assert_int_equal(dataset.counts.boxes, 4);
    assert_int_equal(dataset.objects.class_index[1], 2);
    assert_string_equal(lines.warning,
                        "train: 2 objects have a class without an item in lm.pbtxt: they are "
                        "learnt, but not evaluated, as TensorFlow does: number 3 2");
    det_dataset_close(&t.env, &dataset);
    open_labelled(&t.env, &map, false, NULL, (const int64_t[]){5, -1, 0, 1}, 4, &dataset);
    assert_int_equal(dataset.counts.boxes, 1);
    assert_contains(lines.warning, "3 of 4 objects are left out");
    assert_contains(lines.warning, "number -1 1, number 0 1, number 5 1");
    det_dataset_close(&t.env, &dataset);
    /* A text decides over a number, an empty one leaves it to the number. */
    open_labelled(&t.env, &map, false, (const char *const[]){"cyclist", ""},
                  (const int64_t[]){1, 2}, 2, &dataset);
    assert_int_equal(dataset.objects.class_index[0], 3);
    assert_int_equal(dataset.objects.class_index[1], 1);
    det_dataset_close(&t.env, &dataset);
    det_label_map_free(&t.env, &map);
    test_env_check(&t);
}

/* Whatever the record calls it: TensorFlow looks at the bytes alone too. */
static void records_hold_other_kinds(void **state)
{
    (void)state;
    static const uint8_t colours[12] = {0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0};
    static const uint8_t pixels[36] = {10, 20, 30};
    const struct test_gif gif = {4, 3, 0, 0, 4, 3, 2, false, false, -1, colours};
    const struct test_bmp bmp = {40, 4, -3, 24, 0, NULL, 0, pixels, 36};
    static const uint8_t first[2][3] = {{30, 20, 10}, {0, 255, 0}};
    struct test_bytes files[2] = {test_make_bmp(&bmp), test_make_gif(&gif)};
    struct test_env t;
    test_env_init(&t);
    for (int i = 0; i < 2; i++) {
        float zero = 0, half = 0.5f;
        struct det_bytes cat = test_text("cat");
        const struct det_example example = {.encoded = {files[i].data, files[i].count},
                                            .format = test_text("jpeg"),
                                            .box_count = 1,
                                            .ymin = &zero,
                                            .xmin = &zero,
                                            .ymax = &half,
                                            .xmax = &half,
                                            .class_text = &cat};
        const struct det_dataset_settings settings = settings_of(NULL);
        struct det_dataset dataset;
        struct det_image image = {0};
        struct det_ground_truth truth = {0};
        assert_ok(&t.env, open_one(&t.env, &settings, &example, &dataset));
        assert_ok(&t.env, det_dataset_load(&t.env, &dataset, 0, &image, &truth));
        assert_true(image.width == 4 && image.height == 3 && truth.count == 1);
        assert_memory_equal(image.rgb, first[i], 3);
        det_image_free(&t.env, &image);
        det_ground_truth_free(&t.env, &truth);
        det_dataset_close(&t.env, &dataset);
        free(files[i].data);
    }
    test_env_check(&t);
}

static void images_in_folders(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char directory[256], path[300];
    test_make_directory(directory, "images");
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(24, 18, 3, &bytes);
    snprintf(path, sizeof path, "%s/x.jpg", directory);
    assert_ok(&t.env, det_write_file(&t.env, path, jpeg, bytes));
    const char *const dirs[] = {"build", directory};
    struct det_example example = {.filename = test_text("frames/x.jpg")};
    struct det_dataset dataset;
    struct det_dataset_settings settings = settings_of(NULL);
    assert_fails(&t.env, DET_STATUS_NOT_FOUND,
                 "record 0 (frames/x.jpg): image/encoded is empty (exported without images?): give "
                 "the folder "
                 "that holds `frames/x.jpg` with --images DIR",
                 open_one(&t.env, &settings, &example, &dataset));
    settings.image_dirs = dirs;
    settings.image_dir_count = 2;
    assert_ok(&t.env, open_one(&t.env, &settings, &example, &dataset));
    assert_int_equal(dataset.counts.images_from_files, 1);
    struct det_image image = {0};
    struct det_ground_truth truth = {0};
    assert_ok(&t.env, det_dataset_load(&t.env, &dataset, 0, &image, &truth));
    assert_int_equal(image.width, 24);
    assert_ok(&t.env, det_write_file(&t.env, path, jpeg, bytes / 2));
    assert_fails(&t.env, DET_STATUS_CORRUPT, "x.jpg: truncated JPEG",
                 det_dataset_load(&t.env, &dataset, 0, &image, &truth));
    assert_non_null(strstr(t.env.error, "one.tfrecord: record 0 (frames/x.jpg): "));
    det_dataset_close(&t.env, &dataset);
    settings.image_dir_count = 1;
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "`frames/x.jpg` is not in build",
                 open_one(&t.env, &settings, &example, &dataset));
    /* A record cannot point outside the folders. */
    settings.image_dirs = dirs + 1;
    example.filename = test_text("../../../Makefile");
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "is not in",
                 open_one(&t.env, &settings, &example, &dataset));
    example.filename = test_text("/etc/passwd");
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "is not in",
                 open_one(&t.env, &settings, &example, &dataset));
    example.filename = (struct det_bytes){0};
    assert_fails(&t.env, DET_STATUS_CORRUPT, "there is no image/filename",
                 open_one(&t.env, &settings, &example, &dataset));
    det_image_free(&t.env, &image);
    det_ground_truth_free(&t.env, &truth);
    free(jpeg);
    test_remove_tree(directory);
    test_env_check(&t);
}

/* The CVAT export without images. */
static void seed_file_without_images(void **state)
{
    (void)state;
    char path[256];
    if (test_shared(path, "data/seed_test.tfrecord") == NULL)
        test_skip_without_shared();
    struct test_env t;
    test_env_init(&t);
    const char *const patterns[] = {path};
    struct det_dataset_settings settings = settings_of(patterns);
    settings.labels = NULL;
    settings.class_count = 1;
    struct det_dataset dataset;
    assert_fails(
        &t.env, DET_STATUS_NOT_FOUND,
        "seed_test.tfrecord: record 0 (z.jpg): image/encoded is empty (exported without images?)",
        det_dataset_open(&t.env, &settings, &dataset));
    print_message("%s\n", t.env.error);
    test_env_check(&t);
}

/* Real records with what we do not use (masks), 1-based labels and other keys. */
static void raccoon_counts(void **state)
{
    (void)state;
    char path[256];
    if (test_shared(path, "data/raccoon/train.tfrecord") == NULL)
        test_skip_without_shared();
    struct test_env t;
    struct log_lines lines = {{0}, {0}};
    test_env_init(&t);
    t.env.logger = (det_logger){.user = &lines, .write = keep_line};
    const char *const patterns[] = {path};
    struct det_dataset_settings settings = settings_of(patterns);
    settings.labels = NULL;
    settings.class_count = 1;
    struct det_dataset dataset;
    assert_ok(&t.env, det_dataset_open(&t.env, &settings, &dataset));
    assert_int_equal(dataset.counts.images, 160);
    print_message("%s %s\n", lines.info, lines.warning);
    det_dataset_close(&t.env, &dataset);
    test_env_check(&t);
}

static det_status open_path(struct det_env *env, void *argument)
{
    const char *const patterns[] = {argument};
    const struct det_dataset_settings settings = settings_of(patterns);
    struct det_dataset dataset;
    struct det_image image = {0};
    struct det_ground_truth truth = {0};
    det_status status = det_dataset_open(env, &settings, &dataset);
    if (status == DET_OK)
        status = det_dataset_load(env, &dataset, 2, &image, &truth);
    det_image_free(env, &image);
    det_ground_truth_free(env, &truth);
    det_dataset_close(env, &dataset);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char directory[256], path[300];
    test_make_directory(directory, "dataset");
    snprintf(path, sizeof path, "%s/a.tfrecord", directory);
    test_write_records(&t.env, path, 4);
    test_each_allocation_fails(open_path, path);
    test_remove_tree(directory);
    test_env_check(&t);
}

static void no_records(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char directory[256], path[300];
    test_make_directory(directory, "dataset");
    snprintf(path, sizeof path, "%s/empty.tfrecord", directory);
    assert_ok(&t.env, det_write_file(&t.env, path, "", 0));
    const char *const patterns[] = {path};
    struct det_dataset_settings settings = settings_of(patterns);
    struct det_dataset dataset;
    assert_true(det_dataset_open(&t.env, &settings, &dataset) != DET_OK);
    assert_non_null(strstr(t.env.error, "empty.tfrecord"));
    settings.class_count = 0;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "train: 0 classes",
                 det_dataset_open(&t.env, &settings, &dataset));
    test_remove_tree(directory);
    test_env_check(&t);
}

int test_dataset(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_loads),   cmocka_unit_test(box_rules),
        cmocka_unit_test(class_rules),        cmocka_unit_test(classes_of_real_label_maps),
        cmocka_unit_test(images_in_folders),  cmocka_unit_test(records_hold_other_kinds),
        cmocka_unit_test(raccoon_counts),     cmocka_unit_test(seed_file_without_images),
        cmocka_unit_test(failed_allocations), cmocka_unit_test(no_records),
    };
    return cmocka_run_group_tests_name("dataset", tests, NULL, NULL);
}
