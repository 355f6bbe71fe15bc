/* formats/tfrecord: framing, patterns, compression, and what damaged files say. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "base/crc32c.h"
#include "formats/tfrecord.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"

/* Two question marks and a minus would be a trigraph in one piece. */
#define ANY_SHARD \
    "?????"       \
    "-of-"

struct folder {
    struct test_env t;
    char path[256];
};

static void open_folder(struct folder *f)
{
    test_env_init(&f->t);
    test_make_directory(f->path, "tfrecord");
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->path);
    test_env_check(&f->t);
}

/* "FOLDER/NAME" in one of a few static buffers. */
static const char *in(const struct folder *f, const char *name)
{
    static char buffers[4][512];
    static int next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, 512, "%s/%s", f->path, name);
    return buffer;
}

/* Without the fsync of det_write_file: for files of one test step. */
static void save(const char *path, const void *data, size_t bytes)
{
    unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* Record i: i * 7 bytes of 'a' + i. */
static det_status write_records(struct det_env *env, const char *path, int first, int count)
{
    struct det_writer writer;
    uint8_t data[512];
    DET_TRY_RETURN(det_writer_open(env, path, &writer));
    for (int i = first; i < first + count; i++) {
        memset(data, 'a' + i, sizeof data);
        const det_status status = det_tfrecord_write(env, &writer, data, (size_t)i * 7);
        if (status != DET_OK) {
            det_writer_discard(env, &writer);
            return status;
        }
    }
    return det_writer_commit(env, &writer);
}

static void check_record(struct det_env *env, const struct det_record_set *set, size_t index,
                         int value)
{
    struct det_record record = {0};
    assert_ok(env, det_record_set_get(env, set, index, &record));
    assert_int_equal(record.bytes, value * 7);
    for (size_t i = 0; i < record.bytes; i++)
        assert_int_equal(record.data[i], 'a' + value);
    det_record_free(env, &record);
}

static det_status open_one(struct det_env *env, const char *pattern, struct det_record_set *set)
{
    return det_record_set_open(env, &pattern, 1, set);
}

static void writes_known_bytes(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_writer writer;
    assert_ok(&f.t.env, det_writer_open(&f.t.env, in(&f, "x"), &writer));
    assert_ok(&f.t.env, det_tfrecord_write(&f.t.env, &writer, "abc", 3));
    assert_ok(&f.t.env, det_writer_commit(&f.t.env, &writer));
    struct det_file_bytes contents;
    assert_ok(&f.t.env, det_file_read(&f.t.env, in(&f, "x"), &contents));
    assert_int_equal(contents.bytes, 19);
    const uint8_t head[8] = {3};
    assert_memory_equal(contents.data, head, 8);
    uint32_t crc;
    memcpy(&crc, contents.data + 8, 4);
    assert_int_equal(det_crc32c_unmask(crc), det_crc32c(0, head, 8));
    assert_memory_equal(contents.data + 12, "abc", 3);
    /* CRC-32C of "abc" is 0x364b3fb7 (RFC 3720's polynomial). */
    memcpy(&crc, contents.data + 15, 4);
    assert_int_equal(crc, det_crc32c_mask(0x364b3fb7u));
    det_file_release(&contents);
    close_folder(&f);
}

static void reads_files_in_order(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    assert_ok(env, write_records(env, in(&f, "b.tfrecord"), 3, 4));
    assert_ok(env, write_records(env, in(&f, "a.tfrecord"), 0, 3));
    assert_ok(env, write_records(env, in(&f, "other"), 9, 1));
    struct det_record_set set;
    const char *patterns[] = {in(&f, "*.tfrecord"), in(&f, "other")};
    assert_ok(env, det_record_set_open(env, patterns, 2, &set));
    assert_int_equal(set.file_count, 3);
    assert_int_equal(set.record_count, 8);
    for (int i = 0; i < 7; i++)
        check_record(env, &set, (size_t)i, i);
    check_record(env, &set, 7, 9);
    char name[512], expected[512];
    snprintf(expected, sizeof expected, "%s: record 2", in(&f, "b.tfrecord"));
    assert_string_equal(det_record_set_name(&set, 5, name), expected);
    struct det_record record = {0};
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "there are 8",
                 det_record_set_get(env, &set, 8, &record));
    det_record_set_close(env, &set);
    det_record_set_close(env, &set);
    assert_fails(env, DET_STATUS_NOT_FOUND, "none*", open_one(env, in(&f, "none*"), &set));
    assert_fails(env, DET_STATUS_NOT_FOUND, "no record file was named",
                 det_record_set_open(env, NULL, 0, &set));
    close_folder(&f);
}

