/* shell_word.h: names in commands that people are told to run. */
#ifndef DET_TOOLS_COMMON_SHELL_WORD_H
#define DET_TOOLS_COMMON_SHELL_WORD_H

#include "support/env.h"

/* What the format makes as one word of a shell's command line, in quotes where it needs them. What
 * begins with a dash becomes "./-...". The caller frees *word. */
det_status shell_word(struct det_env *env, char **word, const char *format, ...) DET_PRINTF(3, 4);

#endif
