#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/console.h"
#include "common/options_parts.h"
#include "support/text.h"

/* The page is as wide as the terminal, up to WIDEST_PAGE; a narrow one has the texts below the
 * names. */
enum { WIDEST_PAGE = 100, NARROW_PAGE = 72, NARROWEST_PAGE = 30 };
enum { TEXT_COLUMN = 34, NARROW_COLUMN = 6, COMMAND_COLUMN = 11, USAGE_COLUMN = 7 };

struct page {
    struct det_env env;
    struct det_text text;
    int width;
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

const char *options_metavar(const struct option *option)
{
    static const char *const by_kind[] = {
        [OPTION_STRING] = "TEXT", [OPTION_INT] = "N",     [OPTION_DOUBLE] = "X",
        [OPTION_FLAG] = "",       [OPTION_LIST] = "TEXT", [OPTION_SIZE] = "HxW",
        [OPTION_OUTPUT] = "FILE"};
    return option->metavar != NULL ? option->metavar : by_kind[option->kind];
}

/* One line's words of `text`, wrapped; what follows the first line begins at column `from`, the
 * first one at `at`. Returns the text behind the line. */
static const char *put_wrapped(struct page *page, const char *text, int from, int at)
{
    bool first = true;
    while (*text != '\0' && *text != '\n') {
        const int word = (int)strcspn(text, " \n");
        if (!first && at + 1 + word > page->width) {
            put(page, "\n%*s", from, "");
            at = from;
            first = true;
        }
        put(page, "%s%.*s", first ? "" : " ", word, text);
        at += word + !first;
        first = false;
        text += word;
        text += strspn(text, " ");
    }
    put(page, "\n");
    return *text == '\n' ? text + 1 : text;
}

static void put_lines(struct page *page, const char *text)
{
    put(page, "\n");
    while (*text != '\0') {
        const int indent = (int)strspn(text, " ");
        put(page, "%*s", indent, "");
        text = put_wrapped(page, text + indent, indent, indent);
    }
}

/* "NAME  TEXT", the text from `column` on, or below a name that is too long. */
static void put_entry(struct page *page, const char *name, const char *text, int column)
{
    const bool below = strlen(name) + 2 > (size_t)column;
    put(page, "%s%*s", name, below ? 0 : column - (int)strlen(name), "");
    if (below)
        put(page, "\n%*s", column, "");
    put_wrapped(page, text, column, column);
}

static void put_option(struct page *page, const struct option *option)
{
    char left[128], text[1024], value[256] = "";
    switch (option->kind) {
    case OPTION_STRING:
    case OPTION_OUTPUT: {
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
        snprintf(left, sizeof left, "  --%s [%s]", option->name, options_metavar(option));
    else
        snprintf(left, sizeof left, "  --%s %s", option->name, options_metavar(option));
    if (option->kind == OPTION_LIST)
        snprintf(text, sizeof text, "%s (may be repeated)", option->help);
    else if (value[0] != '\0')
        snprintf(text, sizeof text, "%s (default: %s)", option->help, value);
    else
        snprintf(text, sizeof text, "%s", option->help);
    put_entry(page, left, text, page->width < NARROW_PAGE ? NARROW_COLUMN : TEXT_COLUMN);
}

static void put_commands(struct page *page, const struct options *options)
{
    put(page, "\ncommands:\n");
    for (const struct option_command *c = options->commands; c->name != NULL; c++) {
        char name[OPTIONS_WORD_BYTES];
        snprintf(name, sizeof name, "  %s", c->name);
        put_entry(page, name, c->summary, COMMAND_COLUMN);
    }
    put(page, "\n`%s COMMAND --help`: its options\n", options->program);
}

/* What is taken for the sake of TensorFlow's command lines. */
static void put_aliases(struct page *page, const struct options *options)
{
    struct det_text names = {0};
    (void)det_text_printf(&page->env, &names, "Taken as well, as TensorFlow's scripts have them:");
    for (size_t i = 0; options->aliases[i] != NULL; i++)
        for (const struct option_alias *a = options->aliases[i]; a->name != NULL; a++)
            if (a->option != NULL || a->fine == NULL)
                (void)det_text_printf(&page->env, &names, " --%s", a->name);
    if (names.data != NULL)
        put_lines(page, names.data);
    det_text_free(&page->env, &names);
}

void options_print_help(const struct options *options)
{
    struct page whole = {.text = {0}}, *page = &whole;
    const struct option_command *command = options->command;
    const bool overview = options->commands != NULL && command == NULL;
    const size_t terminal = console_output_width();
    char usage[256];
    page->width = terminal == 0 || terminal > WIDEST_PAGE ? WIDEST_PAGE
                  : terminal < NARROWEST_PAGE             ? NARROWEST_PAGE
                                                          : (int)terminal;
    det_env_default(&whole.env);
    snprintf(usage, sizeof usage, "%s%s%s [options] %s", options->program,
             options->commands == NULL ? "" : " ",
             command != NULL ? command->name
             : overview      ? "COMMAND"
                             : "",
             options->usage != NULL ? options->usage : "");
    put(page, "usage: ");
    put_wrapped(page, usage, USAGE_COLUMN, USAGE_COLUMN);
    if (command != NULL)
        put_lines(page, command->summary);
    else if (options->description != NULL)
        put_lines(page, options->description);
    if (overview)
        put_commands(page, options);
    if (options->notes != NULL)
        put_lines(page, options->notes);
    put(page, overview ? "\noptions of all commands:\n" : "\noptions:\n");
    for (const struct option *option = options->table; option->name != NULL; option++)
        if (overview ? options_is_common(options, option) : options_belongs(options, option))
            put_option(page, option);
    const int column = page->width < NARROW_PAGE ? NARROW_COLUMN : TEXT_COLUMN;
    put_entry(page, "  --version", "the version", column);
    put_entry(page, "  --help", "this page", column);
    if (options->aliases != NULL)
        put_aliases(page, options);
    console_print_text(whole.text.data != NULL ? whole.text.data : "");
    det_text_free(&whole.env, &whole.text);
}
