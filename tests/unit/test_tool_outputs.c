/* What the tools write and print, and where to: standard output, devices, FIFOs, their own
 * inputs. */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "convert/writers.h"
#include "data/image.h"
#include "support/io.h"
#include "support/parsed.h"
#include "support/records.h"
#include "support/shell.h"
#include "support/utf8.h"
#include "support/workspace.h"

static char out[200000], err[200000];

static void read_into(char *to, size_t room, const char *path)
{
    size_t bytes = 0;
    char *text = test_read_bytes(path, &bytes);
    assert_true(bytes < room);
    memcpy(to, text, bytes + 1);
    free(text);
}

/* Runs a command line in which @ stands for the tools' folder and % for `folder`; what it prints is
 * in `out` and `err`. */
static int tool(const char *folder, const char *command)
{
    char line[3000];
    size_t used = 0;
    const char *bin = getenv("DET_BIN_DIR") != NULL ? getenv("DET_BIN_DIR") : "build/release/bin";
    used += (size_t)snprintf(line, sizeof line, "{ ");
    for (const char *c = command; *c != '\0'; c++) {
        const char one[2] = {*c, '\0'};
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s",
                                 *c == '@'   ? bin
                                 : *c == '%' ? folder
                                             : one,
                                 *c == '@' ? "/" : "");
    }
    snprintf(line + used, sizeof line - used, "; } > %s/out 2> %s/err", folder, folder);
    char path[400];
    snprintf(path, sizeof path, "%s.sh", folder); /* beside it: who looks into it finds no more */
    FILE *script = fopen(path, "w");
    assert_non_null(script);
    assert_true(fputs(line, script) >= 0 && fclose(script) == 0);
    const int status = shell("sh %s", path);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/out", folder);
    read_into(out, sizeof out, path);
    snprintf(path, sizeof path, "%s/err", folder);
    read_into(err, sizeof err, path);
    return status;
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[600];
    struct det_env env;
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(&env, det_write_file(&env, path, text, strlen(text)));
}

static void write_picture(const char *folder, const char *name)
{
    static uint8_t rgb[64 * 48 * 3];
    struct det_image image = {.width = 64, .height = 48, .rgb = rgb};
    char path[600];
    struct det_env env;
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(&env, det_image_write(&env, path, &image));
}

static void assert_json_alone(const char *text)
{
    cJSON_Delete(parsed_json(text, "standard output"));
}

static const char coco_files[] = "--ground_truth tests/golden/coco_eval/ties.gt.json --detections "
                                 "tests/golden/coco_eval/ties.dt.json";

/* --- standard output --- */

static void json_alone_on_standard_output(void **state)
{
    (void)state;
    char folder[256], command[600];
    test_make_directory(folder, "json");
    write_picture(folder, "a.png");
    write_text(folder, "a.csv",
               "filename,width,height,class,xmin,ymin,xmax,ymax\n"
               "a.png,64,48,cat,1,1,20,20\n");
    snprintf(command, sizeof command, "@det-eval %s --json -", coco_files);
    assert_int_equal(tool(folder, command), 0);
    assert_json_alone(out);
    assert_contains(err, "Average Precision");
    assert_int_equal(tool(folder, "@det-data check %/a.csv --json -"), 0);
    assert_json_alone(out);
    assert_contains(err, "0 errors, ");
    assert_int_equal(tool(folder, "@det-data stats %/a.csv --json -"), 0);
    assert_json_alone(out);
    assert_contains(err, "cat ");
    assert_int_equal(tool(folder, "@det-info data/vehicles.det --json -"), 0);
    assert_json_alone(out);
    assert_contains(out, "\"classes\": [{\"id\": 1, \"name\": \"car\"}");
    assert_contains(err, "1 car");
    assert_int_equal(tool(folder, "@det-info --json -"), 0);
    assert_json_alone(out);
    assert_contains(out, "\"instruction_sets\": [");
    assert_int_equal(tool(folder, "@det-bench data/vehicles.det --repeat 1 --json -"), 0);
    assert_json_alone(out);
    assert_contains(err, "images/s: network ");
    assert_int_equal(tool(folder, "@det-detect data/vehicles.det %/a.png --coco -"), 0);
    assert_json_alone(out);
    assert_int_equal(tool(folder, "@det-detect data/vehicles.det %/a.png --coco_results -"), 0);
    assert_json_alone(out);
    assert_int_equal(tool(folder, "@det-detect data/vehicles.det %/a.png --cvat -"), 0);
    assert_contains(out, "</annotations>\n");
    static const char *const names[] = {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(command, sizeof command, "@det-eval %s --json %s", coco_files, names[i]);
        assert_int_equal(tool(folder, command), 0);
        assert_json_alone(out);
        assert_contains(err, "Average Precision");
    }
    assert_int_not_equal(access("-", F_OK), 0);
    test_remove_tree(folder);
}

