#include "formats/pipeline_edit.h"

#include <ctype.h>
#include <string.h>

#include "formats/pipeline_schema.h"
#include "formats/prototext.h"
#include "support/mem.h"

enum { MOST_NAME = 80, NO_INDEX = -1 };

/* A part of the path: NAME or NAME[INDEX]. */
struct part {
    char name[MOST_NAME];
    int32_t index;
};

struct edit {
    struct det_env *env;
    const char *assignment;
    const char *path, *path_end, *value;
    struct det_prototext document;
    struct det_text *text;
};

static DET_PRINTF(2, 3) det_status refuse(struct edit *e, const char *format, ...)
{
    char *reason = NULL;
    va_list arguments;
    va_start(arguments, format);
    det_status status = det_format_list(e->env, &reason, format, arguments);
    va_end(arguments);
    if (status == DET_OK)
        status = det_fail(e->env, DET_STATUS_INVALID_ARGUMENT, "set %s: %s", e->assignment, reason);
    det_free(e->env, &reason);
    return status;
}

/* The part at *at, which is moved behind it and its ".". */
static det_status take_part(struct edit *e, const char **at, struct part *part)
{
    size_t length = 0;
    const char *c = *at;
    while (c < e->path_end && *c != '.' && *c != '[')
        if (length < MOST_NAME - 1)
            part->name[length++] = *c++;
        else
            return refuse(e, "a name of more than %d characters", MOST_NAME - 1);
    part->name[length] = '\0';
    part->index = NO_INDEX;
    if (length == 0)
        return refuse(e, "expected FIELD.FIELD=VALUE, found an empty name");
    if (c < e->path_end && *c == '[') {
        int32_t index = 0;
        const char *digit = c + 1;
        while (digit < e->path_end && isdigit((unsigned char)*digit) && index < 1000000)
            index = 10 * index + (*digit++ - '0');
        if (digit == c + 1 || digit >= e->path_end || *digit != ']')
            return refuse(e, "expected `%s[NUMBER]`", part->name);
        part->index = index;
        c = digit + 1;
    }
    if (c < e->path_end && *c != '.')
        return refuse(e, "expected `.` behind `%s`", part->name);
    *at = c < e->path_end ? c + 1 : c;
    return DET_OK;
}

/* --- the text --- */

/* Replaces the bytes from `begin` to `end`. */
static det_status splice(struct edit *e, size_t begin, size_t end, const struct det_text *piece)
{
    struct det_text made = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_append(e->env, &made, e->text->data, begin));
    DET_TRY(det_text_append(e->env, &made, piece->data != NULL ? piece->data : "", piece->length));
    DET_TRY(det_text_append(e->env, &made, e->text->data + end, e->text->length - end));
    det_text_free(e->env, e->text);
    *e->text = made;
    return DET_OK;
fail:
    det_text_free(e->env, &made);
    return status;
}

static bool is_blank_before(const char *text, size_t at, size_t *line)
{
    size_t begin = at;
    while (begin > 0 && (text[begin - 1] == ' ' || text[begin - 1] == '\t'))
        begin--;
    *line = begin;
    return begin == 0 || text[begin - 1] == '\n';
}

/* As the last field of a message, on a line of its own where its brace has one. */
static det_status add_field(struct edit *e, const struct det_prototext_field *message,
                            const struct det_text *field)
{
    struct det_text piece = {0};
    const bool is_root = message == &e->document.root;
    const size_t brace = is_root ? e->text->length : message->end - 1;
    size_t line = brace;
    det_status status = DET_OK;
    if (is_root) {
        const bool ends = brace == 0 || e->text->data[brace - 1] == '\n';
        DET_TRY(det_text_printf(e->env, &piece, "%s%s\n", ends ? "" : "\n", field->data));
    } else if (is_blank_before(e->text->data, brace, &line)) {
        DET_TRY(det_text_printf(e->env, &piece, "%.*s  %s\n", (int)(brace - line),
                                e->text->data + line, field->data));
    } else {
        line = brace;
        DET_TRY(det_text_printf(e->env, &piece, " %s ", field->data));
    }
    status = splice(e, line, line, &piece);
fail:
    det_text_free(e->env, &piece);
    return status;
}

/* The last of these fields becomes `piece`, those before it go. */
static det_status replace_fields(struct edit *e, const struct det_prototext_field *message,
                                 const char *name, int32_t index, const struct det_text *piece)
{
    static const struct det_text nothing;
    const struct det_prototext_field *found[256];
    size_t count = 0;
    for (const struct det_prototext_field *f = message->first; f != NULL; f = f->next) {
        if (strcmp(f->name, name) != 0)
            continue;
        if (count > 0 && found[count - 1]->begin == f->begin)
            continue; /* of the same list */
        if (count == sizeof found / sizeof *found)
            return refuse(e, "`%s` is there more than %zu times", name, count);
        found[count++] = f;
    }
    if (index != NO_INDEX)
        return splice(e, found[index]->begin, found[index]->end, piece);
    for (size_t i = count; i-- > 0;)
        DET_TRY_RETURN(
            splice(e, found[i]->begin, found[i]->end, i + 1 == count ? piece : &nothing));
    return DET_OK;
}

