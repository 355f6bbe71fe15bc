/* Pictures of data sets: EXIF rotations, kinds that are copied or encoded anew. */
#include "convert/writers.h"
#include "data/exif.h"
#include "support/annotation_sets.h"
#include "support/pictures.h"
#include "support/records.h"

static void exif_orientation_is_found_and_undone(void **state)
{
    (void)state;
    struct test_env t;
    size_t bytes = 0, marked = 0, at = 0;
    test_env_init(&t);
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes);
    assert_int_equal(det_exif_orientation(jpeg, bytes, &at), 1);
    for (int orientation = 1; orientation <= 9; orientation++) {
        for (int big = 0; big < 2; big++) {
            uint8_t *data = test_put_orientation(jpeg, bytes, orientation, big != 0, &marked);
            assert_int_equal(det_exif_orientation(data, marked, &at),
                             orientation <= 8 ? orientation : 1);
            if (orientation <= 8)
                assert_int_equal(data[at], orientation);
            for (size_t cut = 0; cut < 60;
                 cut++) { /* in a block of its own, so that ASan sees a step too far */
                uint8_t *part = malloc(cut + 1);
                assert_non_null(part);
                memcpy(part, data, cut);
                const int found = det_exif_orientation(part, cut, NULL);
                assert_true(found >= 1 && found <= 8);
                free(part);
            }
            for (size_t flip = 2; flip < 40; flip++) {
                data[flip] ^= 0xff;
                const int found = det_exif_orientation(data, marked, NULL);
                assert_true(found >= 1 && found <= 8);
                data[flip] ^= 0xff;
            }
            free(data);
        }
    }
    free(jpeg);
    /* 2 x 3 pixels: a b / c d / e f, and what upright looks like (EXIF 2.32: where row 0 and column
     * 0 are). */
    static const char *const upright[9] = {NULL,     "abcdef", "badcfe", "fedcba", "efcdab",
                                           "acebdf", "ecafdb", "fdbeca", "bdface"};
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct det_image image = {0};
        assert_ok(&t.env, det_image_resize_buffer(&t.env, &image, 2, 3));
        for (int i = 0; i < 18; i++)
            image.rgb[i] = (uint8_t)("abcdef"[i / 3]);
        assert_ok(&t.env, det_exif_turn(&t.env, &image, orientation));
        assert_int_equal(image.width, orientation >= 5 ? 3 : 2);
        for (int i = 0; i < 6; i++)
            assert_int_equal(image.rgb[i * 3], upright[orientation][i]);
        det_image_free(&t.env, &image);
    }
    test_env_check(&t);
}

/* BMP and GIF: copied into folders, PNG in records, where TensorFlow's users expect that or JPEG;
 * the same pixels in both. */
