/* det/sample_source.h, data/sample_source: a program's own images and boxes give what records of
 * the same content give, to the bit; functions that fail, lie or change their mind are told. */
#include <math.h>

#include "data/dataset.h"
#include "support/records.h"
#include "support/sample_program.h"

static struct det_dataset_settings settings_of(const struct sample_program *p)
{
    return (struct det_dataset_settings){
        .role = "train",
        .source = &p->source,
        .labels = test_labels(),
        .class_count = 2,
        .strict = true,
    };
}

/* --- as records --- */

static void assert_same_image(const struct det_image *a, const struct det_image *b)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_memory_equal(a->rgb, b->rgb, (size_t)a->width * (size_t)a->height * 3);
}

static void assert_same_truth(const struct det_ground_truth *a, const struct det_ground_truth *b)
{
    const size_t count = (size_t)a->count;
    assert_int_equal(a->count, b->count);
    if (count == 0)
        return;
    assert_memory_equal(a->boxes, b->boxes, count * sizeof *a->boxes);
    assert_memory_equal(a->class_index, b->class_index, count * sizeof *a->class_index);
    assert_memory_equal(a->weight, b->weight, count * sizeof *a->weight);
    assert_memory_equal(a->area_px, b->area_px, count * sizeof *a->area_px);
}

static void samples_are_those_of_records(void **state)
{
    (void)state;
    struct test_env t;
    struct sample_program p;
    struct det_image image[2] = {{0}, {0}};
    struct det_ground_truth truth[2] = {{0}, {0}};
    struct det_record record = {0};
    const struct det_image_least small = {8, 8};
    char directory[256], path[300], name[512];
    test_env_init(&t);
    test_make_directory(directory, "source");
    snprintf(path, sizeof path, "%s/a.tfrecord", directory);
    test_write_records(&t.env, path, SAMPLE_IMAGES);
    sample_program_open(&p);
    const char *const patterns[] = {path};
    struct det_dataset_settings settings = settings_of(&p);
    struct det_dataset records, samples;
    for (int way = 0; way < 4; way++) {
        p.decoded = way % 2 == 1;
        p.lazy = way / 2 == 1;
        assert_ok(&t.env, det_dataset_open(&t.env, &settings, &samples));
        settings.source = NULL;
        settings.patterns = patterns;
        settings.pattern_count = 1;
        assert_ok(&t.env, det_dataset_open(&t.env, &settings, &records));
        assert_int_equal(samples.count, SAMPLE_IMAGES);
        assert_int_equal(samples.counts.boxes, records.counts.boxes);
        for (size_t i = 0; i < SAMPLE_IMAGES; i++) {
            assert_ok(&t.env, det_dataset_load(&t.env, &records, i, &image[0], &truth[0]));
            assert_ok(&t.env, det_dataset_load(&t.env, &samples, i, &image[1], &truth[1]));
            assert_same_image(&image[0], &image[1]);
            assert_same_truth(&truth[0], &truth[1]);
            if (!p.decoded) {
                assert_ok(&t.env, det_dataset_load_reduced(&t.env, &records, i, small, &record,
                                                           &image[0], &truth[0]));
                assert_ok(&t.env, det_dataset_load_reduced(&t.env, &samples, i, small, &record,
                                                           &image[1], &truth[1]));
                assert_true(image[0].width < sample_program_width(i));
                assert_same_image(&image[0], &image[1]);
                assert_same_truth(&truth[0], &truth[1]);
            }
            assert_ok(&t.env, det_dataset_load_truth(&t.env, &records, i, &truth[0]));
            assert_ok(&t.env, det_dataset_load_truth(&t.env, &samples, i, &truth[1]));
            assert_same_truth(&truth[0], &truth[1]);
        }
        assert_string_equal(det_dataset_name(&samples, 5, name), "sample 5 (5.jpg)");
        det_dataset_close(&t.env, &records);
        det_dataset_close(&t.env, &samples);
        settings = settings_of(&p);
    }
    det_record_free(&t.env, &record);
    for (int i = 0; i < 2; i++) {
        det_image_free(&t.env, &image[i]);
        det_ground_truth_free(&t.env, &truth[i]);
    }
    sample_program_close(&p);
    test_remove_tree(directory);
    test_env_check(&t);
}

/* Flags, weights, areas, boxes in pixels of a region of a BGR image upside down, and structs of a
 * newer program. */
struct newer_object {
    det_annotation_object is;
    uint64_t further;
};

