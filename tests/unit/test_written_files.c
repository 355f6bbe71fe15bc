/* Every JSON, SVG, XML and HTML that a tool or the library writes is read by another parser, with
 * class names, splits and paths that would break one that was put together without care. */
#include <sys/stat.h>

#include "data/image.h"
#include "formats/weights_layout.h"
#include "support/parsed.h"
#include "support/run_tool.h"
#include "support/workspace.h"

/* Of classes, as a label map has them, as they are, and as they are in files (bytes that are no
 * UTF-8 as support/text.h says). */
#define QUOTES_IN_MAP "a\\\"b\\\\c' </text>]]>&"
#define QUOTES        "a\"b\\c' </text>]]>&"
#define BYTES_IN_MAP  "x\\001\\033\\n\\t\\357\\277\\276\\377"
#define BYTES         "x\x01\x1b\n\t\xef\xbf\xbe%FF"
/* What XML has not is "?" there. */
#define BYTES_IN_XML "x?????%FF"
/* Of a folder, and as it is in files. */
#define FOLDER          "q\"u'o\\te\n<&>\x01\xff"
#define FOLDER_IN_FILES "q\"u'o\\te\n<&>\x01%FF"

struct places {
    struct workspace w;
    char folder[400];   /* below the workspace, called FOLDER; in $HERE of the tools */
    char in_files[400]; /* as files have it */
};

static char out[1 << 18];

static char *read_file(const struct places *p, const char *name)
{
    char path[800];
    snprintf(path, sizeof path, "%s/%s", p->folder, name);
    return test_read_text(path);
}

/* Runs a tool whose words may have "$HERE" in them. */
static void run(const char *command)
{
    if (run_tool(out, sizeof out, "%s", command) != 0)
        fail_msg("%s\n%s", command, out);
}

static cJSON *json_of(const struct places *p, const char *name)
{
    char *text = read_file(p, name);
    cJSON *json = parsed_json(text, name);
    free(text);
    return json;
}

static void assert_holds(const cJSON *json, const char *what, const char *string)
{
    if (!parsed_json_holds(json, string))
        fail_msg("%s holds no %s", what, string);
}

static void assert_xml_holds(const struct places *p, const char *name, const char *first,
                             const char *second)
{
    char *text = read_file(p, name), *values = NULL;
    if (parsed_xml(text, name, &values)) {
        assert_contains(values, first);
        assert_contains(values, second);
    }
    free(values);
    free(text);
}

