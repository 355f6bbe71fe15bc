/* Several ranks on CUDA, each a process with a GPU of its own: they learn as the CPU alone does
 * from all their batches, and what goes wrong on one is told to all. */
#include <math.h>
#include <signal.h>
#include <unistd.h>

#include "base/launched.h"
#include "cuda/support/device.h"
#include "cuda/support/ranks.h"
#include "devices/cuda/cuda_buckets.h"
#include "devices/cuda/cuda_device.h"
#include "devices/cuda/cuda_tables.h"

enum { STEPS = 4 };

/* How far CUDA may be from the CPU, as in test_cuda_step.c. */
struct bounds {
    double losses, norm, params, slots, moving;
};
static const struct bounds exact = {1e-5, 5e-5, 1e-6, 5e-4, 1e-6};
static const struct bounds near = {1e-5, 1e-2, 1e-4, 3e-2, 5e-5};
/* Gradients of eight bits of mantissa. */
static const struct bounds rough = {1e-4, 1e-2, 1e-4, 2e-2, 1e-6};

/* The CPU learns from the batches of all ranks, CUDA from this one's. */
static void step(struct tiny *tiny, struct det_communicator *c, int32_t first,
                 struct det_step_result *cpu, struct det_step_result *gpu)
{
    const int32_t size = det_communicator_size(c);
    for (int32_t r = 0; r < size; r++) {
        tiny_turn(tiny, first + r);
        assert_ok(tiny->env,
                  det_learner_step(tiny->env, tiny->cpu, tiny->images, tiny->truths, 0.01f, cpu));
    }
    tiny_turn(tiny, first + det_communicator_rank(c));
    assert_ok(tiny->env,
              det_learner_step(tiny->env, tiny->gpu, tiny->images, tiny->truths, 0.01f, gpu));
}

static void agree(struct det_communicator *c, struct tiny_settings settings, struct bounds bounds)
{
    struct tiny tiny;
    settings.communicator = c;
    settings.device.index = -1;
    const int32_t batches = settings.accumulate > 1 ? settings.accumulate : 1;
    tiny_open(&tiny, &settings);
    assert_int_equal(tiny.device->index, det_communicator_rank(c));
    for (int i = 0; i < STEPS; i++) {
        struct det_step_result cpu, gpu;
        for (int32_t m = 0; m < batches; m++)
            step(&tiny, c, (i * batches + m) * det_communicator_size(c) % 4, &cpu, &gpu);
        tiny_compare_results(&cpu, &gpu, bounds.losses, bounds.norm);
        tiny_compare_params(&tiny, bounds.params, bounds.slots);
        tiny_compare_moving(&tiny, bounds.moving);
        ranks_assert_same(&tiny, c, tiny.gpu->params, tiny.gpu->graph.param_floats * sizeof(float));
        ranks_assert_same_figures(&tiny, c, &gpu);
        if (!settings.freeze_batchnorm)
            tiny_follow(&tiny);
    }
    ranks_finish(&tiny);
}

/* --- parts of a rank --- */

static void frozen(struct det_communicator *c)
{
    ranks_machine(det_communicator_size(c));
    agree(c, (struct tiny_settings){.freeze_batchnorm = true, .clip_norm = 0.5f}, exact);
    agree(c,
          (struct tiny_settings){
              .freeze_batchnorm = true, .average_decay = 0.3f, .device.no_graph = true},
          exact);
}

/* Moving statistics, too; several batches an update. */
static void statistics(struct det_communicator *c)
{
    ranks_machine(det_communicator_size(c));
    agree(c, (struct tiny_settings){0}, near);
    agree(c, (struct tiny_settings){.accumulate = 2}, near);
}

static void bf16_wire(struct det_communicator *c)
{
    ranks_machine(det_communicator_size(c));
    agree(c, (struct tiny_settings){.freeze_batchnorm = true, .bf16_gradients = true}, rough);
}

/* A loss of one rank, and then the gradients of one, are not finite: nothing is learned, all say
 * the same, and go on. */
static void not_finite(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    const int32_t rank = det_communicator_rank(c), bad = det_communicator_size(c) - 1;
    char wanted[128];
    ranks_machine(det_communicator_size(c));
    tiny_open(&tiny, &(struct tiny_settings){.communicator = c, .device.index = -1});
    const size_t bytes = tiny.gpu->graph.param_floats * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    snprintf(wanted, sizeof wanted, "rank %d on %s: the loss is ", (int)bad,
             det_communicator_host(c, bad));
    for (int i = 0; i < 3; i++) {
        memcpy(before, tiny.gpu->params, bytes);
        tiny_turn(&tiny, rank);
        if (rank == bad)
            tiny.images[5] = NAN;
        assert_fails(tiny.env, DET_STATUS_NON_FINITE, wanted,
                     det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &gpu));
        assert_int_equal(det_ranks_failed_rank(c), bad);
        assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.gpu->step));
        assert_memory_equal(before, tiny.gpu->params, bytes);
        step(&tiny, c, 0, &cpu, &gpu);
        tiny_compare_results(&cpu, &gpu, near.losses, near.norm);
        tiny_compare_params(&tiny, near.params, near.slots);
        tiny_compare_moving(&tiny, near.moving);
        tiny_follow(&tiny);
    }
    free(before);
    ranks_finish(&tiny);
}

