/* The rule of det/det.h for NULL, kept by every public function: all of them are called with NULL
 * for each pointer in turn and for all at once (public_calls.inc), and that none is missing is read
 * off the headers. */
#include <ctype.h>
#include <dirent.h>
#include <math.h>

#include "base/context.h"
#include "support/thread_ranks.h"
#include "support/workspace.h"

#define HEADERS "libdet/include/det"

enum { MOST_POINTERS = 10, NAME = 64 };

/* What there is one of, for calls to be made with, and what calls make. */
#define HANDLES                     \
    det_context *context;           \
    det_pipeline_config *config;    \
    det_label_map *map;             \
    det_trainer *trainer;           \
    det_model *model;               \
    det_evaluation *evaluation;     \
    det_annotation_set *set;        \
    det_coco_evaluator *evaluator;  \
    det_communicator *communicator; \
    det_detection_report *report;   \
    det_detector *detector;         \
    det_picture *picture;           \
    det_augmenter *augmenter;       \
    det_tracker *tracker;           \
    det_counter *counter;           \
    det_mot_measure *measure;       \
    det_summary_writer *writer;     \
    det_event_log *log;             \
    det_export *exported;           \
    det_results *texts;             \
    det_review *review;

struct made {
    HANDLES
    det_checkpoint_info *list;
    char *json;
};

/* What calls are made with. */
struct things {
    union {
        struct made made;
        struct {
            HANDLES
        };
    };
    char model_dir[300], label_map[300], events[300], output[300], missing[300];

    det_image_view view;
    det_canvas canvas;
    det_rgb color;
    det_results_frame frame;
    char name[128];
    int flag;
    int64_t step_number;
    det_detection detections[1];
    double box_px[4];
    const float (*points)[2];
    det_track track;
    det_mot_box mot_box;
    det_coco_object object;
    det_pr_curve curve;

    det_annotation_image image;
    det_annotation_object annotated;
    const char *names[1];
    double shares[1];

    det_annotation_image_info image_info;
    det_annotation_repairs repairs;
    det_annotation_split_stats split_stats;
    det_annotation_class_stats class_stats;
    det_annotations_written written;
    det_annotations_tiled tiled;
    det_severity severity;
    int32_t height, width;
    det_augmented augmented;
    det_checkpoint_info info;
    det_error error;
    det_detector_times times;
    det_detector_raw raw;
    det_export_file file;
    det_export_proof proof;
    det_model_tensor tensor;
    det_tensor_values values[1];
    det_starter_settings starter;
    det_starter_choices choices;
    det_review_row row;
    det_review_choice choice;
    det_review_settings review_settings;
    det_annotation_report_settings page_settings;
    float floats[4], filled[4], *anchors;
    uint8_t targets[4];
    det_evaluation_losses losses;
    det_decay_advice advice;
    det_count passed;
    det_mot_result mot;
    det_step_report step;
    det_trainer_best best;
    det_trainer_memory memory;
    det_image_detections results;
    const det_detection *found;
    const det_track *tracks;
    const det_event *event;
    const det_coco_result *coco_result;
    const char *text;
    const uint8_t *data;
    size_t count;
    float score;
    int32_t class_id;
    det_annotation_set_settings set_settings;
    det_annotation_sheet_settings sheet_settings;
    det_annotation_tile_settings cutting;
    det_annotation_write_settings write_settings;
    det_coco_settings coco_settings;
    det_communicator_settings communicator_settings;
    det_context_settings context_settings;
    det_detection_report_settings report_settings;
    det_detector_settings detector_settings;
    det_tile_settings tile_settings;
    det_region region;
    det_nms_settings nms_settings;
    det_evaluation_settings evaluation_settings;
    det_quantisation_settings quantisation_settings;
    det_quantisation_info quantisation_info;
    det_quantisation_layer quantisation_layer;
    det_recalibration_settings recalibration_settings;
    det_tracker_settings tracker_settings;
    det_trainer_settings trainer_settings;
    det_export_settings export_settings;
};

