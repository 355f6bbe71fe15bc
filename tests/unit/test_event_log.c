/* monitor: what a training and its evaluations leave in event files, read back by det/event_log.h
 * and, where it is installed, by TensorBoard's own reader. */
#include <math.h>

#include "base/context.h"
#include "data/image.h"
#include "eval/evaluation_pictures.h"
#include "formats/protowire.h"
#include "formats/tfrecord.h"
#include "support/io.h"
#include "support/workspace.h"

/* --- the reader --- */

struct fixture {
    struct test_env t;
    det_context *context;
    struct det_env *env;
    char folder[256];
};

static void open_fixture(struct fixture *f, const char *name)
{
    test_env_init(&f->t);
    f->context = workspace_context(&f->t, 1);
    f->env = det_context_env(f->context);
    test_make_directory(f->folder, name);
}

static void close_fixture(struct fixture *f)
{
    test_remove_tree(f->folder);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

static const uint8_t pixels[2 * 2 * 3] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const det_image_view picture = {.pixels = pixels, .width = 2, .height = 2};

static void write_log(struct fixture *f, int64_t first_step, int64_t last_step, double offset,
                      char path[600])
{
    det_summary_writer *writer = NULL;
    const float row[3] = {.25f, .5f, 1};
    const det_pr_curve curve = {sizeof curve, 3, row, row, row, row, row};
    const det_image_view pictures[2] = {picture, picture};
    assert_ok(f->env, det_summary_writer_create(f->context, f->folder, &writer));
    for (int64_t step = first_step; step <= last_step; step++)
        assert_ok(f->env, det_summary_scalar(writer, "loss", step, (double)step + offset));
    assert_ok(f->env, det_summary_images(writer, "a picture", first_step, pictures, 2));
    assert_ok(f->env, det_summary_text(writer, "text", first_step, "**words**"));
    assert_ok(f->env, det_summary_pr_curve(writer, "zcurve", first_step, &curve));
    snprintf(path, 600, "%s", det_summary_writer_path(writer));
    det_summary_writer_destroy(&writer);
}

static void it_reads_what_is_written(void **state)
{
    (void)state;
    struct fixture f;
    char path[600];
    det_event_log *log = NULL;
    const det_event *e = NULL;
    open_fixture(&f, "events");
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "no event file",
                         det_event_log_read(f.context, f.folder, &log));
    assert_null(log);
    write_log(&f, 1, 4, .5, path);
    write_log(&f, 3, 6, .25, path); /* a resumed run: its steps 3 and 4 count */
    assert_context_ok(f.context, det_event_log_read(f.context, f.folder, &log));
    assert_int_equal(det_event_log_count(log), 6 + 3 * 2);
    assert_int_equal(det_event_log_find(log, "loss", &e), 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(e[i].tag, "loss");
        assert_int_equal(e[i].kind, DET_EVENT_SCALAR);
        assert_int_equal(e[i].step, i + 1);
        assert_near(e[i].values[0], i + 1 + (i < 2 ? .5 : .25), 0);
        assert_true(e[i].wall_time > 1.6e9);
    }
    assert_int_equal(det_event_log_find(log, "a picture", &e), 2);
    assert_int_equal(e->kind, DET_EVENT_IMAGES);
    assert_int_equal(e->blob_count, 2);
    struct det_image image = {0};
    assert_ok(f.env, det_image_decode(f.env, "blob", e->blobs[1].data, e->blobs[1].bytes, &image));
    assert_memory_equal(image.rgb, pixels, sizeof pixels);
    det_image_free(f.env, &image);
    assert_int_equal(det_event_log_find(log, "text", &e), 2);
    assert_int_equal(e->kind, DET_EVENT_TEXT);
    assert_int_equal(e->blobs[0].bytes, 9);
    assert_memory_equal(e->blobs[0].data, "**words**", 9);
    assert_int_equal(det_event_log_find(log, "zcurve", &e), 2);
    assert_int_equal(e->kind, DET_EVENT_PR_CURVE);
    assert_int_equal(e->columns, 3);
    assert_near(e->values[0], .25, 0);
    assert_near(e->values[6], 0, 0);
    assert_near(e->values[17], 1, 0);
    assert_int_equal(det_event_log_find(log, "los", &e), 0);
    assert_null(e);
    assert_null(det_event_log_at(log, 12));
    det_event_log_destroy(&log);
    close_fixture(&f);
}

