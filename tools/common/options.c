#include "common/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/console.h"
#include "common/options_parts.h"
#include "det/version.h"

int options_error(const struct options *options, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    console_vmessage(CONSOLE_ERROR, options->program, format, arguments);
    va_end(arguments);
    const struct option_command *command = options->command;
    console_message(CONSOLE_ERROR, NULL, "Try `%s%s%s --help`.", options->program,
                    command != NULL ? " " : "", command != NULL ? command->name : "");
    return OPTIONS_EXIT_USAGE;
}

/* --- parsing --- */

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
            if (strcasecmp(text, words[i][truth]) == 0) {
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
    case OPTION_OUTPUT:
        if (strcmp(text, "-") == 0)
            console_give_output();
        *(const char **)option->value = text;
        return 0;
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

/* An option of other commands: "show" or "check and stats". */
static int misplaced_option(const struct options *options, const struct option *option)
{
    char list[256] = "";
    size_t left = 0, used = 0;
    for (const struct option_command *c = options->commands; c->name != NULL; c++)
        left += options_command_takes(c, option);
    for (const struct option_command *c = options->commands; c->name != NULL; c++) {
        if (!options_command_takes(c, option))
            continue;
        const char *gap = used == 0 ? "" : left == 1 ? " and " : ", ";
        snprintf(list + used, sizeof list - used, "%s%s", gap, c->name);
        used = strlen(list);
        left--;
    }
    return options_error(options, "--%s goes with %s, not with %s", option->name, list,
                         options->command->name);
}

/* One that TensorFlow's scripts have; *at moves on when it takes the next one as its value. */
static int parse_alias(const struct options *options, const struct option_alias *alias,
                       bool negated, const char *value, int argc, char **argv, int *at)
{
    if (value == NULL && alias->takes_value) {
        if (*at + 1 >= argc)
            return options_error(options, "--%s: a value is missing", alias->name);
        value = argv[++*at];
    }
    if (value == NULL)
        value = negated ? "false" : "true";
    if (alias->option != NULL) {
        bool unused = false;
        const struct option *option =
            options_find(options, alias->option, strlen(alias->option), &unused);
        return options_belongs(options, option) ? set_option(options, option, value)
                                                : misplaced_option(options, option);
    }
    if (alias->fine == NULL || options_has_word(alias->fine, '|', value, strlen(value)))
        return 0;
    return options_error(options, "--%s %s: %s", alias->name, value, alias->instead);
}

/* One argument that begins with a dash; *at moves on when it takes the next one as its value. */
static int parse_option(const struct options *options, int argc, char **argv, int *at)
{
    const char *name = NULL;
    const size_t length = options_name(argv[*at], &name);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    bool negated = false;
    const struct option *option = options_find(options, name, length, &negated);
    if (option == NULL) {
        const struct option_alias *alias = options_find_alias(options, name, length, &negated);
        return alias != NULL ? parse_alias(options, alias, negated, value, argc, argv, at)
                             : options_unknown(options, name, length);
    }
    if (!options_belongs(options, option))
        return misplaced_option(options, option);
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
                                 options_metavar(option));
        value = argv[++*at];
    }
    return set_option(options, option, value);
}

/* Whether one of the words stands before "--". */
static bool asks_for(int argc, char **argv, const char *const *words)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        for (const char *const *word = words; *word != NULL; word++)
            if (strcmp(argv[i], *word) == 0)
                return true;
    return false;
}

static const struct option_command *find_command(const struct options *options, const char *word)
{
    for (const struct option_command *c = options->commands; c->name != NULL; c++)
        if (strcmp(c->name, word) == 0)
            return c;
    return NULL;
}

/* The first argument that is neither an option nor the value of one; argc: there is none. */
static int command_place(const struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = NULL;
        bool negated = false;
        const size_t length = options_name(argv[i], &name);
        if (length == 0)
            return i + (strcmp(argv[i], "--") == 0);
        const struct option *option = options_find(options, name, length, &negated);
        const struct option_alias *alias = options_find_alias(options, name, length, &negated);
        struct option_size size = {0};
        const bool has_value = option == NULL ? alias != NULL && alias->takes_value
                               : option->kind == OPTION_SIZE
                                   ? i + 1 < argc && parse_size(argv[i + 1], &size)
                                   : option->kind != OPTION_FLAG;
        i += has_value && name[length] != '=';
    }
    return argc;
}

/* 0, or the exit status. *place: the argument that is the command. */
static int choose_command(struct options *options, int argc, char **argv, bool help, int *place)
{
    char list[512] = "";
    *place = command_place(options, argc, argv);
    if (help && *place < argc && strcmp(argv[*place], "help") == 0)
        ++*place;
    if (*place < argc)
        options->command = find_command(options, argv[*place]);
    if (options->command != NULL || (help && *place >= argc))
        return 0;
    const char *nearest = NULL;
    int best = OPTIONS_FARTHEST;
    for (const struct option_command *c = options->commands; c->name != NULL; c++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s",
                 used == 0           ? ""
                 : c[1].name != NULL ? ", "
                                     : " or ",
                 c->name);
        const int distance = *place < argc ? options_distance(argv[*place], c->name) : best;
        if (distance < best) {
            best = distance;
            nearest = c->name;
        }
    }
    if (nearest != NULL)
        return options_error(options, "unknown command `%s`: did you mean `%s`?", argv[*place],
                             nearest);
    return *place < argc ? options_error(options, "got `%s`, expected %s", argv[*place], list)
                         : options_error(options, "a command is missing: %s", list);
}

/* Before anything is set: the page shows the defaults. False: nothing more is to be done. */
static bool begin(struct options *options, int argc, char **argv, int *place, int *exit_status)
{
    static const char *const helps[] = {"--help", "-help", "-h", "--helpfull", "--helpshort", NULL};
    static const char *const versions[] = {"--version", "-version", NULL};
    bool help = asks_for(argc, argv, helps);
    if (options->commands != NULL && argc > 1 && strcmp(argv[1], "help") == 0)
        help = true;
    if (!help && asks_for(argc, argv, versions)) {
        console_print("%s (libdet) %s\n", options->program, det_version_string());
        return false;
    }
    if (options->commands != NULL)
        *exit_status = choose_command(options, argc, argv, help, place);
    if (help && *exit_status == 0)
        options_print_help(options);
    return !help && *exit_status == 0;
}

bool options_parse(struct options *options, int argc, char **argv, int *exit_status)
{
    *exit_status = 0;
    int command = 0;
    if (!begin(options, argc, argv, &command, exit_status))
        return false;
    bool only_positional = false;
    for (int i = 1; i < argc && *exit_status == 0; i++) {
        const char *name = NULL;
        if (i == command)
            continue;
        if (!only_positional && strcmp(argv[i], "--") == 0)
            only_positional = true;
        else if (!only_positional && options_name(argv[i], &name) > 0)
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
