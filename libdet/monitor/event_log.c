/* event_log.c: det/event_log.h. Field numbers as in tensorflow/core/util/event.proto,
 * framework/summary.proto and framework/tensor.proto. Values that no plugin here shows (histograms,
 * graphs) are passed over. */
#include "det/event_log.h"

#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "formats/protowire.h"
#include "monitor/event_records.h"
#include "support/io.h"
#include "support/mem.h"

enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum { METADATA_PLUGIN_DATA = 1, PLUGIN_NAME = 1 };
enum { TENSOR_TYPE = 1, TENSOR_CONTENT = 4, TENSOR_FLOATS = 5, TENSOR_STRINGS = 8 };
enum { TYPE_FLOAT = 1, TYPE_STRING = 7 };

/* An event while it is read: where its values begin, since the arrays still grow. */
struct entry {
    det_event event;
    const char *tag; /* in the bytes of a file, no NUL */
    size_t tag_bytes;
    size_t order; /* as read */
    size_t first_value, value_count;
    size_t first_blob;
};

struct det_event_log {
    struct det_env *env;
    struct det_file_bytes *files;
    size_t file_count, file_capacity;
    struct entry *entries; /* while reading */
    size_t entry_count, entry_capacity;
    size_t values_read;
    float *values;
    size_t value_count, value_capacity;
    det_event_blob *blobs;
    size_t blob_count, blob_capacity;
    char **tags;
    size_t tag_count, tag_capacity;
    det_event *events;
    size_t count;
};

/* --- one value of an event --- */

static det_status add_value(det_event_log *log, uint32_t bits)
{
    DET_TRY_RETURN(det_grow(log->env, &log->values, &log->value_capacity, log->value_count + 1,
                            sizeof *log->values, "values of events"));
    log->values[log->value_count++] = det_wire_float(bits);
    return DET_OK;
}

static det_status add_blob(det_event_log *log, const struct det_wire *payload)
{
    DET_TRY_RETURN(det_grow(log->env, &log->blobs, &log->blob_capacity, log->blob_count + 1,
                            sizeof *log->blobs, "blobs of events"));
    log->blobs[log->blob_count++] = (det_event_blob){payload->data, payload->bytes};
    return DET_OK;
}

/* float_val and tensor_content hold the same: little-endian floats. */
static det_status read_tensor(det_event_log *log, struct det_wire tensor)
{
    struct det_env *env = log->env;
    struct det_wire_field field;
    uint64_t type = 0;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(env, &tensor, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number == TENSOR_TYPE) {
            type = field.value;
        } else if (field.number == TENSOR_STRINGS && field.type == DET_WIRE_BYTES) {
            DET_TRY_RETURN(add_blob(log, &field.payload));
        } else if (field.number == TENSOR_FLOATS && field.type == DET_WIRE_FIXED32) {
            DET_TRY_RETURN(add_value(log, (uint32_t)field.value));
        } else if (field.type == DET_WIRE_BYTES && type == TYPE_FLOAT &&
                   (field.number == TENSOR_FLOATS || field.number == TENSOR_CONTENT)) {
            while (field.payload.at < field.payload.bytes) {
                uint32_t bits = 0;
                DET_TRY_RETURN(det_wire_read_fixed32(env, &field.payload, &bits));
                DET_TRY_RETURN(add_value(log, bits));
            }
        }
    }
}

/* The plugin's name out of SummaryMetadata. */
static det_status read_plugin(struct det_env *env, struct det_wire metadata, struct det_wire *name)
{
    struct det_wire_field field, part;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(env, &metadata, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number != METADATA_PLUGIN_DATA || field.type != DET_WIRE_BYTES)
            continue;
        for (;;) {
            DET_TRY_RETURN(det_wire_next(env, &field.payload, &part));
            if (part.number == 0)
                break;
            if (part.number == PLUGIN_NAME && part.type == DET_WIRE_BYTES)
                *name = part.payload;
        }
    }
}

static bool named(const struct det_wire *name, const char *text)
{
    return name->bytes == strlen(text) && memcmp(name->data, text, name->bytes) == 0;
}

/* False: of no kind that is kept. */
static bool classify(const struct det_wire *plugin, const det_event_log *log, struct entry *entry)
{
    const size_t values = log->value_count - entry->first_value;
    const size_t blobs = log->blob_count - entry->first_blob;
    det_event *event = &entry->event;
    event->columns = 1;
    entry->value_count = values;
    if (named(plugin, "scalars") && values == 1) {
        event->kind = DET_EVENT_SCALAR;
    } else if (named(plugin, "images") && blobs > 2) {
        event->kind = DET_EVENT_IMAGES;
        entry->first_blob += 2; /* width and height as text */
        event->blob_count = blobs - 2;
    } else if (named(plugin, "text") && blobs > 0) {
        event->kind = DET_EVENT_TEXT;
        event->blob_count = blobs;
    } else if (named(plugin, "pr_curves") && values >= 12 && values % 6 == 0 &&
               values / 6 <= INT32_MAX) {
        event->kind = DET_EVENT_PR_CURVE;
        event->columns = (int32_t)(values / 6);
    } else {
        return false;
    }
    return true;
}

