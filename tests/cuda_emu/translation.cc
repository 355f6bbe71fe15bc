/* translation.cc: kernels in another form than g++ gave them (tests/cuda_ptx), found by the
 * function that a launch names. */
#include <stdlib.h>

#include <map>

#include "emu.h"

namespace det_emu
{

/* By architecture and function. A function's static: files register theirs before main, in any
 * order. */
using known_translations = std::map<int, std::map<const void *, const translation *>>;
static known_translations &known()
{
    static known_translations all;
    return all;
}

translations::translations(const translation *first, size_t count)
{
    for (const translation *t = first; t != first + count; t++)
        known()[t->arch][t->kernel] = t;
}

bool translated()
{
    return !known().empty();
}

static int chosen_arch()
{
    const char *text = getenv("DET_PTX_ARCH");
    if (text != nullptr)
        return atoi(text);
    return translated() ? known().rbegin()->first : 0;
}

static const translation *find(int arch, const void *kernel)
{
    const auto of_arch = known().find(arch);
    if (of_arch == known().end())
        return nullptr;
    const auto found = of_arch->second.find(kernel);
    return found != of_arch->second.end() ? found->second : nullptr;
}

const translation *translation_of(const char *name, const void *kernel, dim3 block,
                                  size_t parameter_bytes)
{
    const translation *t = find(chosen_arch(), kernel);
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (t == nullptr)
        report("%s: there is no PTX of it for sm_%d", name, chosen_arch());
    else if (t->parameter_bytes != parameter_bytes)
        report("%s: the launch has %zu bytes of parameters, its PTX %zu", name, parameter_bytes,
               t->parameter_bytes);
    else if (t->most_threads != 0 && threads > t->most_threads)
        report("%s: %llu threads a block, its launch bounds allow %u", name,
               (unsigned long long)threads, t->most_threads);
    else
        return t;
    set_error(cudaErrorInvalidValue);
    return nullptr;
}

} // namespace det_emu

extern "C" int cuda_emu_ptx_arch(void)
{
    return det_emu::translated() ? det_emu::chosen_arch() : 0;
}
