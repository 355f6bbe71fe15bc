#include "formats/flexbuffer.h"

#include <string.h>

enum { MAP = 9, WORD = 4, LOG2_WORD = 2 };

/* --- writing --- */

static det_status append_word(struct det_env *env, struct det_text *text, uint32_t word)
{
    return det_text_append(env, text, (const char *)&word, sizeof word);
}

static det_status append_distance(struct det_env *env, struct det_text *text, size_t to)
{
    return append_word(env, text, (uint32_t)(text->length - to));
}

static det_status append_value(struct det_env *env, struct det_text *text,
                               const struct det_flex_value *value)
{
    uint32_t word = 0;
    const float real = (float)value->number;
    if (value->type == DET_FLEX_FLOAT)
        memcpy(&word, &real, sizeof word);
    else
        word = (uint32_t)(int64_t)value->number;
    return append_word(env, text, word);
}

det_status det_flex_write_map(struct det_env *env, struct det_text *text,
                              const struct det_flex_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        DET_TRY_RETURN(det_text_append(env, text, values[i].key, strlen(values[i].key) + 1));
    const size_t keys_end = text->length;
    if (keys_end % WORD > 0)
        DET_TRY_RETURN(det_text_append(env, text, "\0\0\0", WORD - keys_end % WORD));
    DET_TRY_RETURN(append_word(env, text, (uint32_t)count));
    const size_t keys = text->length;
    for (size_t i = 0, key = 0; i < count; key += strlen(values[i].key) + 1, i++)
        DET_TRY_RETURN(append_distance(env, text, key));
    DET_TRY_RETURN(append_distance(env, text, keys));
    DET_TRY_RETURN(append_word(env, text, WORD));
    DET_TRY_RETURN(append_word(env, text, (uint32_t)count));
    const size_t map = text->length;
    for (size_t i = 0; i < count; i++)
        DET_TRY_RETURN(append_value(env, text, &values[i]));
    for (size_t i = 0; i < count; i++) {
        const char type = (char)(values[i].type << 2 | LOG2_WORD);
        DET_TRY_RETURN(det_text_append(env, text, &type, 1));
    }
    const size_t end = text->length;
    if (end % WORD > 0)
        DET_TRY_RETURN(det_text_append(env, text, "\0\0\0", WORD - end % WORD));
    DET_TRY_RETURN(append_distance(env, text, map));
    static const char root[] = {MAP << 2 | LOG2_WORD, WORD};
    return det_text_append(env, text, root, sizeof root);
}

/* --- reading --- */

static det_status corrupt(struct det_env *env, size_t at)
{
    return det_fail(env, DET_STATUS_CORRUPT, "byte %zu: no FlexBuffers map of numbers", at);
}

static uint64_t whole_at(const struct det_flex_map *map, size_t at, size_t width)
{
    uint64_t value = 0;
    memcpy(&value, map->data + at, width);
    return value;
}

/* *to: where the distance at `at` leads back to; `before` bytes are there in front of it. */
static det_status go_back(struct det_env *env, const struct det_flex_map *map, size_t at,
                          size_t width, size_t before, size_t *to)
{
    const uint64_t distance = whole_at(map, at, width);
    if (distance > at || at - distance < before)
        return corrupt(env, at);
    *to = at - (size_t)distance;
    return DET_OK;
}

static bool is_width(uint64_t width)
{
    return width == 1 || width == 2 || width == 4 || width == 8;
}

static det_status check_keys(struct det_env *env, const struct det_flex_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        size_t key = 0;
        const size_t at = map->keys + i * map->key_width;
        DET_TRY_RETURN(go_back(env, map, at, map->key_width, 0, &key));
        if (memchr(map->data + key, 0, map->bytes - key) == NULL)
            return corrupt(env, key);
    }
    return DET_OK;
}

det_status det_flex_open_map(struct det_env *env, const void *data, size_t bytes,
                             struct det_flex_map *map)
{
    *map = (struct det_flex_map){.data = data, .bytes = bytes};
    if (bytes < 3 || !is_width(map->data[bytes - 1]) || map->data[bytes - 2] >> 2 != MAP)
        return corrupt(env, bytes);
    const size_t root_width = map->data[bytes - 1];
    map->width = (size_t)1 << (map->data[bytes - 2] & 3);
    if (bytes < 2 + root_width)
        return corrupt(env, bytes);
    DET_TRY_RETURN(
        go_back(env, map, bytes - 2 - root_width, root_width, 3 * map->width, &map->values));
    map->count = (size_t)whole_at(map, map->values - map->width, map->width);
    if (map->count > (bytes - map->values) / (map->width + 1))
        return corrupt(env, map->values);
    map->types = map->values + map->count * map->width;
    map->key_width = (size_t)whole_at(map, map->values - 2 * map->width, map->width);
    if (!is_width(map->key_width))
        return corrupt(env, map->values);
    DET_TRY_RETURN(
        go_back(env, map, map->values - 3 * map->width, map->width, map->key_width, &map->keys));
    if (whole_at(map, map->keys - map->key_width, map->key_width) != map->count ||
        map->count > (bytes - map->keys) / map->key_width)
        return corrupt(env, map->keys);
    return check_keys(env, map);
}

static double real_at(const struct det_flex_map *map, size_t at)
{
    float real = 0;
    double wide = 0;
    if (map->width == sizeof wide)
        memcpy(&wide, map->data + at, sizeof wide);
    else
        memcpy(&real, map->data + at, sizeof real);
    return map->width == sizeof wide ? wide : (double)real;
}

det_status det_flex_at(struct det_env *env, const struct det_flex_map *map, size_t i,
                       struct det_flex_value *value)
{
    const size_t at = map->values + i * map->width, key_at = map->keys + i * map->key_width;
    const int unused = 64 - 8 * (int)map->width;
    const uint64_t whole = whole_at(map, at, map->width);
    value->key = (const char *)map->data + key_at - whole_at(map, key_at, map->key_width);
    value->type = (enum det_flex_type)(map->data[map->types + i] >> 2);
    switch (value->type) {
    case DET_FLEX_INT:
        value->number = (double)((int64_t)(whole << unused) >> unused);
        return DET_OK;
    case DET_FLEX_UINT:
    case DET_FLEX_BOOL:
        value->number = (double)whole;
        return DET_OK;
    case DET_FLEX_FLOAT:
        if (map->width < sizeof(float))
            return corrupt(env, at);
        value->number = real_at(map, at);
        return DET_OK;
    }
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: a FlexBuffers value of type %d, no number",
                    value->key, (int)value->type);
}
