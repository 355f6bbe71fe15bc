/* det-data: data sets: converts, checks, splits, counts and shows them. */
#include <stdio.h>
#include <string.h>

#include "common/console.h"
#include "common/tf_flags.h"
#include "data/data.h"

static size_t rule_index(const char *name)
{
    const char *rule = NULL;
    size_t i = 0;
    while (i + 1 < DATA_MOST_RULES && (rule = det_annotation_rule(i, NULL)) != NULL &&
           strcmp(rule, name) != 0)
        i++;
    return i;
}

/* Findings of `check` are its output; elsewhere they are messages. */
static void report(void *user, const det_annotation_finding *finding)
{
    struct data_job *job = user;
    const bool is_error = finding->severity >= DET_SEVERITY_ERROR;
    if (strcmp(job->command, "check") == 0)
        console_print("%s: %s [%s]\n", is_error ? "error" : "warning", finding->message,
                      finding->rule);
    else if (job->found[rule_index(finding->rule)]++ < DATA_MOST_TOLD)
        tool_log(&job->tool, is_error ? DET_LOG_ERROR : DET_LOG_WARNING, "%s [%s]",
                 finding->message, finding->rule);
}

/* What report() did not tell one by one. */
static void report_rest(struct data_job *job)
{
    for (size_t i = 0; i < DATA_MOST_RULES; i++)
        if (strcmp(job->command, "check") != 0 && job->found[i] > DATA_MOST_TOLD)
            tool_log(&job->tool, DET_LOG_WARNING, "%zu more [%s]: `det-data check` names them all",
                     job->found[i] - DATA_MOST_TOLD, det_annotation_rule(i, NULL));
}

#define READING "from label_map images encoding exif strict allow_no_boxes"

static const struct option_command commands[] = {
    {"init",
     "makes a workspace in --output: records split without leaks, label map, pipeline.config; "
     "then: det-train",
     READING " output seed shards tiles tile_overlap tile_least_inside tile_background copy_images "
             "size batch_size steps fine_tune_checkpoint set pipeline_config_path"},
    {"convert",
     "writes --output in another format (--to), with label map, splits (--split) and shards",
     READING " to output split seed shards tiles tile_overlap tile_least_inside tile_background "
             "fix copy_images pipeline_config_path"},
    {"check",
     "names every fault by file, record, box and rule; --fix writes a repaired copy to --output",
     READING " to output fix seed shards copy_images json pipeline_config_path"},
    {"split", "writes --output in the same format, dealt out into --split",
     READING " to output split seed shards fix copy_images pipeline_config_path"},
    {"stats", "counts classes, sizes, shapes, empty images, duplicates",
     READING " json pipeline_config_path"},
    {"show", "draws pictures with their boxes into one --output image",
     READING " output seed count columns cell augmented pipeline_config_path"},
    {"report",
     "writes a page about the data to --output: classes, sizes, places, anchors, leaks, oddities",
     READING " output count size pipeline_config_path"},
    {"review",
     "MODEL SOURCE ...: ranks likely label errors, and with --unlabelled what to label next; "
     "writes "
     "a page, a table and CVAT's XML into --output",
     READING " output json unlabelled most next device pipeline_config_path"},
    {0},
};

/* In the same order. */
static const struct {
    int (*run)(struct data_job *job);
    bool needs_output;
} actions[] = {
    {data_init, true},   {data_convert, true}, {data_check, false}, {data_convert, true},
    {data_stats, false}, {data_show, true},    {data_report, true}, {data_review, true},
};

_Static_assert(sizeof actions / sizeof actions[0] + 1 == sizeof commands / sizeof commands[0],
               "each command has an action");

/* "tfrecord, voc, ... or csv" */
static void list_formats(char *text, size_t bytes)
{
    const char *name = NULL;
    for (size_t i = 0; (name = det_annotation_format(i)) != NULL && strlen(text) < bytes; i++) {
        const char *gap = i == 0 ? "" : det_annotation_format(i + 1) != NULL ? ", " : " or ";
        snprintf(text + strlen(text), bytes - strlen(text), "%s%s", gap, name);
    }
}

/* "XML: yes; YAML: yes; zip: no: ..." */
static void list_libraries(char *text, size_t bytes)
{
    const char *what = NULL, *missing = NULL;
    for (size_t i = 0; (what = det_annotation_library(i, &missing)) != NULL; i++)
        snprintf(text + strlen(text), bytes - strlen(text), "%s%s: %s%s", i == 0 ? "" : "; ", what,
                 missing != NULL ? "no: " : "yes", missing != NULL ? missing : "");
}

