#define _GNU_SOURCE /* F_OFD_GETLK */
#include "train/lock_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"
#include "train/dir_lock.h"

/* An empty lock file is nobody's when it is older. */
#define EMPTY_SECONDS 5

/* --- who somebody is --- */

/* The beginning of a small file, "" when there is none. */
static void read_text(const char *path, char *text, size_t room)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = descriptor >= 0 ? read(descriptor, text, room - 1) : 0;
    text[got > 0 ? got : 0] = '\0';
    if (descriptor >= 0)
        close(descriptor);
}

static void boot_id(char id[DET_LOCK_VALUE_BYTES])
{
    read_text("/proc/sys/kernel/random/boot_id", id, DET_LOCK_VALUE_BYTES);
    id[strcspn(id, "\n")] = '\0';
}

/* Numbers of processes mean something within one of these only: containers have their own. */
static void process_space(char space[DET_LOCK_VALUE_BYTES])
{
    const ssize_t length = readlink("/proc/self/ns/pid", space, DET_LOCK_VALUE_BYTES - 1);
    space[length > 0 ? length : 0] = '\0';
}

/* When a process was started, in ticks since the machine was; "" when there is no such process any
 * more, or it is just ending. */
static void process_start(long process, char start[DET_LOCK_VALUE_BYTES])
{
    enum { STATE = 3, FLAGS = 9, START = 22, ENDING = 4 /* PF_EXITING */ };
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", process);
    read_text(path, text, sizeof text);
    start[0] = '\0';
    /* The second field is a name in parentheses, which may hold anything. */
    char *field = strrchr(text, ')'), *rest = NULL;
    field = field != NULL ? strtok_r(field + 1, " ", &rest) : NULL;
    if (field == NULL || strchr("ZXx", field[0]) != NULL)
        return;
    for (int i = STATE + 1; i <= START; i++) {
        field = strtok_r(NULL, " ", &rest);
        if (field == NULL || (i == FLAGS && (strtoul(field, NULL, 10) & ENDING) != 0))
            return;
    }
    snprintf(start, DET_LOCK_VALUE_BYTES, "%s", field);
}

void det_lock_record_make(char record[DET_LOCK_RECORD_BYTES])
{
    char host[DET_LOCK_VALUE_BYTES] = "", boot[DET_LOCK_VALUE_BYTES], space[DET_LOCK_VALUE_BYTES],
         start[DET_LOCK_VALUE_BYTES];
    char date[DET_CLOCK_DATE_BYTES];
    uint64_t token = 0;
    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "?");
    boot_id(boot);
    process_space(space);
    process_start((long)getpid(), start);
    if (getrandom(&token, sizeof token, GRND_NONBLOCK) != (ssize_t)sizeof token)
        token = (uint64_t)det_clock_wall_whole_seconds() << 32 ^ (uint64_t)getpid();
    snprintf(record, DET_LOCK_RECORD_BYTES,
             "This folder is in use by a training of libdet.\nhost: %.64s\nprocess: %ld\nstarted: "
             "%.32s\nboot: %.64s\nspace: %.64s\nsince: %s UTC\ntoken: %016llx\n",
             host, (long)getpid(), start, boot, space, det_clock_utc(date),
             (unsigned long long)token);
}

/* The value behind "\nNAME: ", "" when there is none. */
void det_lock_record_value(const char *record, const char *name, char value[DET_LOCK_VALUE_BYTES])
{
    char before[32];
    snprintf(before, sizeof before, "\n%s: ", name);
    const char *at = strstr(record, before);
    const char *from = at != NULL ? at + strlen(before) : "";
    snprintf(value, DET_LOCK_VALUE_BYTES, "%.*s", (int)strcspn(from, "\n"), from);
}

bool det_lock_record_is_whole(const char *record)
{
    char token[DET_LOCK_VALUE_BYTES];
    det_lock_record_value(record, "token", token);
    return token[0] != '\0';
}

static void read_record(int descriptor, char record[DET_LOCK_RECORD_BYTES])
{
    const ssize_t got = pread(descriptor, record, DET_LOCK_RECORD_BYTES - 1, 0);
    record[got > 0 ? got : 0] = '\0';
}

/* --- whether an owner lives --- */

/* On these file systems (linux/magic.h) a lock of the kernel's is all there is: no other machine
 * writes there. */
