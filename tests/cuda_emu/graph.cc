/* graph.cc: capture of a stream's operations, and their replay in the order they were recorded. */
#include <algorithm>
#include <set>

#include "stream.h"

using namespace det_emu;

namespace det_emu
{

static std::set<cudaGraph_t> graphs;
static std::set<cudaGraphExec_t> execs;

void graph_counts(cuda_emu_counts *counts)
{
    counts->live_graphs = (long)graphs.size();
    counts->live_execs = (long)execs.size();
}

void graphs_reset()
{
    for (const cudaGraph_t graph : graphs)
        delete graph;
    for (const cudaGraphExec_t exec : execs)
        delete exec;
    graphs.clear();
    execs.clear();
}

/* Every forked stream's last operation must be over for the origin. */
static bool joined(const CUgraph_st *graph)
{
    return std::all_of(graph->forked.begin(), graph->forked.end(), [&](const CUstream_st *s) {
        const auto known = graph->origin->past.find(s->number);
        return known != graph->origin->past.end() && known->second >= s->position;
    });
}

} // namespace det_emu

extern "C" {

/* In the global mode a call of any other thread of the process, say an allocation, would end the
 * capture: no library may ask for that. */
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    if (broken() != cudaSuccess)
        return broken();
    CUstream_st *s = stream_of(stream);
    if (stream == nullptr || s == nullptr)
        return set_error(cudaErrorStreamCaptureUnsupported);
    if (s->capture != nullptr)
        return set_error(cudaErrorInvalidValue);
    if (mode == cudaStreamCaptureModeGlobal) {
        report("cudaStreamBeginCapture in the global mode, which other threads' calls would end");
        return set_error(cudaErrorStreamCaptureUnsupported);
    }
    totals.captures++;
    s->capture = new CUgraph_st{};
    s->capture->origin = s;
    graphs.insert(s->capture);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    CUstream_st *s = stream_of(stream);
    *graph = nullptr;
    if (s == nullptr || s->capture == nullptr || s->capture->origin != s)
        return set_error(cudaErrorInvalidValue);
    CUgraph_st *captured = s->capture;
    const bool whole = joined(captured);
    for (CUstream_st *other : captured->forked)
        other->capture = nullptr;
    s->capture = nullptr;
    if (captured->invalid || !whole) {
        graphs.erase(captured);
        const bool invalid = captured->invalid;
        delete captured;
        return set_error(invalid ? cudaErrorStreamCaptureInvalidated
                                 : cudaErrorStreamCaptureUnjoined);
    }
    *graph = captured;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    const CUstream_st *s = stream_of(stream);
    if (s == nullptr)
        return set_error(cudaErrorInvalidResourceHandle);
    *status = s->capture == nullptr ? cudaStreamCaptureStatusNone
              : s->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = nullptr;
    if (graphs.count(graph) == 0)
        return set_error(cudaErrorInvalidValue);
    if (allocation_fails())
        return set_error(cudaErrorMemoryAllocation);
    *exec = new CUgraphExec_st{graph->operations};
    execs.insert(*exec);
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    return execs.count(exec) != 0 && stream_of(stream) != nullptr
               ? cudaSuccess
               : set_error(cudaErrorInvalidValue);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (execs.count(exec) == 0)
        return set_error(cudaErrorInvalidValue);
    totals.graph_launches++;
    /* To the rest of the world a graph is one operation that uses all that its own use. */
    std::vector<access> accesses;
    for (const operation &o : exec->operations)
        accesses.insert(accesses.end(), o.accesses.begin(), o.accesses.end());
    return issue(stream, "cudaGraphLaunch", std::move(accesses), [exec] {
        return std::all_of(exec->operations.begin(), exec->operations.end(),
                           [](const operation &o) {
                               if (!stopped(running_stream->past))
                                   return o.action();
                               hold(running_stream, o.action);
                               return true;
                           });
    });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    if (graphs.count(graph) == 0 || nodes != nullptr)
        return set_error(cudaErrorInvalidValue);
    *count = graph->operations.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    if (broken() != cudaSuccess)
        return broken();
    if (graphs.erase(graph) == 0)
        return set_error(cudaErrorInvalidValue);
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    if (broken() != cudaSuccess)
        return broken();
    if (execs.erase(exec) == 0)
        return set_error(cudaErrorInvalidValue);
    delete exec;
    return cudaSuccess;
}

} // extern "C"
