/* summary_writer.c: det/summary.h. The messages are tensorflow/core/util/event.proto,
 * framework/summary.proto and framework/tensor.proto; plugins and their data as
 * tensorboard/plugins/NAME/metadata.py of TensorBoard describes them. */
#include "data/image_view.h"
#include "det/summary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/context.h"
#include "base/forks.h"
#include "data/image.h"
#include "formats/protowire.h"
#include "formats/tfrecord.h"
#include "monitor/event_records.h"
#include "monitor/event_run.h"
#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"

#define FLUSH_BYTES     ((size_t)64 * 1024)
#define MOST_THRESHOLDS 1000000

/* Field numbers. */
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum { METADATA_PLUGIN_DATA = 1, METADATA_DATA_CLASS = 4 };
enum { PLUGIN_NAME = 1, PLUGIN_CONTENT = 2 };
enum { TENSOR_TYPE = 1, TENSOR_SHAPE = 2, TENSOR_FLOATS = 5, TENSOR_STRINGS = 8 };
enum { SHAPE_DIM = 2, DIM_SIZE = 1 };
enum { PR_CURVE_THRESHOLDS = 2 };

/* Values of DataType and DataClass. */
enum { TYPE_FLOAT = 1, TYPE_STRING = 7 };
enum { CLASS_SCALAR = 1, CLASS_TENSOR = 2, CLASS_BLOB_SEQUENCE = 3 };

struct det_summary_writer {
    struct det_env *env;
    int descriptor;
    unsigned forks; /* det_forks() of the process that writes */
    char *path;
    struct det_text pending; /* framed records, not yet handed over */
    struct det_text event;   /* the one being built */
};

/* --- the file --- */

det_status det_summary_flush(det_summary_writer *writer)
{
    size_t done = 0;
    DET_NEED(NULL, writer);
    if (writer->forks != det_forks())
        return det_fail(writer->env, DET_STATUS_UNSUPPORTED,
                        "%s: this process is the child of a fork, its parent writes the file",
                        writer->path);
    while (done < writer->pending.length) {
        const ssize_t written = det_write_some(writer->descriptor, writer->pending.data + done,
                                               writer->pending.length - done);
        if (written < 0) {
            const det_status status = det_fail_write(writer->env, errno, writer->path);
            /* What is left stays pending: after making room on the disk a later flush goes on. */
            memmove(writer->pending.data, writer->pending.data + done,
                    writer->pending.length - done);
            writer->pending.length -= done;
            return status;
        }
        done += (size_t)written;
    }
    writer->pending.length = 0;
    return DET_OK;
}

/* The event in writer->event becomes a record. */
static det_status add_record(det_summary_writer *writer)
{
    uint8_t head[12], tail[4];
    struct det_text *pending = &writer->pending;
    const size_t before = pending->length;
    det_status status = DET_OK;
    det_tfrecord_frame(writer->event.data, writer->event.length, head, tail);
    DET_TRY(det_text_append(writer->env, pending, (const char *)head, sizeof head));
    DET_TRY(det_text_append(writer->env, pending, writer->event.data, writer->event.length));
    DET_TRY(det_text_append(writer->env, pending, (const char *)tail, sizeof tail));
    return pending->length < FLUSH_BYTES ? DET_OK : det_summary_flush(writer);
fail:
    pending->length = before; /* no half record */
    return status;
}

/* Seconds since 1970 for the name of a file that TensorBoard is to read behind all that are there:
 * it goes by the name, also when clocks went back or the last file is of this very second. */
static long long time_of_name(const char *directory)
{
    const size_t begin = strlen(DET_EVENT_FILE_BEGIN);
    long long seconds = (long long)det_clock_wall_whole_seconds();
    DIR *folder = opendir(directory);
    const struct dirent *entry = NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *number = entry->d_name + begin;
        if (strncmp(entry->d_name, DET_EVENT_FILE_BEGIN, begin) == 0 &&
            strspn(number, "0123456789") == 10 && atoll(number) >= seconds)
            seconds = atoll(number) + 1;
    }
    if (folder != NULL)
        closedir(folder);
    return seconds;
}

