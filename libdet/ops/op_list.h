/* op_list.h: the operations, each once: what the table has a slot for (ops.h), what each
 * instruction set declares and fills in, what tests and bench go through.
 *
 * OP(set, name, gradient, result, parameters): implemented as result DET_OP(name, set)(parameters),
 * that is detk_NAME__SET. `gradient` is the operation that makes the gradient of what this one
 * makes; _ where nothing has to. All sets implement DET_OP_LIST and DET_PART_LIST;
 * DET_BF16_OP_LIST is also there with products in bf16.
 */
#ifndef DET_OPS_OP_LIST_H
#define DET_OPS_OP_LIST_H

#define DET_OP(name, set)  DET_OP_(name, set)
#define DET_OP_(name, set) detk_##name##__##set

/* clang-format off */
#define DET_OP_LIST(OP, set) DET_F32_OP_LIST(OP, set) DET_BF16_OP_LIST(OP, set)

#define DET_F32_OP_LIST(OP, set) \
    /* out = act(conv(in, w) + bias); bias [out_c] or NULL. 1x1 stride 1 is a matrix product \
     * [rows, in_c] x [in_c, out_c]. */ \
    OP(set, conv_forward, conv_backward_data, void, \
        (const struct det_exec *x, const struct det_conv_shape *s, const float *in, \
         const float *w, const float *bias, enum det_activation act, float *out)) \
    /* The same for depthwise convolutions, multiplier 1, w [kernel_h, kernel_w, c]. */ \
    OP(set, dwconv_forward, dwconv_backward_data, void, \
        (const struct det_exec *x, const struct det_conv_shape *s, const float *in, \
         const float *w, const float *bias, enum det_activation act, float *out)) \
    /* Bytes of workspace of these and of their gradients, with `threads` workers. */ \
    OP(set, conv_workspace, _, size_t, (const struct det_conv_shape *s, int threads)) \
    OP(set, dwconv_workspace, _, size_t, (const struct det_conv_shape *s, int threads)) \
    /* dbias (+)= column sums of dout [rows, c] */ \
    OP(set, bias_backward, _, void, \
        (const struct det_exec *x, int64_t rows, int32_t c, const float *dout, float *dbias, \
         bool accumulate)) \
    OP(set, bias_workspace, _, size_t, (int64_t rows, int32_t c)) \
    /* The sums of a gradient to->din [rows, c] that another operation completed; needs \
     * to->sums. */ \
    OP(set, bn_sums, _, void, \
        (const struct det_exec *x, int64_t rows, int32_t c, const struct det_gradient_to *to)) \
    OP(set, bn_sums_workspace, _, size_t, (int64_t rows, int32_t c)) \
    /* out = a + b [rows, c]; b NULL: a alone. */ \
    OP(set, bn_add, accumulate, void, \
        (const struct det_exec *x, int64_t rows, int32_t c, const struct det_operand *a, \
         const struct det_operand *b, float *out)) \
    /* out = a + b; out may be a or b. */ \
    OP(set, add_forward, accumulate, void, \
        (const struct det_exec *x, int64_t count, const float *a, const float *b, float *out)) \
    /* to (+)= from */ \
    OP(set, accumulate, _, void, \
        (const struct det_exec *x, int64_t count, const float *from, float *to, \
         bool accumulate)) \
    /* Nearest x2 upsampling of low [n, h, w, c] added to lateral [n, out_h, out_w, c]; out_h is \
     * 2h or 2h - 1, out_w likewise: what sticks out is cut off. */ \
    OP(set, upsample_add_forward, upsample_backward, void, \
        (const struct det_exec *x, int32_t n, int32_t h, int32_t w, int32_t c, int32_t out_h, \
         int32_t out_w, const float *low, const float *lateral, float *out)) \
    /* dlow (+)= sums of the 2 x 2 blocks of dout [n, out_h, out_w, c] */ \
    OP(set, upsample_backward, _, void, \
        (const struct det_exec *x, int32_t n, int32_t h, int32_t w, int32_t c, int32_t out_h, \
         int32_t out_w, const float *dout, float *dlow, bool accumulate)) \
    /* The least and the largest of the values and 0; NaN is passed over. */ \
    OP(set, value_range, _, void, \
        (const struct det_exec *x, int64_t count, const float *values, float range[2])) \
    OP(set, value_range_workspace, _, size_t, (int64_t count)) \
    /* Each value as 8 bits have it, in place; passes [det_fake_quant_bytes(count)]: bit i % 8 of \
     * byte i / 8 says whether its gradient passes (ops/fake_quant.h). Bits behind the last value \
     * are 0. */ \
    OP(set, fake_quant_forward, fake_quant_backward, void, \
        (const struct det_exec *x, int64_t count, const struct det_fake_quant *q, \
         float *values, uint8_t *passes)) \
    /* The gradient behind it becomes the one before it: 0 where it does not pass. */ \
    OP(set, fake_quant_backward, _, void, \
        (const struct det_exec *x, int64_t count, const uint8_t *passes, float *gradient))

/* The convolutions of training, dense and depthwise. */
#define DET_BF16_OP_LIST(OP, set) \
    /* out = conv(in, w) + bias; mean and biased variance of each channel of out are written \
     * unless NULL. The variance must not suffer from cancellation (two passes or shifted \
     * sums). */ \
    OP(set, bn_conv_forward, bn_conv_backward, void, \
        (const struct det_exec *x, const struct det_conv_shape *s, bool depthwise, \
         const struct det_operand *in, const float *w, const float *bias, float *out, \
         float *mean, float *variance)) \
    /* Gradients of the input and of the weights: dw (+)=. */ \
    OP(set, bn_conv_backward, _, void, \
        (const struct det_exec *x, const struct det_conv_shape *s, bool depthwise, \
         const struct det_operand *in, const struct det_gradient *dout, const float *w, \
         const struct det_gradient_to *to, float *dw, bool accumulate)) \
    /* Bytes of workspace of both, with `threads` workers. */ \
    OP(set, bn_conv_workspace, _, size_t, \
        (const struct det_conv_shape *s, bool depthwise, int threads))

/* No slots of the table: parts of bn_conv_backward for shapes that it has no kernel for. The dense
 * ones' are cpu/conv/conv_view.h's. */
#define DET_PART_LIST(OP, set) \
    /* din (+)= gradient of the input */ \
    OP(set, dwconv_backward_data, _, void, \
        (const struct det_exec *x, const struct det_conv_shape *s, const float *dout, \
         const float *w, float *din, bool accumulate)) \
    /* dw (+)= gradient of the weights */ \
    OP(set, dwconv_backward_weight, _, void, \
        (const struct det_exec *x, const struct det_conv_shape *s, const float *in, \
         const float *dout, float *dw, bool accumulate))
/* clang-format on */

#define DET_DECLARE_OP(set, name, gradient, result, parameters) result DET_OP(name, set) parameters;
#define DET_DECLARE_OPS(set)         \
    DET_OP_LIST(DET_DECLARE_OP, set) \
    DET_PART_LIST(DET_DECLARE_OP, set)

/* Initialises a slot of the table. */
#define DET_FILL_OP(set, name, gradient, result, parameters) .name = DET_OP(name, set),

#endif
