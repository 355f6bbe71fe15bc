/* det-detect on pictures as people have them: marked by a camera as lying, of every kind, several
 * of one name, and larger than it will decode. */
#include <unistd.h>

#include <cjson/cJSON.h>

#include "data/exif.h"
#include "det/draw.h"
#include "support/io.h"
#include "support/pictures.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/shell.h"

static const char *model = "data/vehicles.det";

static char out[100000];

static void write_file(const char *folder, const char *name, const void *data, size_t bytes)
{
    struct det_env env;
    char path[600];
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *directory = NULL;
    assert_ok(&env, det_path_directory(&env, &directory, path));
    assert_ok(&env, det_make_directories(&env, directory));
    env.allocator.release(env.allocator.user, directory);
    assert_ok(&env, det_write_file(&env, path, data, bytes));
}

static void write_jpeg(const char *folder, const char *name, int width, int height, int orientation)
{
    size_t bytes = 0, marked = 0;
    unsigned char *jpeg = test_make_jpeg(width, height, 1, &bytes);
    uint8_t *data = test_put_orientation(jpeg, bytes, orientation, false, &marked);
    write_file(folder, name, data, marked);
    free(data);
    free(jpeg);
}

static char *read_in(const char *folder, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return test_read_text(path);
}

static bool is_there(const char *folder, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* --- EXIF --- */

/* A scene of the demo data, as it is and as a phone stores it: the same objects in the same
 * places. */
static void lying_pictures_are_turned(void **state)
{
    (void)state;
    char folder[256], path[400];
    test_make_directory(folder, "lying");
    assert_int_equal(run_tool(out, sizeof out, "det-demo-data %s/demo --train 1 --test 1", folder),
                     0);
    snprintf(path, sizeof path, "%s/demo/images/test/test_00000.jpg", folder);
    struct det_env env;
    struct det_image image = {0};
    size_t marked = 0, bytes = 0;
    uint8_t *jpeg = NULL;
    det_env_default(&env);
    assert_ok(&env, det_image_read(&env, path, &image));
    const int32_t width = image.width, height = image.height;
    assert_ok(&env, det_exif_turn(&env, &image, 8)); /* what 6 undoes */
    assert_ok(&env, det_image_encode_jpeg(&env, &image, 98, &jpeg, &bytes));
    uint8_t *data = test_put_orientation(jpeg, bytes, 6, false, &marked);
    write_file(folder, "in/phone.jpg", data, marked);
    write_file(folder, "in/phone2.jpg", data, marked);
    free(data);
    env.allocator.release(env.allocator.user, jpeg);
    assert_int_equal(shell("cp %s %s/in/base.jpg", path, folder), 0);
    for (int fast = 0; fast < 2; fast++) {
        const char *options = fast ? "--fast_decode" : "--output";
        assert_int_equal(
            run_tool(out, sizeof out, "det-detect %s %s/in --threshold 0.3 --json %s/lines %s %s%s",
                     model, folder, folder, options, fast ? "" : folder, fast ? "" : "/seen"),
            0);
        const char *told =
            strstr(out, "in/phone.jpg: EXIF orientation 6: such pictures are turned");
        assert_non_null(told);
        assert_null(strstr(strstr(told, "EXIF") + 1, "EXIF")); /* said once */
        char *text = read_in(folder, "lines");
        double boxes[3][4];
        char *line = text;
        for (int i = 0; i < 3; i++, line = strchr(line, '\n') + 1) {
            cJSON *tree = cJSON_Parse(line);
            assert_non_null(tree);
            assert_int_equal(cJSON_GetObjectItem(tree, "width")->valueint, width);
            assert_int_equal(cJSON_GetObjectItem(tree, "height")->valueint, height);
            const cJSON *found = cJSON_GetObjectItem(tree, "detections");
            assert_true(cJSON_GetArraySize(found) > 0);
            const cJSON *box = cJSON_GetObjectItem(found->child, "box_px");
            for (int c = 0; c < 4; c++)
                boxes[i][c] = cJSON_GetArrayItem(box, c)->valuedouble;
            cJSON_Delete(tree);
        }
        free(text);
        for (int i = 1; i < 3; i++)
            for (int c = 0; c < 4; c++)
                assert_near(boxes[i][c], boxes[0][c], 4);
    }
    /* The annotated copy stands upright and says nothing else. */
    snprintf(path, sizeof path, "%s/seen/phone.jpg", folder);
    char *copy = test_read_bytes(path, &bytes);
    assert_int_equal(det_exif_orientation((uint8_t *)copy, bytes, NULL), 1);
    free(copy);
    assert_ok(&env, det_image_read(&env, path, &image));
    assert_true(image.width == width && image.height == height);
    det_image_free(&env, &image);
    /* Not asked for. */
    assert_int_equal(
        run_tool(out, sizeof out, "det-detect %s %s/in/phone.jpg --exif ignore", model, folder), 0);
    assert_null(strstr(out, "EXIF"));
    char size[60];
    snprintf(size, sizeof size, "\"width\":%d,\"height\":%d,", height, width);
    assert_contains(out, size);
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s x.jpg --exif auto", model), 2);
    assert_contains(out, "--exif: got \"auto\", expected apply or ignore");
    test_remove_tree(folder);
}

/* --- kinds and sizes --- */

static void every_kind_of_picture_is_read(void **state)
{
    (void)state;
    static const uint8_t colours[12] = {0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0};
    static const uint8_t pixels[36] = {255};
    const struct test_gif gif = {4, 3, 0, 0, 4, 3, 2, false, false, -1, colours};
    const struct test_bmp bmp = {40, 4, 3, 24, 0, NULL, 0, pixels, 36};
    struct test_bytes files[2] = {test_make_bmp(&bmp), test_make_gif(&gif)};
    char folder[256];
    test_make_directory(folder, "picture-kinds");
    write_file(folder, "in/a.bmp", files[0].data, files[0].count);
    write_file(folder, "in/b.GIF", files[1].data, files[1].count);
    write_file(folder, "in/c.txt", "hello", 5);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s/in --json %s/lines --output %s/seen", model, folder,
                              folder, folder),
                     0);
    char *text = read_in(folder, "lines");
    assert_contains(text, "a.bmp\",\"width\":4,\"height\":3,");
    assert_contains(text, "b.GIF\",\"width\":4,\"height\":3,");
    free(text);
    assert_true(is_there(folder, "seen/a.png") && is_there(folder, "seen/b.png"));
    free(files[0].data);
    free(files[1].data);
    run_tool(out, sizeof out, "det-info");
    assert_contains(out, "pictures: JPEG PNG BMP GIF");
    test_remove_tree(folder);
}

