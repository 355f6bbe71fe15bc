/* cuda_emu.h: the CUDA C++ that kernels/ uses, for a CPU. Included by kernels/launch.cuh in nvcc's
 * stead.
 *
 * The threads of a block are fibers of one OS thread; a block runs until all its threads are done,
 * block after block. Where threads meet (barriers, warp operations) they switch. Which thread goes
 * on first is the schedule's choice. */
#ifndef DET_CUDA_EMU_H
#define DET_CUDA_EMU_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "cuda_bf16.h"
#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__    __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

/* --- vector types --- */

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

#define DET_EMU_VECTORS(type, name, align2, align4)                      \
    struct alignas(align2) name##2                                       \
    {                                                                    \
        type x, y;                                                       \
    };                                                                   \
    struct alignas(align4) name##4                                       \
    {                                                                    \
        type x, y, z, w;                                                 \
    };                                                                   \
    static inline name##2 make_##name##2(type x, type y)                 \
    {                                                                    \
        return {x, y};                                                   \
    }                                                                    \
    static inline name##4 make_##name##4(type x, type y, type z, type w) \
    {                                                                    \
        return {x, y, z, w};                                             \
    }
DET_EMU_VECTORS(float, float, 8, 16)
DET_EMU_VECTORS(int, int, 8, 16)
DET_EMU_VECTORS(unsigned, uint, 8, 16)
DET_EMU_VECTORS(double, double, 16, 16)
#undef DET_EMU_VECTORS

