/* ptx.h: what PTX instructions compute and where they reach, for the C++ that ptx2cc.py writes.
 * Registers are unsigned numbers of their width, floats, doubles and bools; an instruction reads
 * them as its own type. Arithmetic on integers wraps, floats round as the instruction says, and
 * nothing is contracted: where nvcc wants a fused multiplication, PTX says fma. But what ptxas may
 * still fuse, DET_PTX_CONTRACT=1 fuses. */
#ifndef DET_CUDA_PTX_PTX_H
#define DET_CUDA_PTX_PTX_H

#include <cmath>
#include <limits>

#include "cuda_emu.h"

namespace det_ptx
{

/* --- registers --- */

template <class To, class From> inline To as(From value)
{
    if constexpr (std::is_same_v<To, From>) {
        return value;
    } else if constexpr (sizeof(To) == sizeof(From)) {
        return __builtin_bit_cast(To, value);
    } else {
        static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
        return (To)value;
    }
}

/* Narrow results are extended by their sign. */
template <class Register, class Value> inline void put(Register &to, Value value)
{
    to = as<Register>(value);
}

template <class T>
using wider_t =
    std::conditional_t<std::is_signed_v<T>, std::conditional_t<sizeof(T) == 2, int32_t, int64_t>,
                       std::conditional_t<sizeof(T) == 2, uint32_t, uint64_t>>;

/* --- memory --- */

/* The running thread is at that line of its PTX file. */
inline void here(int line)
{
    det_emu::self->source_line = line;
}

/* An array in shared memory: `begin` is its address there. bytes 0: the launch's dynamic memory. */
struct shared_variable {
    const char *name;
    uint64_t begin;
    size_t bytes;
};
using shared_layout = std::vector<shared_variable>;
enum class sharing { read, write, atomic };

/* Shared memory among generic addresses: where no host has memory. */
constexpr uint64_t SHARED_WINDOW = (uint64_t)1 << 60;

/* The memory behind an address; ends the launch when the access is misaligned, out of bounds, or,
 * in shared memory, a race or a read of what nobody wrote. */
unsigned char *device_memory(uint64_t address, size_t bytes);
/* Of the launch's parameters, `room` bytes of them; their addresses begin at 0. */
const unsigned char *parameter_memory(const unsigned char *parameters, size_t room,
                                      uint64_t address, size_t bytes);
unsigned char *shared_memory(const shared_layout &layout, uint64_t address, size_t bytes,
                             sharing how);
unsigned char *generic_memory(const shared_layout &layout, uint64_t address, size_t bytes,
                              sharing how);

template <class Register> inline uint64_t address(Register base, int64_t offset)
{
    return (Register)(base + (Register)offset);
}
template <class T> inline T loaded(const unsigned char *from)
{
    T value;
    memcpy(&value, from, sizeof value);
    return value;
}
template <class T> inline void stored(unsigned char *to, T value)
{
    memcpy(to, &value, sizeof value);
}

/* --- integers and both --- */

/* Of integers as unsigned numbers, so that they wrap. Those of 16 bits are computed in 32. */
template <class T, class Operation> inline T wrapping(T a, T b, Operation operation)
{
    if constexpr (std::is_integral_v<T>) {
        using U = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
        return (T)operation((U)a, (U)b);
    } else {
        return operation(a, b);
    }
}
template <class T> inline T add(T a, T b)
{
    return wrapping(a, b, [](auto x, auto y) { return x + y; });
}
template <class T> inline T subtract(T a, T b)
{
    return wrapping(a, b, [](auto x, auto y) { return x - y; });
}
template <class T> inline T multiply(T a, T b)
{
    return wrapping(a, b, [](auto x, auto y) { return x * y; });
}
template <class T> inline wider_t<T> multiply_wide(T a, T b)
{
    return (wider_t<T>)a * (wider_t<T>)b;
}
template <class T> inline T multiply_add(T a, T b, T c)
{
    return add(multiply(a, b), c);
}

/* PTX leaves open what division by 0 gives, so a kernel that asks for it is wrong. */
template <class T> inline T divide(T a, T b)
{
    if constexpr (std::is_integral_v<T>) {
        if (b == 0)
            det_emu::fail("divides by 0");
        if (b == (T)-1)
            return subtract((T)0, a);
    }
    return (T)(a / b);
}
template <class T> inline T remainder(T a, T b)
{
    if (b == 0)
        det_emu::fail("divides by 0");
    return std::is_signed_v<T> && b == (T)-1 ? 0 : (T)(a % b);
}

/* Of floats: the number where the other is NaN, and -0 is less than +0. */
template <class T> inline T minimum(T a, T b)
{
    if constexpr (!std::is_integral_v<T>)
        if (a != a || (a == b && std::signbit(b)))
            return b;
    return b < a ? b : a;
}
template <class T> inline T maximum(T a, T b)
{
    if constexpr (!std::is_integral_v<T>)
        if (a != a || (a == b && std::signbit(a)))
            return b;
    return b > a ? b : a;
}
/* NaN where either is. */
template <class T> inline T minimum_or_nan(T a, T b)
{
    return a != a || b != b ? std::numeric_limits<T>::quiet_NaN() : minimum(a, b);
}
template <class T> inline T maximum_or_nan(T a, T b)
{
    return a != a || b != b ? std::numeric_limits<T>::quiet_NaN() : maximum(a, b);
}
template <class T> inline T negative(T a)
{
    if constexpr (std::is_integral_v<T>)
        return subtract((T)0, a);
    else
        return -a;
}
template <class T> inline T absolute(T a)
{
    if constexpr (std::is_integral_v<T>)
        return a < 0 ? negative(a) : a;
    else
        return std::fabs(a);
}

/* b with the sign of a. */
template <class T> inline T with_sign_of(T a, T b)
{
    return std::copysign(b, a);
}

template <class T> inline T bits_and(T a, T b)
{
    return (T)(a & b);
}
template <class T> inline T bits_or(T a, T b)
{
    return (T)(a | b);
}
template <class T> inline T bits_xor(T a, T b)
{
    return (T)(a ^ b);
}
template <class T> inline T bits_not(T a)
{
    if constexpr (std::is_same_v<T, bool>)
        return !a;
    else
        return (T)~a;
}
/* All bits are gone when `by` is the width or more; of signed numbers the sign stays. */
template <class T> inline T shift_left(T a, uint32_t by)
{
    return by >= sizeof(T) * 8 ? 0 : (T)(a << by);
}
template <class T> inline T shift_right(T a, uint32_t by)
{
    return (T)(by < sizeof(T) * 8 ? a >> by : a < 0 ? -1 : 0);
}
template <class T> inline T select(T a, T b, bool first)
{
    return first ? a : b;
}
template <class T> inline uint32_t ones(T a)
{
    return (uint32_t)__builtin_popcountll(a);
}
template <class T> inline T reversed(T a)
{
    T result = 0;
    for (unsigned i = 0; i < sizeof(T) * 8; i++)
        result = (T)(result | (a >> i & 1) << (sizeof(T) * 8 - 1 - i));
    return result;
}
/* How far left the highest bit that is not the sign must go to stand on top; all ones where there
 * is none. */
template <class T> inline uint32_t find_shift(T a)
{
    const auto bits = (std::make_unsigned_t<T>)(a < 0 ? ~a : a);
    return bits == 0 ? 0xFFFFFFFFU : (uint32_t)__builtin_clzll(bits) - (64 - sizeof(T) * 8);
}
/* b with the lowest `length` bits of a from bit `position` on, as far as there is room. */
template <class T> inline T insert_bits(T a, T b, uint32_t position, uint32_t length)
{
    T result = b;
    for (uint32_t i = 0; i < (length & 0xFF); i++) {
        const uint32_t to = (position & 0xFF) + i;
        if (to < sizeof(T) * 8 && i < sizeof(T) * 8)
            result = (result & ~((T)1 << to)) | (a >> i & 1) << to;
    }
    return result;
}
/* Bytes of a (0 to 3) and b (4 to 7) by the four lowest digits of `digits`; from 8 on the byte's
 * sign, spread over it. */
inline uint32_t permuted_bytes(uint32_t a, uint32_t b, uint32_t digits)
{
    const uint64_t both = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t digit = digits >> 4 * i & 15;
        const uint32_t byte = (uint32_t)(both >> (digit & 7) * 8) & 0xFF;
        result |= (digit < 8 ? byte : byte >> 7 ? 0xFFU : 0U) << 8 * i;
    }
    return result;
}
/* c and the products of the four signed bytes. */
inline int32_t dot_of_bytes(int32_t a, int32_t b, int32_t c)
{
    for (int i = 0; i < 4; i++)
        c = add(c, (int32_t)((int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i)));
    return c;
}

