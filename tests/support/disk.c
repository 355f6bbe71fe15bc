#define _GNU_SOURCE /* RTLD_NEXT */
#include "support/disk.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

enum { MOST_FILES = 512 };

static struct {
    char folder[400], stash[256];
    void (*callback)(void *user);
    void *user;
    bool watching, busy, full;
    int epoch; /* counts syncs of the folder; stash/EPOCH holds links to its files */
    int count;
    struct {
        ino_t inode;
        off_t synced;
    } files[MOST_FILES];
} disk;

static void tell(void)
{
    if (!disk.watching || disk.busy || disk.callback == NULL)
        return;
    disk.busy = true;
    disk.callback(disk.user);
    disk.busy = false;
}

/* `path` from the working folder on, where it lies in it. */
static const char *from_here(const char *path)
{
    char cwd[PATH_MAX];
    const size_t skip = getcwd(cwd, sizeof cwd) != NULL ? strlen(cwd) : 0;
    return skip > 0 && strncmp(path, cwd, skip) == 0 && path[skip] == '/' ? path + skip + 1 : path;
}

static bool is_ours(const char *path)
{
    const size_t length = strlen(disk.folder);
    path = from_here(path);
    return disk.watching && !disk.busy && strncmp(path, disk.folder, length) == 0 &&
           path[length] == '/' && strchr(path + length + 1, '/') == NULL;
}

/* A descriptor's path from the working folder on, "" when it has none. */
static void path_of(int descriptor, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    const char *rest = from_here(path);
    memmove(path, rest, strlen(rest) + 1);
}

static off_t synced_bytes(ino_t inode)
{
    for (int i = 0; i < disk.count; i++)
        if (disk.files[i].inode == inode)
            return disk.files[i].synced;
    return 0;
}

static void set_synced(ino_t inode, off_t bytes)
{
    int i = 0;
    while (i < disk.count && disk.files[i].inode != inode)
        i++;
    assert_true(i < MOST_FILES);
    if (i == disk.count)
        disk.count++;
    disk.files[i].inode = inode;
    disk.files[i].synced = bytes;
}

/* For each file of a folder. */
static void each_file(const char *folder, void (*visit)(const char *path, const char *name))
{
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char path[2 * PATH_MAX];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
            visit(path, entry->d_name);
    }
    closedir(directory);
}

static void link_into_stash(const char *path, const char *name)
{
    char to[PATH_MAX];
    snprintf(to, sizeof to, "%s/%d/%s", disk.stash, disk.epoch, name);
    assert_int_equal(link(path, to), 0);
}

static void take_epoch(void)
{
    char path[PATH_MAX];
    disk.epoch++;
    snprintf(path, sizeof path, "%s/%d", disk.stash, disk.epoch);
    assert_int_equal(mkdir(path, 0777), 0);
    each_file(disk.folder, link_into_stash);
}

static void set_all_synced(const char *path, const char *name)
{
    struct stat info;
    (void)name;
    assert_int_equal(stat(path, &info), 0);
    set_synced(info.st_ino, info.st_size);
}

/* --- in place of the C library's --- */

ssize_t write(int descriptor, const void *data, size_t bytes)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "write");
    if (!disk.watching || disk.busy)
        return real(descriptor, data, bytes);
    char path[PATH_MAX];
    path_of(descriptor, path);
    if (!is_ours(path))
        return real(descriptor, data, bytes);
    if (disk.full) {
        errno = ENOSPC;
        return -1;
    }
    tell();
    return real(descriptor, data, bytes);
}

int fsync(int descriptor)
{
    static int (*real)(int);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    if (!disk.watching || disk.busy)
        return 0; /* the tests need no real one */
    char path[PATH_MAX];
    struct stat info;
    path_of(descriptor, path);
    const bool is_folder = strcmp(path, disk.folder) == 0;
    if (!is_folder && !is_ours(path))
        return 0;
    tell();
    if (is_folder)
        take_epoch();
    else if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode))
        set_synced(info.st_ino, info.st_size);
    return 0;
}

int rename(const char *from, const char *to)
{
    static int (*real)(const char *, const char *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "rename");
    if (is_ours(from))
        tell();
    return real(from, to);
}

int unlink(const char *path)
{
    static int (*real)(const char *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "unlink");
    if (is_ours(path))
        tell();
    return real(path);
}

/* --- what the tests call --- */

void disk_watch(const char *folder, void (*callback)(void *user), void *user)
{
    memset(&disk, 0, sizeof disk);
    snprintf(disk.folder, sizeof disk.folder, "%s", folder);
    test_make_directory(disk.stash, "disk");
    disk.callback = callback;
    disk.user = user;
    each_file(folder, set_all_synced); /* from before */
    disk.watching = true;
    take_epoch();
}

void disk_unwatch(void)
{
    disk.watching = false;
    test_remove_tree(disk.stash);
}

void disk_set_full(bool full)
{
    disk.full = full;
}

static struct {
    const char *to;
    enum disk_loss loss;
} cut;

static void cut_file(const char *path, const char *name)
{
    char to[PATH_MAX];
    struct stat info;
    snprintf(to, sizeof to, "%s/%s", cut.to, name);
    assert_int_equal(stat(path, &info), 0);
    const off_t synced = synced_bytes(info.st_ino);
    FILE *in = fopen(path, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (off_t i = 0; i < synced; i++) {
        const int byte = getc(in);
        if (byte == EOF)
            break;
        putc(byte, out);
    }
    fclose(in);
    assert_int_equal(fclose(out), 0);
    if (cut.loss == DISK_NAMES_KEPT_ZERO)
        assert_int_equal(truncate(to, info.st_size), 0);
}

void disk_cut(const char *to, enum disk_loss loss)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/%d", disk.stash, disk.epoch);
    cut.to = to;
    cut.loss = loss;
    test_remove_tree(to);
    assert_int_equal(mkdir(to, 0777), 0);
    each_file(loss == DISK_NAMES_LOST ? folder : disk.folder, cut_file);
}