static void open_places(struct places *p, const char *name)
{
    char path[800];
    workspace_make(&p->w, name);
    snprintf(path, sizeof path, "%s/label_map.pbtxt", p->w.directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("item { id: 1 name: 'cat' display_name: \"" QUOTES_IN_MAP "\" }\n"
          "item { id: 2 name: 'dog' display_name: \"" BYTES_IN_MAP "\" }\n",
          file);
    assert_int_equal(fclose(file), 0);
    snprintf(p->folder, sizeof p->folder, "%s/" FOLDER, p->w.directory);
    snprintf(p->in_files, sizeof p->in_files, "%s/%s", p->w.directory, FOLDER_IN_FILES);
    assert_int_equal(mkdir(p->folder, 0777), 0);
    setenv("HERE", p->folder, 1);
    setenv("CONFIG", p->w.config, 1);
}

static void close_places(struct places *p)
{
    unsetenv("HERE");
    unsetenv("CONFIG");
    workspace_remove(&p->w);
}

/* The header of a .det file is JSON, padded with zeros. */
static void assert_det_file(const struct places *p, const char *name)
{
    char path[800];
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/%s", p->folder, name);
    char *file = test_read_bytes(path, &bytes);
    assert_true(bytes > WEIGHTS_FIXED_BYTES);
    uint64_t length = 0;
    memcpy(&length, file + WEIGHTS_AT_HEADER_BYTES, sizeof length);
    assert_true(length < bytes - WEIGHTS_FIXED_BYTES);
    file[WEIGHTS_FIXED_BYTES + length] = '\0';
    cJSON *json = parsed_json(file + WEIGHTS_FIXED_BYTES, name);
    assert_string_equal(parsed_string(json, "meta/classes/0"), QUOTES);
    assert_string_equal(parsed_string(json, "meta/classes/1"), BYTES);
    assert_true(cJSON_IsNumber(parsed_at(json, "meta/spec/num_classes")));
    assert_true(cJSON_IsNumber(parsed_at(json, "tensors/0/shape/0")));
    cJSON_Delete(json);
    free(file);
}

static void train_evaluate_and_plot(struct places *p)
{
    char path[800];
    run("det-train --pipeline_config_path \"$CONFIG\" --model_dir \"$HERE/run\" --num_train_steps "
        "2 "
        "--eval_every 2 --pictures_every 0");
    assert_det_file(p, "run/ckpt-2.det");
    run("det-eval --pipeline_config_path \"$CONFIG\" --checkpoint_dir \"$HERE/run\" --once "
        "--report_dir \"$HERE/report\" --json \"$HERE/eval.json\"");
    cJSON *json = json_of(p, "eval.json");
    snprintf(path, sizeof path, "%s/run/ckpt-2.det", p->in_files);
    assert_string_equal(parsed_string(json, "checkpoint"), path);
    assert_string_equal(parsed_string(json, "coco/classes/0/name"), QUOTES);
    assert_string_equal(parsed_string(json, "exported/coco/classes/1/name"), BYTES);
    cJSON_Delete(json);
    static const char *const reports[] = {"report/pr_curves.json", "report/ground_truth.json"};
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
        json = json_of(p, reports[i]);
        assert_holds(json, reports[i], QUOTES);
        assert_holds(json, reports[i], BYTES);
        cJSON_Delete(json);
    }
    cJSON_Delete(json_of(p, "report/detections.json"));
    cJSON_Delete(json_of(p, "report/thresholds.json"));
    assert_xml_holds(p, "report/pr_curves.svg", QUOTES, "x\\x01\\x1b\\n\\t?");
    run("det-eval --ground_truth \"$HERE/report/ground_truth.json\" --detections "
        "\"$HERE/report/detections.json\" --json \"$HERE/files.json\"");
    json = json_of(p, "files.json");
    assert_string_equal(parsed_string(json, "coco/classes/0/name"), QUOTES);
    cJSON_Delete(json);
    run("det-plot \"$HERE/run\" --output \"$HERE/page.html\"");
    assert_xml_holds(p, "page.html", QUOTES, "q\"u'o\\te\\n<&>\\x01\\xff");
    run("det-export --pipeline_config_path \"$CONFIG\" --checkpoint \"$HERE/run/ckpt-2.det\" "
        "--output_directory \"$HERE\"");
    assert_det_file(p, "model.det");
}

static void write_picture(const struct places *p, const char *name)
{
    char path[800];
    snprintf(path, sizeof path, "%s/%s", p->folder, name);
    static uint8_t rgb[64 * 48 * 3];
    const struct det_image image = {.width = 64, .height = 48, .rgb = rgb};
    struct det_env env;
    det_env_default(&env);
    assert_ok(&env, det_image_write(&env, path, &image));
}

