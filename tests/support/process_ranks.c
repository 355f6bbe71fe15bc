#define _GNU_SOURCE
#include "support/process_ranks.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/mem.h"

enum { MOST_RANKS = 8, ROOM = 8192 };
/* No rank needs as long: one that hangs ends by a signal. */
enum { MOST_SECONDS = 600 };

#define VARIABLE "DET_TEST_PROCESS_RANK" /* "PART RANK SIZE FILE" */

/* Of a lane: what each rank has brought, the number of its transfer, and up to which it has taken
 * all. */
struct lane {
    atomic_uint_fast64_t brought[MOST_RANKS], taken[MOST_RANKS];
    size_t bytes[MOST_RANKS];
    uint8_t data[MOST_RANKS][ROOM];
};

struct hub {
    atomic_int came; /* all hold their locks */
    struct lane lanes[DET_LANES];
};

struct transfer {
    bool under_way, brought, broadcast;
    enum det_lane lane;
    uint64_t number;
    const void *mine;
    uint8_t *into;
    size_t bytes;
};

struct process_transport {
    struct det_transport transport;
    int file;
    struct hub *hub;
    uint64_t started[DET_LANES];
    struct transfer slots[DET_TRANSPORT_SLOTS];
};

/* Each process holds a lock on its own byte of the file, which is gone with it. */
static struct flock lock_of(int32_t rank)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = rank, .l_len = 1};
}

static bool gone(const struct process_transport *t, int32_t rank)
{
    struct flock lock = lock_of(rank);
    return rank != t->transport.rank && fcntl(t->file, F_GETLK, &lock) == 0 &&
           lock.l_type == F_UNLCK;
}

static det_status start(struct det_env *env, struct det_transport *transport, int slot,
                        struct transfer transfer)
{
    struct process_transport *t = (struct process_transport *)transport;
    if (slot < 0 || slot >= DET_TRANSPORT_SLOTS || t->slots[slot].under_way ||
        transfer.bytes > ROOM)
        return det_fail(env, DET_STATUS_INTERNAL, "slot %d: %zu bytes", slot, transfer.bytes);
    transfer.under_way = true;
    transfer.number = ++t->started[transfer.lane];
    t->slots[slot] = transfer;
    return DET_OK;
}

static det_status start_gather(struct det_env *env, struct det_transport *t, int slot,
                               enum det_lane lane, const void *mine, void *all, size_t bytes)
{
    return start(env, t, slot,
                 (struct transfer){.lane = lane, .mine = mine, .into = all, .bytes = bytes});
}

static det_status start_broadcast(struct det_env *env, struct det_transport *t, int slot,
                                  enum det_lane lane, void *data, size_t bytes)
{
    return start(env, t, slot,
                 (struct transfer){
                     .lane = lane, .broadcast = true, .mine = data, .into = data, .bytes = bytes});
}

static bool all_reached(atomic_uint_fast64_t *numbers, int32_t size, uint64_t number)
{
    bool all = true;
    for (int32_t r = 0; r < size; r++)
        all = all && atomic_load(&numbers[r]) >= number;
    return all;
}

/* What the slot can do now. False: the ranks have come with different transfers. */
static bool move_on(struct process_transport *t, struct transfer *w)
{
    struct lane *lane = &t->hub->lanes[w->lane];
    const int32_t rank = t->transport.rank, size = t->transport.size;
    if (!w->brought && all_reached(lane->taken, size, w->number - 1)) {
        memcpy(lane->data[rank], w->mine, w->bytes);
        lane->bytes[rank] = w->bytes;
        atomic_store(&lane->brought[rank], w->number);
        w->brought = true;
    }
    if (!w->brought || !all_reached(lane->brought, size, w->number))
        return true;
    for (int32_t r = 0; r < size; r++)
        if (lane->bytes[r] != w->bytes)
            return false;
    for (int32_t r = 0; r < size && !w->broadcast; r++)
        memcpy(w->into + (size_t)r * w->bytes, lane->data[r], w->bytes);
    if (w->broadcast)
        memcpy(w->into, lane->data[0], w->bytes);
    atomic_store(&lane->taken[rank], w->number);
    w->under_way = false;
    return true;
}

static det_status test_slot(struct det_env *env, struct det_transport *transport, int slot,
                            bool *done)
{
    struct process_transport *t = (struct process_transport *)transport;
    struct transfer *w = &t->slots[slot];
    const bool was_under_way = w->under_way;
    int32_t lost = -1;
    for (int32_t r = 0; r < transport->size; r++)
        if (gone(t, r))
            lost = r;
    /* What it brought before it went is there. */
    if (was_under_way && !move_on(t, w))
        return det_fail(env, DET_STATUS_INTERNAL, "ranks started different transfers");
    *done = !w->under_way;
    return lost < 0 || (was_under_way && *done)
               ? DET_OK
               : det_fail(env, DET_STATUS_RANK_LOST, "rank %d is gone", (int)lost);
}

