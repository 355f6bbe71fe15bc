/* support/writer.h, support/target.h: what a path to write to may be, and what is left of it
 * whatever happens. */
#define _GNU_SOURCE /* unshare */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"

struct folder {
    struct test_env t;
    char path[256];
};

static void open_folder(struct folder *f)
{
    test_env_init(&f->t);
    test_make_directory(f->path, "writer");
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->path);
    test_env_check(&f->t);
}

/* A name in the folder; two at a time. */
static const char *in(const struct folder *f, const char *name)
{
    static char paths[4][600];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", f->path, name);
    return path;
}

static det_status put(struct folder *f, const char *name, const char *text)
{
    return det_write_file(&f->t.env, in(f, name), text, strlen(text));
}

static void assert_content(const struct folder *f, const char *name, const char *text)
{
    char *content = test_read_text(in(f, name));
    assert_string_equal(content, text);
    free(content);
}

static mode_t mode_of(const struct folder *f, const char *name)
{
    struct stat info;
    assert_int_equal(lstat(in(f, name), &info), 0);
    return info.st_mode;
}

/* Nothing but what the test made. */
static void assert_entries(struct folder *f, size_t count)
{
    struct det_path_list list = {0};
    assert_ok(&f->t.env, det_list_directory(&f->t.env, f->path, &list));
    if (list.count != count)
        fail_msg("%zu entries, the first %s", list.count, list.paths[0]);
    det_path_list_free(&f->t.env, &list);
}

static bool is_root(const char *what)
{
    if (geteuid() == 0)
        return true;
    print_message("partly skipped: %s needs root\n", what);
    return false;
}

/* --- what is written into --- */

static void devices_stay_devices(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    if (is_root("mknod") && mknod(in(&f, "null"), S_IFCHR | 0666, makedev(1, 3)) == 0 &&
        mknod(in(&f, "full"), S_IFCHR | 0666, makedev(1, 7)) == 0 &&
        mknod(in(&f, "disk"), S_IFBLK | 0600, makedev(240, 99)) == 0) {
        assert_int_equal(symlink("null", in(&f, "link")), 0);
        const int there = open(in(&f, "null"), O_WRONLY);
        if (there >= 0) { /* a container may forbid it */
            close(there);
            assert_ok(&f.t.env, put(&f, "null", "text"));
            assert_ok(&f.t.env, put(&f, "link", "text"));
            assert_fails(&f.t.env, DET_STATUS_NO_SPACE, "full: cannot write",
                         put(&f, "full", "text"));
        }
        assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "disk: is a disk",
                     put(&f, "disk", "text"));
        assert_true(S_ISCHR(mode_of(&f, "null")) && S_ISCHR(mode_of(&f, "full")) &&
                    S_ISBLK(mode_of(&f, "disk")) && S_ISLNK(mode_of(&f, "link")));
        assert_entries(&f, 4);
    }
    close_folder(&f);
}

struct fifo_reader {
    const char *path;
    char text[100];
    size_t used;
    bool first_line_came; /* before the second was written */
};

static void *read_fifo(void *argument)
{
    struct fifo_reader *reader = argument;
    const int descriptor = open(reader->path, O_RDONLY);
    ssize_t got;
    while (reader->used < sizeof reader->text - 1 &&
           (got = read(descriptor, reader->text + reader->used,
                       sizeof reader->text - 1 - reader->used)) > 0)
        reader->used += (size_t)got;
    close(descriptor);
    return NULL;
}

static void a_fifo_gets_what_is_written(void **state)
{
    (void)state;
    struct folder f;
    struct det_writer writer;
    pthread_t thread;
    open_folder(&f);
    struct fifo_reader reader = {.path = in(&f, "fifo")};
    assert_int_equal(mkfifo(reader.path, 0600), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_fifo, &reader), 0);
    assert_ok(&f.t.env, det_writer_open(&f.t.env, reader.path, &writer));
    assert_true(det_writer_streams(&writer));
    assert_ok(&f.t.env, det_writer_write(&f.t.env, &writer, "one\n", 4));
    assert_ok(&f.t.env, det_writer_flush(&f.t.env, &writer));
    assert_ok(&f.t.env, det_writer_write(&f.t.env, &writer, "two\n", 4));
    assert_ok(&f.t.env, det_writer_commit(&f.t.env, &writer));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(reader.text, "one\ntwo\n");
    assert_true(S_ISFIFO(mode_of(&f, "fifo")));
    assert_entries(&f, 1);
    close_folder(&f);
}