static void large_pictures_are_refused(void **state)
{
    (void)state;
    char folder[256];
    test_make_directory(folder, "large");
    write_jpeg(folder, "a.jpg", 40, 30, 1);
    assert_int_equal(
        run_tool(out, sizeof out, "det-detect %s %s/a.jpg --max_image_pixels 1199", model, folder),
        1);
    assert_contains(out,
                    "a.jpg: JPEG of 40 x 30 pixels is too large: max_image_pixels allows 1199");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s/a.jpg --max_image_pixels 1200 --max_jpeg_scans 1",
                              model, folder),
                     0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(shell("truncate -s %d %s/zeros", i == 0 ? 200000 : 2000000, folder), 0);
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-detect %s - --max_image_pixels 1 < %s/zeros", model, folder),
                         1);
        assert_contains(out, i == 0 ? "standard input: not a JPEG"
                                    : "bytes are no picture that max_image_pixels allows");
    }
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s x.jpg --max_image_pixels -1", model),
                     2);
    assert_contains(out, "--max_image_pixels: got -1, expected 1 to 715827882");
    test_remove_tree(folder);
}

/* --- names --- */

static void same_names_are_numbered_alike(void **state)
{
    (void)state;
    static const struct {
        const char *file, *called, *text; /* in the order of the arguments */
    } inputs[] = {
        {"a/x.jpg", "x.jpg", "x.txt"},
        {"a/x_2.jpg", "x_2.jpg", "x_2.txt"},
        {"a/classes.jpg", "classes_2.jpg", "classes_2.txt"},
        {"b/x.jpg", "x_3.jpg", "x_3.txt"},
        {"b/x.jpeg", "x_4.jpeg", "x_4.txt"},
        {"b/x.y.jpg", "x.y.jpg", "x.y.txt"},
    };
    enum { INPUTS = sizeof inputs / sizeof inputs[0] };
    char folder[256], arguments[2000] = "", part[300];
    test_make_directory(folder, "names");
    for (int i = 0; i < INPUTS; i++) {
        write_jpeg(folder, inputs[i].file, 30 + i, 20, 1);
        snprintf(part, sizeof part, " %s/%s", folder, inputs[i].file);
        strcat(arguments, part);
    }
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-detect %s%s --threshold 0 --yolo %s/yolo --coco %s/coco.json --cvat "
                 "%s/cvat.xml --output %s/seen",
                 model, arguments, folder, folder, folder, folder),
        0);
    const char *told = strstr(out, "3 inputs are called otherwise in the outputs");
    assert_non_null(told);
    assert_null(strstr(strstr(told, "otherwise") + 1, "otherwise"));
    assert_contains(told, "a/classes.jpg is called classes_2.jpg");
    assert_contains(told, "b/x.jpg is called x_3.jpg");
    /* Where nothing is called by a name, nothing is called otherwise. */
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s%s", model, arguments), 0);
    assert_null(strstr(out, "otherwise"));
    char *coco = read_in(folder, "coco.json"), *cvat = read_in(folder, "cvat.xml");
    for (int i = 0; i < INPUTS; i++) {
        snprintf(part, sizeof part, "seen/%s", inputs[i].called);
        assert_true(is_there(folder, part));
        snprintf(part, sizeof part, "yolo/%s", inputs[i].text);
        assert_true(is_there(folder, part));
        snprintf(part, sizeof part, "\"width\": %d, \"height\": 20, \"file_name\": \"%s\"", 30 + i,
                 inputs[i].called);
        assert_contains(coco, part);
        snprintf(part, sizeof part, "name=\"%s\"", inputs[i].called);
        const char *first = strstr(cvat, part);
        assert_non_null(first);
        assert_null(strstr(first + 1, part));
    }
    /* Where the picture is, for those that are called otherwise. */
    assert_contains(coco, "\"file_name\": \"x_3.jpg\", \"path\": \"");
    assert_contains(coco, "b/x.jpg\"}");
    assert_contains(coco, "\"file_name\": \"x_2.jpg\"}");
    free(coco);
    free(cvat);
    char *classes = read_in(folder, "yolo/classes.txt");
    assert_string_equal(classes, "car\ntruck\nbus\n");
    free(classes);
    snprintf(part, sizeof part, "%s/yolo", folder);
    assert_int_equal((int)number_of("ls %s | wc -l", part), INPUTS + 1);
    /* Where nothing is called by them, nothing is said. */
    assert_int_equal(
        run_tool(out, sizeof out, "det-detect %s%s --json %s/lines", model, arguments, folder), 0);
    assert_null(strstr(out, "called otherwise"));
    test_remove_tree(folder);
}

