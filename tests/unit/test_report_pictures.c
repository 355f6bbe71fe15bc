/* The pictures of a detection report: the curve goes through all of its points, the confusion
 * matrix is readable from one class to ninety and says its thresholds. */
#include <math.h>

#include "det/det.h"
#include "support/parsed.h"
#include "support/utf8.h"
#include "support/workspace.h"

struct fixture {
    struct test_env t;
    det_context *context;
    det_coco_evaluator *evaluator;
    det_detection_report *report;
    char folder[256];
};

static void open_fixture(struct fixture *f, const char *const *names, int classes)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    test_make_directory(f->folder, "report_pictures");
    f->context = workspace_context(&f->t, 1);
    assert_context_ok(f->context, det_coco_evaluator_create(f->context, NULL, &f->evaluator));
    for (int k = 0; k < classes; k++)
        assert_context_ok(f->context,
                          det_coco_evaluator_add_category(f->evaluator, k + 1, names[k]));
}

static void make_report(struct fixture *f, const det_detection_report_settings *settings)
{
    assert_context_ok(f->context,
                      det_detection_report_create(f->context, f->evaluator, settings, &f->report));
    assert_context_ok(f->context, det_detection_report_write(f->report, f->folder));
}

static char *read_picture(const struct fixture *f, const char *name)
{
    char path[400], *values = NULL;
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    char *svg = test_read_text(path);
    parsed_xml(svg, name, &values);
    free(values);
    return svg;
}

static void close_fixture(struct fixture *f)
{
    det_detection_report_destroy(&f->report);
    det_coco_evaluator_destroy(&f->evaluator);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

/* An image with an object of `class`, found as `as` (0: not at all) with that score. */
static void add_image(const struct fixture *f, int64_t image, int class, int as, double score)
{
    const double box[4] = {10, 10, 20, 20};
    assert_context_ok(f->context, det_coco_evaluator_add_image(f->evaluator, image));
    if (class > 0) {
        const det_coco_object object = {.struct_size = sizeof object,
                                        .image_id = image,
                                        .category_id = class,
                                        .box_px = {10, 10, 20, 20},
                                        .area_px2 = 400};
        assert_context_ok(f->context, det_coco_evaluator_add_object(f->evaluator, &object));
    }
    if (as > 0)
        assert_context_ok(f->context,
                          det_coco_evaluator_add_detection(f->evaluator, image, as, box, score));
}

/* --- the curve --- */

enum { PLOT_X = 60, PLOT_Y = 20, PLOT_SIDE = 480, MOST_PLACES = 20000 };

struct polyline {
    double x[MOST_PLACES], y[MOST_PLACES];
    size_t count;
};

static void read_polyline(const char *svg, struct polyline *line)
{
    const char *at = strstr(svg, "points=\"");
    assert_non_null(at);
    at += strlen("points=\"");
    for (line->count = 0; *at != '"'; line->count++) {
        char *end = NULL;
        assert_true(line->count < MOST_PLACES);
        line->x[line->count] = strtod(at, &end);
        assert_int_equal(*end, ',');
        line->y[line->count] = strtod(end + 1, &end);
        at = end + 1;
    }
}

static double distance_to_segment(double x, double y, double x0, double y0, double x1, double y1)
{
    const double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
    double t = length > 0 ? ((x - x0) * dx + (y - y0) * dy) / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - x0 - t * dx, y - y0 - t * dy);
}

/* A place is rounded to a tenth: .05 each way. */
#define ROUNDING 0.0708

/* Every point of the curve lies on the line, and the line turns nowhere else. */
static void assert_same_curve(const struct polyline *line, const det_class_report *class)
{
    const size_t n = class->point_count;
    for (size_t i = 0; i < n; i++) {
        const double x = PLOT_X + PLOT_SIDE * class->points[i].recall;
        const double y = PLOT_Y + PLOT_SIDE * (1 - class->points[i].precision);
        double nearest = line->count == 1 ? hypot(x - line->x[0], y - line->y[0]) : INFINITY;
        for (size_t k = 1; k < line->count && nearest > ROUNDING; k++)
            nearest = fmin(nearest, distance_to_segment(x, y, line->x[k - 1], line->y[k - 1],
                                                        line->x[k], line->y[k]));
        if (!(nearest <= ROUNDING))
            fail_msg("point %zu of %zu is %g from the line", i, n, nearest);
    }
    for (size_t k = 0; k < line->count; k++) {
        double nearest = INFINITY;
        for (size_t i = 0; i < n && nearest > ROUNDING; i++)
            nearest = fmin(
                nearest, hypot(line->x[k] - PLOT_X - PLOT_SIDE * class->points[i].recall,
                               line->y[k] - PLOT_Y - PLOT_SIDE * (1 - class->points[i].precision)));
        assert_true(nearest <= ROUNDING);
    }
}

