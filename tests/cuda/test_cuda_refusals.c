/* A launch, a copy or a library's call that the device refuses: each in turn, of each kernel's
 * function and of whole jobs. Nothing is computed here (cuda_emu_set_dry), so that thousands of
 * jobs take seconds. */
#ifdef DET_CUDA_EMU

#include "bias_act.h"
#include "bn.h"
#include "checksum.h"
#include "cuda/support/device.h"
#include "cuda/support/inference.h"
#include "dwconv.h"
#include "elementwise.h"
#include "filter_layout.h"
#include "im2col.h"
#include "losses.h"
#include "model/input.h"
#include "optimizer.h"
#include "pictures.h"
#include "postprocess.h"
#include "preprocess.h"
#include "q8.h"
#include "support/formula.h"
#include "weight_gradient.h"

/* --- functions of kernels --- */

/* Where nobody looks. */
static char *const nowhere = (char *)(uintptr_t)0x100000;
#define P ((void *)nowhere)

enum { ROWS = 5000, C = 24 };

static struct det_conv_shape shape(int32_t kernel)
{
    return det_conv_same(2, 20, 20, C, C, kernel, 1);
}

static cudaError_t add(enum detk_type t)
{
    return detk_add(0, t, ROWS, P, P, P);
}
static cudaError_t copy(enum detk_type t)
{
    return detk_accumulate(0, t, ROWS, P, P, false);
}
static cudaError_t upsample_add(enum detk_type t)
{
    return detk_upsample_add(0, t, 1, 5, 5, C, 10, 9, P, P, P);
}
static cudaError_t upsample_backward(enum detk_type t)
{
    return detk_upsample_backward(0, t, 1, 5, 5, C, 10, 9, P, P, true);
}
static cudaError_t cast(enum detk_type t)
{
    return t == DETK_F32 ? detk_cast_to_bf16(0, ROWS, P, P) : detk_cast_to_f32(0, ROWS, P, P);
}
static struct detk_levels levels(void)
{
    return (struct detk_levels){
        .levels = 1, .n = 1, .anchors = 10, .width = 4, .values = {40}, .tensor = {P}};
}
static cudaError_t gather(enum detk_type t)
{
    const struct detk_levels l = levels();
    (void)t;
    return detk_gather_levels(0, &l, P);
}
static cudaError_t scatter(enum detk_type t)
{
    const struct detk_levels l = levels();
    return detk_scatter_levels(0, t, &l, P);
}
static cudaError_t check_finite(enum detk_type t)
{
    return detk_check_finite(0, t, ROWS, P, P);
}
static cudaError_t bias_act(enum detk_type t)
{
    return detk_bias_act(0, t, ROWS, C, P, DET_ACTIVATION_RELU6, P);
}
static cudaError_t bn_statistics(enum detk_type t)
{
    return detk_bn_statistics(0, t, ROWS, C, P, P, P, P);
}
static cudaError_t bn_apply(enum detk_type t)
{
    return detk_bn_apply(0, t, ROWS, C, P, P, P, P, P, 1e-3f, DET_ACTIVATION_RELU6, P);
}
static cudaError_t bn_backward(enum detk_type t)
{
    return detk_bn_backward(0, t, ROWS, C, P, P, P, P, P, P, 1e-3f, DET_ACTIVATION_RELU6, P, true,
                            P, P, P);
}
static cudaError_t bn_frozen_backward(enum detk_type t)
{
    return detk_bn_frozen_backward(0, t, ROWS, C, P, P, P, P, P, P, 1e-3f, DET_ACTIVATION_NONE, P,
                                   false, P, P, P);
}
static cudaError_t bn_backward_sums(enum detk_type t)
{
    return detk_bn_backward_sums(0, t, ROWS, C, P, P, P, P, P, P, 1e-3f, DET_ACTIVATION_RELU6, P, P,
                                 P);
}
static cudaError_t bn_backward_rows(enum detk_type t)
{
    return detk_bn_backward_rows(0, t, ROWS, C, P, P, P, P, P, P, 1e-3f, DET_ACTIVATION_RELU6, P, P,
                                 P, true);
}
static cudaError_t bn_join_statistics(enum detk_type t)
{
    (void)t;
    return detk_bn_join_statistics(0, 2, C, P, P, P);
}
static cudaError_t bn_join_sums(enum detk_type t)
{
    (void)t;
    return detk_bn_join_sums(0, 2, C, P, P, P);
}
static cudaError_t bias_backward(enum detk_type t)
{
    return detk_bias_backward(0, t, ROWS, C, P, P, false, P);
}
static cudaError_t bn_moving(enum detk_type t)
{
    (void)t;
    return detk_bn_update_moving(0, P, P, 3, P);
}
static cudaError_t dwconv(enum detk_type t, int32_t kernel, enum detk_load_kind kind)
{
    const struct det_conv_shape s = shape(kernel);
    const struct detk_load load = {kind, P, P, P, P, 1e-3f};
    return detk_dwconv_forward(0, t, &s, P, &load, P, P, DET_ACTIVATION_RELU6, P);
}
static cudaError_t dwconv_3(enum detk_type t)
{
    return dwconv(t, 3, DETK_LOAD_NORM_RELU6);
}
static cudaError_t dwconv_5(enum detk_type t)
{
    return dwconv(t, 5, DETK_LOAD_PLAIN);
}
static cudaError_t dwconv_data(enum detk_type t)
{
    const struct det_conv_shape s = shape(3);
    return detk_dwconv_backward_data(0, t, &s, P, P, P, true);
}
static cudaError_t dwconv_data_5(enum detk_type t)
{
    const struct det_conv_shape s = shape(5);
    return detk_dwconv_backward_data(0, t, &s, P, P, P, false);
}
static cudaError_t dwconv_weight(enum detk_type t)
{
    const struct det_conv_shape s = shape(3);
    const struct detk_load load = {DETK_LOAD_NORM_RELU6, P, P, P, P, 1e-3f};
    return detk_dwconv_backward_weight(0, t, &s, P, &load, P, P, false, P);
}
static cudaError_t dwconv_weight_5(enum detk_type t)
{
    const struct det_conv_shape s = shape(5);
    const struct detk_load load = {DETK_LOAD_PLAIN, P, P, P, P, 1e-3f};
    return detk_dwconv_backward_weight(0, t, &s, P, &load, P, P, true, P);
}
static cudaError_t to_krsc(enum detk_type t)
{
    const struct det_conv_shape s = shape(3);
    return detk_filter_to_krsc(0, t, &s, P, P);
}
static cudaError_t from_krsc(enum detk_type t)
{
    const struct det_conv_shape s = shape(3);
    return detk_filter_from_krsc(0, t, &s, P, P, true);
}
static cudaError_t im2col(enum detk_type t)
{
    const struct det_conv_shape s = shape(3);
    return detk_im2col(0, t, &s, P, P);
}
static cudaError_t col2im(enum detk_type t)
{
    const struct det_conv_shape s = shape(3);
    return detk_col2im(0, t, &s, P, P, true);
}
static cudaError_t weight_gradient(enum detk_type t)
{
    return detk_weight_gradient(0, t, ROWS, C, 16, P, C, P, P, false, P);
}
static cudaError_t image_weight_gradient(enum detk_type t)
{
    const struct det_conv_shape s = det_conv_same(2, 20, 20, 3, C, 3, 2);
    return detk_image_weight_gradient(0, t, &s, P, P, P, true, P);
}
static struct detk_targets targets(void)
{
    return (struct detk_targets){P, P, P, P, P, P, P};
}
static cudaError_t losses(enum detk_type t)
{
    struct det_loss_settings settings;
    const struct detk_targets to = targets();
    (void)t;
    det_loss_settings_default(&settings);
    return detk_losses(0, &settings, 2, 100, 3, &to, 1, P, P, P, P, P, P);
}
static cudaError_t assign(enum detk_type t)
{
    struct det_target_settings settings;
    const struct detk_targets to = targets();
    const struct detk_truths from = {P, P, P, P};
    (void)t;
    det_target_settings_default(&settings);
    return detk_targets_assign(0, &settings, P, 100, 2, 10, &from, &to, P);
}
static cudaError_t targets_join(enum detk_type t)
{
    const struct detk_targets to = targets();
    (void)t;
    return detk_targets_join(0, P, 2, &to);
}
static cudaError_t mean_gradients(enum detk_type t)
{
    (void)t;
    return detk_mean_gradients(0, P, 5, 2, 1, P, P, P, P);
}
static cudaError_t checksum(enum detk_type t)
{
    (void)t;
    return detk_checksum(0, 5000, P, P, P);
}
static cudaError_t gradient_norm(enum detk_type t)
{
    (void)t;
    return detk_gradient_norm(0, P, 5, true, 1, P, P, P, P, P);
}
static cudaError_t accumulate_gradients(enum detk_type t)
{
    (void)t;
    return detk_accumulate_gradients(0, P, 5, 2, 1, P, P, P, P, P, P);
}
static cudaError_t sgd(enum detk_type t)
{
    (void)t;
    return detk_sgd(0, P, 5, 0.9f, P, P, P, P, P);
}
static cudaError_t rmsprop(enum detk_type t)
{
    const struct det_rmsprop settings = {0};
    (void)t;
    return detk_rmsprop(0, P, 5, &settings, P, P, P, P, P, P);
}
static cudaError_t adam(enum detk_type t)
{
    const struct det_adam settings = {0};
    (void)t;
    return detk_adam(0, P, 5, &settings, P, P, P, P, P, P);
}
static cudaError_t average(enum detk_type t)
{
    (void)t;
    return detk_average(0, P, 5, P, P, P, P);
}
static cudaError_t preprocess(enum detk_type t)
{
    return detk_preprocess(0, t, P, 2, 64, 64, P);
}
static cudaError_t pictures(enum detk_type t)
{
    return detk_pictures(0, t, P, 2, 2, 8, 8, 9, 9, P, P);
}
static cudaError_t normalize(enum detk_type t)
{
    return detk_normalize(0, t, P, 2, 60, 60, 64, 64, P);
}
static cudaError_t postprocess(enum detk_type t)
{
    struct det_postprocess_settings settings;
    const struct detk_detections found = {P, P, P, P, P, P};
    (void)t;
    det_postprocess_settings_default(&settings);
    return detk_postprocess(0, &settings, P, 2, 100, 3, P, P, P, &found, P);
}

