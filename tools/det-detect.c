/* det-detect: detects in images, videos, cameras and streams; results as files, annotated pictures
 * and videos. */
#include <stdint.h>
#include <string.h>

#include "common/console.h"
#include "common/tf_flags.h"
#include "detect/job.h"

static int check(const struct options *options, const struct job_options *job)
{
    if (options->positional.count < 1)
        return options_error(options, "expected a model");
    if (job->inputs.count + job->videos.count + job->lists.count == 0)
        return options_error(options, "expected an image, folder, video, camera, URL or --list");
    if (job->output != NULL && strcmp(job->output, "-") == 0)
        return options_error(options, "--output -: expected a folder or the file of one picture or "
                                      "video");
    if (job->max < 0 || job->max > 1000000)
        return options_error(options, "--max: got %lld, expected 0 to 1000000",
                             (long long)job->max);
    if (tile_options_fault(&job->tiles) != NULL)
        return options_error(options, "%s", tile_options_fault(&job->tiles));
    if (job->tiles.size.given && job->fast_decode)
        return options_error(options, "--tiles and --fast_decode exclude each other: tiles are of "
                                      "all of a picture's pixels");
    if (job->workers < 0 || job->workers > 256)
        return options_error(options, "--workers: got %lld, expected 0 to 256",
                             (long long)job->workers);
    if (job->mjpeg < 0 || job->mjpeg > 65535)
        return options_error(options, "--mjpeg: got %lld, expected a port, 1 to 65535",
                             (long long)job->mjpeg);
    if (strcmp(job->exif, "apply") != 0 && strcmp(job->exif, "ignore") != 0)
        return options_error(options, "--exif: got \"%s\", expected apply or ignore", job->exif);
    return 0;
}

int main(int argc, char **argv)
{
    console_begin("det-detect");
    struct tool tool = TOOL_INIT("det-detect");
    struct job_options job = {.exif = "apply", .tiles = TILE_OPTIONS_INIT};
    const struct option table[] = {
        {"video", OPTION_LIST, &job.videos, "VIDEO",
         "a video file, v4l2:/dev/video0, rtsp:// or http:// URL, - for standard input; may be "
         "repeated"},
        {"list", OPTION_LIST, &job.lists, "FILE",
         "a text file with one input a line, - for standard input"},
        {"threshold", OPTION_STRING, &job.threshold, "SCORE[,CLASS=SCORE...]",
         "lowest score that is reported, 0 to 1, for all or by class (0.5)"},
        {"threshold_file", OPTION_STRING, &job.threshold_file, "FILE",
         "thresholds by class as det-eval writes them"},
        {"classes", OPTION_STRING, &job.classes, "CLASS[,CLASS...]", "only these, by name or id"},
        TILE_OPTIONS(&job.tiles),
        {"output", OPTION_STRING, &job.output, "DIR|FILE",
         "annotated pictures and videos into DIR; or one annotated picture as FILE.jpg or .png, "
         "one "
         "video as FILE.mp4, .mkv, .mov, .webm, .avi"},
        {"codec", OPTION_STRING, &job.codec, "CODEC",
         "of annotated videos: h264, hevc, vp9, av1, mjpeg, mpeg4 or an encoder of FFmpeg's"},
        {"no_video", OPTION_FLAG, &job.no_video, NULL, "write no annotated video"},
        {"json", OPTION_OUTPUT, &job.files.json, "FILE",
         "JSON lines, one per image or frame; -: standard output, for this and the next four"},
        {"csv", OPTION_OUTPUT, &job.files.csv, "FILE", "a line per detection"},
        {"coco", OPTION_OUTPUT, &job.files.coco, "FILE", "COCO data set with scores"},
        {"coco_results", OPTION_OUTPUT, &job.files.coco_results, "FILE",
         "COCO results, for det-eval --detections and pycocotools"},
        {"cvat", OPTION_OUTPUT, &job.files.cvat, "FILE", "CVAT for images 1.1, XML"},
        {"yolo", OPTION_STRING, &job.files.yolo, "DIR", "a YOLO text per image or frame"},
        {"track", OPTION_FLAG, &job.track, NULL,
         "follow objects from frame to frame: ids in all outputs, objects counted by class"},
        {"count_line", OPTION_LIST, &job.count_lines, "X0,Y0,X1,Y1",
         "count tracks that cross it, by direction; in pixels, or in shares when all are at most "
         "1; "
         "may be repeated"},
        {"count_zone", OPTION_LIST, &job.count_zones, "X0,Y0,X1,Y1[,...]",
         "count tracks that enter this rectangle or polygon; may be repeated"},
        {"counts", OPTION_OUTPUT, &job.counts, "FILE",
         "what was counted, a JSON line for each video; -: standard output"},
        {"live", OPTION_FLAG, &job.live, NULL,
         "newest frame wins, others are dropped and counted (cameras and RTSP always)"},
        {"view", OPTION_FLAG, &job.view, NULL, "show the frames in a window; q or Esc ends"},
        {"mjpeg", OPTION_INT, &job.mjpeg, "PORT",
         "show the frames in a browser: http://127.0.0.1:PORT/"},
        {"count", OPTION_FLAG, &job.count, NULL, "draw how many of each class are in the frame"},
        {"time", OPTION_FLAG, &job.time, NULL, "draw the time of a video's frame"},
        {"fast_decode", OPTION_FLAG, &job.fast_decode, NULL,
         "decode large JPEGs at a part of their size, never below the network's input: quicker, "
         "but not "
         "TensorFlow's pixels; not where annotated pictures are written"},
        {"exif", OPTION_STRING, &job.exif, "HOW",
         "pictures that a camera has marked as lying: apply (turned upright, as viewers show them) "
         "or ignore (the pixels as stored)"},
        {"max", OPTION_INT, &job.max, "N",
         "most detections per image, 0: as the model's config says"},
        {"workers", OPTION_INT, &job.workers, "N",
         "frames in the network at a time, one thread each; 0: as many as threads, 1 with --live"},
        TOOL_IMAGE_OPTIONS(&tool),
        TOOL_OPTIONS(&tool),
        {0},
    };
    struct options options = {
        .program = "det-detect",
        .usage = "MODEL.det INPUT ...",
        .description =
            "Detects objects in images (JPEG, PNG, BMP, GIF, WebP), folders, patterns, videos, "
            "cameras and "
            "streams.\n"
            "Results of images go to standard output as JSON lines (with --output, --view and "
            "--mjpeg not to a terminal), a video becomes NAME_detected.mp4, unless options say "
            "otherwise.\n"
            "An input that fails is reported, the others go on; the exit status is then 1.",
        .table = table,
        .aliases = tf_flags_of_all,
        .positional_max = SIZE_MAX,
    };
    int exit_status = 0;
    if (!options_parse(&options, argc, argv, &exit_status))
        return console_end(exit_status);
    if (options.positional.count > 0) {
        job.model = options.positional.values[0];
        job.inputs =
            (struct option_list){options.positional.values + 1, options.positional.count - 1};
    }
    exit_status = check(&options, &job);
    if (exit_status == 0 && tool_open(&tool, &exit_status))
        exit_status = job_run(&tool, &job);
    tool_close(&tool);
    options_free(&options);
    return console_end(exit_status);
}
