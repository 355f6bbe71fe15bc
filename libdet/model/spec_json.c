/* spec_json.c: det_model_spec as JSON. One table of fields serves writing, reading and comparing,
 * so that they cannot disagree; a field added to the struct is added here once. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "model/model.h"
#include "support/json_writer.h"

enum field_kind { FIELD_INT, FIELD_FLOAT, FIELD_BOOL, FIELD_CHOICE, FIELD_FLOATS };

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    const char *const *choices; /* CHOICE: NULL-terminated names of 0, 1, ... */
    bool structural;            /* decides which parameters exist or what outputs mean */
};

static const char *const resize_modes[] = {"fixed", "keep_aspect", NULL};
static const char *const init_kinds[] = {"constant",       "normal",           "truncated_normal",
                                         "glorot_uniform", "variance_scaling", NULL};
static const char *const fan_modes[] = {"fan_in", "fan_out", "fan_avg", NULL};

/* Enums are stored as ints by gcc; read_choice and put_value go through int32_t. */
_Static_assert(sizeof(enum det_init_kind) == sizeof(int32_t), "enums are read as int32_t");

#define FIELD(kind_, structural_, name_, offset_)                                  \
    {                                                                              \
        .name = name_, .kind = kind_, .offset = offset_, .structural = structural_ \
    }
#define PLAIN(kind_, structural_, member) \
    FIELD(kind_, structural_, #member, offsetof(struct det_model_spec, member))

#define HYPER(part)                                                                          \
    {.name = #part ".init",                                                                  \
     .kind = FIELD_CHOICE,                                                                   \
     .offset = offsetof(struct det_model_spec, part.init.kind),                              \
     .choices = init_kinds},                                                                 \
        PLAIN(FIELD_FLOAT, false, part.init.a), PLAIN(FIELD_FLOAT, false, part.init.b),      \
        {.name = #part ".init.fan_mode",                                                     \
         .kind = FIELD_CHOICE,                                                               \
         .offset = offsetof(struct det_model_spec, part.init.fan_mode),                      \
         .choices = fan_modes},                                                              \
        PLAIN(FIELD_BOOL, false, part.init.uniform), PLAIN(FIELD_FLOAT, false, part.l2),     \
        PLAIN(FIELD_FLOAT, false, part.bn_decay), PLAIN(FIELD_FLOAT, true, part.bn_epsilon), \
        PLAIN(FIELD_BOOL, true, part.bn_scale), PLAIN(FIELD_BOOL, true, part.bn_center)

static const struct field fields[] = {
    PLAIN(FIELD_INT, true, num_classes),
    {.name = "resize_mode",
     .kind = FIELD_CHOICE,
     .offset = offsetof(struct det_model_spec, resize_mode),
     .choices = resize_modes},
    PLAIN(FIELD_INT, false, input_height),
    PLAIN(FIELD_INT, false, input_width),
    PLAIN(FIELD_INT, false, min_dimension),
    PLAIN(FIELD_INT, false, max_dimension),
    PLAIN(FIELD_BOOL, false, pad_to_max),
    PLAIN(FIELD_INT, false, pad_to_multiple),
    PLAIN(FIELD_FLOAT, true, depth_multiplier),
    PLAIN(FIELD_INT, true, min_depth),
    PLAIN(FIELD_INT, true, min_level),
    PLAIN(FIELD_INT, true, max_level),
    PLAIN(FIELD_INT, true, fpn_depth),
    PLAIN(FIELD_BOOL, true, fpn_depthwise),
    HYPER(backbone),
    HYPER(fpn),
    PLAIN(FIELD_INT, true, head_depth),
    PLAIN(FIELD_INT, true, head_layers),
    PLAIN(FIELD_INT, true, head_kernel),
    PLAIN(FIELD_BOOL, true, head_depthwise),
    PLAIN(FIELD_BOOL, true, share_tower),
    PLAIN(FIELD_BOOL, false, hyper_on_heads),
    PLAIN(FIELD_FLOAT, false, class_bias_init),
    HYPER(head),
    PLAIN(FIELD_FLOAT, true, anchor_scale),
    PLAIN(FIELD_INT, true, scales_per_octave),
    {.name = "aspects",
     .kind = FIELD_FLOATS,
     .offset = offsetof(struct det_model_spec, aspects),
     .structural = true},
    PLAIN(FIELD_BOOL, true, normalize_anchors),
    PLAIN(FIELD_FLOAT, true, y_scale),
    PLAIN(FIELD_FLOAT, true, x_scale),
    PLAIN(FIELD_FLOAT, true, height_scale),
    PLAIN(FIELD_FLOAT, true, width_scale),
    PLAIN(FIELD_FLOAT, false, score_threshold),
    PLAIN(FIELD_FLOAT, false, iou_threshold),
    PLAIN(FIELD_INT, false, max_per_class),
    PLAIN(FIELD_INT, false, max_total),
    PLAIN(FIELD_BOOL, false, freeze_batchnorm),
};

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

/* --- writing --- */

static void put_value(struct det_json_writer *json, const char *key,
                      const struct det_model_spec *spec, const struct field *field)
{
    const char *at = (const char *)spec + field->offset;
    int32_t number;
    switch (field->kind) {
    case FIELD_INT:
        memcpy(&number, at, sizeof number);
        det_json_put_int(json, key, number);
        return;
    case FIELD_CHOICE:
        memcpy(&number, at, sizeof number);
        det_json_put_string(json, key, field->choices[number]);
        return;
    case FIELD_BOOL:
        det_json_put_bool(json, key, *(const bool *)at);
        return;
    case FIELD_FLOAT:
        det_json_put_double(json, key, (double)*(const float *)(const void *)at);
        return;
    case FIELD_FLOATS:
        break;
    }
    det_json_open_list(json, key);
    for (int32_t i = 0; i < spec->aspect_count; i++)
        det_json_put_double(json, NULL, (double)spec->aspects[i]);
    det_json_close_list(json);
}

void det_model_spec_to_json(struct det_json_writer *json, const char *key,
                            const struct det_model_spec *spec)
{
    det_json_open_object(json, key);
    for (int i = 0; i < FIELD_COUNT; i++) {
        det_json_line(json, 4);
        put_value(json, fields[i].name, spec, &fields[i]);
    }
    det_json_line(json, 2);
    det_json_close_object(json);
}

/* --- reading --- */

static bool read_int(struct det_json value, int32_t *number)
{
    double read = 0;
    if (!det_json_number(value, &read) || !(read >= INT_MIN) || !(read <= INT_MAX) ||
        read != floor(read))
        return false;
    *number = (int32_t)read;
    return true;
}

static bool read_float(struct det_json value, float *number)
{
    double read = 0;
    if (!det_json_number(value, &read) || !(fabs(read) <= (double)FLT_MAX))
        return false;
    *number = (float)read;
    return true;
}

static bool read_choice(struct det_json value, const char *const *choices, int32_t *number)
{
    for (int32_t i = 0; choices[i] != NULL; i++) {
        *number = i;
        if (det_json_equals(value, choices[i]))
            return true;
    }
    return false;
}

static bool read_floats(struct det_json value, struct det_model_spec *spec)
{
    if (det_json_kind(value) != DET_JSON_LIST)
        return false;
    spec->aspect_count = 0;
    struct det_json_entry item;
    for (bool more = det_json_first(value, &item); more; more = det_json_next(&item)) {
        if (spec->aspect_count == DET_MAX_ASPECTS ||
            !read_float(item.value, &spec->aspects[spec->aspect_count]))
            return false;
        spec->aspect_count++;
    }
    return true;
}

static bool read_value(struct det_json value, const struct field *field,
                       struct det_model_spec *spec)
{
    char *at = (char *)spec + field->offset;
    int32_t number = 0;
    float real = 0;
    bool good = false;
    switch (field->kind) {
    case FIELD_INT:
    case FIELD_CHOICE:
        good = field->kind == FIELD_INT ? read_int(value, &number)
                                        : read_choice(value, field->choices, &number);
        memcpy(at, &number, sizeof number);
        break;
    case FIELD_BOOL:
        good = det_json_kind(value) == DET_JSON_BOOL;
        *(bool *)at = det_json_is_true(value);
        break;
    case FIELD_FLOAT:
        good = read_float(value, &real);
        memcpy(at, &real, sizeof real);
        break;
    case FIELD_FLOATS:
        good = read_floats(value, spec);
        break;
    }
    return good;
}

det_status det_model_spec_from_json(struct det_env *env, const char *name, struct det_json json,
                                    struct det_model_spec *spec)
{
    *spec = (struct det_model_spec){0};
    if (det_json_kind(json) != DET_JSON_OBJECT)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: holds no model spec", name);
    for (int i = 0; i < FIELD_COUNT; i++) {
        const struct det_json value = det_json_get(json, fields[i].name);
        if (det_json_kind(value) == DET_JSON_NONE)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: model spec lacks `%s`", name,
                            fields[i].name);
        if (!read_value(value, &fields[i], spec))
            return det_fail(env, DET_STATUS_CORRUPT, "%s: model spec: bad value of `%s`", name,
                            fields[i].name);
    }
    const det_status status = det_model_spec_check(env, spec);
    if (status == DET_OK)
        return DET_OK;
    return det_fail_prefix(env, status == DET_STATUS_INVALID_ARGUMENT ? DET_STATUS_CORRUPT : status,
                           "%s", name);
}

