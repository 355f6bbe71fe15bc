/* A folder that TensorFlow trained in: libdet goes on as if it had trained there itself, leaves
 * every file alone that is not its own, and each finds its own way in the folder afterwards. */
#include <math.h>

#include "formats/tf_bundle.h"
#include "formats/weights.h"
#include "support/bundle_writer.h"
#include "support/io.h"
#include "support/workspace.h"

enum { MOST_TENSORS = 2000, BEFORE = 3, AFTER = 6 };

/* Keras' names, by the number of the slot in a checkpoint of libdet. */
struct optimizer {
    const char *config, *path; /* of the optimizer that has the slots */
    const char *slots[3];
};

static const struct optimizer optimizers[] = {
    {"momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.02 } } "
     "momentum_optimizer_value: 0.9 } use_moving_average: false",
     "optimizer",
     {"momentum"}},
    {"rms_prop_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.02 } } } "
     "use_moving_average: false",
     "optimizer",
     {"rms", "momentum"}},
    {"adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.02 } } } "
     "use_moving_average: true",
     "optimizer/base_optimizer",
     {"m", "v", "average"}},
};

static struct test_warnings warnings;

static det_status train(const struct workspace *w, const char *model_dir, int64_t steps,
                        bool resume, char error[1024])
{
    struct test_env t;
    test_env_init(&t);
    det_context_settings c;
    det_context_settings_default(&c);
    c.allocator = test_env_hooks(&t);
    c.logger = &(det_logger){
        .struct_size = sizeof(det_logger), .user = &warnings, .write = test_keep_warning};
    c.threads = 2;
    c.cpu = "ref";
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = model_dir;
    settings.num_steps = steps;
    settings.checkpoint_every_steps = 0;
    settings.summary_every_steps = 0;
    settings.resume = resume;
    settings.recalibrate_images = 4; /* the reference kernels take long for more */
    warnings = (struct test_warnings){{0}, 0};
    assert_int_equal(det_context_create(&context, &c), DET_OK);
    det_status status = det_pipeline_config_load(context, w->config, &config);
    if (status == DET_OK)
        status = det_trainer_create(context, config, &settings, &trainer);
    if (status == DET_OK)
        status = det_trainer_run(trainer, NULL, NULL);
    snprintf(error, 1024, "%s", det_context_error(context));
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    test_env_check(&t);
    return status;
}

static void train_well(const struct workspace *w, const char *model_dir, int64_t steps)
{
    char error[1024];
    const det_status status = train(w, model_dir, steps, true, error);
    if (status != DET_OK)
        fail_msg("%s", error);
}

/* What TensorFlow's train_loop() would have saved: the checkpoint of libdet under Keras' names. */
static void write_as_tensorflow(const char *det_path, const char *prefix,
                                const struct optimizer *optimizer, int64_t step, bool with_slots,
                                bool with_step)
{
    static struct test_bundle_tensor tensors[MOST_TENSORS];
    static char keys[MOST_TENSORS][400];
    struct det_env env;
    struct det_weights *file = NULL;
    size_t count = 0;
    const int64_t save_counter = 2;
    char name[300];
    det_env_default(&env);
    assert_ok(&env, det_weights_open(&env, det_path, true, &file));
    for (size_t i = 0; i < det_weights_count(file); i++) {
        const struct det_weights_tensor *from = det_weights_tensor_at(file, i);
        const char *slot = strstr(from->name, "/.SLOT/");
        assert_true(count < MOST_TENSORS - 3);
        if (slot == NULL) {
            snprintf(keys[count], sizeof keys[0], "%s" DET_TF_VARIABLE_SUFFIX, from->name);
        } else {
            const int number = slot[strlen("/.SLOT/")] - '0';
            const char *const which = optimizer->slots[number];
            const bool average = strcmp(which, "average") == 0;
            if (!with_slots)
                continue;
            snprintf(keys[count], sizeof keys[0],
                     "%.*s/.OPTIMIZER_SLOT/%s/%s" DET_TF_VARIABLE_SUFFIX, (int)(slot - from->name),
                     from->name, average ? "optimizer" : optimizer->path, which);
        }
        tensors[count] = (struct test_bundle_tensor){.key = keys[count],
                                                     .dtype = DET_TF_FLOAT,
                                                     .dims = from->dims,
                                                     .data = from->data,
                                                     .bytes = from->bytes};
        memcpy(tensors[count].shape, from->shape, sizeof tensors[count].shape);
        count++;
    }
    const struct {
        const char *name;
        const int64_t *value;
        bool wanted;
    } numbers[] = {{"step", &step, with_step},
                   {"save_counter", &save_counter, true},
                   {"iter", &step, with_slots}};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s%s", i == 2 ? optimizer->path : "", i == 2 ? "/" : "",
                 numbers[i].name);
        if (!numbers[i].wanted)
            continue;
        snprintf(keys[count], sizeof keys[0], "%s" DET_TF_VARIABLE_SUFFIX, name);
        tensors[count] = (struct test_bundle_tensor){
            .key = keys[count], .dtype = DET_TF_INT64, .data = numbers[i].value, .bytes = 8};
        count++;
    }
    test_bundle_write(prefix, tensors, count, (struct test_bundle_options){.block_entries = 16});
    det_weights_close(&env, &file);
}