/* Each flush is there at once. */
static void a_stream_is_not_held_back(void **state)
{
    (void)state;
    struct folder f;
    struct det_writer writer;
    int ends[2];
    char name[64], got[8] = "";
    open_folder(&f);
    assert_int_equal(pipe(ends), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
    assert_ok(&f.t.env, det_writer_open(&f.t.env, name, &writer));
    assert_ok(&f.t.env, det_writer_write(&f.t.env, &writer, "line", 4));
    assert_ok(&f.t.env, det_writer_flush(&f.t.env, &writer));
    assert_int_equal(read(ends[0], got, 4), 4);
    assert_string_equal(got, "line");
    assert_ok(&f.t.env, det_writer_commit(&f.t.env, &writer));
    assert_int_equal(fcntl(ends[1], F_GETFD) >= 0, 1); /* still the caller's */
    /* Nobody reads any more: an error, and this process lives. */
    close(ends[0]);
    assert_fails(&f.t.env, DET_STATUS_IO, "cannot write: Broken pipe",
                 det_write_file(&f.t.env, name, "x", 1));
    close(ends[1]);
    close_folder(&f);
}

/* A SIGPIPE that was waiting for the host before is not ours to take away. */
static void a_signal_of_the_host_stays(void **state)
{
    (void)state;
    sigset_t set, before, pending;
    int ends[2];
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &before), 0);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_true(det_write_some(ends[1], "x", 1) < 0 && errno == EPIPE);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    raise(SIGPIPE);
    assert_true(det_write_some(ends[1], "x", 1) < 0 && errno == EPIPE);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 1);
    const struct timespec at_once = {0};
    assert_int_equal(sigtimedwait(&set, NULL, &at_once), SIGPIPE);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
}

/* Written from where it stands, as by any other means; never replaced. */
static void an_open_file_is_written_into(void **state)
{
    (void)state;
    static const char *const names[] = {"/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"};
    struct folder f;
    open_folder(&f);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[64];
        const int descriptor = open(in(&f, "file"), O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(descriptor, "before ", 7), 7);
        snprintf(name, sizeof name, "%s/%d", names[i], descriptor);
        assert_ok(&f.t.env, det_write_file(&f.t.env, name, "text", 4));
        assert_int_equal(write(descriptor, " behind", 7), 7);
        assert_content(&f, "file", "before text behind");
        /* Through links too. */
        assert_int_equal(symlink(name, in(&f, "link")), 0);
        assert_ok(&f.t.env, put(&f, "link", "!"));
        assert_content(&f, "file", "before text behind!");
        assert_true(S_ISLNK(mode_of(&f, "link")));
        unlink(in(&f, "link"));
        close(descriptor);
    }
    assert_fails(&f.t.env, DET_STATUS_IO, "cannot write: Bad file descriptor",
                 det_write_file(&f.t.env, "/dev/fd/987", "x", 1));
    assert_entries(&f, 1);
    close_folder(&f);
}

/* --- what is replaced --- */

