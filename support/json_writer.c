#include "support/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/number.h"
#include "support/utf8.h"

void det_json_begin(struct det_json_writer *json, struct det_env *env, struct det_text *text,
                    enum det_json_style style)
{
    *json = (struct det_json_writer){.env = env, .text = text, .style = style, .blanks = -1};
}

static void append(struct det_json_writer *json, const char *data)
{
    if (json->status == DET_OK)
        json->status = det_text_append(json->env, json->text, data, strlen(data));
}

static det_status append_literal(struct det_env *env, struct det_text *text, const char *value)
{
    DET_TRY_RETURN(det_text_append(env, text, "\"", 1));
    while (*value != '\0') {
        const unsigned char byte = (unsigned char)*value;
        char piece[4];
        const size_t bytes = det_utf8_made(&value, piece);
        if (byte == '"' || byte == '\\')
            DET_TRY_RETURN(det_text_printf(env, text, "\\%c", byte));
        else if (byte < 0x20)
            DET_TRY_RETURN(det_text_printf(env, text, "\\u%04x", byte));
        else
            DET_TRY_RETURN(det_text_append(env, text, piece, bytes));
    }
    return det_text_append(env, text, "\"", 1);
}

static void append_string(struct det_json_writer *json, const char *value)
{
    if (json->status == DET_OK)
        json->status = append_literal(json->env, json->text, value);
}

static void break_line(struct det_json_writer *json)
{
    if (json->blanks >= 0 && json->status == DET_OK)
        json->status = det_text_printf(json->env, json->text, "\n%*s", json->blanks, "");
    json->blanks = -1;
}

det_status det_json_end(struct det_json_writer *json)
{
    break_line(json);
    return json->status;
}

void det_json_line(struct det_json_writer *json, int blanks)
{
    json->blanks = blanks;
}

/* What stands before the value of an entry. */
static void begin_entry(struct det_json_writer *json, const char *key)
{
    const bool spaced = json->style == DET_JSON_SPACED;
    if (json->follows)
        append(json, spaced && json->blanks < 0 ? ", " : ",");
    break_line(json);
    json->follows = true;
    if (key == NULL)
        return;
    append_string(json, key);
    append(json, spaced ? ": " : ":");
}

static void put(struct det_json_writer *json, const char *key, const char *value)
{
    begin_entry(json, key);
    append(json, value);
}

static void open_container(struct det_json_writer *json, const char *key, const char *bracket)
{
    put(json, key, bracket);
    json->follows = false;
}

static void close_container(struct det_json_writer *json, const char *bracket)
{
    break_line(json);
    append(json, bracket);
    json->follows = true;
}

void det_json_open_object(struct det_json_writer *json, const char *key)
{
    open_container(json, key, "{");
}

void det_json_close_object(struct det_json_writer *json)
{
    close_container(json, "}");
}

void det_json_open_list(struct det_json_writer *json, const char *key)
{
    open_container(json, key, "[");
}

void det_json_close_list(struct det_json_writer *json)
{
    close_container(json, "]");
}

void det_json_put_string(struct det_json_writer *json, const char *key, const char *value)
{
    begin_entry(json, key);
    if (value != NULL)
        append_string(json, value);
    else
        append(json, "null");
}

void det_json_put_int(struct det_json_writer *json, const char *key, int64_t value)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)value);
    put(json, key, number);
}

void det_json_put_size(struct det_json_writer *json, const char *key, size_t value)
{
    char number[32];
    snprintf(number, sizeof number, "%zu", value);
    put(json, key, number);
}

void det_json_put_bool(struct det_json_writer *json, const char *key, bool value)
{
    put(json, key, value ? "true" : "false");
}

void det_json_put_double(struct det_json_writer *json, const char *key, double value)
{
    char number[32];
    put(json, key, det_format_double(number, value));
}

void det_json_put_float(struct det_json_writer *json, const char *key, float value)
{
    char number[32];
    put(json, key, det_format_float(number, value));
}

void det_json_put_value(struct det_json_writer *json, const char *key, double value)
{
    char number[32];
    put(json, key, det_format_value(number, value));
}

void det_json_put_fixed(struct det_json_writer *json, const char *key, double value, int decimals)
{
    char number[64];
    const int length = snprintf(number, sizeof number, "%.*f", decimals, value);
    if (!isfinite(value))
        put(json, key, "null");
    else if (length < 0 || length >= (int)sizeof number) /* decimals of what has none */
        det_json_put_double(json, key, value);
    else
        put(json, key, det_use_point(number));
}

void det_json_put_doubles(struct det_json_writer *json, const char *key, const double *values,
                          size_t count)
{
    det_json_open_list(json, key);
    for (size_t i = 0; i < count; i++)
        det_json_put_double(json, NULL, values[i]);
    det_json_close_list(json);
}

void det_json_put_values(struct det_json_writer *json, const char *key, const double *values,
                         size_t count)
{
    det_json_open_list(json, key);
    for (size_t i = 0; i < count; i++)
        det_json_put_value(json, NULL, values[i]);
    det_json_close_list(json);
}

void det_json_put_floats(struct det_json_writer *json, const char *key, const float *values,
                         size_t count)
{
    det_json_open_list(json, key);
    for (size_t i = 0; i < count; i++)
        det_json_put_float(json, NULL, values[i]);
    det_json_close_list(json);
}

void det_json_put_made(struct det_json_writer *json, const char *key, const char *value)
{
    put(json, key, value);
}