/* Two videos of a name, and a picture that is called as a frame of the first. */
static void same_names_of_videos_are_numbered(void **state)
{
    (void)state;
    char folder[256];
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "video-names");
    assert_int_equal(
        shell("cd %s && mkdir a b && ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25 "
              "-frames:v 2 "
              "-c:v libx264 a/v.1.mp4 && cp a/v.1.mp4 b/v.1.mkv && cp a/v.1.mp4 b/v.2.mp4",
              folder),
        0);
    write_jpeg(folder, "v.1_frame_000000.jpg", 30, 20, 1);
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-detect %s %s/a %s/b %s/v.1_frame_000000.jpg --yolo %s/yolo --output "
                 "%s/seen",
                 model, folder, folder, folder, folder, folder),
        0);
    static const char *const wanted[] = {
        "seen/v.1.mp4",
        "seen/v.1_2.mp4",
        "seen/v.2.mp4",
        "seen/v.1_frame_000000_2.jpg",
        "yolo/v.1_frame_000000.txt",
        "yolo/v.1_frame_000001.txt",
        "yolo/v.1_2_frame_000000.txt",
        "yolo/v.2_frame_000001.txt",
        "yolo/v.1_frame_000000_2.txt",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!is_there(folder, wanted[i]))
            fail_msg("%s is missing:\n%s", wanted[i], out);
    assert_contains(out, "b/v.1.mkv is called v.1_2.mkv");
    test_remove_tree(folder);
}

/* --- classes --- */

/* The class of the first detection of a file with one line, and how many there are. */
static int first_class(const char *folder, int *count)
{
    char *text = read_in(folder, "line");
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    const cJSON *found = cJSON_GetObjectItem(tree, "detections");
    *count = cJSON_GetArraySize(found);
    const int id = *count > 0 ? cJSON_GetObjectItem(found->child, "class_id")->valueint : 0;
    cJSON_Delete(tree);
    free(text);
    return id;
}