static void links_are_followed(void **state)
{
    (void)state;
    struct folder f;
    char absolute[700], *here = realpath(".", NULL);
    open_folder(&f);
    assert_int_equal(mkdir(in(&f, "sub"), 0777), 0);
    assert_ok(&f.t.env, put(&f, "sub/target", "old"));
    assert_int_equal(symlink("sub/target", in(&f, "one")), 0);
    snprintf(absolute, sizeof absolute, "%s/%s/one", here, f.path);
    assert_int_equal(symlink(absolute, in(&f, "two")), 0);
    assert_int_equal(symlink("sub/not there yet", in(&f, "dangling")), 0);
    assert_int_equal(symlink("sub", in(&f, "folder")), 0);
    assert_int_equal(symlink("loop", in(&f, "loop")), 0);
    assert_int_equal(symlink("gone/file", in(&f, "lost")), 0);
    assert_ok(&f.t.env, put(&f, "one", "1"));
    assert_content(&f, "sub/target", "1");
    assert_ok(&f.t.env, put(&f, "two", "2"));
    assert_content(&f, "sub/target", "2");
    assert_ok(&f.t.env, put(&f, "folder/target", "3"));
    assert_content(&f, "sub/target", "3");
    assert_ok(&f.t.env, put(&f, "dangling", "4"));
    assert_content(&f, "sub/not there yet", "4");
    assert_true(S_ISLNK(mode_of(&f, "one")) && S_ISLNK(mode_of(&f, "two")) &&
                S_ISLNK(mode_of(&f, "dangling")));
    assert_fails(&f.t.env, DET_STATUS_IO, "Too many levels", put(&f, "loop", "x"));
    assert_fails(&f.t.env, DET_STATUS_NOT_FOUND, "No such file", put(&f, "lost", "x"));
    assert_fails(&f.t.env, DET_STATUS_NOT_FOUND, "No such file", put(&f, "none/file", "x"));
    assert_fails(&f.t.env, DET_STATUS_NOT_FOUND, "Not a directory", put(&f, "sub/target/x", "x"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is a folder", put(&f, "folder", "x"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "names a folder", put(&f, "new/", "x"));
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "an empty name",
                 det_write_file(&f.t.env, "", "x", 1));
    assert_entries(&f, 7);
    free(here);
    close_folder(&f);
}

/* Somebody who knows the process's number puts links where temporary files might come. */
static void planted_links_are_not_followed(void **state)
{
    (void)state;
    struct folder f;
    char name[100];
    open_folder(&f);
    assert_ok(&f.t.env, put(&f, "victim", "precious"));
    snprintf(name, sizeof name, "out.tmp-%ld", (long)getpid());
    assert_int_equal(symlink("victim", in(&f, name)), 0);
    for (int i = 0; i < 3; i++)
        assert_ok(&f.t.env, put(&f, "out", "text"));
    assert_content(&f, "victim", "precious");
    assert_content(&f, "out", "text");
    assert_true(S_ISREG(mode_of(&f, "out")));
    assert_entries(&f, 3);
    close_folder(&f);
}

static void mode_and_owner_stay(void **state)
{
    (void)state;
    struct folder f;
    struct stat info;
    open_folder(&f);
    const mode_t umask_before = umask(027);
    assert_ok(&f.t.env, put(&f, "new", "x"));
    assert_int_equal(mode_of(&f, "new") & 07777, 0640);
    umask(0);
    static const mode_t modes[] = {0600, 0666, 0751};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(in(&f, "new"), modes[i]), 0);
        assert_ok(&f.t.env, put(&f, "new", "y"));
        assert_int_equal(mode_of(&f, "new") & 07777, modes[i]);
    }
    umask(umask_before);
    if (is_root("chown") && chown(in(&f, "new"), 4321, 1234) == 0) {
        assert_ok(&f.t.env, put(&f, "new", "z"));
        assert_int_equal(stat(in(&f, "new"), &info), 0);
        assert_true(info.st_uid == 4321 && info.st_gid == 1234);
    }
    close_folder(&f);
}

static void hard_links_keep_the_old_content(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    assert_ok(&f.t.env, put(&f, "file", "old"));
    assert_int_equal(link(in(&f, "file"), in(&f, "copy")), 0);
    assert_ok(&f.t.env, put(&f, "file", "new"));
    assert_content(&f, "file", "new");
    assert_content(&f, "copy", "old");
    close_folder(&f);
}

/* Another user's file in a folder that everybody may write; and one that may be written by the
 * group. */
