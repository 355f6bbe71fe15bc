#include "formats/coco_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/mem.h"
#include "support/number.h"

det_status det_coco_at(const struct det_coco_place *place, det_status status)
{
    return det_fail_prefix(place->env, status, "%s: %s[%zu]", place->path, place->list,
                           place->index);
}

bool det_coco_forgive(const struct det_coco_place *place, const int64_t *image_id,
                      det_status *status)
{
    if (*status == DET_OK || *status == DET_STATUS_OUT_OF_MEMORY || place->faults == NULL)
        return false;
    place->faults->entry(place->faults->user, image_id, place->env->error);
    *status = DET_OK;
    return true;
}

det_status det_coco_wrong_kind(const struct det_coco_place *place, const char *key,
                               struct det_json value, const char *expected)
{
    if (det_json_kind(value) == DET_JSON_NONE)
        return det_coco_at(place, det_fail(place->env, DET_STATUS_PARSE, "no `%s`", key));
    return det_coco_at(place, det_fail(place->env, DET_STATUS_PARSE, "`%s` is %s, expected %s", key,
                                       det_json_kind_text(value), expected));
}

/* NaN for what is not there, as pandas has it; told where the text was read (python_json.h). */
static bool is_nothing(const struct det_coco_place *place, struct det_json value)
{
    double number = 0;
    return place->faults != NULL && det_json_number(value, &number) && !isfinite(number);
}

det_status det_coco_keys(const struct det_coco_place *place, struct det_json entry,
                         const char *const *keys, struct det_json *values, size_t count)
{
    if (det_json_kind(entry) != DET_JSON_OBJECT)
        return det_coco_at(place, det_fail(place->env, DET_STATUS_PARSE,
                                           "is %s, expected an object", det_json_kind_text(entry)));
    for (size_t k = 0; k < count; k++)
        values[k] = (struct det_json){0};
    struct det_json_entry child;
    for (bool more = det_json_first(entry, &child); more; more = det_json_next(&child)) {
        for (size_t k = 0; k < count; k++) {
            if (det_json_equals(child.key, keys[k]))
                values[k] = is_nothing(place, child.value) ? (struct det_json){0} : child.value;
        }
    }
    return DET_OK;
}

/* --- numbers --- */

bool det_coco_is_absent(struct det_json value)
{
    return det_json_kind(value) <= DET_JSON_NULL;
}

/* A number as it is written, also in quotes where faults are gathered; NULL: it is none. */
static const char *written_number(const struct det_coco_place *place, struct det_json value,
                                  size_t *bytes)
{
    const enum det_json_kind kind = det_json_kind(value);
    const bool quoted = place->faults != NULL && kind == DET_JSON_STRING;
    if (kind != DET_JSON_NUMBER && !quoted)
        return NULL;
    const char *text = det_json_source(value, bytes);
    if (quoted)
        *bytes -= 2;
    return text + quoted;
}

static bool number_of(const struct det_coco_place *place, struct det_json value, double *number)
{
    size_t bytes = 0;
    const char *text = written_number(place, value, &bytes);
    *number = 0;
    return text != NULL && det_parse_decimal(text, bytes, number);
}

det_status det_coco_integer(const struct det_coco_place *place, const char *key,
                            struct det_json value, int64_t *out)
{
    double number = 0;
    size_t bytes = 0;
    const char *text = written_number(place, value, &bytes);
    if (text != NULL && det_parse_integer(text, bytes, out))
        return DET_OK;
    if (!number_of(place, value, &number))
        return det_coco_wrong_kind(place, key, value, "an integer");
    /* 12.0 and 1e3, as programs that have doubles only write them: beyond 2^53 two ids may have
     * become one. */
    if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
        return det_coco_at(place,
                           det_fail(place->env, DET_STATUS_PARSE,
                                    "`%s` is %.17g, expected an integer of 64 bits; with a point "
                                    "or an exponent one of at most 2^53",
                                    key, number));
    *out = (int64_t)number;
    return DET_OK;
}

det_status det_coco_number(const struct det_coco_place *place, const char *key,
                           struct det_json value, double *out)
{
    if (!number_of(place, value, out))
        return det_coco_wrong_kind(place, key, value, "a number");
    if (!isfinite(*out))
        return det_coco_at(place,
                           det_fail(place->env, DET_STATUS_NON_FINITE, "`%s` is not finite", key));
    return DET_OK;
}

det_status det_coco_flag(const struct det_coco_place *place, const char *key, struct det_json value,
                         bool *out)
{
    if (det_coco_is_absent(value))
        return DET_OK;
    if (det_json_kind(value) == DET_JSON_BOOL) {
        *out = det_json_is_true(value);
        return DET_OK;
    }
    int64_t number = 0;
    DET_TRY_RETURN(det_coco_integer(place, key, value, &number));
    if (number != 0 && number != 1)
        return det_coco_at(place,
                           det_fail(place->env, DET_STATUS_PARSE, "`%s` is %lld, expected 0 or 1",
                                    key, (long long)number));
    *out = number == 1;
    return DET_OK;
}

det_status det_coco_box(const struct det_coco_place *place, struct det_json value, double box_px[4])
{
    if (det_json_kind(value) != DET_JSON_LIST)
        return det_coco_wrong_kind(place, "bbox", value, "a list of 4 numbers");
    const size_t count = det_json_count(value);
    if (count != 4)
        return det_coco_at(place, det_fail(place->env, DET_STATUS_PARSE,
                                           "`bbox` has %zu numbers, expected 4", count));
    struct det_json_entry item;
    det_json_first(value, &item);
    for (int i = 0; i < 4; i++, det_json_next(&item))
        DET_TRY_RETURN(det_coco_number(place, "bbox", item.value, &box_px[i]));
    return DET_OK;
}

/* --- ids of images --- */

int det_coco_compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* *text must be freed, also after a failure. */
static det_status find_name(const struct det_coco_place *place, const char *key,
                            struct det_json value, const struct det_coco_names *names, char **text,
                            int64_t *out)
{
    DET_TRY_RETURN(det_json_string(place->env, value, text));
    char *const *found = names != NULL && names->count > 0
                             ? bsearch(text, names->names, names->count, sizeof *names->names,
                                       det_coco_compare_names)
                             : NULL;
    if (names == NULL || names->count == 0)
        return det_coco_at(place, det_fail(place->env, DET_STATUS_MISMATCH,
                                           "`%s` is the string \"%s\", but the ids of the images "
                                           "are integers",
                                           key, *text));
    if (found == NULL)
        return det_coco_at(place,
                           det_fail(place->env, DET_STATUS_NOT_FOUND,
                                    "`%s` \"%s\" is not an image of the ground truth", key, *text));
    *out = (int64_t)(found - names->names) + 1;
    return DET_OK;
}

det_status det_coco_image_id(const struct det_coco_place *place, const char *key,
                             struct det_json value, const struct det_coco_names *names,
                             int64_t *out)
{
    const bool by_name = names != NULL && names->count > 0;
    const bool is_string = det_json_kind(value) == DET_JSON_STRING;
    if (by_name && !is_string)
        return det_coco_wrong_kind(place, key, value, "a string as the ids of the images");
    if (!by_name && (!is_string || place->faults != NULL))
        return det_coco_integer(place, key, value, out);
    char *text = NULL;
    const det_status status = find_name(place, key, value, names, &text, out);
    det_free(place->env, &text);
    return status;
}