/* 0, or the exit status after a message. */
static int check_arguments(const struct options *options, const struct data_job *job,
                           size_t command, const char *formats)
{
    const struct data_arguments *a = &job->arguments;
    char fault[DATA_FAULT_BYTES];
    if (options->positional.count < 1)
        return options_error(options, "%s: at least one source is missing", job->command);
    if (strcmp(job->command, "review") == 0 && options->positional.count < 2)
        return options_error(options, "review: a model and a source are needed");
    if (a->most < 0 || a->most > 100000 || a->next < 0 || a->next > 100000)
        return options_error(options, "--most, --next: expected 0 to 100000");
    if (data_arguments_fault(a, fault))
        return options_error(options, "%s", fault);
    if (a->output == NULL && (actions[command].needs_output || a->fix))
        return options_error(options, "%s: --output is missing", job->command);
    if (strcmp(job->command, "convert") == 0 && a->to == NULL)
        return options_error(options, "convert: --to is missing: %s", formats);
    if (strcmp(job->command, "split") == 0 && a->split == NULL)
        return options_error(options, "split: --split is missing, as in --split train=0.8,val=0.2");
    if (a->augmented && a->config == NULL)
        return options_error(options, "--augmented: --pipeline_config_path is missing");
    if (a->shards < 1 || a->shards > 99999)
        return options_error(options, "--shards: expected 1 to 99999");
    if (a->count < 1 || a->count > 10000 || a->columns < 1 || a->columns > 1000 ||
        a->cell_px < 32 || a->cell_px > 4096)
        return options_error(
            options, "--count: expected 1 to 10000, --columns 1 to 1000, --cell 32 to 4096");
    return 0;
}

