/* det-export's command line: what is exported of a folder, which files and options there are, what
 * it prints and says as JSON, and that nothing is written when something is wrong. */
#include <unistd.h>

#include <cjson/cJSON.h>

#include "support/data_files.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static char out[100000];

/* 4 steps with an evaluation after 2 and 4, the better of which is in best/. */
static void train(const struct workspace *w)
{
    if (run_tool(out, sizeof out,
                 "det-train --pipeline_config_path %s --model_dir %s --num_train_steps 4 "
                 "--checkpoint_every_n 2 --eval_every 2 --noeval_api --threads 1",
                 w->config, w->model_dir) != 0)
        fail_msg("%s", out);
}

static bool is_there(const struct workspace *w, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    return access(path, F_OK) == 0;
}

static void the_best_of_a_folder_is_exported(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "export_best");
    train(&w);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/a",
                              w.config, w.model_dir, w.directory),
                     0);
    assert_contains(out, "The best checkpoint of ");
    assert_contains(out, "/best/ckpt-");
    assert_contains(out, ": 2 classes, 96 x 96, step ");
    assert_contains(out, "\n  pixels of any size -> detections (network: 96 x 96)\n");
    assert_true(is_there(&w, "a/model.det") && is_there(&w, "a/pipeline.config"));
    /* Another by name, which says itself what network it is of. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/ckpt-4.det --output_directory %s/b",
                              w.model_dir, w.directory),
                     0);
    assert_null(strstr(out, "The best checkpoint"));
    assert_contains(out, "/ckpt-4.det: 2 classes, 96 x 96, step 4\n");
    assert_true(is_there(&w, "b/model.det") && !is_there(&w, "b/pipeline.config"));
    /* And what was exported once, again. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/b/model.det --output_directory %s/c "
                              "--score_threshold 0.25",
                              w.directory, w.directory),
                     0);
    assert_contains(out, "step 4\n");
    workspace_remove(&w);
}

static void what_was_written_is_said_as_json(void **state)
{
    (void)state;
    struct workspace w;
    char path[400];
    workspace_make(&w, "export_json");
    train(&w);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/a --format det,det --json %s/a.json",
                              w.config, w.model_dir, w.directory, w.directory),
                     0);
    snprintf(path, sizeof path, "%s/a.json", w.directory);
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(tree, "height")), 96);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(
                            cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "classes"), 1), "name")),
                        "dog");
    const cJSON *exports = cJSON_GetObjectItem(tree, "exports");
    assert_int_equal(cJSON_GetArraySize(exports), 1); /* named twice, written once */
    const cJSON *one = cJSON_GetArrayItem(exports, 0);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(one, "format")), "det");
    const cJSON *file = cJSON_GetArrayItem(cJSON_GetObjectItem(one, "files"), 0);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(file, "name")), "model.det");
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/a/model.det", w.directory);
    free(test_read_bytes(path, &bytes));
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(file, "bytes")), bytes);
    cJSON_Delete(tree);
    free(text);
    workspace_remove(&w);
}

/* A command line that is refused before anything is read. */
static void refuse(const char *line, const char *text)
{
    if (run_tool(out, sizeof out, "det-export %s", line) != 2 || strstr(out, text) == NULL)
        fail_msg("`%s` gave, instead of \"%s\":\n%s", line, text, out);
}

