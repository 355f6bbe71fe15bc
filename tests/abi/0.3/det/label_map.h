/* det/label_map.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_LABEL_MAP_H
#define DET_LABEL_MAP_H
#include "det/context.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_label_map det_label_map;
DET_NODISCARD DET_API det_status det_label_map_load(det_context *context, const char *path,
                                                    det_label_map **map);
DET_NODISCARD DET_API det_status det_label_map_parse(det_context *context, const char *name,
                                                     const char *text, size_t bytes,
                                                     det_label_map **map);
DET_API void det_label_map_destroy(det_label_map **map);
DET_API int32_t det_label_map_count(const det_label_map *map);
DET_API const char *det_label_map_name(const det_label_map *map, int32_t class_id);
DET_API const char *det_label_map_display_name(const det_label_map *map, int32_t class_id);
DET_API int32_t det_label_map_id(const det_label_map *map, const char *name);
#ifdef __cplusplus
}
#endif
#endif
