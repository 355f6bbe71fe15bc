/* memory.cc: device memory and pinned memory.
 *
 *   | guard page | ... canary | block, aligned to 256 | canary up to the page's end | guard page |
 *
 * A run beyond the end meets the canary (found after the launch) or the guard page (found at once).
 * Blocks stand at the end of their pages, so that the canary is below 256 bytes. Host code that
 * touches device memory is not caught. */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include "emu.h"

namespace det_emu
{

constexpr size_t alignment = 256;
constexpr unsigned char canary = 0xA5;

struct block {
    size_t bytes;
    char *mapping;
    size_t mapping_bytes;
    bool pinned;
};
static std::map<uintptr_t, block> blocks; /* by first byte */
static size_t live_bytes, code_bytes;

static size_t round_up(size_t value, size_t to)
{
    return (value + to - 1) / to * to;
}

static cudaError_t allocate(void **pointer, size_t bytes, bool pinned)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = round_up(round_up(bytes, alignment), page);
    *pointer = nullptr;
    if (broken() != cudaSuccess)
        return broken();
    if (allocation_fails() ||
        (!pinned && (bytes > device_memory || live_bytes + code_bytes > device_memory - bytes)))
        return set_error(cudaErrorMemoryAllocation);
    char *mapping = (char *)mmap(nullptr, room + 2 * page, PROT_NONE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return set_error(cudaErrorMemoryAllocation);
    if (mprotect(mapping + page, room, PROT_READ | PROT_WRITE) != 0) {
        munmap(mapping, room + 2 * page);
        return set_error(cudaErrorMemoryAllocation);
    }
    const size_t used = round_up(bytes, alignment);
    char *begin = mapping + page + room - used;
    const size_t before = (size_t)(begin - (mapping + page));
    memset(begin - (before < alignment ? before : alignment), canary,
           before < alignment ? before : alignment);
    memset(begin + bytes, canary, used - bytes);
    blocks[(uintptr_t)begin] = {bytes, mapping, room + 2 * page, pinned};
    if (pinned) {
        totals.pinned_allocations++;
    } else {
        totals.device_allocations++;
        live_bytes += bytes;
    }
    *pointer = begin;
    return cudaSuccess;
}

bool take_code_memory(size_t bytes)
{
    if (live_bytes + code_bytes + bytes > device_memory)
        return false;
    code_bytes += bytes;
    return true;
}

void release_code_memory()
{
    code_bytes = 0;
}

static bool guard_whole(uintptr_t at, const block &b, const char *after)
{
    const unsigned char *begin = (const unsigned char *)at;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t before = (size_t)((const char *)begin - (b.mapping + page));
    const size_t checked = before < alignment ? before : alignment;
    for (size_t i = 1; i <= checked; i++)
        if (begin[-(long)i] != canary) {
            report("%s: byte %zu before a block of %zu bytes was overwritten", after, i, b.bytes);
            return false;
        }
    for (size_t i = b.bytes; i < round_up(b.bytes, alignment); i++)
        if (begin[i] != canary) {
            report("%s: byte %zu of a block of %zu bytes was overwritten", after, i, b.bytes);
            return false;
        }
    return true;
}

bool guards_whole(const char *after)
{
    bool whole = true;
    for (const auto &[at, b] : blocks)
        whole = guard_whole(at, b, after) && whole;
    return whole;
}

void memory_reset()
{
    for (const auto &[at, b] : blocks) {
        forget_uses((const void *)at, b.bytes);
        munmap(b.mapping, b.mapping_bytes);
    }
    blocks.clear();
    live_bytes = 0;
}

static cudaError_t release(void *pointer, bool pinned)
{
    if (broken() != cudaSuccess || pointer == nullptr)
        return broken();
    const auto found = blocks.find((uintptr_t)pointer);
    if (found == blocks.end() || found->second.pinned != pinned) {
        report("%s of %p, which is no such block", pinned ? "cudaFreeHost" : "cudaFree", pointer);
        return set_error(cudaErrorInvalidValue);
    }
    const bool whole = guard_whole(found->first, found->second, "before the release");
    forget_uses(pointer, found->second.bytes);
    if (pinned)
        forget_reads(pointer, found->second.bytes);
    munmap(found->second.mapping, found->second.mapping_bytes);
    if (!pinned)
        live_bytes -= found->second.bytes;
    blocks.erase(found);
    return whole ? cudaSuccess : set_error(cudaErrorIllegalAddress);
}

static const std::pair<const uintptr_t, block> *find(const void *pointer)
{
    auto next = blocks.upper_bound((uintptr_t)pointer);
    if (next == blocks.begin())
        return nullptr;
    --next;
    return (uintptr_t)pointer - next->first < round_up(next->second.bytes + 1, alignment) ? &*next
                                                                                          : nullptr;
}

memory memory_of(const void *pointer, const void **begin, size_t *bytes)
{
    const auto *found = find(pointer);
    if (found == nullptr)
        return memory::foreign;
    if (begin != nullptr)
        *begin = (const void *)found->first;
    if (bytes != nullptr)
        *bytes = found->second.bytes;
    return found->second.pinned ? memory::pinned : memory::device;
}

bool device_range(const void *pointer, size_t bytes)
{
    const auto *found = find(pointer);
    return found != nullptr && !found->second.pinned &&
           (uintptr_t)pointer - found->first + bytes <= found->second.bytes;
}

/* Pinned memory of the host, too, which a kernel reaches over the bus. */
static bool reached(const void *pointer, size_t bytes)
{
    const auto *found = find(pointer);
    return found != nullptr && (uintptr_t)pointer - found->first + bytes <= found->second.bytes;
}

void check_global(const void *pointer, size_t bytes)
{
    const size_t align = bytes < 16 ? bytes : 16;
    if ((uintptr_t)pointer % align != 0)
        fail("access of %zu bytes at %p is misaligned", bytes, pointer);
    if (!reached(pointer, bytes))
        fail("access of %zu bytes at %p is outside device memory", bytes, pointer);
}

void memory_counts(cuda_emu_counts *counts)
{
    for (const auto &[at, b] : blocks)
        (b.pinned ? counts->live_pinned_blocks : counts->live_device_blocks)++;
    counts->live_device_bytes = live_bytes;
}

/* --- traps --- */

static sigjmp_buf recovery;
static bool armed;

[[noreturn]] void abandon()
{
    if (!armed) {
        report("nothing to recover to");
        abort();
    }
    siglongjmp(recovery, 1);
}

static void on_trap(int signal_number, siginfo_t *info, void *)
{
    if (!armed) {
        signal(signal_number, SIG_DFL);
        return; /* not ours: the instruction traps again */
    }
    if (!kernel_running()) {
        report("a call touches %p, which is no memory it may use", info->si_addr);
        abandon();
    }
    if (fiber_guard_holds(fiber_running(), info->si_addr))
        fail("stack overflow");
    fail("access at %p is outside device memory", info->si_addr);
}

static void install()
{
    static char stack[64 * 1024];
    stack_t alternate = {};
    alternate.ss_sp = stack;
    alternate.ss_size = sizeof stack;
    sigaltstack(&alternate, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}

bool guarded(const std::function<bool()> &action)
{
    static bool installed;
    if (!installed)
        install();
    installed = true;
    if (sigsetjmp(recovery, 1) != 0) {
        armed = false;
        return false;
    }
    armed = true;
    const bool fine = action();
    armed = false;
    return fine;
}

} // namespace det_emu

using namespace det_emu;

extern "C" cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
    const cudaError_t error = not_while_capturing("cudaMalloc");
    if (error != cudaSuccess)
        return error;
    return pointer == nullptr ? set_error(cudaErrorInvalidValue) : allocate(pointer, bytes, false);
}

extern "C" cudaError_t cudaFree(void *pointer)
{
    const cudaError_t error = not_while_capturing("cudaFree");
    return error != cudaSuccess ? error : release(pointer, false);
}

extern "C" cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned int)
{
    const cudaError_t error = not_while_capturing("cudaHostAlloc");
    if (error != cudaSuccess)
        return error;
    return pointer == nullptr ? set_error(cudaErrorInvalidValue) : allocate(pointer, bytes, true);
}

extern "C" cudaError_t cudaMallocHost(void **pointer, size_t bytes)
{
    return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}

extern "C" cudaError_t cudaFreeHost(void *pointer)
{
    const cudaError_t error = not_while_capturing("cudaFreeHost");
    return error != cudaSuccess ? error : release(pointer, true);
}

extern "C" cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    if (broken() != cudaSuccess)
        return broken();
    *total_bytes = device_memory;
    *free_bytes = device_memory - live_bytes - code_bytes;
    return cudaSuccess;
}
