/* pipeline_schema_decode.c: fills C structs from a tree of text format by the tables of
 * pipeline_schema.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/pipeline_schema.h"
#include "support/mem.h"
#include "support/text.h"

#define PATH_BYTES 256

/* Names from the root down to the message at hand, for error texts. */
struct path {
    const struct path *parent;
    const char *name;
};

struct decoder {
    struct det_env *env;
    struct det_prototext *document;
    struct det_stage_refusals *refusals; /* NULL: every stage fails at once */
    uint8_t stage;                       /* of the message at hand */
};

const struct det_schema_field *det_schema_find(const struct det_schema_message *message,
                                               const char *name)
{
    for (size_t i = 0; i < message->count; i++)
        if (strcmp(message->fields[i].name, name) == 0)
            return &message->fields[i];
    return NULL;
}

static void print_path(const struct path *path, char buffer[PATH_BYTES])
{
    if (path == NULL || path->name[0] == '\0') {
        buffer[0] = '\0';
        return;
    }
    print_path(path->parent, buffer);
    const size_t used = strlen(buffer);
    snprintf(buffer + used, PATH_BYTES - used, "%s%s", used > 0 ? "." : "", path->name);
}

/* ---- defaults ---- */

static void set_number(void *target, uint8_t type, double value)
{
    switch (type) {
    case DET_SCHEMA_BOOL:
        *(bool *)target = value != 0;
        break;
    case DET_SCHEMA_INT:
    case DET_SCHEMA_ENUM:
        *(int32_t *)target = (int32_t)value;
        break;
    case DET_SCHEMA_UINT:
        *(uint32_t *)target = (uint32_t)value;
        break;
    default:
        *(float *)target = (float)value;
        break;
    }
}

static void set_defaults(const struct det_schema_message *message, uint8_t *base)
{
    for (size_t i = 0; i < message->count; i++) {
        const struct det_schema_field *field = &message->fields[i];
        if (field->use != DET_SCHEMA_HONOURED)
            continue;
        if (field->inline_count > 0) {
            for (size_t n = 0; n < field->inline_count; n++)
                set_number((float *)(void *)(base + field->offset) + n, field->type,
                           field->fallback);
        } else if (field->repeated) {
            continue;
        } else if (field->type == DET_SCHEMA_MESSAGE) {
            if (field->oneof == 0)
                set_defaults(field->message, base + field->offset);
        } else if (field->type == DET_SCHEMA_STRING) {
            *(const char **)(void *)(base + field->offset) =
                field->text_fallback != NULL ? field->text_fallback : "";
        } else {
            set_number(base + field->offset, field->type, field->fallback);
        }
    }
}

/* ---- values ---- */

/* The better of two suggestions; of equals the longer one, as letters are left out more often than
 * added. */
static const char *nearest(const char *name, const char *best, int *distance, const char *candidate)
{
    const int found = det_edit_distance(name, candidate);
    const bool tie = found == *distance && best != NULL && strlen(candidate) > strlen(best);
    if (found >= *distance && !tie)
        return best;
    *distance = found;
    return candidate;
}

static int worth_suggesting(const char *name)
{
    const int length = (int)strlen(name);
    return length < 6 ? 3 : length / 2 < 8 ? length / 2 : 8;
}

static det_status read_enum(struct decoder *d, const struct det_schema_field *field,
                            const struct det_prototext_field *tree, double *out)
{
    if (tree->kind == DET_PROTOTEXT_NUMBER) {
        int64_t number = 0;
        DET_TRY_RETURN(det_prototext_int(d->env, d->document, tree, INT32_MIN, INT32_MAX, &number));
        for (const struct det_schema_word *word = field->words; word->name != NULL; word++)
            if (word->value == number) {
                *out = (double)number;
                return DET_OK;
            }
    } else if (tree->kind == DET_PROTOTEXT_WORD) {
        for (const struct det_schema_word *word = field->words; word->name != NULL; word++)
            if (strcmp(word->name, tree->text) == 0) {
                *out = word->value;
                return DET_OK;
            }
        const char *best = NULL;
        int distance = worth_suggesting(tree->text);
        for (const struct det_schema_word *word = field->words; word->name != NULL; word++)
            best = nearest(tree->text, best, &distance, word->name);
        if (best != NULL)
            return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->value_position,
                                      "field `%s`: unknown value `%.60s`; did you mean `%s`?",
                                      field->name, tree->text, best);
    }
    char all[200] = "";
    for (const struct det_schema_word *word = field->words; word->name != NULL; word++) {
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", used > 0 ? ", " : "", word->name);
    }
    if (tree->kind == DET_PROTOTEXT_MESSAGE)
        return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->value_position,
                                  "field `%s`: found a message, expected one of %s", field->name,
                                  all);
    return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->value_position,
                              "field `%s`: found `%.60s`, expected one of %s", field->name,
                              tree->text, all);
}

/* `failed`, whose message is the env's: of a part that only a later stage reads it is put down for
 * that one instead. */
