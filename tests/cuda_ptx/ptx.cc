/* ptx.cc: memory and approximations for translated kernels (ptx.h). */
#include "ptx.h"

#include <fenv.h>
#include <stdlib.h>

namespace det_ptx
{

/* --- memory --- */

/* Shared memory is checked by words of this size. */
constexpr size_t WORD = 4;

unsigned char *device_memory(uint64_t address, size_t bytes)
{
    det_emu::check_global((const void *)address, bytes);
    return (unsigned char *)address;
}

const unsigned char *parameter_memory(const unsigned char *parameters, size_t room,
                                      uint64_t address, size_t bytes)
{
    if (address > room || bytes > room - address)
        det_emu::fail("access of %zu bytes at byte %llu of %zu bytes of parameters", bytes,
                      (unsigned long long)address, room);
    return parameters + address;
}

/* The array at or before the address: what an index out of bounds was meant for. */
static const shared_variable *variable_of(const shared_layout &layout, uint64_t address)
{
    const shared_variable *found = nullptr;
    for (const shared_variable &v : layout)
        if (v.begin <= address)
            found = &v;
    return found;
}

unsigned char *shared_memory(const shared_layout &layout, uint64_t address, size_t bytes,
                             sharing how)
{
    const shared_variable *v = variable_of(layout, address);
    if (v == nullptr)
        det_emu::fail("access of %zu bytes before shared memory", bytes);
    const uint64_t offset = address - v->begin;
    if (bytes < WORD)
        det_emu::fail("access of %zu bytes of shared %s, which is checked by words of %zu", bytes,
                      v->name, WORD);
    if (offset % bytes != 0)
        det_emu::fail("access of %zu bytes at byte %llu of shared %s is misaligned", bytes,
                      (unsigned long long)offset, v->name);
    det_emu::shadow *marks;
    size_t words = (v->bytes + WORD - 1) / WORD;
    void *values = v->bytes != 0 ? det_emu::shared_find(v, v->name, WORD, words, &marks)
                                 : det_emu::dynamic_find(v->name, WORD, &words, &marks);
    if (offset + bytes > words * WORD)
        det_emu::fail("access of %zu bytes at byte %llu of shared %s, which has %zu", bytes,
                      (unsigned long long)offset, v->name, words * WORD);
    for (size_t i = offset / WORD; i < (offset + bytes) / WORD; i++) {
        if (how == sharing::read)
            det_emu::shared_read(marks + i, v->name);
        else if (how == sharing::write)
            det_emu::shared_write(marks + i, v->name);
        else
            det_emu::shared_atomic(marks + i, v->name);
    }
    return (unsigned char *)values + offset;
}

unsigned char *generic_memory(const shared_layout &layout, uint64_t address, size_t bytes,
                              sharing how)
{
    if (address < SHARED_WINDOW)
        return device_memory(address, bytes);
    return shared_memory(layout, address - SHARED_WINDOW, bytes, how);
}

/* --- floats --- */

/* volatile: computed between the two changes of the rounding, not at compile time. */
float fused_downwards(float a, float b, float c)
{
    volatile float x = a, y = b, z = c;
    const int before = fegetround();
    fesetround(FE_DOWNWARD);
    volatile float result = std::fma(x, y, z);
    fesetround(before);
    return result;
}

float add_towards_zero(float a, float b)
{
    volatile float x = a, y = b;
    const int before = fegetround();
    fesetround(FE_TOWARDZERO);
    volatile float result = x + y;
    fesetround(before);
    return result;
}

float flushed(float a)
{
    return std::fabs(a) < std::numeric_limits<float>::min() ? std::copysign(0.0F, a) : a;
}

static uint32_t number_of_environment(const char *name)
{
    const char *text = getenv(name);
    return text != nullptr ? (uint32_t)strtoul(text, nullptr, 10) : 0;
}

const bool contracting = number_of_environment("DET_PTX_CONTRACT") != 0;
static const uint32_t ulps = number_of_environment("DET_PTX_ULPS");

/* 0, infinity, NaN and what is next to 0 stay. */
static float disturbed(double exact, float a, float b)
{
    const float rounded = (float)exact;
    if (ulps == 0 || !std::isnormal(rounded))
        return rounded;
    const uint32_t mixed = (as<uint32_t>(a) ^ as<uint32_t>(b) * 0x85EBCA6BU) * 0x9E3779B1U;
    const uint32_t steps = (mixed >> 16) % (2 * ulps + 1);
    return as<float>(as<uint32_t>(rounded) + steps - ulps);
}

float approximate_quotient(float a, float b)
{
    return disturbed((double)a / b, a, b);
}

float approximate_reciprocal(float a)
{
    return disturbed(1 / (double)a, a, 0);
}

float approximate_root(float a)
{
    return disturbed(std::sqrt((double)a), a, 0);
}

float approximate_reciprocal_root(float a)
{
    return disturbed(1 / std::sqrt((double)a), a, 0);
}

float approximate_exp2(float a)
{
    return disturbed(std::exp2((double)a), a, 0);
}

float approximate_log2(float a)
{
    return disturbed(std::log2((double)a), a, 0);
}

float approximate_sin(float a)
{
    return disturbed(std::sin((double)a), a, 0);
}

float approximate_cos(float a)
{
    return disturbed(std::cos((double)a), a, 0);
}

/* --- warps --- */

shuffle shuffled(det_emu::warp_operation operation, uint32_t mask, uint32_t value, uint32_t lane,
                 uint32_t bounds, const char *file, int line)
{
    using det_emu::warp_operation;
    const uint32_t width = 32 - (bounds >> 8 & 31), self = det_emu::self->lane;
    const uint32_t begin = self / width * width;
    if ((bounds & 31) != (operation == warp_operation::up ? 0 : 31))
        det_emu::fail("shuffle: bounds %08x are not known", bounds);
    /* What lies before the segment is a large number. */
    uint32_t from = begin + lane % width;
    if (operation == warp_operation::up)
        from = self - lane;
    else if (operation == warp_operation::down)
        from = self + lane;
    else if (operation == warp_operation::exclusive)
        from = self ^ lane;
    const uint64_t got =
        det_emu::warp_meet(operation, mask, value, (int)lane, (int)width, file, line);
    const bool before = from < begin && operation != warp_operation::exclusive;
    return {(uint32_t)got, !before && from < begin + width};
}

} // namespace det_ptx