/* Lines of JSON: one for each of the log's, one for each evaluation. */
static void a_training_as_json(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "@det-train --pipeline_config_path %/pipeline.config --model_dir %/a --log_every 4 "
        "--eval_every 6 --json -",
        "@det-train --pipeline_config_path %/pipeline.config --model_dir %/b --log_every 4 "
        "--eval_every 6 --json %/b.json --quiet; cat %/b.json"};
    struct workspace w;
    workspace_make(&w, "training_json");
    for (size_t i = 0; i < 2; i++) {
        char seen[200] = "", *rest = NULL;
        assert_int_equal(tool(w.directory, commands[i]), 0);
        for (char *line = strtok_r(out, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            cJSON *tree = parsed_json(line, "a line");
            const cJSON *step = cJSON_GetObjectItem(tree, "step");
            const cJSON *evaluated = cJSON_GetObjectItem(tree, "evaluated_step");
            const cJSON *loss = cJSON_GetObjectItem(tree, "loss");
            const size_t used = strlen(seen);
            assert_true(cJSON_GetObjectItem(loss, "total")->valuedouble > 0);
            if (step != NULL) {
                snprintf(seen + used, sizeof seen - used, "%d ", step->valueint);
                assert_int_equal(cJSON_GetObjectItem(tree, "num_steps")->valueint, 12);
                assert_true(cJSON_GetObjectItem(tree, "eta_s")->valuedouble >= 0);
                assert_true(cJSON_GetObjectItem(tree, "images_per_second")->valuedouble > 0);
            } else {
                snprintf(seen + used, sizeof seen - used, "e%d ", evaluated->valueint);
                assert_true(cJSON_IsNumber(cJSON_GetObjectItem(tree, "AP50")));
            }
            cJSON_Delete(tree);
        }
        assert_string_equal(seen, "1 4 e6 8 12 e12 ");
        if (i == 0)
            assert_contains(err, "Step 4 per-step time ");
        else
            assert_string_equal(err, "");
    }
    /* A reader that goes away ends no training. */
    assert_int_equal(tool(w.directory, "@det-train --pipeline_config_path %/pipeline.config "
                                       "--model_dir %/c --log_every 1 --json - | true; test -e "
                                       "%/c/ckpt-12.det"),
                     0);
    workspace_remove(&w);
}

static void what_cannot_be_printed_is_an_error(void **state)
{
    (void)state;
    static const char *const commands[] = {"@det-info",
                                           "@det-info --help",
                                           "@det-info data/vehicles.det",
                                           "@det-detect --help",
                                           "@det-data stats %/a.csv",
                                           "@det-data check %/a.csv",
                                           "@det-detect data/vehicles.det %/a.png",
                                           "@det-detect data/vehicles.det %/a.png --csv -",
                                           "@det-bench data/vehicles.det --repeat 1",
                                           "@det-plot --help",
                                           "@det-bench data/vehicles.det --repeat 1 --json -",
                                           "@det-demo-data --help"};
    char folder[256], command[600];
    test_make_directory(folder, "full");
    write_picture(folder, "a.png");
    write_text(folder, "a.csv",
               "filename,width,height,class,xmin,ymin,xmax,ymax\n"
               "a.png,64,48,cat,1,1,20,20\n");
    if (access("/dev/full", W_OK) != 0) {
        print_message("skipped: no /dev/full here\n");
        skip();
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        snprintf(command, sizeof command, "%s > /dev/full", commands[i]);
        if (tool(folder, command) != 1)
            fail_msg("%s: ended well", command);
        assert_contains(err, "standard output: cannot write: No space left on device");
    }
    /* Closed: not a file of ours gets its number, and it is told. */
    snprintf(command, sizeof command, "@det-eval %s --json %%/result.json >&-", coco_files);
    assert_int_equal(tool(folder, command), 1);
    assert_contains(err, "standard output: cannot write: Bad file descriptor");
    char path[400];
    snprintf(path, sizeof path, "%s/result.json", folder);
    read_into(out, sizeof out, path);
    assert_json_alone(out);
    snprintf(command, sizeof command, "{ sleep 1; @det-eval %s --json /dev/stdout; } | true",
             coco_files); /* and no waiting for a reader */
    assert_int_equal(tool(folder, command), 0);
    assert_contains(err, "cannot write: Broken pipe");
    /* Nobody reads on: an error, not a death. */
    assert_int_equal(tool(folder,
                          "{ @det-detect data/vehicles.det %/a.png %/a.png %/a.png %/a.png --csv "
                          "%/kept.csv --json -; echo $? > %/rc; } | true"),
                     0);
    snprintf(path, sizeof path, "%s/rc", folder);
    read_into(out, sizeof out, path);
    assert_true(strcmp(out, "1\n") == 0 || strcmp(out, "0\n") == 0); /* `true` may be slow */
    snprintf(path, sizeof path, "%s/kept.csv", folder);
    assert_int_equal(access(path, F_OK), 0);
    test_remove_tree(folder);
}

