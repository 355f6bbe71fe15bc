#include "support/control_group.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/memory_limit.h"

enum { TEXT_BYTES = 8192, LINE_BYTES = 8192 };

/* A controller's groups of this process, from its own up to the one that is mounted. */
struct groups {
    char directory[PATH_MAX]; /* of the group at hand, `root` in front */
    size_t mount_length;      /* of the part of it that is the mount point */
};

static bool read_text(const char *directory, const char *name, char text[TEXT_BYTES])
{
    char path[PATH_MAX + 64];
    const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    if (file == NULL)
        return false;
    const size_t bytes = fread(text, 1, TEXT_BYTES - 1, file);
    fclose(file);
    text[bytes] = '\0';
    return bytes > 0;
}

static bool read_number(const char *directory, const char *name, size_t *number)
{
    char text[TEXT_BYTES];
    return read_text(directory, name, text) && det_memory_parse_number(text, number) != NULL;
}

/* The next word of a line, which it ends with a NUL; NULL behind the last. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t\n");
    if (*word == '\0')
        return NULL;
    char *end = word + strcspn(word, " \t\n");
    *at = end + (*end != '\0');
    *end = '\0';
    return word;
}

/* Whether `name` is one of a list with commas. */
static bool lists(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* mountinfo writes a space as \040. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != '\0' &&
            from[3] != '\0') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* The path of this process's group, from the lines "4:cpu,cpuacct:/a/b" (version 1) or "0::/a/b"
 * (version 2). */
static bool find_path(const char *root, const char *controller, char path[PATH_MAX])
{
    char line[LINE_BYTES];
    bool found = false;
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "re");
    while (!found && file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *controllers = strchr(line, ':');
        char *at = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (at == NULL)
            continue;
        *controllers++ = '\0';
        *at++ = '\0';
        at[strcspn(at, "\n")] = '\0';
        found = controller != NULL ? lists(controllers, controller)
                                   : strcmp(line, "0") == 0 && controllers[0] == '\0';
        snprintf(path, PATH_MAX, "%s", at);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* A line of mountinfo: "31 23 0:28 ROOT MOUNT OPTIONS [...] - TYPE SOURCE SUPER_OPTIONS". True: it
 * mounts the controller; both texts are in the line. */
static bool read_mount(char *line, const char *controller, char **mounted, char **mount_point)
{
    char *words[5], *at = line;
    for (int i = 0; i < 5; i++) {
        words[i] = next_word(&at);
        if (words[i] == NULL)
            return false;
    }
    const char *word = next_word(&at);
    while (word != NULL && strcmp(word, "-") != 0)
        word = next_word(&at);
    const char *type = next_word(&at);
    const char *source = next_word(&at), *options = next_word(&at);
    if (type == NULL || source == NULL || options == NULL)
        return false;
    *mounted = words[3];
    *mount_point = words[4];
    unescape(*mounted);
    unescape(*mount_point);
    return controller != NULL ? strcmp(type, "cgroup") == 0 && lists(options, controller)
                              : strcmp(type, "cgroup2") == 0;
}

/* Where the group `path` is below the mount, "" when it is the one that is mounted, or not below
 * it. */
static const char *below(const char *path, const char *mounted)
{
    const size_t length = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    if (strncmp(path, mounted, length) != 0 || path[length] != '/' || strstr(path, "/..") != NULL)
        return "";
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* controller NULL: version 2. */
static bool find_groups(const char *root, const char *controller, struct groups *groups)
{
    char path[PATH_MAX], line[LINE_BYTES];
    bool found = false;
    if (!find_path(root, controller, path))
        return false;
    snprintf(line, sizeof line, "%s/proc/self/mountinfo", root);
    FILE *file = fopen(line, "re");
    while (!found && file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *mounted = NULL, *mount_point = NULL;
        if (!read_mount(line, controller, &mounted, &mount_point))
            continue;
        const int length = snprintf(groups->directory, sizeof groups->directory, "%s/%s%s", root,
                                    mount_point, below(path, mounted));
        groups->mount_length = strlen(root) + 1 + strlen(mount_point);
        found = length > 0 && (size_t)length < sizeof groups->directory;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* Goes to the group above; false when there is none that can be seen. */
static bool go_up(struct groups *groups)
{
    char *slash = strrchr(groups->directory + groups->mount_length, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

/* Quota and period in microseconds; false: none. */
static bool quota_1(const char *directory, size_t *quota, size_t *period)
{
    return read_number(directory, "cpu.cfs_quota_us", quota) && /* no number: -1 */
           read_number(directory, "cpu.cfs_period_us", period);
}

static bool quota_2(const char *directory, size_t *quota, size_t *period)
{
    char text[TEXT_BYTES];
    if (!read_text(directory, "cpu.max", text)) /* "max 100000" or "150000 100000" */
        return false;
    const char *rest = det_memory_parse_number(text, quota);
    return rest != NULL && *rest == ' ' && det_memory_parse_number(rest + 1, period) != NULL;
}

int det_group_processors(const char *root)
{
    static const char *const controllers[] = {"cpu", NULL};
    size_t least = 0;
    for (int version = 1; version <= 2; version++) {
        struct groups groups;
        bool more = find_groups(root, controllers[version - 1], &groups);
        for (; more; more = go_up(&groups)) {
            size_t quota = 0, period = 0;
            if (!(version == 1 ? quota_1 : quota_2)(groups.directory, &quota, &period) ||
                period == 0)
                continue;
            const size_t processors = quota / period + (quota % period != 0 || quota == 0);
            if (least == 0 || processors < least)
                least = processors;
        }
    }
    return least > INT_MAX ? 0 : (int)least;
}

static size_t left_by(const char *directory, bool version_2)
{
    char text[TEXT_BYTES];
    size_t limit = 0, usage = 0, cached = 0;
    if (!read_number(directory, version_2 ? "memory.max" : "memory.limit_in_bytes", &limit) ||
        !read_number(directory, version_2 ? "memory.current" : "memory.usage_in_bytes", &usage))
        return SIZE_MAX;
    if (read_text(directory, "memory.stat", text) &&
        det_memory_parse_line(text, version_2 ? "inactive_file" : "total_inactive_file", &cached))
        usage = usage > cached ? usage - cached : 0;
    return limit > usage ? limit - usage : 0;
}

size_t det_group_memory(const char *root)
{
    static const char *const controllers[] = {"memory", NULL};
    size_t least = SIZE_MAX;
    for (int version = 1; version <= 2; version++) {
        struct groups groups;
        bool more = find_groups(root, controllers[version - 1], &groups);
        for (; more; more = go_up(&groups)) {
            const size_t left = left_by(groups.directory, version == 2);
            least = left < least ? left : least;
        }
    }
    return least;
}
