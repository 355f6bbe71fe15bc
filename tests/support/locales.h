/* locales.h: locales whose decimal separator is not a point, made where the system has none. */
#ifndef DET_TESTS_SUPPORT_LOCALES_H
#define DET_TESTS_SUPPORT_LOCALES_H

#include <stdbool.h>

/* A comma, and U+066B, two bytes long. */
enum test_separator { TEST_COMMA, TEST_TWO_BYTES };

/* Sets such a locale for numbers: an installed one, else one that localedef makes below
 * `directory`. False, and says so, when neither can be had. test_restore_locale() goes back to
 * "C". */
bool test_set_locale(enum test_separator separator, const char *directory);
void test_restore_locale(void);

#endif
