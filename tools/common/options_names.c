#include <stdio.h>
#include <string.h>

#include "common/options_parts.h"
#include "support/text.h"

enum { LEAST_PART = 4 };

/* --- names --- */

size_t options_name(const char *argument, const char **name)
{
    if (argument[0] != '-' || argument[1] == '\0')
        return 0;
    *name = argument + (argument[1] == '-' ? 2 : 1);
    /* "-3" is a number, not an option */
    if (argument[1] != '-' && (argument[1] == '.' || (argument[1] >= '0' && argument[1] <= '9')))
        return 0;
    return strcspn(*name, "=");
}

/* Hyphens and underscores are one. */
static bool same_name(const char *known, const char *name, size_t length)
{
    if (strlen(known) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (known[i] != name[i] && !(known[i] == '_' && name[i] == '-'))
            return false;
    return true;
}

/* What is negated by "no", "no-" or "no_" in front of a name; NULL: it does not begin so. */
static const char *negated_name(const char *name, size_t *length)
{
    const size_t no = strncmp(name, "no", 2) != 0 ? 0 : name[2] == '-' || name[2] == '_' ? 3 : 2;
    if (no == 0 || *length <= no)
        return NULL;
    *length -= no;
    return name + no;
}

const struct option *options_find(const struct options *options, const char *name, size_t length,
                                  bool *negated)
{
    *negated = false;
    for (const struct option *option = options->table; option->name != NULL; option++)
        if (same_name(option->name, name, length))
            return option;
    *negated = true;
    name = negated_name(name, &length);
    for (const struct option *option = options->table; name != NULL && option->name != NULL;
         option++)
        if (option->kind == OPTION_FLAG && same_name(option->name, name, length))
            return option;
    return NULL;
}

const struct option_alias *options_find_alias(const struct options *options, const char *name,
                                              size_t length, bool *negated)
{
    const struct option_alias *found = NULL;
    size_t rest = length;
    const char *behind_no = negated_name(name, &rest);
    *negated = false;
    for (size_t i = 0; options->aliases != NULL && options->aliases[i] != NULL; i++)
        for (const struct option_alias *a = options->aliases[i]; a->name != NULL; a++) {
            if (same_name(a->name, name, length)) {
                *negated = false;
                return a;
            }
            if (behind_no != NULL && !a->takes_value && same_name(a->name, behind_no, rest)) {
                *negated = true;
                found = a;
            }
        }
    return found;
}

int options_distance(const char *word, const char *name)
{
    const int distance = det_edit_distance(word, name);
    /* a word of which more than half must change is no misspelling */
    if (distance <= OPTIONS_FARTHEST && distance * 2 <= (int)strlen(name))
        return distance;
    return strlen(word) >= LEAST_PART && strstr(name, word) != NULL ? OPTIONS_FARTHEST
                                                                    : OPTIONS_FARTHEST + 1;
}

int options_unknown(const struct options *options, const char *name, size_t length)
{
    char word[OPTIONS_WORD_BYTES], plain[OPTIONS_WORD_BYTES];
    snprintf(word, sizeof word, "%.*s", length < sizeof word ? (int)length : OPTIONS_WORD_BYTES - 1,
             name);
    snprintf(plain, sizeof plain, "%s", word);
    for (char *at = plain; (at = strchr(at, '-')) != NULL; at++)
        *at = '_';
    size_t rest = strlen(plain);
    const char *behind_no = negated_name(plain, &rest);
    const struct option *nearest = NULL;
    bool negated = false;
    int best = OPTIONS_FARTHEST + 1;
    for (const struct option *option = options->table; option->name != NULL; option++) {
        if (!options_belongs(options, option))
            continue;
        const int distance = options_distance(plain, option->name);
        const int negative = behind_no != NULL && option->kind == OPTION_FLAG
                                 ? options_distance(behind_no, option->name)
                                 : distance;
        if (distance < best || negative < best) {
            negated = negative < distance;
            best = negated ? negative : distance;
            nearest = option;
        }
    }
    if (nearest != NULL)
        return options_error(options, "unknown option `--%s`: did you mean `--%s%s`?", word,
                             negated ? "no" : "", nearest->name);
    return options_error(options, "unknown option `--%s`", word);
}

/* --- commands --- */

bool options_has_word(const char *list, char between, const char *word, size_t length)
{
    for (const char *at = list; at != NULL; at = strchr(at, between)) {
        at += *at == between;
        if (strncmp(at, word, length) == 0 && (at[length] == '\0' || at[length] == between))
            return true;
    }
    return false;
}

bool options_command_takes(const struct option_command *command, const struct option *option)
{
    return command->options == NULL ||
           options_has_word(command->options, ' ', option->name, strlen(option->name));
}

bool options_is_common(const struct options *options, const struct option *option)
{
    for (const struct option_command *c = options->commands; c != NULL && c->name != NULL; c++)
        if (c->options != NULL && options_command_takes(c, option))
            return false;
    return true;
}

bool options_belongs(const struct options *options, const struct option *option)
{
    return options->command == NULL || options_is_common(options, option) ||
           options_command_takes(options->command, option);
}