static void wrong_command_lines_are_told(void **state)
{
    (void)state;
    static const char source[] = "--checkpoint m.det --output_directory o ";
    static const struct {
        const char *options, *text;
    } wrong[] = {
        {"--format pb", "--format: `pb` is none of det"},
        {"--format det,", "--format: `` is none of det"},
        {"--format ''", "--format: `` is none of det"},
        {"--format onnx --format pb", "--format: `pb` is none of det"},
        {"--onnx_opset 10", "--onnx_opset is for --format onnx, which is not asked for"},
        {"--format onnx --onnx_opset 12", "--onnx_opset: got `12`, expected one of 13, 10"},
        {"--onnx_outputs raw", "--onnx_outputs is for --format onnx, which is not asked for"},
        {"--tflite_outputs raw", "--tflite_outputs is for --format tflite"},
        {"--precision float16", "--precision is for the formats of other engines"},
        {"--precision int8 --calibration r --format onnx,ncnn", "; ncnn has no 8 bits"},
        {"--precision int8 --calibration r --format onnx --onnx_opset 10",
         "--precision int8 needs 13"},
        {"--precision int8 --calibration r --format det,tf_checkpoint",
         "--precision int8 is for --format det"},
        {"--precision int8 --calibration r --calibration_images 0", "expected at least 1"},
        {"--precision int8 --calibration r --observer best", "--observer: expected auto, minmax"},
        {"--precision int8 --calibration r --max_drop 0.1", "--max_drop needs --eval"},
        {"--precision int8 --calibration r --weights",
         "--weights writes the training's weights, --precision int8"},
        {"--calibration r", "are for --precision int8"},
        {"--int8_only", "are for --precision int8"},
        {"--input image", "--input is for the formats of other engines"},
        {"--batch 2", "--batch is for the formats of other engines"},
        {"--score_threshold 2", "--score_threshold: got 2, expected 0 to 1"},
        {"--iou_threshold -1", "--iou_threshold: got -1, expected 0 to 1"},
        {"--max_detections -1", "--max_detections: got -1, expected at least 0"},
        {"--recalibrate r", "need --pipeline_config_path"},
        {"--rename_classes", "need --pipeline_config_path"},
        {"--eval r", "--eval needs --pipeline_config_path"},
        {"--eval_images 3", "--eval_images: expected a number of images of --eval"},
        {"--images d", "--images is for --recalibrate, --calibration and --eval"},
        {"--weights --format det", "--weights writes a .det file and nothing else"},
        {"--weights --json x", "--weights writes a .det file and nothing else"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char line[300];
        snprintf(line, sizeof line, "%s%s", source, wrong[i].options);
        refuse(line, wrong[i].text);
    }
    refuse("--output_directory o", "one of --trained_checkpoint_dir and --checkpoint are needed");
    refuse("--checkpoint m.det", "--output_directory and one of");
}

/* Each --format counts; what cannot be is told before anything is written. */
static void formats_are_collected(void **state)
{
    (void)state;
    struct workspace w;
    char line[400];
    workspace_make(&w, "export_formats_repeated");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint data/vehicles.det --format onnx,det "
                              "--onnx_outputs decoded --input nchw --onnx_opset 10 "
                              "--format ncnn,onnx --output_directory %s/a",
                              w.directory),
                     0);
    assert_contains(out,
                    "  input_tensor: float32 [1, 3, 320, 320]\n  boxes: float32 [1, 12804, 4]");
    assert_true(is_there(&w, "a/model.onnx") && is_there(&w, "a/model.det"));
    assert_true(is_there(&w, "a/model.param") && !is_there(&w, "a/model.tflite"));
    static const struct {
        const char *options, *text;
    } wrong[] = {
        {"--format det,onnx --onnx_opset 10", "opset 10 is for float input"},
        {"--format onnx --max_detections 38413", "12804 anchors of 3 classes make 38412 at most"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(line, sizeof line, "--checkpoint data/vehicles.det --output_directory %s/b %s",
                 w.directory, wrong[i].options);
        assert_int_equal(run_tool(out, sizeof out, "det-export %s", line), 1);
        assert_contains(out, wrong[i].text);
        assert_true(!is_there(&w, "b/model.det") && !is_there(&w, "b/model.onnx"));
    }
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint data/vehicles.det --output_directory %s",
                              "''"),
                     1);
    assert_contains(out, "the name of a folder is empty");
    assert_int_equal(run_tool(out, sizeof out, "det-export --checkpoint '' --output_directory %s/b",
                              w.directory),
                     1);
    assert_contains(out, "the name of a checkpoint is empty");
    workspace_remove(&w);
}

/* The page of help names every format that there is. */
static void help_names_all_formats(void **state)
{
    (void)state;
    assert_int_equal(run_tool(out, sizeof out, "det-export --help"), 0);
    for (size_t i = 0; det_export_format_at(i) != NULL; i++)
        assert_contains(out, det_export_format_at(i)->name);
}

/* The checkpoint's own folder, whose `checkpoint` would be replaced; a folder's name that is a
 * file's; a file of output that is read. */
