/* Batch norms' statistics of batches by the CUDA backend against the CPU's, also beside a training
 * step that is being fed. */
#include <math.h>

#include "cuda/support/tiny.h"
#include "devices/cuda/cuda_fit.h"
#include "model/net_plan.h"
#include "support/formula.h"
#include "support/mem.h"

/* Root mean square of what the differences change in a normalised value, over all channels of the
 * batch norms of at least `rows` pixels: the statistics of a few are chaotic in so small a
 * network. */
static void compare(const struct tiny *tiny, const struct det_measurer *gpu,
                    const struct det_measurer *cpu, int64_t rows, double bound)
{
    const struct det_graph *graph = &tiny->cpu->graph;
    double off = 0, whole = 0;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        const float *means[2], *variances[2];
        if (op->kind != DET_OP_BATCH_NORM || det_net_rows(graph, op->out, TINY_BATCH) < rows)
            continue;
        tiny->backend->measurer_statistics(gpu, i, &means[0], &variances[0]);
        det_backend_cpu()->measurer_statistics(cpu, i, &means[1], &variances[1]);
        for (int32_t c = 0; c < graph->tensors[op->out].channels; c++) {
            const double deviation = sqrt((double)variances[1][c] + (double)op->epsilon);
            const double mean = ((double)means[0][c] - (double)means[1][c]) / deviation;
            const double spread =
                sqrt((double)variances[0][c] + (double)op->epsilon) / deviation - 1;
            off += mean * mean + spread * spread;
            whole += 1;
        }
    }
    if (!(sqrt(off / whole) <= bound))
        fail_msg("statistics are %.3g off in the mean, allowed %.3g", sqrt(off / whole), bound);
}

/* Other pictures than the first batch's. */
static float *more_images(void)
{
    const size_t image = (size_t)TINY_SIDE * TINY_SIDE * 3;
    float *images = malloc(TINY_BATCH * image * sizeof *images);
    assert_non_null(images);
    for (int32_t n = 0; n < TINY_BATCH; n++)
        formula_image(10 + n, TINY_SIDE, TINY_SIDE, images + (size_t)n * image);
    return images;
}

static void agrees_at(enum det_precision precision, int64_t rows, double bound)
{
    struct tiny tiny;
    tiny_open(&tiny, &(struct tiny_settings){.device = {.precision = precision}});
    struct det_measurer *gpu = NULL, *cpu = NULL;
    float *second = more_images();
    assert_ok(tiny.env, tiny.backend->measurer_create(tiny.env, tiny.device, &tiny.gpu->graph,
                                                      tiny.gpu->params, TINY_BATCH, NULL, &gpu));
    assert_ok(tiny.env,
              det_backend_cpu()->measurer_create(tiny.env, tiny.cpu_device, &tiny.cpu->graph,
                                                 tiny.cpu->params, TINY_BATCH, NULL, &cpu));
    for (int run = 0; run < 3; run++) {
        const float *images = run == 1 ? second : tiny.images;
        assert_ok(tiny.env,
                  tiny.backend->measurer_run(tiny.env, gpu, images, TINY_SIDE, TINY_SIDE));
        assert_ok(tiny.env,
                  det_backend_cpu()->measurer_run(tiny.env, cpu, images, TINY_SIDE, TINY_SIDE));
        compare(&tiny, gpu, cpu, rows, bound);
    }
    tiny.backend->measurer_destroy(tiny.env, &gpu);
    det_backend_cpu()->measurer_destroy(tiny.env, &cpu);
    assert_null(gpu);
    free(second);
    tiny_close(&tiny);
}

static void statistics_agree(void **state)
{
    (void)state;
    agrees_at(DET_PRECISION_F32, 0, 1e-3);
}

static void statistics_agree_in_bf16(void **state)
{
    (void)state;
    agrees_at(DET_PRECISION_BF16, 800, 0.02);
}

