/* det-plot: a training's curves, figures and pictures as one HTML page. */
#include <string.h>

#include "common/console.h"
#include "common/options.h"
#include "common/output.h"
#include "common/tf_flags.h"
#include "det/det.h"
#include "support/io.h"
#include "support/mem.h"

/* The folder's runs are its inputs. */
static det_status announce(struct tool *tool, const char *folder, const char *page)
{
    static const char *const events[] = {"train/events.out.", "eval/events.out."};
    struct det_env *env = &tool->env;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        char *beginning = NULL;
        DET_TRY_RETURN(det_path_join(env, &beginning, folder, events[i]));
        const det_status status = tool_reads_all(tool, beginning);
        det_free(env, &beginning);
        DET_TRY_RETURN(status);
    }
    return tool_writes(tool, "--output", page);
}

static int plot(struct tool *tool, const char *folder, const char *output)
{
    struct det_env *env = &tool->env;
    char name[CONSOLE_NAME_BYTES], *page = NULL;
    det_status status = DET_OK;
    DET_TRY(output != NULL ? det_strdup(env, &page, output)
                           : det_path_join(env, &page, folder, "report.html"));
    DET_TRY(announce(tool, folder, page));
    DET_TRY(det_plot_write(tool->context, folder, output_path(page)));
    if (strcmp(page, "-") != 0)
        console_print("%s\n", console_name(name, page));
fail:
    det_free(env, &page);
    return status == DET_OK ? 0 : tool_fail(tool, status);
}

int main(int argc, char **argv)
{
    console_begin("det-plot");
    struct tool tool = TOOL_INIT_WITHOUT_DEVICE("det-plot");
    const char *output = NULL;
    const struct option table[] = {
        {"output", OPTION_OUTPUT, &output, "FILE",
         "the page; not given: report.html in the folder; -: standard output"},
        TOOL_IMAGE_OPTIONS(&tool),
        TOOL_LOG_OPTIONS(&tool),
        {0},
    };
    struct options options = {
        .program = "det-plot",
        .usage = "MODEL_DIR",
        .description =
            "Makes one HTML page of the event files that det-train and det-eval (or TensorFlow) "
            "left in MODEL_DIR/train and MODEL_DIR/eval: losses, learning rate, AP over steps, "
            "precision over recall, the classes, best and worst detections. It holds no script "
            "and needs no network.",
        .table = table,
        .aliases = tf_flags_of_all,
        .positional_max = 1,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    if (options.positional.count != 1) {
        result = options_error(&options, "a folder is needed");
    } else if (tool_open(&tool, &result)) {
        result = plot(&tool, options.positional.values[0], output);
        tool_close(&tool);
    }
    options_free(&options);
    return console_end(result);
}