/* --- comparing --- */

static bool equal(const struct det_model_spec *a, const struct det_model_spec *b,
                  const struct field *field)
{
    const char *x = (const char *)a + field->offset, *y = (const char *)b + field->offset;
    if (field->kind == FIELD_FLOATS)
        return a->aspect_count == b->aspect_count &&
               memcmp(x, y, (size_t)a->aspect_count * sizeof *a->aspects) == 0;
    return memcmp(x, y, field->kind == FIELD_BOOL ? sizeof(bool) : 4) == 0;
}

static det_status append_value(struct det_env *env, const struct det_model_spec *spec,
                               const struct field *field, struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    put_value(&json, NULL, spec, field);
    return det_json_end(&json);
}

det_status det_model_spec_difference(struct det_env *env, const struct det_model_spec *a,
                                     const struct det_model_spec *b, bool structural,
                                     struct det_text *text)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (fields[i].structural != structural || equal(a, b, &fields[i]))
            continue;
        DET_TRY_RETURN(
            det_text_printf(env, text, "%s%s is ", text->length > 0 ? ", " : "", fields[i].name));
        DET_TRY_RETURN(append_value(env, a, &fields[i], text));
        DET_TRY_RETURN(det_text_printf(env, text, " instead of "));
        DET_TRY_RETURN(append_value(env, b, &fields[i], text));
    }
    return DET_OK;
}