static bool is_local(int descriptor)
{
    static const unsigned long types[] = {0xef53 /* ext2, 3, 4 */,  0x58465342 /* XFS */,
                                          0x9123683e /* Btrfs */,   0xf2f52010 /* F2FS */,
                                          0x2fc12fc1 /* ZFS */,     0x01021994 /* tmpfs */,
                                          0x794c7630 /* overlay */, 0x4d44 /* FAT */};
    struct statfs info;
    if (fstatfs(descriptor, &info) != 0)
        return false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if ((unsigned long)info.f_type == types[i])
            return true;
    return false;
}

void det_lock_see(int descriptor, int now, struct det_lock_sight *sight)
{
    struct stat lock, written;
    struct flock kernel = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    *sight = (struct det_lock_sight){.local = is_local(descriptor)};
    sight->kernel_speaks = fcntl(descriptor, F_OFD_GETLK, &kernel) == 0;
    sight->kernel_held = sight->kernel_speaks && kernel.l_type != F_UNLCK;
    if (fstat(descriptor, &lock) == 0) {
        sight->beaten = (long long)lock.st_mtim.tv_sec;
        const double present = now >= 0 && fstat(now, &written) == 0
                                   ? (double)written.st_mtim.tv_sec
                                   : (double)det_clock_wall_whole_seconds();
        sight->silence_s = present - (double)sight->beaten;
    }
    read_record(descriptor, sight->record);
}

static bool same_value(const char *record, const char *name, const char *ours)
{
    char value[DET_LOCK_VALUE_BYTES];
    det_lock_record_value(record, name, value);
    return value[0] != '\0' && strcmp(value, ours) == 0;
}

static bool process_lives(const char *record)
{
    char process[DET_LOCK_VALUE_BYTES], start[DET_LOCK_VALUE_BYTES];
    det_lock_record_value(record, "process", process);
    process_start(atol(process), start);
    return same_value(record, "started", start);
}

/* Its process can be looked for here. */
static bool is_neighbour(const char *record)
{
    char boot[DET_LOCK_VALUE_BYTES], space[DET_LOCK_VALUE_BYTES];
    boot_id(boot);
    process_space(space);
    return same_value(record, "boot", boot) && same_value(record, "space", space);
}

bool det_lock_owner_is_ending(const struct det_lock_sight *sight)
{
    return sight->kernel_held && is_neighbour(sight->record) && !process_lives(sight->record);
}

bool det_lock_owner_lives(const struct det_lock_sight *sight)
{
    char boot[DET_LOCK_VALUE_BYTES], host[DET_LOCK_VALUE_BYTES] = "";
    const char *record = sight->record;
    boot_id(boot);
    (void)gethostname(host, sizeof host - 1);
    const bool our_kernel = same_value(record, "boot", boot);
    if (sight->kernel_held)
        return true;
    if (sight->kernel_speaks && (sight->local || our_kernel))
        return false;
    if (!det_lock_record_is_whole(record))
        return sight->silence_s < EMPTY_SECONDS;
    if (is_neighbour(record))
        return process_lives(record);
    /* A machine of this name that was started after the last sign of life is this one. */
    if (!our_kernel && same_value(record, "host", host) && sight->beaten < det_clock_boot_seconds())
        return false;
    return sight->silence_s < DET_LOCK_STALE_SECONDS;
}

det_status det_lock_fail(struct det_env *env, const char *path, const struct det_lock_sight *sight)
{
    char host[DET_LOCK_VALUE_BYTES], process[DET_LOCK_VALUE_BYTES], since[DET_LOCK_VALUE_BYTES];
    char *folder = NULL;
    det_lock_record_value(sight->record, "host", host);
    det_lock_record_value(sight->record, "process", process);
    det_lock_record_value(sight->record, "since", since);
    DET_TRY_RETURN(det_path_directory(env, &folder, path));
    det_fail(env, DET_STATUS_IN_USE,
             "%s: a training is running in this folder: on host %s, process %s, since %s", folder,
             host[0] != '\0' ? host : "?", process[0] != '\0' ? process : "?",
             since[0] != '\0' ? since : "?");
    if (!sight->kernel_held)
        det_fail(env, DET_STATUS_IN_USE,
                 "%s; its last sign of life is %.0f s old: if it is gone, wait until that is %d s, "
                 "or remove %s",
                 env->error, sight->silence_s > 0 ? sight->silence_s : 0, DET_LOCK_STALE_SECONDS,
                 path);
    det_free(env, &folder);
    return DET_STATUS_IN_USE;
}