static void write_text(const char *directory, const char *name, const char *text)
{
    struct det_env env;
    char path[600];
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_ok(&env, det_write_file(&env, path, text, strlen(text)));
}

static const char tf_state[] = "model_checkpoint_path: \"ckpt-2\"\n"
                               "all_model_checkpoint_paths: \"ckpt-1\"\n"
                               "all_model_checkpoint_paths: \"ckpt-2\"\n"
                               "all_model_checkpoint_timestamps: 1700000000.5\n";

struct folders {
    struct workspace w;
    char ours[400], theirs[400]; /* trained by libdet alone; begun by TensorFlow */
};

static void make_folders(struct folders *f, const struct optimizer *optimizer, bool with_slots,
                         bool with_step)
{
    char from[500], to[500], block[600];
    struct det_env env;
    det_env_default(&env);
    workspace_make(&f->w, "tf_resume");
    char *text = test_read_text(f->w.config);
    char *at = strstr(text, "optimizer {"), *end = strstr(at, "use_moving_average: false");
    snprintf(block, sizeof block, "%.*s", (int)(end + strlen("use_moving_average: false") - at),
             at);
    free(text);
    snprintf(to, sizeof to, "optimizer { %s", optimizer->config);
    workspace_edit_config(&f->w, block, to);
    snprintf(f->ours, sizeof f->ours, "%s/ours", f->w.directory);
    snprintf(f->theirs, sizeof f->theirs, "%s/theirs", f->w.directory);
    train_well(&f->w, f->ours, BEFORE);
    assert_ok(&env, det_make_directories(&env, f->theirs));
    snprintf(from, sizeof from, "%s/ckpt-%d.det", f->ours, BEFORE);
    snprintf(to, sizeof to, "%s/ckpt-2", f->theirs);
    write_as_tensorflow(from, to, optimizer, BEFORE, with_slots, with_step);
    write_text(f->theirs, "checkpoint", tf_state);
}

static char *checkpoint_bytes(const char *folder, int step, size_t *bytes)
{
    char path[600];
    snprintf(path, sizeof path, "%s/ckpt-%d.det", folder, step);
    return test_read_bytes(path, bytes);
}

static void goes_on_to_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) {
        struct folders f;
        size_t ours_bytes = 0, theirs_bytes = 0;
        make_folders(&f, &optimizers[i], true, true);
        /* A fine-tune checkpoint is not read again: it may be gone. */
        workspace_edit_config(&f.w, "batch_size: 4", "batch_size: 4 fine_tune_checkpoint: 'gone'");
        train_well(&f.w, f.ours, AFTER);
        train_well(&f.w, f.theirs, AFTER);
        assert_null(strstr(warnings.text, "slots"));
        char *ours = checkpoint_bytes(f.ours, AFTER, &ours_bytes);
        char *theirs = checkpoint_bytes(f.theirs, AFTER, &theirs_bytes);
        assert_int_equal(ours_bytes, theirs_bytes);
        assert_memory_equal(ours, theirs, ours_bytes);
        free(ours);
        free(theirs);
        workspace_remove(&f.w);
    }
}

static void missing_slots_are_told(void **state)
{
    (void)state;
    struct folders f;
    make_folders(&f, &optimizers[0], false, true);
    train_well(&f.w, f.theirs, AFTER);
    assert_contains(warnings.text, "ckpt-2: ");
    assert_contains(warnings.text, "optimizer slots are not there (first: momentum of model/");
    assert_contains(warnings.text, "they begin as in a new training");
    size_t bytes = 0;
    free(checkpoint_bytes(f.theirs, AFTER, &bytes));
    workspace_remove(&f.w);
}