/* A step that does not come to its end since `hit`: the weights are those of the last whole one. */
static void lose(struct det_communicator *c, void (*hit)(struct det_communicator *c),
                 const char *wanted)
{
    struct tiny tiny;
    struct det_step_result result;
    ranks_machine(det_communicator_size(c));
    tiny_open(&tiny, &(struct tiny_settings){.communicator = c, .device.index = -1});
    for (int i = 0; i < 3; i++)
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    const size_t bytes = tiny.gpu->graph.param_floats * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.gpu->step));
    memcpy(before, tiny.gpu->params, bytes);
    hit(c);
    assert_fails(tiny.env, DET_STATUS_RANK_LOST, wanted,
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.gpu->step));
    assert_memory_equal(before, tiny.gpu->params, bytes);
    free(before);
    assert_int_not_equal(
        det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result), DET_OK);
    ranks_finish(&tiny);
}

static void kill_last(struct det_communicator *c)
{
    if (det_communicator_rank(c) == det_communicator_size(c) - 1)
        raise(SIGKILL);
}

/* The last rank is killed between two steps, or in the middle of one. */
static void lost(struct det_communicator *c)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "rank %d ", (int)det_communicator_size(c) - 1);
    lose(c, kill_last, wanted);
}

#ifdef DET_CUDA_EMU

/* The last rank is killed when its device has done its part and it has not said so yet: the others
 * have learned, and the step counts for them. */
static void lost_late(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result result;
    const int32_t rank = det_communicator_rank(c), bad = det_communicator_size(c) - 1;
    ranks_machine(det_communicator_size(c));
    tiny_open(&tiny, &(struct tiny_settings){.communicator = c, .device.index = -1});
    const size_t bytes = tiny.gpu->graph.param_floats * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, tiny.gpu->params, bytes);
    assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    assert_ok(tiny.env, det_learner_begin(tiny.env, tiny.gpu, 0.01f));
    if (rank == bad) {
        assert_cuda(cudaDeviceSynchronize());
        raise(SIGKILL);
    }
    assert_ok(tiny.env, det_learner_end(tiny.env, tiny.gpu, &result));
    assert_true(result.total_loss > 0);
    assert_int_equal(tiny.gpu->updates, 1);
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.gpu->step));
    assert_memory_not_equal(before, tiny.gpu->params, bytes);
    memcpy(before, tiny.gpu->params, bytes);
    assert_int_equal(det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result),
                     DET_STATUS_RANK_LOST);
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.gpu->step));
    assert_memory_equal(before, tiny.gpu->params, bytes);
    free(before);
    ranks_finish(&tiny);
}

/* NCCL that is too old to be recorded is called step by step, a newer one is recorded. */
static void recording(struct det_communicator *c)
{
    ranks_machine(det_communicator_size(c));
    const struct cuda_emu_counts begin = cuda_emu_read_counts();
    agree(c, (struct tiny_settings){.freeze_batchnorm = true}, exact);
    const struct cuda_emu_counts recorded = cuda_emu_read_counts();
    assert_int_equal(recorded.captures - begin.captures, 1);
    assert_int_equal(recorded.graph_launches - begin.graph_launches, STEPS - 1);
    cuda_emu_set_nccl(20804);
    agree(c, (struct tiny_settings){.freeze_batchnorm = true}, exact);
    assert_int_equal(cuda_emu_read_counts().captures, recorded.captures);
}

/* A learner that no rank gets. */
static void refuse(struct det_communicator *c, const struct det_learner_settings *learning,
                   int32_t index, det_status wanted, const char *text)
{
    struct test_env t;
    struct det_model_spec spec;
    struct det_device *device = NULL;
    struct det_learner *learner = NULL;
    const struct det_backend *cuda = det_backend_cuda();
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    test_env_init(&t);
    tiny_spec(&spec);
    assert_ok(&t.env,
              cuda->device_open(&t.env, &(struct det_device_settings){.index = index}, &device));
    struct det_learner_settings settings = *learning;
    settings.batch_size = TINY_BATCH;
    settings.communicator = c;
    assert_fails(&t.env, wanted, text,
                 det_learner_create(&t.env, &spec, &settings, cuda, device, 7, &learner));
    assert_null(learner);
    cuda->device_close(&t.env, &device);
    test_env_check(&t);
    const struct cuda_emu_counts after = cuda_emu_read_counts();
    assert_int_equal(after.live_streams, before.live_streams);
    assert_int_equal(after.live_events, before.live_events);
    assert_int_equal(after.live_handles, before.live_handles);
    assert_int_equal(after.live_device_blocks, before.live_device_blocks);
}

