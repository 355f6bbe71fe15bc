/* support/guard.h: outputs that are inputs, whatever they are called, and outputs that are one
 * file. */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "det/image.h"
#include "support/guard.h"
#include "support/io.h"
#include "support/workspace.h"

struct folder {
    struct test_env t;
    char path[256];
    struct det_guard guard;
};

static const char *in(const struct folder *f, const char *name)
{
    static char paths[4][600];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", f->path, name);
    return path;
}

static det_status put(struct folder *f, const char *name)
{
    return det_write_file(&f->t.env, in(f, name), name, strlen(name));
}

static void open_folder(struct folder *f)
{
    *f = (struct folder){0};
    test_env_init(&f->t);
    test_make_directory(f->path, "guard");
    assert_ok(&f->t.env, put(f, "model"));
    assert_ok(&f->t.env, put(f, "other"));
}

static void close_folder(struct folder *f)
{
    f->t.env.guard = NULL;
    det_guard_free(&f->t.env, &f->guard);
    test_remove_tree(f->path);
    test_env_check(&f->t);
}

static det_status output(struct folder *f, const char *what, const char *name)
{
    return det_guard_output(&f->t.env, &f->guard, what, in(f, name));
}

static void an_output_that_is_an_input(void **state)
{
    (void)state;
    static const char *const names[] = {"model",  "./model", "../HERE/model", "soft",
                                        "softer", "hard",    "folder/model"};
    struct folder f;
    open_folder(&f);
    assert_int_equal(symlink("model", in(&f, "soft")), 0);
    assert_int_equal(symlink("soft", in(&f, "softer")), 0);
    assert_int_equal(link(in(&f, "model"), in(&f, "hard")), 0);
    assert_int_equal(symlink(".", in(&f, "folder")), 0);
    assert_ok(&f.t.env, det_guard_input(&f.t.env, &f.guard, in(&f, "model")));
    assert_ok(&f.t.env,
              det_guard_input(&f.t.env, &f.guard, in(&f, "hard"))); /* twice is no fault */
    assert_ok(&f.t.env, det_guard_input(&f.t.env, &f.guard, in(&f, "is not there")));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[300], message[800];
        snprintf(name, sizeof name, "%s", names[i]);
        if (strncmp(name, "../", 3) == 0)
            snprintf(name, sizeof name, "../%s/model", det_path_name(f.path));
        snprintf(message, sizeof message, "--json %s: is an input, which would be overwritten",
                 in(&f, name));
        assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, message, output(&f, "--json", name));
    }
    assert_ok(&f.t.env, output(&f, "--json", "is not there"));
    assert_ok(&f.t.env, output(&f, "--csv", "other"));
    close_folder(&f);
}

