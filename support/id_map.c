#include "support/id_map.h"

#include "support/mem.h"

/* The finaliser of splitmix64: ids that differ in any bit spread over the whole table. */
static size_t slot_of(int64_t id, size_t slot_count)
{
    uint64_t z = (uint64_t)id + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)(z ^ (z >> 31)) & (slot_count - 1);
}

/* The slot that holds `id`, or the free one where it belongs. */
static struct det_id_slot *probe(struct det_id_slot *slots, size_t slot_count, int64_t id)
{
    size_t at = slot_of(id, slot_count);
    while (slots[at].value_plus_1 != 0 && slots[at].id != id)
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

bool det_id_map_find(const struct det_id_map *map, int64_t id, uint32_t *value)
{
    if (map->slot_count == 0)
        return false;
    const struct det_id_slot *slot = probe(map->slots, map->slot_count, id);
    if (slot->value_plus_1 == 0)
        return false;
    *value = slot->value_plus_1 - 1;
    return true;
}

det_status det_id_map_add(struct det_env *env, struct det_id_map *map, int64_t id, uint32_t value)
{
    if (2 * (map->count + 1) > map->slot_count) {
        const size_t wanted = map->slot_count == 0 ? 16 : 2 * map->slot_count;
        struct det_id_slot *larger = NULL;
        DET_TRY_RETURN(det_alloc(env, &larger, wanted, sizeof *larger, "table of ids"));
        for (size_t i = 0; i < map->slot_count; i++) {
            if (map->slots[i].value_plus_1 != 0)
                *probe(larger, wanted, map->slots[i].id) = map->slots[i];
        }
        det_free(env, &map->slots);
        map->slots = larger;
        map->slot_count = wanted;
    }
    *probe(map->slots, map->slot_count, id) = (struct det_id_slot){id, value + 1};
    map->count++;
    return DET_OK;
}

int64_t det_id_of_text(const char *text)
{
    uint64_t hash = 14695981039346656037U;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    return (int64_t)hash;
}

void det_id_map_free(struct det_env *env, struct det_id_map *map)
{
    det_free(env, &map->slots);
    *map = (struct det_id_map){0};
}