/* Whichever of its operations is refused, the function says so. */
static const struct detk_q8_scaling q8_scaling = {.bias = NULL};
static const struct det_q8_add q8_sum = {.a_zero = 0};
static cudaError_t q8_finish(enum detk_type t)
{
    const struct detk_q8_addend addend = {
        .b = P, .upsampled = t == DETK_BF16, .h = 5, .w = 5, .out_h = 10, .out_w = 10};
    return detk_q8_finish(0, 0, ROWS, C, C, P, &q8_scaling, &addend, P);
}
static cudaError_t q8_finish_odd(enum detk_type t)
{
    (void)t;
    return detk_q8_finish(0, 0, ROWS, 7, 8, P, &q8_scaling, NULL, P);
}
static cudaError_t q8_dwconv_3(enum detk_type t)
{
    struct det_conv_shape s = shape(3);
    s.stride = 1 + (t == DETK_BF16);
    return detk_q8_dwconv(0, &s, P, 0, P, &q8_scaling, P);
}
static cudaError_t q8_dwconv_5(enum detk_type t)
{
    (void)t;
    const struct det_conv_shape s = shape(5);
    return detk_q8_dwconv(0, &s, P, 0, P, &q8_scaling, P);
}
static cudaError_t q8_add(enum detk_type t)
{
    (void)t;
    return detk_q8_add(0, ROWS, &q8_sum, P, P, P);
}
static cudaError_t q8_upsample_add(enum detk_type t)
{
    return detk_q8_upsample_add(0, 1, 5, 5, t == DETK_F32 ? C : 7, 10, 9, &q8_sum, P, P, P);
}
static cudaError_t q8_narrow(enum detk_type t)
{
    (void)t;
    return detk_q8_narrow(0, ROWS, (struct det_q8_tensor){1, 0}, P, P);
}
static cudaError_t q8_widen(enum detk_type t)
{
    (void)t;
    return detk_q8_widen(0, ROWS, (struct det_q8_tensor){1, 0}, P, P);
}
static cudaError_t q8_im2col(enum detk_type t)
{
    (void)t;
    const struct det_conv_shape s = shape(3);
    return detk_im2col_q8(0, &s, 0, 20, 0, P, P);
}
static cudaError_t q8_preprocess(enum detk_type t)
{
    (void)t;
    return detk_preprocess_q8(0, P, 1, 20, 20, P);
}
static cudaError_t q8_normalize(enum detk_type t)
{
    (void)t;
    return detk_normalize_q8(0, P, 1, 20, 20, 20, 20, P);
}

