#include "support/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/io.h"
#include "support/mem.h"

enum { MOST_LINKS = 40 }; /* as the kernel */

/* --- what processes have open --- */

/* Digits alone; -1 for anything else. */
static int number_of(const char *text, size_t length)
{
    int number = 0;
    if (length == 0 || length > 9)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

/* `folder` without links is /proc/PROCESS/fd or /proc/PROCESS/task/THREAD/fd: its entries look like
 * links and are none. */
static bool lists_descriptors(const char *folder, int *process)
{
    static const char proc[] = "/proc/";
    const size_t length = strlen(folder);
    if (strncmp(folder, proc, sizeof proc - 1) != 0 || length < 3 ||
        strcmp(folder + length - 3, "/fd") != 0)
        return false;
    const char *number = folder + sizeof proc - 1;
    *process = number_of(number, strcspn(number, "/"));
    return *process >= 0;
}

/* In the numbers of the /proc that is mounted here, which need not be getpid()'s. */
static int own_process(void)
{
    char link[32];
    const ssize_t length = readlink("/proc/self", link, sizeof link);
    return length > 0 && (size_t)length < sizeof link ? number_of(link, (size_t)length) : -1;
}

/* --- following links --- */

/* One step: the folder of `at` without links, and where its last name leads. */
struct place {
    char folder[PATH_MAX];
    char link[PATH_MAX];
    bool is_link;
    const char *name; /* points into `at` */
};

static det_status look(struct det_env *env, const char *path, const char *at, struct place *place)
{
    char *folder = NULL, *whole = NULL;
    det_status status = DET_OK;
    place->name = det_path_name(at);
    DET_TRY(det_path_directory(env, &folder, at));
    if (place->name[0] == '\0' || strcmp(place->name, ".") == 0 || strcmp(place->name, "..") == 0)
        DET_TRY(det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: names a folder, expected a file",
                         path));
    if (realpath(folder, place->folder) == NULL)
        DET_TRY(det_fail_errno(env, errno, "%s: folder %s", path, folder));
    DET_TRY(det_path_join(env, &whole, place->folder, place->name));
    const ssize_t length = readlink(whole, place->link, sizeof place->link);
    place->is_link = length >= 0;
    if (place->is_link && (size_t)length >= sizeof place->link)
        DET_TRY(det_fail_errno(env, ENAMETOOLONG, "%s", path));
    place->link[length >= 0 ? length : 0] = '\0';
fail:
    det_free(env, &folder);
    det_free(env, &whole);
    return status;
}

static det_status follow(struct det_env *env, const char *path, struct det_target *target)
{
    struct place place;
    char *at = NULL, *next = NULL;
    int process = 0;
    det_status status = DET_OK;
    DET_TRY(det_strdup(env, &at, path));
    for (int links = 0;; links++) {
        DET_TRY(look(env, path, at, &place));
        const int number = number_of(place.name, strlen(place.name));
        if (number >= 0 && lists_descriptors(place.folder, &process)) {
            const bool own = process == own_process();
            target->kind = own ? DET_TARGET_DESCRIPTOR : DET_TARGET_NODE;
            target->descriptor = number;
            break;
        }
        if (!place.is_link)
            break;
        if (links == MOST_LINKS)
            DET_TRY(det_fail_errno(env, ELOOP, "%s", path));
        DET_TRY(det_path_join(env, &next, place.folder, place.link));
        det_free(env, &at);
        at = next;
        next = NULL;
    }
    DET_TRY(det_path_join(env, &target->path, place.folder, place.name));
fail:
    det_free(env, &at);
    return status;
}

/* --- what a path stands for --- */

/* Looked at by the kernel first: it knows which links may be followed. */
static det_status inspect(struct det_env *env, const char *path, struct det_target *target)
{
    if (path[0] == '\0')
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "an empty name, expected a file");
    target->exists = stat(path, &target->info) == 0;
    if (!target->exists)
        return errno == ENOENT ? DET_OK : det_fail_errno(env, errno, "%s", path);
    const mode_t mode = target->info.st_mode;
    if (S_ISDIR(mode))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: is a folder, expected a file", path);
    if (S_ISBLK(mode))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: is a disk, expected a file", path);
    if (!S_ISREG(mode))
        target->kind = DET_TARGET_NODE;
    return DET_OK;
}

det_status det_target_find(struct det_env *env, const char *path, struct det_target *target)
{
    *target = (struct det_target){.kind = DET_TARGET_FILE, .descriptor = -1};
    det_status status = DET_OK;
    DET_TRY(inspect(env, path, target));
    DET_TRY(follow(env, path, target));
    if (target->kind == DET_TARGET_FILE && target->exists &&
        faccessat(AT_FDCWD, target->path, W_OK, AT_EACCESS) != 0)
        DET_TRY(det_fail_errno(env, errno, "%s: is write-protected", path));
    return DET_OK;
fail:
    det_target_free(env, target);
    return status;
}

void det_target_free(struct det_env *env, struct det_target *target)
{
    det_free(env, &target->path);
}
