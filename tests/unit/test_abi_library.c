/* docs/abi.md: the symbols of libdet.so, its name, and programs that were built with older headers
 * (abi.mk). */
#include <dirent.h>

#include "support/run_tool.h"
#include "support/workspace.h"

static const char *bin(void)
{
    const char *folder = getenv("DET_BIN_DIR");
    return folder != NULL ? folder : "build/release/bin";
}

#define NAMED(function)                       #function,
#define STATUS(function, arguments)           NAMED(function)
#define VOID(function, arguments)             NAMED(function)
#define NUMBER(function, for_null, arguments) NAMED(function)
#define TEXT(function, arguments)             NAMED(function)
#define POINTER(function, arguments)          NAMED(function)
#define VIEW(function, arguments)             NAMED(function)
static const char *const public_functions[] = {
#include "public_calls.inc"
};

/* All exported functions are declared (public_calls.inc is, by test_null_arguments), committed in
 * libdet.map, and have a version. */
static void the_symbols_are_those_of_the_list(void **state)
{
    (void)state;
    enum { FUNCTIONS = sizeof public_functions / sizeof public_functions[0] };
    char command[700], line[400];
    bool exported[FUNCTIONS] = {false};
    snprintf(command, sizeof command, "nm -D --defined-only %s/../lib/libdet.so 2>/dev/null",
             bin());
    FILE *symbols = popen(command, "r");
    size_t count = 0;
    assert_non_null(symbols);
    while (fgets(line, sizeof line, symbols) != NULL) {
        char kind = 0, name[200] = "", version[200] = "";
        if (sscanf(line, "%*s %c %199[^@\n]@@%199s", &kind, name, version) < 2 || kind == 'A')
            continue;
        bool found = false;
        for (int i = 0; i < FUNCTIONS; i++)
            if (strcmp(public_functions[i], name) == 0)
                found = exported[i] = true;
        if (!found)
            fail_msg("libdet.so shows %s, which no public header declares", name);
        if (strncmp(version, "LIBDET_", 7) != 0)
            fail_msg("%s has no version in libdet/base/libdet.map", name);
        count++;
    }
    if (pclose(symbols) != 0 || count == 0) {
        print_message("skipped: no nm, or no shared library\n");
        skip();
    }
    for (int i = 0; i < FUNCTIONS; i++)
        if (!exported[i])
            fail_msg("libdet.so lacks %s: is it in libdet/base/libdet.map?", public_functions[i]);
}

/* Its name has the ABI's number. */
static void the_soname_has_the_abi(void **state)
{
    (void)state;
    char command[700], line[400] = "", wanted[64];
    snprintf(command, sizeof command, "objdump -p %s/../lib/libdet.so 2>/dev/null | grep SONAME",
             bin());
    FILE *out = popen(command, "r");
    assert_non_null(out);
    const bool said = fgets(line, sizeof line, out) != NULL;
    pclose(out);
    if (!said) {
        print_message("skipped: no objdump, or no shared library\n");
        skip();
    }
    snprintf(wanted, sizeof wanted, "libdet.so.%d\n", DET_ABI_VERSION);
    assert_contains(line, wanted);
}

/* Each file program-... that abi.mk built. */
static void programs_of_older_versions_run(void **state)
{
    (void)state;
    char folder[400];
    int count = 0;
    snprintf(folder, sizeof folder, "%s/../abi", bin());
    DIR *programs = opendir(folder);
    if (programs == NULL) {
        print_message("skipped: there is no %s\n", folder);
        skip();
    }
    for (const struct dirent *entry = readdir(programs); entry; entry = readdir(programs)) {
        struct workspace w;
        char out[4000];
        if (strncmp(entry->d_name, "program-", 8) != 0)
            continue;
        workspace_make(&w, "older");
        const int status =
            run_tool(out, sizeof out, "../abi/%s %s %s", entry->d_name, w.config, w.directory);
        if (status != 0 || strstr(out, "all right") == NULL)
            fail_msg("%s: exit status %d: %s", entry->d_name, status, out);
        workspace_remove(&w);
        count++;
    }
    closedir(programs);
    assert_true(count >= 2);
}

int test_abi_library(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_symbols_are_those_of_the_list),
        cmocka_unit_test(the_soname_has_the_abi),
        cmocka_unit_test(programs_of_older_versions_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
