/* data.h: what det-data's commands share: the options, and a data set read from its sources and
 * resolved, with findings printed as they come. */
#ifndef DET_TOOLS_DATA_DATA_H
#define DET_TOOLS_DATA_DATA_H

#include "common/tool.h"
#include "convert/annotations.h"
#include "convert/findings.h"
#include "convert/image_index.h"
#include "convert/resolve.h"

struct data_arguments {
    const char *from, *to, *output, *label_map, *config, *exif, *split, *json, *encoding;
    struct option_list images;
    int64_t seed, shards, count, columns, cell_px;
    bool fix, strict, allow_no_boxes, copy_images, augmented;
};

struct data_job {
    struct tool tool;
    struct data_arguments arguments;
    const char *command;
    struct option_list inputs; /* lent by the options */
    struct det_env *env;
    char *label_map;          /* the file, NULL: none */
    struct det_label_map map; /* count 0: none was given */
    det_pipeline_config *config;
    struct det_files files;
    struct det_image_index index; /* of --images */
    struct det_annotations set;
    struct det_findings findings;
    const char *format; /* of the last source: what --to defaults to */
};

/* auto, apply or ignore; false: none of them. */
bool data_exif_policy(const char *text, enum det_exif_policy *policy);

/* Names what is read and written (common/output.h); an --output that is a source is refused. */
det_status data_announce(struct data_job *job);
/* The set's images are inputs too. */
det_status data_announce_images(struct data_job *job);

/* Label map, all sources, images. Findings are printed as they come. */
det_status data_read(struct data_job *job);
void data_job_close(struct data_job *job);

/* The set to --output in the format, after a rehearsal (base/guard.h): no source is overwritten. Counts are logged. */
det_status data_write(struct data_job *job, const char *format, const char *directory);

/* A split that the user names must be a safe name of a file (base/safe_name.h). */
det_status data_check_split(struct data_job *job, const char *option, const char *name);
/* "train=0.8,val=0.2" into splits. */
det_status data_split(struct data_job *job, const char *text);

/* The commands; an exit status. */
int data_convert(struct data_job *job);
int data_check(struct data_job *job);
int data_stats(struct data_job *job);
int data_show(struct data_job *job);

#endif
