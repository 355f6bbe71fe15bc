#include <stdio.h>

#include "support/records.h"

#include "data/image.h"
#include "formats/tfrecord.h"
#include "support/mem.h"
#include "support/test.h"

const struct det_label_map *test_labels(void)
{
    static const char text[] = "item { id: 1 name: 'cat' } item { id: 2 name: 'dog' }";
    static struct det_label_map map;
    static struct det_env env;
    if (map.count == 0) {
        det_env_default(&env);
        assert_ok(&env, det_label_map_read_text(&env, "labels", text, sizeof text - 1, &map));
    }
    return &map;
}

struct det_bytes test_text(const char *text)
{
    return (struct det_bytes){(const uint8_t *)text, strlen(text)};
}

unsigned char *test_make_jpeg(int width, int height, unsigned seed, size_t *bytes)
{
    struct det_env env;
    det_env_default(&env);
    struct det_image image = {0};
    assert_ok(&env, det_image_resize_buffer(&env, &image, width, height));
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *rgb = image.rgb + (y * width + x) * 3;
            rgb[0] = (uint8_t)((unsigned)(x * 5) + seed * 37);
            rgb[1] = (uint8_t)((unsigned)(y * 7) + seed * 11);
            rgb[2] = (uint8_t)((unsigned)((x + y) * 3) + seed);
        }
    }
    uint8_t *data = NULL;
    assert_ok(&env, det_image_encode_jpeg(&env, &image, 90, &data, bytes));
    unsigned char *copy = malloc(*bytes);
    assert_non_null(copy);
    memcpy(copy, data, *bytes);
    det_free(&env, &data);
    det_image_free(&env, &image);
    return copy;
}

void test_write_example(struct det_env *env, struct det_writer *writer,
                        const struct det_example *example)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    assert_ok(env, det_example_serialize(env, example, &data, &bytes));
    assert_ok(env, det_tfrecord_write(env, writer, data, bytes));
    det_free(env, &data);
}

void test_write_records(struct det_env *env, const char *path, int images)
{
    struct det_writer writer;
    assert_ok(env, det_writer_open(env, path, &writer));
    for (int i = 0; i < images; i++) {
        const int width = 40 + i % 7, height = 30 + i % 5;
        size_t bytes = 0;
        unsigned char *jpeg = test_make_jpeg(width, height, (unsigned)i, &bytes);
        char name[32];
        snprintf(name, sizeof name, "%d.jpg", i);
        float ymin[2] = {0.1f, 0.25f}, xmin[2] = {0.2f, 0.5f};
        float ymax[2] = {0.6f, 0.75f}, xmax[2] = {0.7f, 1.0f};
        struct det_bytes class_text[2] = {test_text(i % 2 ? "cat" : "dog"),
                                          test_text(i % 2 ? "dog" : "cat")};
        const struct det_example example = {
            .encoded = {jpeg, bytes},
            .filename = test_text(name),
            .source_id = test_text(name),
            .format = test_text("jpeg"),
            .height = height,
            .width = width,
            .box_count = (size_t)(i % 3),
            .ymin = ymin,
            .xmin = xmin,
            .ymax = ymax,
            .xmax = xmax,
            .class_text = class_text,
        };
        test_write_example(env, &writer, &example);
        free(jpeg);
    }
    assert_ok(env, det_writer_commit(env, &writer));
}
