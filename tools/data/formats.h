/* formats.h: the formats that det-data knows, and which of them a source is: told by what holds
 * boxes, not by what else lies about. */
#ifndef DET_TOOLS_DATA_FORMATS_H
#define DET_TOOLS_DATA_FORMATS_H

#include "convert/annotation_set.h"
#include "data/readers.h"

struct data_format {
    const char *name;
    det_reader read; /* NULL: the library has one */
};

/* The set reads what the library has no reader for, too. */
det_status data_formats_add_readers(det_annotation_set *set);

/* NULL: there is none of that name. */
const struct data_format *data_format_find(const char *name);
/* "tfrecord, coco, ..." */
const char *data_format_names(void);

/* What a reader is given. */
struct data_source {
    char *path;
    char *split; /* NULL: as the reader says */
};

struct data_sources {
    const struct data_format *format;
    struct data_source *items;
    size_t count, capacity;
};

/* What is to be read of a file, a pattern or a folder, four folders deep: an export's files lie in
 * its root, in a folder for each split, or below a folder that the archive adds. `from`: the
 * format, NULL: it is seen. Folders that hold two formats are INVALID_ARGUMENT, naming both; what
 * holds none is NOT_FOUND. */
det_status data_sources_find(struct det_env *env, const struct det_files *files, const char *path,
                             const struct data_format *from, struct data_sources *sources);
void data_sources_free(struct det_env *env, struct data_sources *sources);

#endif
