#include "common/shell_word.h"

#include <stdarg.h>
#include <string.h>

#include "support/mem.h"
#include "support/text.h"

static const char plain[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,+=@%";

/* $'a\012b', for what a line cannot show. */
static det_status quote_controls(struct det_env *env, const char *value, struct det_text *text)
{
    DET_TRY_RETURN(det_text_append(env, text, "$'", 2));
    for (; *value != '\0'; value++) {
        const unsigned char byte = (unsigned char)*value;
        DET_TRY_RETURN(byte < 0x20 || byte == 0x7f || byte == '\'' || byte == '\\'
                           ? det_text_printf(env, text, "\\%03o", byte)
                           : det_text_append(env, text, value, 1));
    }
    return det_text_append(env, text, "'", 1);
}

/* 'a b'; a quote inside as '\'': the quotes end, a quote, they begin again. */
static det_status quote(struct det_env *env, const char *value, struct det_text *text)
{
    for (const char *at = value; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return quote_controls(env, value, text);
    DET_TRY_RETURN(det_text_append(env, text, "'", 1));
    for (; *value != '\0'; value++)
        DET_TRY_RETURN(*value == '\'' ? det_text_append(env, text, "'\\''", 4)
                                      : det_text_append(env, text, value, 1));
    return det_text_append(env, text, "'", 1);
}

det_status shell_word(struct det_env *env, char **word, const char *format, ...)
{
    struct det_text text = {0};
    char *value = NULL;
    va_list arguments;
    *word = NULL;
    va_start(arguments, format);
    det_status status = det_format_list(env, &value, format, arguments);
    va_end(arguments);
    if (status == DET_OK && value[0] == '-')
        status = det_text_append(env, &text, "./", 2);
    if (status == DET_OK)
        status = value[0] != '\0' && value[strspn(value, plain)] == '\0'
                     ? det_text_append(env, &text, value, strlen(value))
                     : quote(env, value, &text);
    if (status == DET_OK)
        status = det_strdup(env, word, text.data);
    det_text_free(env, &text);
    det_free(env, &value);
    return status;
}