static void each_function_tells(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        cudaError_t (*run)(enum detk_type type);
    } functions[] = {
#define FUNCTION(name) {#name, name}
        FUNCTION(add),
        FUNCTION(copy),
        FUNCTION(upsample_add),
        FUNCTION(upsample_backward),
        FUNCTION(cast),
        FUNCTION(gather),
        FUNCTION(scatter),
        FUNCTION(check_finite),
        FUNCTION(bias_act),
        FUNCTION(bn_statistics),
        FUNCTION(bn_apply),
        FUNCTION(bn_backward),
        FUNCTION(bn_frozen_backward),
        FUNCTION(bn_backward_sums),
        FUNCTION(bn_backward_rows),
        FUNCTION(bn_join_statistics),
        FUNCTION(bn_join_sums),
        FUNCTION(bias_backward),
        FUNCTION(bn_moving),
        FUNCTION(dwconv_3),
        FUNCTION(dwconv_5),
        FUNCTION(dwconv_data),
        FUNCTION(dwconv_data_5),
        FUNCTION(dwconv_weight),
        FUNCTION(dwconv_weight_5),
        FUNCTION(to_krsc),
        FUNCTION(from_krsc),
        FUNCTION(im2col),
        FUNCTION(col2im),
        FUNCTION(weight_gradient),
        FUNCTION(image_weight_gradient),
        FUNCTION(losses),
        FUNCTION(assign),
        FUNCTION(targets_join),
        FUNCTION(gradient_norm),
        FUNCTION(accumulate_gradients),
        FUNCTION(mean_gradients),
        FUNCTION(checksum),
        FUNCTION(sgd),
        FUNCTION(rmsprop),
        FUNCTION(adam),
        FUNCTION(average),
        FUNCTION(preprocess),
        FUNCTION(normalize),
        FUNCTION(pictures),
        FUNCTION(postprocess),
        FUNCTION(q8_finish),
        FUNCTION(q8_finish_odd),
        FUNCTION(q8_dwconv_3),
        FUNCTION(q8_dwconv_5),
        FUNCTION(q8_add),
        FUNCTION(q8_upsample_add),
        FUNCTION(q8_narrow),
        FUNCTION(q8_widen),
        FUNCTION(q8_im2col),
        FUNCTION(q8_preprocess),
        FUNCTION(q8_normalize),
#undef FUNCTION
    };
    cuda_emu_set_dry(1);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (int type = DETK_F32; type <= DETK_BF16; type++) {
            const enum detk_type t = (enum detk_type)type;
            const long before = cuda_emu_read_counts().operations;
            assert_int_equal(functions[i].run(t), cudaSuccess);
            const long operations = cuda_emu_read_counts().operations - before;
            assert_true(operations > 0);
            for (long n = 1; n <= operations; n++) {
                cuda_emu_fail_operation_at(n);
                const cudaError_t error = functions[i].run(t);
                cuda_emu_fail_operation_at(0);
                if (error != cudaErrorLaunchOutOfResources)
                    fail_msg("%s, type %d: operation %ld of %ld is refused, the answer is %s",
                             functions[i].name, type, n, operations, cudaGetErrorName(error));
                (void)cudaGetLastError();
            }
        }
    cuda_emu_set_dry(0);
}

