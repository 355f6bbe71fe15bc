/* cuda_emu_counts.h: what the emulation has counted: for tests that claim "one wait a step" or
 * "nothing leaks". */
#ifndef DET_CUDA_EMU_COUNTS_H
#define DET_CUDA_EMU_COUNTS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Totals since the process began (host_waits: of any kind; device_waits: for all streams of the
 * process); then what is alive now. */
struct cuda_emu_counts {
    long launches, device_allocations, pinned_allocations, captures, graph_launches, host_waits,
        device_waits, unpinned_copies, resets, cublas_loads, cudnn_loads, operations;
    long live_device_blocks, live_pinned_blocks, live_streams, live_blocking_streams, live_events,
        live_graphs, live_execs, live_handles;
    size_t live_device_bytes;
    long reports; /* errors found and reported */
};

struct cuda_emu_counts cuda_emu_read_counts(void);
/* The architecture whose PTX runs in the kernels' place (90: sm_90), 0 where they run as g++
 * compiled them. */
int cuda_emu_ptx_arch(void);

/* Device memory there is; cudaMalloc fails beyond it. 0: the default. */
void cuda_emu_set_memory(size_t bytes);
/* The n-th cudaMalloc, cudaMallocHost or handle creation from now fails; 0: none. */
void cuda_emu_fail_at(long n);
/* The n-th operation from now that a stream gets (a kernel, a copy, a library's call, an event) is
 * refused; 0: none. */
void cuda_emu_fail_operation_at(long n);
/* Operations are counted and nothing else: not carried out, not recorded, their arguments not
 * looked at. */
void cuda_emu_set_dry(int on);
/* Of each grid only the first and the last `count` blocks run, so that arrays of gigabytes, of
 * which only touched pages take memory, can be computed on at both ends; 0: all. */
void cuda_emu_set_edge_blocks(unsigned count);
/* Device memory that a kernel's code takes when it is launched for the first time from now on, as
 * the driver does with CUDA_MODULE_LOADING=LAZY; 0, the default: none. */
void cuda_emu_set_kernel_bytes(size_t bytes);
/* The n-th kernel from now traps: it does nothing, and from then on every call answers
 * cudaErrorIllegalAddress, as on a device, until cudaDeviceReset(). 0: none. */
void cuda_emu_trap_at(long n);
/* What cublasLt offers for each product, in the order of its guess. `state` is of the offer,
 * `answer` of a run (cublasStatus_t; 0: it works); microseconds of a run on the clock that events
 * read, which any operation advances by one. */
struct cuda_emu_algorithm {
    double microseconds;
    size_t workspace_bytes;
    int state, answer;
    long runs; /* counted */
};
/* The caller's array stays in use. NULL: one algorithm, as at the start. */
void cuda_emu_set_algorithms(struct cuda_emu_algorithm *algorithms, int count);
/* cublasLt has algorithms for products of integers only where sizes are multiples of `multiple`; 0:
 * for none. 4: as at the start. */
void cuda_emu_integer_multiples(int multiple);
/* A machine without cuDNN. */
void cuda_emu_hide_cudnn(int on);
/* NCCL's version as its own function says it, 22803 at the start; 0: a machine without it. */
void cuda_emu_set_nccl(int version);
/* NCCL notices that a rank is gone, as over a network; else it does not, as on one machine. */
void cuda_emu_nccl_tells(int on);
/* No call of NCCL comes to its end any more, as over a network that loses bytes. */
void cuda_emu_cut_nccl(int on);
/* cuDNN lists an algorithm that rounds to TF32 first, whatever it is asked for. */
void cuda_emu_offer_tensor_cores(int on);
/* A planted mistake: cudaStreamWaitEvent does nothing, as if somebody had forgotten it. */
void cuda_emu_ignore_waits(int on);
/* What a machine without a GPU, or with an old driver, answers: cudaSuccess for a healthy one. */
void cuda_emu_set_machine(int devices, int driver_version);
/* Compute capabilities times ten of a machine's two devices; 90 and 90 at the start. */
void cuda_emu_set_capabilities(int first, int second);
/* The schedule that DET_EMU_SCHEDULE names: "forward", "backward", "random:SEED". */
void cuda_emu_set_schedule(const char *schedule);
/* Reports go into a buffer instead of stderr, for tests of the emulation itself; returns the text
 * since the last call. */
const char *cuda_emu_take_reports(void);
void cuda_emu_capture_reports(int on);

#ifdef __cplusplus
}
#endif
#endif