static det_status read_value(det_event_log *log, struct det_wire value, int64_t step,
                             double wall_time)
{
    struct det_env *env = log->env;
    struct det_wire plugin = {0};
    struct det_wire_field field;
    struct entry entry = {.event = {.step = step, .wall_time = wall_time},
                          .first_value = log->value_count,
                          .first_blob = log->blob_count};
    for (;;) {
        DET_TRY_RETURN(det_wire_next(env, &value, &field));
        if (field.number == 0)
            break;
        if (field.number == VALUE_TAG && field.type == DET_WIRE_BYTES) {
            entry.tag = (const char *)field.payload.data;
            entry.tag_bytes = field.payload.bytes;
        } else if (field.number == VALUE_SIMPLE && field.type == DET_WIRE_FIXED32) {
            DET_TRY_RETURN(add_value(log, (uint32_t)field.value));
            static const char scalars[] = "scalars";
            plugin = det_wire_start((const uint8_t *)scalars, sizeof scalars - 1);
        } else if (field.number == VALUE_TENSOR && field.type == DET_WIRE_BYTES) {
            DET_TRY_RETURN(read_tensor(log, field.payload));
        } else if (field.number == VALUE_METADATA && field.type == DET_WIRE_BYTES) {
            DET_TRY_RETURN(read_plugin(env, field.payload, &plugin));
        }
    }
    entry.order = log->values_read++;
    if (entry.tag_bytes == 0 || memchr(entry.tag, '\0', entry.tag_bytes) != NULL ||
        !classify(&plugin, log, &entry))
        return DET_OK;
    DET_TRY_RETURN(det_grow(env, &log->entries, &log->entry_capacity, log->entry_count + 1,
                            sizeof *log->entries, "events"));
    log->entries[log->entry_count++] = entry;
    return DET_OK;
}

/* A session began at `step`: what was read of it and later was of one that was killed. */
static void drop_orphans(det_event_log *log, int64_t step)
{
    size_t kept = 0;
    for (size_t i = 0; i < log->entry_count; i++)
        if (log->entries[i].event.step < step)
            log->entries[kept++] = log->entries[i];
    log->entry_count = kept;
}

static det_status begins_session(struct det_env *env, struct det_wire session, bool *begins)
{
    struct det_wire_field field;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(env, &session, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number == DET_SESSION_LOG_STATUS && field.type == DET_WIRE_VARINT)
            *begins = field.value == DET_SESSION_START;
    }
}

static det_status read_event(det_event_log *log, const uint8_t *data, size_t bytes)
{
    struct det_env *env = log->env;
    struct det_wire event = det_wire_start(data, bytes), summary;
    struct det_wire_field field, value;
    int64_t step = 0;
    double wall_time = 0;
    bool begins = false;
    /* Twice: step and time may stand behind the summary. */
    for (int pass = 0; pass < 2; pass++) {
        event.at = 0;
        for (;;) {
            DET_TRY_RETURN(det_wire_next(env, &event, &field));
            if (field.number == 0)
                break;
            if (field.number == DET_EVENT_STEP && field.type == DET_WIRE_VARINT)
                step = (int64_t)field.value;
            else if (field.number == DET_EVENT_WALL_TIME && field.type == DET_WIRE_FIXED64)
                memcpy(&wall_time, &field.value, sizeof wall_time);
            else if (field.number == DET_EVENT_SESSION_LOG && field.type == DET_WIRE_BYTES)
                DET_TRY_RETURN(begins_session(env, field.payload, &begins));
            if (pass == 0 || field.number != DET_EVENT_SUMMARY || field.type != DET_WIRE_BYTES)
                continue;
            summary = field.payload;
            for (;;) {
                DET_TRY_RETURN(det_wire_next(env, &summary, &value));
                if (value.number == 0)
                    break;
                if (value.number == SUMMARY_VALUE && value.type == DET_WIRE_BYTES)
                    DET_TRY_RETURN(read_value(log, value.payload, step, wall_time));
            }
        }
    }
    if (begins)
        drop_orphans(log, step);
    return DET_OK;
}

/* --- files --- */

static det_status read_records(det_event_log *log, const char *path,
                               const struct det_file_bytes *contents)
{
    struct det_env *env = log->env;
    struct det_event_records records = {.contents = contents};
    const uint8_t *data = NULL;
    size_t bytes = 0, begin = 0;
    for (; det_event_records_next(&records, &data, &bytes); begin = records.at) {
        const det_status status = read_event(log, data, bytes);
        if (status == DET_STATUS_CORRUPT) {
            det_log(env, DET_LOG_WARNING, "%s: record at byte %zu: %s; what is behind is not read",
                    path, begin, env->error);
            det_forget_error(env);
            return DET_OK;
        }
        DET_TRY_RETURN(status);
    }
    if (records.damaged)
        det_log(env, DET_LOG_WARNING, "%s: byte %zu: damaged; what is behind is not read", path,
                records.at);
    return DET_OK;
}

