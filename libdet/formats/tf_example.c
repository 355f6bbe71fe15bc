/* The messages (tensorflow/core/example/{example,feature}.proto):
 *   Example   { Features features = 1; }
 *   Features  { map<string, Feature> feature = 1; }
 *             a map entry is a message { key = 1; value = 2; }
 *   Feature   { oneof { BytesList bytes_list = 1; FloatList float_list = 2;
 *                       Int64List int64_list = 3; } }
 *   each list { repeated value = 1; }, floats and integers packed or not
 */
#include "formats/tf_example.h"

#include <stdio.h>
#include <string.h>

#include "formats/protowire.h"
#include "support/mem.h"

/* Values are the field numbers of Feature's oneof. */
enum kind { KIND_BYTES = 1, KIND_FLOAT = 2, KIND_INT64 = 3 };

static const char *const kind_names[] = {"", "bytes_list", "float_list", "int64_list"};

/* Every key that libdet knows, in the order in which a deterministic protobuf writer puts a map.
 * `offset` is the place in struct det_example of a det_bytes or int64_t (one value) or of the
 * pointer to a list. */
struct key {
    const char *name;
    enum kind kind;
    bool list;
    size_t offset;
};

#define ONE(name, kind, member)                                 \
    {                                                           \
        name, kind, false, offsetof(struct det_example, member) \
    }
#define LIST(name, kind, member)                               \
    {                                                          \
        name, kind, true, offsetof(struct det_example, member) \
    }
static const struct key keys[] = {
    ONE("image/encoded", KIND_BYTES, encoded),
    ONE("image/filename", KIND_BYTES, filename),
    ONE("image/format", KIND_BYTES, format),
    ONE("image/height", KIND_INT64, height),
    LIST("image/object/area", KIND_FLOAT, area),
    LIST("image/object/bbox/xmax", KIND_FLOAT, xmax),
    LIST("image/object/bbox/xmin", KIND_FLOAT, xmin),
    LIST("image/object/bbox/ymax", KIND_FLOAT, ymax),
    LIST("image/object/bbox/ymin", KIND_FLOAT, ymin),
    LIST("image/object/class/label", KIND_INT64, class_label),
    LIST("image/object/class/text", KIND_BYTES, class_text),
    LIST("image/object/difficult", KIND_INT64, difficult),
    LIST("image/object/group_of", KIND_INT64, group_of),
    LIST("image/object/is_crowd", KIND_INT64, is_crowd),
    LIST("image/object/truncated", KIND_INT64, truncated),
    LIST("image/object/weight", KIND_FLOAT, weight),
    ONE("image/source_id", KIND_BYTES, source_id),
    ONE("image/width", KIND_INT64, width),
};
#undef ONE
#undef LIST

enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

/* One feature of the record, for each key. */
struct feature {
    bool present;
    struct det_wire value; /* the Feature message */
    size_t count;
};

static void *member(struct det_example *example, const struct key *key)
{
    return (char *)example + key->offset;
}

static const void *const_member(const struct det_example *example, const struct key *key)
{
    return (const char *)example + key->offset;
}

static size_t element_bytes(enum kind kind)
{
    return kind == KIND_BYTES   ? sizeof(struct det_bytes)
           : kind == KIND_FLOAT ? sizeof(float)
                                : sizeof(int64_t);
}

/* --- reading --- */

static det_status parse_entry(struct det_env *env, struct det_wire entry,
                              struct feature features[KEY_COUNT])
{
    struct det_wire key = {0}, value = {0};
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &entry, &field));
        if (field.number == 0)
            break;
        if (field.number > 2)
            continue;
        DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_BYTES, "entry of the feature map"));
        if (field.number == 1)
            key = field.payload;
        else
            value = field.payload;
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const size_t length = strlen(keys[i].name);
        if (key.bytes == length && memcmp(key.data, keys[i].name, length) == 0)
            features[i] = (struct feature){.present = true, .value = value};
    }
    return DET_OK;
}

static det_status parse_features(struct det_env *env, struct det_wire example,
                                 struct feature features[KEY_COUNT])
{
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &example, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number != 1)
            continue;
        DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_BYTES, "Example.features"));
        struct det_wire map = field.payload;
        for (;;) {
            DET_TRY_RETURN(det_wire_next(env, &map, &field));
            if (field.number == 0)
                break;
            if (field.number != 1)
                continue;
            DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_BYTES, "Features.feature"));
            DET_TRY_RETURN(parse_entry(env, field.payload, features));
        }
    }
}

/* Where a walk over a feature of `kind` puts its values: nowhere when `values` is NULL. */
struct sink {
    enum kind kind;
    void *values; /* room for all: they were counted before */
    size_t count;
};

