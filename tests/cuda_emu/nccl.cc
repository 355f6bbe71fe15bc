/* nccl.cc: NCCL's stand-in. Ranks are processes; a file in memory that all of them map brings them
 * together, its name is in the id.
 *
 * A call is an operation of its stream: what it reads and writes is looked at like a kernel's, so a
 * missing wait is found, and it is carried out where the stream has come to it. There all ranks
 * meet, and must have come with the same call. Sums are added up in an order that goes from place
 * to place, as in a ring, so that nobody counts on the order of the ranks.
 *
 * Where a rank is gone the others' streams stop there, as on a device: what is behind is not
 * carried out, asked for it they are not ready, and who waits for them would wait for ever, which
 * is reported. ncclCommAbort() ends that: all goes on, with values that nobody has summed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <set>

#include "stream.h"
#include "values.h"

extern "C" {
#include "devices/cuda/cuda_nccl.h"
}

namespace det_emu
{

enum { most_ranks = 8, piece_bytes = 1 << 20 };
enum {
    unhandled_cuda = 1,
    system_error = 2,
    internal = 3,
    invalid_argument = 4,
    invalid_usage = 5,
    remote = 6
};

/* Nobody is as late as this: who is not there by then makes other calls. */
constexpr double patience_s = 120;

/* What a rank has come with. */
struct call {
    char name[24];
    uint64_t count;
    int type, operation;
};

struct meeting_place {
    std::atomic<int> came;
    struct {
        std::atomic<uint64_t> brought, taken;
        std::atomic<int> bus;
        call with;
    } ranks[most_ranks];
    char data[most_ranks][piece_bytes];
};

static int version = 22803;
static bool hidden, tells, cut;
static std::set<ncclComm *> communicators;

} // namespace det_emu

using namespace det_emu;

struct ncclComm {
    int rank, size, file;
    meeting_place *place;
    uint64_t number; /* pieces so far */
    bool parted;     /* a rank is gone, or calls differ */
    bool differ;     /* which is told, so that no test waits for ever */
    bool aborted;    /* calls end at once, with whatever there is */
    /* Each of its calls that may still be carried out has it: those of recordings. */
    std::shared_ptr<int> calls;
};

