/* data.h: what det-data's commands share: the options, and a data set read from its sources and
 * resolved, with findings printed as they come. */
#ifndef DET_TOOLS_DATA_DATA_H
#define DET_TOOLS_DATA_DATA_H

#include "common/tile_options.h"
#include "common/tool.h"

struct data_arguments {
    const char *from, *to, *output, *label_map, *config, *exif, *split, *json, *encoding;
    struct option_list images, set;
    const char *fine_tune_checkpoint, *unlabelled;
    struct tile_options tiles;
    double least_inside, background; /* of tiles */
    int64_t seed, shards, count, columns, cell_px, input_px, batch_size, steps, most, next;
    bool fix, strict, allow_no_boxes, copy_images, augmented;
};

/* Findings of one rule that are told where they are no output: a data set may have thousands. */
enum { DATA_MOST_RULES = 128, DATA_MOST_TOLD = 10 };
#define DATA_ARGUMENTS_INIT                                                                \
    {                                                                                      \
        .exif = "auto", .tiles = TILE_OPTIONS_INIT, .least_inside = .5, .background = .25, \
        .seed = 1, .shards = 1, .count = 24, .most = 100, .next = 50, .columns = 6,        \
        .cell_px = 240, .copy_images = true                                                \
    }

/* Whether something is wrong with those that say how data is read and a workspace is made; `text`
 * says what. */
enum { DATA_FAULT_BYTES = 400 };
bool data_arguments_fault(const struct data_arguments *arguments, char text[DATA_FAULT_BYTES]);

struct data_job {
    struct tool tool;
    struct data_arguments arguments;
    const char *command, *model; /* review's */
    struct option_list inputs;   /* lent by the options */
    struct det_env *env;
    det_pipeline_config *config;
    det_annotation_set *set;
    det_finding_callback on_finding; /* with the job */
    size_t found[DATA_MOST_RULES];   /* by rule */
    const char *format;              /* of the last source: what --to defaults to */
};

/* auto, apply or ignore; false: none of them. */
bool data_exif_policy(const char *text, det_exif_policy *policy);

/* A source: "train=PATH" names the split. The path is without "/" at its end; the caller frees
 * both. */
det_status data_parse_input(struct data_job *job, const char *input, char **path, char **split);

/* Names what is read and written (common/output.h); an --output that is a source is refused. */
det_status data_announce(struct data_job *job);

/* Label map, all sources, images. Findings are printed as they come. */
det_status data_read(struct data_job *job);
void data_job_close(struct data_job *job);

/* Cuts the pictures into --tiles, where that was asked for. */
det_status data_cut(struct data_job *job);

/* Counts of what is written are logged, as of the folder `shown`. */
det_status data_write(struct data_job *job, const char *format, const char *directory,
                      const char *shown);

/* Mends what can be mended, and logs what became of what. */
det_status data_repair(struct data_job *job);
/* INVALID_ARGUMENT, in the words of options, when what is left cannot be written. */
det_status data_check_rest(struct data_job *job);

/* The commands; an exit status. */
int data_init(struct data_job *job);
int data_convert(struct data_job *job);
int data_check(struct data_job *job);
int data_stats(struct data_job *job);
int data_show(struct data_job *job);
int data_report(struct data_job *job);
int data_review(struct data_job *job);

#endif