static void put(struct sink *sink, const struct det_wire_field *field)
{
    const size_t at = sink->count++;
    if (sink->values == NULL)
        return;
    if (sink->kind == KIND_BYTES)
        ((struct det_bytes *)sink->values)[at] =
            (struct det_bytes){.data = field->payload.data, .bytes = field->payload.bytes};
    else if (sink->kind == KIND_FLOAT)
        ((float *)sink->values)[at] = det_wire_float((uint32_t)field->value);
    else
        ((int64_t *)sink->values)[at] = (int64_t)field->value;
}

static det_status walk_packed(struct det_env *env, struct det_wire packed, struct sink *sink)
{
    while (packed.at < packed.bytes) {
        struct det_wire_field element = {0};
        if (sink->kind == KIND_FLOAT) {
            uint32_t bits = 0;
            DET_TRY_RETURN(det_wire_read_fixed32(env, &packed, &bits));
            element.value = bits;
        } else {
            DET_TRY_RETURN(det_wire_read_varint(env, &packed, &element.value));
        }
        put(sink, &element);
    }
    return DET_OK;
}

static det_status walk_list(struct det_env *env, struct det_wire list, struct sink *sink)
{
    static const enum det_wire_type types[] = {DET_WIRE_BYTES, DET_WIRE_BYTES, DET_WIRE_FIXED32,
                                               DET_WIRE_VARINT};
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &list, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number != 1)
            continue;
        if (sink->kind != KIND_BYTES && field.type == DET_WIRE_BYTES) {
            DET_TRY_RETURN(walk_packed(env, field.payload, sink));
            continue;
        }
        DET_TRY_RETURN(det_wire_expect(env, &field, types[sink->kind], kind_names[sink->kind]));
        put(sink, &field);
    }
}

/* Several lists of the kind add up; a list of another kind is an error even when it is empty. */
static det_status walk_feature(struct det_env *env, const struct key *key,
                               const struct feature *feature, struct sink *sink)
{
    struct det_wire wire = feature->value;
    sink->kind = key->kind;
    for (;;) {
        struct det_wire_field field;
        det_status status = det_wire_next(env, &wire, &field);
        if (status == DET_OK && field.number == 0)
            return DET_OK;
        if (status == DET_OK && field.number > KIND_INT64)
            continue;
        if (status == DET_OK)
            status = det_wire_expect(env, &field, DET_WIRE_BYTES, kind_names[field.number]);
        if (status == DET_OK && field.number != (uint32_t)key->kind)
            return det_fail(env, DET_STATUS_CORRUPT, "`%s` holds %s, expected %s", key->name,
                            kind_names[field.number], kind_names[key->kind]);
        if (status == DET_OK)
            status = walk_list(env, field.payload, sink);
        if (status != DET_OK)
            return det_fail_prefix(env, status, "`%s`", key->name);
    }
}

/* Counts a feature's values. */
static det_status measure(struct det_env *env, const struct key *key, struct feature *feature)
{
    struct sink sink = {0};
    DET_TRY_RETURN(walk_feature(env, key, feature, &sink));
    if (!key->list && sink.count > 1)
        return det_fail(env, DET_STATUS_CORRUPT, "`%s` has %zu values, expected 1", key->name,
                        sink.count);
    feature->count = sink.count;
    return DET_OK;
}

static size_t count_of(const struct feature features[KEY_COUNT], size_t offset)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].offset == offset)
            return features[i].count;
    }
    return 0;
}

static det_status check_counts(struct det_env *env, const struct feature features[KEY_COUNT],
                               size_t *box_count)
{
    const size_t ymin = count_of(features, offsetof(struct det_example, ymin));
    const size_t xmin = count_of(features, offsetof(struct det_example, xmin));
    const size_t ymax = count_of(features, offsetof(struct det_example, ymax));
    const size_t xmax = count_of(features, offsetof(struct det_example, xmax));
    if (ymin != xmin || ymin != ymax || ymin != xmax)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "`image/object/bbox/...` have different lengths: %zu ymin, %zu xmin, "
                        "%zu ymax, %zu xmax",
                        ymin, xmin, ymax, xmax);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].list && features[i].count != 0 && features[i].count != ymin)
            return det_fail(env, DET_STATUS_CORRUPT, "`%s` has %zu values for %zu boxes",
                            keys[i].name, features[i].count, ymin);
    }
    *box_count = ymin;
    return DET_OK;
}

static det_status store(struct det_env *env, const struct key *key, const struct feature *feature,
                        struct det_example *example)
{
    if (feature->count == 0)
        return DET_OK; /* an empty list is an absent feature */
    void *place = member(example, key), *values = place;
    if (key->list) {
        DET_TRY_RETURN(det_alloc(env, place, feature->count, element_bytes(key->kind), key->name));
        memcpy(&values, place, sizeof values); /* the list, whatever its type */
    }
    struct sink sink = {.values = values};
    return walk_feature(env, key, feature, &sink);
}

