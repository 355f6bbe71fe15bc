#include "data/unlisted.h"

#include <stdlib.h>
#include <string.h>

#include "support/mem.h"

/* Labels that are counted one by one, and of those the ones that a message names. */
#define MOST_LABELS 256
#define MOST_NAMED  6
#define SHOWN_BYTES 60
/* Longer texts are told apart by so much of them. */
#define KEPT_BYTES 200

static bool same_label(const struct det_object_label *a, const struct det_object_label *b)
{
    return a->text.bytes == b->text.bytes && a->has_number == b->has_number &&
           a->number == b->number &&
           (a->text.bytes == 0 || memcmp(a->text.data, b->text.data, a->text.bytes) == 0);
}

det_status det_unlisted_add(struct det_env *env, struct det_unlisted *unlisted,
                            const struct det_object_label *label, bool learnt)
{
    struct det_unlisted_label added = {.label = *label, .learnt = learnt, .count = 1};
    struct det_bytes *text = &added.label.text;
    text->bytes = text->bytes < KEPT_BYTES ? text->bytes : KEPT_BYTES;
    for (size_t i = 0; i < unlisted->count; i++)
        if (same_label(&unlisted->labels[i].label, &added.label)) {
            unlisted->labels[i].count++;
            return DET_OK;
        }
    if (unlisted->count == MOST_LABELS) {
        unlisted->more += !learnt;
        return DET_OK;
    }
    DET_TRY_RETURN(det_grow(env, &unlisted->labels, &unlisted->capacity, unlisted->count + 1,
                            sizeof *unlisted->labels, "unknown classes"));
    if (text->bytes > 0) {
        DET_TRY_RETURN(det_strndup(env, &added.text, (const char *)text->data, text->bytes));
        text->data = (const uint8_t *)added.text;
    }
    unlisted->labels[unlisted->count++] = added;
    return DET_OK;
}

void det_unlisted_free(struct det_env *env, struct det_unlisted *unlisted)
{
    for (size_t i = 0; i < unlisted->count; i++)
        det_free(env, &unlisted->labels[i].text);
    det_free(env, &unlisted->labels);
    *unlisted = (struct det_unlisted){0};
}

/* The most frequent first; of equals the order of the records, which qsort may not keep. */
static int by_count(const void *a, const void *b)
{
    const struct det_unlisted_label *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    const size_t least =
        x->label.text.bytes < y->label.text.bytes ? x->label.text.bytes : y->label.text.bytes;
    const int text = least > 0 ? memcmp(x->label.text.data, y->label.text.data, least) : 0;
    if (text != 0 || x->label.text.bytes != y->label.text.bytes)
        return text != 0 ? text : x->label.text.bytes < y->label.text.bytes ? -1 : 1;
    return x->label.number < y->label.number ? -1 : x->label.number > y->label.number;
}

/* "Racoon" (did you mean "raccoon"?), number 7, without a class */
static det_status append_label(struct det_env *env, const struct det_label_map *labels,
                               const struct det_object_label *label, struct det_text *text)
{
    if (label->text.bytes == 0)
        return label->has_number
                   ? det_text_printf(env, text, "number %lld", (long long)label->number)
                   : det_text_printf(env, text, "without text and number");
    const size_t shown = label->text.bytes < SHOWN_BYTES ? label->text.bytes : SHOWN_BYTES;
    char *name = NULL;
    DET_TRY_RETURN(
        det_text_printf(env, text, "\"%.*s\"", (int)shown, (const char *)label->text.data));
    if (label->is_background || labels == NULL || label->text.bytes > SHOWN_BYTES)
        return DET_OK;
    DET_TRY_RETURN(det_strndup(env, &name, (const char *)label->text.data, label->text.bytes));
    const char *meant = det_label_map_nearest(labels, name);
    const det_status status =
        meant != NULL ? det_text_printf(env, text, " (did you mean \"%.60s\"?)", meant) : DET_OK;
    det_free(env, &name);
    return status;
}

