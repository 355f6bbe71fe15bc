/* det/label_map.h: the names of the classes, from label_map.pbtxt. */
#ifndef DET_LABEL_MAP_H
#define DET_LABEL_MAP_H

#include <stdint.h>

#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_label_map det_label_map;

/** Reads a label map as the TF Object Detection API does: ids may leave gaps, several items may
 * share one, id 0 is the item "background" alone. An error names line and column; what is legal but
 * rarely meant, such as a name that two items have, is a warning to the logger. On failure *map is
 * NULL. The map must be destroyed before the context. */
DET_NODISCARD DET_API det_status det_label_map_load(det_context *context, const char *path,
                                                    det_label_map **map);
/** The same of text in memory, which need not end in a 0 nor stay. `name` stands for the file's
 *  name in messages. */
DET_NODISCARD DET_API det_status det_label_map_parse(det_context *context, const char *name,
                                                     const char *text, size_t bytes,
                                                     det_label_map **map);
/** Releases the map and sets *map to NULL. NULL is allowed. */
DET_API void det_label_map_destroy(det_label_map **map);

/** The highest id, K. */
DET_API int32_t det_label_map_count(const det_label_map *map);
/** Name of class id 1..K (its display name if it has no other), NULL for an id without an item.
 * Valid as long as the map. */
DET_API const char *det_label_map_name(const det_label_map *map, int32_t class_id);
/** The name for people; the plain name where the file has none. NULL for an unknown id. */
DET_API const char *det_label_map_display_name(const det_label_map *map, int32_t class_id);
/** Id of a name or display name, as the API looks class texts up; 0 if there is none. */
DET_API int32_t det_label_map_id(const det_label_map *map, const char *name);

#ifdef __cplusplus
}
#endif
#endif
