/* emu.h: what the files of the emulation share. See docs/cuda.md.
 *
 *   fiber.cc    stacks and switching           memory.cc   device and pinned memory, guards, traps
 *   block.cc    runs a grid: schedules, stream.cc streams, events, order of accesses; copy.cc
 *               copies
 *               barriers, warp operations      graph.cc    capture and replay
 *   shared.cc   shared memory and its checks   machine.cc  devices, errors, counts, environment
 *   report.cc   messages                       translation.cc kernels in another form
 *   cublaslt.cc, cudnn.cc, cudnn_norm.cc, nccl.cc
 */
#ifndef DET_EMU_EMU_H
#define DET_EMU_EMU_H

#include <memory>
#include <string>

#include "cuda_emu.h"
#include "cuda_emu_counts.h"

namespace det_emu
{

/* --- fiber.cc --- */

struct fiber;
using fiber_entry = void (*)();
/* A fiber that begins in `entry`, which never returns. Stacks have a guard page below. */
fiber *fiber_create(fiber_entry entry);
/* Leaves the running context for `to`; returns when somebody switches back. nullptr: the context
 * that started. */
void fiber_switch(fiber *to);
fiber *fiber_running();
/* The fiber begins anew at its entry: after a launch that ended in the middle. */
void fiber_restart(fiber *f, fiber_entry entry);
bool fiber_guard_holds(const fiber *f, const void *address);
/* After a jump out of a fiber into the context that started: it is the running one again. */
void fiber_back_at_start();

/* --- block.cc --- */

/* Runs a whole grid. False when an error was reported. */
bool run_grid(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
              const std::function<void()> &body);
bool kernel_running();
extern uint32_t block_serial;  /* of the running block, from 1 */
extern uint32_t barrier_epoch; /* barriers passed in it */
extern thread *threads;        /* of the running block */
extern const char *kernel_name;
/* Ends the launch from inside a kernel; the error is reported already. */
[[noreturn]] void abandon();
void set_schedule(const char *text);
void forget_kernels(); /* all are launched for the first time again */

/* --- shared.cc --- */

void shared_begin_launch(size_t dynamic_bytes);

/* --- report.cc --- */

/* One line to stderr (or the tests' buffer). Counts. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern long reports;

/* --- memory.cc --- */

enum class memory { foreign, device, pinned };
/* What the byte belongs to, and its block's first byte and size. */
memory memory_of(const void *pointer, const void **begin, size_t *bytes);
/* Whether [pointer, pointer + bytes) lies in one live block of device memory. */
bool device_range(const void *pointer, size_t bytes);
/* Reports overwritten guard bytes; false when there were any. */
bool guards_whole(const char *after);
void memory_counts(cuda_emu_counts *counts);
/* Memory that is taken for good; false when there is not as much. */
bool take_code_memory(size_t bytes);
void release_code_memory();
/* Runs what may trap on a guard page; false when it did (reported). */
bool guarded(const std::function<bool()> &action);

/* --- machine.cc --- */

cudaError_t set_error(cudaError_t error); /* remembered for cudaGetLastError; returns it */
/* False, with the error set, when there is no such device or the driver is too old. */
cudaError_t machine_ready();
/* What every call answers once a kernel has trapped, until cudaDeviceReset(). */
cudaError_t broken();
/* True when the test wants this kernel to trap: it does nothing, and the error shows in later
 * calls. */
bool traps_now();
/* cudaDeviceReset(): all that lives on the device is gone. */
void memory_reset();
void streams_reset();
void graphs_reset();
void copies_reset();
void nccl_reset();
/* True when the test wants this allocation to fail. */
bool allocation_fails();
/* Of each operation that a stream gets: an error when the test wants this one to fail. Counts. */
cudaError_t enqueued();
extern size_t device_memory;
extern cuda_emu_counts totals;
extern bool waits_ignored; /* a planted mistake: streams wait for no event */
extern bool dry; /* operations are counted, not carried out, their arguments not looked at */
extern uint64_t edge_blocks; /* of a grid only so many first and last blocks run; 0: all */
extern size_t
    kernel_bytes; /* that a kernel takes of the device's memory when it is launched first */
constexpr size_t shared_default_bytes = 48 * 1024, shared_most_bytes = 99 * 1024;

/* --- stream.cc and graph.cc --- */

/* An operation on a stream: carried out now, or recorded when the stream is capturing. The action
 * is false when it failed (reported). */
cudaError_t issue(cudaStream_t stream, const char *name, std::vector<access> accesses,
                  std::function<bool()> action);
/* What operations take in all, on the clock that events read. */
extern double clock_us;
/* Calls that wait or allocate are not allowed while a capture is going on. */
cudaError_t not_while_capturing(const char *call);
/* What streams did to memory that is released now is over: releasing waits. */
void forget_uses(const void *begin, size_t bytes);
void forget_reads(const void *begin, size_t bytes); /* of pinned memory: copy.cc */
void stream_counts(cuda_emu_counts *counts);
void graph_counts(cuda_emu_counts *counts);

} // namespace det_emu

#endif