/* The other ways to write a scalar: TensorFlow 1's simple_value, and tensor_content. Unknown
 * plugins are passed over. */
static void it_reads_tensorflows_forms(void **state)
{
    (void)state;
    struct fixture f;
    struct det_text event = {0};
    struct det_writer writer;
    char path[600];
    size_t summary = 0, value = 0, tensor = 0, metadata = 0, plugin = 0;
    open_fixture(&f, "forms");
    snprintf(path, sizeof path, "%s/events.out.tfevents.1.x", f.folder);
    assert_ok(f.env, det_writer_open(f.env, path, &writer));
    for (int form = 0; form < 3; form++) {
        static const char *const tags[] = {"old", "content", "histogram"};
        const float number = 2.5f;
        event.length = 0;
        assert_ok(f.env, det_wire_begin(f.env, &event, 5, &summary));
        assert_ok(f.env, det_wire_begin(f.env, &event, 1, &value));
        assert_ok(f.env, det_wire_put_bytes(f.env, &event, 1, tags[form], strlen(tags[form])));
        if (form == 0) {
            assert_ok(f.env, det_wire_put_float(f.env, &event, 2, number));
        } else {
            assert_ok(f.env, det_wire_begin(f.env, &event, 8, &tensor));
            assert_ok(f.env, det_wire_put_varint(f.env, &event, 1, 1));
            assert_ok(f.env, det_wire_put_bytes(f.env, &event, 4, &number, sizeof number));
            assert_ok(f.env, det_wire_end(f.env, &event, tensor));
            assert_ok(f.env, det_wire_begin(f.env, &event, 9, &metadata));
            assert_ok(f.env, det_wire_begin(f.env, &event, 1, &plugin));
            const char *name = form == 1 ? "scalars" : "histograms";
            assert_ok(f.env, det_wire_put_bytes(f.env, &event, 1, name, strlen(name)));
            assert_ok(f.env, det_wire_end(f.env, &event, plugin));
            assert_ok(f.env, det_wire_end(f.env, &event, metadata));
        }
        assert_ok(f.env, det_wire_end(f.env, &event, value));
        assert_ok(f.env, det_wire_end(f.env, &event, summary));
        /* The step behind the summary. */
        assert_ok(f.env, det_wire_put_varint(f.env, &event, 2, 7));
        assert_ok(f.env, det_tfrecord_write(f.env, &writer, event.data, event.length));
    }
    assert_ok(f.env, det_writer_commit(f.env, &writer));
    det_text_free(f.env, &event);
    det_event_log *log = NULL;
    assert_context_ok(f.context, det_event_log_read(f.context, f.folder, &log));
    assert_int_equal(det_event_log_count(log), 2);
    for (size_t i = 0; i < 2; i++) {
        const det_event *e = det_event_log_at(log, i);
        assert_string_equal(e->tag, i == 0 ? "content" : "old");
        assert_int_equal(e->step, 7);
        assert_near(e->values[0], 2.5, 0);
    }
    det_event_log_destroy(&log);
    close_fixture(&f);
}