/* What one rank lacks is said by all. */
static void refused(struct det_communicator *c)
{
    const int32_t bad = det_communicator_size(c) - 1;
    const bool is_bad = det_communicator_rank(c) == bad;
    struct det_learner_settings usual, changed;
    char of_bad[64];
    ranks_machine(det_communicator_size(c));
    snprintf(of_bad, sizeof of_bad, "rank %d on ", (int)bad);
    det_learner_settings_default(&usual);
    refuse(c, &usual, 0, DET_STATUS_DEVICE, "ranks 0 and 1 on ");
    refuse(c, &usual, 0, DET_STATUS_DEVICE, "have one GPU, 0000:01:00.0: ");
    cuda_emu_set_nccl(is_bad ? 0 : 22803);
    refuse(c, &usual, -1, DET_STATUS_DEVICE, of_bad);
    refuse(c, &usual, -1, DET_STATUS_DEVICE, "on the CPU ranks need no NCCL: libnccl.so.2 was not");
    cuda_emu_set_nccl(20905);
    changed = usual;
    changed.bf16_gradients = true;
    refuse(c, &changed, -1, DET_STATUS_UNSUPPORTED, "NCCL 2.10 or newer");
    cuda_emu_set_nccl(22803);
    cuda_emu_set_memory(is_bad ? (size_t)64 << 20 : 0);
    refuse(c, &usual, -1, DET_STATUS_OUT_OF_MEMORY, of_bad);
    cuda_emu_set_memory(0);
    frozen(c);
}

/* A kernel of one rank traps in the middle of a step. */
static void trapped(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result result;
    const bool bad = det_communicator_rank(c) == det_communicator_size(c) - 1;
    ranks_machine(det_communicator_size(c));
    tiny_open(&tiny, &(struct tiny_settings){.communicator = c, .device.index = -1});
    for (int i = 0; i < 2; i++)
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    if (bad)
        cuda_emu_trap_at(30);
    const det_status status =
        det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result);
    if (status != DET_STATUS_DEVICE && (bad || status != DET_STATUS_RANK_LOST))
        fail_msg("%s: %s", det_status_text(status), tiny.env->error);
    tiny_close(&tiny);
}

/* NCCL says it before anybody else does: who it is is said none the less. */
static void told(struct det_communicator *c)
{
    cuda_emu_nccl_tells(1);
    lost(c);
}

static void cut(struct det_communicator *c)
{
    (void)c;
    cuda_emu_cut_nccl(1);
}

/* All are alive, and what NCCL sends is lost. */
static void stuck(struct det_communicator *c)
{
    lose(c, cut, "nothing has moved between the ranks for 2 seconds");
}

#endif

/* The last rank is killed while nobody waits for it: its others part without it. */
static void lost_idle(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result result;
    ranks_machine(det_communicator_size(c));
    tiny_open(&tiny, &(struct tiny_settings){.communicator = c, .device.index = -1});
    for (int i = 0; i < 3; i++)
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    if (det_communicator_rank(c) == det_communicator_size(c) - 1)
        raise(SIGKILL);
    while (det_ranks_check(tiny.env, c) == DET_OK)
        usleep(1000);
    ranks_finish(&tiny);
}

static const struct process_part parts[] = {
    {.name = "frozen", .run = frozen},
    {.name = "statistics", .run = statistics},
    {.name = "bf16_wire", .run = bf16_wire},
    {.name = "not_finite", .run = not_finite},
    {.name = "lost", .run = lost},
    {.name = "lost_idle", .run = lost_idle},
#ifdef DET_CUDA_EMU
    {.name = "recording", .run = recording},
    {.name = "refused", .run = refused},
    {.name = "trapped", .run = trapped},
    {.name = "told", .run = told},
    {.name = "lost_late", .run = lost_late},
    {.name = "stuck", .run = stuck, .standstill_seconds = 2},
#endif
};

/* --- several GPUs --- */

static void run(const char *part, int32_t size, int32_t lost)
{
    ranks_run("test_cuda_ranks", part, size, lost);
}

