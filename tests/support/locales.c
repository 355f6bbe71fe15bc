#include "support/locales.h"

#include <locale.h>

#include "support/test.h"

static bool try_locale(const char *name, const char *separator)
{
    if (setlocale(LC_NUMERIC, name) == NULL)
        return false;
    if (strcmp(localeconv()->decimal_point, separator) == 0)
        return true;
    test_restore_locale();
    return false;
}

bool test_set_locale(enum test_separator separator, const char *directory)
{
    static const struct {
        const char *source, *name, *separator;
    } known[] = {[TEST_COMMA] = {"de_DE", "de_DE.UTF-8", ","},
                 [TEST_TWO_BYTES] = {"ps_AF", "ps_AF.UTF-8", "\xd9\xab"}};
    const char *source = known[separator].source, *name = known[separator].name;
    char command[700];
    if (try_locale(name, known[separator].separator))
        return true;
    snprintf(command, sizeof command, "localedef -i %s -f UTF-8 %s/%s >%s/log 2>&1", source,
             directory, name, directory);
    /* It warns about half of its own sources. */
    (void)!system(command);
    setenv("LOCPATH", directory, 1);
    const bool found = try_locale(name, known[separator].separator);
    unsetenv("LOCPATH");
    if (!found)
        print_message("skipped: the locale %s is not here and cannot be made\n", name);
    return found;
}

void test_restore_locale(void)
{
    setlocale(LC_NUMERIC, "C");
}
