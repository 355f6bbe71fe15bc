#include "cuda/support/ranks.h"

#include <cuda_runtime_api.h>

void ranks_machine(int32_t gpus)
{
#ifdef DET_CUDA_EMU
    cuda_emu_set_machine(gpus, CUDART_VERSION);
#else
    (void)gpus;
#endif
}

void ranks_finish(struct tiny *tiny)
{
    tiny_close(tiny);
#ifdef DET_CUDA_EMU
    assert_int_equal(cuda_emu_read_counts().reports, 0);
#endif
}

void ranks_assert_same(struct tiny *tiny, struct det_communicator *c, const void *data,
                       size_t bytes)
{
    uint64_t sum = 1469598103934665603U, sums[8];
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ ((const uint8_t *)data)[i]) * 1099511628211U;
    assert_ok(tiny->env, det_ranks_gather(tiny->env, c, &sum, sums, sizeof sum));
    for (int32_t r = 0; r < det_communicator_size(c); r++)
        assert_true(sums[r] == sum);
}

void ranks_assert_same_figures(struct tiny *tiny, struct det_communicator *c,
                               const struct det_step_result *result)
{
    struct det_step_result figures = *result;
    figures.rank_wait_seconds = 0;
    figures.rank_seconds = NULL;
    ranks_assert_same(tiny, c, &figures, sizeof figures);
    const bool timed = result->rank_seconds != NULL;
    ranks_assert_same(tiny, c, &timed, sizeof timed);
    if (timed)
        ranks_assert_same(tiny, c, result->rank_seconds,
                          (size_t)det_communicator_size(c) * sizeof *result->rank_seconds);
}

static int gpus(void)
{
#ifdef DET_CUDA_EMU
    return 8;
#else
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess)
        count = 0;
    return count;
#endif
}

void ranks_run(const char *group, const char *part, int32_t size, int32_t lost)
{
    if (gpus() < size) {
        print_message("skipped: %s by %d ranks: %s\n", part, (int)size,
                      gpus() == 1 ? "one GPU" : "not as many GPUs");
        return;
    }
    process_ranks_run(group, part, size, lost);
}