static void shards_must_be_complete(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    char name[64];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "x-%05d-of-00010", i);
        assert_ok(env, write_records(env, in(&f, name), i, 1));
    }
    struct det_record_set set;
    const char *const patterns[] = {"x-" ANY_SHARD "00010", "x@10", "x-*-of-00010"};
    for (int i = 0; i < 3; i++) {
        assert_ok(env, open_one(env, in(&f, patterns[i]), &set));
        assert_int_equal(set.record_count, 10);
        for (int k = 0; k < 10; k++)
            check_record(env, &set, (size_t)k, k);
        det_record_set_close(env, &set);
    }
    unlink(in(&f, "x-00003-of-00010"));
    unlink(in(&f, "x-00009-of-00010"));
    for (int i = 0; i < 3; i++)
        assert_fails(env, DET_STATUS_NOT_FOUND,
                     "2 of 10 shards missing: x-00003-of-00010, x-00009-of-00010",
                     open_one(env, in(&f, patterns[i]), &set));
    assert_fails(env, DET_STATUS_NOT_FOUND, "none of the 4 shards",
                 open_one(env, in(&f, "x@4"), &set));
    /* A part may be named on purpose. */
    assert_ok(env, open_one(env, in(&f, "x-0000[4-6]-of-00010"), &set));
    assert_int_equal(set.record_count, 3);
    det_record_set_close(env, &set);
    assert_ok(env, write_records(env, in(&f, "y-00000-of-00001.tfrecord"), 1, 2));
    assert_ok(env, open_one(env, in(&f, "y-" ANY_SHARD "00001.tfrecord"), &set));
    assert_int_equal(set.record_count, 2);
    det_record_set_close(env, &set);
    /* A file of that very name wins. */
    assert_ok(env, write_records(env, in(&f, "x@10"), 2, 1));
    assert_ok(env, open_one(env, in(&f, "x@10"), &set));
    assert_int_equal(set.record_count, 1);
    det_record_set_close(env, &set);
    assert_ok(env, write_records(env, in(&f, "x [1]*.tfrecord"), 2, 1));
    assert_ok(env, open_one(env, in(&f, "x [1]*.tfrecord"), &set));
    assert_int_equal(set.record_count, 1);
    det_record_set_close(env, &set);
    close_folder(&f);
}

/* Deflates `bytes` at `data` with a gzip (31) or zlib (15) header. */
static size_t deflate_to(uint8_t *out, size_t room, const uint8_t *data, size_t bytes, int window)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (z_const Bytef *)(uintptr_t)data;
    stream.avail_in = (unsigned)bytes;
    stream.next_out = out;
    stream.avail_out = (unsigned)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static void compressed_files_are_inflated(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    assert_ok(env, write_records(env, in(&f, "plain"), 0, 6));
    struct det_file_bytes contents;
    assert_ok(env, det_file_read(env, in(&f, "plain"), &contents));
    static const int windows[] = {31, 15};
    for (int w = 0; w < 2; w++) {
        uint8_t packed[8192];
        const size_t bytes =
            deflate_to(packed, sizeof packed, contents.data, contents.bytes, windows[w]);
        save(in(&f, "packed"), packed, bytes);
        struct det_record_set set;
        assert_ok(env, open_one(env, in(&f, "packed"), &set));
        assert_int_equal(set.record_count, 6);
        for (int i = 0; i < 6; i++)
            check_record(env, &set, (size_t)i, i);
        det_record_set_close(env, &set);
        /* Cut or damaged: an error, or the same records (a flip in the gzip header's time stamp).
         */
        for (size_t cut = 0; cut < bytes; cut++) {
            save(in(&f, "packed"), packed, cut);
            assert_int_equal(open_one(env, in(&f, "packed"), &set), DET_STATUS_CORRUPT);
        }
        for (size_t flip = 0; flip < bytes; flip++) {
            packed[flip] ^= 0x10;
            save(in(&f, "packed"), packed, bytes);
            if (open_one(env, in(&f, "packed"), &set) == DET_OK) {
                assert_int_equal(set.record_count, 6);
                for (int i = 0; i < 6; i++)
                    check_record(env, &set, (size_t)i, i);
                det_record_set_close(env, &set);
            }
            packed[flip] ^= 0x10;
        }
        /* gzip files may be glued. */
        if (w == 0) {
            memcpy(packed + bytes, packed, bytes);
            save(in(&f, "packed"), packed, 2 * bytes);
            assert_ok(env, open_one(env, in(&f, "packed"), &set));
            assert_int_equal(set.record_count, 12);
            det_record_set_close(env, &set);
        }
    }
    det_file_release(&contents);
    close_folder(&f);
}

