/* MPI as it is: the transport of det-mpi.so under mpirun, and what is known of whoever started a
 * process. */
#include "base/launched.h"
#include "det/communicator.h"
#include "support/mpi_ranks.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static char out[20000];

/* --- who started us --- */

static const char *const variables[] = {
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "PMI_SIZE",
    "MPI_LOCALNRANKS",
    "PMIX_RANK",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_NTASKS",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_STEP_TASKS_PER_NODE",
};
enum { VARIABLES = sizeof variables / sizeof *variables };

/* As they were, for the tests behind this one. */
static void keep(char *kept[VARIABLES])
{
    for (int i = 0; i < VARIABLES; i++) {
        const char *value = getenv(variables[i]);
        kept[i] = value != NULL ? strdup(value) : NULL;
        unsetenv(variables[i]);
    }
}

static void put_back(char *kept[VARIABLES])
{
    for (int i = 0; i < VARIABLES; i++) {
        if (kept[i] != NULL)
            setenv(variables[i], kept[i], 1);
        free(kept[i]);
    }
}

static void the_environment_says_how_many_were_started(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *set[10]; /* name, value, ... */
        int32_t all, here;
    } cases[] = {
        {"alone", {NULL}, 1, 1},
        {"Open MPI",
         {"OMPI_COMM_WORLD_SIZE", "6", "OMPI_COMM_WORLD_LOCAL_SIZE", "2", "PMIX_RANK", "3"},
         6,
         2},
        {"MPICH", {"PMI_SIZE", "4", "MPI_LOCALNRANKS", "4"}, 4, 4},
        {"srun --mpi=pmi2",
         {"PMI_SIZE", "8", "SLURM_NTASKS", "8", "SLURM_STEP_TASKS_PER_NODE", "4(x2)"},
         8,
         4},
        {"srun --mpi=pmix",
         {"PMIX_RANK", "0", "SLURM_STEP_NUM_TASKS", "3", "SLURM_NTASKS", "9",
          "SLURM_STEP_TASKS_PER_NODE", "2,1"},
         3,
         2},
        {"srun --mpi=pmix --ntasks-per-node",
         {"PMIX_RANK", "0", "SLURM_NTASKS", "4", "SLURM_NTASKS_PER_NODE", "2"},
         4,
         2},
        {"a batch script, which is no rank",
         {"SLURM_NTASKS", "16", "SLURM_NTASKS_PER_NODE", "8"},
         1,
         1},
        {"one rank of mpirun", {"OMPI_COMM_WORLD_SIZE", "1", "PMIX_RANK", "0"}, 1, 1},
        {"nobody says where", {"PMI_SIZE", "5"}, 5, 1},
        {"no numbers", {"OMPI_COMM_WORLD_SIZE", "", "PMI_SIZE", "many"}, 1, 1},
        {"less than one", {"OMPI_COMM_WORLD_SIZE", "-4"}, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *kept[VARIABLES];
        keep(kept);
        for (size_t k = 0; cases[i].set[k] != NULL; k += 2)
            assert_int_equal(setenv(cases[i].set[k], cases[i].set[k + 1], 1), 0);
        const int32_t all = det_launched_ranks(), here = det_launched_as().here;
        for (int k = 0; k < VARIABLES; k++)
            unsetenv(variables[k]);
        put_back(kept);
        if (all != cases[i].all || here != cases[i].here)
            fail_msg("%s: %d ranks, %d here, expected %d and %d", cases[i].what, (int)all,
                     (int)here, (int)cases[i].all, (int)cases[i].here);
    }
}

/* --- det-mpi.so --- */

static void it_says_which_mpi_it_is_of(void **state)
{
    (void)state;
    char line[200];
    const char *mpi = det_mpi_library();
    assert_int_equal(run_tool(out, sizeof out, "det-info"), 0);
    if (mpi == NULL) {
        assert_contains(out, "several machines: no MPI\n");
        return;
    }
    /* A name and a version. */
    assert_true(strcspn(mpi, "0123456789") < strlen(mpi));
    snprintf(line, sizeof line, "several machines: %s\n", mpi);
    assert_contains(out, line);
}