/* --- whole jobs --- */

typedef det_status (*job)(void *subject);

/* What the runtime, and what cublasLt answers to a refused operation. */
static bool tells(const struct det_env *env, det_status status)
{
    return status == DET_STATUS_DEVICE &&
           (strstr(env->error, "too many resources requested for launch") != NULL ||
            strstr(env->error, "cublasLt: status 13") != NULL);
}

/* Each operation of the job is refused in turn; the job must fail with it. */
static void each_operation(const char *name, struct det_env *env, job run, void *subject)
{
    const long before = cuda_emu_read_counts().operations;
    (void)run(subject);
    const long operations = cuda_emu_read_counts().operations - before;
    assert_true(operations > 3);
    for (long n = 1; n <= operations; n++) {
        cuda_emu_fail_operation_at(n);
        const det_status status = run(subject);
        cuda_emu_fail_operation_at(0);
        if (!tells(env, status))
            fail_msg("%s: operation %ld of %ld is refused, the answer is \"%s\" (%s)", name, n,
                     operations, det_status_text(status), env->error);
    }
}

static det_status one_step(void *subject)
{
    struct tiny *tiny = subject;
    struct det_step_result result;
    DET_TRY_RETURN(det_learner_stage(tiny->env, tiny->gpu, tiny->images, tiny->truths));
    DET_TRY_RETURN(det_learner_begin(tiny->env, tiny->gpu, 0.01f));
    return det_learner_end(tiny->env, tiny->gpu, &result);
}

/* Bytes that are coloured on the device. */
static det_status one_step_of_pictures(void *subject)
{
    struct tiny *tiny = subject;
    static const uint8_t pixels[40 * 30 * 3];
    const struct det_picture picture = {
        .pixels = pixels,
        .height = 30,
        .width = 40,
        .frame_height = TINY_SIDE,
        .frame_width = TINY_SIDE,
        .color_count = 1,
        .contrast_count = 1,
        .colors = {{.kind = DET_COLOR_CONTRAST, .values = {1.5f}}},
    };
    struct det_picture pictures[TINY_BATCH];
    struct det_step_result result;
    for (int n = 0; n < TINY_BATCH; n++)
        pictures[n] = picture;
    DET_TRY_RETURN(det_learner_stage_pictures(tiny->env, tiny->gpu, pictures, tiny->truths));
    DET_TRY_RETURN(det_learner_begin(tiny->env, tiny->gpu, 0.01f));
    return det_learner_end(tiny->env, tiny->gpu, &result);
}

