/* copy.cc: copies and fills. A copy to the host shows only after a wait, as on a device: until then
 * its place holds a pattern. Pinned memory that is copied to the device must be left alone until a
 * wait: whether it was is looked at then. */
#include <stdlib.h>

#include "stream.h"

namespace det_emu
{

struct waiting_copy {
    unsigned stream;
    uint64_t position;
    void *to;
    std::vector<char> data;
};
static std::vector<waiting_copy> waiting;

void copy_to_host_later(void *to, const void *from, size_t bytes)
{
    const char *begin = (const char *)from;
    waiting.push_back({running_stream->number, running_stream->position, to,
                       std::vector<char>(begin, begin + bytes)});
    memset(to, 0xEE, bytes);
}

/* Pinned memory that a copy may still be reading, and what was in it. */
struct read_memory {
    unsigned stream;
    uint64_t position;
    const void *from;
    size_t bytes;
    uint64_t sum;
};
static std::vector<read_memory> being_read;

static uint64_t sum_of(const void *from, size_t bytes)
{
    const char *at = (const char *)from;
    uint64_t sum = bytes, word = 0;
    for (size_t i = 0; i < bytes; i += sizeof word) {
        const size_t count = bytes - i < sizeof word ? bytes - i : sizeof word;
        memcpy(&word, at + i, count);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15U;
        sum ^= sum >> 29;
    }
    return sum;
}

static void note_read(const void *from, size_t bytes)
{
    being_read.push_back(
        {running_stream->number, running_stream->position, from, bytes, sum_of(from, bytes)});
}

static void check_read(const read_memory &r)
{
    if (sum_of(r.from, r.bytes) == r.sum)
        return;
    report("the host changed %p (%zu bytes) while it may still have been copied", r.from, r.bytes);
    set_error(cudaErrorLaunchFailure);
}

void forget_reads(const void *begin, size_t bytes)
{
    for (size_t i = being_read.size(); i-- > 0;) {
        const uintptr_t offset = (uintptr_t)being_read[i].from - (uintptr_t)begin;
        if (offset >= bytes)
            continue;
        check_read(being_read[i]);
        being_read.erase(being_read.begin() + (long)i);
    }
}

void copies_reset()
{
    waiting.clear();
    being_read.clear();
}

static void finish_reads(const vector_clock &past)
{
    size_t kept = 0;
    for (const read_memory &r : being_read) {
        const auto known = past.find(r.stream);
        if (known != past.end() && known->second >= r.position)
            check_read(r);
        else
            being_read[kept++] = r;
    }
    being_read.resize(kept);
}

static void finish_copies(const vector_clock &past, bool carry_out)
{
    size_t kept = 0;
    for (size_t i = 0; i < waiting.size(); i++) {
        const auto known = past.find(waiting[i].stream);
        if (known != past.end() && known->second >= waiting[i].position) {
            if (carry_out)
                memcpy(waiting[i].to, waiting[i].data.data(), waiting[i].data.size());
        } else {
            if (kept != i)
                waiting[kept] = std::move(waiting[i]);
            kept++;
        }
    }
    waiting.resize(kept);
}

void host_knows(const vector_clock &past)
{
    finish_copies(past, true);
    finish_reads(past);
}

void drop_waiting_copies(const vector_clock &past)
{
    finish_copies(past, false);
    finish_reads(past);
}

/* The kind must say what the pointers are, and the ranges must lie in their blocks. */
static bool check_side(const char *call, const void *pointer, size_t bytes, bool device)
{
    const void *begin;
    size_t size;
    if (dry)
        return true;
    const memory kind = memory_of(pointer, &begin, &size);
    const bool inside = kind == memory::foreign ||
                        (size_t)((const char *)pointer - (const char *)begin) + bytes <= size;
    if ((kind == memory::device) == device && inside)
        return true;
    report("%s: %zu bytes at %p are not %s memory of that size", call, bytes, pointer,
           device ? "device" : "host");
    return false;
}

static cudaError_t copy(const char *call, void *to, size_t to_pitch, const void *from,
                        size_t from_pitch, size_t width, size_t height, cudaMemcpyKind kind,
                        cudaStream_t stream, bool now)
{
    if (width == 0 || height == 0)
        return cudaSuccess;
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    const size_t to_bytes = to_pitch * (height - 1) + width,
                 from_bytes = from_pitch * (height - 1) + width;
    if (kind == cudaMemcpyDefault || width > to_pitch || width > from_pitch ||
        !check_side(call, to, to_bytes, to_device) ||
        !check_side(call, from, from_bytes, from_device))
        return set_error(cudaErrorInvalidValue);
    const void *on_host = to_device ? from : to;
    const bool pinned = memory_of(on_host, nullptr, nullptr) == memory::pinned;
    if (!now && to_device != from_device && !pinned)
        totals.unpinned_copies++;
    std::vector<access> accesses;
    if (to_device)
        accesses.push_back({to, to_bytes, true});
    if (from_device)
        accesses.push_back({from, from_bytes, false});
    return issue(stream, call, std::move(accesses), [=] {
        for (size_t y = 0; y < height; y++) {
            char *row = (char *)to + y * to_pitch;
            const char *source = (const char *)from + y * from_pitch;
            if (kind == cudaMemcpyDeviceToHost && !now)
                copy_to_host_later(row, source, width);
            else
                memmove(row, source, width);
            if (to_device && !from_device && !now && pinned)
                note_read(source, width);
        }
        return true;
    });
}

static cudaError_t fill(const char *call, void *to, int value, size_t bytes, cudaStream_t stream)
{
    if (bytes == 0)
        return cudaSuccess;
    if (!check_side(call, to, bytes, true))
        return set_error(cudaErrorInvalidValue);
    return issue(stream, call, {{to, bytes, true}}, [=] {
        memset(to, value, bytes);
        return true;
    });
}

} // namespace det_emu

using namespace det_emu;

extern "C" {

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return copy("cudaMemcpyAsync", to, bytes, from, bytes, bytes, 1, kind, stream, false);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width_bytes, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    return copy("cudaMemcpy2DAsync", to, to_pitch, from, from_pitch, width_bytes, height, kind,
                stream, false);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    cudaError_t error = not_while_capturing("cudaMemcpy");
    if (error == cudaSuccess)
        error = copy("cudaMemcpy", to, bytes, from, bytes, bytes, 1, kind, nullptr, true);
    return error == cudaSuccess ? cudaStreamSynchronize(nullptr) : error;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    return fill("cudaMemsetAsync", to, value, bytes, stream);
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    return fill("cudaMemset", to, value, bytes, nullptr);
}

} // extern "C"
