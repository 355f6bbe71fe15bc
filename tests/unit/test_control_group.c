/* support/control_group.h on made-up systems: both versions, nested groups, containers. */
#include <stdint.h>
#include <sys/stat.h>

#include "base/pool.h"
#include "support/control_group.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/memory_limit.h"
#include "support/test.h"

struct file {
    const char *path, *text;
};

#define V2_MOUNT "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                                 \
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"                           \
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" \
    "33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define NO_LIMIT "9223372036854771712\n"

static const struct {
    const char *name;
    struct file files[12];
    int processors;
    size_t memory;
} systems[] = {
    {"nothing at all", {{0}}, 0, SIZE_MAX},
    {"version 2 without limits",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/cpu.max", "max 100000\n"},
      {"sys/fs/cgroup/memory.max", "max\n"},
      {"sys/fs/cgroup/memory.current", "5000\n"}},
     0,
     SIZE_MAX},
    {"a container of version 2: 1.5 processors",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/cpu.max", "150000 100000\n"},
      {"sys/fs/cgroup/memory.max", "1000000\n"},
      {"sys/fs/cgroup/memory.current", "700000\n"},
      {"sys/fs/cgroup/memory.stat", "anon 100\ninactive_file 200000\nactive_file 7\n"}},
     2,
     500000},
    {"a whole number, and no period written",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/cpu.max", "300000 100000"}},
     3,
     SIZE_MAX},
    {"a tenth of a processor is one",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/cpu.max", "10000 100000\n"}},
     1,
     SIZE_MAX},
    {"nested: the tightest counts",
     {{"proc/self/cgroup", "0::/a/b/c\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/a/cpu.max", "200000 100000\n"},
      {"sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
      {"sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n"},
      {"sys/fs/cgroup/a/memory.max", "4000\n"},
      {"sys/fs/cgroup/a/memory.current", "1000\n"},
      {"sys/fs/cgroup/a/b/c/memory.max", "3500\n"},
      {"sys/fs/cgroup/a/b/c/memory.current", "1000\n"}},
     2,
     2500},
    {"over the limit",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/memory.max", "1000\n"},
      {"sys/fs/cgroup/memory.current", "1500\n"}},
     0,
     0},
    {"version 1",
     {{"proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x/y\n1:name=systemd:/\n0::/\n"},
      {"proc/self/mountinfo", V1_MOUNTS},
      {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/x/y/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu,cpuacct/x/y/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9000\n"},
      {"sys/fs/cgroup/memory/x/memory.usage_in_bytes", "5000\n"},
      {"sys/fs/cgroup/memory/x/memory.stat", "cache 1\ntotal_inactive_file 1000\n"},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", NO_LIMIT},
      {"sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n"}},
     3,
     5000},
    /* Docker without a namespace for groups: the group is the root of what is mounted. */
    {"a container of version 1",
     {{"proc/self/cgroup", "3:cpuacct,cpu:/docker/0123abc\n"},
      {"proc/self/mountinfo",
       "40 39 0:29 /docker/0123abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpuacct,cpu\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
     4,
     SIZE_MAX},
    {"both versions side by side",
     {{"proc/self/cgroup", "3:cpu:/\n0::/u\n"},
      {"proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                              "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "500000\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/unified/u/cpu.max", "200000 100000\n"}},
     2,
     SIZE_MAX},
    {"a group outside of the mount, a mount with a space",
     {{"proc/self/cgroup", "0::/../elsewhere\n"},
      {"proc/self/mountinfo", "29 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n"},
      {"sys/fs/c group/cpu.max", "600000 100000\n"}},
     6,
     SIZE_MAX},
    {"nonsense",
     {{"proc/self/cgroup", "\n::\n0\n0::\n7:cpu\n"},
      {"proc/self/mountinfo", "1 2\n\n- - - - - - - -\n29 23 0:26 / /sys/fs/cgroup rw - cgroup2\n"},
      {"sys/fs/cgroup/cpu.max", "99999999999999999999999 1\n"}},
     0,
     SIZE_MAX},
    {"a period of nothing",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/cpu.max", "1000 0\n"}},
     0,
     SIZE_MAX},
};

static void limits_are_found(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++) {
        char root[256];
        test_make_directory(root, "control-group");
        for (const struct file *file = systems[i].files; file->path != NULL; file++) {
            char path[600], *folder = NULL;
            snprintf(path, sizeof path, "%s/%s", root, file->path);
            assert_ok(&t.env, det_path_directory(&t.env, &folder, path));
            assert_ok(&t.env, det_make_directories(&t.env, folder));
            assert_ok(&t.env, det_write_file(&t.env, path, file->text, strlen(file->text)));
            det_free(&t.env, &folder);
        }
        const int processors = det_group_processors(root);
        const size_t memory = det_group_memory(root);
        if (processors != systems[i].processors || memory != systems[i].memory)
            fail_msg("%s: %d processors and %zu bytes, expected %d and %zu", systems[i].name,
                     processors, memory, systems[i].processors, systems[i].memory);
        test_remove_tree(root);
    }
    test_env_check(&t);
}

static void this_machine(void **state)
{
    (void)state;
    assert_true(det_processors() >= 1);
    assert_true(det_memory_available() > 1 << 20);
    size_t number = 0;
    assert_null(det_memory_parse_number("max", &number));
    assert_null(det_memory_parse_number("-1", &number));
    assert_null(det_memory_parse_number("99999999999999999999999", &number));
    assert_string_equal(det_memory_parse_number("17 x", &number), " x");
    assert_int_equal(number, 17);
}

int test_control_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_found),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests_name("control_group", tests, NULL, NULL);
}
