#include "common/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/console.h"
#include "support/text.h"

enum { HELP_COLUMN = 34, HELP_WIDTH = 100, FARTHEST_SUGGESTION = 5 };

int options_error(const struct options *options, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    console_vmessage(options->program, format, arguments);
    va_end(arguments);
    console_message(NULL, "Try `%s --help`.", options->program);
    return OPTIONS_EXIT_USAGE;
}

/* --- help page --- */

struct page {
    struct det_env env;
    struct det_text text;
};

static void put(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Without memory for it the page is cut short: there is nobody to tell. */
static void put(struct page *page, const char *format, ...)
{
    char piece[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    (void)det_text_append(&page->env, &page->text, piece, strlen(piece));
}

static const char *metavar(const struct option *option)
{
    static const char *const by_kind[] = {
        [OPTION_STRING] = "TEXT", [OPTION_INT] = "N",     [OPTION_DOUBLE] = "X",
        [OPTION_FLAG] = "",       [OPTION_LIST] = "TEXT", [OPTION_SIZE] = "HxW"};
    return option->metavar != NULL ? option->metavar : by_kind[option->kind];
}

/* Words of `text` from HELP_COLUMN on, wrapped. */
static void put_wrapped(struct page *page, const char *text, int column)
{
    while (*text != '\0') {
        const int word = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
            put(page, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        if (column > HELP_COLUMN) {
            put(page, " ");
            column++;
        }
        put(page, "%.*s", word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    put(page, "\n");
}

static void put_option(struct page *page, const struct option *option)
{
    char left[128], text[1024], value[256] = "";
    switch (option->kind) {
    case OPTION_STRING: {
        const char *now = *(const char **)option->value;
        if (now != NULL && now[0] != '\0')
            snprintf(value, sizeof value, "%s", now);
        break;
    }
    case OPTION_INT:
        snprintf(value, sizeof value, "%lld", (long long)*(const int64_t *)option->value);
        break;
    case OPTION_DOUBLE:
        if (!isnan(*(const double *)option->value))
            snprintf(value, sizeof value, "%g", *(const double *)option->value);
        break;
    case OPTION_FLAG:
        snprintf(value, sizeof value, "%s", *(const bool *)option->value ? "true" : "false");
        break;
    case OPTION_LIST:
    case OPTION_SIZE:
        break;
    }
    if (option->kind == OPTION_FLAG)
        snprintf(left, sizeof left, "  --[no]%s", option->name);
    else if (option->kind == OPTION_SIZE)
        snprintf(left, sizeof left, "  --%s [%s]", option->name, metavar(option));
    else
        snprintf(left, sizeof left, "  --%s %s", option->name, metavar(option));
    if (option->kind == OPTION_LIST)
        snprintf(text, sizeof text, "%s (may be repeated)", option->help);
    else if (value[0] != '\0')
        snprintf(text, sizeof text, "%s (default: %s)", option->help, value);
    else
        snprintf(text, sizeof text, "%s", option->help);
    put(page, "%-*s", HELP_COLUMN, left);
    if (strlen(left) >= HELP_COLUMN)
        put(page, "\n%*s", HELP_COLUMN, "");
    put_wrapped(page, text, HELP_COLUMN);
}

static void print_help(const struct options *options)
{
    struct page whole = {.text = {0}}, *page = &whole;
    det_env_default(&whole.env);
    put(page, "usage: %s [options]%s%s\n", options->program, options->usage != NULL ? " " : "",
        options->usage != NULL ? options->usage : "");
    if (options->description != NULL)
        put(page, "\n%s\n", options->description);
    put(page, "\noptions:\n");
    for (const struct option *option = options->table; option->name != NULL; option++)
        put_option(page, option);
    put(page, "%-*sthis page\n", HELP_COLUMN, "  --help");
    console_print_text(whole.text.data != NULL ? whole.text.data : "");
    det_text_free(&whole.env, &whole.text);
}

/* --- parsing --- */

/* Name between the dashes and a '='; 0 when the argument is no option. */
static size_t option_name(const char *argument, const char **name)
{
    if (argument[0] != '-' || argument[1] == '\0')
        return 0;
    *name = argument + (argument[1] == '-' ? 2 : 1);
    /* "-3" is a number, not an option */
    if (argument[1] != '-' && (argument[1] == '.' || (argument[1] >= '0' && argument[1] <= '9')))
        return 0;
    return strcspn(*name, "=");
}

static bool same_name(const char *known, const char *name, size_t length)
{
    return strlen(known) == length && memcmp(known, name, length) == 0;
}

static const struct option *find_option(const struct options *options, const char *name,
                                        size_t length, bool *negated)
{
    *negated = false;
    for (const struct option *option = options->table; option->name != NULL; option++)
        if (same_name(option->name, name, length))
            return option;
    *negated = true;
    for (const struct option *option = options->table; option->name != NULL; option++)
        if (option->kind == OPTION_FLAG && length > 2 && memcmp(name, "no", 2) == 0 &&
            same_name(option->name, name + 2, length - 2))
            return option;
    return NULL;
}

static int unknown_option(const struct options *options, const char *name, size_t length)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", length < 63 ? (int)length : 63, name);
    const char *nearest = NULL;
    int best = FARTHEST_SUGGESTION + 1;
    for (const struct option *option = options->table; option->name != NULL; option++) {
        const int distance = det_edit_distance(word, option->name);
        /* a word of which more than half must change is no misspelling */
        if (distance < best && distance * 2 <= (int)strlen(option->name)) {
            best = distance;
            nearest = option->name;
        }
    }
    if (nearest != NULL)
        return options_error(options, "unknown option `--%s`: did you mean `--%s`?", word, nearest);
    return options_error(options, "unknown option `--%s`", word);
}

static bool list_add(struct option_list *list, const char *value)
{
    const char **more = realloc(list->values, (list->count + 1) * sizeof *more);
    if (more == NULL)
        return false;
    list->values = more;
    list->values[list->count++] = value;
    return true;
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"0", "1"}, {"no", "yes"}, {"f", "t"}, {"n", "y"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (int truth = 0; truth < 2; truth++) {
            if (strcmp(text, words[i][truth]) == 0) {
                *value = truth == 1;
                return true;
            }
        }
    }
    return false;
}

/* Digits, which fit, up to `end`; *text moves on. */
static bool parse_side(const char **text, int32_t *side)
{
    *side = 0;
    const char *at = *text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (*side > (INT32_MAX - 9) / 10)
            return false;
        *side = *side * 10 + (*at - '0');
    }
    const bool any = at > *text;
    *text = at;
    return any && *side > 0;
}

/* "640" or "640x360". */
static bool parse_size(const char *text, struct option_size *size)
{
    struct option_size parsed = {.given = true};
    if (!parse_side(&text, &parsed.width))
        return false;
    parsed.height = parsed.width;
    if (*text == 'x') {
        text++;
        if (!parse_side(&text, &parsed.height))
            return false;
    }
    if (*text == '\0')
        *size = parsed;
    return *text == '\0';
}

/* 0, or the exit status. */
static int set_option(const struct options *options, const struct option *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    switch (option->kind) {
    case OPTION_STRING:
        *(const char **)option->value = text;
        return 0;
    case OPTION_INT: {
        const long long value = strtoll(text, &end, 10);
        if (end == text || *end != '\0')
            return options_error(options, "--%s: got `%s`, expected an integer", option->name,
                                 text);
        if (errno == ERANGE)
            return options_error(options, "--%s: got `%s`, which is out of range", option->name,
                                 text);
        *(int64_t *)option->value = value;
        return 0;
    }
    case OPTION_DOUBLE: {
        const double value = strtod(text, &end);
        if (end == text || *end != '\0' || !isfinite(value))
            return options_error(options, "--%s: got `%s`, expected a number", option->name, text);
        *(double *)option->value = value;
        return 0;
    }
    case OPTION_FLAG:
        if (!parse_bool(text, option->value))
            return options_error(options, "--%s: got `%s`, expected true or false", option->name,
                                 text);
        return 0;
    case OPTION_LIST:
        return list_add(option->value, text) ? 0 : options_error(options, "out of memory");
    case OPTION_SIZE:
        if (!parse_size(text, option->value))
            return options_error(options, "--%s: got `%s`, expected pixels: N, or WIDTHxHEIGHT",
                                 option->name, text);
        return 0;
    }
    return 0;
}

/* One argument that begins with a dash; *at moves on when it takes the next one as its value. */
static int parse_option(const struct options *options, int argc, char **argv, int *at)
{
    const char *name = NULL;
    const size_t length = option_name(argv[*at], &name);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    bool negated = false;
    const struct option *option = find_option(options, name, length, &negated);
    if (option == NULL)
        return unknown_option(options, name, length);
    if (negated) {
        if (value != NULL)
            return options_error(options, "--no%s takes no value", option->name);
        *(bool *)option->value = false;
        return 0;
    }
    if (value == NULL && option->kind == OPTION_FLAG) {
        *(bool *)option->value = true;
        return 0;
    }
    if (value == NULL && option->kind == OPTION_SIZE) {
        struct option_size *size = option->value;
        *size = (struct option_size){.given = true};
        *at += *at + 1 < argc && parse_size(argv[*at + 1], size);
        return 0;
    }
    if (value == NULL) {
        if (*at + 1 >= argc)
            return options_error(options, "--%s: a value is missing (%s)", option->name,
                                 metavar(option));
        value = argv[++*at];
    }
    return set_option(options, option, value);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-help") == 0 ||
            strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

bool options_parse(struct options *options, int argc, char **argv, int *exit_status)
{
    *exit_status = 0;
    /* Before anything is set: the page shows the defaults. */
    if (asks_for_help(argc, argv)) {
        print_help(options);
        return false;
    }
    bool only_positional = false;
    for (int i = 1; i < argc && *exit_status == 0; i++) {
        const char *name = NULL;
        if (!only_positional && strcmp(argv[i], "--") == 0)
            only_positional = true;
        else if (!only_positional && option_name(argv[i], &name) > 0)
            *exit_status = parse_option(options, argc, argv, &i);
        else if (options->positional.count >= options->positional_max)
            *exit_status = options_error(options, "unexpected argument `%s`", argv[i]);
        else if (!list_add(&options->positional, argv[i]))
            *exit_status = options_error(options, "out of memory");
    }
    if (*exit_status == 0)
        return true;
    options_free(options);
    return false;
}

static void list_free(struct option_list *list)
{
    free(list->values);
    *list = (struct option_list){0};
}

void options_free(struct options *options)
{
    for (const struct option *option = options->table; option->name != NULL; option++)
        if (option->kind == OPTION_LIST)
            list_free(option->value);
    list_free(&options->positional);
}
