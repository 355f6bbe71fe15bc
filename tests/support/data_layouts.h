/* data_layouts.h: data sets as exporters lay them out, through det-data: what is read of them and
 * what is said. */
#ifndef DET_TESTS_SUPPORT_DATA_LAYOUTS_H
#define DET_TESTS_SUPPORT_DATA_LAYOUTS_H

#include "support/data_files.h"

enum { LAYOUT_FILES = 14 };

struct data_layout {
    const char *name;
    const char *arguments; /* behind the command; @ is the folder */
    int status;
    const char *says[5]; /* parts of what it prints; [3], [4]: a file that it writes, and a part */
    struct data_file files[LAYOUT_FILES];
};

void data_layouts_run(const struct data_layout *layouts, size_t count);
/* Whether a library is missing that these need, which is said. */
bool data_layout_skips(const char *why);

#endif