static void check_newest(const char *folder, const char *name, int64_t step, int is_tensorflow)
{
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_checkpoint_info info;
    assert_context_ok(context, det_checkpoint_find(context, folder, &info));
    assert_string_equal(det_path_name(info.path), name);
    assert_int_equal(info.step, step);
    assert_int_equal(info.is_tensorflow, is_tensorflow);
    det_context_destroy(&context);
    test_env_check(&t);
}

static void no_file_of_tensorflow_is_touched(void **state)
{
    (void)state;
    struct folders f;
    char path[600], error[1024], from[500];
    size_t before_bytes = 0, after_bytes = 0;
    make_folders(&f, &optimizers[0], true, true);
    check_newest(f.theirs, "ckpt-2", BEFORE, 1);
    snprintf(path, sizeof path, "%s/ckpt-2.index", f.theirs);
    char *before = test_read_bytes(path, &before_bytes);
    train_well(&f.w, f.theirs, AFTER);
    char *after = test_read_bytes(path, &after_bytes);
    assert_int_equal(before_bytes, after_bytes);
    assert_memory_equal(before, after, before_bytes);
    free(before);
    free(after);
    snprintf(path, sizeof path, "%s/checkpoint", f.theirs);
    char *text = test_read_text(path);
    assert_string_equal(text, tf_state);
    free(text);
    snprintf(path, sizeof path, "%s/checkpoint.libdet", f.theirs);
    text = test_read_text(path);
    assert_contains(text, "model_checkpoint_path: \"ckpt-6.det\"");
    free(text);
    check_newest(f.theirs, "ckpt-6.det", AFTER, 0);
    /* Going on is from libdet's, then, as TensorFlow trains on, from TensorFlow's. */
    train_well(&f.w, f.theirs, AFTER + 1);
    check_newest(f.theirs, "ckpt-7.det", AFTER + 1, 0);
    snprintf(from, sizeof from, "%s/ckpt-7.det", f.theirs);
    snprintf(path, sizeof path, "%s/ckpt-3", f.theirs);
    write_as_tensorflow(from, path, &optimizers[0], 9, true, true);
    write_text(f.theirs, "checkpoint", "model_checkpoint_path: \"/moved/from/ckpt-3\"\n");
    check_newest(f.theirs, "ckpt-3", 9, 1);
    train_well(&f.w, f.theirs, 10);
    check_newest(f.theirs, "ckpt-10.det", 10, 0);
    /* The list rises by step, not by TensorFlow's numbers. */
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_checkpoint_info *list = NULL;
    size_t count = 0;
    static const int64_t steps[] = {3, 6, 7, 9, 10};
    assert_context_ok(context, det_checkpoint_list(context, f.theirs, &list, &count));
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i].step, steps[i]);
    det_checkpoint_list_destroy(context, &list);
    det_context_destroy(&context);
    test_env_check(&t);
    /* Nothing left to do, and a new training, are told. */
    assert_int_equal(train(&f.w, f.theirs, 10, true, error), DET_STATUS_FINISHED);
    assert_int_equal(train(&f.w, f.theirs, 20, false, error), DET_STATUS_INVALID_ARGUMENT);
    assert_contains(error, "already holds checkpoints (ckpt-10.det)");
    workspace_remove(&f.w);
}

static void what_cannot_be_gone_on_from(void **state)
{
    (void)state;
    struct folders f;
    char error[1024];
    make_folders(&f, &optimizers[0], true, true);
    assert_int_equal(train(&f.w, f.theirs, AFTER, false, error), DET_STATUS_INVALID_ARGUMENT);
    assert_contains(error, "already holds checkpoints (ckpt-2)");
    assert_int_equal(train(&f.w, f.theirs, BEFORE, true, error), DET_STATUS_FINISHED);
    assert_contains(error, "ckpt-2 is step 3 of 3");
    /* Another network. */
    workspace_edit_config(&f.w, "depth: 8 num_layers", "depth: 16 num_layers");
    assert_int_equal(train(&f.w, f.theirs, AFTER, true, error), DET_STATUS_MISMATCH);
    assert_contains(error, "theirs holds a training of TensorFlow, which is gone on with");
    assert_contains(error, "does not fit the network");
    workspace_remove(&f.w);
    /* A checkpoint of the model zoo, which lies in the folder to be fine-tuned from. */
    make_folders(&f, &optimizers[0], false, false);
    assert_int_equal(train(&f.w, f.theirs, AFTER, true, error), DET_STATUS_UNSUPPORTED);
    assert_contains(error, "that no training saved, for it has no step");
    workspace_edit_config(&f.w, "batch_size: 4",
                          "batch_size: 4 fine_tune_checkpoint: 'theirs/ckpt-2' "
                          "fine_tune_checkpoint_type: 'full'");
    train_well(&f.w, f.theirs, 1);
    check_newest(f.theirs, "ckpt-1.det", 1, 0);
    char path[600];
    snprintf(path, sizeof path, "%s/checkpoint", f.theirs);
    char *text = test_read_text(path);
    assert_string_equal(text, tf_state);
    free(text);
    workspace_remove(&f.w);
}

