/* job.h: all that one call of det-detect does, its options as data. */
#ifndef DET_TOOLS_DETECT_JOB_H
#define DET_TOOLS_DETECT_JOB_H

#include "common/tile_options.h"
#include "common/tool.h"
#include "detect/outputs.h"

struct job_options {
    const char *model;
    struct option_list inputs, videos, lists;
    const char *classes, *threshold, *threshold_file;
    int64_t max, workers;
    struct tile_options tiles;
    /* output: a folder, or the file of one annotated picture or video; NULL: see job_run() */
    const char *output, *codec;
    bool no_video;
    struct output_paths files;
    bool view;
    int64_t mjpeg; /* port, 0: none */
    bool live;
    bool count, time; /* drawn */
    bool track;
    bool fast_decode;
    const char *exif; /* "apply": images are turned upright; "ignore" */
    struct option_list count_lines, count_zones;
    const char *counts; /* file of what was counted, a JSON line for each video; NULL: the log */
};

/* Images as one run, then each video. Without any output that was asked for: JSON lines of images
 * on standard output, each video file as NAME_detected.mp4 in the working folder, JSON lines of
 * cameras and streams on standard output. Returns the exit status. */
int job_run(struct tool *tool, const struct job_options *options);

#endif