static void equals_the_cpu(void **state)
{
    (void)state;
    run("frozen", 2, -1);
    run("frozen", 3, -1);
    run("statistics", 2, -1);
    run("statistics", 3, -1);
    run("bf16_wire", 2, -1);
}

static void bad_numbers(void **state)
{
    (void)state;
    run("not_finite", 2, -1);
    run("not_finite", 3, -1);
}

static void lost_ranks(void **state)
{
    (void)state;
    run("lost", 2, 1);
    run("lost", 3, 2);
    run("lost_idle", 2, 1);
}

#ifdef DET_CUDA_EMU

static void emulated(void **state)
{
    (void)state;
    run("recording", 2, -1);
    run("refused", 2, -1);
    run("trapped", 2, -1);
    run("told", 2, 1);
    run("lost_late", 2, 1);
    run("stuck", 2, -1);
}

/* The GPU that a rank opens before it has met the others: by its place on the machine, as mpirun
 * or srun says it, from there on. */
static void places(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *place;
        int32_t gpus, index;
    } cases[] = {
        {"OMPI_COMM_WORLD_LOCAL_RANK", "2", 3, 2},
        {"OMPI_COMM_WORLD_LOCAL_RANK", "3", 2, 1},
        {"OMPI_COMM_WORLD_LOCAL_RANK", "0", 3, 0},
        {"MPI_LOCALRANKID", "1", 3, 1},
        {"UNRELATED", "2", 3, 0},
    };
    struct test_env t;
    struct det_device *device = NULL;
    const struct det_backend *cuda = det_backend_cuda();
    test_env_init(&t);
    assert_int_equal(det_launched_as().place, 0);
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i].variable, cases[i].place, 1);
        ranks_machine(cases[i].gpus);
        assert_ok(&t.env,
                  cuda->device_open(&t.env, &(struct det_device_settings){.index = -1}, &device));
        assert_int_equal(device->index, cases[i].index);
        cuda->device_close(&t.env, &device);
        unsetenv(cases[i].variable);
    }
    unsetenv("OMPI_COMM_WORLD_SIZE");
    ranks_machine(1);
    test_env_check(&t);
}

#endif

/* --- buckets --- */

static void check_buckets(const struct det_graph *g, const struct det_cuda_buckets *b)
{
    size_t end = g->param_floats;
    int32_t chunks = det_cuda_chunk_count(g);
    for (int32_t i = 0; i < b->count; i++) {
        const struct det_cuda_bucket *k = &b->buckets[i];
        assert_int_equal(k->end, end);
        assert_true(k->begin < k->end && k->end - k->begin <= b->most_floats);
        assert_int_equal(k->first_chunk + k->chunk_count, chunks);
        end = k->begin;
        chunks = k->first_chunk;
        for (int32_t o = 0; o < g->op_count; o++) {
            const struct det_op *op = &g->ops[o];
            const int32_t used[] = {op->weight, op->bias, op->gamma, op->beta};
            for (int u = 0; u < 4; u++)
                if (used[u] >= 0 && g->params[used[u]].trainable &&
                    g->params[used[u]].offset >= k->begin && g->params[used[u]].offset < k->end)
                    assert_true(k->complete_at <= o);
        }
    }
    assert_int_equal(end, 0);
    assert_int_equal(chunks, 0);
}

/* All of the block and of the chunks once, each bucket behind its last gradient; most of them
 * before the end of the backward pass. */
static void buckets(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct det_graph graph;
    test_env_init(&t);
    tiny_spec(&spec);
    assert_ok(&t.env, det_graph_build(&t.env, &spec, false, &graph));
    const size_t sizes[] = {1, 1000, 50000, det_cuda_bucket_floats(&graph), graph.param_floats};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct det_cuda_buckets b;
        assert_ok(&t.env, det_cuda_buckets_create(&t.env, &graph, sizes[i], &b));
        check_buckets(&graph, &b);
        int32_t early = 0;
        for (int32_t k = 0; k < b.count; k++)
            early += b.buckets[k].complete_at > 0;
        assert_true(sizes[i] >= graph.param_floats || (early >= 2 && early * 2 >= b.count));
        det_cuda_buckets_free(&t.env, &b);
    }
    det_graph_free(&t.env, &graph);
    test_env_check(&t);
}

int test_cuda_ranks(void)
{
    int failures;
    if (process_rank(parts, sizeof parts / sizeof *parts, &failures))
        return failures;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),     cmocka_unit_test(equals_the_cpu),
        cmocka_unit_test(bad_numbers), cmocka_unit_test(lost_ranks),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(places),      cmocka_unit_test(emulated),
#endif
    };
    return cmocka_run_group_tests_name("cuda_ranks", tests, NULL, NULL);
}