static void other_kinds_are_written(void **state)
{
    (void)state;
    static const uint8_t colours[12] = {0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0}, pixels[36] = {255};
    const struct test_gif gif = {4, 3, 0, 0, 4, 3, 2, false, false, -1, colours};
    const struct test_bmp bmp = {40, 4, 3, 24, 0, NULL, 0, pixels, 36};
    struct test_bytes files[2] = {test_make_bmp(&bmp), test_make_gif(&gif)};
    struct test_env t;
    char folder[256], path[300], out[300];
    test_env_init(&t);
    test_make_directory(folder, "kinds");
    snprintf(path, sizeof path, "%s/a.bmp", folder);
    test_write_bytes(path, files[0].data, files[0].count);
    snprintf(path, sizeof path, "%s/b.gif", folder);
    test_write_bytes(path, files[1].data, files[1].count);
    test_write_text(folder, "a.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                    "a.bmp,4,3,cat,0,0,2,2\nb.gif,4,3,cat,1,1,3,3\n");
    snprintf(path, sizeof path, "%s/a.csv", folder);
    struct det_annotations set, back;
    struct det_findings findings = {0};
    assert_ok(&t.env, test_load_set(&t.env, det_read_csv, path, &set, &findings));
    assert_int_equal(findings.errors + findings.warnings, 0);
    for (int record = 0; record < 2; record++) {
        struct det_write_counts counts = {0};
        snprintf(out, sizeof out, "%s/out%d", folder, record);
        const struct det_write_settings settings = {.directory = out, .shards = 1};
        assert_ok(&t.env, record ? det_write_tfrecord(&t.env, &settings, &set, &counts)
                                 : det_write_csv(&t.env, &settings, &set, &counts));
        assert_int_equal(counts.encoded, record ? 2 : 0);
        if (!record)
            continue;
        snprintf(path, sizeof path, "%s/out%d/a.tfrecord", folder, record);
        assert_ok(&t.env, test_load_set(&t.env, det_read_tfrecord, path, &back, &findings));
        assert_int_equal(findings.errors + findings.warnings, 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(back.images[i].kind, DET_IMAGE_PNG);
            assert_int_equal(back.images[i].pixel_hash, set.images[i].pixel_hash);
        }
        det_annotations_free(&t.env, &back);
    }
    for (int i = 0; i < 2; i++) {
        size_t bytes = 0;
        snprintf(path, sizeof path, "%s/out0/images/%s", folder, i == 0 ? "a.bmp" : "b.gif");
        char *copy = test_read_bytes(path, &bytes);
        assert_int_equal(bytes, files[i].count);
        assert_memory_equal(copy, files[i].data, bytes);
        free(copy);
        free(files[i].data);
    }
    det_annotations_free(&t.env, &set);
    test_remove_tree(folder);
    test_env_check(&t);
}

/* A portrait picture stored lying: VOC's size says for which the boxes are. */
static void exif_rotation_is_baked_in(void **state)
{
    (void)state;
    struct test_env t;
    char folder[256], path[300];
    size_t bytes = 0, marked = 0;
    test_env_init(&t);
    test_make_directory(folder, "exif");
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes);
    uint8_t *data = test_put_orientation(jpeg, bytes, 6, false, &marked);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    test_write_bytes(path, data, marked);
    for (int stored = 0; stored < 2; stored++) {
        struct det_annotations set, back;
        struct det_findings findings = {0};
        struct det_write_counts counts = {0};
        char text[200], out[300];
        /* 0: 30 x 40, as a viewer shows it; 1: 40 x 30, as it is stored */
        snprintf(text, sizeof text,
                 "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,%d,%d,cat,3,4,15,20\n",
                 stored ? 40 : 30, stored ? 30 : 40);
        test_write_text(folder, "a.csv", text);
        snprintf(path, sizeof path, "%s/a.csv", folder);
        assert_ok(&t.env, test_load_set(&t.env, det_read_csv, path, &set, &findings));
        assert_int_equal(findings.errors, 0);
        assert_int_equal(findings.counts[DET_RULE_IMAGE_EXIF], 1);
        assert_int_equal(set.images[0].turn, stored ? 1 : 6);
        snprintf(out, sizeof out, "%s/out%d", folder, stored);
        const struct det_write_settings settings = {.directory = out, .shards = 1};
        assert_ok(&t.env, det_write_tfrecord(&t.env, &settings, &set, &counts));
        assert_int_equal(counts.encoded, stored ? 0 : 1);
        struct det_findings none = {0};
        snprintf(path, sizeof path, "%s/out%d/a.tfrecord", folder, stored);
        assert_ok(&t.env, test_load_set(&t.env, det_read_tfrecord, path, &back, &none));
        assert_int_equal(none.errors + none.warnings, 0); /* no rotation any more */
        assert_int_equal(back.images[0].width_px, stored ? 40 : 30);
        assert_near(back.objects[0].box[3], stored ? 15. / 40 : 15. / 30, 1e-6);
        if (stored)
            assert_int_equal(back.images[0].pixel_hash, set.images[0].pixel_hash);
        det_annotations_free(&t.env, &back);
        det_annotations_free(&t.env, &set);
    }
    free(data);
    free(jpeg);
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_convert_pictures(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exif_orientation_is_found_and_undone),
        cmocka_unit_test(exif_rotation_is_baked_in),
        cmocka_unit_test(other_kinds_are_written),
    };
    return cmocka_run_group_tests_name("convert_pictures", tests, NULL, NULL);
}