/* train_loop() saves ckpt-1 before its first step: with the weights of the fine-tune checkpoint and
 * no slots yet. */
static void goes_on_from_before_the_first_step(void **state)
{
    (void)state;
    struct folders f;
    char from[500], to[500];
    make_folders(&f, &optimizers[0], false, true);
    snprintf(from, sizeof from, "%s/ckpt-%d.det", f.ours, BEFORE);
    snprintf(to, sizeof to, "%s/ckpt-2", f.theirs);
    write_as_tensorflow(from, to, &optimizers[0], 0, false, true);
    train_well(&f.w, f.theirs, 1);
    assert_null(strstr(warnings.text, "slots"));
    check_newest(f.theirs, "ckpt-1.det", 1, 0);
    workspace_remove(&f.w);
}

/* From scratch it saves no weights then: Keras has not made them. */
static void begins_anew_where_there_are_no_weights(void **state)
{
    (void)state;
    static const int64_t zero = 0;
    static const struct test_bundle_tensor step = {
        .key = "step" DET_TF_VARIABLE_SUFFIX, .dtype = DET_TF_INT64, .data = &zero, .bytes = 8};
    struct folders f;
    char path[500], error[1024];
    size_t bytes = 0, fresh_bytes = 0;
    make_folders(&f, &optimizers[0], false, true);
    snprintf(path, sizeof path, "%s/ckpt-2", f.theirs);
    test_bundle_write(path, &step, 1, (struct test_bundle_options){0});
    assert_int_equal(train(&f.w, f.theirs, 1, false, error), DET_STATUS_INVALID_ARGUMENT);
    assert_contains(error, "already holds checkpoints (ckpt-2)");
    train_well(&f.w, f.theirs, 1);
    snprintf(path, sizeof path, "%s/fresh", f.w.directory);
    train_well(&f.w, path, 1);
    char *fresh = checkpoint_bytes(path, 1, &fresh_bytes);
    char *theirs = checkpoint_bytes(f.theirs, 1, &bytes);
    assert_int_equal(bytes, fresh_bytes);
    assert_memory_equal(theirs, fresh, bytes);
    free(fresh);
    free(theirs);
    /* What is missing to fine-tune from is named before data is read, as in a new folder. */
    snprintf(path, sizeof path, "%s/ckpt-1.det", f.theirs);
    assert_int_equal(remove(path), 0);
    workspace_edit_config(&f.w, "batch_size: 4",
                          "batch_size: 4 fine_tune_checkpoint: 'gone' "
                          "fine_tune_checkpoint_type: 'full'");
    assert_int_equal(train(&f.w, f.theirs, 1, true, error), DET_STATUS_NOT_FOUND);
    assert_contains(error, "train_config.fine_tune_checkpoint \"gone\"");
    workspace_remove(&f.w);
}

/* Whatever is called `checkpoint` and is not ours stays: a folder, as the model zoo's archives have
 * it, and a text that names nothing. */
static void what_is_called_checkpoint_stays(void **state)
{
    (void)state;
    struct workspace w;
    struct det_env env;
    char path[600];
    det_env_default(&env);
    workspace_make(&w, "tf_resume_folder");
    snprintf(path, sizeof path, "%s/checkpoint", w.model_dir);
    assert_ok(&env, det_make_directories(&env, path));
    train_well(&w, w.model_dir, 1);
    check_newest(w.model_dir, "ckpt-1.det", 1, 0);
    train_well(&w, w.model_dir, 2);
    check_newest(w.model_dir, "ckpt-2.det", 2, 0);
    assert_true(det_is_directory(path));
    test_remove_tree(w.model_dir);
    assert_ok(&env, det_make_directories(&env, w.model_dir));
    write_text(w.model_dir, "checkpoint", "notes of mine\n");
    train_well(&w, w.model_dir, 1);
    check_newest(w.model_dir, "ckpt-1.det", 1, 0);
    char *text = test_read_text(path);
    assert_string_equal(text, "notes of mine\n");
    free(text);
    workspace_remove(&w);
}

