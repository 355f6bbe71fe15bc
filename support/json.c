#include "support/json.h"

#include <string.h>

#include "support/mem.h"
#include "support/number.h"

/* --- the whole text --- */

struct checker {
    struct det_env *env;
    const char *name;
    const char *start, *at, *end;
    int depth;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* "name:line:column: found X, expected `expected`" */
static det_status fail_at(const struct checker *c, const char *at, const char *expected)
{
    size_t line = 1;
    const char *line_start = c->start;
    for (const char *p = c->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            line_start = p + 1;
        }
    }
    int shown = 0;
    while (shown < 20 && at + shown < c->end && (unsigned char)at[shown] > ' ' &&
           (unsigned char)at[shown] < 0x7f && (shown == 0 || strchr(",]}", at[shown]) == NULL))
        shown++;
    const size_t column = (size_t)(at - line_start) + 1;
    if (at == c->end)
        return det_fail(c->env, DET_STATUS_PARSE, "%s:%zu:%zu: the text ends, expected %s", c->name,
                        line, column, expected);
    if (shown == 0)
        return det_fail(c->env, DET_STATUS_PARSE, "%s:%zu:%zu: found the byte 0x%02x, expected %s",
                        c->name, line, column, (unsigned char)*at, expected);
    return det_fail(c->env, DET_STATUS_PARSE, "%s:%zu:%zu: found `%.*s`, expected %s", c->name,
                    line, column, shown, at, expected);
}

static det_status check_escape(struct checker *c)
{
    if (c->at + 1 < c->end && c->at[1] == 'u') {
        for (int i = 2; i < 6; i++) {
            const bool hex = c->at + i < c->end && c->at[i] != '\0' &&
                             strchr("0123456789abcdefABCDEF", c->at[i]);
            if (!hex)
                return fail_at(c, c->at, "\\u and four hexadecimal digits");
        }
        c->at += 6;
        return DET_OK;
    }
    if (c->at + 1 == c->end || c->at[1] == '\0' || strchr("\"\\/bfnrt", c->at[1]) == NULL)
        return fail_at(c, c->at, "an escape that JSON has (\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u)");
    c->at += 2;
    return DET_OK;
}

static det_status check_string(struct checker *c)
{
    for (c->at++; c->at < c->end && *c->at != '"';) {
        if (*c->at == '\\')
            DET_TRY_RETURN(check_escape(c));
        else if ((unsigned char)*c->at < ' ')
            return fail_at(c, c->at, "`\"`: a string holds no control characters");
        else
            c->at++;
    }
    if (c->at == c->end)
        return fail_at(c, c->at, "`\"` at the end of a string");
    c->at++;
    return DET_OK;
}

static bool check_digits(struct checker *c)
{
    const char *first = c->at;
    while (c->at < c->end && is_digit(*c->at))
        c->at++;
    return c->at > first;
}

static det_status check_number(struct checker *c)
{
    const char *start = c->at;
    c->at += *c->at == '-';
    const char *digits = c->at;
    bool good = check_digits(c) && (*digits != '0' || c->at == digits + 1);
    if (good && c->at < c->end && *c->at == '.') {
        c->at++;
        good = check_digits(c);
    }
    if (good && c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        c->at += c->at < c->end && (*c->at == '+' || *c->at == '-');
        good = check_digits(c);
    }
    return good ? DET_OK : fail_at(c, start, "a number as JSON writes it");
}

static bool starts_with(const char *at, const char *end, const char *word)
{
    const size_t length = strlen(word);
    return (size_t)(end - at) >= length && memcmp(at, word, length) == 0;
}

