/* prototext.c: lexer, parser and typed values of protobuf text format; see prototext.h. */
#include "formats/prototext.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/mem.h"
#include "support/text.h"

#define BLOCK_BYTES  8192
#define MAX_BYTES    (64u << 20)
#define MEMORY_ALIGN 16

struct det_prototext_block {
    struct det_prototext_block *next;
    size_t used;
    size_t capacity;
};
#define BLOCK_HEADER 32 /* sizeof(struct det_prototext_block), rounded to MEMORY_ALIGN */

_Static_assert(sizeof(struct det_prototext_block) <= BLOCK_HEADER, "header of a block");

det_status det_prototext_allocate(struct det_env *env, struct det_prototext *document, void *out,
                                  size_t count, size_t size)
{
    void *result = NULL;
    memcpy(out, &result, sizeof result);
    size_t bytes = 0;
    if (!det_size_mul(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: too large", document->name);
    bytes = (bytes + MEMORY_ALIGN) / MEMORY_ALIGN * MEMORY_ALIGN;
    struct det_prototext_block *block = document->blocks;
    if (block == NULL || block->capacity - block->used < bytes) {
        const size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        DET_TRY_RETURN(det_alloc(env, &block, 1, BLOCK_HEADER + capacity, "text configuration"));
        block->capacity = capacity;
        block->next = document->blocks;
        document->blocks = block;
    }
    result = (uint8_t *)block + BLOCK_HEADER + block->used;
    block->used += bytes;
    memcpy(out, &result, sizeof result);
    return DET_OK;
}

void det_prototext_free(struct det_env *env, struct det_prototext *document)
{
    while (document->blocks != NULL) {
        struct det_prototext_block *next = document->blocks->next;
        det_free(env, &document->blocks);
        document->blocks = next;
    }
    memset(document, 0, sizeof *document);
}

DET_PRINTF(5, 0)
static det_status fail_at(struct det_env *env, det_status status, const char *name,
                          struct det_position position, const char *format, va_list arguments)
{
    char detail[DET_ERROR_BYTES];
    vsnprintf(detail, sizeof detail, format, arguments);
    return det_fail(env, status, "%s:%d:%d: %s", name, (int)position.line, (int)position.column,
                    detail);
}

det_status det_prototext_fail(struct det_env *env, det_status status,
                              const struct det_prototext *document, struct det_position position,
                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_at(env, status, document->name, position, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- numbers ---- */

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static int hex_digit(int c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool same_word(const char *text, const char *word)
{
    while (*text != '\0' && lower((unsigned char)*text) == *word)
        text++, word++;
    return *text == '\0' && *word == '\0';
}

/* Unsigned integer in base 10, 8 (leading 0) or 16 (0x); false when it is none or exceeds 64 bits.
 */
static bool parse_integer(const char *text, uint64_t *out)
{
    uint64_t base = 10;
    if (text[0] == '0' && lower((unsigned char)text[1]) == 'x') {
        base = 16;
        text += 2;
    } else if (text[0] == '0' && text[1] != '\0') {
        base = 8;
        text++;
    }
    if (*text == '\0')
        return false;
    uint64_t value = 0;
    for (; *text != '\0'; text++) {
        const int digit = hex_digit((unsigned char)*text);
        if (digit < 0 || (uint64_t)digit >= base || value > (UINT64_MAX - (uint64_t)digit) / base)
            return false;
        value = value * base + (uint64_t)digit;
    }
    *out = value;
    return true;
}

/* mantissa * 10^exponent in extended precision, so that the one rounding to double is the only one
 * that counts. */
static double scale_decimal(uint64_t mantissa, long exponent)
{
    if (mantissa == 0 || exponent < -400)
        return 0;
    if (exponent > 400)
        return HUGE_VAL;
    long double value = (long double)mantissa;
    long double power = 1, factor = 10;
    for (unsigned long n = (unsigned long)(exponent < 0 ? -exponent : exponent); n != 0; n >>= 1) {
        if (n & 1)
            power *= factor;
        factor *= factor;
    }
    value = exponent < 0 ? value / power : value * power;
    return (double)value;
}

/* digits [. digits] [e [sign] digits] [f] */
static bool parse_decimal(const char *text, double *out)
{
    uint64_t mantissa = 0;
    long exponent = 0;
    int digits = 0;
    bool fraction = false;
    for (;; text++) {
        if (*text == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!is_digit((unsigned char)*text))
            break;
        digits = 1;
        if (mantissa < UINT64_MAX / 10 - 1) {
            mantissa = mantissa * 10 + (uint64_t)(*text - '0');
            exponent -= fraction;
        } else if (exponent < 100000) {
            exponent += !fraction;
        }
    }
    if (digits == 0)
        return false;
    if (lower((unsigned char)*text) == 'e') {
        text++;
        const bool negative = *text == '-';
        if (*text == '-' || *text == '+')
            text++;
        if (!is_digit((unsigned char)*text))
            return false;
        long written = 0;
        for (; is_digit((unsigned char)*text); text++)
            if (written < 100000)
                written = written * 10 + (*text - '0');
        exponent += negative ? -written : written;
    }
    if (lower((unsigned char)*text) == 'f')
        text++;
    *out = scale_decimal(mantissa, exponent);
    return *text == '\0';
}

bool det_parse_double(const char *text, double *out)
{
    *out = 0;
    const bool negative = *text == '-';
    if (negative)
        text++;
    double value = 0;
    uint64_t integer = 0;
    if (same_word(text, "inf") || same_word(text, "infinity"))
        value = HUGE_VAL;
    else if (same_word(text, "nan"))
        value = (double)NAN;
    else if (parse_integer(text, &integer))
        value = (double)integer;
    else if (!parse_decimal(text, &value))
        return false;
    else if (text[0] == '0' && strspn(text, "0123456789") == strlen(text) && text[1] != '\0')
        return false; /* 09: an octal number that is none */
    *out = negative ? -value : value;
    return true;
}

/* ---- lexer ---- */

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_STRING, TOKEN_SIGN };

struct parser {
    struct det_env *env;
    struct det_prototext *document;
    const char *text_begin, *at, *end;
    struct det_position here; /* of `at` */
    size_t behind;            /* bytes of the text before the present token, blanks not counted */
    /* the present token */
    enum token_kind kind;
    struct det_position position;
    const char *start;
    size_t bytes; /* as written */
    char *text;   /* name, number: NUL-terminated; string: unescaped */
    size_t text_bytes;
};

static DET_PRINTF(3, 4) det_status
    parse_fail(struct parser *p, struct det_position position, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_at(p->env, DET_STATUS_PARSE, p->document->name, position, format, arguments);
    va_end(arguments);
    return DET_STATUS_PARSE;
}

static void step(struct parser *p)
{
    if (*p->at++ == '\n') {
        p->here.line++;
        p->here.column = 1;
    } else {
        p->here.column++;
    }
}

static int peek(const struct parser *p)
{
    return p->at < p->end ? (unsigned char)*p->at : -1;
}

static void skip_space(struct parser *p)
{
    for (;;) {
        const int c = peek(p);
        if (c == '#') {
            while (peek(p) != -1 && peek(p) != '\n')
                step(p);
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f') {
            step(p);
        } else {
            return;
        }
    }
}

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | (code >> 6));
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | (code >> 12));
        out[1] = (char)(0x80 | ((code >> 6) & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | (code >> 18));
    out[1] = (char)(0x80 | ((code >> 12) & 63));
    out[2] = (char)(0x80 | ((code >> 6) & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* After the backslash; the bytes in `out`. What is no escape of the language stays as it is
 * written, the backslash first, as Python's reader leaves it: people write C:\work in it. An escape
 * never makes the text longer than it is written. */
static size_t read_escape(struct parser *p, char out[4])
{
    static const char letters[] = "abfnrtv\\'\"?";
    static const char values[] = "\a\b\f\n\r\t\v\\'\"?";
    const struct parser written = *p;
    const int c = peek(p);
    const char *simple = c <= 0 ? NULL : strchr(letters, c);
    if (simple != NULL) {
        step(p);
        out[0] = values[simple - letters];
        return 1;
    }
    int most = 0, base = 16;
    if (c >= '0' && c <= '7') {
        most = 3;
        base = 8;
    } else if (c == 'x' || c == 'X' || c == 'u' || c == 'U') {
        step(p);
        most = c == 'u' ? 4 : c == 'U' ? 8 : 2;
    }
    uint32_t code = 0;
    int count = 0;
    for (; count < most; count++) {
        const int digit = hex_digit(peek(p));
        if (digit < 0 || digit >= base)
            break;
        code = code * (uint32_t)base + (uint32_t)digit;
        step(p);
    }
    if (count == 0 || (most >= 4 && count != most) || code > 0x10ffff || (most < 4 && code > 255)) {
        *p = written;
        out[0] = '\\';
        return 1;
    }
    if (most >= 4)
        return put_utf8(out, code);
    out[0] = (char)code;
    return 1;
}

/* One or more adjacent strings. */
static det_status read_string(struct parser *p)
{
    /* Find how much room is needed: every string that follows, escapes included. */
    const struct parser saved = *p;
    size_t room = 1;
    for (int pass = 0; pass < 2; pass++) {
        size_t used = 0;
        *p = saved;
        if (pass == 1)
            DET_TRY_RETURN(det_prototext_allocate(p->env, p->document, &p->text, room, 1));
        for (;;) {
            const int quote = peek(p);
            const struct det_position opened = p->here;
            bool escaped_quote = false;
            step(p);
            while (peek(p) != quote) {
                const int c = peek(p);
                if (c == -1 || c == '\n')
                    return parse_fail(p, opened,
                                      "the string that starts here is not closed on its line%s",
                                      escaped_quote ? ": a backslash before a quote takes it in, "
                                                      "write / or \\\\ in paths"
                                                    : "");
                step(p);
                if (c == '\\') {
                    escaped_quote = escaped_quote || peek(p) == quote;
                    char bytes[4];
                    const size_t count = read_escape(p, bytes);
                    if (pass == 1)
                        memcpy(p->text + used, bytes, count);
                    used += count;
                } else {
                    if (pass == 1)
                        p->text[used] = (char)c;
                    used++;
                }
            }
            step(p);
            const struct parser after = *p;
            skip_space(p);
            if (peek(p) != '"' && peek(p) != '\'') {
                *p = after;
                break;
            }
        }
        room = used + 1;
        p->text_bytes = used;
    }
    p->bytes = (size_t)(p->at - p->start);
    return DET_OK;
}

static det_status read_token(struct parser *p)
{
    p->behind = (size_t)(p->at - p->text_begin);
    skip_space(p);
    p->position = p->here;
    p->start = p->at;
    p->bytes = 0;
    p->text = NULL;
    p->text_bytes = 0;
    const int c = peek(p);
    if (c == -1) {
        p->kind = TOKEN_END;
        return DET_OK;
    }
    if (c == '"' || c == '\'') {
        p->kind = TOKEN_STRING;
        return read_string(p);
    }
    if (is_letter(c)) {
        p->kind = TOKEN_NAME;
        while (is_letter(peek(p)) || is_digit(peek(p)))
            step(p);
    } else if (is_digit(c) || c == '.') {
        p->kind = TOKEN_NUMBER;
        int last = 0;
        const bool hex = c == '0' && p->end - p->at > 1 && lower((unsigned char)p->at[1]) == 'x';
        for (;;) {
            const int next = peek(p);
            const bool sign = (next == '-' || next == '+') && lower(last) == 'e' && !hex;
            if (!is_letter(next) && !is_digit(next) && next != '.' && !sign)
                break;
            last = next;
            step(p);
        }
    } else {
        p->kind = TOKEN_SIGN;
        step(p);
    }
    p->bytes = (size_t)(p->at - p->start);
    if (p->kind == TOKEN_SIGN)
        return DET_OK;
    DET_TRY_RETURN(det_prototext_allocate(p->env, p->document, &p->text, p->bytes + 1, 1));
    memcpy(p->text, p->start, p->bytes);
    p->text_bytes = p->bytes;
    double value = 0;
    if (p->kind == TOKEN_NUMBER && !det_parse_double(p->text, &value))
        return parse_fail(p, p->position, "found `%.40s`, which is not a number", p->text);
    return DET_OK;
}

static bool is_sign(const struct parser *p, char c)
{
    return p->kind == TOKEN_SIGN && *p->start == c;
}

static det_status unexpected(struct parser *p, const char *expected)
{
    if (p->kind == TOKEN_END)
        return parse_fail(p, p->position, "the file ends here, expected %s", expected);
    const unsigned char c = (unsigned char)*p->start;
    if (p->kind == TOKEN_SIGN && (c < 32 || c > 126))
        return parse_fail(p, p->position, "found the byte 0x%02x, expected %s", c, expected);
    const int shown = p->bytes > 40 ? 40 : (int)p->bytes;
    return parse_fail(p, p->position, "found `%.*s`%s, expected %s", shown, p->start,
                      p->bytes > 40 ? "..." : "", expected);
}

/* ---- parser ---- */

static det_status parse_fields(struct parser *p, struct det_prototext_field *message, char closing,
                               struct det_position opened, int depth);

/* The value that starts at the present token; leaves the token after it. */
static det_status parse_value(struct parser *p, struct det_prototext_field *field, int depth)
{
    field->value_position = p->position;
    if (is_sign(p, '{') || is_sign(p, '<')) {
        const char closing = *p->start == '{' ? '}' : '>';
        field->kind = DET_PROTOTEXT_MESSAGE;
        if (depth >= DET_PROTOTEXT_MAX_DEPTH)
            return parse_fail(p, p->position, "messages are nested more than %d deep",
                              DET_PROTOTEXT_MAX_DEPTH);
        const struct det_position opened = p->position;
        DET_TRY_RETURN(read_token(p));
        DET_TRY_RETURN(parse_fields(p, field, closing, opened, depth + 1));
        return read_token(p);
    }
    if (is_sign(p, '-')) {
        const struct det_position sign = p->position;
        DET_TRY_RETURN(read_token(p));
        double value = 0;
        if ((p->kind != TOKEN_NUMBER && p->kind != TOKEN_NAME) ||
            !det_parse_double(p->text, &value))
            return unexpected(p, "a number after `-`");
        char *text = NULL;
        DET_TRY_RETURN(det_prototext_allocate(p->env, p->document, &text, p->text_bytes + 2, 1));
        text[0] = '-';
        memcpy(text + 1, p->text, p->text_bytes);
        field->kind = DET_PROTOTEXT_NUMBER;
        field->text = text;
        field->text_bytes = p->text_bytes + 1;
        field->value_position = sign;
        return read_token(p);
    }
    if (p->kind != TOKEN_NUMBER && p->kind != TOKEN_STRING && p->kind != TOKEN_NAME)
        return unexpected(p, "a value");
    field->kind = p->kind == TOKEN_NUMBER   ? DET_PROTOTEXT_NUMBER
                  : p->kind == TOKEN_STRING ? DET_PROTOTEXT_STRING
                                            : DET_PROTOTEXT_WORD;
    field->text = p->text;
    field->text_bytes = p->text_bytes;
    return read_token(p);
}

/* [a.b.c] or [domain/a.b.c]; the present token is `[`. */
static det_status read_extension_name(struct parser *p)
{
    while (is_letter(peek(p)) || is_digit(peek(p)) || peek(p) == '.' || peek(p) == '/' ||
           peek(p) == '-')
        step(p);
    if (peek(p) != ']')
        return parse_fail(p, p->position,
                          "found `[`, expected a field name or [package.extension]");
    step(p);
    p->bytes = (size_t)(p->at - p->start);
    p->kind = TOKEN_NAME;
    DET_TRY_RETURN(det_prototext_allocate(p->env, p->document, &p->text, p->bytes + 1, 1));
    memcpy(p->text, p->start, p->bytes);
    return DET_OK;
}

static det_status add_field(struct parser *p, struct det_prototext_field ***tail, const char *name,
                            struct det_position position, struct det_prototext_field **out)
{
    DET_TRY_RETURN(det_prototext_allocate(p->env, p->document, out, 1, sizeof **out));
    (*out)->name = name;
    (*out)->position = position;
    **tail = *out;
    *tail = &(*out)->next;
    return DET_OK;
}

static det_status parse_list(struct parser *p, struct det_prototext_field ***tail, const char *name,
                             struct det_position position, int depth)
{
    DET_TRY_RETURN(read_token(p));
    if (is_sign(p, ']'))
        return read_token(p);
    for (;;) {
        struct det_prototext_field *field = NULL;
        DET_TRY_RETURN(add_field(p, tail, name, position, &field));
        DET_TRY_RETURN(parse_value(p, field, depth));
        if (is_sign(p, ']'))
            return read_token(p);
        if (!is_sign(p, ','))
            return unexpected(p, "`,` or `]`");
        DET_TRY_RETURN(read_token(p));
    }
}

static det_status parse_fields(struct parser *p, struct det_prototext_field *message, char closing,
                               struct det_position opened, int depth)
{
    struct det_prototext_field **tail = &message->first;
    for (;;) {
        if (closing == '\0' && p->kind == TOKEN_END)
            return DET_OK;
        if (closing != '\0' && is_sign(p, closing))
            return DET_OK;
        if (p->kind == TOKEN_END)
            return parse_fail(p, p->position,
                              "the file ends here, expected `%c` for the message opened in line %d",
                              closing, (int)opened.line);
        if (is_sign(p, '['))
            DET_TRY_RETURN(read_extension_name(p));
        if (p->kind != TOKEN_NAME)
            return unexpected(p, closing == '\0' ? "a field name"
                                                 : "a field name or the end of "
                                                   "the message");
        const char *name = p->text;
        const struct det_position position = p->position;
        const size_t begin = (size_t)(p->start - p->text_begin);
        struct det_prototext_field **const first = tail;
        DET_TRY_RETURN(read_token(p));
        const bool colon = is_sign(p, ':');
        if (colon)
            DET_TRY_RETURN(read_token(p));
        else if (!is_sign(p, '{') && !is_sign(p, '<') && !is_sign(p, '['))
            return unexpected(p, "`:` or `{`");
        if (is_sign(p, '[')) {
            DET_TRY_RETURN(parse_list(p, &tail, name, position, depth));
        } else {
            struct det_prototext_field *field = NULL;
            DET_TRY_RETURN(add_field(p, &tail, name, position, &field));
            DET_TRY_RETURN(parse_value(p, field, depth));
        }
        for (struct det_prototext_field *field = *first; field != NULL; field = field->next) {
            field->begin = begin;
            field->end = p->behind;
        }
        if (is_sign(p, ';') || is_sign(p, ','))
            DET_TRY_RETURN(read_token(p));
    }
}

det_status det_prototext_parse(struct det_env *env, const char *name, const char *text,
                               size_t bytes, struct det_prototext *document)
{
    memset(document, 0, sizeof *document);
    if (bytes > MAX_BYTES)
        return det_fail(env, DET_STATUS_PARSE, "%s: %zu bytes, a text configuration has at most %u",
                        name, bytes, MAX_BYTES);
    const size_t length = strlen(name);
    det_status status = DET_OK;
    const struct det_budget before = det_budget_open(env, name);
    struct parser p = {.env = env, .document = document, .text_begin = text, .here = {1, 1}};
    DET_TRY(det_prototext_allocate(env, document, &document->name, length + 1, 1));
    memcpy(document->name, name, length);
    document->root.kind = DET_PROTOTEXT_MESSAGE;
    document->root.name = "";
    document->root.position = document->root.value_position = (struct det_position){1, 1};
    document->root.end = bytes;
    /* Editors on Windows put a byte order mark in front. */
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        bytes -= 3;
    }
    if (bytes >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        DET_TRY(det_fail(env, DET_STATUS_PARSE,
                         "%s: is UTF-16, as Windows' editors and PowerShell's > write it: save it "
                         "as UTF-8",
                         name));
    p.at = text;
    p.end = text + bytes;
    DET_TRY(read_token(&p));
    DET_TRY(parse_fields(&p, &document->root, '\0', p.here, 0));
fail:
    det_budget_close(env, before);
    if (status != DET_OK)
        det_prototext_free(env, document);
    return status;
}

const struct det_prototext_field *det_prototext_find(const struct det_prototext_field *message,
                                                     const char *name)
{
    if (message->kind != DET_PROTOTEXT_MESSAGE)
        return NULL;
    for (const struct det_prototext_field *field = message->first; field != NULL;
         field = field->next)
        if (strcmp(field->name, name) == 0)
            return field;
    return NULL;
}

/* ---- values ---- */

static det_status wrong_type(struct det_env *env, const struct det_prototext *document,
                             const struct det_prototext_field *field, const char *expected)
{
    if (field->kind == DET_PROTOTEXT_MESSAGE)
        return det_prototext_fail(env, DET_STATUS_PARSE, document, field->value_position,
                                  "field `%s`: found a message, expected %s", field->name,
                                  expected);
    const char *quote = field->kind == DET_PROTOTEXT_STRING ? "\"" : "`";
    return det_prototext_fail(env, DET_STATUS_PARSE, document, field->value_position,
                              "field `%s`: found %s%.60s%s, expected %s", field->name, quote,
                              field->text, quote, expected);
}

det_status det_prototext_int(struct det_env *env, const struct det_prototext *document,
                             const struct det_prototext_field *field, int64_t low, int64_t high,
                             int64_t *out)
{
    *out = 0;
    char expected[80];
    snprintf(expected, sizeof expected, "a whole number from %lld to %lld", (long long)low,
             (long long)high);
    if (field->kind != DET_PROTOTEXT_NUMBER)
        return wrong_type(env, document, field, expected);
    const bool negative = field->text[0] == '-';
    uint64_t magnitude = 0;
    if (!parse_integer(field->text + negative, &magnitude) || magnitude > INT64_MAX)
        return wrong_type(env, document, field, expected);
    const int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (value < low || value > high)
        return wrong_type(env, document, field, expected);
    *out = value;
    return DET_OK;
}

det_status det_prototext_float(struct det_env *env, const struct det_prototext *document,
                               const struct det_prototext_field *field, float *out)
{
    *out = 0;
    double value = 0;
    if ((field->kind != DET_PROTOTEXT_NUMBER && field->kind != DET_PROTOTEXT_WORD) ||
        !det_parse_double(field->text, &value))
        return wrong_type(env, document, field, "a number");
    *out = (float)value;
    return DET_OK;
}

det_status det_prototext_bool(struct det_env *env, const struct det_prototext *document,
                              const struct det_prototext_field *field, bool *out)
{
    static const char *const words[2][3] = {{"false", "False", "f"}, {"true", "True", "t"}};
    *out = false;
    uint64_t number = 0;
    if (field->kind == DET_PROTOTEXT_NUMBER && parse_integer(field->text, &number) && number <= 1) {
        *out = number == 1;
        return DET_OK;
    }
    if (field->kind == DET_PROTOTEXT_WORD)
        for (int value = 0; value < 2; value++)
            for (int i = 0; i < 3; i++)
                if (strcmp(field->text, words[value][i]) == 0) {
                    *out = value == 1;
                    return DET_OK;
                }
    return wrong_type(env, document, field, "true or false");
}

det_status det_prototext_string(struct det_env *env, const struct det_prototext *document,
                                const struct det_prototext_field *field, const char **out)
{
    *out = "";
    if (field->kind != DET_PROTOTEXT_STRING)
        return wrong_type(env, document, field, "a string in quotes");
    if (strlen(field->text) != field->text_bytes)
        return wrong_type(env, document, field, "a string without a zero byte");
    *out = field->text;
    return DET_OK;
}

det_status det_prototext_put_string(struct det_env *env, struct det_text *text, const char *value)
{
    DET_TRY_RETURN(det_text_append(env, text, "\"", 1));
    for (const char *c = value; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            DET_TRY_RETURN(det_text_printf(env, text, "\\%03o", (unsigned char)*c));
        else if (*c == '"' || *c == '\\')
            DET_TRY_RETURN(det_text_printf(env, text, "\\%c", *c));
        else
            DET_TRY_RETURN(det_text_append(env, text, c, 1));
    }
    return det_text_append(env, text, "\"", 1);
}