/* Without the syncing of support/io.h: many of them. */
static void put_file(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* Cut at each byte: the whole records before are there. Each byte changed: never more than the
 * whole, and no crash. */
static void torn_and_damaged_files(void **state)
{
    (void)state;
    struct fixture f;
    char path[600];
    open_fixture(&f, "torn");
    write_log(&f, 1, 2, 0, path);
    struct det_file_bytes contents;
    assert_ok(f.env, det_file_read(f.env, path, &contents));
    const size_t bytes = contents.bytes;
    uint8_t *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, contents.data, bytes);
    det_file_release(&contents);
    size_t before = 0;
    for (size_t cut = 0; cut <= bytes; cut++) {
        det_event_log *log = NULL;
        put_file(path, copy, cut);
        assert_context_ok(f.context, det_event_log_read(f.context, f.folder, &log));
        assert_true(det_event_log_count(log) >= before);
        before = det_event_log_count(log);
        det_event_log_destroy(&log);
    }
    assert_int_equal(before, 5);
    for (size_t at = 0; at < bytes; at++) {
        det_event_log *log = NULL;
        copy[at] ^= 0x5a;
        put_file(path, copy, bytes);
        copy[at] ^= 0x5a;
        assert_context_ok(f.context, det_event_log_read(f.context, f.folder, &log));
        assert_true(det_event_log_count(log) < 5 || at < 12 + 30 + 4);
        det_event_log_destroy(&log);
    }
    free(copy);
    close_fixture(&f);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct fixture f;
    char path[600];
    open_fixture(&f, "alloc");
    write_log(&f, 1, 3, 0, path);
    bool done = false;
    for (long n = 1; !done; n++) {
        det_event_log *log = NULL;
        const long live = test_env_live(&f.t);
        test_env_fail_at(&f.t, n);
        const det_status status = det_event_log_read(f.context, f.folder, &log);
        test_env_fail_at(&f.t, 0);
        done = status == DET_OK;
        if (!done)
            assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        det_event_log_destroy(&log);
        assert_int_equal(test_env_live(&f.t), live);
    }
    close_fixture(&f);
}

/* --- what a training leaves --- */

struct steps {
    det_step_report reports[13];
    double stats[13][DET_COCO_STAT_COUNT];
    int evaluations;
};

static int note(void *user, const det_step_report *report)
{
    struct steps *steps = user;
    steps->reports[report->step] = *report;
    if (report->evaluation != NULL) {
        steps->evaluations++;
        memcpy(steps->stats[report->step], det_evaluation_coco(report->evaluation)->stats,
               sizeof steps->stats[0]);
    }
    return 0;
}

static void train(const struct workspace *w, struct steps *steps)
{
    struct test_env t;
    det_trainer_settings settings;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 2);
    det_trainer_settings_default(&settings);
    settings.model_dir = w->model_dir;
    settings.eval_every_steps = 6;
    settings.summary_every_steps = 4;
    settings.picture_every_steps = 8;
    *steps = (struct steps){0};
    assert_context_ok(context, det_pipeline_config_load(context, w->config, &config));
    assert_context_ok(context, det_trainer_create(context, config, &settings, &trainer));
    assert_context_ok(context, det_trainer_run(trainer, note, steps));
    assert_int_equal(steps->evaluations, 2);
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    test_env_check(&t);
}

static const det_event *find(const det_event_log *log, const char *tag, size_t count)
{
    const det_event *first = NULL;
    const size_t found = det_event_log_find(log, tag, &first);
    if (found != count)
        fail_msg("%zu events of \"%s\", expected %zu", found, tag, count);
    return first;
}

/* Size of the first picture. */
static void assert_picture(struct det_env *env, const det_event *event, int32_t width,
                           int32_t height)
{
    struct det_image image = {0};
    assert_int_equal(event->kind, DET_EVENT_IMAGES);
    assert_ok(env, det_image_decode(env, event->tag, event->blobs[0].data, event->blobs[0].bytes,
                                    &image));
    assert_int_equal(image.width, width);
    assert_int_equal(image.height, height);
    det_image_free(env, &image);
}

static void check_train_log(struct det_env *env, const det_event_log *log,
                            const struct steps *steps)
{
    static const int64_t at[] = {1, 4, 8, 12};
    for (size_t i = 0; i < 4; i++) {
        const det_step_report *r = &steps->reports[at[i]];
        const struct {
            const char *tag;
            double value;
        } scalars[] = {
            {"Loss/classification_loss", r->classification_loss},
            {"Loss/localization_loss", r->localization_loss},
            {"Loss/regularization_loss", r->regularization_loss},
            {"Loss/total_loss", r->total_loss},
            {"learning_rate", r->learning_rate},
            {"gradient_norm", r->gradient_norm},
        };
        for (size_t s = 0; s < sizeof scalars / sizeof scalars[0]; s++) {
            const det_event *e = find(log, scalars[s].tag, 4);
            assert_int_equal(e[i].step, at[i]);
            assert_near(e[i].values[0], (float)scalars[s].value, 0);
        }
        assert_true(find(log, "steps_per_sec", 4)[i].values[0] > 0);
        const float wait = find(log, "data_wait_percent", 4)[i].values[0];
        assert_true(wait >= 0 && wait <= 100);
    }
    const det_event *e = find(log, "train_input_images", 2);
    assert_int_equal(e[0].step, 1);
    assert_int_equal(e[1].step, 8);
    assert_int_equal(e[0].blob_count, 3);
    assert_picture(env, e, 96, 96);
}

