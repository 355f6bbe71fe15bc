/* det-demo-data: writes a training workspace of drawn road scenes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workspace.h"

static const char usage[] =
    "usage: det-demo-data DIR [--train N] [--test N] [--seed N] [--weights FILE]\n"
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
    "  --weights FILE  copied to DIR/pre-trained-models; the config "
    "fine-tunes from it\n";

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
    fprintf(stderr, "det-demo-data: %s%s\n%s", what, argument, usage);
    return 2;
}

int main(int argc, char **argv)
{
    struct workspace_options options = {.train = 300, .test = 60, .seed = 1};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        uint64_t value = 0;
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argument, "--weights") == 0) {
            if (i + 1 >= argc)
                return fail_usage("a file is expected after ", argument);
            options.weights = argv[++i];
            continue;
        }
        const bool train = strcmp(argument, "--train") == 0, test = strcmp(argument, "--test") == 0;
        if (train || test || strcmp(argument, "--seed") == 0) {
            const uint64_t limit = train || test ? 1000000 : UINT64_MAX;
            if (!parse_number(i + 1 < argc ? argv[++i] : NULL, limit, &value))
                return fail_usage("a whole number is expected after ", argument);
            if (train)
                options.train = (int32_t)value;
            else if (test)
                options.test = (int32_t)value;
            else
                options.seed = value;
        } else if (argument[0] == '-' || options.directory != NULL || argument[0] == '\0') {
            return fail_usage("cannot use argument ", argument);
        } else {
            options.directory = argument;
        }
    }
    if (options.directory == NULL)
        return fail_usage("no folder given", "");
    struct det_env env;
    det_env_default(&env);
    struct workspace_summary summary;
    const det_status status = workspace_write(&env, &options, &summary);
    if (status != DET_OK) {
        fprintf(stderr, "det-demo-data: %s: %s\n", det_status_text(status), env.error);
        return 1;
    }
    printf("%s: %d images (%d train, %d test), %zu cars, %zu trucks, %zu buses\n",
           options.directory, (int)summary.images, (int)options.train, (int)options.test,
           summary.boxes[0], summary.boxes[1], summary.boxes[2]);
    return 0;
}
