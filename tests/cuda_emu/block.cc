/* block.cc: runs a grid, block after block. A thread runs until it meets others: at a barrier of
 * the block or an operation of its warp; then the next one goes on. A round gives every thread that
 * can go on one turn, in the order of the schedule. */
#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "emu.h"

namespace det_emu
{

/* What the language's names stand for. */
thread *self;
uint3 block_index;
dim3 block_size, grid_size;

uint32_t block_serial, barrier_epoch;
thread *threads;
const char *kernel_name = "";

enum class state { fresh, ready, at_barrier, at_warp, done };

/* A thread and what it waits for. */
struct runner : thread {
    det_emu::state state;
    fiber *stack;
    const char *file; /* where it waits */
    int line;
    barrier kind;
    int value;
    warp_operation operation;
    unsigned mask;
    uint64_t bits;
    int parameter, width;
};

enum { MOST_THREADS = 1024 };
static runner runners[MOST_THREADS];
static unsigned count; /* of the block */
static const std::function<void()> *body;
static std::vector<fiber *> idle; /* stacks whose thread is done */
static bool running;

/* --- schedule --- */

enum class schedule { forward, backward, random };
static schedule chosen = schedule::forward;
static std::mt19937 generator;
static uint32_t seed;

void set_schedule(const char *text)
{
    const std::string name = text != nullptr ? text : "";
    if (name.empty() || name == "forward") {
        chosen = schedule::forward;
    } else if (name == "backward") {
        chosen = schedule::backward;
    } else if (name.rfind("random:", 0) == 0) {
        chosen = schedule::random;
        seed = (uint32_t)strtoul(name.c_str() + 7, nullptr, 10);
    } else {
        report("DET_EMU_SCHEDULE=%s: expected forward, backward or random:SEED", text);
        abort();
    }
}

template <typename T> static void arrange(std::vector<T> &order)
{
    if (chosen == schedule::backward)
        std::reverse(order.begin(), order.end());
    else if (chosen == schedule::random)
        std::shuffle(order.begin(), order.end(), generator);
}

/* --- a thread's side --- */

static runner *me()
{
    return static_cast<runner *>(self);
}

[[noreturn]] static void fiber_main()
{
    for (;;) {
        (*body)();
        me()->state = state::done;
        fiber_switch(nullptr);
    }
}

static void wait_here(state s, const char *file, int line)
{
    runner *r = me();
    r->state = s;
    r->file = file;
    r->line = line;
    fiber_switch(nullptr);
}

int sync_threads(barrier kind, int value, const char *file, int line)
{
    runner *r = me();
    r->kind = kind;
    r->value = value;
    wait_here(state::at_barrier, file, line);
    return r->value;
}

unsigned active_mask()
{
    return 1U << self->lane;
}

/* --- warp operations --- */

static runner *lane_of(const runner *r, unsigned lane)
{
    const unsigned at = r->warp * 32 + lane;
    return at < count ? &runners[at] : nullptr;
}

static uint64_t result_of(const runner *r, const uint64_t *values, uint64_t ballot)
{
    const unsigned first = r->lane / (unsigned)r->width * (unsigned)r->width;
    long long from = r->lane;
    switch (r->operation) {
    case warp_operation::sync:
        return 0;
    case warp_operation::ballot:
        return ballot;
    case warp_operation::index:
        from = (long long)first + (r->parameter & (r->width - 1));
        break;
    case warp_operation::up:
        from -= r->parameter;
        break;
    case warp_operation::down:
        from += r->parameter;
        break;
    case warp_operation::exclusive:
        from ^= r->parameter;
        break;
    }
    /* Beyond the segment: its own; but an exclusive or may reach into an earlier one. */
    if ((from < first && r->operation != warp_operation::exclusive) ||
        from >= (long long)first + r->width)
        from = r->lane;
    if ((r->mask >> from & 1) == 0)
        fail("shuffle at %s:%d reads lane %lld, which is not in mask %08x", r->file, r->line, from,
             r->mask);
    return values[from];
}

static bool is_here(const runner *r, unsigned lane)
{
    const runner *other = lane_of(r, lane);
    return other == nullptr || other->state == state::at_warp;
}

/* When all lanes of the mask are here, they get their results and may go on. Each that comes asks;
 * the lanes at both ends, of which one comes last in most schedules, answer for many others. */
static bool complete_warp(runner *r)
{
    uint64_t values[32] = {0}, ballot = 0;
    if (!is_here(r, 31 - (unsigned)__builtin_clz(r->mask)) ||
        !is_here(r, (unsigned)__builtin_ctz(r->mask)))
        return false;
    for (unsigned lane = 0; lane < 32; lane++) {
        if ((r->mask >> lane & 1) == 0)
            continue;
        const runner *other = lane_of(r, lane);
        /* A lane beyond the block's end does not exist; the full mask may name it. */
        if (other == nullptr)
            continue;
        if (other->state != state::at_warp || other->line != r->line || other->file != r->file)
            return false;
        if (other->mask != r->mask || other->operation != r->operation)
            fail("warp operation at %s:%d: lanes %u and %u give masks %08x and %08x", r->file,
                 r->line, r->lane, lane, r->mask, other->mask);
        values[lane] = other->bits;
        ballot |= (uint64_t)(other->bits != 0) << lane;
    }
    for (unsigned lane = 0; lane < 32; lane++) {
        runner *other = (r->mask >> lane & 1) != 0 ? lane_of(r, lane) : nullptr;
        if (other == nullptr)
            continue;
        other->bits = result_of(other, values, ballot);
        other->state = state::ready;
        if (other->operation == warp_operation::sync)
            other->warp_epoch++;
    }
    return true;
}

uint64_t warp_meet(warp_operation operation, unsigned mask, uint64_t value, int parameter,
                   int width, const char *file, int line)
{
    runner *r = me();
    if ((mask >> r->lane & 1) == 0)
        fail("warp operation at %s:%d: mask %08x lacks the calling lane %u", file, line, mask,
             r->lane);
    if (width < 1 || width > 32 || (width & (width - 1)) != 0)
        fail("shuffle at %s:%d: width %d is no power of 2 up to 32", file, line, width);
    r->operation = operation;
    r->mask = mask;
    r->bits = value;
    r->parameter = parameter;
    r->width = width;
    r->file = file;
    r->line = line;
    r->state = state::at_warp;
    if (!complete_warp(r))
        fiber_switch(nullptr);
    return r->bits;
}

/* --- the scheduler's side --- */

[[noreturn]] static void fail_at(runner *r, const char *what, const runner *other)
{
    self = r;
    fail("%s: it waits at %s:%d, thread (%u,%u,%u) %s", what, r->file, r->line, other->index.x,
         other->index.y, other->index.z,
         other->state == state::done ? "has ended" : "is elsewhere");
}

/* All threads are at one barrier: they go on. */
static bool release_barrier()
{
    runner *first = nullptr;
    for (unsigned i = 0; i < count && first == nullptr; i++)
        if (runners[i].state == state::at_barrier)
            first = &runners[i];
    if (first == nullptr)
        return false;
    int sum = 0;
    for (unsigned i = 0; i < count; i++) {
        const runner *r = &runners[i];
        if (r->state != state::at_barrier || r->line != first->line || r->file != first->file)
            fail_at(first, "barrier divergence", r);
        sum += r->value;
    }
    for (unsigned i = 0; i < count; i++) {
        runner *r = &runners[i];
        if (r->kind == barrier::count)
            r->value = sum;
        else
            r->value = r->kind == barrier::all ? sum == (int)count : sum > 0;
        r->state = state::ready;
    }
    barrier_epoch++;
    return true;
}

/* Nobody can go on although some are not done. */
[[noreturn]] static void report_stuck()
{
    for (unsigned i = 0; i < count; i++) {
        runner *r = &runners[i];
        if (r->state != state::at_warp)
            continue;
        for (unsigned lane = 0; lane < 32; lane++) {
            const runner *other = (r->mask >> lane & 1) != 0 ? lane_of(r, lane) : nullptr;
            if (other != nullptr && (other->state != state::at_warp || other->line != r->line))
                fail_at(r, "warp divergence", other);
        }
    }
    self = &runners[0];
    fail("deadlock");
}

static void give_turn(runner *r)
{
    self = r;
    if (r->state == state::fresh) {
        if (idle.empty())
            idle.push_back(fiber_create(fiber_main));
        r->stack = idle.back();
        idle.pop_back();
        r->state = state::ready;
    }
    fiber_switch(r->stack);
    if (r->state == state::done)
        idle.push_back(r->stack);
}

static void run_block(std::vector<uint16_t> &order)
{
    block_serial++;
    barrier_epoch = 0;
    for (unsigned i = 0; i < count; i++) {
        runner *r = &runners[i];
        r->index = {i % block_size.x, i / block_size.x % block_size.y,
                    i / block_size.x / block_size.y};
        r->linear = i;
        r->warp = i / 32;
        r->lane = i % 32;
        r->warp_epoch = 0;
        r->source_file = nullptr;
        r->state = state::fresh;
    }
    for (unsigned done = 0; done < count;) {
        bool progress = false;
        if (chosen == schedule::random)
            arrange(order);
        for (const uint16_t i : order) {
            runner *r = &runners[i];
            if (r->state != state::fresh && r->state != state::ready)
                continue;
            give_turn(r);
            done += r->state == state::done;
            progress = true;
        }
        if (!progress && !release_barrier())
            report_stuck();
    }
}

bool kernel_running()
{
    return running;
}

/* Stacks that were left in the middle begin anew. */
static void recover()
{
    fiber_back_at_start();
    for (unsigned i = 0; i < count; i++)
        if (runners[i].state != state::fresh && runners[i].state != state::done) {
            fiber_restart(runners[i].stack, fiber_main);
            idle.push_back(runners[i].stack);
        }
    for (unsigned i = 0; i < count; i++)
        runners[i].state = state::done;
}

/* All, or those at both ends. */
static std::vector<uint64_t> chosen_blocks(uint64_t all)
{
    const bool ends = edge_blocks > 0 && all > 2 * edge_blocks;
    std::vector<uint64_t> blocks(ends ? 2 * edge_blocks : all);
    std::iota(blocks.begin(), blocks.end(), (uint64_t)0);
    for (size_t i = edge_blocks; ends && i < blocks.size(); i++)
        blocks[i] = all - blocks.size() + i;
    return blocks;
}

bool run_grid(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
              const std::function<void()> &run)
{
    kernel_name = name;
    block_size = block;
    grid_size = grid;
    count = block.x * block.y * block.z;
    body = &run;
    for (unsigned i = 0; i < count; i++)
        runners[i].state = state::done;
    shared_begin_launch(shared_bytes);
    generator.seed(seed);
    std::vector<uint16_t> order(count);
    std::iota(order.begin(), order.end(), (uint16_t)0);
    arrange(order);
    std::vector<uint64_t> blocks = chosen_blocks((uint64_t)grid.x * grid.y * grid.z);
    arrange(blocks);
    running = true;
    const bool fine = guarded([&] {
        for (const uint64_t at : blocks) {
            block_index = {(unsigned)(at % grid.x), (unsigned)(at / grid.x % grid.y),
                           (unsigned)(at / grid.x / grid.y)};
            run_block(order);
        }
        return true;
    });
    running = false;
    if (!fine)
        recover();
    return guards_whole(name) && fine;
}

/* --- launching --- */

static std::set<const void *> loaded_kernels;

void forget_kernels()
{
    loaded_kernels.clear();
    release_code_memory();
}

/* The driver loads a kernel's code when it is launched first. */
static bool load_kernel(const void *function)
{
    if (kernel_bytes == 0 || loaded_kernels.count(function) != 0)
        return true;
    loaded_kernels.insert(function);
    return take_code_memory(kernel_bytes);
}

struct limit {
    const void *function;
    size_t dynamic_bytes;
};
static std::vector<limit> limits; /* raised by cudaFuncSetAttribute */

static size_t shared_limit(const void *function)
{
    for (const limit &l : limits)
        if (l.function == function)
            return l.dynamic_bytes;
    return shared_default_bytes;
}

cudaError_t launch(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, const void *function, std::vector<access> accesses,
                   std::function<void()> run)
{
    const uint64_t size = (uint64_t)block.x * block.y * block.z;
    if (size == 0 || size > MOST_THREADS || block.z > 64 || grid.x == 0 || grid.y == 0 ||
        grid.z == 0 || grid.x > 0x7FFFFFFFU || grid.y > 65535 || grid.z > 65535) {
        report("%s: grid (%u,%u,%u) of blocks (%u,%u,%u) is not allowed", name, grid.x, grid.y,
               grid.z, block.x, block.y, block.z);
        return set_error(cudaErrorInvalidConfiguration);
    }
    if (shared_bytes > shared_limit(function)) {
        report("%s: %zu bytes of dynamic shared memory, allowed are %zu", name, shared_bytes,
               shared_limit(function));
        return set_error(cudaErrorInvalidValue);
    }
    if (!load_kernel(function))
        return set_error(cudaErrorMemoryAllocation);
    totals.launches++;
    return issue(stream, name, std::move(accesses), [=, run = std::move(run)] {
        return traps_now() || run_grid(name, grid, block, shared_bytes, run);
    });
}

} // namespace det_emu

extern "C" cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute,
                                            int value)
{
    if (function == nullptr || attribute != cudaFuncAttributeMaxDynamicSharedMemorySize ||
        value < 0 || (size_t)value > det_emu::shared_most_bytes)
        return det_emu::set_error(cudaErrorInvalidValue);
    for (det_emu::limit &l : det_emu::limits)
        if (l.function == function) {
            l.dynamic_bytes = (size_t)value;
            return cudaSuccess;
        }
    det_emu::limits.push_back({function, (size_t)value});
    return cudaSuccess;
}

extern "C" void cuda_emu_set_schedule(const char *schedule)
{
    det_emu::set_schedule(schedule);
}
