/* stream.h: what stream.cc, copy.cc and graph.cc share. */
#ifndef DET_EMU_STREAM_H
#define DET_EMU_STREAM_H

#include <map>

#include "emu.h"

namespace det_emu
{

/* How far into each stream something is known to be over: stream number -> position. */
using vector_clock = std::map<unsigned, uint64_t>;
void join(vector_clock &into, const vector_clock &other);

/* Who used an address last. */
struct use {
    size_t bytes;
    vector_clock writers, readers; /* the last write of each stream, and the reads since */
};
/* By first byte. Of the process, or of one capture. */
struct history {
    std::map<uintptr_t, use> uses;
    size_t longest = 1;
};

/* An operation that waits for its turn, or for a replay. */
struct operation {
    const char *name;
    std::vector<access> accesses;
    std::function<bool()> action;
};

} // namespace det_emu

struct CUgraph_st {
    std::vector<det_emu::operation> operations;
    det_emu::history history;
    cudaStream_t origin;
    std::vector<cudaStream_t> forked; /* not the origin */
    bool invalid;
};

struct CUgraphExec_st {
    std::vector<det_emu::operation> operations;
};

struct CUstream_st {
    unsigned number; /* 0: the default stream */
    bool blocking;   /* waits for the default stream, which waits for it */
    det_emu::vector_clock past;
    uint64_t position;
    CUgraph_st *capture;
};

struct CUevent_st {
    bool timing, recorded;
    double microseconds;
    det_emu::vector_clock past;
    CUgraph_st *capture;
};

namespace det_emu
{

/* The handle's stream, the default one for nullptr; nullptr when there is no such handle. */
CUstream_st *stream_of(cudaStream_t handle);
/* False, reported, when another stream's use is not over for certain. Notes the use. */
bool order_accesses(CUstream_st *s, const char *name, const std::vector<access> &accesses,
                    history *past);
/* A next position on the stream. */
void advance(CUstream_st *s);
/* The host knows that what is before `past` is over: copies to the host that were waiting are
 * carried out. */
void host_knows(const vector_clock &past);
/* Of the stream whose operation runs: for a copy to the host, which only a wait makes visible. */
void copy_to_host_later(void *to, const void *from, size_t bytes);
void drop_waiting_copies(const vector_clock &past);
extern CUstream_st *running_stream;
/* The operation that runs does not end on a device: what is behind it waits until they are let go,
 * and is carried out then. */
void stop_streams();
void let_streams_go();
void hold(CUstream_st *s, std::function<bool()> action);
/* What is behind `past` waits for that. */
bool stopped(const vector_clock &past);

} // namespace det_emu

#endif
