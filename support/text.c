#include "support/text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/mem.h"
#include "support/number.h"
#include "support/utf8.h"

static det_status reserve(struct det_env *env, struct det_text *text, size_t bytes)
{
    size_t need = 0;
    if (!det_size_add(text->length, bytes, &need) || !det_size_add(need, 1, &need))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "text is too long");
    return det_grow(env, &text->data, &text->capacity, need, 1, "text");
}

det_status det_text_append(struct det_env *env, struct det_text *text, const char *data,
                           size_t bytes)
{
    DET_TRY_RETURN(reserve(env, text, bytes));
    if (bytes > 0)
        memcpy(text->data + text->length, data, bytes);
    text->length += bytes;
    text->data[text->length] = '\0';
    return DET_OK;
}

det_status det_text_printf(struct det_env *env, struct det_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return det_fail(env, DET_STATUS_INTERNAL, "cannot format \"%s\"", format);
    DET_TRY_RETURN(reserve(env, text, (size_t)length));
    va_start(arguments, format);
    vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
    return DET_OK;
}

void det_text_free(struct det_env *env, struct det_text *text)
{
    det_free(env, &text->data);
    *text = (struct det_text){0};
}

int det_edit_distance(const char *a, const char *b)
{
    enum { MOST = 63 };
    const size_t length_a = strnlen(a, MOST), length_b = strnlen(b, MOST);
    int row[MOST + 1];
    for (size_t j = 0; j <= length_b; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= length_a; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= length_b; j++) {
            const int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[length_b];
}

char *det_format_double(char buffer[32], double value)
{
    if (!isfinite(value)) {
        snprintf(buffer, 32, "null");
        return buffer;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buffer, 32, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value)
            break;
    }
    return det_use_point(buffer);
}

char *det_format_float(char buffer[32], float value)
{
    if (!isfinite(value))
        return det_format_double(buffer, (double)value);
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(buffer, 32, "%.*g", digits, (double)value);
        if (strtof(buffer, NULL) == value)
            break;
    }
    return det_use_point(buffer);
}

char *det_format_value(char buffer[32], double value)
{
    const bool is_float = fabs(value) <= (double)FLT_MAX && (double)(float)value == value;
    return is_float ? det_format_float(buffer, (float)value) : det_format_double(buffer, value);
}

char *det_fixed_text(char buffer[64], double value, int decimals)
{
    const int length = snprintf(buffer, 64, "%.*f", decimals, value);
    if (length <= 0 || length >= 64)
        snprintf(buffer, 64, "%s", "?");
    return det_use_point(buffer);
}

/* Without trailing zeros. */
static char *format_trimmed(char buffer[32], double value, int decimals)
{
    double scale = 1;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    if (!(fabs(value) * scale < 9e15)) {
        snprintf(buffer, 32, "0");
        return buffer;
    }
    const long long units = llround(value * scale), whole = units / (long long)scale;
    long long rest = units % (long long)scale;
    int digits = decimals;
    rest = rest < 0 ? -rest : rest;
    while (digits > 0 && rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    const char *sign = units < 0 && whole == 0 ? "-" : "";
    if (digits == 0)
        snprintf(buffer, 32, "%s%lld", units == 0 ? "" : sign, whole);
    else
        snprintf(buffer, 32, "%s%lld.%0*lld", sign, whole, digits, rest);
    return buffer;
}

char *det_format_pixels(char buffer[32], double value)
{
    return format_trimmed(buffer, value, 3);
}

char *det_format_share(char buffer[32], double value)
{
    return format_trimmed(buffer, value, 8);
}

static det_status append_character(struct det_env *env, struct det_text *text, const char **value)
{
    char piece[4];
    const size_t bytes = det_utf8_made(value, piece);
    return det_text_append(env, text, piece, bytes);
}

det_status det_text_utf8(struct det_env *env, struct det_text *text, const char *value)
{
    while (*value != '\0')
        DET_TRY_RETURN(append_character(env, text, &value));
    return det_text_append(env, text, "", 0);
}

det_status det_text_xml(struct det_env *env, struct det_text *text, const char *value)
{
    while (*value != '\0') {
        const unsigned char c = (unsigned char)*value;
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&quot;"
                             : c == '\'' ? "&apos;"
                             : c < ' '   ? "?"
                                         : NULL;
        /* The two characters of Unicode that XML has not. */
        if (strncmp(value, "\xef\xbf\xbe", 3) == 0 || strncmp(value, "\xef\xbf\xbf", 3) == 0) {
            entity = "?";
            value += 2;
        }
        if (entity == NULL) {
            DET_TRY_RETURN(append_character(env, text, &value));
            continue;
        }
        DET_TRY_RETURN(det_text_append(env, text, entity, strlen(entity)));
        value++;
    }
    return DET_OK;
}

det_status det_text_shown(struct det_env *env, struct det_text *text, const char *value)
{
    size_t most = 0;
    if (!det_size_mul(strlen(value), DET_UTF8_SHOWN_BYTES, &most))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "text is too long");
    DET_TRY_RETURN(reserve(env, text, most));
    text->length += det_utf8_shown(text->data + text->length, most + 1, value, false);
    return DET_OK;
}

det_status det_text_xml_shown(struct det_env *env, struct det_text *text, const char *value)
{
    struct det_text shown = {0};
    det_status status = det_text_shown(env, &shown, value);
    if (status == DET_OK)
        status = det_text_xml(env, text, shown.data);
    det_text_free(env, &shown);
    return status;
}

det_status det_text_column(struct det_env *env, struct det_text *text, const char *value,
                           size_t width)
{
    const size_t begin = text->length;
    size_t used = 0;
    DET_TRY_RETURN(det_text_shown(env, text, value));
    text->length = begin + det_utf8_fit(text->data + begin, width, &used);
    text->data[text->length] = '\0';
    return det_text_printf(env, text, "%*s", (int)(width - used), "");
}

/* A spreadsheet takes a cell that begins with one of these for a formula. */
static bool is_formula(const char *cell)
{
    cell += strspn(cell, "'");
    return *cell != '\0' && strchr("=+-@\t\r\n", *cell) != NULL;
}

det_status det_text_csv(struct det_env *env, struct det_text *text, const char *value)
{
    const char *mark = is_formula(value) ? "'" : "";
    const size_t length = strlen(value);
    const bool has_blank_end =
        length > 0 && ((mark[0] == '\0' && strchr(" \t", value[0]) != NULL) ||
                       strchr(" \t", value[length - 1]) != NULL);
    const char *quote = has_blank_end || strpbrk(value, ",\"\r\n") != NULL ? "\"" : "";
    DET_TRY_RETURN(det_text_printf(env, text, "%s%s", quote, mark));
    while (*value != '\0') {
        if (*value == '"')
            DET_TRY_RETURN(det_text_append(env, text, "\"", 1));
        DET_TRY_RETURN(append_character(env, text, &value));
    }
    return det_text_printf(env, text, "%s", quote);
}

const char *det_csv_value(const char *cell)
{
    return cell[0] == '\'' && is_formula(cell) ? cell + 1 : cell;
}