namespace det_emu
{

/* --- threads --- */

struct thread {
    uint3 index;     /* threadIdx */
    unsigned linear; /* x fastest */
    unsigned warp, lane;
    unsigned warp_epoch; /* __syncwarp()s passed */
    /* Where it is in a translated kernel's PTX; nullptr in others. */
    const char *source_file;
    int source_line;
};

extern thread *self; /* the running one */
extern uint3 block_index;
extern dim3 block_size, grid_size;

/* Reports an error of the running kernel with block and thread, and ends the launch. Does not
 * return. */
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum class barrier { plain, count, all, any };
int sync_threads(barrier kind, int value, const char *file, int line);

enum class warp_operation { sync, index, up, down, exclusive, ballot };
/* The operation's result for this lane: the other lane's value, or the ballot. */
uint64_t warp_meet(warp_operation operation, unsigned mask, uint64_t value, int parameter,
                   int width, const char *file, int line);
unsigned active_mask();

/* --- shared memory --- */

/* One per element: who wrote and read it last, to find reads of what was never written and
 * races. */
struct shadow {
    uint32_t block;                   /* serial number of the block that the rest is about */
    uint32_t write_epoch, read_epoch; /* barriers passed then */
    uint32_t write_warp_epoch, read_warp_epoch;
    int16_t writer, reader; /* linear thread; see shared.cc for the negative ones */
    int16_t reader_warp;
    bool atomic; /* the last write was */
};

/* The block's array for one declaration: `elements` of `element_bytes`. The same memory for each
 * thread. */
void *shared_find(const void *site, const char *name, size_t element_bytes, size_t elements,
                  shadow **shadows);
void *dynamic_find(const char *name, size_t element_bytes, size_t *elements, shadow **shadows);
void shared_read(shadow *s, const char *name);
void shared_write(shadow *s, const char *name);
void shared_atomic(shadow *s, const char *name);
/* A raw pointer to the elements leaves our sight: they count as written from now on. */
void shared_escape(shadow *s, size_t elements);
[[noreturn]] void shared_bounds(const char *name, long long index, size_t elements);

/* What &tile[i] is: good for an atomic operation, or for a raw pointer. */
template <typename T> struct element_pointer {
    T *value;
    shadow *mark;
    const char *name;
    operator T *() const
    {
        shared_escape(mark, 1);
        return value;
    }
};

/* One element. */
template <typename T> struct element {
    T *value;
    shadow *mark;
    const char *name;
    operator T() const
    {
        shared_read(mark, name);
        return *value;
    }
    T operator=(const T &other) const
    {
        shared_write(mark, name);
        return *value = other;
    }
    T operator=(const element &other) const
    {
        return *this = (T)other;
    }
    element(const element &) = default;
    element(T *v, shadow *m, const char *n) : value(v), mark(m), name(n)
    {
    }
    template <typename U> T operator+=(const U &other) const
    {
        return *this = (T)((T) * this + other);
    }
    template <typename U> T operator-=(const U &other) const
    {
        return *this = (T)((T) * this - other);
    }
    template <typename U> T operator*=(const U &other) const
    {
        return *this = (T)((T) * this * other);
    }
    template <typename U> T operator|=(const U &other) const
    {
        return *this = (T)((T) * this | other);
    }
    element_pointer<T> operator&() const
    {
        return {value, mark, name};
    }
};

/* An array, of arrays perhaps. A leaf is T with std::extent 0. */
template <typename T> struct view;
template <typename T, size_t N> struct view<T[N]> {
    using leaf = std::remove_all_extents_t<T>;
    static constexpr size_t leaves = sizeof(T) / sizeof(leaf);
    leaf *values;
    shadow *marks;
    const char *name;
    template <typename I> auto operator[](I index) const
    {
        const long long i = (long long)index;
        if (i < 0 || i >= (long long)N)
            shared_bounds(name, i, N);
        if constexpr (std::is_array_v<T>)
            return view<T>{values + (size_t)i * leaves, marks + (size_t)i * leaves, name};
        else
            return element<T>(values + i, marks + i, name);
    }
    operator leaf *() const
    {
        shared_escape(marks, N * leaves);
        return values;
    }
};

/* Dynamic shared memory from some element on. */
template <typename T> struct dynamic_view {
    T *values;
    shadow *marks;
    size_t elements;
    const char *name;
    template <typename I> element<T> operator[](I index) const
    {
        const long long i = (long long)index;
        if (i < 0 || i >= (long long)elements)
            shared_bounds(name, i, elements);
        return element<T>(values + i, marks + i, name);
    }
    template <typename I> dynamic_view operator+(I offset) const
    {
        const long long i = (long long)offset;
        if (i < 0 || i > (long long)elements)
            shared_bounds(name, i, elements);
        return {values + i, marks + i, elements - (size_t)i, name};
    }
};

template <typename Array> view<Array> shared_array(const void *site, const char *name)
{
    using leaf = std::remove_all_extents_t<Array>;
    shadow *marks;
    void *values = shared_find(site, name, sizeof(leaf), sizeof(Array) / sizeof(leaf), &marks);
    return {(leaf *)values, marks, name};
}

template <typename T> dynamic_view<T> dynamic_array(const char *name)
{
    shadow *marks;
    size_t elements;
    void *values = dynamic_find(name, sizeof(T), &elements, &marks);
    return {(T *)values, marks, elements, name};
}

/* --- launching --- */

/* A device pointer that an operation on a stream was given. bytes 0: an unknown number from there
 * on; one struct of an unknown number of them. */
struct access {
    const void *pointer;
    size_t bytes;
    bool write;
};

cudaError_t launch(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, const void *function, std::vector<access> accesses,
                   std::function<void()> body);

/* A kernel in another form, run in its place: nvcc's PTX as C++ (tests/cuda_ptx). */
struct translation {
    const void *kernel;     /* the function that a launch names */
    int arch;               /* 90: of sm_90 */
    size_t parameter_bytes; /* in the order of the kernel's parameters, each aligned */
    unsigned most_threads;  /* of a block; 0: any number */
    void (*run)(const unsigned char *parameters);
};

/* Makes translations known, as a static object of the file that has them. */
struct translations {
    translations(const translation *first, size_t count);
};

/* Where translations are linked in they run, those of DET_PTX_ARCH or the highest there is. */
bool translated();
/* nullptr, reported, when the kernel has none or it cannot be launched so. */
const translation *translation_of(const char *name, const void *kernel, dim3 block,
                                  size_t parameter_bytes);

template <typename P> void lay_out(std::vector<unsigned char> &parameters, const P &argument)
{
    const size_t at = (parameters.size() + alignof(P) - 1) / alignof(P) * alignof(P);
    parameters.resize(at + sizeof argument);
    memcpy(parameters.data() + at, &argument, sizeof argument);
}

template <typename P> void add_access(std::vector<access> &list, const P &argument)
{
    if constexpr (std::is_pointer_v<P>) {
        using pointee = std::remove_pointer_t<P>;
        size_t bytes = 0;
        if constexpr (std::is_class_v<pointee>)
            bytes = sizeof(pointee);
        if (argument != nullptr)
            list.push_back({(const void *)argument, bytes, !std::is_const_v<pointee>});
    }
}

template <typename... P, typename... A>
void launch_kernel(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                   size_t shared_bytes, cudaStream_t stream, A &&...arguments)
{
    std::vector<access> accesses;
    std::tuple<std::decay_t<P>...> values(static_cast<P>(arguments)...);
    std::apply([&](const auto &...value) { (add_access(accesses, value), ...); }, values);
    if (translated()) {
        std::vector<unsigned char> parameters;
        std::apply([&](const auto &...value) { (lay_out(parameters, value), ...); }, values);
        const translation *t = translation_of(name, (const void *)kernel, block, parameters.size());
        if (t != nullptr)
            launch(name, grid, block, shared_bytes, stream, (const void *)kernel,
                   std::move(accesses), [t, parameters] { t->run(parameters.data()); });
        return;
    }
    launch(name, grid, block, shared_bytes, stream, (const void *)kernel, std::move(accesses),
           [kernel, values] { std::apply(kernel, values); });
}

/* Ends the launch unless the range is aligned and lies in one live block of device memory. */
void check_global(const void *pointer, size_t bytes);

} // namespace det_emu