/* Several writers of one process in one second differ by N. */
static det_status create_file(det_summary_writer *writer, const char *directory)
{
    enum { MOST_TRIES = 1000 };
    char host[256] = "";
    const long long seconds = time_of_name(directory);
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0' || strchr(host, '/') != NULL)
        snprintf(host, sizeof host, "localhost");
    for (int n = 0; n < MOST_TRIES; n++) {
        DET_TRY_RETURN(det_path_join_printf(writer->env, &writer->path, directory,
                                            DET_EVENT_FILE_BEGIN "%010lld.%s.%ld.%d.v2", seconds,
                                            host, (long)getpid(), n));
        writer->descriptor =
            open(writer->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (writer->descriptor >= 0) {
            det_event_file_hold(writer->descriptor);
            return DET_OK;
        }
        if (errno != EEXIST)
            return det_fail_errno(writer->env, errno, "%s", writer->path);
        det_free(writer->env, &writer->path);
    }
    return det_fail(writer->env, DET_STATUS_IO, "%s: no free name for an event file", directory);
}

static det_status add_version(det_summary_writer *writer)
{
    static const char version[] = "brain.Event:2";
    DET_TRY_RETURN(det_wire_put_double(writer->env, &writer->event, DET_EVENT_WALL_TIME,
                                       det_clock_wall_seconds()));
    DET_TRY_RETURN(det_wire_put_bytes(writer->env, &writer->event, DET_EVENT_FILE_VERSION, version,
                                      sizeof version - 1));
    return add_record(writer);
}

/* SessionLog START: all that was written before of this step and later is void. Twice: TensorBoard
 * takes the first one of a run for the beginning of that, where nothing was before
 * (plugin_event_accumulator.py), and files of TensorFlow have none. */
static det_status add_starts(det_summary_writer *writer, int64_t step)
{
    struct det_env *env = writer->env;
    struct det_text *text = &writer->event;
    size_t session = 0;
    text->length = 0;
    DET_TRY_RETURN(det_wire_put_double(env, text, DET_EVENT_WALL_TIME, det_clock_wall_seconds()));
    DET_TRY_RETURN(det_wire_put_varint(env, text, DET_EVENT_STEP, (uint64_t)step));
    DET_TRY_RETURN(det_wire_begin(env, text, DET_EVENT_SESSION_LOG, &session));
    DET_TRY_RETURN(det_wire_put_varint(env, text, DET_SESSION_LOG_STATUS, DET_SESSION_START));
    DET_TRY_RETURN(det_wire_end(env, text, session));
    DET_TRY_RETURN(add_record(writer));
    return add_record(writer);
}

/* first_step -1: not said. */
static det_status open_writer(det_context *context, const char *directory, int64_t first_step,
                              det_summary_writer **out)
{
    struct det_env *env = det_context_env(context);
    det_summary_writer *writer = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &writer, 1, sizeof *writer, "summary writer"));
    writer->env = env;
    writer->descriptor = -1;
    writer->forks = det_forks();
    DET_TRY(det_forks_watch(env));
    DET_TRY(det_make_directories(env, directory));
    DET_TRY(create_file(writer, directory));
    DET_TRY(add_version(writer));
    if (first_step >= 0)
        DET_TRY(add_starts(writer, first_step));
    DET_TRY(det_summary_flush(writer));
    *out = writer;
    return DET_OK;
fail:
    det_summary_writer_destroy(&writer);
    return status;
}

det_status det_summary_writer_create(det_context *context, const char *directory,
                                     det_summary_writer **writer)
{
    struct det_env *env = det_context_env(context);
    if (writer != NULL)
        *writer = NULL;
    DET_NEED(env, context);
    DET_NEED(env, directory);
    DET_NEED(env, writer);
    return open_writer(context, directory, -1, writer);
}

det_status det_summary_writer_resume(det_context *context, const char *directory,
                                     int64_t first_step, det_summary_writer **writer)
{
    struct det_env *env = det_context_env(context);
    if (writer != NULL)
        *writer = NULL;
    DET_NEED(env, context);
    DET_NEED(env, directory);
    DET_NEED(env, writer);
    if (first_step < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: first step %lld is negative",
                        directory, (long long)first_step);
    struct det_path_list files = {0};
    DET_TRY_RETURN(det_event_files(env, directory, &files));
    const bool begun = files.count > 0;
    det_path_list_free(env, &files);
    if (begun)
        DET_TRY_RETURN(det_event_run_cut(env, directory, first_step));
    return open_writer(context, directory, begun ? first_step : -1, writer);
}

void det_summary_writer_destroy(det_summary_writer **out)
{
    if (out == NULL || *out == NULL)
        return;
    det_summary_writer *writer = *out;
    struct det_env *env = writer->env, own;
    if (writer->descriptor >= 0) {
        /* Nobody asks for this failure, perhaps for one before. */
        det_env_fork(&own, env);
        writer->env = &own;
        if (writer->forks == det_forks() && det_summary_flush(writer) != DET_OK)
            det_log(env, DET_LOG_WARNING, "%s", own.error);
        close(writer->descriptor);
    }
    det_text_free(env, &writer->pending);
    det_text_free(env, &writer->event);
    det_free(env, &writer->path);
    det_free(env, out);
}

const char *det_summary_writer_path(const det_summary_writer *writer)
{
    return writer == NULL ? "" : writer->path;
}

/* --- events --- */

