/* stream.cc: streams and events. Operations are carried out when they are issued; what a real
 * device would be free to reorder is found by vector clocks: an access is an error unless the
 * stream has waited for what other streams did to that memory. */
#include <algorithm>
#include <set>

#include "stream.h"

namespace det_emu
{

static CUstream_st default_stream = {0, false, {}, 0, nullptr};
static std::set<cudaStream_t> streams;
static std::set<cudaEvent_t> events;
static unsigned next_number = 1;
static vector_clock host; /* what the host has waited for */
static history process;   /* outside of captures */
CUstream_st *running_stream;
/* Of the operation that does not end; position 0: none. */
static unsigned stopped_number;
static uint64_t stopped_position;
/* What waits behind it. */
static std::vector<std::pair<CUstream_st *, std::function<bool()>>> held;
double clock_us;

void join(vector_clock &into, const vector_clock &other)
{
    for (const auto &[number, position] : other)
        into[number] = std::max(into[number], position);
}

CUstream_st *stream_of(cudaStream_t handle)
{
    if (handle == nullptr)
        return &default_stream;
    return streams.count(handle) != 0 ? handle : nullptr;
}

void streams_reset()
{
    for (const cudaStream_t s : streams)
        delete s;
    for (const cudaEvent_t e : events)
        delete e;
    streams.clear();
    events.clear();
    held.clear();
    process.uses.clear();
}

void stream_counts(cuda_emu_counts *counts)
{
    counts->live_streams = (long)streams.size();
    for (const CUstream_st *s : streams)
        counts->live_blocking_streams += s->blocking;
    counts->live_events = (long)events.size();
}

void stop_streams()
{
    if (stopped_position != 0)
        return;
    stopped_number = running_stream->number;
    stopped_position = running_stream->position;
}

void hold(CUstream_st *s, std::function<bool()> action)
{
    held.emplace_back(s, std::move(action));
}

void let_streams_go()
{
    stopped_position = 0;
    const auto waiting = std::move(held);
    held.clear();
    for (const auto &[s, action] : waiting) {
        running_stream = s;
        action();
    }
}

bool stopped(const vector_clock &past)
{
    const auto known = past.find(stopped_number);
    return stopped_position != 0 && known != past.end() && known->second >= stopped_position;
}

/* --- order --- */

static bool before(const vector_clock &uses, const vector_clock &past, const CUstream_st *s)
{
    for (const auto &[number, position] : uses) {
        const auto known = past.find(number);
        if (number != s->number && (known == past.end() || known->second < position))
            return false;
    }
    return true;
}

void advance(CUstream_st *s)
{
    join(s->past, host);
    if (s == &default_stream) {
        for (const cudaStream_t other : streams)
            if (other->blocking)
                join(s->past, other->past);
    } else if (s->blocking) {
        join(s->past, default_stream.past);
    }
    s->past[s->number] = ++s->position;
}

/* What an access of the same first byte, but fewer, leaves of an earlier use. */
static void keep_rest(history *past, uintptr_t begin, const use &of, size_t bytes)
{
    use &rest = past->uses[begin];
    rest.bytes = std::max(rest.bytes, bytes);
    join(rest.writers, of.writers);
    join(rest.readers, of.readers);
}

static bool order_access(CUstream_st *s, const char *name, const access &a, history *past)
{
    const uintptr_t begin = (uintptr_t)a.pointer, end = begin + std::max<size_t>(a.bytes, 1);
    past->longest = std::max(past->longest, (size_t)(end - begin));
    for (auto at = past->uses.lower_bound(begin > past->longest ? begin - past->longest : 0);
         at != past->uses.end() && at->first < end; ++at) {
        const use &u = at->second;
        if (at->first + u.bytes <= begin)
            continue;
        if (!before(u.writers, s->past, s) || (a.write && !before(u.readers, s->past, s))) {
            report(
                "%s: stream order: %s %p, which another stream uses, without having waited for it",
                name, a.write ? "writes" : "reads", a.pointer);
            return false;
        }
    }
    use &u = past->uses[begin];
    if (u.bytes > end - begin)
        keep_rest(past, end, u, u.bytes - (end - begin));
    u.bytes = end - begin;
    if (a.write) {
        u.writers = {{s->number, s->position}};
        u.readers.clear();
    } else {
        u.readers[s->number] = s->position;
    }
    return true;
}

bool order_accesses(CUstream_st *s, const char *name, const std::vector<access> &accesses,
                    history *past)
{
    bool fine = true;
    for (const access &a : accesses) {
        if (memory_of(a.pointer, nullptr, nullptr) == memory::foreign) {
            report("%s: %p is no device memory", name, a.pointer);
            fine = false;
            continue;
        }
        fine = order_access(s, name, a, past) && fine;
    }
    return fine;
}

void forget_uses(const void *begin, size_t bytes)
{
    const auto first = process.uses.lower_bound((uintptr_t)begin);
    process.uses.erase(first, process.uses.lower_bound((uintptr_t)begin + bytes + 1));
}

/* --- issuing --- */

static bool any_capture()
{
    return std::any_of(streams.begin(), streams.end(),
                       [](cudaStream_t s) { return s->capture != nullptr; });
}

cudaError_t not_while_capturing(const char *call)
{
    if (!any_capture())
        return cudaSuccess;
    report("%s while a stream is capturing", call);
    for (const cudaStream_t s : streams)
        if (s->capture != nullptr)
            s->capture->invalid = true;
    return set_error(cudaErrorStreamCaptureUnsupported);
}

cudaError_t issue(cudaStream_t handle, const char *name, std::vector<access> accesses,
                  std::function<bool()> action)
{
    if (broken() != cudaSuccess)
        return broken();
    CUstream_st *s = stream_of(handle);
    if (s == nullptr) {
        report("%s: no such stream", name);
        return set_error(cudaErrorInvalidResourceHandle);
    }
    const cudaError_t failed = enqueued();
    if (failed != cudaSuccess || dry)
        return failed;
    if (s == &default_stream) {
        const cudaError_t error = not_while_capturing(name);
        if (error != cudaSuccess)
            return error;
    }
    advance(s);
    if (s->capture != nullptr) {
        if (!order_accesses(s, name, accesses, &s->capture->history)) {
            s->capture->invalid = true;
            return set_error(cudaErrorStreamCaptureInvalidated);
        }
        s->capture->operations.push_back({name, std::move(accesses), std::move(action)});
        return cudaSuccess;
    }
    if (!order_accesses(s, name, accesses, &process))
        return set_error(cudaErrorLaunchFailure);
    if (stopped(s->past)) {
        hold(s, std::move(action));
        return cudaSuccess;
    }
    running_stream = s;
    clock_us++;
    return action() ? cudaSuccess : set_error(cudaErrorLaunchFailure);
}

static cudaError_t host_waits(const char *call, const vector_clock &past)
{
    if (broken() != cudaSuccess)
        return broken();
    const cudaError_t error = not_while_capturing(call);
    if (error != cudaSuccess)
        return error;
    totals.host_waits++;
    if (stopped(past)) {
        report("%s would wait for ever: a rank is gone", call);
        return set_error(cudaErrorLaunchFailure);
    }
    join(host, past);
    host_knows(past);
    return cudaPeekAtLastError();
}

/* A stream that waits for a captured event takes part in the capture. */
static cudaError_t join_capture(CUstream_st *s, CUgraph_st *graph)
{
    if (s->capture == nullptr) {
        s->capture = graph;
        graph->forked.push_back(s);
    }
    return s->capture == graph ? cudaSuccess : set_error(cudaErrorInvalidValue);
}

} // namespace det_emu

