/* base/limits.h: what one file may make the library take is known before it is taken. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/context.h"
#include "base/io.h"
#include "base/mem.h"
#include "formats/tf_bundle.h"
#include "formats/tfrecord.h"
#include "model/model.h"
#include "support/bundle_writer.h"
#include "support/test.h"

#define MB ((size_t)1 << 20)

struct folder {
    struct test_env t;
    struct det_env *env;
    char directory[256], path[300];
};

static void open_folder(struct folder *f, size_t limit)
{
    test_env_init(&f->t);
    f->env = &f->t.env;
    f->env->limits.max_file_memory_bytes = limit;
    test_make_directory(f->directory, "limits");
    snprintf(f->path, sizeof f->path, "%s/file", f->directory);
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->directory);
    test_env_check(&f->t);
}

/* A file of this size with nothing in it, which takes no room on the disk. */
static void make_sparse(const char *path, off_t bytes)
{
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(descriptor >= 0);
    assert_int_equal(ftruncate(descriptor, bytes), 0);
    close(descriptor);
}

static void a_budget_counts(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f, 1000);
    void *a = NULL, *b = NULL;
    assert_ok(f.env, det_alloc(f.env, &a, 5000, 1, "as much as it likes"));
    det_free(f.env, &a);
    const struct det_budget before = det_budget_open(f.env, "the file");
    assert_ok(f.env, det_alloc(f.env, &a, 600, 1, "one part"));
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "the file: another asks for",
                 det_alloc(f.env, &b, 600, 1, "another"));
    assert_null(b);
    assert_contains(f.env->error, "max_file_memory_bytes");
    assert_contains(f.env->error, "DET_MAX_FILE_MEMORY");
    /* A budget inside is the same one. */
    const struct det_budget inner = det_budget_open(f.env, "a part of it");
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "the file: more",
                 det_alloc(f.env, &b, 401, 1, "more"));
    assert_ok(f.env, det_budget_ask(f.env, 400, "all that is left"));
    assert_ok(f.env, det_alloc(f.env, &b, 400, 1, "all that is left"));
    det_budget_close(f.env, inner);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "the file: a byte",
                 det_budget_ask(f.env, 1, "a byte"));
    det_budget_close(f.env, before);
    det_free(f.env, &a);
    det_free(f.env, &b);
    /* An array that grows counts once. */
    size_t capacity = 0;
    const struct det_budget array = det_budget_open(f.env, "array");
    for (size_t need = 1; need <= 512; need++)
        assert_ok(f.env, det_grow(f.env, &a, &capacity, need, 1, "array"));
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "array",
                 det_grow(f.env, &a, &capacity, 1025, 1, "array"));
    det_budget_close(f.env, array);
    det_free(f.env, &a);
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "x: y asks for", ({
                     const struct det_budget huge = det_budget_open(f.env, "x");
                     const det_status status = det_budget_ask(f.env, SIZE_MAX, "y");
                     det_budget_close(f.env, huge);
                     status;
                 }));
    close_folder(&f);
}