/* Those that are learnt or those that are not: how many objects, and "LABEL N, LABEL N". */
static det_status append_labels(struct det_env *env, const struct det_label_map *labels,
                                const struct det_unlisted *unlisted, bool learnt,
                                struct det_text *text, size_t *objects)
{
    size_t named = 0, rest = 0;
    *objects = learnt ? 0 : unlisted->more;
    for (size_t i = 0; i < unlisted->count; i++) {
        const struct det_unlisted_label *at = &unlisted->labels[i];
        if (at->learnt != learnt)
            continue;
        *objects += at->count;
        if (named == MOST_NAMED) {
            rest += at->count;
            continue;
        }
        DET_TRY_RETURN(det_text_printf(env, text, "%s", named++ > 0 ? ", " : ""));
        DET_TRY_RETURN(append_label(env, labels, &at->label, text));
        DET_TRY_RETURN(det_text_printf(env, text, " %zu", at->count));
    }
    rest += learnt ? 0 : unlisted->more;
    return rest > 0 ? det_text_printf(env, text, ", others %zu", rest) : DET_OK;
}

det_status det_unlisted_tell(struct det_env *env, const struct det_label_map *labels,
                             const char *role, const struct det_dataset_counts *counts,
                             const struct det_unlisted *unlisted)
{
    struct det_text dropped = {0}, learnt = {0}, listed = {0};
    size_t objects = 0, learnt_objects = 0;
    det_status status = DET_OK;
    if (unlisted->count > 1)
        qsort(unlisted->labels, unlisted->count, sizeof *unlisted->labels, by_count);
    DET_TRY(append_labels(env, labels, unlisted, false, &dropped, &objects));
    DET_TRY(append_labels(env, labels, unlisted, true, &learnt, &learnt_objects));
    if (labels != NULL)
        DET_TRY(det_label_map_list(env, labels, &listed));
    if (objects > 0)
        det_log(env, DET_LOG_WARNING,
                "%s: %zu of %zu objects are left out, as TensorFlow does, because %s does not list "
                "their class: %s%s%s%s",
                role, objects, counts->boxes + counts->dropped,
                labels != NULL ? labels->path : "the range of numbers", dropped.data,
                labels != NULL ? "; it lists: " : "", labels != NULL ? listed.data : "",
                counts->boxes == 0 ? "; no object is left" : "");
    if (learnt_objects > 0)
        det_log(env, DET_LOG_WARNING,
                "%s: %zu objects have a class without an item in %s: they are learnt, but not "
                "evaluated, as TensorFlow does: %s",
                role, learnt_objects, labels->path, learnt.data);
fail:
    det_text_free(env, &dropped);
    det_text_free(env, &learnt);
    det_text_free(env, &listed);
    return status;
}

det_status det_unlisted_fail(struct det_env *env, const struct det_label_map *labels,
                             int32_t class_count, const char *record, size_t object,
                             const struct det_object_label *label)
{
    struct det_text called = {0}, listed = {0};
    det_status status = DET_OK;
    if (label->text.bytes == 0 && !label->has_number)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "%s: object %zu: has neither image/object/class/text nor .../label", record,
                        object);
    DET_TRY(append_label(env, labels, label, &called));
    if (labels != NULL)
        DET_TRY(det_label_map_list(env, labels, &listed));
    DET_TRY(label->text.bytes > 0
                ? det_fail(env, DET_STATUS_MISMATCH,
                           "%s: object %zu: class %s is not in the label map %s, which lists: %s",
                           record, object, called.data, labels->path, listed.data)
                : det_fail(env, DET_STATUS_MISMATCH,
                           "%s: object %zu: class %s is not one of the %d classes", record, object,
                           called.data, (int)class_count));
fail:
    det_text_free(env, &called);
    det_text_free(env, &listed);
    return status;
}