/* --- comparisons --- */

template <class T> inline bool equal(T a, T b)
{
    return a == b;
}
template <class T> inline bool less(T a, T b)
{
    return a < b;
}
template <class T> inline bool less_equal(T a, T b)
{
    return a <= b;
}
template <class T> inline bool greater(T a, T b)
{
    return a > b;
}
template <class T> inline bool greater_equal(T a, T b)
{
    return a >= b;
}
/* False where one is NaN. */
template <class T> inline bool unequal(T a, T b)
{
    return a < b || a > b;
}
template <class T> inline bool ordered(T a, T b)
{
    return a == a && b == b;
}

/* --- floats --- */

template <class T> inline T fused(T a, T b, T c)
{
    return std::fma(a, b, c);
}
float fused_downwards(float a, float b, float c);
float add_towards_zero(float a, float b);
template <class T> inline T reciprocal(T a)
{
    return 1 / a;
}
template <class T> inline T square_root(T a)
{
    return std::sqrt(a);
}

/* Instructions that a device only approximates: the rounded result, or with DET_PTX_ULPS=n a
 * neighbour of it up to n steps away, always the same one for the same operands. */
float approximate_quotient(float a, float b);
float approximate_reciprocal(float a);
float approximate_root(float a);
float approximate_reciprocal_root(float a);
float approximate_exp2(float a);
float approximate_log2(float a);
float approximate_sin(float a);
float approximate_cos(float a);
/* Subnormal operands and results are 0. */
float flushed(float a);
template <float function(float)> inline float flushing(float a)
{
    return flushed(function(flushed(a)));
}