static void release(const struct things *t, struct made *o)
{
    det_communicator_close(&o->communicator);
    det_json_destroy(t->context, &o->json);
    det_review_destroy(&o->review);
    det_results_destroy(&o->texts);
    det_checkpoint_list_destroy(t->context, &o->list);
    det_export_destroy(&o->exported);
    det_event_log_destroy(&o->log);
    det_summary_writer_destroy(&o->writer);
    det_mot_measure_destroy(&o->measure);
    det_counter_destroy(&o->counter);
    det_tracker_destroy(&o->tracker);
    det_augmenter_destroy(&o->augmenter);
    det_picture_destroy(&o->picture);
    det_detector_destroy(&o->detector);
    det_detection_report_destroy(&o->report);
    det_coco_evaluator_destroy(&o->evaluator);
    det_annotation_set_destroy(&o->set);
    det_evaluation_destroy(&o->evaluation);
    det_model_destroy(&o->model);
    det_trainer_destroy(&o->trainer);
    det_label_map_destroy(&o->map);
    det_pipeline_config_destroy(&o->config);
    det_context_destroy(&o->context);
}

static det_status read_nothing(void *user, det_annotation_set *set, const char *path,
                               const char *split)
{
    (void)user;
    (void)set;
    (void)path;
    (void)split;
    return DET_OK;
}

static int stop_at_once(void *user, const det_step_report *report)
{
    (void)user;
    (void)report;
    return 1;
}

/* --- one call --- */

enum kind { STATUS_KIND, VOID_KIND, NUMBER_KIND, POINTER_KIND };

struct call {
    const char *null; /* the argument that is NULL; NULL: all are */
    char names[MOST_POINTERS][NAME];
    bool needed[MOST_POINTERS];
    int count;
    const char *handle; /* where the message is left; NULL: there is none */

    enum kind kind;
    det_status status;
    double number, neutral;
    bool is_null; /* what came back, or "" */
};

/* Notes an argument, says whether it is NULL this time. */
static bool is_null(struct call *call, const char *name, bool needed)
{
    assert_true(call->count < MOST_POINTERS);
    snprintf(call->names[call->count], NAME, "%s", name);
    call->needed[call->count++] = needed;
    return call->null == NULL || strcmp(call->null, name) == 0;
}

/* Whether that argument is the one that is NULL this time. */
static bool only(const struct call *call, const char *name)
{
    return call->null != NULL && strcmp(call->null, name) == 0;
}

static void set_text(struct call *call, const char *text)
{
    call->kind = POINTER_KIND;
    call->is_null = text == NULL || text[0] == '\0';
}

static void set_pointer(struct call *call, const void *pointer)
{
    call->kind = POINTER_KIND;
    call->is_null = pointer == NULL;
}

#define N(name, value) (is_null(c, #name, true) ? NULL : (value))
#define H(name, value) ((c->handle = #name), is_null(c, #name, true) ? NULL : (value))
#define O(name, value) (is_null(c, #name, false) ? NULL : (value))
#define CALL(function, what)                                                      \
    static void call_##function(struct things *t, struct made *o, struct call *c) \
    {                                                                             \
        (void)t;                                                                  \
        (void)o;                                                                  \
        what;                                                                     \
    }
#define STATUS(function, arguments) \
    CALL(function, c->kind = STATUS_KIND; c->status = function arguments)
#define VOID(function, arguments) CALL(function, c->kind = VOID_KIND; function arguments)
#define NUMBER(function, for_null, arguments)                    \
    CALL(function, c->kind = NUMBER_KIND; c->neutral = for_null; \
         c->number = (double)function arguments)
#define TEXT(function, arguments)    CALL(function, set_text(c, function arguments))
#define POINTER(function, arguments) CALL(function, set_pointer(c, function arguments))
#define VIEW(function, arguments)    CALL(function, set_pointer(c, (function arguments).pixels))
#include "public_calls.inc"
#undef STATUS
#undef VOID
#undef NUMBER
#undef TEXT
#undef POINTER
#undef VIEW

