/* monitor/plot, monitor/chart: the page holds what the event files do, is well-formed, and asks for
 * nothing from outside. */
#include <math.h>

#include "base/context.h"
#include "monitor/chart.h"
#include "support/parsed.h"
#include "support/workspace.h"

static void assert_well_formed(const char *html)
{
    char *values = NULL;
    parsed_xml(html, "the page", &values);
    free(values);
}

struct fixture {
    struct test_env t;
    det_context *context;
    struct det_env *env;
    char folder[256], page[400];
};

static void open_fixture(struct fixture *f, const char *name)
{
    test_env_init(&f->t);
    f->context = workspace_context(&f->t, 1);
    f->env = det_context_env(f->context);
    test_make_directory(f->folder, name);
    snprintf(f->page, sizeof f->page, "%s/page.html", f->folder);
}

static void close_fixture(struct fixture *f)
{
    test_remove_tree(f->folder);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

static const uint8_t pixels[4 * 4 * 3] = {200, 10, 10, 10, 200, 10};

/* Both runs, a class whose name must be escaped, one that has no objects. */
static void write_runs(struct fixture *f)
{
    static const char awkward[] = "a<b>&\"c";
    char folder[400], tag[200];
    det_summary_writer *writer = NULL;
    float counts[101], precision[101], recall[101], none[101] = {0};
    const det_image_view picture = {.pixels = pixels, .width = 4, .height = 4};
    snprintf(folder, sizeof folder, "%s/train", f->folder);
    assert_ok(f->env, det_summary_writer_create(f->context, folder, &writer));
    for (int i = 0; i < 900; i++) {
        const double loss = i == 0 ? 7e6 : 4 * exp(-i / 300.0) + .2 * sin(i * 1.7);
        assert_ok(f->env, det_summary_scalar(writer, "Loss/total_loss", 10 * i, loss));
        assert_ok(f->env, det_summary_scalar(writer, "Loss/classification_loss", 10 * i, NAN));
        assert_ok(f->env, det_summary_scalar(writer, "learning_rate", 10 * i, 1e-4 * i));
    }
    assert_ok(f->env, det_summary_images(writer, "train_input_images", 5, &picture, 1));
    det_summary_writer_destroy(&writer);
    snprintf(folder, sizeof folder, "%s/eval", f->folder);
    assert_ok(f->env, det_summary_writer_create(f->context, folder, &writer));
    for (int i = 1; i <= 8; i++) {
        assert_ok(f->env, det_summary_scalar(writer, "DetectionBoxes_Precision/mAP", 1000 * i,
                                             i == 6 ? .6125 : .05 * i));
        assert_ok(f->env,
                  det_summary_scalar(writer, "DetectionBoxes_Precision/mAP (small)", 1000 * i, -1));
    }
    for (int t = 0; t < 101; t++) {
        counts[t] = (float)(101 - t);
        precision[t] = .5f + (float)t / 202;
        recall[t] = 1 - (float)t / 101;
    }
    const det_pr_curve curve = {sizeof curve, 101, counts, counts, none, precision, recall};
    snprintf(tag, sizeof tag, "PR@.50IOU/%s", awkward);
    assert_ok(f->env, det_summary_pr_curve(writer, tag, 8000, &curve));
    snprintf(tag, sizeof tag, "DetectionBoxes_PerformanceByCategory/mAP/%s", awkward);
    assert_ok(f->env, det_summary_scalar(writer, tag, 8000, .4567));
    assert_ok(f->env, det_summary_scalar(writer, "DetectionBoxes_PerformanceByCategory/mAP/empty",
                                         8000, -1));
    assert_ok(f->env, det_summary_images(writer, "eval_worst/0", 8000, &picture, 1));
    assert_ok(f->env, det_summary_images(writer, "eval_worst/1", 8000, &picture, 1));
    det_summary_writer_destroy(&writer);
}

static void a_page_of_everything(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "plot<1>");
    write_runs(&f);
    assert_context_ok(f.context, det_plot_write(f.context, f.folder, f.page));
    char *html = test_read_text(f.page);
    assert_well_formed(html);
    static const char *const parts[] = {"plot&lt;1&gt;",
                                        "<b>0.613</b><span>best AP, step 6000",
                                        "Total loss",
                                        "Learning rate",
                                        "Average precision",
                                        "Precision over recall at IoU .5, step 8000",
                                        "a&lt;b&gt;&amp;&quot;c",
                                        "<td class=\"bar\" style=\"--p:45.7%\">0.457</td>",
                                        "<td>empty</td>",
                                        "<td>n/a</td>",
                                        "Worst detections",
                                        "Training input",
                                        "data:image/jpeg;base64,/9j/",
                                        "AP: 0.6125 at 6000 step"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert_contains(html, parts[i]);
    static const char *const absent[] = {"<script",
                                         "http:",
                                         "https:",
                                         "url(",
                                         "@import",
                                         "nan",
                                         "inf",
                                         "a<b>",
                                         "Best detections",
                                         "by size of the object"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        if (strstr(html, absent[i]) != NULL)
            fail_msg("\"%s\" is in the page: %.80s", absent[i], strstr(html, absent[i]));
    /* The one high loss at the start does not set the scale. */
    assert_null(strstr(html, "M</text>"));
    free(html);
    close_fixture(&f);
}

/* The number of "12px" at `at`; -1: it is none. */
static int pixels_at(const char *at)
{
    char *end = NULL;
    const long value = strtol(at, &end, 10);
    return end != at && strncmp(end, "px", 2) == 0 ? (int)value : -1;
}

/* Nothing is wider than a phone's screen but what scrolls in its own box. That a browser shows it
 * so was looked at, at 390 and 1280 pixels; here is what it rests on. */
static void the_page_fits_a_narrow_screen(void **state)
{
    (void)state;
    enum { NARROW = 320 };
    struct fixture f;
    open_fixture(&f, "narrow");
    write_runs(&f);
    assert_context_ok(f.context, det_plot_write(f.context, f.folder, f.page));
    char *html = test_read_text(f.page);
    assert_contains(html,
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>");
    static const char *const rules[] = {"body{margin:0;",
                                        "overflow-wrap:anywhere",
                                        ".scroll{overflow-x:auto",
                                        "td:first-child{white-space:normal",
                                        "figure svg{display:block;width:100%;height:auto}",
                                        ".pictures img{display:block;width:100%;height:auto"};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        assert_contains(html, rules[i]);
    /* No width that a narrow screen lacks, unless it is a most one or gives way to the screen's. */
    char *style_end = strstr(html, "</style>");
    assert_non_null(style_end);
    *style_end = '\0';
    for (const char *at = html; (at = strstr(at, "width:")) != NULL; at += 6)
        assert_true((at >= html + 4 && strncmp(at - 4, "max-", 4) == 0) ||
                    pixels_at(at + 6) <= NARROW);
    for (const char *at = html; (at = strstr(at, "minmax(")) != NULL; at += 7)
        assert_true(pixels_at(at + 7) <= NARROW);
    *style_end = '<';
    /* Pictures of charts have no size of their own, tables stand in boxes that scroll. */
    for (const char *at = html; (at = strstr(at, "<svg ")) != NULL; at += 5)
        assert_true(strncmp(at, "<svg viewBox=", 13) == 0 || strncmp(at, "<svg x=", 7) == 0);
    for (const char *at = html; (at = strstr(at, "<table")) != NULL; at += 6)
        assert_memory_equal(at - 20, "<div class=\"scroll\">", 20);
    free(html);
    close_fixture(&f);
}

static void one_run_is_enough_and_none_is_told(void **state)
{
    (void)state;
    struct fixture f;
    char folder[400];
    det_summary_writer *writer = NULL;
    open_fixture(&f, "one");
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "no event files in train/ or eval/",
                         det_plot_write(f.context, f.folder, f.page));
    snprintf(folder, sizeof folder, "%s/eval", f.folder);
    assert_ok(f.env, det_summary_writer_create(f.context, folder, &writer));
    det_summary_writer_destroy(&writer);
    /* A file without any event yet. */
    assert_context_ok(f.context, det_plot_write(f.context, f.folder, f.page));
    char *html = test_read_text(f.page);
    assert_well_formed(html);
    free(html);
    close_fixture(&f);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "alloc");
    write_runs(&f);
    bool done = false;
    for (long n = 1; !done; n++) {
        const long live = test_env_live(&f.t);
        test_env_fail_at(&f.t, n);
        const det_status status = det_plot_write(f.context, f.folder, f.page);
        test_env_fail_at(&f.t, 0);
        done = status == DET_OK;
        if (!done)
            assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        assert_int_equal(test_env_live(&f.t), live);
    }
    close_fixture(&f);
}

static void numbers_of_a_chart(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},        {.25, "0.25"},       {1234, "1234"},  {12000, "12k"},
                 {2.5e6, "2.5M"}, {-34567, "-34.57k"}, {4e-5, "4e-05"}, {NAN, "-"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char buffer[32];
        assert_string_equal(det_chart_number(buffer, cases[i].value), cases[i].text);
    }
    /* Values that have no extent, or no value at all. */
    struct test_env t;
    struct det_text html = {0};
    struct det_xml_writer xml;
    test_env_init(&t);
    det_xml_begin(&xml, &t.env, &html);
    const double x[] = {1, 2, 3}, flat[] = {7, 7, 7}, none[] = {NAN, INFINITY, -INFINITY};
    struct det_chart_series series = {.name = "flat", .x = x, .y = flat, .count = 3};
    struct det_chart chart = {.title = "T", .x_name = "step", .series = &series, .series_count = 1};
    assert_ok(&t.env, det_chart_put(&xml, &chart));
    assert_contains(html.data, "<title>flat: 7 at 2 step</title>");
    det_text_free(&t.env, &html);
    series.y = none;
    assert_ok(&t.env, det_chart_put(&xml, &chart));
    assert_int_equal(html.length, 0);
    det_text_free(&t.env, &html);
    test_env_check(&t);
}

int test_plot(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_of_everything),
        cmocka_unit_test(the_page_fits_a_narrow_screen),
        cmocka_unit_test(one_run_is_enough_and_none_is_told),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(numbers_of_a_chart),
    };
    return cmocka_run_group_tests_name("plot", tests, NULL, NULL);
}