/* Whether products and sums that do not say how they round are fused. */
extern const bool contracting;

/* --- conversions --- */

template <class T> inline T nearest(T a)
{
    return std::nearbyint(a);
}
template <class T> inline T zero(T a)
{
    return std::trunc(a);
}
template <class T> inline T down(T a)
{
    return std::floor(a);
}
template <class T> inline T up(T a)
{
    return std::ceil(a);
}
/* Of a whole number: the nearest there is, 0 of NaN. */
template <class To, class From> inline To to_integer(From value)
{
    using limits = std::numeric_limits<To>;
    if (value != value)
        return 0;
    if (value <= (From)limits::min())
        return limits::min();
    return value >= (From)limits::max() ? limits::max() : (To)value;
}
inline float saturated(float a)
{
    return a > 0 ? (a < 1 ? a : 1) : 0;
}
inline uint16_t bf16_bits(float a)
{
    return __float2bfloat16_rn(a).bits;
}

/* --- atomics: one thread runs at a time --- */

template <class T, class Change> inline T atomically(unsigned char *at, Change change)
{
    const T old = loaded<T>(at);
    stored(at, (T)change(old));
    return old;
}
template <class T> inline T atomic_add(unsigned char *at, T value)
{
    return atomically<T>(at, [=](T old) { return add(old, value); });
}
template <class T> inline T atomic_max(unsigned char *at, T value)
{
    return atomically<T>(at, [=](T old) { return maximum(old, value); });
}
template <class T> inline T atomic_min(unsigned char *at, T value)
{
    return atomically<T>(at, [=](T old) { return minimum(old, value); });
}
template <class T> inline T atomic_and(unsigned char *at, T value)
{
    return atomically<T>(at, [=](T old) { return bits_and(old, value); });
}
template <class T> inline T atomic_or(unsigned char *at, T value)
{
    return atomically<T>(at, [=](T old) { return bits_or(old, value); });
}
template <class T> inline T atomic_xor(unsigned char *at, T value)
{
    return atomically<T>(at, [=](T old) { return bits_xor(old, value); });
}
template <class T> inline T atomic_exch(unsigned char *at, T value)
{
    return atomically<T>(at, [=](T) { return value; });
}
template <class T> inline T atomic_cas(unsigned char *at, T compare, T value)
{
    return atomically<T>(at, [=](T old) { return old == compare ? value : old; });
}

/* --- warps --- */

struct shuffle {
    uint32_t value;
    bool inside; /* the lane read from lies in the segment */
};
/* `bounds` as PTX has it: 32 less the segment's width in bits 8 to 12, the last lane that may be
 * read from in bits 0 to 4. */
shuffle shuffled(det_emu::warp_operation operation, uint32_t mask, uint32_t value, uint32_t lane,
                 uint32_t bounds, const char *file, int line);

/* --- registration --- */

template <class... P> inline const void *host_function(void (*kernel)(P...))
{
    return (const void *)kernel;
}

} // namespace det_ptx

#endif
