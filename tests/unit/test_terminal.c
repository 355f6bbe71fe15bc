/* The tools in terminals: a pseudo-terminal of some width is standard output and standard error, as
 * a user has it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/records.h"
#include "support/run_tool.h"
#include "support/utf8.h"
#include "support/workspace.h"

static char seen[400000];

/* Runs a shell command whose standard error is a terminal of so many columns, and whose standard
 * output is too, unless the command says otherwise; what comes there is `seen`. From the first
 * progress line on it has `then` columns. Returns the exit status. */
static int on_changing_terminal(int columns, int then, const char *command)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(slave, STDIN_FILENO);
        dup2(slave, STDOUT_FILENO);
        dup2(slave, STDERR_FILENO);
        close(slave);
        close(master);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(slave);
    size_t used = 0;
    ssize_t got = 0;
    while ((got = read(master, seen + used, sizeof seen - 1 - used)) > 0 ||
           (got < 0 && errno == EINTR)) {
        used += got > 0 ? (size_t)got : 0;
        seen[used] = '\0';
        if (size.ws_col != then && strchr(seen, '\r') != NULL && strstr(seen, "ETA ") != NULL) {
            size.ws_col = (unsigned short)then;
            assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
        }
    }
    seen[used] = '\0';
    close(master);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int on_terminal(int columns, const char *command)
{
    return on_changing_terminal(columns, columns, command);
}

static const char *bin(void)
{
    return getenv("DET_BIN_DIR") != NULL ? getenv("DET_BIN_DIR") : "build/release/bin";
}

/* Columns of the widest progress line: what is drawn between "\r" and "\033[K". *lines: how many
 * there are that hold something. */
static size_t widest_progress(size_t *lines)
{
    size_t widest = 0;
    *lines = 0;
    for (char *begin = seen; (begin = strchr(begin, '\r')) != NULL;) {
        char *end = ++begin;
        end += strcspn(begin, "\r\n\033");
        if (strncmp(end, "\033[K", 3) != 0 || end == begin)
            continue;
        char kept = *end;
        size_t used = 0;
        *end = '\0';
        assert_true(det_utf8_valid(begin));
        (void)det_utf8_fit(begin, SIZE_MAX, &used);
        widest = used > widest ? used : widest;
        ++*lines;
        *end = kept;
    }
    return widest;
}

/* --- progress --- */

static void progress_fits(void **state)
{
    (void)state;
    static const int widths[] = {20, 40, 80, 200};
    struct workspace w;
    char command[1500];
    workspace_make(&w, "terminal");
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        size_t lines = 0;
        snprintf(command, sizeof command,
                 "unset NO_COLOR; TERM=xterm %s/det-train --pipeline_config_path %s --model_dir "
                 "%s/run%d --eval_every 6",
                 bin(), w.config, w.directory, widths[i]);
        assert_int_equal(on_terminal(widths[i], command), 0);
        const size_t widest = widest_progress(&lines);
        assert_true(lines > 0);
        if (widest >= (size_t)widths[i])
            fail_msg("%d columns: %zu wide", widths[i], widest);
        assert_contains(seen, "\rETA ");
        if (widths[i] >= 40)
            assert_contains(seen, "/12  loss ");
        if (widths[i] == 200)
            assert_contains(seen, "data wait");
        /* The line tells it: no log beside it; a row for each evaluation, and the table once. */
        assert_null(strstr(seen, "per-step time"));
        const char *first = strstr(seen, "Evaluated step 6: mAP "),
                   *second = strstr(seen, "Evaluated step 12: mAP ");
        assert_true(first != NULL && second != NULL && first < second);
        const char *table = strstr(seen, "Eval metrics of the exported form at step ");
        table = table != NULL ? table : strstr(seen, "Eval metrics at step ");
        assert_true(table > second);
        assert_null(strstr(table + 1, "Eval metrics of the exported form at step "));
        assert_contains(seen, "\033[33mwarning: \033[0m");
    }
    workspace_remove(&w);
}