static const struct function {
    const char *name;
    void (*call)(struct things *t, struct made *o, struct call *c);
} functions[] = {
#define STATUS(function, arguments)           {#function, call_##function},
#define VOID(function, arguments)             {#function, call_##function},
#define NUMBER(function, for_null, arguments) {#function, call_##function},
#define TEXT(function, arguments)             {#function, call_##function},
#define POINTER(function, arguments)          {#function, call_##function},
#define VIEW(function, arguments)             {#function, call_##function},
#include "public_calls.inc"
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

/* --- what they are called with --- */

static void make_things(struct things *t, struct test_env *env, const struct workspace *w)
{
    static uint8_t pixels[8 * 8 * 3];
    static const float line[2][2] = {{0, .5F}, {1, .5F}};
    *t = (struct things){
        .view = {.pixels = pixels, .width = 8, .height = 8},
        .canvas = {.pixels = pixels, .width = 8, .height = 8},
        .frame = {.struct_size = sizeof t->frame, .name = "a.png", .width = 8, .height = 8},
        .detections = {{1, .9F, .1F, .1F, .9F, .9F}},
        .box_px = {1, 1, 4, 4},
        .points = line,
        .track = {.id = 1, .box = {1, .9F, .1F, .1F, .9F, .9F}},
        .mot_box = {1, .1F, .1F, .9F, .9F},
        .object = {sizeof t->object, 1, 1, {1, 1, 4, 4}, NAN, 0, 0, 0, 0},
        .curve = {.struct_size = sizeof t->curve, .thresholds = 2},
        .image = {.struct_size = sizeof t->image, .name = "a.png"},
        .names = {"a"},
        .shares = {1},
        .image_info.struct_size = sizeof t->image_info,
        .repairs.struct_size = sizeof t->repairs,
        .split_stats.struct_size = sizeof t->split_stats,
        .class_stats.struct_size = sizeof t->class_stats,
        .written.struct_size = sizeof t->written,
        .tiled.struct_size = sizeof t->tiled,
        .cutting = {sizeof t->cutting, &t->tile_settings, .5, .25, 1},
        .augmented.struct_size = sizeof t->augmented,
        .times.struct_size = sizeof t->times,
        .raw.struct_size = sizeof t->raw,
        .file.struct_size = sizeof t->file,
        .proof.struct_size = sizeof t->proof,
        .tensor.struct_size = sizeof t->tensor,
        .choices.struct_size = sizeof t->choices,
        .row.struct_size = sizeof t->row,
        .choice.struct_size = sizeof t->choice,
        .values = {{sizeof t->values[0], "x", t->floats, 1}},
        .tile_settings = {sizeof t->tile_settings, 8, 8, .2F, 1},
        .nms_settings.struct_size = sizeof t->nms_settings,
        .floats = {.1F, .1F, .9F, .9F},
        .losses.struct_size = sizeof t->losses,
        .advice.struct_size = sizeof t->advice,
        .passed.struct_size = sizeof t->passed,
        .mot.struct_size = sizeof t->mot,
        .step.struct_size = sizeof t->step,
        .best.struct_size = sizeof t->best,
        .memory.struct_size = sizeof t->memory,
    };
    snprintf(t->model_dir, sizeof t->model_dir, "%s", w->model_dir);
    snprintf(t->label_map, sizeof t->label_map, "%s/label_map.pbtxt", w->directory);
    snprintf(t->events, sizeof t->events, "%s/events", w->directory);
    snprintf(t->output, sizeof t->output, "%s/output", w->directory);
    snprintf(t->missing, sizeof t->missing, "%s/missing/file", w->directory);
    t->context = workspace_context(env, 1);
    det_context *context = t->context;
    t->communicator = thread_ranks_one(det_context_env(context));
    det_trainer_settings training;
    det_trainer_settings_default(&training);
    training.model_dir = t->model_dir;
    assert_context_ok(context, det_pipeline_config_load(context, w->config, &t->config));
    assert_context_ok(context, det_label_map_load(context, t->label_map, &t->map));
    assert_context_ok(context, det_trainer_create(context, t->config, &training, &t->trainer));
    assert_context_ok(context, det_trainer_save(t->trainer));
    assert_context_ok(context, det_trainer_snapshot(t->trainer, &t->model));
    assert_context_ok(context,
                      det_evaluation_run(context, t->config, t->model, NULL, &t->evaluation));
    assert_context_ok(context, det_export_create(context, t->model, "det", NULL, &t->exported));
    t->anchors = calloc((size_t)det_model_anchor_count(t->model), 4 * sizeof *t->anchors);
    assert_non_null(t->anchors);
    assert_context_ok(context, det_coco_evaluator_create(context, NULL, &t->evaluator));
    assert_context_ok(context, det_coco_evaluator_add_category(t->evaluator, 1, "cat"));
    assert_context_ok(context, det_coco_evaluator_add_image(t->evaluator, 1));
    assert_context_ok(context, det_coco_evaluator_add_object(t->evaluator, &t->object));
    assert_context_ok(context, det_coco_evaluator_compute(t->evaluator, &t->coco_result));
    assert_context_ok(context,
                      det_detection_report_create(context, t->evaluator, NULL, &t->report));
    assert_context_ok(context, det_detector_create(context, t->model, NULL, &t->detector));
    assert_context_ok(context, det_augmenter_create(context, t->config, &t->augmenter));
    assert_context_ok(context, det_tracker_create(context, NULL, &t->tracker));
    assert_context_ok(context, det_counter_create(context, t->points, 2, 1, &t->counter));
    assert_context_ok(context, det_mot_measure_create(context, .5F, &t->measure));
    assert_context_ok(context, det_results_create(context, t->model, &t->texts));
    assert_context_ok(context, det_summary_writer_create(context, t->events, &t->writer));
    assert_context_ok(context, det_summary_scalar(t->writer, "x", 1, 1));
    assert_context_ok(context, det_summary_images(t->writer, "picture", 1, &t->view, 1));
    assert_context_ok(context, det_summary_flush(t->writer));
    assert_context_ok(context, det_event_log_read(context, t->events, &t->log));
    /* The picture that was just written as an event is a PNG. */
    const det_event *event = NULL;
    assert_int_equal(det_event_log_find(t->log, "picture", &event), 1);
    const det_event_blob *blob = &event->blobs[event->blob_count - 1];
    assert_context_ok(context,
                      det_picture_decode(context, "event", blob->data, blob->bytes, &t->picture));
    t->image.data = blob->data;
    t->image.bytes = blob->bytes;
    det_annotation_object_default(&t->annotated);
    t->annotated.class_name = "cat";
    t->annotated.box[2] = t->annotated.box[3] = 1;
    assert_context_ok(context, det_annotation_set_create(context, NULL, &t->set));
    assert_context_ok(context, det_annotation_set_add_image(t->set, &t->image, &t->count));
    assert_context_ok(context, det_annotation_set_add_object(t->set, 0, &t->annotated));
    assert_context_ok(context, det_annotation_set_resolve(t->set));
    assert_context_ok(context, det_review_create(context, t->model, t->set, NULL, &t->review));
}

static void drop_things(struct things *t)
{
    release(t, &t->made);
    free(t->anchors);
}

/* --- the rule --- */

static bool leaves_message(const struct function *f, const struct call *call)
{
    if (call->null == NULL)
        return false;
    return strcmp(f->name, "det_context_create_for") == 0 ||
           (call->handle != NULL && strcmp(call->handle, call->null) != 0);
}

static void check(const struct things *t, const struct function *f, const struct call *call,
                  bool needed)
{
    const char *which = call->null != NULL ? call->null : "all";
    char text[NAME + 16];
    if (!needed)
        return; /* it did not crash */
    if (call->kind == STATUS_KIND && call->status != DET_STATUS_INVALID_ARGUMENT)
        fail_msg("%s: %s NULL: got \"%s\"", f->name, which, det_status_text(call->status));
    if (call->kind == NUMBER_KIND && !(call->number == call->neutral))
        fail_msg("%s: %s NULL: got %g, expected %g", f->name, which, call->number, call->neutral);
    if (call->kind == POINTER_KIND && !call->is_null)
        fail_msg("%s: %s NULL: something came back", f->name, which);
    if (call->kind != STATUS_KIND || !leaves_message(f, call))
        return;
    snprintf(text, sizeof text, ": %s is NULL", call->null);
    const char *said = strncmp(f->name, "det_context_create", 18) == 0
                           ? t->error.text
                           : det_context_error(t->context);
    if (strstr(said, text) == NULL || strncmp(said, "det_", 4) != 0)
        fail_msg("%s: %s NULL: the message is \"%s\"", f->name, call->null, said);
}

/* All NULL, which gives the names, then each alone. */
static void call_with_nulls(struct things *t, const struct function *f)
{
    struct made o = {0};
    struct call all = {.null = NULL};
    f->call(t, &o, &all);
    bool any_needed = false;
    for (int i = 0; i < all.count; i++)
        any_needed |= all.needed[i];
    check(t, f, &all, any_needed);
    release(t, &o);
    for (int i = 0; i < all.count; i++) {
        struct call one = {.null = all.names[i]};
        f->call(t, &o, &one);
        check(t, f, &one, all.needed[i]);
        release(t, &o);
    }
}

static void no_function_crashes(void **state)
{
    (void)state;
    struct workspace w;
    struct test_env env;
    struct things t;
    test_env_init(&env);
    workspace_make(&w, "null");
    make_things(&t, &env, &w);
    for (size_t i = 0; i < FUNCTIONS; i++)
        call_with_nulls(&t, &functions[i]);
    drop_things(&t);
    workspace_remove(&w);
    test_env_check(&env);
}

/* --- nothing is missing --- */

/* Comments become spaces. */
static void blank_comments(char *text)
{
    for (char *at = strstr(text, "/*"); at != NULL; at = strstr(at, "/*")) {
        char *end = strstr(at, "*/");
        assert_non_null(end);
        memset(at, ' ', (size_t)(end + 2 - at));
    }
}

/* The name of a parameter that is a pointer: "const float (*points)[2]" -> points; false for
 * others. */
static bool pointer_name(const char *parameter, size_t length, char name[NAME])
{
    const char *end = parameter + length;
    const char *bracket = memchr(parameter, '[', length);
    const char *star = memchr(parameter, '*', length);
    const char *function = strstr(parameter, "_callback ");
    if (bracket == NULL && star == NULL && (function == NULL || function >= end))
        return false;
    if (bracket != NULL)
        end = bracket;
    while (end > parameter && !isalnum((unsigned char)end[-1]) && end[-1] != '_')
        end--;
    const char *begin = end;
    while (begin > parameter && (isalnum((unsigned char)begin[-1]) || begin[-1] == '_'))
        begin--;
    snprintf(name, NAME, "%.*s", (int)(end - begin), begin);
    return true;
}

/* A declaration of a header beside the call in the list. */
static void compare(const char *name, const char *parameters, const char *end)
{
    const struct function *f = NULL;
    for (size_t i = 0; i < FUNCTIONS; i++)
        if (strcmp(functions[i].name, name) == 0)
            f = &functions[i];
    if (f == NULL)
        fail_msg("%s is not in tests/unit/public_calls.inc", name);
    struct things t = {0};
    struct made o = {0};
    struct call all = {.null = NULL};
    f->call(&t, &o, &all);
    int count = 0;
    for (const char *at = parameters; at < end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        char wanted[NAME];
        if (pointer_name(at, (size_t)(stop - at), wanted)) {
            bool found = false;
            for (int i = 0; i < all.count; i++)
                found |= strcmp(all.names[i], wanted) == 0;
            if (!found)
                fail_msg("%s: %s is not NULL in any call of public_calls.inc", name, wanted);
            count++;
        }
        at = stop + 1;
    }
    if (count != all.count)
        fail_msg("%s has %d pointers, its call in public_calls.inc %d", name, count, all.count);
}

static size_t compare_header(const char *path)
{
    size_t bytes = 0, count = 0;
    char *text = test_read_bytes(path, &bytes);
    text = realloc(text, bytes + 1);
    assert_non_null(text);
    text[bytes] = '\0';
    blank_comments(text);
    for (char *at = strstr(text, "DET_API "); at != NULL; at = strstr(at, "DET_API ")) {
        char *open = strchr(at, '('), *end = open != NULL ? strstr(open, ");") : NULL;
        assert_non_null(end);
        char *name = open;
        while (isalnum((unsigned char)name[-1]) || name[-1] == '_')
            name--;
        *open = '\0';
        compare(name, open + 1, end);
        count++;
        at = end;
    }
    free(text);
    return count;
}

static void all_functions_are_called(void **state)
{
    (void)state;
    DIR *folder = opendir(HEADERS);
    size_t count = 0;
    if (folder == NULL) {
        print_message("skipped: %s is not here\n", HEADERS);
        skip();
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", HEADERS, entry->d_name);
        if (strstr(entry->d_name, ".h") != NULL && strcmp(entry->d_name, "export.h") != 0)
            count += compare_header(path);
    }
    closedir(folder);
    assert_int_equal(count, FUNCTIONS);
}

int test_null_arguments(void);
int test_null_arguments(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_function_crashes),
        cmocka_unit_test(all_functions_are_called),
    };
    return cmocka_run_group_tests_name("null_arguments", tests, NULL, NULL);
}
