#include "base/utf8.h"

size_t det_utf8_next(const char *text, uint32_t *code)
{
    const unsigned char *c = (const unsigned char *)text;
    const size_t bytes = c[0] == 0                      ? 0
                         : c[0] < 0x80                  ? 1
                         : c[0] >= 0xc2 && c[0] <= 0xdf ? 2
                         : c[0] >= 0xe0 && c[0] <= 0xef ? 3
                         : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                        : 0;
    *code = bytes <= 1 ? c[0] : c[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (c[i] & 0x3fu);
    }
    if ((bytes == 3 && (*code < 0x800 || (*code >= 0xd800 && *code <= 0xdfff))) ||
        (bytes == 4 && (*code < 0x10000 || *code > 0x10ffff)))
        return 0;
    return bytes;
}

bool det_utf8_valid(const char *text)
{
    uint32_t code = 0;
    size_t bytes = 0;
    while ((bytes = det_utf8_next(text, &code)) > 0)
        text += bytes;
    return *text == '\0';
}
