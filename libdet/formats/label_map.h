/* label_map.h: label_map.pbtxt (StringIntLabelMap): which text means which class, and what each
 * class is called.
 *
 * Agrees with utils/label_map_util.py and _ClassTensorHandler of
 * data_decoders/tf_example_decoder.py of the TF Object Detection API: a text is looked up among the
 * names and among the display names, and the higher of the two ids counts; of a name that two items
 * have the last item counts; ids may leave gaps (COCO's 80 of 90), several items may share an id,
 * and id 0 is allowed for the item called "background" alone. Differs: an empty text means no class
 * (the API takes it for the last item without a display name). What is legal but rarely meant is a
 * warning with both lines. */
#ifndef DET_FORMATS_LABEL_MAP_H
#define DET_FORMATS_LABEL_MAP_H

#include "formats/pipeline_config.h"
#include "support/text.h"

#define DET_LABEL_MAP_MOST_CLASSES 100000 /* as num_classes */

struct det_label_text {
    const char *text;
    int32_t id; /* 0: the background */
};

struct det_label_map {
    const char *path;
    int32_t count;      /* K: the highest id, or num_classes after det_label_map_fit() */
    int32_t item_count; /* ids that have an item, without the background */
    const char **names; /* by class index 0..K-1, that is id 1..K; NULL: no item has that id */
    const char **display_names; /* what people read: display_name, else name, else "class ID"; NULL
                                   where names is */
    const struct det_label_text *texts; /* [text_count], by rising text, each once */
    size_t text_count;
    struct det_prototext document; /* owner of all of it */
    struct det_env *env;           /* set only for public handles */
};

det_status det_label_map_read(struct det_env *env, const char *path, struct det_label_map *map);
det_status det_label_map_read_text(struct det_env *env, const char *name, const char *text,
                                   size_t bytes, struct det_label_map *map);
void det_label_map_free(struct det_env *env, struct det_label_map *map);

/* The class id that a text means: 1..K, 0 for the background, -1 for none. */
int32_t det_label_map_find(const struct det_label_map *map, const char *text, size_t bytes);

/* Brings the map to the network's number of classes: ids up to num_classes are then there, most of
 * them perhaps without an item. MISMATCH, naming both files, when the map has a higher id. */
det_status det_label_map_fit(struct det_env *env, struct det_label_map *map,
                             const struct det_pipeline_config *config);

/* Appends what people read of the classes that have an item, "cat, dog and 78 more". */
det_status det_label_map_list(struct det_env *env, const struct det_label_map *map,
                              struct det_text *text);

/* The item whose name is meant by a text that is none: equal but for case and spaces, or few
 * letters off. NULL: none is near. */
const char *det_label_map_nearest(const struct det_label_map *map, const char *text);

#endif
