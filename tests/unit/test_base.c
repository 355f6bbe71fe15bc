/* base/: memory, threads, random numbers, checksums, files, text. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/half.h"
#include "base/pool.h"
#include "base/rng.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"
#include "support/text.h"

static void crc32c_known_values(void **state)
{
    (void)state;
    /* RFC 3720 appendix B.4 */
    const uint8_t zeros[32] = {0};
    assert_int_equal(det_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(det_crc32c(0, zeros, 32), 0x8a9136aau);
    const uint32_t first = det_crc32c(0, "1234", 4);
    assert_int_equal(det_crc32c(first, "56789", 5), 0xe3069283u);
    assert_int_equal(det_crc32c_unmask(det_crc32c_mask(0xdeadbeefu)), 0xdeadbeefu);
}

static void rng_known_values(void **state)
{
    (void)state;
    /* The Random123 distribution's known answer for philox4x32-10 with all-zero key and counter. */
    struct det_rng rng;
    det_rng_init(&rng, 0, 0, 0);
    assert_int_equal(det_rng_u32(&rng), 0x6627e8d5u);
    assert_int_equal(det_rng_u32(&rng), 0xe169c58du);
    assert_int_equal(det_rng_u32(&rng), 0xbc57ac4cu);
    assert_int_equal(det_rng_u32(&rng), 0x9b00dbd8u);
    double sum = 0, squares = 0;
    for (int i = 0; i < 100000; i++) {
        const double value = det_rng_normal(&rng);
        sum += value;
        squares += value * value;
    }
    assert_near(sum / 100000, 0, 0.02);
    assert_near(squares / 100000, 1, 0.03);
    for (int i = 0; i < 1000; i++) {
        assert_true(det_rng_below(&rng, 3) < 3);
        const float value = det_rng_range(&rng, -2, 5);
        assert_true(value >= -2 && value < 5);
    }
}

static void sizes_are_checked(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    void *p = NULL;
    assert_fails(&t.env, DET_STATUS_OUT_OF_MEMORY, "tensor",
                 det_alloc(&t.env, &p, SIZE_MAX / 2, 3, "tensor"));
    assert_null(p);
    assert_fails(&t.env, DET_STATUS_OUT_OF_MEMORY, "too large",
                 det_alloc(&t.env, &p, SIZE_MAX / 2, 1, "tensor"));
    assert_ok(&t.env, det_alloc(&t.env, &p, 3, 5, "tensor"));
    assert_int_equal((uintptr_t)p % DET_ALIGNMENT, 0);
    det_free(&t.env, &p);
    test_env_check(&t);
}

static void add_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    int *values = argument;
    values[task] += task;
}

/* The flags of the mapping that holds `address`, "" where the kernel does not tell, and its
 * bytes. */
static size_t mapping_flags(const void *address, char flags[256])
{
    size_t bytes = 0;
    const uintptr_t wanted = (uintptr_t)address;
    bool inside = false;
    char line[256];
    flags[0] = '\0';
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long first, end;
        if (sscanf(line, "%lx-%lx ", &first, &end) == 2) {
            inside = first <= wanted && wanted < end;
            if (inside)
                bytes = end - first;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(flags, sizeof line, "%s", line);
    }
    if (file != NULL)
        fclose(file);
    return bytes;
}

static void large_blocks_ask_for_huge_pages(void **state)
{
    (void)state;
    struct det_env env;
    char flags[256];
    det_env_default(&env);
    const size_t bytes = ((size_t)9 << 20) + 100;
    uint8_t *block = NULL, *small = NULL;
    assert_ok(&env, det_alloc(&env, &block, bytes, 1, "block"));
    assert_ok(&env, det_alloc(&env, &small, (size_t)1 << 20, 1, "small block"));
    assert_int_equal((uintptr_t)block % DET_ALIGNMENT, 0);
    assert_int_equal((uintptr_t)small % DET_ALIGNMENT, 0);
    for (size_t i = 0; i < bytes; i += 4096)
        assert_int_equal(block[i], 0);
    block[bytes - 1] = 1;
    mapping_flags(block, flags);
    const bool told = flags[0] != '\0' &&
                      access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0 &&
                      getenv("DET_EMULATED") == NULL; /* qemu-user tells the kernel nothing */
    if (told) {
        assert_non_null(strstr(flags, " hg"));
        /* In a larger mapping it lies where an earlier large block was. */
        if (mapping_flags(small, flags) < (size_t)2 << 20)
            assert_null(strstr(flags, " hg"));
    }
    det_free(&env, &small);
    det_free(&env, &block);
    if (!told) {
        print_message(
            "skipped: this kernel does not tell a mapping's flags or has no huge pages\n");
        skip();
    }
}

static void pool_runs_each_task_once(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    for (int threads = 1; threads <= 4; threads++) {
        struct det_pool *pool = NULL;
        assert_ok(&t.env, det_pool_create(&t.env, threads, &pool));
        assert_int_equal(det_pool_threads(pool), threads);
        int values[1000] = {0};
        for (int round = 1; round <= 50; round++)
            det_pool_run(pool, 1000, add_task, values);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(values[i], 50 * i);
        /* Many small jobs in a row, some after a pause that lets the workers fall asleep. */
        for (int round = 1; round <= 3000; round++) {
            int small[3] = {0};
            if (round % 500 == 0)
                usleep(2000);
            det_pool_run(pool, 3, add_task, small);
            assert_true(small[1] == 1 && small[2] == 2);
        }
        det_pool_run(pool, 0, add_task, values);
        det_pool_destroy(&t.env, &pool);
    }
    struct det_pool *pool = NULL;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "got -1", det_pool_create(&t.env, -1, &pool));
    test_env_check(&t);
}

enum { MOST_PROCESSORS = 64 };