static void growth_is_limited(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    const size_t zeros = (size_t)80 << 20, room = (size_t)1 << 20;
    uint8_t *data = calloc(1, zeros), *packed = malloc(room);
    assert_non_null(data);
    assert_non_null(packed);
    const size_t bytes = deflate_to(packed, room, data, zeros, 31);
    free(data);
    assert_ok(&f.t.env, det_write_file(&f.t.env, in(&f, "bomb"), packed, bytes));
    free(packed);
    struct det_record_set set;
    assert_fails(&f.t.env, DET_STATUS_UNSUPPORTED, "refused",
                 open_one(&f.t.env, in(&f, "bomb"), &set));
    close_folder(&f);
}

/* A record whose length begins with gzip's magic number is still a record. */
static void magic_in_a_length_is_no_magic(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    const size_t bytes = 0x088b1f;
    uint8_t *data = calloc(1, bytes);
    assert_non_null(data);
    struct det_writer writer;
    assert_ok(&f.t.env, det_writer_open(&f.t.env, in(&f, "x"), &writer));
    assert_ok(&f.t.env, det_tfrecord_write(&f.t.env, &writer, data, bytes));
    assert_ok(&f.t.env, det_writer_commit(&f.t.env, &writer));
    free(data);
    struct det_record_set set;
    assert_ok(&f.t.env, open_one(&f.t.env, in(&f, "x"), &set));
    assert_int_equal(set.record_count, 1);
    det_record_set_close(&f.t.env, &set);
    close_folder(&f);
}

static void messages_name_record_and_byte(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    struct det_record_set set;
    assert_ok(env, write_records(env, in(&f, "x"), 0, 4)); /* at 0, 16, 39, 69; 106 bytes */
    struct det_file_bytes contents;
    assert_ok(env, det_file_read(env, in(&f, "x"), &contents));
    assert_int_equal(contents.bytes, 106);
    uint8_t copy[106];
    memcpy(copy, contents.data, 106);
    det_file_release(&contents);
    save(in(&f, "x"), copy, 100);
    assert_fails(env, DET_STATUS_CORRUPT,
                 "x: record 3 at byte 69: truncated: needs 37 bytes, 31 are left",
                 open_one(env, in(&f, "x"), &set));
    save(in(&f, "x"), copy, 74);
    assert_fails(env, DET_STATUS_CORRUPT,
                 "x: record 3 at byte 69: truncated: needs at least 16 bytes, 5 are left",
                 open_one(env, in(&f, "x"), &set));
    copy[39] ^= 1;
    save(in(&f, "x"), copy, 106);
    assert_fails(env, DET_STATUS_CORRUPT, "x: record 2 at byte 39: length CRC mismatch: stored 0x",
                 open_one(env, in(&f, "x"), &set));
    copy[39] ^= 1;
    copy[39 + 12] ^= 1;
    save(in(&f, "x"), copy, 106);
    assert_ok(env, open_one(env, in(&f, "x"), &set));
    struct det_record record = {0};
    assert_fails(env, DET_STATUS_CORRUPT, "x: record 2 at byte 39: data CRC mismatch: stored 0x",
                 det_record_set_get(env, &set, 2, &record));
    assert_int_equal(record.bytes, 0);
    det_record_free(env, &record);
    check_record(env, &set, 3, 3);
    det_record_set_close(env, &set);
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    save(in(&f, "x"), lfs, sizeof lfs - 1);
    assert_fails(env, DET_STATUS_CORRUPT, "Git LFS pointer", open_one(env, in(&f, "x"), &set));
    assert_ok(env, det_write_file(env, in(&f, "x"), "", 0));
    assert_fails(env, DET_STATUS_CORRUPT, "/x*`", open_one(env, in(&f, "x*"), &set));
    assert_ok(env, det_write_file(env, in(&f, "x"), "this is a text, not records", 27));
    assert_fails(env, DET_STATUS_CORRUPT, "not a TFRecord file?", open_one(env, in(&f, "x"), &set));
    close_folder(&f);
}

/* From memory and from disk: cut anywhere, the whole records before are there, each with its own
 * bytes. */
static void records_before_damage_are_read(void **state)
{
    (void)state;
    static const size_t starts[] = {0, 16, 39, 69, 106};
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    struct det_record_set set;
    struct det_file_bytes contents;
    assert_ok(env, write_records(env, in(&f, "a[1]"), 0, 4));
    assert_ok(env, det_file_read(env, in(&f, "a[1]"), &contents));
    for (size_t cut = 0; cut <= contents.bytes; cut++) {
        const struct det_file_bytes part = {.data = contents.data, .bytes = cut};
        size_t whole = 0;
        while (whole < 4 && starts[whole + 1] <= cut)
            whole++;
        save(in(&f, "cut"), contents.data, cut);
        for (int lent = 0; lent < 2; lent++) {
            det_status damage = DET_OK;
            const det_status status =
                det_record_set_open_file(env, in(&f, "cut"), lent ? &part : NULL, &set, &damage);
            assert_int_equal(status == DET_OK, whole > 0);
            assert_int_equal(damage == DET_OK, whole == 0 || starts[whole] == cut);
            assert_int_equal(set.record_count, whole);
            for (size_t i = 0; i < whole; i++)
                check_record(env, &set, i, (int)i);
            det_record_set_close(env, &set);
        }
    }
    det_file_release(&contents);
    /* A file that is called so is meant, whatever the brackets say. */
    assert_ok(env, open_one(env, in(&f, "a[1]"), &set));
    assert_int_equal(set.record_count, 4);
    det_record_set_close(env, &set);
    close_folder(&f);
}

