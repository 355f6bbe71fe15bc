#include "ops/cpu/conv/conv_ops.h"

#include "ops/cpu/conv/conv_view.h"

static size_t workspace(const struct detk_gemm *gemm, const struct det_conv_shape *s,
                        bool depthwise, int threads)
{
    if (depthwise)
        return 0;
    int64_t floats = detk_conv_pixels_floats(gemm, s, false, threads);
    floats = detk_max(floats, detk_conv_pixels_floats(gemm, s, true, threads));
    floats = detk_max(floats, detk_conv_weights_floats(gemm, s, threads));
    return (size_t)floats * sizeof(float);
}

#define CONV_OPS(isa)                                                                             \
    size_t detk_conv_workspace__##isa(const struct det_conv_shape *shape, bool depthwise,         \
                                      int threads)                                                \
    {                                                                                             \
        return workspace(&detk_gemm_##isa, shape, depthwise, threads);                            \
    }                                                                                             \
    void detk_conv_forward__##isa(const struct det_exec *x, const struct det_conv_shape *s,       \
                                  const float *in, const float *w, const float *bias,             \
                                  enum det_activation act, float *out)                            \
    {                                                                                             \
        detk_conv_pixels_forward(&detk_gemm_##isa, x, s, in, w, bias, act, out);                  \
    }                                                                                             \
    void detk_conv_backward_data__##isa(const struct det_exec *x, const struct det_conv_shape *s, \
                                        const float *dout, const float *w, float *din,            \
                                        bool accumulate)                                          \
    {                                                                                             \
        detk_conv_pixels_backward(&detk_gemm_##isa, x, s, dout, w, din, accumulate);              \
    }                                                                                             \
    void detk_conv_backward_weight__##isa(const struct det_exec *x,                               \
                                          const struct det_conv_shape *s, const float *in,        \
                                          const float *dout, float *dw, bool accumulate)          \
    {                                                                                             \
        detk_conv_weights(&detk_gemm_##isa, x, s, in, dout, dw, accumulate);                      \
    }

DETK_ISAS(CONV_OPS)
