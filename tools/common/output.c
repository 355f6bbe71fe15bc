#include "common/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/console.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/target.h"

static bool is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

det_status tool_reads(struct tool *tool, const char *path)
{
    if (path == NULL)
        return DET_OK;
    path = is_standard(path) ? "/dev/stdin" : path;
    DET_TRY_RETURN(det_guard_input(&tool->env, &tool->guard, path));
    return det_context_reads(tool->context, path);
}

/* For the tool's own files and for the library's. */
static det_status name_output(struct tool *tool, const char *option, const char *path)
{
    DET_TRY_RETURN(det_guard_output(&tool->env, &tool->guard, option, path));
    return det_context_writes(tool->context, option, path);
}

det_status tool_reads_all(struct tool *tool, const char *beginning)
{
    struct det_env *env = &tool->env;
    struct det_path_list files = {0};
    const char *name = det_path_name(beginning);
    char *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_directory(env, &folder, beginning));
    if (det_list_directory(env, folder, &files) != DET_OK) {
        det_forget_error(env); /* reading it will tell */
        goto fail;
    }
    for (size_t i = 0; i < files.count; i++)
        if (strncmp(det_path_name(files.paths[i]), name, strlen(name)) == 0)
            DET_TRY(tool_reads(tool, files.paths[i]));
fail:
    det_path_list_free(env, &files);
    det_free(env, &folder);
    return status;
}

det_status tool_reads_checkpoint(struct tool *tool, const det_checkpoint_info *checkpoint)
{
    struct det_env *env = &tool->env;
    char *beginning = NULL;
    if (!checkpoint->is_tensorflow)
        return tool_reads(tool, checkpoint->path);
    DET_TRY_RETURN(det_format(env, &beginning, "%s.", checkpoint->path));
    const det_status status = tool_reads_all(tool, beginning);
    det_free(env, &beginning);
    return status;
}

/* `tool --json x > x`: one of the two would be lost. `tool --json /dev/stdout` is another way to
 * say "-". */
static det_status meet_standard_output(struct det_env *env, const char *option, const char *path)
{
    struct det_target target;
    struct stat printed;
    DET_TRY_RETURN(det_target_find(env, path, &target));
    const bool same = target.kind == DET_TARGET_FILE && target.exists &&
                      fstat(STDOUT_FILENO, &printed) == 0 && printed.st_dev == target.info.st_dev &&
                      printed.st_ino == target.info.st_ino;
    if (target.kind == DET_TARGET_DESCRIPTOR && target.descriptor == STDOUT_FILENO)
        console_give_output();
    det_target_free(env, &target);
    return same ? det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s %s: is where standard output goes",
                           option, path)
                : DET_OK;
}

/* Somebody's work may be in it. */
static bool is_there(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
}

det_status tool_writes(struct tool *tool, const char *option, const char *path)
{
    struct det_env *env = &tool->env;
    if (path == NULL)
        return DET_OK;
    if (is_standard(path))
        console_give_output();
    else
        DET_TRY_RETURN(meet_standard_output(env, option, path));
    DET_TRY_RETURN(name_output(tool, option, output_path(path)));
    if (is_there(path))
        tool_log(tool, DET_LOG_INFO, "%s: is there already and is replaced", path);
    return DET_OK;
}

det_status tool_writes_in(struct tool *tool, const char *option, const char *folder,
                          const char *name)
{
    struct det_env *env = &tool->env;
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_make_directories(env, folder));
    DET_TRY(det_path_join(env, &path, folder, name));
    DET_TRY(name_output(tool, option, path));
    if (is_there(path) && tool->told_folder != folder) {
        tool->told_folder = folder;
        tool_log(tool, DET_LOG_INFO,
                 "%s: %s is there already and is replaced, as other files of "
                 "the same names are",
                 folder, name);
    }
fail:
    det_free(env, &path);
    return status;
}

void tool_tells_of_contents(struct tool *tool, const char *folder)
{
    DIR *stream = opendir(folder);
    size_t entries = 0; /* "." and ".." among them */
    while (stream != NULL && entries < 3 && readdir(stream) != NULL)
        entries++;
    if (stream != NULL)
        closedir(stream);
    if (entries > 2)
        tool_log(tool, DET_LOG_INFO, "%s: is not empty: files there of the same names are replaced",
                 folder);
}

const char *output_path(const char *path)
{
    return is_standard(path) ? "/dev/stdout" : path;
}

/* Opening a FIFO waits for a reader, which a caught signal would not end: *reached is one that has
 * it, -1 for other files. */
static det_status wait_for_reader(struct det_env *env, const char *path, int *reached)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    struct det_target target;
    *reached = -1;
    DET_TRY_RETURN(det_target_find(env, path, &target));
    const bool is_fifo = target.kind == DET_TARGET_NODE && S_ISFIFO(target.info.st_mode);
    det_status status = DET_OK;
    while (is_fifo && status == DET_OK) {
        *reached = open(target.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (*reached >= 0 || errno != ENXIO)
            break;
        if (tool_interrupted())
            status =
                det_fail(env, DET_STATUS_CANCELLED, "%s: interrupted before anybody read it", path);
        nanosleep(&pause, NULL);
    }
    det_target_free(env, &target);
    return status;
}

det_status output_open(struct det_env *env, const char *path, struct det_writer *writer)
{
    int reached = -1;
    if (is_standard(path))
        return det_writer_open_descriptor(env, STDOUT_FILENO, "standard output", writer);
    DET_TRY_RETURN(wait_for_reader(env, path, &reached));
    const det_status status = det_writer_open(env, path, writer);
    if (reached >= 0)
        close(reached);
    return status;
}

det_status output_write(struct det_env *env, const char *path, const void *data, size_t bytes)
{
    struct det_writer writer;
    DET_TRY_RETURN(output_open(env, path, &writer));
    const det_status status = console_send(env, &writer, data, bytes);
    if (status != DET_OK) {
        det_writer_discard(env, &writer);
        return status;
    }
    return det_writer_commit(env, &writer);
}