/* --- nodes and links --- */

static void nodes_and_links_stay(void **state)
{
    (void)state;
    static const char *const tools[] = {
        "@det-detect data/vehicles.det %%/a.png --json %s",
        "@det-detect data/vehicles.det %%/a.png --csv %s",
        "@det-detect data/vehicles.det %%/a.png --coco %s",
        "@det-eval --ground_truth tests/golden/coco_eval/ties.gt.json --detections "
        "tests/golden/coco_eval/ties.dt.json --json %s",
        "@det-bench data/vehicles.det --repeat 1 --json %s",
        "@det-data stats %%/a.csv --json %s",
        "@det-data check %%/a.csv --json %s",
        "@det-plot %%/run --output %s"};
    char folder[256], command[600], path[300], text[400];
    det_context *context = NULL;
    det_summary_writer *writer = NULL;
    test_make_directory(folder, "nodes");
    write_picture(folder, "a.png");
    write_text(folder, "a.csv",
               "filename,width,height,class,xmin,ymin,xmax,ymax\n"
               "a.png,64,48,cat,1,1,20,20\n");
    snprintf(path, sizeof path, "%s/run/train", folder);
    assert_int_equal(det_context_create(&context, NULL), DET_OK);
    assert_context_ok(context, det_summary_writer_create(context, path, &writer));
    assert_context_ok(context, det_summary_scalar(writer, "Loss/total_loss", 1, 1));
    det_summary_writer_destroy(&writer);
    det_context_destroy(&context);
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        struct stat info;
        char *place = strstr(tools[i], "%s");
        snprintf(text, sizeof text, "%.*s", (int)(place - tools[i]), tools[i]);
        for (char *c = text; (c = strstr(c, "%%")) != NULL; c++)
            memmove(c, c + 1, strlen(c));
        /* A FIFO with a reader. */
        snprintf(command, sizeof command,
                 "rm -f %%/fifo; mkfifo %%/fifo; cat %%/fifo > %%/came & %s%%/fifo > /dev/null; "
                 "wait; test -p %%/fifo -a -s %%/came",
                 text);
        if (tool(folder, command) != 0)
            fail_msg("%s: %s", command, err);
        /* A link to a file of mode 600. */
        snprintf(command, sizeof command,
                 "echo old > %%/file; chmod 600 %%/file; ln -sf file %%/link; %s%%/link > "
                 "/dev/null",
                 text);
        assert_int_equal(tool(folder, command), 0);
        snprintf(path, sizeof path, "%s/link", folder);
        assert_int_equal(lstat(path, &info), 0);
        assert_true(S_ISLNK(info.st_mode));
        snprintf(path, sizeof path, "%s/file", folder);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07777, 0600);
        assert_true(info.st_size > 10);
        snprintf(path, sizeof path, "%s/null", folder);
        if (geteuid() != 0 || (mknod(path, S_IFCHR | 0666, makedev(1, 3)) != 0))
            continue;
        snprintf(command, sizeof command, "%s%%/null > /dev/null", text);
        assert_int_equal(tool(folder, command), 0);
        assert_int_equal(stat(path, &info), 0);
        assert_true(S_ISCHR(info.st_mode));
        assert_int_equal(unlink(path), 0);
    }
    test_remove_tree(folder);
}

/* --- inputs --- */

static void assert_refused(const char *folder, const char *command, const char *message)
{
    if (tool(folder, command) != 1)
        fail_msg("%s: was done: %s", command, err);
    if (strstr(err, message) == NULL)
        fail_msg("%s: said %s", command, err);
}

