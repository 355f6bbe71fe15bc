/* det-plot: a training's curves, figures and pictures as one HTML page. */
#include <stdio.h>

#include "common/options.h"
#include "common/tool.h"
#include "det/det.h"

int main(int argc, char **argv)
{
    struct tool tool = TOOL_INIT_WITHOUT_DEVICE("det-plot");
    const char *output = NULL;
    const struct option table[] = {
        {"output", OPTION_STRING, &output, "FILE",
         "the page; not given: report.html in the folder"},
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
        .positional_max = 1,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return result;
    if (options.positional.count != 1) {
        result = options_error(&options, "a folder is needed");
    } else if (tool_open(&tool, &result)) {
        const char *folder = options.positional.values[0];
        char beside[4200];
        snprintf(beside, sizeof beside, "%s/report.html", folder);
        const char *path = output != NULL ? output : beside;
        const det_status status = det_plot_write(tool.context, folder, path);
        if (status != DET_OK)
            result = tool_fail(&tool, status);
        else
            printf("%s\n", path);
        tool_close(&tool);
    }
    options_free(&options);
    return result;
}