#define threadIdx (det_emu::self->index)
#define blockIdx  (det_emu::block_index)
#define blockDim  (det_emu::block_size)
#define gridDim   (det_emu::grid_size)
static constexpr int warpSize = 32;

#define DET_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
    det_emu::launch_kernel(#kernel, kernel, grid, block, shared_bytes, stream, __VA_ARGS__)
#define DET_SHARED(type, name, dimensions) \
    static const char name##_site = 0;     \
    const auto name = det_emu::shared_array<type dimensions>(&name##_site, #name)
#define DET_DYNAMIC_SHARED(type, name)   const auto name = det_emu::dynamic_array<type>(#name)
#define DET_CHECK_ACCESS(pointer, bytes) det_emu::check_global(pointer, bytes)

/* --- synchronisation --- */

#define __syncthreads() \
    ((void)det_emu::sync_threads(det_emu::barrier::plain, 0, __FILE__, __LINE__))
#define __syncthreads_count(value) \
    det_emu::sync_threads(det_emu::barrier::count, (value) != 0, __FILE__, __LINE__)
#define __syncthreads_and(value) \
    det_emu::sync_threads(det_emu::barrier::all, (value) != 0, __FILE__, __LINE__)
#define __syncthreads_or(value) \
    det_emu::sync_threads(det_emu::barrier::any, (value) != 0, __FILE__, __LINE__)

namespace det_emu
{
template <typename T>
T shuffle(warp_operation operation, unsigned mask, T value, int parameter, int width,
          const char *file, int line)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = warp_meet(operation, mask, bits, parameter, width, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline int width_of()
{
    return 32;
}
static inline int width_of(int width)
{
    return width;
}
} // namespace det_emu

#define DET_SHUFFLE(operation, mask, value, parameter, ...)                      \
    det_emu::shuffle(det_emu::warp_operation::operation, mask, value, parameter, \
                     det_emu::width_of(__VA_ARGS__), __FILE__, __LINE__)
#define __shfl_sync(mask, value, lane, ...)    DET_SHUFFLE(index, mask, value, lane, __VA_ARGS__)
#define __shfl_up_sync(mask, value, by, ...)   DET_SHUFFLE(up, mask, value, by, __VA_ARGS__)
#define __shfl_down_sync(mask, value, by, ...) DET_SHUFFLE(down, mask, value, by, __VA_ARGS__)
#define __shfl_xor_sync(mask, value, with, ...) \
    DET_SHUFFLE(exclusive, mask, value, with, __VA_ARGS__)
#define __ballot_sync(mask, predicate)                                                            \
    ((unsigned)det_emu::warp_meet(det_emu::warp_operation::ballot, mask, (predicate) != 0, 0, 32, \
                                  __FILE__, __LINE__))
#define __any_sync(mask, predicate) (__ballot_sync(mask, predicate) != 0)
#define __all_sync(mask, predicate) (__ballot_sync(mask, predicate) == (unsigned)(mask))
static inline void det_emu_syncwarp(const char *file, int line, unsigned mask = 0xFFFFFFFFU)
{
    det_emu::warp_meet(det_emu::warp_operation::sync, mask, 0, 0, 32, file, line);
}
#define __syncwarp(...) det_emu_syncwarp(__FILE__, __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __activemask()  det_emu::active_mask()

static inline void __threadfence()
{
}
static inline void __threadfence_block()
{
}

#include "cuda_emu_math.h"

#endif