/* Each byte flipped, each length: only errors, or the undamaged records before the damage. */
static void damage_is_always_found(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    assert_ok(env, write_records(env, in(&f, "x"), 1, 3));
    struct det_file_bytes contents;
    assert_ok(env, det_file_read(env, in(&f, "x"), &contents));
    uint8_t copy[256];
    const size_t total = contents.bytes;
    memcpy(copy, contents.data, total);
    det_file_release(&contents);
    struct det_record_set set;
    for (size_t flip = 0; flip < total; flip++) {
        for (int bit = 0; bit < 8; bit++) {
            copy[flip] ^= (uint8_t)(1 << bit);
            save(in(&f, "x"), copy, total);
            if (open_one(env, in(&f, "x"), &set) == DET_OK) {
                int errors = 0;
                for (size_t i = 0; i < set.record_count; i++) {
                    struct det_record record = {0};
                    errors += det_record_set_get(env, &set, i, &record) != DET_OK;
                    det_record_free(env, &record);
                }
                assert_int_equal(errors, 1);
                det_record_set_close(env, &set);
            }
            copy[flip] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t cut = 0; cut < total; cut++) {
        save(in(&f, "x"), copy, cut);
        const det_status status = open_one(env, in(&f, "x"), &set);
        /* Only a cut between records cannot be seen. */
        const bool boundary = cut == 23 || cut == 53;
        assert_int_equal(status, boundary ? DET_OK : DET_STATUS_CORRUPT);
        det_record_set_close(env, &set);
    }
    close_folder(&f);
}

static det_status write_and_open(struct det_env *env, void *argument)
{
    const char *path = argument;
    char pattern[512];
    DET_TRY_RETURN(write_records(env, path, 0, 20));
    snprintf(pattern, sizeof pattern, "%s*", path);
    const char *patterns[] = {pattern, path};
    struct det_record_set set;
    DET_TRY_RETURN(det_record_set_open(env, patterns, 2, &set));
    det_record_set_close(env, &set);
    return DET_OK;
}

static det_status open_shards(struct det_env *env, void *argument)
{
    struct det_record_set set;
    DET_TRY_RETURN(open_one(env, argument, &set));
    det_record_set_close(env, &set);
    return DET_OK;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    char path[512];
    snprintf(path, sizeof path, "%s", in(&f, "x"));
    test_each_allocation_fails(write_and_open, path);
    assert_ok(&f.t.env, write_records(&f.t.env, in(&f, "s-00000-of-00002"), 0, 2));
    assert_ok(&f.t.env, write_records(&f.t.env, in(&f, "s-00001-of-00002"), 2, 2));
    snprintf(path, sizeof path, "%s", in(&f, "s@2"));
    test_each_allocation_fails(open_shards, path);
    close_folder(&f);
}

static void failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    struct det_env *env = &f.t.env;
    assert_ok(env, write_records(env, in(&f, "x"), 0, 2));
    struct rlimit old, small = {.rlim_cur = 200};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const det_status status = write_records(env, in(&f, "x"), 0, 20);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_not_equal(status, DET_OK);
    struct det_record_set set;
    assert_ok(env, open_one(env, in(&f, "x"), &set));
    assert_int_equal(set.record_count, 2);
    det_record_set_close(env, &set);
    struct det_path_list list = {0};
    assert_ok(env, det_list_directory(env, f.path, &list));
    assert_int_equal(list.count, 1); /* no temporary file left */
    det_path_list_free(env, &list);
    close_folder(&f);
}

int test_tfrecord(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_known_bytes),
        cmocka_unit_test(reads_files_in_order),
        cmocka_unit_test(shards_must_be_complete),
        cmocka_unit_test(compressed_files_are_inflated),
        cmocka_unit_test(growth_is_limited),
        cmocka_unit_test(magic_in_a_length_is_no_magic),
        cmocka_unit_test(messages_name_record_and_byte),
        cmocka_unit_test(records_before_damage_are_read),
        cmocka_unit_test(damage_is_always_found),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(failed_write_keeps_the_old_file),
    };
    return cmocka_run_group_tests_name("tfrecord", tests, NULL, NULL);
}