static void inputs_are_not_overwritten(void **state)
{
    (void)state;
    char folder[256];
    static const char overwritten[] = "is an input, which would be overwritten";
    struct det_env env;
    char path[400];
    det_env_default(&env);
    test_make_directory(folder, "inputs");
    write_picture(folder, "a.png");
    snprintf(path, sizeof path, "%s/train.tfrecord", folder);
    test_write_records(&env, path, 3);
    assert_int_equal(tool(folder, "cp data/vehicles.det %/m.det; ln %/m.det %/hard; ln -s m.det "
                                  "%/soft; cp tests/golden/coco_eval/ties.gt.json %/gt.json; cp "
                                  "tests/golden/coco_eval/ties.dt.json %/dt.json; mkdir %/rep; cp "
                                  "%/gt.json %/rep/ground_truth.json; (cd % && sha256sum *.* > "
                                  "sums.txt)"),
                     0);
    assert_refused(folder, "@det-detect %/m.det %/a.png --json %/m.det", overwritten);
    assert_refused(folder, "@det-detect %/m.det %/a.png --json %/hard", overwritten);
    assert_refused(folder, "@det-detect %/m.det %/a.png --csv %/soft", overwritten);
    assert_refused(folder, "@det-detect %/m.det %/a.png --csv %/a.png", overwritten);
    assert_refused(folder, "@det-detect %/m.det %/a.png --json %/x --csv %/./x",
                   "is the same file as --json");
    assert_refused(folder, "@det-detect %/m.det %/a.png --json - --csv -",
                   "is the same file as --json");
    assert_refused(folder, "@det-bench %/m.det --json %/table > %/table",
                   "is where standard output goes");
    assert_refused(folder, "@det-bench %/m.det --json %/m.det", overwritten);
    assert_refused(folder,
                   "@det-eval --ground_truth %/gt.json --detections %/dt.json --json %/dt.json",
                   overwritten);
    assert_refused(folder,
                   "@det-eval --ground_truth %/rep/ground_truth.json --detections %/dt.json "
                   "--report_dir %/rep",
                   overwritten);
    assert_refused(folder,
                   "@det-eval --ground_truth %/gt.json --detections %/dt.json --report_dir %/rep2 "
                   "--json %/rep2/thresholds.json",
                   "is the same file as --report_dir");
    assert_refused(folder, "@det-data split %/train.tfrecord --split train=.5,val=.5 --output %",
                   overwritten);
    assert_refused(folder, "@det-data convert % --to tfrecord --output %",
                   "is a source, which would be overwritten");
    assert_refused(folder, "@det-data stats %/train.tfrecord --json %/train.tfrecord", overwritten);
    assert_refused(folder, "@det-data show %/train.tfrecord --output %/train.tfrecord",
                   "is a source, which would be overwritten");
    assert_refused(folder,
                   "@det-eval --ground_truth %/gt.json --detections %/dt.json --json %/no/x",
                   "No such file or directory");
    assert_int_equal(tool(folder, "cd % && sha256sum -c --quiet sums.txt && test ! -e val.tfrecord "
                                  "-a ! -e label_map.pbtxt"),
                     0);
    test_remove_tree(folder);
}

static void what_a_config_names_is_not_overwritten(void **state)
{
    (void)state;
    static const char *const named[] = {"test.tfrecord", "label_map.pbtxt", "pipeline.config"};
    struct workspace w;
    workspace_make(&w, "named");
    assert_int_equal(tool(w.directory, "@det-train --pipeline_config_path %/pipeline.config "
                                       "--model_dir %/run --num_train_steps 1 --nosummaries && (cd "
                                       "% && sha256sum *.* > sums.txt)"),
                     0);
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        char command[300];
        snprintf(command, sizeof command,
                 "@det-eval --pipeline_config_path %%/pipeline.config --checkpoint_dir %%/run "
                 "--once --json %%/%s",
                 named[i]);
        assert_refused(w.directory, command, "is an input, which would be overwritten");
    }
    assert_int_equal(tool(w.directory, "cd % && sha256sum -c --quiet sums.txt"), 0);
    workspace_remove(&w);
}

