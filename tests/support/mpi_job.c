#include "support/mpi_job.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/training_runs.h"

/* --- starting --- */

void mpi_job_start(struct mpi_job *job, const char *launcher, int ranks, const char *log,
                   const char *format, ...)
{
    static int serial;
    char own[200], arguments[2000], command[3000];
    const char *folder = getenv("DET_BIN_DIR");
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof arguments, format, list);
    va_end(list);
    *job = (struct mpi_job){.ranks = ranks};
    snprintf(job->mark, sizeof job->mark, "DET_TEST_JOB=%ld-%d", (long)getpid(), serial++);
    mpi_launch_words(own, sizeof own, ranks);
    snprintf(command, sizeof command, "%s exec %s %s/%s", mpi_environment,
             launcher != NULL ? launcher : own, folder != NULL ? folder : "build/release/bin",
             arguments);
    /* Emptied before there is anybody to be killed: it must not tell of the job before. */
    const int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
    const int in = open("/dev/null", O_RDONLY);
    assert_true(out >= 0 && in >= 0);
    job->launcher = fork();
    assert_true(job->launcher >= 0);
    if (job->launcher == 0) {
        putenv(job->mark);
        if (setsid() >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(out);
    close(in);
}

/* --- its processes --- */

/* A process's environment, each variable ending with a 0, two behind the last; false: it has
 * ended, or is somebody else's. */
static bool read_environment(const char *pid, char *text, size_t size)
{
    char path[300];
    size_t got = 0;
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    got = fread(text, 1, size - 2, file);
    fclose(file);
    text[got] = text[got + 1] = '\0';
    return got > 0;
}

/* Calls `found` for each process of a job with its rank, -1 for one that is none. */
typedef void (*on_process)(void *user, pid_t pid, int rank);

static void look_at(const struct mpi_job *job, const char *pid, on_process found, void *user)
{
    static char text[1 << 17];
    bool is_ours = false;
    int rank = -1;
    if (!read_environment(pid, text, sizeof text))
        return;
    for (const char *at = text; *at != '\0'; at += strlen(at) + 1) {
        is_ours = is_ours || strcmp(at, job->mark) == 0;
        if (strncmp(at, "OMPI_COMM_WORLD_RANK=", 21) == 0)
            rank = atoi(at + 21);
        else if (strncmp(at, "PMI_RANK=", 9) == 0)
            rank = atoi(at + 9);
    }
    if (is_ours)
        found(user, (pid_t)atol(pid), rank);
}

static void for_each_process(const struct mpi_job *job, on_process found, void *user)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            look_at(job, entry->d_name, found, user);
    closedir(folder);
}

struct census {
    int wanted; /* rank */
    pid_t pid;  /* its */
    int ranks, processes;
};

static void count_process(void *user, pid_t pid, int rank)
{
    struct census *census = user;
    census->processes++;
    census->ranks += rank >= 0;
    if (rank >= 0 && rank == census->wanted)
        census->pid = pid;
}

static struct census look(const struct mpi_job *job, int wanted)
{
    struct census census = {.wanted = wanted};
    for_each_process(job, count_process, &census);
    return census;
}

pid_t mpi_job_rank(const struct mpi_job *job, int rank)
{
    return look(job, rank).pid;
}

int mpi_job_ranks(const struct mpi_job *job)
{
    return look(job, -1).ranks;
}

static void note_launcher(struct mpi_job *job)
{
    int status = 0;
    if (job->ended || waitpid(job->launcher, &status, WNOHANG) != job->launcher)
        return;
    job->ended = true;
    job->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool mpi_job_is_there(struct mpi_job *job)
{
    note_launcher(job);
    return !job->ended || look(job, -1).processes > 0;
}

/* --- waiting --- */

bool mpi_job_wait_for_ranks(struct mpi_job *job, int ranks, double most_seconds)
{
    const double end = now_seconds() + most_seconds;
    while (mpi_job_ranks(job) != ranks) {
        if (now_seconds() > end || (ranks > 0 && !mpi_job_is_there(job)))
            return false;
        sleep_seconds(.02);
    }
    return true;
}

bool mpi_job_wait(struct mpi_job *job, double most_seconds)
{
    const double end = now_seconds() + most_seconds;
    while (mpi_job_is_there(job)) {
        if (now_seconds() > end)
            return false;
        sleep_seconds(.01);
    }
    return true;
}

/* --- the end --- */

/* State letter of a process, '?' when it is not there. */
static char state_of(pid_t pid)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return state;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    fclose(file);
    return state;
}

static void print_process(void *user, pid_t pid, int rank)
{
    (void)user;
    if (rank >= 0)
        print_message("left: rank %d (process %ld, %c)\n", rank, (long)pid, state_of(pid));
    else
        print_message("left: process %ld, %c, no rank\n", (long)pid, state_of(pid));
}

void mpi_job_print(const struct mpi_job *job)
{
    for_each_process(job, print_process, NULL);
}

static void kill_process(void *user, pid_t pid, int rank)
{
    (void)user;
    (void)rank;
    kill(pid, SIGKILL);
}

void mpi_job_end(struct mpi_job *job)
{
    if (job->launcher <= 0) /* none was started */
        return;
    /* Again and again: one that is ended may be starting another. */
    while (mpi_job_is_there(job)) {
        if (!job->ended)
            kill(job->launcher, SIGKILL);
        for_each_process(job, kill_process, NULL);
        sleep_seconds(.01);
    }
}
