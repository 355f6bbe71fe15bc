#include "support/utf8.h"

#include <stdio.h>
#include <string.h>

size_t det_utf8_next(const char *text, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)text;
    const size_t bytes = byte[0] == 0      ? 0
                         : byte[0] < 0x80  ? 1
                         : byte[0] < 0xc0  ? 0
                         : byte[0] < 0xe0  ? 2
                         : byte[0] < 0xf0  ? 3
                         : byte[0] <= 0xf4 ? 4
                                           : 0;
    uint32_t value = bytes < 2 ? byte[0] : byte[0] & (0x7fU >> bytes);
    for (size_t i = 1; i < bytes; i++) { /* the string's end is no continuation either */
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (byte[i] & 0x3f);
    }
    *code = value;
    const bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return value < least[bytes] || value > 0x10ffff || surrogate ? 0 : bytes;
}

size_t det_utf8_made(const char **text, char piece[4])
{
    uint32_t code = 0;
    const size_t bytes = det_utf8_next(*text, &code);
    if (bytes > 0)
        memcpy(piece, *text, bytes);
    else
        snprintf(piece, 4, "%%%02X", (unsigned char)**text);
    *text += bytes > 0 ? bytes : 1;
    return bytes > 0 ? bytes : 3;
}

bool det_utf8_made_of(const char *made, const char *text)
{
    while (*text != '\0') {
        char piece[4];
        const size_t length = det_utf8_made(&text, piece);
        if (strncmp(made, piece, length) != 0)
            return false;
        made += length;
    }
    return *made == '\0';
}

bool det_utf8_valid(const char *text)
{
    uint32_t code = 0;
    size_t bytes = 0;
    while ((bytes = det_utf8_next(text, &code)) > 0)
        text += bytes;
    return *text == '\0';
}

static bool must_be_escaped(uint32_t code, bool keep_lines)
{
    if (keep_lines && (code == '\n' || code == '\t'))
        return false;
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

static size_t write_escape(char piece[8], uint32_t code)
{
    const char letter = code == '\t' ? 't' : code == '\n' ? 'n' : code == '\r' ? 'r' : '\0';
    const int length = letter != '\0' ? snprintf(piece, 8, "\\%c", letter)
                       : code < 0x80  ? snprintf(piece, 8, "\\x%02x", (unsigned)code)
                                      : snprintf(piece, 8, "\\u%04x", (unsigned)code & 0xffff);
    return (size_t)length;
}

/* What is shown for the next character or byte, its length; moves *text on. */
static size_t show_next(const char **text, char piece[8], bool keep_lines)
{
    uint32_t code = 0;
    const size_t bytes = det_utf8_next(*text, &code);
    size_t length = bytes;
    if (bytes == 0)
        length = (size_t)snprintf(piece, 8, "\\x%02x", (unsigned char)**text);
    else if (must_be_escaped(code, keep_lines))
        length = write_escape(piece, code);
    else
        memcpy(piece, *text, bytes);
    *text += bytes > 0 ? bytes : 1;
    return length;
}

size_t det_utf8_shown(char *out, size_t room, const char *text, bool keep_lines)
{
    size_t used = 0;
    while (*text != '\0') {
        char piece[8];
        const size_t length = show_next(&text, piece, keep_lines);
        if (used + length >= room)
            break;
        memcpy(out + used, piece, length);
        used += length;
    }
    out[used] = '\0';
    return used;
}

size_t det_utf8_shown_length(const char *text)
{
    size_t columns = 0;
    uint32_t code = 0;
    while (*text != '\0') {
        char piece[8];
        const size_t length = show_next(&text, piece, false);
        const bool is_ascii = (unsigned char)piece[0] < 0x80;
        columns += is_ascii || det_utf8_next(piece, &code) == 0 ? length : det_utf8_width(code);
    }
    return columns;
}
