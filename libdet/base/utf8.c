#include "base/utf8.h"

#include "base/mem.h"

size_t det_utf8_character(const char *text, uint32_t *code)
{
    const unsigned char *c = (const unsigned char *)text;
    const size_t bytes = c[0] < 0x80                    ? 1
                         : c[0] >= 0xc2 && c[0] <= 0xdf ? 2
                         : c[0] >= 0xe0 && c[0] <= 0xef ? 3
                         : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                        : 0;
    uint32_t value = bytes <= 1 ? c[0] : c[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (c[i] & 0x3fu);
    }
    if (bytes == 0 || (bytes == 3 && (value < 0x800 || (value >= 0xd800 && value <= 0xdfff))) ||
        (bytes == 4 && (value < 0x10000 || value > 0x10ffff)))
        return 0;
    if (code != NULL)
        *code = value;
    return bytes;
}

bool det_utf8_is(const char *text)
{
    while (*text != '\0') {
        const size_t bytes = det_utf8_character(text, NULL);
        if (bytes == 0)
            return false;
        text += bytes;
    }
    return true;
}

det_status det_utf8_append(struct det_env *env, struct det_text *out, const char *text)
{
    while (*text != '\0') {
        const size_t bytes = det_utf8_character(text, NULL);
        DET_TRY_RETURN(bytes > 0 ? det_text_append(env, out, text, bytes)
                                 : det_text_printf(env, out, "%%%02X", (unsigned char)*text));
        text += bytes > 0 ? bytes : 1;
    }
    return DET_OK;
}

det_status det_utf8_copy(struct det_env *env, char **out, const char *text)
{
    struct det_text copy = {0};
    det_status status = det_text_append(env, &copy, "", 0);
    if (status == DET_OK)
        status = det_utf8_append(env, &copy, text);
    if (status != DET_OK)
        det_text_free(env, &copy);
    *out = copy.data;
    return status;
}