/* --max counts what was asked for: surer objects of other classes take no place. */
static void chosen_classes_are_all_that_counts(void **state)
{
    (void)state;
    char folder[256], path[400];
    int count = 0;
    test_make_directory(folder, "chosen");
    assert_int_equal(run_tool(out, sizeof out, "det-demo-data %s/demo --train 1 --test 1", folder),
                     0);
    snprintf(path, sizeof path, "%s/demo/images/test/test_00000.jpg", folder);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s --threshold 0 --max 1 --json %s/line", model, path,
                              folder),
                     0);
    const int surest = first_class(folder, &count), other = surest % 3 + 1;
    assert_int_equal(count, 1);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s --threshold 0 --max 1 --json %s/line --classes %d",
                              model, path, folder, other),
                     0);
    assert_int_equal(first_class(folder, &count), other);
    assert_int_equal(count, 1);
    assert_int_not_equal(run_tool(out, sizeof out, "det-detect %s %s --classes ''", model, path),
                         0);
    assert_contains(out, "--classes: names no class");
    test_remove_tree(folder);
}

/* --- lines, zones and their legend --- */

static const uint8_t *pixel_at(const struct det_image *image, double x, double y)
{
    return image->rgb +
           3 * ((size_t)(y * image->height) * (size_t)image->width + (size_t)(x * image->width));
}

static void assert_colour(const uint8_t *pixel, det_rgb colour, int tolerance)
{
    if (abs(pixel[0] - colour.r) > tolerance || abs(pixel[1] - colour.g) > tolerance ||
        abs(pixel[2] - colour.b) > tolerance)
        fail_msg("%d %d %d, expected %d %d %d", pixel[0], pixel[1], pixel[2], colour.r, colour.g,
                 colour.b);
}

/* Each line and zone has a colour that is no class's, and a plate of that colour in the corner, one
 * below the other. */
static void places_have_a_legend(void **state)
{
    (void)state;
    char folder[256], path[400];
    struct det_env env;
    struct det_image image = {0};
    test_make_directory(folder, "legend");
    det_env_default(&env);
    assert_ok(&env, det_image_resize_buffer(&env, &image, 400, 300));
    memset(image.rgb, 128, (size_t)400 * 300 * 3);
    snprintf(path, sizeof path, "%s/in", folder);
    assert_ok(&env, det_make_directories(&env, path));
    snprintf(path, sizeof path, "%s/in/grey.png", folder);
    assert_ok(&env, det_image_write(&env, path, &image));
    det_image_free(&env, &image);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s/in --threshold 0.99 --count_line 0,0.6,1,0.6 "
                              "--count_line 0.6,0,0.6,1 --count_zone 0.7,0.1,0.9,0.3 --output "
                              "%s/out",
                              model, folder, folder),
                     0);
    snprintf(path, sizeof path, "%s/out/grey.png", folder);
    assert_ok(&env, det_image_read(&env, path, &image));
    /* The model has three classes. Strokes and plates let a part of the grey through. */
    enum { THROUGH = 40 };
    assert_colour(pixel_at(&image, .3, .6), det_class_color(4), THROUGH);
    assert_colour(pixel_at(&image, .6, .8), det_class_color(5), THROUGH);
    assert_colour(pixel_at(&image, .8, .3), det_class_color(6), THROUGH);
    const float line = 16; /* letters of 13 pixels on a plate */
    for (int i = 0; i < 3; i++)
        assert_colour(image.rgb + 3 * ((size_t)(line * ((float)i + .5F)) * 400 + 2),
                      det_class_color(4 + i), THROUGH);
    det_image_free(&env, &image);
    test_remove_tree(folder);
}

int test_detect_pictures(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lying_pictures_are_turned),
        cmocka_unit_test(every_kind_of_picture_is_read),
        cmocka_unit_test(large_pictures_are_refused),
        cmocka_unit_test(same_names_are_numbered_alike),
        cmocka_unit_test(same_names_of_videos_are_numbered),
        cmocka_unit_test(chosen_classes_are_all_that_counts),
        cmocka_unit_test(places_have_a_legend),
    };
    return cmocka_run_group_tests_name("detect_pictures", tests, NULL, NULL);
}