/* Everything of an event but its tensor; the marks of the open messages are the caller's to
 * close. */
struct open_event {
    size_t summary, value, tensor;
};

static det_status put_metadata(struct det_env *env, struct det_text *text, const char *plugin,
                               int32_t data_class, const struct det_text *content)
{
    size_t metadata = 0, data = 0;
    DET_TRY_RETURN(det_wire_begin(env, text, VALUE_METADATA, &metadata));
    DET_TRY_RETURN(det_wire_begin(env, text, METADATA_PLUGIN_DATA, &data));
    DET_TRY_RETURN(det_wire_put_bytes(env, text, PLUGIN_NAME, plugin, strlen(plugin)));
    if (content != NULL && content->length > 0)
        DET_TRY_RETURN(
            det_wire_put_bytes(env, text, PLUGIN_CONTENT, content->data, content->length));
    DET_TRY_RETURN(det_wire_end(env, text, data));
    DET_TRY_RETURN(det_wire_put_varint(env, text, METADATA_DATA_CLASS, (uint64_t)data_class));
    return det_wire_end(env, text, metadata);
}

/* Protobuf's strings are UTF-8: one name that is not would keep TensorBoard from reading the whole
 * file. */
static det_status put_tag(struct det_env *env, struct det_text *text, const char *tag)
{
    struct det_text clean = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_utf8(env, &clean, tag));
    DET_TRY(det_wire_put_bytes(env, text, VALUE_TAG, clean.data, clean.length));
fail:
    det_text_free(env, &clean);
    return status;
}

static struct det_env *env_of(const det_summary_writer *writer)
{
    return writer == NULL ? NULL : writer->env;
}

static det_status begin_event(det_summary_writer *writer, const char *tag, int64_t step,
                              const char *plugin, int32_t data_class,
                              const struct det_text *content, struct open_event *open)
{
    struct det_env *env = writer->env;
    struct det_text *text = &writer->event;
    if (tag[0] == '\0')
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: a summary needs a tag",
                        writer->path);
    text->length = 0;
    DET_TRY_RETURN(det_wire_put_double(env, text, DET_EVENT_WALL_TIME, det_clock_wall_seconds()));
    DET_TRY_RETURN(det_wire_put_varint(env, text, DET_EVENT_STEP, (uint64_t)step));
    DET_TRY_RETURN(det_wire_begin(env, text, DET_EVENT_SUMMARY, &open->summary));
    DET_TRY_RETURN(det_wire_begin(env, text, SUMMARY_VALUE, &open->value));
    DET_TRY_RETURN(put_tag(env, text, tag));
    DET_TRY_RETURN(put_metadata(env, text, plugin, data_class, content));
    return det_wire_begin(env, text, VALUE_TENSOR, &open->tensor);
}

static det_status end_event(det_summary_writer *writer, const struct open_event *open)
{
    DET_TRY_RETURN(det_wire_end(writer->env, &writer->event, open->tensor));
    DET_TRY_RETURN(det_wire_end(writer->env, &writer->event, open->value));
    DET_TRY_RETURN(det_wire_end(writer->env, &writer->event, open->summary));
    return add_record(writer);
}

/* Type and shape of a tensor. */
static det_status put_tensor_head(det_summary_writer *writer, int32_t type, const int64_t *shape,
                                  int32_t dims)
{
    struct det_env *env = writer->env;
    struct det_text *text = &writer->event;
    size_t mark = 0, dim = 0;
    DET_TRY_RETURN(det_wire_put_varint(env, text, TENSOR_TYPE, (uint64_t)type));
    DET_TRY_RETURN(det_wire_begin(env, text, TENSOR_SHAPE, &mark));
    for (int32_t i = 0; i < dims; i++) {
        DET_TRY_RETURN(det_wire_begin(env, text, SHAPE_DIM, &dim));
        DET_TRY_RETURN(det_wire_put_varint(env, text, DIM_SIZE, (uint64_t)shape[i]));
        DET_TRY_RETURN(det_wire_end(env, text, dim));
    }
    return det_wire_end(env, text, mark);
}

det_status det_summary_scalar(det_summary_writer *writer, const char *tag, int64_t step,
                              double value)
{
    struct det_env *env = env_of(writer);
    struct open_event open = {0};
    size_t floats = 0;
    DET_NEED(env, writer);
    DET_NEED(env, tag);
    DET_TRY_RETURN(begin_event(writer, tag, step, "scalars", CLASS_SCALAR, NULL, &open));
    DET_TRY_RETURN(put_tensor_head(writer, TYPE_FLOAT, NULL, 0));
    DET_TRY_RETURN(det_wire_begin(env, &writer->event, TENSOR_FLOATS, &floats));
    DET_TRY_RETURN(det_wire_append_float(env, &writer->event, (float)value));
    DET_TRY_RETURN(det_wire_end(env, &writer->event, floats));
    return end_event(writer, &open);
}

