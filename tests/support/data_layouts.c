#include "support/data_layouts.h"

#include "support/run_tool.h"

static void run(const struct data_layout *layout)
{
    static char out[100000];
    char folder[256], command[1200] = "";
    test_make_directory(folder, "layout");
    data_files_write(folder, layout->files);
    for (const char *c = layout->arguments; *c != '\0'; c++) {
        const size_t used = strlen(command);
        snprintf(command + used, sizeof command - used, *c == '@' ? "%s" : "%.1s",
                 *c == '@' ? folder : c);
    }
    const int status = run_tool(out, sizeof out, "det-data %s", command);
    if (status != layout->status)
        fail_msg("%s: exit status %d, expected %d:\n%s", layout->name, status, layout->status, out);
    for (int i = 0; i < 3 && layout->says[i] != NULL; i++)
        if (strstr(out, layout->says[i]) == NULL)
            fail_msg("%s: \"%s\" is not in:\n%s", layout->name, layout->says[i], out);
    if (layout->says[3] != NULL) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", folder, layout->says[3]);
        char *text = test_read_text(path);
        if (strstr(text, layout->says[4]) == NULL)
            fail_msg("%s: \"%s\" is not in %s:\n%s", layout->name, layout->says[4], path, text);
        free(text);
    }
    test_remove_tree(folder);
}

void data_layouts_run(const struct data_layout *layouts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        run(&layouts[i]);
}

bool data_layout_skips(const char *why)
{
    if (why != NULL)
        print_message("skipped: %s\n", why);
    return why != NULL;
}