static void nothing_that_is_read_is_replaced(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "export_guard");
    train(&w);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/ckpt-4.det --output_directory %s/a",
                              w.model_dir, w.directory),
                     0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/a/model.det --output_directory %s/a",
                              w.directory, w.directory),
                     1);
    assert_contains(out, "model.det");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/ckpt-4.det --output_directory %s",
                              w.model_dir, w.config),
                     1);
    assert_contains(out, "exists and is not a folder");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/ckpt-4.det --output_directory %s/b "
                              "--json %s/b/model.det",
                              w.model_dir, w.directory, w.directory),
                     1);
    assert_true(!is_there(&w, "b/model.det"));
    /* What says which of a training's checkpoints is the newest. */
    char path[400];
    static const char *const folders[] = {"", "/best"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s%s/checkpoint", w.model_dir, folders[i]);
        char *before = test_read_text(path);
        char checkpoint[400];
        snprintf(checkpoint, sizeof checkpoint, "%s%s", w.model_dir,
                 i == 0 ? "/ckpt-2.det" : folders[i]);
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-export --pipeline_config_path %s --checkpoint %s --format "
                                  "tf_checkpoint --output_directory %s%s",
                                  w.config, checkpoint, w.model_dir, folders[i]),
                         1);
        assert_contains(out, "/checkpoint: is an input, which would be overwritten");
        char *after = test_read_text(path);
        assert_string_equal(before, after);
        free(before);
        free(after);
    }
    workspace_remove(&w);
}

/* What LiteRT's threads do to a TFLite file of three classes, and that its fast suppression is
 * another file. */
static void threads_of_tflite_files_are_told(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "export_tflite");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint data/vehicles.det --format tflite "
                              "--output_directory %s/a",
                              w.directory),
                     0);
    assert_contains(out, "1 thread, or 3 and more");
    assert_contains(out, "TFLite_Detection_PostProcess:3: float32 [1]");
    assert_true(is_there(&w, "a/model.tflite"));
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint data/vehicles.det --format tflite "
                              "--tflite_outputs fast_detections --output_directory %s/b",
                              w.directory),
                     0);
    assert_null(strstr(out, "leaves a class out"));
    assert_true(is_there(&w, "b/model.tflite"));
    workspace_remove(&w);
}

/* Each format's file finds what the model finds, so that the figures are one another's. */
static void files_are_evaluated(void **state)
{
    (void)state;
    struct workspace w;
    char path[400];
    workspace_make(&w, "export_eval");
    train(&w);
    if (run_tool(out, sizeof out,
                 "det-export --pipeline_config_path %s --trained_checkpoint_dir %s --checkpoint "
                 "%s/ckpt-4.det --output_directory %s/a --format det,onnx,tflite,ncnn "
                 "--eval %s/train.tfrecord --eval_images 6 --json %s/out.json",
                 w.config, w.model_dir, w.model_dir, w.directory, w.directory, w.directory) == 0)
        fail_msg("a folder and a checkpoint were both taken");
    if (run_tool(out, sizeof out,
                 "det-export --pipeline_config_path %s --checkpoint %s/ckpt-4.det "
                 "--output_directory %s/a --format det,onnx,tflite,ncnn "
                 "--eval %s/train.tfrecord --eval_images 6 --json %s/out.json",
                 w.config, w.model_dir, w.directory, w.directory, w.directory) != 0)
        fail_msg("%s", out);
    assert_contains(out, " on 6 images\n");
    snprintf(path, sizeof path, "%s/out.json", w.directory);
    char *text = test_read_text(path);
    cJSON *json = cJSON_Parse(text);
    const cJSON *exports = cJSON_GetObjectItem(json, "exports");
    const cJSON *first = cJSON_GetArrayItem(exports, 0), *each = NULL;
    assert_int_equal(cJSON_GetArraySize(exports), 4);
    cJSON_ArrayForEach(each, exports)
    {
        static const char *const figures[] = {"ap", "ap50"};
        assert_int_equal(cJSON_GetObjectItem(each, "images")->valueint, 6);
        for (int i = 0; i < 2; i++) {
            const double got = cJSON_GetObjectItem(each, figures[i])->valuedouble;
            assert_true(got >= 0);
            assert_near(cJSON_GetObjectItem(first, figures[i])->valuedouble, got, 1e-3);
        }
    }
    cJSON_Delete(json);
    free(text);
    /* What cannot be read costs nothing. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --checkpoint %s/ckpt-4.det "
                              "--output_directory %s/b --eval %s/nothing.tfrecord",
                              w.config, w.model_dir, w.directory, w.directory),
                     1);
    assert_contains(out, "nothing.tfrecord");
    assert_false(is_there(&w, "b/model.det"));
    workspace_remove(&w);
}

/* det_evaluation_settings.exported, beside the model itself. */
/* Whole, as TFLite beside it has it: the same AP from each. From the .det in 8 bits, too, which has
 * no other precision. */
static void check_tflite_in_8_bits(const struct workspace *w)
{
    char path[400];
    const char *folder = w->directory;
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/t --precision int8 --format det,tflite "
                              "--calibration %s/train.tfrecord --calibration_images 4 --observer "
                              "minmax --eval %s/test.tfrecord --max_drop 1 --json %s/t.json",
                              w->config, w->model_dir, folder, folder, folder, folder),
                     0);
    assert_contains(out, "largest difference of encodings 0, of scores 0\n");
    assert_contains(out, "serving_default_input:0: uint8 [1, ");
    snprintf(path, sizeof path, "%s/t.json", folder);
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    const cJSON *int8 = cJSON_GetObjectItem(tree, "int8");
    const cJSON *made = cJSON_GetObjectItem(tree, "exports");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(int8, "float_layers")) == 0);
    const cJSON *ap[2];
    for (int i = 0; i < 2; i++)
        ap[i] = cJSON_GetObjectItem(cJSON_GetArrayItem(made, i), "ap50");
    assert_true(cJSON_GetNumberValue(ap[0]) == cJSON_GetNumberValue(ap[1]));
    cJSON_Delete(tree);
    free(text);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/t/model.det --output_directory %s/u "
                              "--format tflite --tflite_outputs raw --input int8",
                              folder, folder),
                     0);
    assert_contains(out, "logits of the classes: ");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/t/model.det --output_directory %s/v "
                              "--format tflite --precision float32",
                              folder, folder),
                     1);
    assert_contains(out, "--precision float32: the model is in 8 bits already");
    assert_false(is_there(w, "v/model.tflite"));
}