namespace det_emu
{

/* Each rank holds a lock on its own byte of the file, which goes with the process. */
static bool lock_own(const ncclComm *c)
{
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_start = c->rank;
    lock.l_len = 1;
    return fcntl(c->file, F_SETLK, &lock) == 0;
}

static bool gone(const ncclComm *c, int rank)
{
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_start = rank;
    lock.l_len = 1;
    /* One that has not come yet may still do so. */
    return rank != c->rank && c->place->ranks[rank].bus != 0 &&
           fcntl(c->file, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

static double now_s()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Until all ranks have come so far; false: one is gone. */
template <typename F> static bool meet(ncclComm *c, const char *name, F reached)
{
    const double begin = now_s();
    for (int r = 0; r < c->size; r++) {
        for (long looks = 0; !reached(r); looks++) {
            if (gone(c, r) && !reached(r))
                return false;
            if (now_s() - begin > patience_s) {
                report("%s: rank %d waits for rank %d, which makes no such call", name, c->rank, r);
                c->differ = true;
                return false;
            }
            if (looks > 100)
                usleep(100);
        }
    }
    return true;
}

/* Brings a piece and gets the others' to look at; false when not all come, or not with the same. */
static bool bring(ncclComm *c, const call &with, const void *data, size_t bytes)
{
    meeting_place *p = c->place;
    const uint64_t number = ++c->number;
    if (!meet(c, with.name, [&](int r) { return p->ranks[r].taken >= number - 1; }))
        return false;
    memcpy(p->data[c->rank], data, bytes);
    p->ranks[c->rank].with = with;
    p->ranks[c->rank].brought = number;
    if (!meet(c, with.name, [&](int r) { return p->ranks[r].brought >= number; }))
        return false;
    for (int r = 0; r < c->size; r++) {
        const call &other = p->ranks[r].with;
        if (strcmp(other.name, with.name) == 0 && other.count == with.count &&
            other.type == with.type && other.operation == with.operation)
            continue;
        report("ranks make different calls: rank %d %s of %llu values of type %d, rank %d %s of "
               "%llu of type %d",
               c->rank, with.name, (unsigned long long)with.count, with.type, r, other.name,
               (unsigned long long)other.count, other.type);
        c->differ = true;
        return false;
    }
    return true;
}

static void took(ncclComm *c)
{
    c->place->ranks[c->rank].taken = c->number;
}

static size_t bytes_of(int type)
{
    return type == DET_NCCL_BF16 ? 2 : type == DET_NCCL_FLOAT64 ? 8 : 4;
}

/* Of the ranks' values at one place of a piece. */
static void reduce(const ncclComm *c, const call &with, size_t i, void *to)
{
    const bool bf16 = with.type == DET_NCCL_BF16;
    const int first = (int)(i / 64 % (size_t)c->size);
    if (with.type == DET_NCCL_INT32) {
        int32_t lowest = ((const int32_t *)c->place->data[first])[i];
        for (int r = 0; r < c->size; r++)
            lowest = std::min(lowest, ((const int32_t *)c->place->data[r])[i]);
        ((int32_t *)to)[i] = lowest;
        return;
    }
    float sum = value_at(c->place->data[first], bf16, i);
    for (int k = 1; k < c->size; k++) {
        sum += value_at(c->place->data[(first + k) % c->size], bf16, i);
        if (bf16)
            sum = __bfloat162float(__float2bfloat16_rn(sum));
    }
    set_value(to, bf16, i, sum);
}

static bool all_reduce(ncclComm *c, call with, const char *from, char *to)
{
    const size_t size = bytes_of(with.type), most = piece_bytes / size;
    for (uint64_t done = 0; done < with.count; done += most) {
        const size_t now = std::min<uint64_t>(most, with.count - done);
        if (!bring(c, with, from + done * size, now * size))
            return false;
        for (size_t i = 0; i < now; i++)
            reduce(c, with, i, to + done * size);
        took(c);
    }
    return true;
}

static bool all_gather(ncclComm *c, call with, const char *from, char *to)
{
    const size_t size = bytes_of(with.type), most = piece_bytes / size;
    for (uint64_t done = 0; done < with.count; done += most) {
        const size_t now = std::min<uint64_t>(most, with.count - done);
        if (!bring(c, with, from + done * size, now * size))
            return false;
        for (int r = 0; r < c->size; r++)
            memcpy(to + ((uint64_t)r * with.count + done) * size, c->place->data[r], now * size);
        took(c);
    }
    return true;
}

static int refuse(int result, const char *name, const char *why)
{
    report("%s: %s", name, why);
    return result;
}

static int issue_call(const call &with, const void *from, void *to, size_t received, ncclComm *c,
                      cudaStream_t stream,
                      bool (*carry_out)(ncclComm *, call, const char *, char *))
{
    const size_t size = bytes_of(with.type);
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    if (communicators.count(c) == 0)
        return refuse(invalid_argument, with.name, "no such communicator");
    if (with.count == 0 || !device_range(from, with.count * size) ||
        !device_range(to, received * size))
        return refuse(invalid_argument, with.name, "values that are not in device memory");
    if (stream == nullptr || cudaStreamIsCapturing(stream, &capture) != cudaSuccess)
        return refuse(invalid_argument, with.name, "no such stream");
    if (capture != cudaStreamCaptureStatusNone && version < DET_NCCL_CAPTURES)
        return refuse(invalid_usage, with.name, "this version can not be recorded");
    if (with.type == DET_NCCL_BF16 && version < DET_NCCL_HAS_BF16)
        return refuse(invalid_argument, with.name, "this version has no bf16");
    std::vector<access> accesses = {{to, received * size, true}};
    if (from != to)
        accesses.push_back({from, with.count * size, false});
    const cudaError_t error = issue(stream, "NCCL", std::move(accesses), [=, calls = c->calls] {
        if (communicators.count(c) == 0) {
            report("%s: its communicator is gone", with.name);
            return false;
        }
        if (c->aborted || broken() != cudaSuccess)
            return true;
        if (c->parted || cut || !carry_out(c, with, (const char *)from, (char *)to)) {
            c->parted = true;
            stop_streams();
        }
        return true;
    });
    return library_status(error, (int)DET_NCCL_SUCCESS, (int)unhandled_cuda);
}

/* --- the library's functions --- */

static int get_version(int *number)
{
    *number = version;
    return DET_NCCL_SUCCESS;
}

static int get_id(det_nccl_id *id)
{
    static int made;
    snprintf(id->bytes, sizeof id->bytes, "/det-nccl-%ld-%d", (long)getpid(), ++made);
    const int file = shm_open(id->bytes, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file < 0 || ftruncate(file, sizeof(meeting_place)) != 0)
        return system_error;
    close(file);
    return DET_NCCL_SUCCESS;
}

static void forget(ncclComm *c)
{
    if (communicators.erase(c) == 0)
        return;
    live_handles--;
    munmap((void *)c->place, sizeof *c->place);
    close(c->file);
    delete c;
}

/* May run in a thread of its own, beside the one that makes all other calls and waits for it. */
static int init(ncclComm **out, int size, det_nccl_id id, int rank)
{
    *out = nullptr;
    if (size < 1 || size > most_ranks || rank < 0 || rank >= size)
        return refuse(invalid_argument, "ncclCommInitRank", "no such rank");
    const int file = shm_open(id.bytes, O_RDWR, 0);
    if (file < 0)
        return system_error;
    void *at = mmap(nullptr, sizeof(meeting_place), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED)
        return system_error;
    ncclComm *c = new ncclComm{rank,  size,  file,  (meeting_place *)at,     0,
                               false, false, false, std::make_shared<int>(0)};
    communicators.insert(c);
    live_handles++;
    int device = 0;
    (void)cudaGetDevice(&device);
    lock_own(c);
    c->place->ranks[rank].bus = device + 1;
    c->place->came++;
    const bool all = meet(c, "ncclCommInitRank", [&](int) { return c->place->came >= size; });
    if (rank == 0)
        shm_unlink(id.bytes);
    for (int r = 0; all && r < size; r++)
        if (r != rank && c->place->ranks[r].bus == device + 1) {
            forget(c);
            return refuse(invalid_usage, "ncclCommInitRank", "two ranks have one GPU");
        }
    if (!all) {
        forget(c);
        return remote;
    }
    *out = c;
    return DET_NCCL_SUCCESS;
}

static void expect_no_recordings(const ncclComm *c, const char *name)
{
    if (c->calls.use_count() > 1)
        report("%s would wait for ever: a recording has the communicator in it", name);
}

void nccl_reset()
{
    while (!communicators.empty())
        forget(*communicators.begin());
}

static int destroy(ncclComm *c)
{
    if (communicators.count(c) == 0)
        return refuse(invalid_argument, "ncclCommDestroy", "no such communicator");
    expect_no_recordings(c, "ncclCommDestroy");
    for (int r = 0; r < c->size; r++)
        if (c->parted || gone(c, r)) {
            report("ncclCommDestroy would wait for ever for a rank that is gone");
            break;
        }
    c->place->ranks[c->rank].bus = 0; /* took leave */
    forget(c);
    return DET_NCCL_SUCCESS;
}

static int abort_calls(ncclComm *c)
{
    if (communicators.count(c) == 0)
        return refuse(invalid_argument, "ncclCommAbort", "no such communicator");
    c->aborted = true;
    let_streams_go();
    expect_no_recordings(c, "ncclCommAbort");
    forget(c);
    return DET_NCCL_SUCCESS;
}

static int get_error(ncclComm *c, int *error)
{
    if (communicators.count(c) == 0)
        return refuse(invalid_argument, "ncclCommGetAsyncError", "no such communicator");
    *error = c->differ ? (int)internal : tells && c->parted ? (int)remote : (int)DET_NCCL_SUCCESS;
    return DET_NCCL_SUCCESS;
}

static const char *text_of(int result)
{
    switch (result) {
    case unhandled_cuda:
        return "unhandled cuda error";
    case system_error:
        return "unhandled system error";
    case internal:
        return "internal error";
    case invalid_usage:
        return "invalid usage";
    case remote:
        return "remote process exited or there was a network error";
    default:
        return "invalid argument";
    }
}

static int reduce_call(const void *from, void *to, size_t count, int type, int operation,
                       ncclComm *c, cudaStream_t stream)
{
    const bool number = type == DET_NCCL_INT32;
    if (operation != (number ? (int)DET_NCCL_MIN : (int)DET_NCCL_SUM))
        return refuse(invalid_argument, "ncclAllReduce", "an operation that nobody needs");
    return issue_call({"ncclAllReduce", count, type, operation}, from, to, count, c, stream,
                      all_reduce);
}

static int gather_call(const void *from, void *to, size_t count, int type, ncclComm *c,
                       cudaStream_t stream)
{
    const size_t ranks = communicators.count(c) != 0 ? (size_t)c->size : 1;
    return issue_call({"ncclAllGather", count, type, 0}, from, to, count * ranks, c, stream,
                      all_gather);
}

} // namespace det_emu

extern "C" {

det_status det_cuda_nccl_load(struct det_env *env, const struct det_nccl **nccl)
{
    static det_nccl functions;
    *nccl = nullptr;
    if (hidden)
        return det_fail(env, DET_STATUS_DEVICE, "libnccl.so.2 was not found; searched: nowhere");
    functions = {get_version, get_id,  init,        destroy,     abort_calls,
                 get_error,   text_of, reduce_call, gather_call, version};
    *nccl = &functions;
    return DET_OK;
}

void cuda_emu_set_nccl(int number)
{
    hidden = number == 0;
    version = number;
}

void cuda_emu_nccl_tells(int on)
{
    tells = on != 0;
}

void cuda_emu_cut_nccl(int on)
{
    cut = on != 0;
}

} // extern "C"