static void two_outputs_of_one_file(void **state)
{
    (void)state;
    struct folder f;
    char message[800];
    open_folder(&f);
    assert_int_equal(symlink("new", in(&f, "link")), 0);
    assert_int_equal(mkfifo(in(&f, "fifo"), 0600), 0);
    assert_ok(&f.t.env, output(&f, "--json", "new"));
    snprintf(message, sizeof message, "--csv %s: is the same file as --json %s", in(&f, "./new"),
             in(&f, "new"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, message, output(&f, "--csv", "./new"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is the same file as --json",
                 output(&f, "--csv", "link"));
    assert_ok(&f.t.env, output(&f, "--json", "fifo"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is the same file as --json",
                 output(&f, "--csv", "fifo"));
    if (geteuid() == 0 && mknod(in(&f, "null"), S_IFCHR | 0666, makedev(1, 3)) == 0) {
        assert_ok(&f.t.env, output(&f, "--json", "null"));
        assert_ok(&f.t.env, output(&f, "--csv", "null"));
    }
    /* What would fail later is told now. */
    assert_fails(&f.t.env, DET_STATUS_NOT_FOUND, "none", output(&f, "--json", "none/file"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is a folder", output(&f, "--json", "."));
    close_folder(&f);
}

static void what_was_read_is_not_replaced(void **state)
{
    (void)state;
    struct folder f;
    struct det_file_bytes contents;
    open_folder(&f);
    f.t.env.guard = &f.guard;
    assert_ok(&f.t.env, output(&f, "--json", "result"));
    assert_ok(&f.t.env, det_file_read(&f.t.env, in(&f, "model"), &contents));
    det_file_release(&contents);
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "model: is an input", put(&f, "model"));
    /* In parts as well, and where it was named as an output before. */
    struct det_file file;
    assert_ok(&f.t.env, det_file_open(&f.t.env, in(&f, "other"), &file));
    det_file_close(&file);
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "other: is an input", put(&f, "other"));
    assert_ok(&f.t.env, put(&f, "records"));
    assert_ok(&f.t.env, output(&f, "--csv", "records"));
    assert_int_equal(link(in(&f, "records"), in(&f, "train")), 0);
    char message[800];
    snprintf(message, sizeof message, "--csv %s: is an input, which would be overwritten",
             in(&f, "records"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, message,
                 det_file_open(&f.t.env, in(&f, "train"), &file));
    for (int i = 0; i < 2; i++) { /* its own outputs may be written again */
        assert_ok(&f.t.env, put(&f, "result"));
        assert_ok(&f.t.env, put(&f, "another"));
    }
    char *text = test_read_text(in(&f, "model"));
    assert_string_equal(text, "model");
    free(text);
    close_folder(&f);
}

/* The kernel gives a removed file's number to the next one. */
static void an_input_that_is_gone_is_none(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    assert_ok(&f.t.env, det_guard_input(&f.t.env, &f.guard, in(&f, "model")));
    assert_int_equal(rename(in(&f, "model"), in(&f, "moved")), 0);
    assert_ok(&f.t.env, output(&f, "--json", "moved"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is the same file as --json",
                 output(&f, "--csv", "moved"));
    close_folder(&f);
}

static void a_rehearsal_writes_nothing(void **state)
{
    (void)state;
    struct folder f;
    struct det_writer writer;
    open_folder(&f);
    f.t.env.guard = &f.guard;
    assert_ok(&f.t.env, det_guard_input(&f.t.env, &f.guard, in(&f, "model")));
    f.guard.rehearsing = true;
    assert_ok(&f.t.env, det_make_directories(&f.t.env, in(&f, "new/folder")));
    assert_ok(&f.t.env, put(&f, "new/folder/file"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is the same file as",
                 put(&f, "new/folder/file"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is an input", put(&f, "model"));
    assert_ok(&f.t.env, det_writer_open(&f.t.env, in(&f, "other"), &writer));
    assert_ok(&f.t.env, det_writer_write(&f.t.env, &writer, "x", 1));
    assert_ok(&f.t.env, det_writer_flush(&f.t.env, &writer));
    assert_int_equal(writer.offset, 1);
    assert_ok(&f.t.env, det_writer_commit(&f.t.env, &writer));
    assert_false(det_file_exists(in(&f, "new")));
    char *text = test_read_text(in(&f, "other"));
    assert_string_equal(text, "other");
    free(text);
    f.guard.rehearsing = false;
    assert_ok(&f.t.env, put(&f, "other"));
    close_folder(&f);
}

/* What a program tells its context. */
static void calls_of_a_context(void **state)
{
    (void)state;
    struct folder f;
    static uint8_t pixels[8 * 8 * 3];
    const det_image_view view = {.pixels = pixels, .width = 8, .height = 8};
    det_picture *picture = NULL, *other = NULL;
    det_context *context = NULL;
    open_folder(&f);
    assert_ok(&f.t.env, det_write_file(&f.t.env, in(&f, "b.png"), "b", 1));
    assert_ok(&f.t.env, det_write_file(&f.t.env, in(&f, "c.png"), "c", 1));
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = &f.t.env.allocator;
    settings.device = "cpu";
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    assert_context_ok(context, det_picture_from_pixels(context, &view, &picture));
    assert_context_ok(context, det_picture_write(picture, in(&f, "a.png"))); /* nothing was named */
    assert_context_ok(context, det_context_reads(context, in(&f, "b.png")));
    assert_context_ok(context, det_context_reads(context, in(&f, "not-there.png")));
    assert_int_equal(link(in(&f, "b.png"), in(&f, "hard.png")), 0);
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "hard.png: is an input",
                         det_picture_write(picture, in(&f, "hard.png")));
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "--output ",
                         det_context_writes(context, "--output", in(&f, "b.png")));
    assert_context_fails(context, DET_STATUS_NOT_FOUND, "nowhere",
                         det_context_writes(context, NULL, in(&f, "nowhere/a.png")));
    assert_context_ok(context, det_context_writes(context, "--output", in(&f, "c.png")));
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "is the same file as --output ",
                         det_context_writes(context, "--json", in(&f, "./c.png")));
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "--output ",
                         det_picture_read(context, in(&f, "c.png"), &other));
    assert_context_ok(context, det_picture_write(picture, in(&f, "c.png")));
    /* What a call reads counts too. */
    assert_context_ok(context, det_picture_read(context, in(&f, "a.png"), &other));
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "is an input",
                         det_picture_write(picture, in(&f, "a.png")));
    det_picture_destroy(&other);
    det_picture_destroy(&picture);
    det_context_destroy(&context);
    close_folder(&f);
}

static det_status guard_files(struct det_env *env, void *argument)
{
    const struct folder *f = argument;
    struct det_guard guard = {0};
    det_status status = DET_OK;
    DET_TRY(det_guard_input(env, &guard, in(f, "model")));
    DET_TRY(det_guard_output(env, &guard, "--json", in(f, "other")));
    DET_TRY(det_guard_output(env, &guard, NULL, in(f, "new")));
fail:
    det_guard_free(env, &guard);
    return status;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    test_each_allocation_fails(guard_files, &f);
    close_folder(&f);
}

int test_output_guard(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_that_is_an_input),
        cmocka_unit_test(two_outputs_of_one_file),
        cmocka_unit_test(what_was_read_is_not_replaced),
        cmocka_unit_test(an_input_that_is_gone_is_none),
        cmocka_unit_test(a_rehearsal_writes_nothing),
        cmocka_unit_test(calls_of_a_context),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests_name("output_guard", tests, NULL, NULL);
}
