/* det_annotation_set_write_report() and det-data report: a page of any set, whatever its names. */
#include <stdlib.h>

#include "support/run_tool.h"
#include "support/workspace.h"

static char out[100000];

static size_t occurrences(const char *text, const char *of)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, of)) != NULL; at++)
        count++;
    return count;
}

static char *page_of(const char *directory)
{
    char path[400];
    snprintf(path, sizeof path, "%s/report.html", directory);
    return test_read_text(path);
}

static void a_page_has_all_parts(void **state)
{
    (void)state;
    static const char *const parts[] = {"<h2>Splits</h2>",
                                        "<h2>Classes</h2>",
                                        "<h3>Sizes</h3>",
                                        "<h3>Shapes</h3>",
                                        "<h3>Places</h3>",
                                        "<h2>Anchors</h2>",
                                        "<h2>Leaks</h2>",
                                        "<h2>Pictures&#39; sizes",
                                        "<h2>Odd things</h2>",
                                        "<h2>Samples</h2>",
                                        "split-leak",
                                        "width=device-width",
                                        "<b>20</b><span>pictures</span>"};
    struct workspace w;
    workspace_make(&w, "report");
    if (run_tool(out, sizeof out,
                 "det-data report train=%s/train.tfrecord test=%s/test.tfrecord --count 4 --output "
                 "%s/report.html",
                 w.directory, w.directory, w.directory) != 0)
        fail_msg("%s", out);
    char *page = page_of(w.directory);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(page, parts[i]) == NULL && strchr(parts[i], '&') == NULL)
            fail_msg("no `%s` in the page", parts[i]);
    /* Both splits have the same ten pictures. */
    assert_contains(page, "10 pictures that stand in two splits");
    assert_true(occurrences(page, "<div class=\"pair\">") == 8);
    /* Nothing comes from elsewhere. */
    assert_null(strstr(page, "http"));
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "url("));
    free(page);
    assert_int_equal(run_tool(out, sizeof out, "det-data report %s/train.tfrecord", w.directory),
                     2);
    workspace_remove(&w);
}

/* Names are data: none becomes markup, none is lost. */
static void names_are_escaped(void **state)
{
    (void)state;
    struct test_env t;
    char directory[256], path[400], longest[301];
    const char *names[] = {"<script>alert(1)</script>", "\" onload=\"x", longest, "a&b"};
    memset(longest, 'w', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    test_make_directory(directory, "report_names");
    test_env_init(&t);
    det_context *c = workspace_context(&t, 1);
    det_annotation_set *set = NULL;
    uint8_t pixels[32 * 32 * 3] = {0};
    const det_image_view view = {.pixels = pixels, .width = 32, .height = 32};
    det_picture *picture = NULL;
    const uint8_t *data = NULL;
    det_annotation_image image = {.struct_size = sizeof image, .name = "<img src=x>.png"};
    size_t position = 0;
    assert_context_ok(c, det_picture_from_pixels(c, &view, &picture));
    assert_context_ok(c, det_picture_encode(picture, DET_PICTURE_PNG, 0, &data, &image.bytes));
    image.data = data;
    assert_context_ok(c, det_annotation_set_create(c, NULL, &set));
    assert_context_ok(c, det_annotation_set_add_image(set, &image, &position));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        det_annotation_object object;
        det_annotation_object_default(&object);
        object.class_name = names[i];
        object.box[2] = object.box[3] = .01 + .3 * (double)i;
        assert_context_ok(c, det_annotation_set_add_object(set, position, &object));
    }
    assert_context_ok(c, det_annotation_set_resolve(set));
    snprintf(path, sizeof path, "%s/report.html", directory);
    assert_context_ok(c, det_annotation_set_write_report(set, path, NULL));
    char *page = page_of(directory);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "\" onload"));
    assert_null(strstr(page, "<img src=x"));
    assert_contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
    assert_contains(page, longest);
    assert_contains(page, "a&amp;b");
    free(page);
    det_annotation_report_settings settings;
    det_annotation_report_settings_default(&settings);
    settings.samples = -1;
    assert_context_fails(c, DET_STATUS_INVALID_ARGUMENT, "samples -1",
                         det_annotation_set_write_report(set, path, &settings));
    det_picture_destroy(&picture);
    det_annotation_set_destroy(&set);
    det_context_destroy(&c);
    test_env_check(&t);
    test_remove_tree(directory);
}

/* A set without pictures, and one in which each allocation fails. */
static void nothing_and_little_memory_are_fine(void **state)
{
    (void)state;
    struct workspace w;
    struct test_env t;
    char path[400], records[400];
    workspace_make(&w, "report_memory");
    test_env_init(&t);
    det_context *c = workspace_context(&t, 1);
    det_annotation_set *set = NULL;
    snprintf(path, sizeof path, "%s/report.html", w.directory);
    snprintf(records, sizeof records, "%s/train.tfrecord", w.directory);
    assert_context_ok(c, det_annotation_set_create(c, NULL, &set));
    assert_context_ok(c, det_annotation_set_resolve(set));
    assert_context_ok(c, det_annotation_set_write_report(set, path, NULL));
    char *page = page_of(w.directory);
    assert_contains(page, "<b>0</b><span>pictures</span>");
    free(page);
    assert_context_ok(c, det_annotation_set_read(set, NULL, records, NULL));
    assert_context_ok(c, det_annotation_set_resolve(set));
    det_annotation_report_settings settings;
    det_annotation_report_settings_default(&settings);
    settings.samples = 2;
    settings.input_px = 64;
    det_status status = DET_STATUS_OUT_OF_MEMORY;
    for (long n = 1; status == DET_STATUS_OUT_OF_MEMORY && n < 100000; n++) {
        test_env_fail_at(&t, n);
        status = det_annotation_set_write_report(set, path, &settings);
        test_env_fail_at(&t, 0);
    }
    assert_context_ok(c, status);
    det_annotation_set_destroy(&set);
    det_context_destroy(&c);
    test_env_check(&t);
    workspace_remove(&w);
}

int test_report(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_has_all_parts),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(nothing_and_little_memory_are_fine),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
