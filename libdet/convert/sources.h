/* sources.h: which format a source is of, told by what holds boxes, not by what else lies about,
 * and what of it the format's reader takes. */
#ifndef DET_CONVERT_SOURCES_H
#define DET_CONVERT_SOURCES_H

#include "convert/formats.h"

/* What a reader is given. */
struct det_data_source {
    char *path;
    char *split; /* NULL: as the reader says */
};

struct det_data_sources {
    const struct det_data_format *format;
    struct det_data_source *items;
    size_t count, capacity;
};

/* What is to be read of a file, a pattern or a folder, four folders deep: an export's files lie in
 * its root, in a folder for each split, or below a folder that the archive adds. `from`: the
 * format, NULL: it is seen. Folders that hold two formats are INVALID_ARGUMENT, naming both; what
 * holds none is NOT_FOUND. */
det_status det_data_sources_find(struct det_env *env, const struct det_files *files,
                                 const char *path, const struct det_data_format *from,
                                 struct det_data_sources *sources);
void det_data_sources_free(struct det_env *env, struct det_data_sources *sources);

#endif