static void write_protection_is_honoured(void **state)
{
    (void)state;
    struct folder f;
    enum { NOBODY = 65534 };
    open_folder(&f);
    if (is_root("seteuid")) {
        assert_int_equal(chmod(f.path, 0777), 0);
        assert_ok(&f.t.env, put(&f, "theirs", "old"));
        assert_int_equal(chmod(in(&f, "theirs"), 0644), 0);
        assert_ok(&f.t.env, put(&f, "open", "old"));
        assert_int_equal(chmod(in(&f, "open"), 0676), 0);
        assert_int_equal(setegid(NOBODY), 0);
        assert_int_equal(seteuid(NOBODY), 0);
        const det_status refused = put(&f, "theirs", "new");
        const det_status taken = put(&f, "open", "new");
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
        assert_int_equal(refused, DET_STATUS_IO);
        assert_content(&f, "theirs", "old");
        assert_int_equal(taken, DET_OK);
        assert_content(&f, "open", "new");
        /* Its group could not be kept: nobody else gets what the old one could. */
        assert_int_equal(mode_of(&f, "open") & 0777, 0666);
        assert_entries(&f, 2);
    }
    close_folder(&f);
}

static void long_names_have_room(void **state)
{
    (void)state;
    struct folder f;
    char name[256];
    open_folder(&f);
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_ok(&f.t.env, put(&f, name, "x"));
    assert_content(&f, name, "x");
    name[254] = '\0';
    memcpy(name + 95, "\xc3\xa9", 2); /* where the temporary name is cut */
    assert_ok(&f.t.env, put(&f, name, "x"));
    assert_entries(&f, 2);
    close_folder(&f);
}

static void sockets_are_told(void **state)
{
    (void)state;
    struct folder f;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    open_folder(&f);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s", in(&f, "socket"));
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    assert_fails(&f.t.env, DET_STATUS_INVALID_ARGUMENT, "is a socket", put(&f, "socket", "x"));
    assert_true(S_ISSOCK(mode_of(&f, "socket")));
    close(descriptor);
    close_folder(&f);
}

/* --- accidents --- */

static void *write_often(void *argument)
{
    struct det_env env;
    char content[5000];
    const char *path = argument;
    static atomic_int next;
    det_env_default(&env);
    memset(content, 'a' + atomic_fetch_add(&next, 1), sizeof content);
    for (int i = 0; i < 100; i++)
        if (det_write_file(&env, path, content, sizeof content) != DET_OK)
            return strdup(env.error);
    return NULL;
}

static void threads_do_not_meet(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct folder f;
    pthread_t threads[THREADS];
    char path[400];
    size_t bytes = 0;
    open_folder(&f);
    snprintf(path, sizeof path, "%s", in(&f, "out"));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, path), 0);
    for (int i = 0; i < THREADS; i++) {
        void *message = NULL;
        pthread_join(threads[i], &message);
        if (message != NULL)
            fail_msg("%s", (char *)message);
    }
    char *content = test_read_bytes(path, &bytes);
    assert_int_equal(bytes, 5000);
    for (size_t i = 1; i < bytes; i++)
        assert_int_equal(content[i], content[0]);
    free(content);
    assert_entries(&f, 1);
    close_folder(&f);
}

/* Runs `body` in a process of its own; 0: all was well, 77: cannot be done here. */
static int in_child(int (*body)(struct folder *f), struct folder *f)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body(f));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int write_beyond_the_limit(struct folder *f)
{
    static const char content[100000];
    const struct rlimit limit = {10000, 10000};
    signal(SIGXFSZ, SIG_DFL);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 77;
    const det_status status = det_write_file(&f->t.env, in(f, "out"), content, sizeof content);
    return status == DET_STATUS_IO && strstr(f->t.env.error, "ulimit -f") != NULL ? 0 : 1;
}

static void a_limit_on_size_is_an_error(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    assert_ok(&f.t.env, put(&f, "out", "old"));
    assert_int_equal(in_child(write_beyond_the_limit, &f), 0);
    assert_content(&f, "out", "old");
    assert_entries(&f, 1);
    close_folder(&f);
}