/* Of a terminal that becomes narrow while a training runs. */
static void the_width_may_change(void **state)
{
    (void)state;
    struct workspace w;
    char command[1500];
    size_t lines = 0;
    workspace_make(&w, "resized");
    snprintf(command, sizeof command,
             "TERM=xterm %s/det-train --pipeline_config_path %s --model_dir %s --num_train_steps "
             "200 --nosummaries",
             bin(), w.config, w.model_dir);
    assert_int_equal(on_changing_terminal(200, 30, command), 0);
    assert_true(widest_progress(&lines) > 60);
    /* What was on its way is one line at most. */
    char *rest = strstr(seen, "ETA ");
    for (int i = 0; i < 2 && rest != NULL; i++)
        rest = strstr(rest + 1, "ETA ");
    assert_non_null(rest);
    memmove(seen, rest, strlen(rest) + 1);
    const size_t widest = widest_progress(&lines);
    assert_true(lines > 0 && widest > 0);
    if (widest >= 30)
        fail_msg("%zu wide", widest);
    workspace_remove(&w);
}

/* Wide characters and marks; what does not fit is left out in whole parts. */
static void wide_names_fit(void **state)
{
    (void)state;
    char folder[256], command[1000], line[300];
    struct test_env t;
    size_t bytes = 0, lines = 0;
    test_env_init(&t);
    test_make_directory(folder, "wide");
    unsigned char *jpeg = test_make_jpeg(120, 90, 3, &bytes);
    /* "cat" in Chinese, six times, and e with a mark that is a character of its own */
    snprintf(line, sizeof line, "%s/%s%s%s.jpg", folder, "\xe7\x8c\xab\xe7\x8c\xab\xe7\x8c\xab",
             "\xe7\x8c\xab\xe7\x8c\xab\xe7\x8c\xab", "e\xcc\x81");
    FILE *file = fopen(line, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(jpeg, 1, bytes, file), bytes);
    fclose(file);
    free(jpeg);
    for (int columns = 8; columns <= 100; columns += 3) {
        snprintf(command, sizeof command,
                 "cd %s && TERM=xterm %s%s/det-detect %s%s *.jpg --json x.json", folder,
                 bin()[0] == '/' ? "" : "../../../", bin(), "../../../", "data/vehicles.det");
        assert_int_equal(on_terminal(columns, command), 0);
        const size_t widest = widest_progress(&lines);
        assert_true(lines > 0);
        if (widest >= (size_t)columns)
            fail_msg("%d columns: %zu wide", columns, widest);
    }
    assert_contains(seen, "/s  \xe7\x8c\xab");
    test_env_check(&t);
    test_remove_tree(folder);
}

/* Standard error is a terminal and standard output a file, and the other way round. */
static void a_log_is_a_log(void **state)
{
    (void)state;
    struct workspace w;
    char command[1500], path[400];
    size_t lines = 0;
    workspace_make(&w, "log");
    snprintf(path, sizeof path, "%s/log", w.directory);
    static const char *const redirections[] = {">", "2>/dev/null |cat >", ">/dev/null 2>"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(command, sizeof command,
                 "TERM=xterm %s/det-train --pipeline_config_path %s --model_dir %s/run%zu "
                 "--log_every 4 --eval_every 12 %s %s",
                 bin(), w.config, w.directory, i, redirections[i], path);
        assert_int_equal(on_terminal(40, command), 0);
        (void)widest_progress(&lines);
        char *log = test_read_text(path);
        if (strchr(log, '\r') != NULL || strchr(log, '\033') != NULL)
            fail_msg("%s: %s", redirections[i], log);
        if (i == 0)
            assert_true(lines > 0); /* there is a terminal to look at, too */
        if (i == 2) {
            assert_null(strstr(log, "per-step time"));
            free(log);
            continue;
        }
        /* The first step, each fourth; when, of how many, how long still, how fast, losses. */
        static const char *const steps[] = {"1", "4", "8", "12"};
        const char *at = log;
        for (size_t s = 0; s < 4; s++) {
            char begin[40], of[40];
            snprintf(begin, sizeof begin, "  Step %s per-step time ", steps[s]);
            snprintf(of, sizeof of, "  %s/12  ETA ", steps[s]);
            at = strstr(at, begin);
            assert_non_null(at);
            int year = 0, second = -1;
            assert_true(at - log >= 19);
            assert_int_equal(sscanf(at - 19, "%4d-%*2d-%*2d %*2d:%*2d:%2d", &year, &second), 2);
            assert_true(year >= 2024 && second >= 0 && second < 61);
            char row[400];
            snprintf(row, sizeof row, "%.*s", (int)strcspn(at, "\n"), at);
            assert_contains(row, of);
            assert_contains(row, " img/s  localization=");
            assert_contains(row, "loss=");
        }
        assert_contains(log, "Evaluated step 12: mAP ");
        free(log);
    }
    workspace_remove(&w);
}

