/* cuda_emu_math.h: intrinsics and atomics. Included by cuda_emu.h. */
#ifndef DET_CUDA_EMU_MATH_H
#define DET_CUDA_EMU_MATH_H

/* The emulation is built without contraction, so that each of these rounds once. */
static inline float __fadd_rn(float a, float b)
{
    return a + b;
}
static inline float __fsub_rn(float a, float b)
{
    return a - b;
}
static inline float __fmul_rn(float a, float b)
{
    return a * b;
}
static inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline float __fsqrt_rn(float a)
{
    return sqrtf(a);
}
static inline double __dadd_rn(double a, double b)
{
    return a + b;
}
static inline double __dmul_rn(double a, double b)
{
    return a * b;
}
/* Names that the C library has for itself. */
#define __expf(a) expf(a)
#define __logf(a) logf(a)
static inline float rsqrtf(float a)
{
    return 1.0f / sqrtf(a);
}

static inline float __int_as_float(int bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline int __float_as_int(float value)
{
    int bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline float __uint_as_float(unsigned bits)
{
    return __int_as_float((int)bits);
}
static inline unsigned __float_as_uint(float value)
{
    return (unsigned)__float_as_int(value);
}
static inline int __float2int_rn(float value)
{
    return (int)lrintf(value);
}

static inline int __clz(int value)
{
    return value == 0 ? 32 : __builtin_clz((unsigned)value);
}
static inline int __clzll(long long value)
{
    return value == 0 ? 64 : __builtin_clzll((unsigned long long)value);
}
static inline int __popc(unsigned value)
{
    return __builtin_popcount(value);
}
static inline int __ffs(int value)
{
    return __builtin_ffs(value);
}

/* Bytes of a (0 to 3) and b (4 to 7) by the four lowest digits of `digits`; 8 and more, its sign
 * spread over the byte, nobody uses. */
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned digits)
{
    const unsigned long long both = (unsigned long long)b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++)
        result |= (unsigned)(both >> (digits >> 4 * i & 7) * 8 & 0xFF) << 8 * i;
    return result;
}
/* c + the products of the four signed bytes. */
static inline int __dp4a(int a, int b, int c)
{
    for (int i = 0; i < 4; i++)
        c += (signed char)(a >> 8 * i) * (signed char)(b >> 8 * i);
    return c;
}

static inline int min(int a, int b)
{
    return b < a ? b : a;
}
static inline int max(int a, int b)
{
    return a < b ? b : a;
}
static inline unsigned min(unsigned a, unsigned b)
{
    return b < a ? b : a;
}
static inline unsigned max(unsigned a, unsigned b)
{
    return a < b ? b : a;
}
static inline long long min(long long a, long long b)
{
    return b < a ? b : a;
}
static inline long long max(long long a, long long b)
{
    return a < b ? b : a;
}
static inline unsigned long long min(unsigned long long a, unsigned long long b)
{
    return b < a ? b : a;
}
static inline unsigned long long max(unsigned long long a, unsigned long long b)
{
    return a < b ? b : a;
}
static inline float min(float a, float b)
{
    return fminf(a, b);
}
static inline float max(float a, float b)
{
    return fmaxf(a, b);
}

template <typename T> static inline T __ldg(const T *pointer)
{
    DET_CHECK_ACCESS(pointer, sizeof(T));
    return *pointer;
}

/* Atomic operations on memory that one OS thread owns. On floats there are none: their order is not
 * fixed. */
namespace det_emu
{
template <typename T, typename F> T atomic_global(T *pointer, F change)
{
    check_global(pointer, sizeof(T));
    const T old = *pointer;
    *pointer = change(old);
    return old;
}
template <typename T, typename F> T atomic_global(element_pointer<T> pointer, F change)
{
    shared_atomic(pointer.mark, pointer.name);
    const T old = *pointer.value;
    *pointer.value = change(old);
    return old;
}
template <typename P> struct pointee;
template <typename T> struct pointee<T *> {
    using type = T;
};
template <typename T> struct pointee<element_pointer<T>> {
    using type = T;
};
template <typename P> using pointee_of = typename pointee<P>::type;
} // namespace det_emu

#define DET_EMU_ATOMIC(name, expression)                                                       \
    template <typename P> det_emu::pointee_of<P> name(P pointer, det_emu::pointee_of<P> value) \
    {                                                                                          \
        using T = det_emu::pointee_of<P>;                                                      \
        static_assert(std::is_integral_v<T>, "atomics on floats have no fixed order");         \
        return det_emu::atomic_global(pointer, [=](T old) -> T { return expression; });        \
    }
DET_EMU_ATOMIC(atomicAdd, (T)(old + value))
DET_EMU_ATOMIC(atomicSub, (T)(old - value))
DET_EMU_ATOMIC(atomicMax, old > value ? old : value)
DET_EMU_ATOMIC(atomicMin, old < value ? old : value)
DET_EMU_ATOMIC(atomicExch, ((void)old, value))
DET_EMU_ATOMIC(atomicOr, (T)(old | value))
DET_EMU_ATOMIC(atomicAnd, (T)(old &value))
#undef DET_EMU_ATOMIC
template <typename P>
det_emu::pointee_of<P> atomicCAS(P pointer, det_emu::pointee_of<P> compare,
                                 det_emu::pointee_of<P> value)
{
    using T = det_emu::pointee_of<P>;
    return det_emu::atomic_global(pointer,
                                  [=](T old) -> T { return old == compare ? value : old; });
}

#endif