static void detect(struct places *p)
{
    write_picture(p, "a\"\\\n\xff.png");
    run("det-detect \"$HERE/model.det\" \"$HERE\"/a*.png --threshold 0 --json \"$HERE/d.json\" "
        "--coco \"$HERE/c.json\" --coco_results \"$HERE/r.json\" --cvat \"$HERE/cvat.xml\" --yolo "
        "\"$HERE/yolo\" 2>/dev/null");
    cJSON *json = json_of(p, "d.json");
    assert_contains(parsed_string(json, "image"), "a\"\\\n%FF.png");
    assert_holds(json, "d.json", QUOTES);
    assert_holds(json, "d.json", BYTES);
    cJSON_Delete(json);
    json = json_of(p, "c.json");
    assert_string_equal(parsed_string(json, "images/0/file_name"), "a\"\\\n%FF.png");
    assert_string_equal(parsed_string(json, "categories/1/name"), BYTES);
    assert_true(cJSON_GetArraySize(parsed_at(json, "annotations")) > 0);
    cJSON_Delete(json);
    json = json_of(p, "r.json");
    assert_true(cJSON_IsNumber(parsed_at(json, "0/score")));
    cJSON_Delete(json);
    assert_xml_holds(p, "cvat.xml", QUOTES, BYTES_IN_XML);
    char *classes = read_file(p, "yolo/classes.txt");
    assert_string_equal(classes, QUOTES "\nx\\x01\\x1b\\n\\t\xef\xbf\xbe%FF\n");
    free(classes);
    run("det-detect \"$HERE/model.det\" \"$HERE\"/a*.png --threshold 0 --track --count_line "
        "0,.5,1,.5 "
        "--counts \"$HERE/counts.json\" --json \"$HERE/tracks.json\"");
    json = json_of(p, "counts.json");
    assert_true(cJSON_IsNumber(parsed_at(json, "line 1/forward/all")));
    assert_holds(json, "counts.json", QUOTES);
    assert_holds(json, "counts.json", BYTES);
    cJSON_Delete(json);
    cJSON_Delete(json_of(p, "tracks.json"));
    run("det-bench \"$HERE/model.det\" --repeat 1 --json \"$HERE/bench.json\"");
    char path[800];
    snprintf(path, sizeof path, "%s/model.det", p->in_files);
    json = json_of(p, "bench.json");
    assert_string_equal(parsed_string(json, "model"), path);
    cJSON_Delete(json);
}

static void models_of_awkward_classes(void **state)
{
    (void)state;
    struct places p;
    open_places(&p, "written_models");
    train_evaluate_and_plot(&p);
    detect(&p);
    close_places(&p);
}

static void data_sets_of_awkward_names(void **state)
{
    (void)state;
    struct places p;
    open_places(&p, "written_data");
    char path[800];
    write_picture(&p, "a\"b.png");
    snprintf(path, sizeof path, "%s/set.csv", p.folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("filename,width,height,class,xmin,ymin,xmax,ymax\n"
          "\"a\"\"b.png\",64,48,\"a\"\"b\\c' </text>]]>&\",1,1,20,20\n"
          "\"a\"\"b.png\",64,48,\"x\x01\x1b\xef\xbf\xbe\",10,10,30,40\n",
          file);
    assert_int_equal(fclose(file), 0);
    run("det-data stats \"$HERE/set.csv\" --json \"$HERE/stats.json\"");
    cJSON *json = json_of(&p, "stats.json");
    assert_string_equal(parsed_string(json, "all/classes/0/name"), QUOTES);
    assert_string_equal(parsed_string(json, "splits/0/classes/1/name"), "x\x01\x1b\xef\xbf\xbe");
    cJSON_Delete(json);
    run("det-data check \"$HERE/set.csv\" --json \"$HERE/check.json\"");
    json = json_of(&p, "check.json");
    assert_true(cJSON_IsNumber(parsed_at(json, "rules")->child));
    cJSON_Delete(json);
    run("det-data convert \"$HERE/set.csv\" --to coco --output \"$HERE/coco\"");
    json = json_of(&p, "coco/annotations/instances_set.json");
    assert_string_equal(parsed_string(json, "categories/0/name"), QUOTES);
    assert_string_equal(parsed_string(json, "images/0/file_name"), "a\"b.png");
    cJSON_Delete(json);
    run("det-data convert \"$HERE/set.csv\" --to voc --output \"$HERE/voc\"");
    assert_xml_holds(&p, "voc/Annotations/a\"b.xml", QUOTES, "\nx???\n");
    run("det-data convert \"$HERE/set.csv\" --to cvat-xml --output \"$HERE/cvat\"");
    assert_xml_holds(&p, "cvat/annotations.xml", QUOTES, "\nx???\n");
    close_places(&p);
}

int test_written_files(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_of_awkward_classes),
        cmocka_unit_test(data_sets_of_awkward_names),
    };
    return cmocka_run_group_tests_name("written_files", tests, NULL, NULL);
}