/* A step, the statistics while the next batch is staged already, the next step: as without them. */
static void a_step_is_not_disturbed(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result with, without, first;
    struct det_measurer *gpu = NULL;
    tiny_open(&tiny, &(struct tiny_settings){.device.deterministic = true});
    float *second = more_images();
    struct det_env *env = tiny.env;
    for (int round = 0; round < 2; round++) {
        tiny_follow(&tiny);
        assert_ok(env, det_learner_stage(env, tiny.gpu, tiny.images, tiny.truths));
        assert_ok(env, det_learner_begin(env, tiny.gpu, 0.01f));
        assert_ok(env, det_learner_stage(env, tiny.gpu, second, tiny.truths));
        assert_ok(env, det_learner_end(env, tiny.gpu, &first));
        if (round == 0) {
            assert_ok(env, tiny.backend->measurer_create(env, tiny.device, &tiny.gpu->graph,
                                                         tiny.gpu->params, TINY_BATCH,
                                                         tiny.gpu->step, &gpu));
            assert_ok(env, tiny.backend->measurer_run(env, gpu, tiny.images, TINY_SIDE, TINY_SIDE));
            tiny.backend->measurer_destroy(env, &gpu);
        }
        assert_ok(env, det_learner_begin(env, tiny.gpu, 0.01f));
        assert_ok(env, det_learner_end(env, tiny.gpu, round == 0 ? &with : &without));
    }
    assert_true(with.total_loss == without.total_loss);
    assert_true(with.gradient_norm == without.gradient_norm);
    free(second);
    tiny_close(&tiny);
}

static void misuse_is_said(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_measurer *gpu = NULL;
    tiny_open(&tiny, &(struct tiny_settings){0});
    assert_ok(tiny.env, tiny.backend->measurer_create(tiny.env, tiny.device, &tiny.gpu->graph,
                                                      tiny.gpu->params, TINY_BATCH, NULL, &gpu));
    assert_fails(tiny.env, DET_STATUS_INVALID_ARGUMENT, "images of 81 x 80, expected up to 80 x 80",
                 tiny.backend->measurer_run(tiny.env, gpu, tiny.images, TINY_SIDE + 1, TINY_SIDE));
    tiny.backend->measurer_destroy(tiny.env, &gpu);
    tiny_close(&tiny);
}

#ifdef DET_CUDA_EMU

static void each_device_allocation_fails(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_measurer *gpu = NULL;
    tiny_open(&tiny, &(struct tiny_settings){0});
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    long failures = 0;
    for (long n = 1;; n++, failures++) {
        cuda_emu_fail_at(n);
        const det_status status = tiny.backend->measurer_create(
            tiny.env, tiny.device, &tiny.gpu->graph, tiny.gpu->params, TINY_BATCH, NULL, &gpu);
        cuda_emu_fail_at(0);
        if (status == DET_OK)
            break;
        assert_true(status == DET_STATUS_OUT_OF_MEMORY || status == DET_STATUS_DEVICE);
        assert_null(gpu);
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.live_device_blocks, before.live_device_blocks);
        assert_int_equal(after.live_pinned_blocks, before.live_pinned_blocks);
    }
    assert_true(failures >= 2);
    tiny.backend->measurer_destroy(tiny.env, &gpu);
    cuda_emu_set_memory(DET_CUDA_MARGIN + (32 << 20));
    assert_fails(tiny.env, DET_STATUS_OUT_OF_MEMORY, "largest batch size that fits is",
                 tiny.backend->measurer_create(tiny.env, tiny.device, &tiny.gpu->graph,
                                               tiny.gpu->params, 64, NULL, &gpu));
    cuda_emu_set_memory(0);
    tiny_close(&tiny);
}

#endif

int test_cuda_measurer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_agree),
        cmocka_unit_test(statistics_agree_in_bf16),
        cmocka_unit_test(a_step_is_not_disturbed),
        cmocka_unit_test(misuse_is_said),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(each_device_allocation_fails),
#endif
    };
    return cmocka_run_group_tests_name("cuda_measurer", tests, NULL, NULL);
}
