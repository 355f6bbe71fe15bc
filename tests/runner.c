/* The one test runner: every group, or those whose name contains one of the arguments; =NAME is the
 * group of exactly that name, --list prints all names. Groups run side by side, each in a process
 * of its own (tests/support/groups.h), as many at once as there are processors; -j N says how many,
 * with -j 1, or when there is only one group, they run in this process.
 *
 * Ends with the groups that took longest, those that failed and 'N passed, N failed' over all
 * groups; cmocka prints each group's own totals. */
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "support/groups.h"
#include "support/test.h"

enum { MOST_JOBS = 1024, SLOWEST = 8 };

static struct test_group groups[] = {
#define X(group) {.name = #group, .run = group},
#include "test_groups.inc"
#undef X
};

/* What takes long begins first, or all would wait for it in the end; the longest first. */
static const char *const begin_first[] = {"test_gpu_check",
                                          "test_trained_in_8_bits",
                                          "test_export_tf_checkpoint",
                                          "test_tf_resume",
                                          "test_export_tflite_q8",
                                          "test_review",
                                          "test_spec",
                                          "test_ranks_faults",
                                          "test_recalibration",
                                          "test_video",
                                          "test_tool_outputs",
                                          "test_training",
                                          "test_export_onnx_eight_bits",
                                          "test_trainer_ranks",
                                          "test_quantisation",
                                          "test_trainer_eval",
                                          "test_cuda_ranks",
                                          "test_cuda_goldens",
                                          "test_cuda_q8_net",
                                          "test_cuda_rounding",
                                          "test_cuda_picture_steps",
                                          "test_cuda_postprocess",
                                          "test_cuda_step",
                                          "test_cuda_jobs"};

/* The last, with nothing beside them. On a busy machine FFmpeg's threads may hand a picture over
 * before it is known that its end is missing, and mpirun may end a rank, whose host it cannot reach
 * any more, before the rank has said what it lost. */
static const char *const alone[] = {"test_video_times", "test_ranks_hosts"};

struct choice {
    char **words;
    int count;
    size_t jobs;
};

static bool is_chosen(const char *name, const struct choice *choice)
{
    for (int i = 0; i < choice->count; i++) {
        const char *word = choice->words[i];
        if (word[0] == '=' ? strcmp(name, word + 1) == 0 : strstr(name, word) != NULL)
            return true;
    }
    return choice->count == 0;
}

/* The chosen groups to the front; returns how many they are. */
static size_t choose(const struct choice *choice)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (is_chosen(groups[i].name, choice))
            groups[count++] = groups[i];
    return count;
}

/* Those of `count` groups that `names` has go before the others, in its order; returns how many. */
static size_t to_the_front(struct test_group *all, size_t count, const char *const *names,
                           size_t name_count)
{
    size_t first = 0;
    for (size_t k = 0; k < name_count; k++)
        for (size_t i = first; i < count; i++)
            if (strcmp(all[i].name, names[k]) == 0) {
                const struct test_group group = all[i];
                all[i] = all[first];
                all[first++] = group;
            }
    return first;
}

static void run_side_by_side(size_t count, size_t jobs)
{
    const size_t single = to_the_front(groups, count, alone, sizeof alone / sizeof alone[0]);
    to_the_front(groups + single, count - single, begin_first,
                 sizeof begin_first / sizeof begin_first[0]);
    test_groups_run_side_by_side(groups + single, count - single, jobs);
    test_groups_run_side_by_side(groups, single, 1);
}

static int slower(const void *a, const void *b)
{
    const double x = ((const struct test_group *)a)->seconds;
    const double y = ((const struct test_group *)b)->seconds;
    return (x < y) - (x > y);
}

/* Returns how many failed. */
static int report(size_t count)
{
    int failed = 0;
    qsort(groups, count, sizeof groups[0], slower);
    for (size_t i = 0; i < count; i++)
        failed += groups[i].failed;
    printf("took longest:");
    for (size_t i = 0; i < count && i < SLOWEST; i++)
        printf(" %s %.1f s%s", groups[i].name, groups[i].seconds,
               i + 1 < count && i + 1 < SLOWEST ? "," : "\n");
    for (size_t i = 0; i < count; i++)
        if (groups[i].failed)
            printf("failed: %s\n", groups[i].name);
    printf("test groups: %d passed, %d failed\n", (int)count - failed, failed);
    return failed;
}

int main(int argc, char **argv)
{
    struct choice choice = {argv + 1, argc - 1, (size_t)det_processors()};
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
            puts(groups[i].name);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "-j") == 0) {
        const int jobs = argc > 2 ? atoi(argv[2]) : 0;
        if (jobs < 1 || jobs > MOST_JOBS) {
            fprintf(stderr, "-j %s: expected 1 to %d\n", argc > 2 ? argv[2] : "", MOST_JOBS);
            return 2;
        }
        choice = (struct choice){argv + 3, argc - 3, (size_t)jobs};
    }
    /* What "auto" means must not depend on the machine's GPU; tests of CUDA name their device. */
    setenv("DET_DEVICE", "cpu", 0);
    const size_t count = choose(&choice);
    if (count < 2 || choice.jobs == 1)
        test_groups_run(groups, count);
    else
        run_side_by_side(count, choice.jobs);
    return report(count) != 0 || count == 0;
}