static void ranks_get_each_others_bytes(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 4, 8};
    if (!has_mpi())
        skip();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char line[200];
        const int status = run_ranks(out, sizeof out, sizes[i], "rank-transfers");
        if (status != 0)
            fail_msg("%d ranks: status %d:\n%s", sizes[i], status, out);
        snprintf(line, sizeof line, "%d ranks over %s, %d here\n", sizes[i], det_mpi_library(),
                 sizes[i]);
        assert_contains(out, line);
    }
}

static void an_mpi_of_the_programs_own_is_left_to_it(void **state)
{
    (void)state;
    static const char *const commands[] = {"rank-own-mpi", "rank-own-mpi single"};
    if (!has_mpi())
        skip();
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const int status = run_ranks(out, sizeof out, 3, "%s", commands[i]);
        if (status != 0)
            fail_msg("%s: status %d:\n%s", commands[i], status, out);
    }
}

/* With the mpirun of another MPI each would be a world of its own, and each write the files. */
static void an_mpirun_of_another_mpi_is_noticed(void **state)
{
    (void)state;
    if (!has_mpi())
        skip();
    const bool open_mpi = strncmp(det_mpi_library(), "Open MPI", 8) == 0;
    char *kept[VARIABLES];
    keep(kept);
    setenv(open_mpi ? "PMI_SIZE" : "OMPI_COMM_WORLD_SIZE", "3", 1);
    const int status = run_tool(out, sizeof out, "rank-transfers");
    unsetenv(open_mpi ? "PMI_SIZE" : "OMPI_COMM_WORLD_SIZE");
    put_back(kept);
    assert_int_equal(status, 1);
    assert_contains(out, "started as one of 3 ranks, but ");
    assert_contains(out, " knows of this one alone");
}

/* As under srun, mpirun does not mind a rank that ends well before it came to MPI. */
static void who_never_comes_is_not_waited_for(void **state)
{
    (void)state;
    const char *folder = getenv("DET_BIN_DIR");
    struct workspace w;
    if (!has_mpi())
        skip();
    workspace_make(&w, "mpi_absent");
    const int status =
        run_ranks(out, sizeof out, 2,
                  "../../../tests/ranks/absent.sh 1 %s/det-train --pipeline_config_path "
                  "%s --model_dir %s --meeting_seconds 4",
                  folder != NULL ? folder : "build/release/bin", w.config, w.model_dir);
    assert_int_equal(status, 1);
    assert_contains(out, "det-train: rank 0 on ");
    assert_contains(out, " is here, but within 4 seconds not all of the 2 ranks have come: ");
    workspace_remove(&w);
}

static void the_example_trains(void **state)
{
    (void)state;
    struct workspace w;
    if (!has_mpi())
        skip();
    workspace_make(&w, "mpi_example");
    if (run_ranks(out, sizeof out, 2, "../examples/train_ranks %s %s 10", w.config, w.model_dir) !=
        0)
        fail_msg("%s", out);
    assert_contains(out, "step 10 of 10: loss ");
    assert_contains(out, " of the step waiting for other ranks");
    workspace_remove(&w);
}

int test_mpi(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_trains),
        cmocka_unit_test(who_never_comes_is_not_waited_for),
        cmocka_unit_test(the_environment_says_how_many_were_started),
        cmocka_unit_test(it_says_which_mpi_it_is_of),
        cmocka_unit_test(ranks_get_each_others_bytes),
        cmocka_unit_test(an_mpi_of_the_programs_own_is_left_to_it),
        cmocka_unit_test(an_mpirun_of_another_mpi_is_noticed),
    };
    return cmocka_run_group_tests_name("mpi", tests, NULL, NULL);
}
