/* options_parts.h: what the files of the options share: names, what goes with a command, the page
 * of help. */
#ifndef DET_TOOLS_COMMON_OPTIONS_PARTS_H
#define DET_TOOLS_COMMON_OPTIONS_PARTS_H

#include "common/options.h"

enum { OPTIONS_WORD_BYTES = 64 };

/* --- options_names.c --- */

/* Bytes of the name between the dashes and a '='; 0 when the argument is no option. */
size_t options_name(const char *argument, const char **name);
/* NULL: there is none. *negated: it is a flag, called with "no" in front. */
const struct option *options_find(const struct options *options, const char *name, size_t length,
                                  bool *negated);
const struct option_alias *options_find_alias(const struct options *options, const char *name,
                                              size_t length, bool *negated);
/* How far a word is from a name, less is nearer; above OPTIONS_FARTHEST: it is no misspelling of
 * it. A part of a name means the name, but less than a misspelling does. */
enum { OPTIONS_FARTHEST = 5 };
int options_distance(const char *word, const char *name);
/* A message with the nearest name that is known; the exit status. */
int options_unknown(const struct options *options, const char *name, size_t length);

/* Whether `word`, of so many bytes, is one of those in `list`. */
bool options_has_word(const char *list, char between, const char *word, size_t length);
bool options_command_takes(const struct option_command *command, const struct option *option);
/* Of all commands: none names it. */
bool options_is_common(const struct options *options, const struct option *option);
/* To the command that was given. */
bool options_belongs(const struct options *options, const struct option *option);

/* --- options_help.c --- */

const char *options_metavar(const struct option *option);
void options_print_help(const struct options *options);

#endif
