#include "support/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#include "support/mem.h"
#include "support/utf8.h"

enum { PART_BYTES = 1 << 16 };

/* What is called by the first name and means the second. */
static const char *const larger_sets[][2] = {
    {"gb2312", "GB18030"}, {"gb_2312-80", "GB18030"}, {"gbk", "GB18030"},
    {"cp936", "GB18030"},  {"shift_jis", "CP932"},    {"shift-jis", "CP932"},
    {"sjis", "CP932"},     {"euc-kr", "CP949"},       {"ks_c_5601-1987", "CP949"},
    {"us-ascii", "UTF-8"}, {"ascii", "UTF-8"},        {"utf8", "UTF-8"},
};

static const char *meant_by(const char *encoding)
{
    for (size_t i = 0; i < sizeof larger_sets / sizeof larger_sets[0]; i++)
        if (strcasecmp(encoding, larger_sets[i][0]) == 0)
            return larger_sets[i][1];
    return encoding;
}

bool det_encoding_is_known(const char *encoding)
{
    const iconv_t converter = iconv_open("UTF-8", meant_by(encoding));
    const bool known = converter != (iconv_t)-1;
    if (known)
        iconv_close(converter);
    return known;
}

static uint32_t lines_in(const char *text, size_t bytes)
{
    uint32_t lines = 0;
    for (size_t i = 0; i < bytes; i++)
        lines += text[i] == '\n';
    return lines;
}

static det_status append_utf8(struct det_env *env, const char *name, const char *data, size_t bytes,
                              struct det_text *text)
{
    const size_t start = text->length;
    uint32_t code = 0;
    DET_TRY_RETURN(det_text_append(env, text, data, bytes));
    for (size_t at = start; at < text->length;) {
        const bool is_zero = text->data[at] == '\0'; /* a character too */
        const size_t length = is_zero ? 1 : det_utf8_next(text->data + at, &code);
        if (length == 0)
            return det_fail(env, DET_STATUS_PARSE,
                            "%s:%u: byte 0x%02x is no UTF-8: say what the file is with "
                            "--encoding, such as GB18030 or ISO-8859-1",
                            name, lines_in(text->data + start, at - start) + 1,
                            (unsigned char)text->data[at]);
        at += length;
    }
    return DET_OK;
}

static det_status convert(struct det_env *env, const char *name, iconv_t converter,
                          const char *encoding, const char *data, size_t bytes,
                          struct det_text *text)
{
    char part[PART_BYTES];
    char *in = (char *)(uintptr_t)data; /* iconv's declaration, which does not write there */
    const size_t start = text->length;
    size_t left = bytes;
    while (left > 0) {
        char *out = part;
        size_t room = sizeof part;
        const size_t result = iconv(converter, &in, &left, &out, &room);
        const int error = errno;
        DET_TRY_RETURN(det_text_append(env, text, part, (size_t)(out - part)));
        if (result == (size_t)-1 && error != E2BIG)
            return det_fail(env, DET_STATUS_PARSE, "%s:%u: byte 0x%02x is not of encoding %s", name,
                            lines_in(text->data + start, text->length - start) + 1,
                            (unsigned char)*in, encoding);
    }
    return det_text_append(env, text, "", 0);
}

static bool is_utf16(const uint8_t *data, size_t bytes, size_t zero)
{
    return bytes >= 4 && bytes % 2 == 0 && data[zero] == 0 && data[zero + 2] == 0 &&
           data[1 - zero] != 0 && data[3 - zero] != 0;
}

det_status det_decode_text(struct det_env *env, const char *name, const void *data, size_t bytes,
                           const char *encoding, struct det_text *text)
{
    const uint8_t *d = data;
    size_t skip = 0;
    encoding = encoding != NULL ? meant_by(encoding) : "UTF-8";
    if (bytes >= 3 && memcmp(d, "\xef\xbb\xbf", 3) == 0) {
        encoding = "UTF-8";
        skip = 3;
    } else if (bytes >= 2 && (memcmp(d, "\xff\xfe", 2) == 0 || memcmp(d, "\xfe\xff", 2) == 0)) {
        encoding = d[0] == 0xff ? "UTF-16LE" : "UTF-16BE";
        skip = 2;
    } else if (is_utf16(d, bytes, 1) || is_utf16(d, bytes, 0)) {
        encoding = d[1] == 0 ? "UTF-16LE" : "UTF-16BE";
    }
    if (strcasecmp(encoding, "UTF-8") == 0)
        return append_utf8(env, name, (const char *)d + skip, bytes - skip, text);
    const iconv_t converter = iconv_open("UTF-8", encoding);
    if (converter == (iconv_t)-1)
        return errno == ENOMEM ? det_fail_errno(env, errno, "%s", name)
                               : det_fail(env, DET_STATUS_PARSE,
                                          "%s: the encoding `%.60s` is not known on this machine",
                                          name, encoding);
    const det_status status =
        convert(env, name, converter, encoding, (const char *)d + skip, bytes - skip, text);
    iconv_close(converter);
    return status;
}