static void dumb_terminals_and_colours(void **state)
{
    (void)state;
    struct workspace w;
    char command[1500];
    workspace_make(&w, "dumb");
    static const char *const settings[] = {"TERM=dumb", "NO_COLOR=1 TERM=xterm",
                                           "NO_COLOR= TERM=xterm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(command, sizeof command,
                 "env %s %s/det-train --pipeline_config_path %s --model_dir %s/run%zu", settings[i],
                 bin(), w.config, w.directory, i);
        assert_int_equal(on_terminal(80, command), 0);
        assert_contains(seen, "warning: ");
        if (i == 0)
            assert_null(strchr(seen, '\033'));
        assert_int_equal(strstr(seen, "\033[33m") != NULL, i == 2);
        assert_int_equal(strstr(seen, "per-step time") != NULL, i == 0);
    }
    workspace_remove(&w);
}

/* --- results --- */

static void pictures_are_looked_at(void **state)
{
    (void)state;
    char command[1000];
    char folder[256], path[400];
    size_t bytes = 0;
    test_make_directory(folder, "looked_at");
    unsigned char *jpeg = test_make_jpeg(120, 90, 3, &bytes);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(jpeg, 1, bytes, file), bytes);
    fclose(file);
    free(jpeg);
    /* One picture becomes the file that was asked for. */
    static const char *const names[] = {"b.jpg", "b.png", "b.JPEG"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(command, sizeof command, "%s/det-detect data/vehicles.det %s --output %s/%s",
                 bin(), path, folder, names[i]);
        assert_int_equal(on_terminal(80, command), 0);
        assert_null(strstr(seen, "\"image\""));
        snprintf(command, sizeof command, "%s/%s", folder, names[i]);
        char *made = test_read_bytes(command, &bytes);
        assert_true(bytes > 100);
        assert_memory_equal(made, i == 1 ? "\x89PNG" : "\xff\xd8", 2);
        free(made);
    }
    /* Into a pipe the lines go as well. */
    static char out[100000];
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect data/vehicles.det %s --output %s/b.jpg 2>/dev/null", path,
                              folder),
                     0);
    assert_contains(out, "{\"image\":");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect data/vehicles.det %s %s --output %s/b.jpg", path, path,
                              folder),
                     1);
    assert_contains(out, "is one picture, but there are 0 videos and 2 images");
    assert_int_equal(run_tool(out, sizeof out, "det-detect data/vehicles.det %s --output %s/b.bmp",
                              path, folder),
                     1);
    assert_contains(out, "an annotated picture is a .jpg or a .png");
    assert_int_equal(
        run_tool(out, sizeof out, "det-detect data/vehicles.det %s --output %s", path, path), 1);
    assert_contains(out, "is an input, which would be overwritten");
    test_remove_tree(folder);
}

static void pages_of_help_fit(void **state)
{
    (void)state;
    static const char *const tools[] = {"train", "eval", "detect", "export",
                                        "data",  "info", "bench",  "plot"};
    char command[300];
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
        for (int columns = 40; columns <= 160; columns += 40) {
            snprintf(command, sizeof command, "%s/det-%s --help", bin(), tools[i]);
            assert_int_equal(on_terminal(columns, command), 0);
            assert_contains(seen, "--version");
            for (char *line = strtok(seen, "\r\n"); line != NULL; line = strtok(NULL, "\r\n"))
                if (strlen(line) > (size_t)columns && strrchr(line, ' ') > line + 7)
                    fail_msg("det-%s, %d columns: %s", tools[i], columns, line);
        }
}

int test_terminal(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_fits),
        cmocka_unit_test(the_width_may_change),
        cmocka_unit_test(wide_names_fit),
        cmocka_unit_test(a_log_is_a_log),
        cmocka_unit_test(dumb_terminals_and_colours),
        cmocka_unit_test(pictures_are_looked_at),
        cmocka_unit_test(pages_of_help_fit),
    };
    return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
