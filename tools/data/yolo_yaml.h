/* yolo_yaml.h: what the data.yaml of a YOLO data set says, as Ultralytics reads it. */
#ifndef DET_TOOLS_DATA_YOLO_YAML_H
#define DET_TOOLS_DATA_YOLO_YAML_H

#include "support/io.h"

/* Paths and the lines that they stand in. */
struct yolo_entries {
    struct det_path_list texts;
    uint32_t *lines;
    size_t line_capacity;
};

/* "" is none. */
det_status yolo_entries_add(struct det_env *env, struct yolo_entries *entries, const char *value,
                            uint32_t line);
void yolo_entries_free(struct det_env *env, struct yolo_entries *entries);

struct yolo_yaml {
    struct yolo_entries train, val, test;
    struct det_path_list names; /* by their numbers */
    char *path;                 /* `path:`, NULL: not there */
    size_t keypoints;           /* numbers behind each box, of kpt_shape */
};

/* PARSE with file and line: no YAML, no names, numbers of names that are not 0 to K - 1, a
 * kpt_shape that is none. The caller frees *yaml, also after a failure. */
det_status yolo_yaml_parse(struct det_env *env, const char *file, const char *text,
                           struct yolo_yaml *yaml);
void yolo_yaml_free(struct det_env *env, struct yolo_yaml *yaml);

#endif