static void check_eval_log(struct det_env *env, const det_event_log *log, const struct steps *steps)
{
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++) {
        const det_event *e = find(log, det_coco_stat_name((det_coco_stat)i), 2);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(e[k].step, 6 * (k + 1));
            assert_near(e[k].values[0], (float)steps->stats[6 * (k + 1)][i], 0);
        }
    }
    assert_true(find(log, "Loss/total_loss", 2)->values[0] > 0);
    (void)find(log, "DetectionBoxes_PerformanceByCategory/mAP/cat", 2);
    (void)find(log, "DetectionBoxes_PerformanceByCategory/AR@100/dog", 2);
    /* Both classes have objects: the mean of their Pascal VOC figures is the set's. */
    const det_event *cat = find(log, "PascalBoxes_PerformanceByCategory/AP@0.5IOU/cat", 2),
                    *dog = find(log, "PascalBoxes_PerformanceByCategory/AP@0.5IOU/dog", 2),
                    *mean = find(log, "PascalBoxes_Precision/mAP@0.5IOU", 2);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(mean[k].step, 6 * (k + 1));
        assert_true(cat[k].values[0] >= 0 && cat[k].values[0] <= 1);
        assert_near(mean[k].values[0], (cat[k].values[0] + dog[k].values[0]) / 2, 1e-6);
    }
    const float objects =
        find(log, "DetectionBoxes_PerformanceByCategory/objects/cat", 2)->values[0] +
        find(log, "DetectionBoxes_PerformanceByCategory/objects/dog", 2)->values[0];
    assert_true(objects > 0);
    const det_event *curve = find(log, "PR@.50IOU/cat", 2);
    assert_int_equal(curve->columns, 101);
    const float *recall = curve->values + (size_t)5 * 101,
                *precision = curve->values + (size_t)4 * 101;
    for (int i = 0; i < 101; i++) {
        assert_true(precision[i] >= 0 && precision[i] <= 1 && recall[i] >= 0 && recall[i] <= 1);
        if (i > 0)
            assert_true(recall[i] <= recall[i - 1]);
        const float hits = curve->values[i], missed = curve->values[3 * 101 + i];
        /* Counts of what is there, not what COCO's rising precision would make of them. */
        const float alarms = curve->values[101 + i];
        assert_true(hits == floorf(hits) && alarms == floorf(alarms));
        assert_near(precision[i], hits + alarms > 0 ? hits / (hits + alarms) : 1, 1e-6);
        assert_near(recall[i], hits / (hits + missed), 1e-6);
        assert_near(hits + missed, curve->values[0] + curve->values[3 * 101], 1e-3);
    }
    assert_int_equal(find(log, "eval_side_by_side_0_0", 2)->step, 6);
    (void)find(log, "eval_side_by_side_9_0", 2);
    assert_int_equal(det_event_log_find(log, "eval_side_by_side_10_0", &curve), 0);
    (void)find(log, "eval_best/0", 2);
    (void)find(log, "eval_worst/5", 2);
    struct det_image image = {0};
    const det_event *e = find(log, "eval_best/0", 2);
    assert_ok(env, det_image_decode(env, e->tag, e->blobs[0].data, e->blobs[0].bytes, &image));
    assert_true(image.width > image.height);
    det_image_free(env, &image);
}

