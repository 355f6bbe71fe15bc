/* yolo_yaml.h: what the data.yaml of a YOLO data set says, as Ultralytics reads it. */
#ifndef DET_CONVERT_READ_YOLO_YAML_H
#define DET_CONVERT_READ_YOLO_YAML_H

#include "support/io.h"

/* Paths and the lines that they stand in. */
struct det_yolo_entries {
    struct det_path_list texts;
    uint32_t *lines;
    size_t line_capacity;
};

/* "" is none. */
det_status det_yolo_entries_add(struct det_env *env, struct det_yolo_entries *entries,
                                const char *value, uint32_t line);
void det_yolo_entries_free(struct det_env *env, struct det_yolo_entries *entries);

struct det_yolo_yaml {
    struct det_yolo_entries train, val, test;
    struct det_path_list names; /* by their numbers */
    char *path;                 /* `path:`, NULL: not there */
    size_t keypoints;           /* numbers behind each box, of kpt_shape */
};

/* PARSE with file and line: no YAML, no names, numbers of names that are not 0 to K - 1, a
 * kpt_shape that is none. The caller frees *yaml, also after a failure. */
det_status det_yolo_yaml_parse(struct det_env *env, const char *file, const char *text,
                               struct det_yolo_yaml *yaml);
void det_yolo_yaml_free(struct det_env *env, struct det_yolo_yaml *yaml);

#endif
