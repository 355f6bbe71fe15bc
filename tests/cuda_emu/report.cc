/* report.cc: messages about what a kernel or a call did wrong. */
#include <stdarg.h>
#include <stdio.h>

#include "emu.h"

namespace det_emu
{

long reports;
static bool to_buffer;
static std::string buffer, taken;

void report(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    reports++;
    if (to_buffer)
        buffer += std::string(line) + "\n";
    else
        fprintf(stderr, "cuda_emu: %s\n", line);
}

[[noreturn]] void fail(const char *format, ...)
{
    char line[900];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const std::string at =
        self->source_file == nullptr
            ? ""
            : std::string(" at ") + self->source_file + ":" + std::to_string(self->source_line);
    report("%s%s: block (%u,%u,%u) thread (%u,%u,%u): %s", kernel_name, at.c_str(), block_index.x,
           block_index.y, block_index.z, self->index.x, self->index.y, self->index.z, line);
    abandon();
}

} // namespace det_emu

extern "C" void cuda_emu_capture_reports(int on)
{
    det_emu::to_buffer = on != 0;
    det_emu::buffer.clear();
}

extern "C" const char *cuda_emu_take_reports(void)
{
    det_emu::taken.swap(det_emu::buffer);
    det_emu::buffer.clear();
    return det_emu::taken.c_str();
}