det_status det_summary_text(det_summary_writer *writer, const char *tag, int64_t step,
                            const char *text)
{
    struct det_env *env = env_of(writer);
    struct open_event open = {0};
    DET_NEED(env, writer);
    DET_NEED(env, tag);
    DET_NEED(env, text);
    DET_TRY_RETURN(begin_event(writer, tag, step, "text", CLASS_TENSOR, NULL, &open));
    DET_TRY_RETURN(put_tensor_head(writer, TYPE_STRING, NULL, 0));
    DET_TRY_RETURN(det_wire_put_bytes(env, &writer->event, TENSOR_STRINGS, text, strlen(text)));
    return end_event(writer, &open);
}

static det_status put_number_string(det_summary_writer *writer, int32_t value)
{
    char digits[16];
    const int length = snprintf(digits, sizeof digits, "%d", (int)value);
    return det_wire_put_bytes(writer->env, &writer->event, TENSOR_STRINGS, digits, (size_t)length);
}

static det_status put_png(det_summary_writer *writer, const det_image_view *view)
{
    struct det_env *env = writer->env;
    struct det_image buffer = {0}, rgb;
    uint8_t *png = NULL;
    size_t bytes = 0;
    det_status status = DET_OK;
    DET_TRY(det_image_view_check(env, view));
    DET_TRY(det_image_of_view(env, &buffer, view, &rgb));
    DET_TRY(det_image_encode_png(env, &rgb, &png, &bytes));
    DET_TRY(det_wire_put_bytes(env, &writer->event, TENSOR_STRINGS, png, bytes));
fail:
    det_free(env, &png);
    det_image_free(env, &buffer);
    return status;
}

det_status det_summary_images(det_summary_writer *writer, const char *tag, int64_t step,
                              const det_image_view *images, size_t count)
{
    struct det_env *env = env_of(writer);
    struct open_event open = {0};
    DET_NEED(env, writer);
    DET_NEED(env, tag);
    DET_NEED_ARRAY(env, images, count);
    if (count == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: \"%s\": no images", writer->path,
                        tag);
    /* width, height, then the encoded pictures. */
    const int64_t shape[] = {(int64_t)count + 2};
    DET_TRY_RETURN(begin_event(writer, tag, step, "images", CLASS_BLOB_SEQUENCE, NULL, &open));
    DET_TRY_RETURN(put_tensor_head(writer, TYPE_STRING, shape, 1));
    const struct det_window window = det_window_of_view(&images[0]);
    DET_TRY_RETURN(put_number_string(writer, window.width));
    DET_TRY_RETURN(put_number_string(writer, window.height));
    for (size_t i = 0; i < count; i++)
        DET_TRY_RETURN(put_png(writer, &images[i]));
    return end_event(writer, &open);
}

det_status det_summary_pr_curve(det_summary_writer *writer, const char *tag, int64_t step,
                                const det_pr_curve *curve)
{
    struct det_env *env = env_of(writer);
    struct det_text content = {0};
    struct open_event open = {0};
    det_pr_curve c = {0};
    size_t floats = 0;
    det_status status = DET_OK;
    DET_NEED(env, writer);
    DET_NEED(env, tag);
    DET_NEED(env, curve);
    DET_TRY_RETURN(DET_TAKE(env, det_pr_curve, &c, curve));
    if (c.thresholds < 2 || c.thresholds > MOST_THRESHOLDS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: \"%s\": a PR curve of %d thresholds, expected 2 to %d", writer->path,
                        tag, (int)c.thresholds, MOST_THRESHOLDS);
    /* Rows: true positives, false positives, true negatives, false negatives, precision, recall. */
    const int64_t shape[] = {6, c.thresholds};
    const float *const rows[] = {c.true_positives,  c.false_positives, NULL,
                                 c.false_negatives, c.precision,       c.recall};
    struct det_text *text = &writer->event;
    DET_TRY(det_wire_put_varint(env, &content, PR_CURVE_THRESHOLDS, (uint64_t)c.thresholds));
    DET_TRY(begin_event(writer, tag, step, "pr_curves", CLASS_TENSOR, &content, &open));
    DET_TRY(put_tensor_head(writer, TYPE_FLOAT, shape, 2));
    DET_TRY(det_wire_begin(env, text, TENSOR_FLOATS, &floats));
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (int32_t i = 0; i < c.thresholds; i++)
            DET_TRY(det_wire_append_float(env, text, rows[r] != NULL ? rows[r][i] : 0.0f));
    DET_TRY(det_wire_end(env, text, floats));
    DET_TRY(end_event(writer, &open));
fail:
    det_text_free(env, &content);
    return status;
}
