/* The input path against TensorFlow's: decoded pixels by digest, the network's input by samples,
 * mean and norm. */
#include <cjson/cJSON.h>
#include <math.h>

#include "data/dataset.h"
#include "data/resize.h"
#include "support/mem.h"
#include "support/sha256.h"
#include "support/test.h"

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    assert_non_null(item);
    return item->valuedouble;
}

static void equals_tensorflow(void **state)
{
    (void)state;
    char json_path[256], data_path[256];
    if (test_shared(json_path, "goldens/preprocess/records.json") == NULL ||
        test_shared(data_path, "data/raccoon/test.tfrecord") == NULL)
        test_skip_without_shared();
    struct test_env t;
    test_env_init(&t);
    const char *const patterns[] = {data_path};
    const struct det_dataset_settings settings = {
        .patterns = patterns, .pattern_count = 1, .class_count = 1};
    struct det_dataset dataset;
    assert_ok(&t.env, det_dataset_open(&t.env, &settings, &dataset));
    assert_int_equal(dataset.counts.images, 40);
    char *text = test_read_text(json_path);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    struct det_image image = {0};
    struct det_ground_truth truth = {0};
    struct det_resizer resizer = {0};
    double worst = 0;
    const cJSON *record;
    cJSON_ArrayForEach(record, json)
    {
        const size_t index = (size_t)number(record, "record");
        const int32_t size = (int32_t)number(record, "size");
        assert_ok(&t.env, det_dataset_load(&t.env, &dataset, index, &image, &truth));
        assert_int_equal(image.height, (int32_t)number(record, "height"));
        assert_int_equal(image.width, (int32_t)number(record, "width"));
        char hex[65], name[512];
        struct det_sha256 digest;
        det_sha256_begin(&digest);
        det_sha256_add(&digest, image.rgb, (size_t)image.height * (size_t)image.width * 3);
        det_sha256_end(&digest, hex);
        assert_string_equal(hex, cJSON_GetObjectItem(record, "pixels_sha256")->valuestring);
        assert_string_equal(det_dataset_id(&dataset, index, name),
                            cJSON_GetObjectItem(record, "filename")->valuestring);
        const size_t count = (size_t)size * (size_t)size * 3;
        float *input = NULL;
        assert_ok(&t.env, det_alloc(&t.env, &input, count, sizeof *input, "input"));
        const struct det_window whole = det_window_whole(image.height, image.width);
        assert_ok(&t.env, det_resize_rgb8(&t.env, &resizer, &image, &whole, input, (size_t)size * 3,
                                          size, size));
        det_normalize_pixels(input, input, count);
        const cJSON *sample;
        cJSON_ArrayForEach(sample, cJSON_GetObjectItem(record, "samples"))
        {
            const int y = cJSON_GetArrayItem(sample, 0)->valueint;
            const int x = cJSON_GetArrayItem(sample, 1)->valueint;
            const int c = cJSON_GetArrayItem(sample, 2)->valueint;
            const double value = cJSON_GetArrayItem(sample, 3)->valuedouble;
            const float ours = input[((size_t)y * (size_t)size + (size_t)x) * 3 + (size_t)c];
            assert_near(ours, value, 1e-4);
            worst = fmax(worst, fabs((double)ours - value));
        }
        double sum = 0, squares = 0;
        for (size_t i = 0; i < count; i++) {
            sum += (double)input[i];
            squares += (double)input[i] * (double)input[i];
        }
        assert_near(sum / (double)count, number(record, "mean"), 1e-6);
        assert_near(sqrt(squares) / number(record, "l2"), 1, 1e-6);
        det_free(&t.env, &input);
    }
    print_message("largest difference of the input from TensorFlow's: %.3g\n", worst);
    cJSON_Delete(json);
    free(text);
    det_resizer_free(&t.env, &resizer);
    det_image_free(&t.env, &image);
    det_ground_truth_free(&t.env, &truth);
    det_dataset_close(&t.env, &dataset);
    test_env_check(&t);
}

int test_preprocess(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_tensorflow),
    };
    return cmocka_run_group_tests_name("preprocess", tests, NULL, NULL);
}