static int write_a_mount_point(struct folder *f)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(in(f, "out"), in(f, "out"), NULL, MS_BIND, NULL) != 0)
        return 77;
    return put(f, "out", "new") == DET_OK ? 0 : 1;
}

/* docker run -v $PWD/out.json:/out.json */
static void a_mounted_file_is_written_into(void **state)
{
    (void)state;
    struct folder f;
    struct stat before, after;
    open_folder(&f);
    assert_ok(&f.t.env, put(&f, "out", "old content"));
    assert_int_equal(stat(in(&f, "out"), &before), 0);
    const int result = in_child(write_a_mount_point, &f);
    if (result == 77) {
        print_message("skipped: no mounts here\n");
    } else {
        assert_int_equal(result, 0);
        assert_content(&f, "out", "new");
        assert_int_equal(stat(in(&f, "out"), &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_entries(&f, 1);
    }
    close_folder(&f);
}

static int die_while_writing(struct folder *f)
{
    struct det_writer writer;
    if (det_writer_open(&f->t.env, in(f, "ckpt-20.det"), &writer) == DET_OK &&
        det_writer_write(&f->t.env, &writer, "x", 1) == DET_OK)
        raise(SIGKILL);
    return 1;
}

static void leftovers_are_known(void **state)
{
    (void)state;
    struct folder f;
    struct det_path_list found = {0};
    open_folder(&f);
    assert_ok(&f.t.env, put(&f, "ckpt-20.det", "old"));
    assert_int_equal(in_child(die_while_writing, &f), -SIGKILL);
    assert_content(&f, "ckpt-20.det", "old");
    assert_entries(&f, 2);
    assert_ok(&f.t.env, det_glob(&f.t.env, in(&f, "*ckpt*"), &found));
    assert_int_equal(found.count, 1);
    det_path_list_free(&f.t.env, &found);
    /* What only looks like one stays. */
    assert_ok(&f.t.env, put(&f, ".ckpt-20.det.tmp-0123", "mine"));
    assert_ok(&f.t.env, put(&f, ".ckpt-20.det.tmp-0123456789abcdeg", "mine"));
    assert_ok(&f.t.env, put(&f, ".other.tmp-0123456789abcdef", "another's"));
    det_writer_remove_leftovers(&f.t.env, f.path, "ckpt-");
    assert_entries(&f, 4);
    det_writer_remove_leftovers(&f.t.env, f.path, "other");
    assert_entries(&f, 3);
    close_folder(&f);
}

static det_status write_once(struct det_env *env, void *argument)
{
    return det_write_file(env, argument, "new", 3);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct folder f;
    char path[400];
    open_folder(&f);
    assert_ok(&f.t.env, put(&f, "file", "old"));
    assert_int_equal(symlink("file", in(&f, "link")), 0);
    snprintf(path, sizeof path, "%s", in(&f, "link"));
    test_each_allocation_fails(write_once, path);
    assert_content(&f, "file", "new");
    assert_entries(&f, 2);
    close_folder(&f);
}

int test_writer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_stay_devices),
        cmocka_unit_test(a_fifo_gets_what_is_written),
        cmocka_unit_test(a_stream_is_not_held_back),
        cmocka_unit_test(a_signal_of_the_host_stays),
        cmocka_unit_test(an_open_file_is_written_into),
        cmocka_unit_test(links_are_followed),
        cmocka_unit_test(planted_links_are_not_followed),
        cmocka_unit_test(mode_and_owner_stay),
        cmocka_unit_test(hard_links_keep_the_old_content),
        cmocka_unit_test(write_protection_is_honoured),
        cmocka_unit_test(long_names_have_room),
        cmocka_unit_test(sockets_are_told),
        cmocka_unit_test(threads_do_not_meet),
        cmocka_unit_test(a_limit_on_size_is_an_error),
        cmocka_unit_test(a_mounted_file_is_written_into),
        cmocka_unit_test(leftovers_are_known),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