static det_status read_file(det_event_log *log, const char *path)
{
    DET_TRY_RETURN(det_grow(log->env, &log->files, &log->file_capacity, log->file_count + 1,
                            sizeof *log->files, "event files"));
    struct det_file_bytes *contents = &log->files[log->file_count];
    DET_TRY_RETURN(det_file_read(log->env, path, contents));
    log->file_count++;
    return read_records(log, path, contents);
}

/* --- order --- */

static int compare_tags(const struct entry *x, const struct entry *y)
{
    const size_t shorter = x->tag_bytes < y->tag_bytes ? x->tag_bytes : y->tag_bytes;
    const int order = memcmp(x->tag, y->tag, shorter);
    return order != 0 ? order : (x->tag_bytes > y->tag_bytes) - (x->tag_bytes < y->tag_bytes);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int order = compare_tags(x, y);
    if (order != 0)
        return order;
    if (x->event.step != y->event.step)
        return x->event.step < y->event.step ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* Sorted, of each tag and step the last one read, with pointers instead of positions. */
static det_status settle(det_event_log *log)
{
    struct det_env *env = log->env;
    const size_t count = log->entry_count;
    if (count == 0)
        return DET_OK;
    qsort(log->entries, count, sizeof *log->entries, compare_entries);
    DET_TRY_RETURN(det_alloc(env, &log->events, count, sizeof *log->events, "events"));
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &log->entries[i];
        const bool same_tag = i > 0 && compare_tags(entry, entry - 1) == 0;
        if (!same_tag) {
            DET_TRY_RETURN(det_grow(env, &log->tags, &log->tag_capacity, log->tag_count + 1,
                                    sizeof *log->tags, "tags"));
            DET_TRY_RETURN(
                det_strndup(env, &log->tags[log->tag_count], entry->tag, entry->tag_bytes));
            log->tag_count++;
        }
        if (same_tag && entry->event.step == entry[-1].event.step)
            log->count--;
        det_event *event = &log->events[log->count++];
        *event = entry->event;
        event->tag = log->tags[log->tag_count - 1];
        if (entry->value_count > 0)
            event->values = log->values + entry->first_value;
        if (event->blob_count > 0)
            event->blobs = log->blobs + entry->first_blob;
    }
    det_free(env, &log->entries);
    return DET_OK;
}

/* --- public --- */

det_status det_event_log_read(det_context *context, const char *directory, det_event_log **log)
{
    struct det_env *env = det_context_env(context);
    struct det_path_list list = {0};
    det_event_log *made = NULL;
    det_status status = DET_OK;
    if (log != NULL)
        *log = NULL;
    DET_NEED(env, context);
    DET_NEED(env, directory);
    DET_NEED(env, log);
    DET_TRY_RETURN(det_alloc(env, &made, 1, sizeof *made, "event log"));
    made->env = env;
    DET_TRY(det_event_files(env, directory, &list));
    for (size_t i = 0; i < list.count; i++)
        DET_TRY(read_file(made, list.paths[i]));
    if (made->file_count == 0)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                         "%s: no event file (" DET_EVENT_FILE_BEGIN "*) here", directory));
    DET_TRY(settle(made));
    *log = made;
    made = NULL;
fail:
    det_path_list_free(env, &list);
    det_event_log_destroy(&made);
    return status;
}

void det_event_log_destroy(det_event_log **out)
{
    if (out == NULL || *out == NULL)
        return;
    det_event_log *log = *out;
    struct det_env *env = log->env;
    for (size_t i = 0; i < log->file_count; i++)
        det_file_release(&log->files[i]);
    for (size_t i = 0; i < log->tag_count; i++)
        det_free(env, &log->tags[i]);
    det_free(env, &log->files);
    det_free(env, &log->entries);
    det_free(env, &log->values);
    det_free(env, &log->blobs);
    det_free(env, &log->tags);
    det_free(env, &log->events);
    det_free(env, out);
}

size_t det_event_log_count(const det_event_log *log)
{
    return log == NULL ? 0 : log->count;
}

const det_event *det_event_log_at(const det_event_log *log, size_t index)
{
    return index < det_event_log_count(log) ? &log->events[index] : NULL;
}

size_t det_event_log_find(const det_event_log *log, const char *tag, const det_event **first)
{
    size_t low = 0, high = det_event_log_count(log);
    if (first != NULL)
        *first = NULL;
    if (log == NULL || tag == NULL || first == NULL)
        return 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(log->events[middle].tag, tag) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < log->count && strcmp(log->events[end].tag, tag) == 0)
        end++;
    if (end > low)
        *first = &log->events[low];
    return end - low;
}