static det_status parse(struct det_env *env, const uint8_t *data, size_t bytes,
                        struct det_example *example)
{
    struct feature features[KEY_COUNT] = {0};
    DET_TRY_RETURN(parse_features(env, det_wire_start(data, bytes), features));
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (features[i].present)
            DET_TRY_RETURN(measure(env, &keys[i], &features[i]));
    }
    DET_TRY_RETURN(check_counts(env, features, &example->box_count));
    for (size_t i = 0; i < KEY_COUNT; i++)
        DET_TRY_RETURN(store(env, &keys[i], &features[i], example));
    return DET_OK;
}

det_status det_example_parse(struct det_env *env, const char *name, const uint8_t *data,
                             size_t bytes, struct det_example *example)
{
    *example = (struct det_example){0};
    const det_status status = parse(env, data, bytes, example);
    if (status == DET_OK)
        return DET_OK;
    det_example_free(env, example);
    return det_fail_prefix(env, status, "%s", name);
}

void det_example_free(struct det_env *env, struct det_example *example)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].list)
            det_free(env, member(example, &keys[i]));
    }
    *example = (struct det_example){0};
}

void det_example_name(const struct det_example *example, const char *record, char name[512])
{
    const struct det_bytes *file = &example->filename;
    if (file->bytes > 0)
        snprintf(name, 512, "%.330s (%.*s)", record, file->bytes < 150 ? (int)file->bytes : 150,
                 (const char *)file->data);
    else
        snprintf(name, 512, "%.511s", record);
}

/* --- writing --- */

/* Where the values of a key start and how many they are; 0 for what is left out. */
static size_t values_of(const struct det_example *example, const struct key *key,
                        const void **values)
{
    const void *place = const_member(example, key);
    if (key->list) {
        memcpy(values, place, sizeof *values);
        return *values != NULL ? example->box_count : 0;
    }
    *values = place;
    if (key->kind == KIND_BYTES)
        return ((const struct det_bytes *)place)->data != NULL;
    return *(const int64_t *)place != 0;
}

static det_status put_values(struct det_env *env, struct det_text *out, enum kind kind,
                             const void *values, size_t count)
{
    if (kind == KIND_BYTES) {
        const struct det_bytes *bytes = values;
        for (size_t i = 0; i < count; i++)
            DET_TRY_RETURN(det_wire_put_bytes(env, out, 1, bytes[i].data, bytes[i].bytes));
        return DET_OK;
    }
    size_t packed = 0;
    DET_TRY_RETURN(det_wire_begin(env, out, 1, &packed));
    for (size_t i = 0; i < count; i++) {
        if (kind == KIND_FLOAT)
            DET_TRY_RETURN(det_wire_append_float(env, out, ((const float *)values)[i]));
        else
            DET_TRY_RETURN(
                det_wire_append_varint(env, out, (uint64_t)((const int64_t *)values)[i]));
    }
    return det_wire_end(env, out, packed);
}

static det_status put_entry(struct det_env *env, struct det_text *out, const struct key *key,
                            const void *values, size_t count)
{
    size_t entry = 0, feature = 0, list = 0;
    DET_TRY_RETURN(det_wire_begin(env, out, 1, &entry));
    DET_TRY_RETURN(det_wire_put_bytes(env, out, 1, key->name, strlen(key->name)));
    DET_TRY_RETURN(det_wire_begin(env, out, 2, &feature));
    DET_TRY_RETURN(det_wire_begin(env, out, (uint32_t)key->kind, &list));
    DET_TRY_RETURN(put_values(env, out, key->kind, values, count));
    DET_TRY_RETURN(det_wire_end(env, out, list));
    DET_TRY_RETURN(det_wire_end(env, out, feature));
    return det_wire_end(env, out, entry);
}

det_status det_example_serialize(struct det_env *env, const struct det_example *example,
                                 uint8_t **data, size_t *bytes)
{
    struct det_text out = {0};
    det_status status = DET_OK;
    size_t features = 0;
    *data = NULL;
    *bytes = 0;
    DET_TRY(det_wire_begin(env, &out, 1, &features));
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const void *values = NULL;
        const size_t count = values_of(example, &keys[i], &values);
        if (count > 0)
            DET_TRY(put_entry(env, &out, &keys[i], values, count));
    }
    DET_TRY(det_wire_end(env, &out, features));
    *data = (uint8_t *)out.data;
    *bytes = out.length;
    return DET_OK;
fail:
    det_text_free(env, &out);
    return status;
}
