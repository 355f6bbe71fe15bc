/* label_map.h: label_map.pbtxt (StringIntLabelMap): the names of the classes.
 *
 * Stricter than the API, whose silent fallbacks cost users whole trainings: ids must be
 * exactly 1..K, each once, every item has a name, no name twice, no field twice in one item. Errors
 * name file, line and column. */
#ifndef DET_FORMATS_LABEL_MAP_H
#define DET_FORMATS_LABEL_MAP_H

#include "base/env.h"
#include "formats/pipeline_config.h"

struct det_label_map {
    char *path;
    int32_t count;        /* K */
    char **names;         /* by class index 0..K-1, that is id 1..K */
    char **display_names; /* the name where the item has no display_name */
    struct det_env *env;  /* set only for public handles */
};

det_status det_label_map_read(struct det_env *env, const char *path, struct det_label_map *map);
det_status det_label_map_parse(struct det_env *env, const char *name, const char *text,
                               size_t bytes, struct det_label_map *map);
void det_label_map_free(struct det_env *env, struct det_label_map *map);

/* Class index 0..K-1 of a name (or display name), -1 if there is none. */
int32_t det_label_map_index(const struct det_label_map *map, const char *name,
                            bool use_display_name);

/* MISMATCH unless the map has as many classes as the model; names both files. */
det_status det_label_map_check(struct det_env *env, const struct det_label_map *map,
                               const struct det_pipeline_config *config);

#endif