/* --- the value --- */

static det_status put_value(struct edit *e, const struct det_schema_field *field,
                            struct det_text *piece)
{
    const char *value = e->value;
    const bool in_quotes = value[0] == '"' || value[0] == '\'';
    const bool is_list = field->repeated && value[0] == '[';
    if (field->type == DET_SCHEMA_MESSAGE) {
        if (value[0] != '{')
            return refuse(e, "`%s` is a message: expected { ... } or one of its fields",
                          field->name);
        return det_text_printf(e->env, piece, "%s %s", field->name, value);
    }
    DET_TRY_RETURN(det_text_printf(e->env, piece, "%s: ", field->name));
    if (field->type == DET_SCHEMA_STRING && !in_quotes && !is_list)
        return det_prototext_put_string(e->env, piece, value);
    if (!in_quotes && !is_list && (value[0] == '\0' || strpbrk(value, " \t\n{}#:;,") != NULL))
        return refuse(e, "`%s` is one value, found `%s`", field->name, value);
    return det_text_append(e->env, piece, value, strlen(value));
}

/* What is left of the path from `field` on, with its value: "a { b: 1 }". */
static det_status put_rest(struct edit *e, const struct det_schema_field *field, const char *at,
                           struct det_text *piece)
{
    if (at == e->path_end)
        return put_value(e, field, piece);
    struct part part;
    DET_TRY_RETURN(take_part(e, &at, &part));
    const struct det_schema_field *inner =
        field->message != NULL ? det_schema_find(field->message, part.name) : NULL;
    if (inner == NULL)
        return refuse(e, "`%s` has no field `%s`", field->name, part.name);
    if (part.index > 0)
        return refuse(e, "there is no `%s[%d]`", part.name, part.index);
    DET_TRY_RETURN(det_text_printf(e->env, piece, "%s { ", field->name));
    DET_TRY_RETURN(put_rest(e, inner, at, piece));
    return det_text_append(e->env, piece, " }", 2);
}

/* --- the walk --- */

/* The field of that number; of one that is not repeated the last, which counts. */
static det_status find_field(struct edit *e, const struct det_prototext_field *message,
                             const struct det_schema_field *schema, const struct part *part,
                             const struct det_prototext_field **found)
{
    int32_t count = 0;
    *found = NULL;
    for (const struct det_prototext_field *f = message->first; f != NULL; f = f->next)
        if (strcmp(f->name, part->name) == 0) {
            if (!schema->repeated || part->index == NO_INDEX || part->index == count)
                *found = f;
            count++;
        }
    if (part->index != NO_INDEX && !schema->repeated)
        return refuse(e, "`%s` is no list", part->name);
    if (part->index != NO_INDEX && part->index >= count)
        return refuse(e, "there is no `%s[%d]`, there are %d", part->name, part->index, count);
    if (schema->repeated && schema->type == DET_SCHEMA_MESSAGE && part->index == NO_INDEX &&
        count > 1)
        return refuse(e, "there are %d `%s`: expected `%s[0]` to `%s[%d]`", count, part->name,
                      part->name, part->name, count - 1);
    return DET_OK;
}

static det_status walk(struct edit *e, const struct det_schema_message *schema,
                       const struct det_prototext_field *message, const char *at)
{
    struct part part;
    struct det_text piece = {0};
    const struct det_prototext_field *found = NULL;
    DET_TRY_RETURN(take_part(e, &at, &part));
    const struct det_schema_field *field = det_schema_find(schema, part.name);
    if (field == NULL) {
        const char *near = det_schema_suggest(schema, part.name);
        return refuse(e, "unknown field `%s` in %s%s%s%s", part.name, schema->name,
                      near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
                      near != NULL ? "`?" : "");
    }
    DET_TRY_RETURN(find_field(e, message, field, &part, &found));
    if (at != e->path_end && field->message == NULL)
        return refuse(e, "`%s` is a value, it has no fields", part.name);
    if (at != e->path_end && found != NULL && found->kind == DET_PROTOTEXT_MESSAGE)
        return walk(e, field->message, found, at);
    det_status status = DET_OK;
    DET_TRY(put_rest(e, field, at, &piece));
    status = found != NULL ? replace_fields(e, message, part.name, part.index, &piece)
                           : add_field(e, message, &piece);
fail:
    det_text_free(e->env, &piece);
    return status;
}

det_status det_pipeline_edit(struct det_env *env, const char *name, const char *assignment,
                             struct det_text *text)
{
    struct edit e = {.env = env, .assignment = assignment, .path = assignment, .text = text};
    const char *equals = strchr(assignment, '=');
    if (equals == NULL)
        return refuse(&e, "expected FIELD.FIELD=VALUE");
    e.path_end = equals;
    e.value = equals + 1;
    DET_TRY_RETURN(det_prototext_parse(env, name, text->data, text->length, &e.document));
    const det_status status = walk(&e, &det_schema_pipeline, &e.document.root, e.path);
    det_prototext_free(env, &e.document);
    return status;
}