/* The checkpoint of the real API, whose momentum is not zero. */
static void goes_on_from_the_real_one(void **state)
{
    (void)state;
    char directory[256], index[300], data[300], config[300], records[300], labels[300], out[700];
    char text[6000];
    struct det_env env;
    det_env_default(&env);
    if (test_shared(directory, "goldens/trained_raccoon/ckpt-2.index") == NULL)
        test_skip_without_shared();
    snprintf(index, sizeof index, "%s", directory);
    snprintf(data, sizeof data, "%s",
             test_shared(directory, "goldens/trained_raccoon/ckpt-2.data-00000-of-00001"));
    snprintf(config, sizeof config, "%s",
             test_shared(directory, "goldens/trained_raccoon/pipeline.config"));
    snprintf(records, sizeof records, "%s", test_shared(directory, "data/raccoon/train.tfrecord"));
    snprintf(labels, sizeof labels, "%s", test_shared(directory, "data/raccoon/label_map.pbtxt"));
    struct workspace w;
    test_make_directory(w.directory, "tf_resume_real");
    snprintf(w.config, sizeof w.config, "%s/pipeline.config", w.directory);
    snprintf(w.model_dir, sizeof w.model_dir, "%s", w.directory);
    const char *const copied[2] = {index, data};
    for (int i = 0; i < 2; i++) {
        size_t bytes = 0;
        char *file = test_read_bytes(copied[i], &bytes);
        snprintf(out, sizeof out, "%s/%s", w.directory, det_path_name(copied[i]));
        assert_ok(&env, det_write_file(&env, out, file, bytes));
        free(file);
    }
    write_text(w.directory, "checkpoint", tf_state);
    char *whole = test_read_text(config);
    char *readers = strstr(whole, "train_input_reader");
    assert_non_null(readers);
    snprintf(text, sizeof text,
             "%.*s train_config { batch_size: 1 } train_input_reader { label_map_path: '%s' "
             "tf_record_input_reader { input_path: '%s' } }",
             (int)(readers - whole), whole, labels, records);
    free(whole);
    write_text(w.directory, "pipeline.config", text);
    train_well(&w, w.model_dir, 601);
    assert_null(strstr(warnings.text, "slots"));
    struct det_weights *file = NULL;
    struct det_tf_bundle *bundle = NULL;
    snprintf(out, sizeof out, "%s/ckpt-601.det", w.directory);
    assert_ok(&env, det_weights_open(&env, out, true, &file));
    snprintf(out, sizeof out, "%s/ckpt-2", w.directory);
    assert_ok(&env, det_tf_bundle_open(&env, out, &bundle));
    /* v = .9 v - lr g, and the schedule is at its end, where lr is 0: each value is .9 of what it
     * was. */
    static const char key[] =
        "model/_box_predictor/_base_tower_layers_for_heads/box_encodings/0/1/gamma";
    snprintf(out, sizeof out, "%s/.OPTIMIZER_SLOT/optimizer/momentum", key);
    const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, out);
    assert_non_null(entry);
    float theirs[128], ours[128];
    assert_int_equal(entry->count, 128);
    assert_ok(&env, det_tf_bundle_read_float(&env, bundle, entry, theirs, 128));
    snprintf(out, sizeof out, "%s/.SLOT/0", key);
    const struct det_weights_tensor *tensor = det_weights_find(file, out);
    assert_non_null(tensor);
    memcpy(ours, tensor->data, sizeof ours);
    double sum = 0;
    for (int i = 0; i < 128; i++) {
        assert_near(ours[i], .9f * theirs[i], 1e-9);
        sum += fabs((double)theirs[i]);
    }
    assert_true(sum > 0);
    det_tf_bundle_close(&env, &bundle);
    det_weights_close(&env, &file);
    test_remove_tree(w.directory);
}

int test_tf_resume(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_to_the_same_bits),
        cmocka_unit_test(missing_slots_are_told),
        cmocka_unit_test(no_file_of_tensorflow_is_touched),
        cmocka_unit_test(what_cannot_be_gone_on_from),
        cmocka_unit_test(goes_on_from_before_the_first_step),
        cmocka_unit_test(begins_anew_where_there_are_no_weights),
        cmocka_unit_test(what_is_called_checkpoint_stays),
        cmocka_unit_test(goes_on_from_the_real_one),
    };
    return cmocka_run_group_tests_name("tf_resume", tests, NULL, NULL);
}