/* From records and from a folder of image files; judged by AP; nothing is written when too much is
 * lost. */
static void a_model_is_exported_in_8_bits(void **state)
{
    (void)state;
    struct workspace w;
    char path[400];
    workspace_make(&w, "export_int8");
    train(&w);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/a --precision int8 --calibration "
                              "%s/train.tfrecord --calibration_images 4 --eval %s/test.tfrecord "
                              "--format det,onnx --max_drop 1 --json %s/a.json",
                              w.config, w.model_dir, w.directory, w.directory, w.directory,
                              w.directory),
                     0);
    assert_contains(out, "int8: ");
    assert_contains(out, " over 4 pictures");
    assert_contains(out, "  class                    float32    int8   float32    int8\n");
    assert_contains(out, "  cat ");
    assert_contains(out, "  det                                   AP              AP50\n");
    assert_contains(out, "  onnx                                  AP              AP50\n");
    assert_contains(out, "proved: ");
    assert_true(is_there(&w, "a/model.onnx"));
    snprintf(path, sizeof path, "%s/a.json", w.directory);
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    const cJSON *int8 = cJSON_GetObjectItem(tree, "int8");
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(int8, "images")), 4);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(int8, "sensitivity")),
                     cJSON_GetNumberValue(cJSON_GetObjectItem(int8, "layers")));
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(int8, "ap")) >= 0);
    cJSON_Delete(tree);
    free(text);
    check_tflite_in_8_bits(&w);
    /* What is in 8 bits already is exported as it is. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/a/model.det --format onnx "
                              "--output_directory %s/o",
                              w.directory, w.directory),
                     0);
    snprintf(path, sizeof path, "%s/a/model.onnx", w.directory);
    size_t one_bytes = 0, other_bytes = 0;
    char *one = test_read_bytes(path, &one_bytes);
    snprintf(path, sizeof path, "%s/o/model.onnx", w.directory);
    char *other = test_read_bytes(path, &other_bytes);
    assert_int_equal(one_bytes, other_bytes);
    assert_memory_equal(one, other, one_bytes);
    free(one);
    free(other);
    /* Smaller, and it runs, also as --precision int8, which the float32 model does not. */
    size_t bytes = 0, floats = 0;
    snprintf(path, sizeof path, "%s/a/model.det", w.directory);
    free(test_read_bytes(path, &bytes));
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/f",
                              w.config, w.model_dir, w.directory),
                     0);
    snprintf(path, sizeof path, "%s/f/model.det", w.directory);
    free(test_read_bytes(path, &floats));
    assert_true(bytes < floats);
    assert_int_equal(run_tool(out, sizeof out, "det-info %s/a/model.det", w.directory), 0);
    assert_contains(out, " over 4 pictures, ");
    static const struct data_file files[] = {{"a.png", NULL}, {"b.png", NULL}, {0}};
    snprintf(path, sizeof path, "%s/pictures", w.directory);
    data_files_write(path, files);
    const char *const runs[] = {"a", "f"};
    for (int i = 0; i < 2; i++) {
        const int status = run_tool(out, sizeof out,
                                    "det-detect %s/%s/model.det %s/a.png --precision int8 "
                                    "--device cpu --json %s/%s.json",
                                    w.directory, runs[i], path, w.directory, runs[i]);
        if ((status == 0) != (i == 0))
            fail_msg("%s: %s", runs[i], out);
    }
    assert_contains(out, "the model is in float32");
    /* All that it takes from a folder. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/f/model.det --output_directory %s/g "
                              "--precision int8 --calibration %s --observer minmax --int8_only",
                              w.directory, w.directory, path),
                     0);
    assert_contains(out, "ranges by minmax over 2 pictures");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --checkpoint %s/f/model.det --output_directory %s/h "
                              "--precision int8 --calibration %s/a",
                              w.directory, w.directory, w.directory),
                     1);
    assert_contains(out, "holds no image file");
    assert_false(is_there(&w, "h/model.det"));
    workspace_remove(&w);
}

static void an_evaluation_takes_exported_files(void **state)
{
    (void)state;
    static const det_export_input inputs[] = {DET_EXPORT_INPUT_IMAGE, DET_EXPORT_INPUT_FLOAT_NHWC,
                                              DET_EXPORT_INPUT_FLOAT_NCHW};
    struct test_env t;
    struct workspace w;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_model *model = NULL;
    det_evaluation *plain = NULL, *evaluation = NULL;
    det_evaluation_settings settings;
    test_env_init(&t);
    workspace_make(&w, "export_evaluation");
    det_context *context = workspace_context(&t, 2);
    assert_context_ok(context, det_pipeline_config_load(context, w.config, &config));
    assert_context_ok(context, det_trainer_create(context, config, NULL, &trainer));
    assert_context_ok(context, det_trainer_snapshot(trainer, &model));
    det_evaluation_settings_default(&settings);
    settings.as_exported = 1;
    settings.max_images = 2;
    assert_context_ok(context, det_evaluation_run(context, config, model, &settings, &plain));
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        det_export_settings exporting;
        det_export *exported = NULL;
        det_export_settings_default(&exporting);
        exporting.input = inputs[i];
        exporting.outputs = DET_EXPORT_OUTPUTS_RAW;
        exporting.batch = (int32_t)i; /* any number, 1, 2 */
        assert_context_ok(context,
                          det_export_create(context, model, "onnx", &exporting, &exported));
        settings.exported = exported;
        assert_context_ok(context,
                          det_evaluation_run(context, config, model, &settings, &evaluation));
        const det_coco_result *a = det_evaluation_coco(plain), *b = det_evaluation_coco(evaluation);
        assert_int_equal(a->detections, b->detections);
        for (int s = 0; s < DET_COCO_STAT_COUNT; s++)
            assert_near(a->stats[s], b->stats[s], 1e-3);
        det_evaluation_destroy(&evaluation);
        for (long n = 1; i == 0; n += 1 + n / 4) {
            test_env_fail_at(&t, n);
            const det_status status =
                det_evaluation_run(context, config, model, &settings, &evaluation);
            test_env_fail_at(&t, 0);
            det_evaluation_destroy(&evaluation);
            if (status == DET_OK)
                break;
            assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        }
        det_tile_settings tiles;
        det_tile_settings_default(&tiles);
        settings.tiles = &tiles;
        assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "not looked at in tiles",
                             det_evaluation_run(context, config, model, &settings, &evaluation));
        settings.tiles = NULL;
        det_export_destroy(&exported);
    }
    det_evaluation_destroy(&plain);
    det_model_destroy(&model);
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    workspace_remove(&w);
    test_env_check(&t);
}

int test_export_tool(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_of_a_folder_is_exported),
        cmocka_unit_test(what_was_written_is_said_as_json),
        cmocka_unit_test(wrong_command_lines_are_told),
        cmocka_unit_test(formats_are_collected),
        cmocka_unit_test(help_names_all_formats),
        cmocka_unit_test(nothing_that_is_read_is_replaced),
        cmocka_unit_test(threads_of_tflite_files_are_told),
        cmocka_unit_test(files_are_evaluated),
        cmocka_unit_test(a_model_is_exported_in_8_bits),
        cmocka_unit_test(an_evaluation_takes_exported_files),
    };
    return cmocka_run_group_tests_name("export_tool", tests, NULL, NULL);
}