/* Which processors each worker may use; all workers are in a task at once. */
struct places {
    int32_t threads;
    atomic_int inside;
    cpu_set_t sets[MOST_PROCESSORS + 1];
};

static void note_place(void *argument, int32_t task, int32_t worker)
{
    struct places *places = argument;
    (void)task;
    sched_getaffinity(0, sizeof places->sets[worker], &places->sets[worker]);
    atomic_fetch_add(&places->inside, 1);
    while (atomic_load(&places->inside) < places->threads)
        usleep(100);
}

static void workers_stay_apart(void **state)
{
    (void)state;
    cpu_set_t all;
    CPU_ZERO(&all);
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    const int32_t count = CPU_COUNT(&all);
    if (count > MOST_PROCESSORS) {
        print_message("skipped: %d processors\n", count);
        skip();
    }
    for (int32_t threads = count; threads <= count + 1; threads++) {
        struct test_env t;
        struct det_pool *pool = NULL;
        struct places places = {.threads = threads};
        cpu_set_t used;
        CPU_ZERO(&used);
        test_env_init(&t);
        assert_ok(&t.env, det_pool_create(&t.env, threads, &pool));
        det_pool_run(pool, threads, note_place, &places);
        assert_true(CPU_EQUAL(&places.sets[0], &all)); /* the caller's own business */
        for (int32_t i = 1; i < threads; i++) {
            assert_int_equal(CPU_COUNT(&places.sets[i]), threads == count ? 1 : count);
            CPU_OR(&used, &used, &places.sets[i]);
        }
        if (threads == count)
            assert_int_equal(CPU_COUNT(&used), count - 1);
        det_pool_destroy(&t.env, &pool);
        test_env_check(&t);
    }
}

static det_status make_pool(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_pool *pool = NULL;
    const det_status status = det_pool_create(env, 2, &pool);
    det_pool_destroy(env, &pool);
    return status;
}

static void pool_survives_failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(make_pool, NULL);
}

static void files_are_replaced_whole(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char directory[256];
    test_make_directory(directory, "io");
    char *path = NULL;
    assert_ok(&t.env, det_path_join(&t.env, &path, directory, "file"));
    assert_ok(&t.env, det_write_file(&t.env, path, "old", 3));
    /* A discarded writer leaves the old content and no temporary file. */
    struct det_writer writer;
    assert_ok(&t.env, det_writer_open(&t.env, path, &writer));
    assert_ok(&t.env, det_writer_write(&t.env, &writer, "new content", 11));
    det_writer_discard(&t.env, &writer);
    struct det_file_bytes contents;
    assert_ok(&t.env, det_file_read(&t.env, path, &contents));
    assert_int_equal(contents.bytes, 3);
    assert_memory_equal(contents.data, "old", 3);
    det_file_release(&contents);
    struct det_path_list list = {0};
    assert_ok(&t.env, det_list_directory(&t.env, directory, &list));
    assert_int_equal(list.count, 1);
    det_path_list_free(&t.env, &list);
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "none*", det_glob(&t.env, "build/none*", &list));
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "build/nothing",
                 det_file_read(&t.env, "build/nothing", &contents));
    if (access("/dev/full", W_OK) == 0)
        assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "is a folder",
                     det_file_read(&t.env, "build", &contents));
    det_free(&t.env, &path);
    test_remove_tree(directory);
    test_env_check(&t);
}

static void text_and_distance(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_text text = {0};
    assert_ok(&t.env, det_text_printf(&t.env, &text, "%d-%s", 7, "x"));
    assert_string_equal(text.data, "7-x");
    det_text_free(&t.env, &text);
    assert_ok(&t.env, det_text_xml(&t.env, &text, "a<b>&\"'\x01\n\xc3\xa9"));
    assert_string_equal(text.data, "a&lt;b&gt;&amp;&quot;&apos;??\xc3\xa9");
    det_text_free(&t.env, &text);
    char fixed[64];
    assert_string_equal(det_fixed_text(fixed, -1.25e-3, 2), "-0.00");
    assert_string_equal(det_fixed_text(fixed, 12.345678, 2), "12.35");
    assert_int_equal(det_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(det_edit_distance("", "abc"), 3);
    char number[32];
    assert_string_equal(det_format_double(number, 0.1), "0.1");
    assert_string_equal(det_format_double(number, 1.0 / 0.0), "null");
    test_env_check(&t);
}

static void halves_round_to_even(void **state)
{
    (void)state;
    /* Every half value comes back; values between two go to the nearer, ties to the even one. */
    for (uint32_t h = 0; h < 65536; h++) {
        const float value = det_half_to_float((uint16_t)h);
        if (value != value)
            assert_true((det_float_to_half(value) & 0x7fff) > 0x7c00);
        else
            assert_int_equal(det_float_to_half(value), h);
    }
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float low = det_half_to_float((uint16_t)h),
                    high = det_half_to_float((uint16_t)(h + 1));
        const float middle = low + (high - low) / 2;
        assert_int_equal(det_float_to_half(middle), h + (h & 1));
        assert_int_equal(det_float_to_half(low + (high - low) / 4), h);
    }
    assert_int_equal(det_float_to_half(65519.0f), 0x7bff);
    assert_int_equal(det_float_to_half(65520.0f), 0x7c00);
    assert_int_equal(det_float_to_half(-1e30f), 0xfc00);
}

int test_base(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_known_values),
        cmocka_unit_test(rng_known_values),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(large_blocks_ask_for_huge_pages),
        cmocka_unit_test(pool_runs_each_task_once),
        cmocka_unit_test(workers_stay_apart),
        cmocka_unit_test(pool_survives_failed_allocations),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(text_and_distance),
        cmocka_unit_test(halves_round_to_even),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
