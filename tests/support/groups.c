#define _GNU_SOURCE
#include "support/groups.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/clock.h"

void test_groups_run(struct test_group *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double begin = det_clock_seconds();
        const int failures = groups[i].run();
        groups[i].seconds = det_clock_seconds() - begin;
        groups[i].failed = failures != 0;
        if (failures != 0)
            fprintf(stderr, "FAILED GROUP %s: %d\n", groups[i].name, failures);
    }
}

/* --- side by side --- */

/* A place for a process; free while `id` is 0. */
struct place {
    pid_t id;
    int output; /* a file in memory: a group's tools may hold a pipe open for longer than it runs */
    struct test_group *group;
};

static void give_up(const char *what)
{
    fprintf(stderr, "tests: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void start(struct place *place, struct test_group *group)
{
    *place = (struct place){.group = group, .output = memfd_create(group->name, MFD_CLOEXEC)};
    if (place->output < 0)
        give_up("memfd_create");
    fflush(NULL); /* or the new process writes it once more */
    group->seconds = -det_clock_seconds();
    place->id = fork();
    if (place->id < 0)
        give_up("fork");
    if (place->id > 0)
        return;
    /* Who ends the runner ends its groups. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(place->output, STDOUT_FILENO) < 0 || dup2(place->output, STDERR_FILENO) < 0)
        _exit(127);
    exit(group->run() != 0); /* not _exit: leaks are looked for, lines counted */
}

static void show_output(int file)
{
    char bytes[65536];
    ssize_t got = 0;
    off_t at = 0;
    for (; (got = pread(file, bytes, sizeof bytes, at)) > 0; at += got)
        fwrite(bytes, 1, (size_t)got, stdout);
}

/* Waits for one of them. */
static void finish_one(struct place *places, size_t jobs)
{
    int status = 0;
    const pid_t id = waitpid(-1, &status, 0);
    if (id < 0)
        give_up("waitpid");
    for (size_t i = 0; i < jobs; i++) {
        struct place *place = &places[i];
        if (place->id != id)
            continue;
        struct test_group *group = place->group;
        group->seconds += det_clock_seconds();
        group->failed = status != 0;
        show_output(place->output);
        if (WIFSIGNALED(status))
            printf("FAILED GROUP %s: ended by signal %d (%s)\n", group->name, WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
        else if (group->failed)
            printf("FAILED GROUP %s: exit status %d\n", group->name, WEXITSTATUS(status));
        fflush(stdout);
        close(place->output);
        place->id = 0;
    }
}

void test_groups_run_side_by_side(struct test_group *groups, size_t count, size_t jobs)
{
    struct place *places = calloc(jobs, sizeof *places);
    if (places == NULL)
        give_up("calloc");
    size_t running = 0;
    for (size_t i = 0; i < count || running > 0;) {
        if (i == count || running == jobs) {
            finish_one(places, jobs);
            running--;
            continue;
        }
        size_t free_place = 0;
        while (places[free_place].id != 0)
            free_place++;
        start(&places[free_place], &groups[i++]);
        running++;
    }
    free(places);
}
