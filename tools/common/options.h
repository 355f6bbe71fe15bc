/* options.h: command lines from a table. Every tool of libdet reads its options with this, in the
 * manner of absl.flags, which the TF Object Detection API's scripts use:
 *
 *   --name value   --name=value   --flag   --noflag   --flag=true|false   -name (one dash, as absl)
 *   -- ends options
 *   --tiles, --tiles 640, --tiles=640x360: a SIZE may be left out
 *   --model-dir is --model_dir, --no-resume and --no_resume are --noresume
 *   --help prints a page made from the table on stdout, --version the version
 *
 * An option given twice keeps the last value; a LIST collects all. What is not an option is
 * positional. Of a tool with commands the first is the command; `TOOL COMMAND --help` (or `TOOL
 * help COMMAND`) is the page of one, and an option that it does not take is an error. A word that
 * is not known is answered with the nearest that is.
 *
 *     struct tool tool = TOOL_INIT("det-train");
 *     const char *config = NULL;
 *     const struct option table[] = {
 *         {"pipeline_config_path", OPTION_STRING, &config, "FILE", "the pipeline.config"},
 *         TOOL_OPTIONS(&tool),
 *         {0},
 *     };
 *     struct options options = {
 *         .program = "det-train", .description = "Trains a detector.", .table = table};
 *     int exit_status;
 *     if (!options_parse(&options, argc, argv, &exit_status))
 *         return exit_status;
 *     ...
 *     options_free(&options);
 */
#ifndef DET_TOOLS_COMMON_OPTIONS_H
#define DET_TOOLS_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_STRING, /* const char *: points into argv */
    OPTION_INT,    /* int64_t */
    OPTION_DOUBLE, /* double, finite; NaN before parsing: no default */
    OPTION_FLAG,   /* bool */
    OPTION_LIST,   /* struct option_list: the option may be repeated */
    OPTION_SIZE,   /* struct option_size: N or WxH behind it, or nothing */
    OPTION_OUTPUT, /* const char *: a file; "-" gives standard output to it (common/console.h) */
};

struct option_size {
    bool given;
    int32_t width, height; /* 0: was left out */
};

struct option_list {
    const char **values; /* [count], pointing into argv */
    size_t count;
};

struct option {
    const char *name; /* without dashes; NULL ends the table */
    enum option_kind kind;
    void *value;         /* of the kind's type; what it holds before parsing is the default */
    const char *metavar; /* "FILE", "N", ...; NULL: by the kind */
    const char *help;
};

/* How TensorFlow's scripts call something, for command lines that were written for them. */
struct option_alias {
    const char *name;    /* without dashes; NULL ends the list */
    bool takes_value;    /* else a flag: --name, --noname, --name=false */
    const char *option;  /* the option of the table that means the same; NULL: there is none */
    const char *fine;    /* without one: values, with `|` between, that ask for what is done
                          * anyway; NULL: any */
    const char *instead; /* with others: what to write instead */
};

struct option_command {
    const char *name;    /* NULL ends the list */
    const char *summary; /* what it does */
    const char *options; /* those that it takes of the ones that some command names, with blanks
                          * between; NULL: all. Options that no command names go with all. */
};

struct options {
    const char *program;        /* "det-train" */
    const char *usage;          /* behind "usage: PROGRAM [options]"; NULL: nothing */
    const char *description;    /* shown by --help below the usage line */
    const struct option *table; /* ends with {0} */
    const struct option_alias *const *aliases; /* lists, ends with NULL; NULL: none */
    const struct option_command *commands;     /* NULL: the tool has none */
    const char *notes;                         /* below the commands on their page; NULL: none */
    const struct option_command *command;      /* after parsing: the one that was given */
    size_t positional_max;         /* more positional arguments are an error; 0: none are taken */
    struct option_list positional; /* without the command */
};

/* Exit status for a wrong command line. */
enum { OPTIONS_EXIT_USAGE = 2 };

/* True: go on. False: the program has to end with *exit_status (0 after --help; 2 after a message
 * on stderr), and options_free() is not needed. */
bool options_parse(struct options *options, int argc, char **argv, int *exit_status);

/* "PROGRAM: message" and a hint to --help on stderr; returns OPTIONS_EXIT_USAGE. For what a tool
 * checks itself. */
int options_error(const struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Releases all lists. */
void options_free(struct options *options);

#endif