static det_status check_word(struct checker *c)
{
    static const char *const words[] = {"null", "true", "false"};
    static const char *const others[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (starts_with(c->at, c->end, words[i])) {
            c->at += strlen(words[i]);
            return DET_OK;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (starts_with(c->at, c->end, others[i]))
            return fail_at(c, c->at,
                           "a finite number: JSON has no NaN or infinity, Python's json module "
                           "writes them all the same");
    }
    return fail_at(c, c->at, "a JSON value");
}

static det_status check_value(struct checker *c);

/* The entries of a list or object up to `close`, one of which begins at c->at. */
static det_status check_entries(struct checker *c, char close)
{
    for (;;) {
        if (close == '}') {
            if (c->at == c->end || *c->at != '"')
                return fail_at(c, c->at, "a key in quotes");
            DET_TRY_RETURN(check_string(c));
            c->at = skip_space(c->at, c->end);
            if (c->at == c->end || *c->at != ':')
                return fail_at(c, c->at, "`:` after a key");
            c->at = skip_space(c->at + 1, c->end);
        }
        DET_TRY_RETURN(check_value(c));
        c->at = skip_space(c->at, c->end);
        if (c->at < c->end && *c->at == close) {
            c->at++;
            return DET_OK;
        }
        if (c->at == c->end || *c->at != ',')
            return fail_at(c, c->at, close == '}' ? "`,` or `}`" : "`,` or `]`");
        c->at = skip_space(c->at + 1, c->end);
    }
}

static det_status check_value(struct checker *c)
{
    const char first = c->at < c->end ? *c->at : '\0';
    if (first == '"')
        return check_string(c);
    if (is_digit(first) || (first == '-' && !starts_with(c->at, c->end, "-Inf")))
        return check_number(c);
    if (first != '{' && first != '[')
        return check_word(c);
    const char close = first == '{' ? '}' : ']';
    if (c->depth == DET_JSON_MOST_DEPTH)
        return det_fail(c->env, DET_STATUS_PARSE,
                        "%s: byte %zu: more than %d lists and objects in each other", c->name,
                        (size_t)(c->at - c->start), DET_JSON_MOST_DEPTH);
    c->at = skip_space(c->at + 1, c->end);
    if (c->at < c->end && *c->at == close) {
        c->at++;
        return DET_OK;
    }
    c->depth++;
    DET_TRY_RETURN(check_entries(c, close));
    c->depth--;
    return DET_OK;
}

det_status det_json_parse(struct det_env *env, const char *name, const void *text, size_t bytes,
                          struct det_json *root)
{
    struct checker c = {.env = env, .name = name, .start = text, .at = text};
    *root = (struct det_json){0};
    c.end = c.start + bytes;
    if (starts_with(c.at, c.end, "\xef\xbb\xbf"))
        c.at += 3;
    c.at = skip_space(c.at, c.end);
    const char *first = c.at;
    DET_TRY_RETURN(check_value(&c));
    c.at = skip_space(c.at, c.end);
    if (c.at < c.end)
        return fail_at(&c, c.at, "nothing behind the JSON value");
    *root = (struct det_json){first, c.end};
    return DET_OK;
}

/* --- values of a checked text --- */

enum det_json_kind det_json_kind(struct det_json value)
{
    if (value.at == NULL)
        return DET_JSON_NONE;
    switch (*value.at) {
    case 'n':
        return DET_JSON_NULL;
    case 't':
    case 'f':
        return DET_JSON_BOOL;
    case '"':
        return DET_JSON_STRING;
    case '[':
        return DET_JSON_LIST;
    case '{':
        return DET_JSON_OBJECT;
    default:
        return DET_JSON_NUMBER;
    }
}

const char *det_json_kind_text(struct det_json value)
{
    static const char *const texts[] = {"nothing",  "null",   "a truth value", "a number",
                                        "a string", "a list", "an object"};
    return texts[det_json_kind(value)];
}

/* Behind the closing quote of the string at `at`. */
static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

/* Behind the value at `at`. */
static const char *skip_value(const char *at, const char *end)
{
    if (*at == '"')
        return skip_string(at);
    if (*at != '[' && *at != '{') {
        while (at < end && !is_space(*at) && *at != ',' && *at != ']' && *at != '}')
            at++;
        return at;
    }
    for (int depth = 0;;) {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (*at == '[' || *at == '{')
            depth++;
        else if (*at == ']' || *at == '}')
            depth--;
        at++;
        if (depth == 0)
            return at;
    }
}

/* The entry at `at`, with a key in an object. */
static void read_entry(const char *at, const char *end, bool object, struct det_json_entry *entry)
{
    *entry = (struct det_json_entry){0};
    if (object) {
        entry->key = (struct det_json){at, end};
        at = skip_space(skip_string(at), end);
        at = skip_space(at + 1, end);
    }
    entry->value = (struct det_json){at, end};
}

bool det_json_first(struct det_json container, struct det_json_entry *entry)
{
    const enum det_json_kind kind = det_json_kind(container);
    *entry = (struct det_json_entry){0};
    if (kind != DET_JSON_LIST && kind != DET_JSON_OBJECT)
        return false;
    const char *at = skip_space(container.at + 1, container.end);
    if (*at == ']' || *at == '}')
        return false;
    read_entry(at, container.end, kind == DET_JSON_OBJECT, entry);
    return true;
}

bool det_json_next(struct det_json_entry *entry)
{
    const char *end = entry->value.end;
    const char *at = skip_space(skip_value(entry->value.at, end), end);
    const bool object = entry->key.at != NULL;
    if (*at != ',') {
        *entry = (struct det_json_entry){0};
        return false;
    }
    read_entry(skip_space(at + 1, end), end, object, entry);
    return true;
}

size_t det_json_count(struct det_json container)
{
    struct det_json_entry entry;
    size_t count = 0;
    for (bool more = det_json_first(container, &entry); more; more = det_json_next(&entry))
        count++;
    return count;
}

struct det_json det_json_get(struct det_json object, const char *key)
{
    struct det_json found = {0};
    struct det_json_entry entry;
    for (bool more = det_json_first(object, &entry); more; more = det_json_next(&entry)) {
        if (det_json_equals(entry.key, key))
            found = entry.value;
    }
    return found;
}

bool det_json_number(struct det_json value, double *number)
{
    *number = 0;
    if (det_json_kind(value) != DET_JSON_NUMBER)
        return false;
    return det_parse_decimal(value.at, (size_t)(skip_value(value.at, value.end) - value.at),
                             number);
}

bool det_json_is_true(struct det_json value)
{
    return value.at != NULL && *value.at == 't';
}

/* --- strings --- */

static uint32_t hex4(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = at[i];
        value = value * 16 + (uint32_t)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* The code point of the escape \uXXXX at *at, with the other half of a surrogate pair; moves *at
 * behind it. */
static uint32_t read_code_point(const char **at)
{
    const uint32_t first = hex4(*at + 2);
    *at += 6;
    if (first >= 0xD800 && first < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        const uint32_t second = hex4(*at + 2);
        if (second >= 0xDC00 && second < 0xE000) {
            *at += 6;
            return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        }
    }
    return first == 0 || (first >= 0xD800 && first < 0xE000) ? 0xFFFD : first;
}

static int put_utf8(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(unsigned char)(marks[more] | code >> (6 * more));
    for (int i = 1; i <= more; i++)
        out[i] = (char)(unsigned char)(0x80 | (code >> (6 * (more - i)) & 0x3F));
    return more + 1;
}

/* The next character of a string at *at as UTF-8 (of what is written as UTF-8, one byte); moves *at
 * behind it. */
static int read_character(const char **at, char out[4])
{
    if (**at != '\\') {
        out[0] = *(*at)++;
        return 1;
    }
    const char kind = (*at)[1];
    if (kind == 'u')
        return put_utf8(read_code_point(at), out);
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *control = strchr(from, kind);
    out[0] = control != NULL ? to[control - from] : kind;
    *at += 2;
    return 1;
}

bool det_json_equals(struct det_json value, const char *text)
{
    if (det_json_kind(value) != DET_JSON_STRING)
        return false;
    const char *at = value.at + 1;
    while (*at != '"') {
        char character[4];
        const int length = read_character(&at, character);
        if (strncmp(text, character, (size_t)length) != 0)
            return false;
        text += length;
    }
    return *text == '\0';
}

det_status det_json_string(struct det_env *env, struct det_json value, char **text)
{
    *text = NULL;
    if (det_json_kind(value) != DET_JSON_STRING)
        return DET_OK;
    /* No escape is shorter than what it stands for. */
    const size_t most = (size_t)(skip_string(value.at) - value.at);
    DET_TRY_RETURN(det_alloc_raw(env, text, most, 1, "JSON string"));
    const char *at = value.at + 1;
    char *out = *text;
    while (*at != '"') {
        char character[4];
        const int length = read_character(&at, character);
        memcpy(out, character, (size_t)length);
        out += length;
    }
    *out = '\0';
    return DET_OK;
}

const char *det_json_source(struct det_json value, size_t *bytes)
{
    *bytes = value.at == NULL ? 0 : (size_t)(skip_value(value.at, value.end) - value.at);
    return value.at;
}
