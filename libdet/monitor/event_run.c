#define _GNU_SOURCE /* F_OFD_SETLK */
#include "monitor/event_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/context.h"
#include "det/summary.h"
#include "formats/protowire.h"
#include "monitor/event_records.h"
#include "support/mem.h"

/* --- files in use --- */

void det_event_file_hold(int descriptor)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)fcntl(descriptor, F_OFD_SETLK, &lock); /* some file systems have none */
}

static bool is_held(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    const bool held =
        descriptor >= 0 && fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (descriptor >= 0)
        close(descriptor);
    return held;
}

det_status det_event_run_in_use(struct det_env *env, const char *directory, bool *in_use)
{
    struct det_path_list files = {0};
    const det_status status = det_event_files(env, directory, &files);
    *in_use = false;
    for (size_t i = 0; i < files.count && !*in_use; i++)
        *in_use = is_held(files.paths[i]);
    det_path_list_free(env, &files);
    return status;
}

/* --- steps --- */

/* Of an event with a summary; -1 for any other. */
static det_status step_of(struct det_env *env, const uint8_t *data, size_t bytes, int64_t *step)
{
    struct det_wire event = det_wire_start(data, bytes);
    struct det_wire_field field;
    bool has_summary = false;
    int64_t found = 0;
    *step = -1;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(env, &event, &field));
        if (field.number == 0)
            break;
        if (field.number == DET_EVENT_STEP && field.type == DET_WIRE_VARINT)
            found = (int64_t)field.value;
        has_summary = has_summary || field.number == DET_EVENT_SUMMARY;
    }
    if (has_summary)
        *step = found;
    return DET_OK;
}

/* Highest step of a file, and how many of its events have first_step or a later one. */
static det_status look_through(struct det_env *env, const struct det_file_bytes *contents,
                               int64_t first_step, int64_t *last_step, size_t *later)
{
    struct det_event_records records = {.contents = contents};
    const uint8_t *data = NULL;
    size_t bytes = 0;
    *last_step = -1;
    *later = 0;
    while (det_event_records_next(&records, &data, &bytes)) {
        int64_t step = -1;
        const det_status status = step_of(env, data, bytes, &step);
        if (status == DET_STATUS_CORRUPT)
            return DET_OK; /* readers stop there too */
        DET_TRY_RETURN(status);
        *last_step = step > *last_step ? step : *last_step;
        *later += step >= first_step;
    }
    return DET_OK;
}

det_status det_event_run_last_step(struct det_env *env, const char *directory, int64_t *step)
{
    struct det_path_list files = {0};
    det_status status = DET_OK;
    *step = -1;
    DET_TRY(det_event_files(env, directory, &files));
    for (size_t i = 0; i < files.count; i++) {
        struct det_file_bytes contents;
        int64_t last = -1;
        size_t later = 0;
        DET_TRY(det_file_read(env, files.paths[i], &contents));
        status = look_through(env, &contents, 0, &last, &later);
        det_file_release(&contents);
        DET_TRY(status);
        *step = last > *step ? last : *step;
    }
fail:
    det_path_list_free(env, &files);
    return status;
}

/* --- cutting --- */

static det_status write_earlier(struct det_env *env, const char *path,
                                const struct det_file_bytes *contents, int64_t first_step)
{
    struct det_event_records records = {.contents = contents};
    struct det_writer writer;
    const uint8_t *data = NULL;
    size_t bytes = 0, begin = 0;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_writer_open(env, path, &writer));
    for (; det_event_records_next(&records, &data, &bytes); begin = records.at) {
        int64_t step = -1;
        DET_TRY(step_of(env, data, bytes, &step));
        if (step < first_step)
            DET_TRY(det_writer_write(env, &writer, contents->data + begin, records.at - begin));
    }
    return det_writer_commit(env, &writer);
fail:
    det_writer_discard(env, &writer);
    return status;
}

