/* flexbuffer.h: a FlexBuffers map of numbers (flatbuffers.dev/internals, "FlexBuffers"), which is
 * how TFLite hands options to a custom operator.
 *
 *   keys        NUL-terminated, sorted
 *   key vector  count, then for each key the distance back to it
 *   map         distance back to the key vector, its width in bytes, count, values, then a byte
 *               (type << 2 | log2 of the width) for each value
 *   root        distance back to the map, the map's type byte, the width of that distance
 *
 * Written with words of 4 bytes; read with any width. */
#ifndef DET_FORMATS_FLEXBUFFER_H
#define DET_FORMATS_FLEXBUFFER_H

#include "support/env.h"
#include "support/text.h"

enum det_flex_type { DET_FLEX_INT = 1, DET_FLEX_UINT = 2, DET_FLEX_FLOAT = 3, DET_FLEX_BOOL = 26 };

struct det_flex_value {
    const char *key;
    enum det_flex_type type;
    double number; /* of a BOOL 0 or 1 */
};

/* Keys must rise in strcmp() order. Appends to `text`, which a FlexBuffer must be alone in. */
det_status det_flex_write_map(struct det_env *env, struct det_text *text,
                              const struct det_flex_value *values, size_t count);

/* A map in place. */
struct det_flex_map {
    const uint8_t *data;
    size_t bytes, count;
    size_t keys, key_width; /* place of the first of the distances to keys, bytes of each */
    size_t values, width, types;
};

/* CORRUPT, "byte N: ...", for what is no map; all of its keys are inside. */
det_status det_flex_open_map(struct det_env *env, const void *data, size_t bytes,
                             struct det_flex_map *map);
/* Value i; its key points into the map. UNSUPPORTED for a value that is no number. */
det_status det_flex_at(struct det_env *env, const struct det_flex_map *map, size_t i,
                       struct det_flex_value *value);

#endif