static det_status later(struct decoder *d, det_status failed)
{
    if (d->refusals == NULL || d->stage == DET_STAGE_ALL)
        return failed;
    const char **message = &d->refusals->messages[d->stage];
    char *copy = NULL;
    if (*message == NULL) {
        const size_t bytes = strlen(d->env->error) + 1;
        DET_TRY_RETURN(det_prototext_allocate(d->env, d->document, &copy, bytes, 1));
        memcpy(copy, d->env->error, bytes);
        *message = copy;
    }
    det_forget_error(d->env);
    return DET_OK;
}

/* Any type but strings and messages; range-checked. */
static det_status read_number(struct decoder *d, const struct det_schema_field *field,
                              const struct det_prototext_field *tree, double *out)
{
    int64_t integer = 0;
    float real = 0;
    bool flag = false;
    *out = 0;
    switch (field->type) {
    case DET_SCHEMA_BOOL:
        DET_TRY_RETURN(det_prototext_bool(d->env, d->document, tree, &flag));
        *out = flag;
        return DET_OK;
    case DET_SCHEMA_ENUM:
        return read_enum(d, field, tree, out);
    case DET_SCHEMA_INT:
        DET_TRY_RETURN(
            det_prototext_int(d->env, d->document, tree, INT32_MIN, INT32_MAX, &integer));
        *out = (double)integer;
        break;
    case DET_SCHEMA_UINT:
        DET_TRY_RETURN(det_prototext_int(d->env, d->document, tree, 0, UINT32_MAX, &integer));
        *out = (double)integer;
        break;
    default:
        DET_TRY_RETURN(det_prototext_float(d->env, d->document, tree, &real));
        if (!isfinite(real))
            return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->value_position,
                                      "field `%s`: found `%.60s`, expected a finite number",
                                      field->name, tree->text);
        *out = (double)real;
        break;
    }
    /* Limits are compared in the field's precision: .5 is within [0, .5] whatever float makes of
     * it. */
    const double low = field->type == DET_SCHEMA_FLOAT ? (double)(float)field->low : field->low;
    const double high = field->type == DET_SCHEMA_FLOAT ? (double)(float)field->high : field->high;
    if (low < high && !(*out >= low && *out <= high)) {
        *out = field->fallback;
        return later(d,
                     det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->value_position,
                                        "field `%s`: found %.60s, expected %.10g to %.10g",
                                        field->name, tree->text, field->low, field->high));
    }
    return DET_OK;
}

static det_status refuse(struct decoder *d, const struct det_schema_field *field,
                         const struct det_prototext_field *tree, const struct path *path)
{
    char where[PATH_BYTES];
    const struct path here = {path, field->name};
    print_path(&here, where);
    return later(d, det_prototext_fail(d->env, DET_STATUS_UNSUPPORTED, d->document, tree->position,
                                       "field `%s` is not supported: %s", where, field->reason));
}

static det_status require_message(struct decoder *d, const struct det_prototext_field *tree)
{
    if (tree->kind == DET_PROTOTEXT_MESSAGE)
        return DET_OK;
    return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->value_position,
                              "field `%s`: found `%.60s`, expected a message in { }", tree->name,
                              tree->text);
}

/* For TOLD and REFUSED fields: whether the value says no more than leaving the field out would. */
static det_status is_default(struct decoder *d, const struct det_schema_field *field,
                             const struct det_prototext_field *tree, bool *is)
{
    const char *text = "";
    double value = 0;
    *is = false;
    if (field->type == DET_SCHEMA_MESSAGE)
        return require_message(d, tree);
    if (field->type == DET_SCHEMA_STRING) {
        DET_TRY_RETURN(det_prototext_string(d->env, d->document, tree, &text));
        *is = !field->repeated && text[0] == '\0';
        return DET_OK;
    }
    DET_TRY_RETURN(read_number(d, field, tree, &value));
    const double expected =
        field->type == DET_SCHEMA_FLOAT ? (double)(float)field->fallback : field->fallback;
    *is = !field->repeated && value == expected;
    return DET_OK;
}

/* Fields whose value is not kept; elements of a list are told of once. */
static det_status check_unused(struct decoder *d, const struct det_schema_field *field,
                               const struct det_prototext_field *tree, const struct path *path,
                               bool again)
{
    bool is = false;
    DET_TRY_RETURN(is_default(d, field, tree, &is));
    if (is || field->use == DET_SCHEMA_HARMLESS)
        return DET_OK;
    if (field->use == DET_SCHEMA_REFUSED)
        return refuse(d, field, tree, path);
    if (!again)
        det_log(d->env, DET_LOG_WARNING, "%s:%d:%d: `%s` does nothing here: %s", d->document->name,
                (int)tree->position.line, (int)tree->position.column, field->name, field->reason);
    return DET_OK;
}

/* ---- messages ---- */

