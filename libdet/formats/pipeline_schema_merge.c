/* pipeline_schema_merge.c: det_schema_merge(): the merge rules of protobuf's text format, as
 * Python's text_format.Merge has them, by which the TF Object Detection API reads its files (utils/
 * config_util.py, utils/label_map_util.py). */
#include <string.h>

#include "formats/pipeline_schema.h"

#define MOST_WARNINGS 10

/* Fields are unlinked and moved, never copied for keeps: as many as the file has are enough. */
struct merger {
    struct det_env *env;
    const struct det_prototext *document;
    int32_t told; /* repetitions that were found */
};

/* The field of one message that stays for one entry of its table. */
struct kept {
    struct det_prototext_field *field;
    struct det_prototext_field **tail; /* where the next child of a message goes */
};

static bool is_new_warning(struct merger *m)
{
    return m->told++ < MOST_WARNINGS;
}

static void tell(struct merger *m, const struct det_prototext_field *first,
                 const struct det_prototext_field *again, const char *what)
{
    if (is_new_warning(m))
        det_log(m->env, DET_LOG_WARNING, "%s:%d:%d: `%s` %s of line %d, as TensorFlow reads it",
                m->document->name, (int)again->position.line, (int)again->position.column,
                again->name, what, (int)first->position.line);
}

static bool same_value(const struct det_prototext_field *a, const struct det_prototext_field *b)
{
    return a->kind == b->kind && a->kind != DET_PROTOTEXT_MESSAGE &&
           a->text_bytes == b->text_bytes && memcmp(a->text, b->text, a->text_bytes) == 0;
}

static struct det_prototext_field **tail_of(struct det_prototext_field *message)
{
    struct det_prototext_field **tail = &message->first;
    while (*tail != NULL)
        tail = &(*tail)->next;
    return tail;
}

/* `again` takes the place of `field` in its list. */
static void put_in_place(struct det_prototext_field *field, const struct det_prototext_field *again)
{
    struct det_prototext_field *next = field->next;
    *field = *again;
    field->next = next;
}

static void merge_again(struct merger *m, struct kept *kept, struct det_prototext_field *again)
{
    struct det_prototext_field *field = kept->field;
    if (field->kind == DET_PROTOTEXT_MESSAGE && again->kind == DET_PROTOTEXT_MESSAGE) {
        tell(m, field, again, "is merged with that");
        if (kept->tail == NULL)
            kept->tail = tail_of(field);
        *kept->tail = again->first;
        while (*kept->tail != NULL)
            kept->tail = &(*kept->tail)->next;
        return;
    }
    if (!same_value(field, again))
        tell(m, field, again, "counts instead of that");
    put_in_place(field, again);
}

/* The member of the same oneof that stands so far, NULL for none. */
static struct kept *rival(const struct det_schema_message *message, size_t index, struct kept *kept)
{
    const uint8_t oneof = message->fields[index].oneof;
    for (size_t i = 0; oneof != 0 && i < message->count; i++)
        if (i != index && kept[i].field != NULL && message->fields[i].oneof == oneof)
            return &kept[i];
    return NULL;
}

static void merge_message(struct merger *m, const struct det_schema_message *message,
                          struct det_prototext_field *tree)
{
    struct kept kept[DET_SCHEMA_MOST_FIELDS] = {{0}};
    struct det_prototext_field **link = &tree->first;
    while (*link != NULL) {
        struct det_prototext_field *at = *link;
        const struct det_schema_field *field = det_schema_find(message, at->name);
        if (field == NULL || field->repeated) {
            link = &at->next;
            continue;
        }
        const size_t i = (size_t)(field - message->fields);
        struct kept *other = rival(message, i, kept);
        if (kept[i].field != NULL) {
            *link = at->next;
            merge_again(m, &kept[i], at);
        } else if (other != NULL) {
            if (is_new_warning(m))
                det_log(m->env, DET_LOG_WARNING,
                        "%s:%d:%d: `%s` replaces `%s` of line %d: only one of them can be set, and "
                        "TensorFlow takes the last",
                        m->document->name, (int)at->position.line, (int)at->position.column,
                        at->name, other->field->name, (int)other->field->position.line);
            *link = at->next;
            put_in_place(other->field, at);
            kept[i].field = other->field;
            *other = (struct kept){0};
        } else {
            kept[i].field = at;
            link = &at->next;
        }
    }
    for (struct det_prototext_field *at = tree->first; at != NULL; at = at->next) {
        const struct det_schema_field *field = det_schema_find(message, at->name);
        if (field != NULL && field->message != NULL && at->kind == DET_PROTOTEXT_MESSAGE)
            merge_message(m, field->message, at);
    }
}

void det_schema_merge(struct det_env *env, const struct det_prototext *document,
                      const struct det_schema_message *message, struct det_prototext_field *tree)
{
    struct merger merger = {.env = env, .document = document};
    merge_message(&merger, message, tree);
    if (merger.told > MOST_WARNINGS)
        det_log(env, DET_LOG_WARNING, "%s: %d more fields are there more than once", document->name,
                (int)(merger.told - MOST_WARNINGS));
}