static det_status cut_file(struct det_env *env, const char *path, int64_t first_step, size_t *taken)
{
    struct det_file_bytes contents;
    struct det_guard *guard = env->guard;
    int64_t last = -1;
    det_status status = DET_OK;
    env->guard = NULL; /* this input is to be replaced */
    DET_TRY(det_file_read(env, path, &contents));
    status = look_through(env, &contents, first_step, &last, taken);
    if (status == DET_OK && *taken > 0)
        status = write_earlier(env, path, &contents, first_step);
    det_file_release(&contents);
fail:
    env->guard = guard;
    return status;
}

det_status det_event_run_cut(struct det_env *env, const char *directory, int64_t first_step)
{
    struct det_path_list files = {0};
    size_t taken = 0;
    det_status status = DET_OK;
    det_writer_remove_leftovers(env, directory, DET_EVENT_FILE_BEGIN);
    DET_TRY(det_event_files(env, directory, &files));
    for (size_t i = 0; i < files.count; i++) {
        size_t here = 0;
        if (is_held(files.paths[i]))
            continue;
        status = cut_file(env, files.paths[i], first_step, &here);
        if (status == DET_STATUS_NO_SPACE || status == DET_STATUS_IO) {
            /* No reason not to go on. */
            det_log(env, DET_LOG_WARNING, "%s: summaries of step %lld and later stay", env->error,
                    (long long)first_step);
            status = DET_OK;
            continue;
        }
        DET_TRY(status);
        taken += here;
    }
    if (taken > 0)
        det_log(env, DET_LOG_INFO,
                "%s: %zu summaries of step %lld and later are taken out: they are made anew",
                directory, taken, (long long)first_step);
fail:
    det_path_list_free(env, &files);
    return status;
}

/* --- setting aside --- */

/* DIRECTORY.old, .old-2, ..., made; the first that is not there. */
static det_status make_place(struct det_env *env, const char *directory, char **place)
{
    DET_TRY_RETURN(det_format(env, place, "%s.old", directory));
    for (int n = 2; det_file_exists(*place); n++) {
        det_free(env, place);
        DET_TRY_RETURN(det_format(env, place, "%s.old-%d", directory, n));
    }
    return det_make_directories(env, *place);
}

/* `path` keeps its name and no summary: a TensorBoard that reads it would never look at another one
 * if it were gone. */
static det_status move_content(struct det_env *env, const char *path, const char *place)
{
    size_t taken = 0;
    char *to = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &to, place, det_path_name(path)));
    if (link(path, to) == 0)
        DET_TRY(cut_file(env, path, 0, &taken)); /* makes another file of this name */
    else if (rename(path, to) != 0)
        DET_TRY(det_fail_errno(env, errno, "%s: cannot be kept as %s", path, to));
fail:
    det_free(env, &to);
    return status;
}

det_status det_event_run_set_aside(struct det_env *env, const char *directory)
{
    struct det_path_list files = {0};
    char *place = NULL;
    int64_t last = -1;
    det_status status = DET_OK;
    DET_TRY(det_event_run_last_step(env, directory, &last));
    if (last < 0)
        goto fail; /* status is OK */
    DET_TRY(det_event_files(env, directory, &files));
    DET_TRY(make_place(env, directory, &place));
    for (size_t i = 0; i < files.count; i++)
        if (!is_held(files.paths[i]))
            DET_TRY(move_content(env, files.paths[i], place));
    det_log(env, DET_LOG_INFO, "%s holds curves of an earlier training: they are kept in %s",
            directory, place);
fail:
    det_path_list_free(env, &files);
    det_free(env, &place);
    return status;
}

det_status det_summary_run_state(det_context *context, const char *directory, int *in_use,
                                 int64_t *last_step)
{
    struct det_env *env = det_context_env(context);
    bool used = false;
    if (in_use != NULL)
        *in_use = 0;
    if (last_step != NULL)
        *last_step = -1;
    DET_NEED(env, context);
    DET_NEED(env, directory);
    if (in_use != NULL)
        DET_TRY_RETURN(det_event_run_in_use(env, directory, &used));
    if (used)
        *in_use = 1;
    return last_step != NULL ? det_event_run_last_step(env, directory, last_step) : DET_OK;
}