int main(int argc, char **argv)
{
    console_begin("det-data");
    struct data_job job = {
        .tool = TOOL_INIT_WITHOUT_DEVICE("det-data"),
        .arguments = DATA_ARGUMENTS_INIT,
        .on_finding = report,
    };
    struct data_arguments *a = &job.arguments;
    char notes[2000], formats[100] = "", libraries[500] = "";
    list_formats(formats, sizeof formats);
    list_libraries(libraries, sizeof libraries);
    snprintf(notes, sizeof notes,
             "SOURCE is a file, folder, pattern or .zip, or SPLIT=SOURCE; its format is seen from "
             "what holds boxes in it or said by --from:\n"
             "  %s.\n"
             "  %s\n"
             "Exit status: 0; 1 after an error: nothing was written; check: where there is an "
             "error and no --fix; stats and show: no image was read; 2 for a wrong command line. "
             "Data without a single box is an error.",
             formats, libraries);
    const struct option table[] = {
        {"from", OPTION_STRING, &a->from, "FORMAT", "format of the sources"},
        {"to", OPTION_STRING, &a->to, "FORMAT",
         "format of --output; split, check --fix: that of the source"},
        {"output", OPTION_STRING, &a->output, "PATH",
         "folder that is written; show: the .png or .jpg; report: the .html"},
        {"label_map", OPTION_STRING, &a->label_map, "FILE",
         "label_map.pbtxt with the classes in their order; without it the one beside the first "
         "source, else "
         "they come from the source"},
        {"pipeline_config_path", OPTION_STRING, &a->config, "FILE",
         "check: num_classes against the label map; show --augmented: its augmentations; report: "
         "its anchors; review: the network of a TensorFlow checkpoint"},
        {"images", OPTION_LIST, &a->images, "DIR",
         "folder or .zip to look for image files in, with the folders below"},
        {"encoding", OPTION_STRING, &a->encoding, "NAME",
         "of text that is not UTF-8 and does not say what it is, such as GB18030 or ISO-8859-1"},
        {"exif", OPTION_STRING, &a->exif, "HOW",
         "boxes of images with an EXIF rotation are for the turned picture (apply), for the pixels "
         "as stored "
         "(ignore), or as the stored size says (auto)"},
        {"split", OPTION_STRING, &a->split, "NAME=SHARE,...",
         "deal the images out anew, each class evenly and equal pictures together"},
        {"seed", OPTION_INT, &a->seed, "N", "of --split and of what show chooses"},
        {"shards", OPTION_INT, &a->shards, "N", "record files of each split"},
        {"tiles", OPTION_SIZE, &a->tiles.size, "SIZE",
         "convert, init: write pictures as overlapping tiles of SIZE pixels, N or WIDTHxHEIGHT, "
         "with the "
         "boxes inside, and as a whole: for small objects, as det-detect --tiles looks at them"},
        {"tile_overlap", OPTION_DOUBLE, &a->tiles.overlap, "SHARE",
         "of a tile's side that neighbours have in common, 0 to 0.9"},
        {"tile_least_inside", OPTION_DOUBLE, &a->least_inside, "SHARE",
         "of a box's area: with less of it inside, a tile is written without it"},
        {"tile_background", OPTION_DOUBLE, &a->background, "SHARE",
         "most tiles without a box, by those with one"},
        {"fix", OPTION_FLAG, &a->fix, NULL,
         "repair what can be, drop the rest; says how many of what. An image all of whose boxes "
         "had faults is dropped"},
        {"strict", OPTION_FLAG, &a->strict, NULL, "warnings are errors, leaks between splits too"},
        {"allow_no_boxes", OPTION_FLAG, &a->allow_no_boxes, NULL,
         "data without a single box is fine"},
        {"copy_images", OPTION_FLAG, &a->copy_images, NULL,
         "write the images too; --nocopy_images: annotations alone"},
        {"json", OPTION_OUTPUT, &a->json, "FILE",
         "check, stats: the figures as JSON; review: the findings; -: standard output, all else "
         "then goes to standard error"},
        {"count", OPTION_INT, &a->count, "N", "show, report: pictures"},
        {"columns", OPTION_INT, &a->columns, "N", "show: pictures side by side"},
        {"cell", OPTION_INT, &a->cell_px, "PX",
         "show: side of the square a picture is fitted into"},
        {"size", OPTION_INT, &a->input_px, "PX",
         "init, report: side of the network's input; 0: 320, or 640 where the boxes would be too "
         "small"},
        {"batch_size", OPTION_INT, &a->batch_size, "N",
         "init: pictures a step; 0: what this machine's memory holds, at most 8"},
        {"steps", OPTION_INT, &a->steps, "N", "init: steps of the training; 0: by the pictures"},
        {"fine_tune_checkpoint", OPTION_STRING, &a->fine_tune_checkpoint, "PATH",
         "init: weights to begin from; without it what lies in --output's pre-trained-models"},
        {"set", OPTION_LIST, &a->set, "FIELD=VALUE",
         "init: a field of the pipeline.config, as in --set train_config.batch_size=4; may be "
         "repeated"},
        {"unlabelled", OPTION_STRING, &a->unlabelled, "DIR",
         "review: folder of pictures, with the folders below, to choose of what to label next"},
        {"most", OPTION_INT, &a->most, "N", "review: rows on the page and in annotations.xml"},
        {"next", OPTION_INT, &a->next, "N", "review: pictures to label next"},
        {"device", OPTION_STRING, &job.tool.device, "DEVICE",
         "review: what computes: cpu, auto, cuda or cuda:I"},
        {"augmented", OPTION_FLAG, &a->augmented, NULL, "show: as training sees them"},
        TOOL_IMAGE_OPTIONS(&job.tool),
        TOOL_CPU_OPTIONS(&job.tool),
        TOOL_LOG_OPTIONS(&job.tool),
        {0},
    };
    struct options options = {
        .program = "det-data",
        .usage = "SOURCE ...",
        .description = "Data sets: makes workspaces of them, converts, checks, splits, counts and "
                       "shows them.",
        .notes = notes,
        .commands = commands,
        .table = table,
        .aliases = tf_flags_of_data,
        .positional_max = SIZE_MAX,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    const size_t command = (size_t)(options.command - commands);
    job.command = options.command->name;
    result = check_arguments(&options, &job, command, formats);
    if (result == 0 && tool_open(&job.tool, &result)) {
        job.env = &job.tool.env;
        const size_t models = strcmp(job.command, "review") == 0;
        job.model = models > 0 ? options.positional.values[0] : NULL;
        job.inputs = (struct option_list){options.positional.values + models,
                                          options.positional.count - models};
        const det_status status = data_announce(&job);
        result = status == DET_OK ? actions[command].run(&job) : tool_fail(&job.tool, status);
        report_rest(&job);
        data_job_close(&job);
    }
    tool_close(&job.tool);
    options_free(&options);
    return console_end(result);
}