static void the_line_goes_through_every_point(void **state)
{
    (void)state;
    static const char *const names[] = {"cat"};
    /* Images, of a hundred how many are hit, and the most places that the picture may need. */
    static const struct {
        int images, hits;
        size_t places;
    } cases[] = {{1, 100, 1},    {7, 50, 7},       {401, 50, 401},
                 {3000, 100, 2}, {3000, 10, 1300}, {9000, 60, 9000}};
    struct polyline *line = malloc(sizeof *line);
    assert_non_null(line);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct fixture f;
        uint32_t random = 12345;
        open_fixture(&f, names, 1);
        for (int i = 0; i < cases[c].images; i++) {
            random = random * 1664525 + 1013904223;
            const bool hit = (int)((random >> 8) % 100) < cases[c].hits;
            /* Each score is another one. */
            add_image(&f, i + 1, hit ? 1 : 0, 1, 1 - (i + 1) / 10000.0);
        }
        make_report(&f, NULL);
        char *svg = read_picture(&f, "pr_curves.svg");
        const det_class_report *class = det_detection_report_class(f.report, 0);
        assert_int_equal(class->point_count, cases[c].images);
        read_polyline(svg, line);
        assert_same_curve(line, class);
        if (line->count > cases[c].places)
            fail_msg("%zu places for %d images", line->count, cases[c].images);
        free(svg);
        close_fixture(&f);
    }
    free(line);
}

/* --- the matrix --- */

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        count++;
    return count;
}

static void a_matrix_of_two(void **state)
{
    (void)state;
    static const char *const names[] = {"car", "truck & trailer"};
    struct fixture f;
    const char *text = NULL;
    det_detection_report_settings settings;
    det_detection_report_settings_default(&settings);
    settings.iou_threshold = .6;
    settings.confusion_score = .25;
    open_fixture(&f, names, 2);
    int64_t image = 1;
    for (int i = 0; i < 7; i++)
        add_image(&f, image++, 1, 1, .9);
    for (int i = 0; i < 3; i++)
        add_image(&f, image++, 1, 2, .8);
    add_image(&f, image++, 1, 1, .2); /* below the score: missed */
    for (int i = 0; i < 4; i++)
        add_image(&f, image++, 0, 1, .7);
    make_report(&f, &settings);
    assert_context_ok(f.context, det_detection_report_confusion_table(f.report, &text));
    assert_string_equal(
        text,
        "Confusion at IoU 0.60, scores from 0.25 on; rows: what is there, columns: detected as\n"
        "                     1 2 (missed)\n"
        "   1 car             7 3        1\n"
        "   2 truck & trailer 0 0        0\n"
        "     (nothing there) 4 0\n"
        "11 objects: 7 right, 3 taken for another class, 1 missed; 4 detections where nothing "
        "is\n");
    char *svg = read_picture(&f, "confusion.svg");
    assert_contains(svg, "Confusion at IoU 0.60, detections with a score of at least 0.25");
    assert_contains(svg, ">7</text><title>car \342\206\222 car: 7 of 11 (63.6 %)</title>");
    assert_contains(svg, ">3</text><title>car \342\206\222 truck &amp; trailer: 3 of 11 (27.3 %)");
    assert_contains(svg, "<title>car \342\206\222 (missed): 1 of 11 (9.1 %)</title>");
    assert_contains(svg, "<title>(nothing there) \342\206\222 car: 4 of 4 (100.0 %)</title>");
    assert_int_equal(occurrences(svg, "<title>none</title>"), 1); /* no truck */
    free(svg);
    close_fixture(&f);
}

