/* roofline_plan.h: what the CUDA backend launches for a network, on paper: bytes and flops of every
 * launch. roofline.c prints bounds, bench_cuda.c puts them beside what it measures.
 *
 * "plan" is what libdet/devices/cuda launches: an operation of the graph at a time. "fused" is a
 * lower bound for a plan that keeps the same tensors: a convolution's output is written once, its
 * batch norm's sums come from the producing kernel, each consumer normalises as it loads; backward
 * reads, for each batch norm, its input once for the sums, and input and gradient in each of the
 * two passes of the convolution before it. Additions read both sides and write.
 *
 * Sums of 32 bits, which a convolution in 8 bits makes and uses pass by pass
 * (devices/cuda/cuda_q8_passes.h), are counted of L2 alone.
 *
 * What L2 hands out more often than memory does is counted for depthwise convolutions, by the rule
 * that splits them (dwconv_plan.h), and for the candidates of suppression. Columns that threads of
 * a block share are counted once: L1 has them. */
#ifndef DET_BENCH_ROOFLINE_PLAN_H
#define DET_BENCH_ROOFLINE_PLAN_H

#include "devices/cuda/cuda_weight_gradient.h"
#include "model/graph.h"
#include "model/net_plan.h"
#include "model/quantised_plan.h"

/* Vendor's figures (data sheets): memory bytes/s, float32 flop/s outside of tensor cores, bf16
 * flop/s and 8-bit operations/s in them, dense. */
struct roofline_gpu {
    const char *name;
    double bandwidth, f32, bf16, int8; /* 0: it has none */
};
enum { ROOFLINE_GPUS = 4 };
extern const struct roofline_gpu roofline_gpus[ROOFLINE_GPUS];

struct roofline_launch {
    const char *name, *what; /* of the graph's operation or NULL; which launch of it */
    bool dense;              /* its flops may run in tensor cores */
    double flops, bytes;
    double fused; /* bytes in the fused plan, < 0: it has no such launch */
    /* bytes between multiprocessors and L2: more where blocks load what others have loaded */
    double l2;
};

struct roofline {
    const struct det_graph *graph;
    int32_t batch, element; /* bytes of an activation; 1: all in 8 bits */
    bool training;
    void (*launch)(void *user, const struct roofline_launch *launch);
    void *user;
    /* Whose kernel the operation's weights' gradient is, where times decided (cuda_tune.h); NULL:
     * as sizes say. */
    const enum det_cuda_weight_way *weight_way;
};

/* Each calls `launch` for every launch of an operation's pass, or of what is around the network. */
void roofline_forward_op(const struct roofline *roofline, const struct det_op *op);
void roofline_backward_op(const struct roofline *roofline, const struct det_op *op);
void roofline_around(const struct roofline *roofline);

/* Bytes of pixels that come from the host for a step or a run. */
double roofline_host_bytes(const struct roofline *roofline);

/* Seconds that memory or arithmetic take at least, whichever is more. */
double roofline_bound(const struct roofline_gpu *gpu, int32_t element, bool dense, double flops,
                      double bytes);

#endif