static det_status push_and_pull(void *subject)
{
    struct tiny *tiny = subject;
    DET_TRY_RETURN(tiny->backend->step_push(tiny->env, tiny->gpu->step));
    DET_TRY_RETURN(tiny->backend->step_pull(tiny->env, tiny->gpu->step));
    return tiny->backend->step_pull_gradients(tiny->env, tiny->gpu->step);
}

/* Launched one by one. */
static void steps_tell(void **state)
{
    (void)state;
    for (int accumulate = 1; accumulate <= 2; accumulate++) {
        struct tiny tiny;
        tiny_open(&tiny, &(struct tiny_settings){.device.no_graph = true,
                                                 .average_decay = 0.5f,
                                                 .clip_norm = 1,
                                                 .accumulate = accumulate});
        cuda_emu_set_dry(1);
        each_operation("a step", tiny.env, one_step, &tiny);
        each_operation("a step of pictures", tiny.env, one_step_of_pictures, &tiny);
        each_operation("push and pull", tiny.env, push_and_pull, &tiny);
        cuda_emu_set_dry(0);
        tiny_close(&tiny);
    }
}

/* While a step is recorded: there is no recording then, and the next step records again. */
static void recording_tells(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    assert_ok(tiny.env,
              det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    for (long n = 1; n < 800; n += n < 20 ? 1 : 97) {
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        cuda_emu_fail_operation_at(n);
        assert_int_equal(one_step(&tiny), DET_STATUS_DEVICE);
        cuda_emu_fail_operation_at(0);
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.live_execs, before.live_execs);
        assert_int_equal(after.live_graphs, before.live_graphs);
        assert_int_equal(after.graph_launches, before.graph_launches);
    }
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    for (int i = 0; i < 2; i++)
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    assert_int_equal(cuda_emu_read_counts().graph_launches - before.graph_launches, 2);
    tiny_close(&tiny);
}

struct evaluating {
    struct inference *f;
    float *images;
};

static det_status one_run(void *subject)
{
    const struct evaluating *e = subject;
    static const float windows[TINY_BATCH][4] = {{0, 0, 1, 1}, {0, 0, 1, 1}};
    struct inference *f = e->f;
    DET_TRY_RETURN(
        f->backend->runner_set_images(f->env, f->runner, e->images, TINY_SIDE, TINY_SIDE, windows));
    return det_backend_run(f->env, f->backend, f->runner);
}

static det_status one_picture(void *subject)
{
    struct inference *f = subject;
    static const uint8_t pixels[40 * 30 * 3];
    const det_image_view view = {.pixels = pixels, .width = 40, .height = 30};
    const struct det_frame frame = det_frame_of(&f->spec, 30, 40);
    for (int32_t n = 0; n < TINY_BATCH; n++)
        DET_TRY_RETURN(f->backend->runner_set_picture(f->env, f->runner, n, &view, &frame));
    return det_backend_run(f->env, f->backend, f->runner);
}

static void inference_tells(void **state)
{
    (void)state;
    for (int evaluate = 0; evaluate < 2; evaluate++) {
        struct inference f;
        inference_open(&f, &(struct inference_settings){.evaluate = evaluate != 0,
                                                        .folded = evaluate == 0,
                                                        .device.no_graph = true});
        struct evaluating e = {&f, calloc(TINY_BATCH * TINY_SIDE * TINY_SIDE * 3, sizeof(float))};
        assert_non_null(e.images);
        assert_int_equal(evaluate ? one_run(&e) : one_picture(&f), DET_OK);
        cuda_emu_set_dry(1);
        if (evaluate)
            each_operation("evaluation", f.env, one_run, &e);
        else
            each_operation("detection", f.env, one_picture, &f);
        cuda_emu_set_dry(0);
        free(e.images);
        inference_close(&f);
    }
}

int test_cuda_refusals(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_function_tells),
        cmocka_unit_test(steps_tell),
        cmocka_unit_test(recording_tells),
        cmocka_unit_test(inference_tells),
    };
    return cmocka_run_group_tests_name("cuda_refusals", tests, NULL, NULL);
}

#else

int test_cuda_refusals(void);

/* A GPU refuses nothing on request. */
int test_cuda_refusals(void)
{
    return 0;
}

#endif