/* What TensorBoard's reader finds, against ours: 0 when it is not installed. */
static size_t compare_with_tensorboard(const det_event_log *log, const char *folder)
{
    char command[1024], line[20000];
    size_t compared = 0;
    snprintf(command, sizeof command,
             "for f in '%s'/events.out.tfevents.*; do python3 tests/parity/read_events.py \"$f\" "
             "2>/dev/null; done",
             folder);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    while (fgets(line, sizeof line, output) != NULL) {
        char tag[200], plugin[40], shape[40];
        long long step = 0;
        int used = 0;
        /* A tag may hold a space: the step is the last word that is a number before the plugin. */
        char *at = strstr(line, " scalars ");
        if (at == NULL)
            at = strstr(line, " pr_curves ");
        if (at == NULL)
            continue;
        while (at > line && at[-1] != ' ')
            at--;
        snprintf(tag, sizeof tag, "%.*s", (int)(at - 1 - line), line);
        assert_int_equal(sscanf(at, "%lld %39s %39s %n", &step, plugin, shape, &used), 3);
        const det_event *e = NULL;
        const size_t count = det_event_log_find(log, tag, &e);
        size_t i = 0;
        while (i < count && e[i].step != step)
            i++;
        if (i == count)
            fail_msg("TensorBoard reads \"%s\" at step %lld, we do not", tag, step);
        const char *number = at + used;
        const size_t values = e[i].kind == DET_EVENT_SCALAR ? 1 : (size_t)e[i].columns * 6;
        for (size_t v = 0; v < values; v++) {
            char *end = NULL;
            assert_near(strtod(number, &end), e[i].values[v],
                        1e-7 * (1 + fabs((double)e[i].values[v])));
            assert_true(end != number);
            number = end;
        }
        compared++;
    }
    pclose(output);
    return compared;
}

static void a_training_tells_everything(void **state)
{
    (void)state;
    struct workspace w;
    struct steps steps;
    struct test_env t;
    char folder[400];
    size_t compared = 0, expected = 0;
    workspace_make(&w, "tells");
    train(&w, &steps);
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    for (int run = 0; run < 2; run++) {
        det_event_log *log = NULL;
        snprintf(folder, sizeof folder, "%s/%s", w.model_dir, run == 0 ? "train" : "eval_exported");
        assert_context_ok(context, det_event_log_read(context, folder, &log));
        if (run == 0)
            check_train_log(det_context_env(context), log, &steps);
        else
            check_eval_log(det_context_env(context), log, &steps);
        compared += compare_with_tensorboard(log, folder);
        for (size_t i = 0; i < det_event_log_count(log); i++)
            expected += det_event_log_at(log, i)->values != NULL;
        det_event_log_destroy(&log);
    }
    if (compared == 0)
        print_message("not compared: the Python package tensorboard is not installed\n");
    else
        assert_int_equal(compared, expected);
    det_context_destroy(&context);
    test_env_check(&t);
    workspace_remove(&w);
}

static void quality_of_an_image(void **state)
{
    (void)state;
    float objects[2][4] = {{.1f, .1f, .4f, .4f}, {.5f, .5f, .9f, .9f}};
    int32_t object_class[2] = {0, 1};
    float boxes[4][4] = {
        {.1f, .1f, .4f, .4f}, {.1f, .1f, .4f, .4f}, {.5f, .5f, .9f, .9f}, {0, 0, .05f, .05f}};
    int32_t found_class[4] = {0, 0, 0, 1};
    float score[4] = {.75f, .5f, .25f, .1f};
    bool used[2];
    struct det_ground_truth truth = {.count = 2, .boxes = objects, .class_index = object_class};
    struct det_detections found = {
        .count = 4, .boxes = boxes, .class_index = found_class, .score = score};
    /* One hit; a double, one of the wrong class and one of nothing. */
    assert_near(det_evaluation_quality(&truth, &found, used), .75 / (2 + .25 + .0625 + .01), 1e-6);
    found_class[2] = 1;
    assert_near(det_evaluation_quality(&truth, &found, used), 1 / (2 + .25 + .01), 1e-6);
    truth.count = 0;
    assert_near(det_evaluation_quality(&truth, &found, used), 1 - .5625 - .25 - .0625 - .01, 1e-6);
    found.count = 0;
    assert_near(det_evaluation_quality(&truth, &found, used), 1, 0);
    truth.count = 2;
    assert_near(det_evaluation_quality(&truth, &found, used), 0, 0);
}

int test_event_log(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_what_is_written),    cmocka_unit_test(it_reads_tensorflows_forms),
        cmocka_unit_test(torn_and_damaged_files),      cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(a_training_tells_everything), cmocka_unit_test(quality_of_an_image),
    };
    return cmocka_run_group_tests_name("event_log", tests, NULL, NULL);
}