static const struct {
    const char *name, *shown;
} odd_names[] = {
    {"\344\272\244\351\200\232\344\277\241\345\217\267\347\201\257\344\272\244\351\200\232\344\277"
     "\241\345\217\267\347\201\257\344\272\244\351\200\232",
     /* ten of twelve, each as wide as two */
     ">\344\272\244\351\200\232\344\277\241\345\217\267\347\201\257\344\272\244\351\200\232\344\277"
     "\241\345\217\267\347\201\257\342\200\246<title>"},
    {"a name that is far too long for the picture", ">a name that is far to\342\200\246<title>"},
    {"twenty-two letters wide", ">twenty-two letters wi\342\200\246<title>"},
    {"exactly twenty-two let", ">exactly twenty-two let</text>"},
    {"turned \342\200\256around", ">turned \\u202earound</text>"},
    {"\377bytes", ">\\xffbytes</text>"},
};

enum { MANY = 90, ODD = sizeof odd_names / sizeof odd_names[0] };

static void a_matrix_of_ninety(void **state)
{
    (void)state;
    struct fixture f;
    const char *names[MANY], *text = NULL;
    char plain[MANY][24];
    for (int k = 0; k < MANY; k++) {
        snprintf(plain[k], sizeof plain[k], "class %d", k + 1);
        names[k] = k < ODD ? odd_names[k].name : plain[k];
    }
    open_fixture(&f, names, MANY);
    int64_t image = 1;
    for (int k = 0; k < MANY; k++)
        for (int i = 0; i < 3 && k % 3 != 0; i++) /* a third of them has no object */
            add_image(&f, image++, k + 1, i == 2 && k > 60 ? (k + 9) % MANY + 1 : k + 1, .9);
    for (int i = 0; i < 41; i++)
        add_image(&f, image++, 2, 3, .9);
    make_report(&f, NULL);
    char *svg = read_picture(&f, "confusion.svg");
    for (int k = 0; k < ODD; k++)
        assert_int_equal(occurrences(svg, odd_names[k].shown), 2); /* row and column */
    assert_int_equal(occurrences(svg, "<title>none</title>"), MANY / 3 + 1);
    /* A count of two digits still stands in its cell, in letters that can be read. */
    assert_contains(svg, "font-size=\"7\" fill=\"white\">41</text>");
    assert_true(strlen(svg) < 120000);
    free(svg);
    assert_context_ok(f.context, det_detection_report_confusion_table(f.report, &text));
    assert_contains(text, "\nThe most frequent of 90 classes, all are in confusion.csv:\n");
    assert_int_equal(occurrences(text, "\n"), 2 + 1 + 15 + 1);
    assert_contains(text, "a name that is far too l twenty-two letters wide");
    const char *first = strstr(text, "      41\n"), *second = strstr(text, "       1\n");
    assert_true(first != NULL && second != NULL && first < second);
    close_fixture(&f);
}

/* Counts of any size are in the cell whole or not at all; no class and a class without a name. */
static void matrices_of_any_size(void **state)
{
    (void)state;
    static const char *const nameless[] = {""};
    struct fixture f;
    const char *text = NULL;
    open_fixture(&f, nameless, 0);
    make_report(&f, NULL);
    free(read_picture(&f, "confusion.svg"));
    free(read_picture(&f, "pr_curves.svg"));
    assert_context_ok(f.context, det_detection_report_confusion_table(f.report, &text));
    assert_contains(text, "\n0 objects: 0 right");
    close_fixture(&f);
    open_fixture(&f, nameless, 1);
    add_image(&f, 1, 1, 1, .9);
    make_report(&f, NULL);
    char *svg = read_picture(&f, "confusion.svg");
    assert_contains(svg, "<title>1 \342\206\222 1: 1 of 1 (100.0 %)</title>");
    free(svg);
    close_fixture(&f);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    static const char *const names[] = {"car", "bus"};
    struct fixture f;
    const char *text = NULL;
    open_fixture(&f, names, 2);
    for (int i = 1; i < 30; i++)
        add_image(&f, i, i % 3, 1 + i % 2, .5 + i / 100.0);
    make_report(&f, NULL);
    bool done = false;
    for (long n = 1; !done; n++) {
        test_env_fail_at(&f.t, n);
        det_status status = det_detection_report_write(f.report, f.folder);
        if (status == DET_OK)
            status = det_detection_report_confusion_table(f.report, &text);
        test_env_fail_at(&f.t, 0);
        done = status == DET_OK;
        if (!done)
            assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
    }
    close_fixture(&f);
}

int test_report_pictures(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_goes_through_every_point),
        cmocka_unit_test(a_matrix_of_two),
        cmocka_unit_test(a_matrix_of_ninety),
        cmocka_unit_test(matrices_of_any_size),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests_name("report_pictures", tests, NULL, NULL);
}