using namespace det_emu;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    cudaError_t error = machine_ready();
    if (error != cudaSuccess)
        return error;
    if (allocation_fails())
        return set_error(cudaErrorMemoryAllocation);
    *stream = new CUstream_st{next_number++, (flags & cudaStreamNonBlocking) == 0, {}, 0, nullptr};
    streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (broken() != cudaSuccess)
        return broken();
    if (streams.erase(stream) == 0)
        return set_error(cudaErrorInvalidResourceHandle);
    drop_waiting_copies(stream->past);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    CUstream_st *s = stream_of(stream);
    return s != nullptr ? host_waits("cudaStreamSynchronize", s->past)
                        : set_error(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    const CUstream_st *s = stream_of(stream);
    if (broken() != cudaSuccess)
        return broken();
    if (s == nullptr)
        return set_error(cudaErrorInvalidResourceHandle);
    if (stopped(s->past))
        return set_error(cudaErrorNotReady);
    return not_while_capturing("cudaStreamQuery");
}

cudaError_t cudaDeviceSynchronize(void)
{
    vector_clock all = default_stream.past;
    for (const cudaStream_t s : streams)
        join(all, s->past);
    totals.device_waits++;
    return host_waits("cudaDeviceSynchronize", all);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    cudaError_t error = machine_ready();
    if (error != cudaSuccess)
        return error;
    if (allocation_fails())
        return set_error(cudaErrorMemoryAllocation);
    *event = new CUevent_st{(flags & cudaEventDisableTiming) == 0, false, 0, {}, nullptr};
    events.insert(*event);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (broken() != cudaSuccess)
        return broken();
    if (events.erase(event) == 0)
        return set_error(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (broken() != cudaSuccess)
        return broken();
    CUstream_st *s = stream_of(stream);
    if (s == nullptr || events.count(event) == 0)
        return set_error(cudaErrorInvalidResourceHandle);
    const cudaError_t failed = enqueued();
    if (failed != cudaSuccess)
        return failed;
    advance(s);
    event->past = s->past;
    event->capture = s->capture;
    event->recorded = true;
    event->microseconds = clock_us;
    return cudaSuccess;
}

/* An event of its own in a recording: a node of the graph, which takes the time when it is carried
 * out; nobody can wait for it in the recording. */
static cudaError_t record_external(cudaEvent_t event, CUstream_st *s)
{
    event->capture = nullptr;
    event->recorded = false;
    return issue(s, "cudaEventRecord", {}, [event] {
        if (events.count(event) == 0) {
            report("a recording takes the time with an event that is gone");
            return false;
        }
        event->past = running_stream->past;
        event->recorded = true;
        event->microseconds = ++clock_us;
        return true;
    });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int flags)
{
    CUstream_st *s = stream_of(stream);
    if (flags == cudaEventRecordDefault)
        return cudaEventRecord(event, stream);
    if (broken() != cudaSuccess)
        return broken();
    if (s == nullptr || events.count(event) == 0)
        return set_error(cudaErrorInvalidResourceHandle);
    if (flags != cudaEventRecordExternal || s->capture == nullptr) {
        report("cudaEventRecordWithFlags: an external event where nothing is recorded");
        return set_error(cudaErrorInvalidValue);
    }
    return record_external(event, s);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int)
{
    if (broken() != cudaSuccess)
        return broken();
    CUstream_st *s = stream_of(stream);
    if (s == nullptr || events.count(event) == 0)
        return set_error(cudaErrorInvalidResourceHandle);
    const cudaError_t failed = enqueued();
    if (failed != cudaSuccess || waits_ignored)
        return failed;
    if (event->capture != nullptr && event->capture != s->capture) {
        const cudaError_t error = join_capture(s, event->capture);
        if (error != cudaSuccess)
            return error;
    }
    join(s->past, event->past);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return events.count(event) != 0 ? host_waits("cudaEventSynchronize", event->past)
                                    : set_error(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return events.count(event) != 0 ? cudaSuccess : set_error(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    if (events.count(start) == 0 || events.count(end) == 0 || !start->timing || !end->timing ||
        !start->recorded || !end->recorded || start->capture != nullptr || end->capture != nullptr)
        return set_error(cudaErrorInvalidResourceHandle);
    *milliseconds = (float)((end->microseconds - start->microseconds) * 1e-3);
    return cudaSuccess;
}

} // extern "C"