static void export_and_plot_keep_their_sources(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "sources");
    assert_int_equal(tool(w.directory, "@det-train --pipeline_config_path %/pipeline.config "
                                       "--model_dir %/run --num_train_steps 2"),
                     0);
    assert_refused(w.directory,
                   "cp %/run/ckpt-2.det %/model.det; @det-export --pipeline_config_path "
                   "%/pipeline.config --checkpoint %/model.det --output_directory %",
                   "is an input, which would be overwritten");
    assert_int_equal(tool(w.directory, "cmp %/model.det %/run/ckpt-2.det"), 0);
    /* Nothing gets in front of JSON, not even what is told before the export begins. */
    assert_int_equal(tool(w.directory, "mkdir %/run/best && cp %/run/ckpt-2.det %/run/best && "
                                       "@det-export --pipeline_config_path %/pipeline.config "
                                       "--trained_checkpoint_dir %/run --output_directory "
                                       "%/said --json -"),
                     0);
    assert_json_alone(out);
    assert_contains(err, "The best checkpoint of ");
    assert_int_equal(tool(w.directory, "rm -r %/run/best"), 0);
    assert_refused(w.directory, "@det-plot %/run --output %/run/train/events.out.*",
                   "is an input, which would be overwritten");
    assert_refused(w.directory,
                   "@det-eval --pipeline_config_path %/pipeline.config --checkpoint_dir %/run "
                   "--once --json %/run/ckpt-2.det",
                   "is an input, which would be overwritten");
    /* Beside its own config it may export. */
    assert_int_equal(tool(w.directory, "rm %/model.det; @det-export --pipeline_config_path "
                                       "%/pipeline.config --trained_checkpoint_dir %/run "
                                       "--output_directory %"),
                     0);
    /* And an evaluation's own results may be written again. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(tool(w.directory, "@det-eval --pipeline_config_path %/pipeline.config "
                                           "--checkpoint_dir %/run --once --json %/run/eval.json "
                                           "--report_dir %/run/report"),
                         0);
    assert_int_equal(tool(w.directory, "@det-plot %/run --output -"), 0);
    assert_contains(out, "</html>");
    assert_null(strstr(out, "report.html"));
    workspace_remove(&w);
}

/* --- names --- */

/* Lines of text and nothing else. */
static void assert_harmless(const char *text, const char *what)
{
    if (!det_utf8_valid(text))
        fail_msg("%s: not UTF-8: %s", what, text);
    for (const char *c = text; *c != '\0'; c++)
        if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f)
            fail_msg("%s: byte %02x in: %s", what, (unsigned)(unsigned char)*c, text);
}

static void names_do_no_harm(void **state)
{
    (void)state;
    struct workspace w;
    char path[400];
    workspace_make(&w, "names");
    write_text(w.directory, "label_map.pbtxt",
               "item { id: 1 name: 'cat' display_name: 'c\\033]0;x\\007a\\xe2\\x80\\xaet\\nerror: "
               "forged' }\nitem { id: 2 name: 'dog' display_name: 'd\\xe9<&\"\\x9b og' }\n");
    assert_int_equal(tool(w.directory,
                          "@det-train --pipeline_config_path %/pipeline.config --model_dir %/run "
                          "--num_train_steps 2 --eval_every 2 --pictures_every 0"),
                     0);
    assert_harmless(out, "det-train");
    assert_harmless(err, "det-train");
    assert_contains(out, "c\\x1b]0;x\\x07a\\u202et\\nerror: forged");
    assert_int_equal(tool(w.directory,
                          "@det-eval --pipeline_config_path %/pipeline.config --checkpoint_dir "
                          "%/run --once --report_dir %/report --json %/eval.json"),
                     0);
    assert_harmless(out, "det-eval");
    assert_harmless(err, "det-eval");
    snprintf(path, sizeof path, "%s/eval.json", w.directory);
    read_into(out, sizeof out, path);
    assert_json_alone(out);
    assert_contains(out, "\"c\\u001b]0;x\\u0007a\xe2\x80\xaet\\u000aerror: forged\"");
    snprintf(path, sizeof path, "%s/report/pr_curves.svg", w.directory);
    read_into(out, sizeof out, path);
    assert_harmless(out, "pr_curves.svg");
    char *values = NULL;
    parsed_xml(out, "pr_curves.svg", &values);
    free(values);
    assert_int_equal(tool(w.directory, "@det-plot %/run --output -"), 0);
    assert_harmless(out, "det-plot");
    assert_int_equal(tool(w.directory, "@det-info %/run/ckpt-2.det"), 0);
    assert_harmless(out, "det-info");
    assert_contains(out, "  2 classes: 1 c\\x1b]0;");
    /* Names of files, in errors, tables and lines. */
    assert_int_equal(tool(w.directory,
                          "f=$(printf '%/x\\033[31m\\n\\377.png'); @det-detect data/vehicles.det "
                          "\"$f\"; @det-info \"$f.det\"; @det-info \"$f.config\"; @det-plot "
                          "\"$f\"; @det-data stats \"$f.csv\"; @det-eval --no\"$f\"; @det-train "
                          "--pipeline_config_path \"$f\" --model_dir x"),
                     1);
    assert_harmless(out, "files");
    assert_harmless(err, "files");
    assert_contains(err, "x\\x1b[31m\\n\\xff.png: No such file or directory");
    workspace_remove(&w);
}

