/* det-demo-data: writes a training workspace of drawn road scenes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/console.h"
#include "det/version.h"
#include "support/guard.h"
#include "traffic_video.h"
#include "workspace.h"

static const char program[] = "det-demo-data";

static const char usage[] =
    "usage: det-demo-data DIR [--train N] [--test N] [--seed N] [--weights FILE] [--mosaic WxH]\n"
    "       det-demo-data --video FILE.mp4 [--seconds S] [--fps F] [--size WxH] [--seed N]\n"
    "\n"
    "Draws road scenes with cars, trucks and buses and writes a TF Object "
    "Detection API workspace:\n"
    "  DIR/annotations/{label_map.pbtxt,train.tfrecord,test.tfrecord}\n"
    "  DIR/images/{train,test}/*.jpg\n"
    "  DIR/models/demo/pipeline.config\n"
    "\n"
    "  --train N   training images (300)\n"
    "  --test N    test images (60)\n"
    "  --seed N    the same seed gives the same bytes (1)\n"
    "  --mosaic WxH  pictures of that size, each of many scenes at half size: many small vehicles\n"
    "  --weights FILE  copied to DIR/pre-trained-models; the config "
    "fine-tunes from it\n"
    "\n"
    "or draws a traffic video with a tone as audio, and FILE.truth.json: boxes and ids in each\n"
    "frame as a COCO data set, and how many pass a line (needs FFmpeg at build time):\n"
    "\n"
    "  --video FILE.mp4\n"
    "  --seconds S  its length (30)\n"
    "  --fps F      frames a second (30)\n"
    "  --size WxH   pixels (1280x720)\n";

/* Decimal digits only, at most `limit`. */
static bool parse_number(const char *text, uint64_t limit, uint64_t *value)
{
    *value = 0;
    if (text == NULL || *text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        const uint64_t digit = (uint64_t)(*text - '0');
        if (*value > (limit - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return true;
}

static int fail_usage(const char *what, const char *argument)
{
    console_message(CONSOLE_ERROR, program, "%s%s", what, argument);
    console_message(CONSOLE_ERROR, NULL, "Try `%s --help`.", program);
    return 2;
}

struct arguments {
    struct workspace_options workspace;
    struct video_options video;
};

static bool take_size(const char *value, int32_t *width, int32_t *height)
{
    int used = 0;
    return sscanf(value, "%5dx%5d%n", width, height, &used) == 2 && value[used] == '\0' &&
           *width >= 64 && *height >= 64 && *width <= 4096 && *height <= 4096;
}

/* An option with its value. False: `value` does not fit it. */
static bool take_option(struct arguments *a, const char *name, const char *value)
{
    uint64_t number = 0;
    int used = 0;
    if (value == NULL)
        return false;
    if (strcmp(name, "--weights") == 0) {
        a->workspace.weights = value;
        return true;
    }
    if (strcmp(name, "--video") == 0) {
        a->video.path = value;
        return true;
    }
    if (strcmp(name, "--size") == 0)
        return take_size(value, &a->video.width, &a->video.height);
    if (strcmp(name, "--mosaic") == 0)
        return take_size(value, &a->workspace.width, &a->workspace.height);
    if (strcmp(name, "--seconds") == 0)
        return sscanf(value, "%9lf%n", &a->video.seconds, &used) == 1 && value[used] == '\0' &&
               a->video.seconds > 0 && a->video.seconds <= 3600;
    if (strcmp(name, "--fps") == 0)
        return sscanf(value, "%9lf%n", &a->video.frame_rate, &used) == 1 && value[used] == '\0' &&
               a->video.frame_rate >= 1 && a->video.frame_rate <= 240;
    const bool seed = strcmp(name, "--seed") == 0;
    if (!parse_number(value, seed ? UINT64_MAX : 1000000, &number))
        return false;
    if (seed)
        a->workspace.seed = a->video.seed = number;
    else
        *(strcmp(name, "--train") == 0 ? &a->workspace.train : &a->workspace.test) =
            (int32_t)number;
    return true;
}

static bool is_option(const char *name)
{
    static const char *const names[] = {"--weights", "--train",   "--test", "--seed", "--mosaic",
                                        "--video",   "--seconds", "--fps",  "--size"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static det_status make_video(struct det_env *env, const struct video_options *options)
{
    struct video_summary s;
    DET_TRY_RETURN(video_write(env, options, &s));
    char name[CONSOLE_NAME_BYTES];
    console_print(
        "%s: %lld frames, %lld boxes of %lld vehicles; %lld pass the line downwards, %lld "
        "upwards\n",
        console_name(name, options->path), (long long)s.frames, (long long)s.boxes,
        (long long)s.vehicles, (long long)s.forward[0], (long long)s.backward[0]);
    return DET_OK;
}

static det_status make_workspace(struct det_env *env, const struct workspace_options *options)
{
    struct workspace_summary s;
    DET_TRY_RETURN(workspace_write(env, options, &s));
    char name[CONSOLE_NAME_BYTES];
    console_print("%s: %d images (%d train, %d test), %zu cars, %zu trucks, %zu buses\n",
                  console_name(name, options->directory), (int)s.images, (int)options->train,
                  (int)options->test, s.boxes[0], s.boxes[1], s.boxes[2]);
    return DET_OK;
}

int main(int argc, char **argv)
{
    console_begin(program);
    struct arguments a = {
        .workspace = {.train = 300, .test = 60, .seed = 1},
        .video = {.seconds = 30, .frame_rate = 30, .width = 1280, .height = 720, .seed = 1}};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--version") == 0) {
            console_print("%s (libdet) %s\n", program, det_version_string());
            return console_end(0);
        }
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            console_print_text(usage);
            return console_end(0);
        }
        if (is_option(argument)) {
            if (!take_option(&a, argument, i + 1 < argc ? argv[i + 1] : NULL))
                return fail_usage("a value that it can use is expected after ", argument);
            i++;
        } else if (argument[0] == '-' || a.workspace.directory != NULL || argument[0] == '\0') {
            return fail_usage("cannot use argument ", argument);
        } else {
            a.workspace.directory = argument;
        }
    }
    if ((a.workspace.directory == NULL) == (a.video.path == NULL))
        return fail_usage("either a folder or --video is expected", "");
    struct det_env env;
    struct det_guard guard = {0}; /* the weights are not copied onto themselves */
    det_env_default(&env);
    env.guard = &guard;
    const det_status status =
        a.video.path != NULL ? make_video(&env, &a.video) : make_workspace(&env, &a.workspace);
    if (status != DET_OK)
        console_message(CONSOLE_ERROR, program, "%s: %s", det_status_text(status), env.error);
    det_guard_free(&env, &guard);
    return console_end(status == DET_OK ? 0 : 1);
}