static det_status decode_message(struct decoder *d, const struct det_schema_message *message,
                                 const struct det_prototext_field *tree, const struct path *path,
                                 uint8_t *base);

static det_status decode_element(struct decoder *d, const struct det_schema_field *field,
                                 const struct det_prototext_field *tree, const struct path *path,
                                 uint8_t *target)
{
    if (field->type == DET_SCHEMA_STRING)
        return det_prototext_string(d->env, d->document, tree, (const char **)(void *)target);
    if (field->type == DET_SCHEMA_MESSAGE) {
        DET_TRY_RETURN(require_message(d, tree));
        const struct path here = {path, field->name};
        const uint8_t stage = d->stage;
        if (field->oneof != 0 || field->repeated)
            set_defaults(field->message, target);
        if (field->stage != DET_STAGE_ALL)
            d->stage = field->stage;
        const det_status status = decode_message(d, field->message, tree, &here, target);
        d->stage = stage;
        return status;
    }
    double value = 0;
    DET_TRY_RETURN(read_number(d, field, tree, &value));
    set_number(target, field->type, value);
    return DET_OK;
}

/* All elements of a repeated field; `first` is the first of them. */
static det_status decode_list(struct decoder *d, const struct det_schema_field *field,
                              const struct det_prototext_field *first, const struct path *path,
                              uint8_t *base)
{
    size_t count = 0;
    for (const struct det_prototext_field *at = first; at != NULL; at = at->next)
        count += strcmp(at->name, first->name) == 0;
    const size_t size = field->type == DET_SCHEMA_MESSAGE  ? field->message->size
                        : field->type == DET_SCHEMA_STRING ? sizeof(char *)
                                                           : sizeof(int32_t);
    uint8_t *values = base + field->offset;
    if (field->inline_count > 0) {
        if (count != field->inline_count)
            return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, first->position,
                                      "field `%s`: found %zu values, expected %d", field->name,
                                      count, field->inline_count);
    } else {
        DET_TRY_RETURN(det_prototext_allocate(d->env, d->document, &values, count, size));
        memcpy(base + field->offset, &count, sizeof count);
        memcpy(base + field->offset + sizeof count, &values, sizeof values);
    }
    for (const struct det_prototext_field *at = first; at != NULL; at = at->next)
        if (strcmp(at->name, first->name) == 0) {
            DET_TRY_RETURN(decode_element(d, field, at, path, values));
            values += size;
        }
    return DET_OK;
}

const char *det_schema_suggest(const struct det_schema_message *message, const char *name)
{
    const char *best = NULL;
    int distance = worth_suggesting(name);
    for (size_t i = 0; i < message->count; i++)
        best = nearest(name, best, &distance, message->fields[i].name);
    return best;
}

static det_status unknown_field(struct decoder *d, const struct det_schema_message *message,
                                const struct det_prototext_field *tree)
{
    const char *best = det_schema_suggest(message, tree->name);
    if (best != NULL)
        return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->position,
                                  "unknown field `%.80s` in %s; did you mean `%s`?", tree->name,
                                  message->name, best);
    return det_prototext_fail(d->env, DET_STATUS_PARSE, d->document, tree->position,
                              "unknown field `%.80s` in %s", tree->name, message->name);
}

static det_status decode_message(struct decoder *d, const struct det_schema_message *message,
                                 const struct det_prototext_field *tree, const struct path *path,
                                 uint8_t *base)
{
    bool seen[DET_SCHEMA_MOST_FIELDS] = {0};
    if (message->has_position)
        memcpy(base + message->position_offset, &tree->position, sizeof tree->position);
    for (const struct det_prototext_field *at = tree->first; at != NULL; at = at->next) {
        const struct det_schema_field *field = det_schema_find(message, at->name);
        if (field == NULL)
            return unknown_field(d, message, at);
        const size_t i = (size_t)(field - message->fields);
        if (field->use != DET_SCHEMA_HONOURED)
            DET_TRY_RETURN(check_unused(d, field, at, path, seen[i]));
        else if (!field->repeated)
            DET_TRY_RETURN(decode_element(d, field, at, path, base + field->offset));
        else if (!seen[i])
            DET_TRY_RETURN(decode_list(d, field, at, path, base));
        seen[i] = true;
        if (field->mark == DET_SCHEMA_MARK_BOOL)
            *(bool *)(base + field->mark_offset) = true;
        else if (field->mark == DET_SCHEMA_MARK_INT)
            *(int32_t *)(void *)(base + field->mark_offset) = field->mark_value;
    }
    return DET_OK;
}

det_status det_schema_decode(struct det_env *env, struct det_prototext *document,
                             const struct det_schema_message *message,
                             const struct det_prototext_field *tree,
                             struct det_stage_refusals *refusals, void *out)
{
    struct decoder decoder = {env, document, refusals, DET_STAGE_ALL};
    const struct path root = {NULL, ""};
    set_defaults(message, out);
    return decode_message(&decoder, message, tree, &root, out);
}