/* --- what is told --- */

/* Nothing but errors, and what was asked for. */
static void quiet_is_quiet(void **state)
{
    (void)state;
    static const char *const silent[] = {
        "@det-train --pipeline_config_path %/pipeline.config --model_dir %/run --num_train_steps 2 "
        "--eval_every 2 --quiet",
        "@det-eval --pipeline_config_path %/pipeline.config --checkpoint_dir %/run --once --quiet",
        "@det-eval --pipeline_config_path %/pipeline.config --checkpoint_dir %/run --quiet",
        "@det-export --pipeline_config_path %/pipeline.config --trained_checkpoint_dir %/run "
        "--output_directory %/exported --quiet",
        "@det-info %/run/ckpt-2.det --quiet",
        "@det-info --quiet",
        "@det-plot %/run --quiet",
        "@det-bench data/vehicles.det --repeat 1 --quiet",
        "@det-data stats %/train.tfrecord --quiet",
        "@det-data check %/train.tfrecord --quiet",
        "@det-data convert %/train.tfrecord --to coco --output %/coco --quiet",
        "@det-detect data/vehicles.det %/a.png --output %/b.png --json %/b.json --quiet"};
    struct workspace w;
    workspace_make(&w, "quiet");
    write_picture(w.directory, "a.png");
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        if (tool(w.directory, silent[i]) != 0)
            fail_msg("%s: %s", silent[i], err);
        if (out[0] != '\0' || err[0] != '\0')
            fail_msg("%s: says %s%s", silent[i], out, err);
    }
    assert_int_equal(tool(w.directory, "@det-eval --pipeline_config_path %/pipeline.config "
                                       "--checkpoint_dir %/run --once --quiet --json -"),
                     0);
    assert_json_alone(out);
    assert_string_equal(err, "");
    assert_int_equal(tool(w.directory, "@det-info %/none.det --quiet"), 1);
    assert_string_equal(out, "");
    assert_contains(err, "det-info: ");
    assert_contains(err, "none.det: No such file");
    workspace_remove(&w);
}

static void what_is_replaced_is_named(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "@det-detect data/vehicles.det %/a.png --output %/b.png",
        "@det-detect data/vehicles.det %/a.png --json %/b.json",
        "@det-detect data/vehicles.det %/a.png --output %/pictures",
        "@det-detect data/vehicles.det %/a.png --yolo %/yolo",
        "@det-data convert %/a.csv --to voc --output %/voc",
        "@det-data stats %/a.csv --json %/stats.json",
        "@det-data show %/a.csv --output %/sheet.png",
        "@det-export --checkpoint data/vehicles.det --output_directory %/exported",
        "@det-info data/vehicles.det --json %/info.json"};
    char folder[256];
    test_make_directory(folder, "again");
    write_picture(folder, "a.png");
    write_text(folder, "a.csv",
               "filename,width,height,class,xmin,ymin,xmax,ymax\n"
               "a.png,64,48,cat,1,1,20,20\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        assert_int_equal(tool(folder, commands[i]), 0);
        if (strstr(err, "replaced") != NULL)
            fail_msg("%s: says %s", commands[i], err);
        assert_int_equal(tool(folder, commands[i]), 0);
        if (strstr(err, "replaced") == NULL)
            fail_msg("%s: says %s", commands[i], err);
    }
    test_remove_tree(folder);
}

int test_tool_outputs(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_alone_on_standard_output),
        cmocka_unit_test(a_training_as_json),
        cmocka_unit_test(what_cannot_be_printed_is_an_error),
        cmocka_unit_test(nodes_and_links_stay),
        cmocka_unit_test(inputs_are_not_overwritten),
        cmocka_unit_test(what_a_config_names_is_not_overwritten),
        cmocka_unit_test(export_and_plot_keep_their_sources),
        cmocka_unit_test(names_do_no_harm),
        cmocka_unit_test(quiet_is_quiet),
        cmocka_unit_test(what_is_replaced_is_named),
    };
    return cmocka_run_group_tests_name("tool_outputs", tests, NULL, NULL);
}