static int fill_all(void *user, size_t index, det_labelled_sample *sample)
{
    static uint8_t pixels[20 * 64];
    struct newer_object *objects = user;
    (void)index;
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 20; x++)
            for (int c = 0; c < 3; c++)
                pixels[y * 64 + x * 3 + c] = (uint8_t)(10 * y + x + 100 * (c == 2));
    sample->pixels = (det_image_view){.pixels = pixels + 19 * 64,
                                      .width = 20,
                                      .height = 20,
                                      .stride_bytes = -64,
                                      .format = DET_PIXEL_BGR8,
                                      .region = {.y = 4, .x = 2, .height = 8, .width = 16}};
    sample->objects = &objects[0].is;
    sample->object_count = 2;
    return 0;
}

static void everything_is_taken(void **state)
{
    (void)state;
    struct test_env t;
    struct newer_object objects[2] = {{.further = 0}, {.further = 0}};
    const det_sample_source source = {
        .struct_size = sizeof source, .count = 1, .user = objects, .fill = fill_all};
    const struct det_dataset_settings settings = {.source = &source, .class_count = 3};
    struct det_dataset dataset;
    struct det_image image = {0};
    struct det_ground_truth truth = {0};
    test_env_init(&t);
    for (int i = 0; i < 2; i++) {
        det_annotation_object_default(&objects[i].is);
        objects[i].is.struct_size = sizeof objects[i];
        objects[i].is.class_id = 3 - i;
        objects[i].is.box[2] = objects[i].is.box[3] = .5;
    }
    objects[1].is.in_pixels = 1;
    objects[1].is.box[0] = objects[1].is.box[1] = 4;
    objects[1].is.box[2] = objects[1].is.box[3] = 8;
    objects[1].is.area_px2 = 5;
    objects[1].is.weight = .25;
    objects[1].is.difficult = objects[1].is.group_of = objects[1].is.is_crowd = 7;
    assert_ok(&t.env, det_dataset_open(&t.env, &settings, &dataset));
    assert_ok(&t.env, det_dataset_load(&t.env, &dataset, 0, &image, &truth));
    assert_int_equal(image.width, 16);
    assert_int_equal(image.height, 8);
    /* The region's first pixel: column 2 of row 15 in memory; red is the third byte. */
    assert_int_equal(image.rgb[0], 10 * 15 + 2 + 100);
    assert_int_equal(image.rgb[2], 10 * 15 + 2);
    assert_int_equal(truth.count, 2);
    assert_int_equal(truth.class_index[0], 2);
    assert_int_equal(truth.class_index[1], 1);
    assert_near(truth.area_px[0], 8 * 4, 0);
    assert_near(truth.area_px[1], 5, 0);
    assert_near(truth.boxes[1][0], .5, 0);
    assert_near(truth.boxes[1][1], .25, 0);
    assert_near(truth.boxes[1][3], .5, 0);
    assert_near(truth.weight[0], 1, 0);
    assert_near(truth.weight[1], .25, 0);
    assert_int_equal(truth.difficult[1] + truth.group_of[1] + truth.is_crowd[1], 3);
    char buffer[512];
    assert_string_equal(det_dataset_name(&dataset, 0, buffer), "sample 0");
    det_dataset_close(&t.env, &dataset);
    det_image_free(&t.env, &image);
    det_ground_truth_free(&t.env, &truth);
    objects[1].further = 1;
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED, "sample 0: object 1: det_annotation_object: ",
                 det_dataset_open(&t.env, &settings, &dataset));
    test_env_check(&t);
}

/* --- hostile ones --- */

CHANGE(no_image, sample->encoded = NULL; sample->encoded_bytes = 0)
CHANGE(null_bytes, sample->encoded = NULL)
CHANGE(no_bytes, sample->encoded_bytes = 0)
CHANGE(half_the_bytes, sample->encoded_bytes /= 2)
CHANGE(no_picture, sample->encoded = "%PDF-1.4....")
CHANGE(image_twice, sample->pixels = (det_image_view){.pixels = sample->encoded})
CHANGE(null_objects, sample->objects = NULL)
CHANGE(half_a_size, sample->height_px = 0)
CHANGE(negative_size, sample->width_px = -3)
CHANGE(another_size, sample->width_px++)
CHANGE(wrong_object_size, box->struct_size = 0)
CHANGE(pixels_without_size, box->in_pixels = 1; sample->width_px = sample->height_px = 0)
CHANGE(nan_box, box->box[1] = NAN)
CHANGE(huge_box, box->box[2] = 1e300)
CHANGE(reversed_box, box->box[0] = .7)
CHANGE(outside_box, box->box[3] = 1.1)
CHANGE(pixel_box, box->in_pixels = 1; box->box[3] = 99)
CHANGE(another_box, box->box[0] += 1e-9)
CHANGE(negative_weight, box->weight = -1)
CHANGE(another_weight, box->weight = .5)
CHANGE(unknown_class, box->class_name = "zebra")
CHANGE(no_class, box->class_name = NULL)
CHANGE(class_three, box->class_name = NULL; box->class_id = 3)
CHANGE(another_class, box->class_name = "cat")
CHANGE(more_objects, sample->object_count = 2)
CHANGE(fewer_objects, sample->object_count = 0)

