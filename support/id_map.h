/* id_map.h: 64-bit ids (image, category) to small indices: open addressing, power-of-two table at
 * most half full. */
#ifndef DET_SUPPORT_ID_MAP_H
#define DET_SUPPORT_ID_MAP_H

#include "support/env.h"

struct det_id_slot {
    int64_t id;
    uint32_t value_plus_1; /* 0: free */
};

struct det_id_map {
    struct det_id_slot *slots;
    size_t slot_count;
    size_t count;
};

/* False when the id is not there. */
bool det_id_map_find(const struct det_id_map *map, int64_t id, uint32_t *value);
/* The id must not be there yet; value < UINT32_MAX. */
det_status det_id_map_add(struct det_env *env, struct det_id_map *map, int64_t id, uint32_t value);
/* An id for a text: 64 bits of FNV-1a. Two texts may have the same one. */
int64_t det_id_of_text(const char *text);
void det_id_map_free(struct det_env *env, struct det_id_map *map);

#endif