static void close_transport(struct det_env *env, struct det_transport **transport, bool orderly)
{
    struct process_transport *t = (struct process_transport *)*transport;
    (void)orderly;
    munmap(t->hub, sizeof *t->hub);
    det_free(env, transport);
}

static const struct det_transport_functions functions = {
    .start_gather = start_gather,
    .start_broadcast = start_broadcast,
    .test = test_slot,
    .close = close_transport,
};

/* --- a rank --- */

static struct {
    const struct process_part *part;
    int32_t rank, size;
    char path[512];
} this_rank;

static struct hub *map(const char *path, int *file)
{
    *file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(*file >= 0);
    void *at = mmap(NULL, sizeof(struct hub), PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
    assert_true(at != MAP_FAILED);
    return at;
}

static struct det_transport *open_transport(struct det_env *env)
{
    struct process_transport *t = NULL;
    assert_ok(env, det_alloc(env, &t, 1, sizeof *t, "process transport"));
    t->transport = (struct det_transport){&functions, this_rank.rank, this_rank.size, "processes"};
    t->hub = map(this_rank.path, &t->file);
    struct flock lock = lock_of(this_rank.rank);
    assert_int_equal(fcntl(t->file, F_SETLK, &lock), 0);
    atomic_fetch_add(&t->hub->came, 1);
    while (atomic_load(&t->hub->came) < this_rank.size)
        usleep(1000);
    return &t->transport;
}

static void run_rank(void **state)
{
    struct test_env t;
    det_communicator *communicator = NULL;
    det_communicator_settings settings;
    (void)state;
    test_env_init(&t);
    det_communicator_settings_default(&settings);
    if (this_rank.part->standstill_seconds > 0)
        settings.standstill_seconds = this_rank.part->standstill_seconds;
    assert_ok(&t.env,
              det_communicator_create(&t.env, open_transport(&t.env), &settings, &communicator));
    this_rank.part->run(communicator);
    det_communicator_close(&communicator);
    test_env_check(&t);
}

bool process_rank(const struct process_part *parts, size_t count, int *failures)
{
    const char *text = getenv(VARIABLE);
    char name[64];
    if (text == NULL)
        return false;
    *failures = 1;
    if (sscanf(text, "%63s %d %d %511s", name, &this_rank.rank, &this_rank.size, this_rank.path) !=
        4)
        return true;
    for (size_t i = 0; i < count; i++)
        if (strcmp(parts[i].name, name) == 0)
            this_rank.part = &parts[i];
    const struct CMUnitTest tests[] = {cmocka_unit_test(run_rank)};
    if (this_rank.part != NULL)
        *failures = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    return true;
}

/* --- all of them --- */

static void make_file(const char *path)
{
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, sizeof(struct hub)), 0);
    close(file);
}

static pid_t begin_rank(const char *group, const char *setting, const char *log)
{
    char argument[128];
    snprintf(argument, sizeof argument, "=%s", group);
    const pid_t child = fork();
    if (child != 0)
        return child;
    const int file = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    setenv(VARIABLE, setting, 1);
    alarm(MOST_SECONDS);
    execl("/proc/self/exe", "ranks", argument, (char *)NULL);
    _exit(127);
}

static bool ended_well(int status, bool lost)
{
    return lost ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                : WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void process_ranks_run(const char *group, const char *part, int32_t size, int32_t lost)
{
    char folder[256], path[400], setting[600], log[MOST_RANKS][400];
    pid_t ranks[MOST_RANKS];
    int status[MOST_RANKS] = {0};
    assert_in_range(size, 1, MOST_RANKS);
    test_make_directory(folder, "process-ranks");
    snprintf(path, sizeof path, "%s/hub", folder);
    make_file(path);
    for (int32_t r = 0; r < size; r++) {
        snprintf(setting, sizeof setting, "%s %d %d %s", part, (int)r, (int)size, path);
        snprintf(log[r], sizeof log[r], "%s/%d", folder, (int)r);
        ranks[r] = begin_rank(group, setting, log[r]);
        assert_true(ranks[r] > 0);
    }
    for (int32_t r = 0; r < size; r++)
        assert_int_equal(waitpid(ranks[r], &status[r], 0), ranks[r]);
    bool well = true;
    for (int32_t r = 0; r < size; r++)
        well = well && ended_well(status[r], r == lost);
    /* One that failed may be the reason why another did. */
    for (int32_t r = 0; r < size && !well; r++) {
        char *text = test_read_text(log[r]);
        print_message("rank %d of %s: status 0x%x\n%s", (int)r, part, (unsigned)status[r], text);
        free(text);
    }
    if (!well)
        fail_msg("%s by %d ranks failed", part, (int)size);
    test_remove_tree(folder);
}