static int fails_silently(det_labelled_sample *sample, det_annotation_object *objects)
{
    (void)sample;
    (void)objects;
    return -1;
}

/* Of pixels. */
CHANGE(null_pixels, sample->pixels.pixels = NULL)
CHANGE(no_width, sample->pixels.width = 0)
CHANGE(small_stride, sample->pixels.stride_bytes = 5)
CHANGE(odd_format, sample->pixels.format = (det_pixel_format)77)
CHANGE(large_region, sample->pixels.region = (det_region){.y = 1, .x = 1, .height = 99, .width = 1})
CHANGE(fewer_pixels, sample->pixels.height--)

static det_status open_and_load(struct det_env *env, void *argument)
{
    struct sample_program *p = argument;
    const struct det_dataset_settings settings = settings_of(p);
    struct det_dataset dataset;
    struct det_image image = {0};
    struct det_ground_truth truth = {0};
    det_status status = det_dataset_open(env, &settings, &dataset);
    for (size_t i = 0; status == DET_OK && i < SAMPLE_IMAGES; i++)
        status = det_dataset_load(env, &dataset, i, &image, &truth);
    det_image_free(env, &image);
    det_ground_truth_free(env, &truth);
    det_dataset_close(env, &dataset);
    return status;
}

static void hostile_samples_are_told(void **state)
{
    (void)state;
    enum { ENCODED, PIXELS };
    enum when { OPENING, LOADING };
    static const struct {
        int (*change)(det_labelled_sample *, det_annotation_object *);
        int decoded, only_loading;
        det_status status;
        const char *text;
    } cases[] = {
        {sample_program_fails, ENCODED, OPENING, DET_STATUS_IO,
         "sample 4: the program could not fill it in (7): the camera"},
        {sample_program_fails, ENCODED, LOADING, DET_STATUS_IO,
         "sample 4 (4.jpg): the program could not fill it in (7): the camera"},
        {fails_silently, ENCODED, LOADING, DET_STATUS_IO, "could not fill it in (-1)"},
        {no_image, ENCODED, LOADING, DET_STATUS_INVALID_ARGUMENT, "sample 4 (4.jpg): has no image"},
        {null_bytes, ENCODED, OPENING, DET_STATUS_INVALID_ARGUMENT, "encoded is NULL"},
        {no_bytes, ENCODED, OPENING, DET_STATUS_CORRUPT, "sample 4 (4.jpg): "},
        {half_the_bytes, ENCODED, LOADING, DET_STATUS_CORRUPT, "sample 4 (4.jpg): "},
        {no_picture, ENCODED, OPENING, DET_STATUS_UNSUPPORTED, "sample 4 (4.jpg): not a JPEG"},
        {image_twice, ENCODED, OPENING, DET_STATUS_INVALID_ARGUMENT, "has its image twice"},
        {null_objects, ENCODED, OPENING, DET_STATUS_INVALID_ARGUMENT,
         "sample 4 (4.jpg): objects is NULL, object_count 1"},
        {half_a_size, ENCODED, OPENING, DET_STATUS_INVALID_ARGUMENT, "width_px is 44, height_px 0"},
        {negative_size, ENCODED, OPENING, DET_STATUS_INVALID_ARGUMENT, "width_px is -3"},
        {another_size, ENCODED, OPENING, DET_STATUS_CORRUPT,
         "sample 4 (4.jpg): its image has 44 x 34 pixels, when the data was opened it was said to "
         "have 45 x 34"},
        {wrong_object_size, ENCODED, OPENING, DET_STATUS_INVALID_ARGUMENT,
         "sample 4 (4.jpg): object 0: det_annotation_object: struct_size is 0"},
        {pixels_without_size, ENCODED, OPENING, DET_STATUS_INVALID_ARGUMENT,
         "object 0: its box is in pixels"},
        {nan_box, ENCODED, OPENING, DET_STATUS_CORRUPT, "sample 4 (4.jpg): object 0: box ymin"},
        {nan_box, ENCODED, LOADING, DET_STATUS_CORRUPT, "its objects are others"},
        {huge_box, ENCODED, OPENING, DET_STATUS_CORRUPT, "is not finite"},
        {reversed_box, ENCODED, OPENING, DET_STATUS_CORRUPT, "is reversed"},
        {outside_box, ENCODED, OPENING, DET_STATUS_CORRUPT, "is outside the image"},
        {pixel_box, ENCODED, OPENING, DET_STATUS_CORRUPT, "is outside the image"},
        {another_box, ENCODED, LOADING, DET_STATUS_CORRUPT,
         "sample 4 (4.jpg): its objects are others than when the data was opened"},
        {negative_weight, ENCODED, OPENING, DET_STATUS_CORRUPT, "weight -1"},
        {another_weight, ENCODED, LOADING, DET_STATUS_CORRUPT, "its objects are others"},
        {unknown_class, ENCODED, OPENING, DET_STATUS_MISMATCH,
         "sample 4 (4.jpg): object 0: class \"zebra\" is not in the label map"},
        {no_class, ENCODED, OPENING, DET_STATUS_MISMATCH, "is not one of the 2 classes"},
        {class_three, ENCODED, OPENING, DET_STATUS_MISMATCH, "is not one of the 2 classes"},
        {another_class, ENCODED, LOADING, DET_STATUS_CORRUPT, "its objects are others"},
        {more_objects, ENCODED, LOADING, DET_STATUS_CORRUPT, "its objects are others"},
        {fewer_objects, ENCODED, LOADING, DET_STATUS_CORRUPT, "its objects are others"},
        {null_pixels, PIXELS, LOADING, DET_STATUS_INVALID_ARGUMENT, "has no image"},
        {no_width, PIXELS, OPENING, DET_STATUS_INVALID_ARGUMENT, "sample 4 (4.jpg): image of 0 x"},
        {small_stride, PIXELS, OPENING, DET_STATUS_INVALID_ARGUMENT, "sample 4 (4.jpg): image: "},
        {odd_format, PIXELS, LOADING, DET_STATUS_INVALID_ARGUMENT, "format is 77"},
        {large_region, PIXELS, LOADING, DET_STATUS_INVALID_ARGUMENT, "is not inside the image"},
        {fewer_pixels, PIXELS, LOADING, DET_STATUS_CORRUPT, "its image has 44 x 33 pixels"},
    };
    struct test_env t;
    struct sample_program p;
    test_env_init(&t);
    sample_program_open(&p);
    assert_ok(&t.env, open_and_load(&t.env, &p));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p.change = cases[i].change;
        p.decoded = cases[i].decoded == PIXELS;
        p.only_loading = cases[i].only_loading == LOADING;
        const det_status status = open_and_load(&t.env, &p);
        if (status != cases[i].status || strstr(t.env.error, cases[i].text) == NULL)
            fail_msg("case %zu: %s: \"%s\", expected %s: \"%s\"", i, det_status_text(status),
                     t.env.error, det_status_text(cases[i].status), cases[i].text);
        assert_int_equal(atomic_load(&p.filled), atomic_load(&p.released));
    }
    sample_program_close(&p);
    test_env_check(&t);
}

static void bad_sources_are_refused(void **state)
{
    (void)state;
    struct test_env t;
    struct sample_program p;
    struct {
        det_sample_source is;
        uint64_t further;
    } newer;
    struct det_dataset dataset;
    test_env_init(&t);
    sample_program_open(&p);
    struct det_dataset_settings settings = settings_of(&p);
    p.source.count = 0;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "count is 0",
                 det_dataset_open(&t.env, &settings, &dataset));
    p.source.count = SIZE_MAX;
    assert_fails(&t.env, DET_STATUS_OUT_OF_MEMORY, "",
                 det_dataset_open(&t.env, &settings, &dataset));
    p.source.count = SAMPLE_IMAGES;
    newer.is = p.source;
    p.source.fill = NULL;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "det_sample_source: fill is NULL",
                 det_dataset_open(&t.env, &settings, &dataset));
    p.source.struct_size = 0;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "det_sample_source: struct_size is 0",
                 det_dataset_open(&t.env, &settings, &dataset));
    newer.is.struct_size = sizeof newer;
    newer.further = 0;
    settings.source = &newer.is;
    assert_ok(&t.env, det_dataset_open(&t.env, &settings, &dataset));
    det_dataset_close(&t.env, &dataset);
    newer.further = 1;
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED,
                 "det_sample_source: ", det_dataset_open(&t.env, &settings, &dataset));
    sample_program_close(&p);
    test_env_check(&t);
}

static void failed_allocations(void **state)
{
    (void)state;
    struct sample_program p;
    sample_program_open(&p);
    for (int decoded = 0; decoded < 2; decoded++) {
        p.decoded = decoded == 1;
        test_each_allocation_fails(open_and_load, &p);
        assert_int_equal(atomic_load(&p.filled), atomic_load(&p.released));
    }
    sample_program_close(&p);
}

int test_sample_source(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_those_of_records), cmocka_unit_test(everything_is_taken),
        cmocka_unit_test(hostile_samples_are_told),     cmocka_unit_test(bad_sources_are_refused),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("sample_source", tests, NULL, NULL);
}
