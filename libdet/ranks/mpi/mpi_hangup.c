/* Open MPI 4 over TCP, where a rank has ended: MPI_Test has mpirun print a page about it and waits
 * for the answer, without end where mpirun is ending the job, as it is then. Rank 0 would never
 * come to saving what there is. That page is dropped; who is gone is said by libdet. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ranks/mpi/mpi_transport.h"

#if defined(OMPI_MAJOR_VERSION) && OMPI_MAJOR_VERSION == 4

/* Open MPI's own: how a page is shown, made, and given to mpirun. */
typedef int (*show_function)(const char *file, const char *topic, bool header, ...);
typedef char *(*make_function)(const char *file, const char *topic, bool header, va_list list);
typedef int (*hand_function)(const char *file, const char *topic, bool header, const char *text);

/* NULL: there is none. */
static void *find(const char *symbol)
{
    void *library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_NOLOAD);
    void *found = library == NULL ? NULL : dlsym(library, symbol);
    if (library != NULL)
        dlclose(library); /* it stays: this library needs it */
    return found;
}

/* ISO C has no way from an object's address to a function's but its bytes. */
static bool find_functions(make_function *make, hand_function *hand)
{
    void *const makes = find("opal_show_help_vstring");
    void *const hands = find("orte_show_help_norender");
    memcpy(make, &makes, sizeof *make);
    memcpy(hand, &hands, sizeof *hand);
    return makes != NULL && hands != NULL;
}

static int show(const char *file, const char *topic, bool header, ...)
{
    make_function make;
    hand_function hand;
    va_list list;
    int result = 0;
    if (strcmp(topic, "peer hung up") == 0 || !find_functions(&make, &hand))
        return 0;
    va_start(list, header); /* NOLINT(clang-diagnostic-varargs): as Open MPI's own does */
    char *text = make(file, topic, header, list);
    va_end(list);
    if (text != NULL)
        result = hand(file, topic, header, text);
    free(text);
    return result;
}

void det_mpi_outlive_hangups(void)
{
    show_function *shows = find("opal_show_help");
    make_function make;
    hand_function hand;
    if (shows != NULL && find_functions(&make, &hand))
        *shows = show;
}

#else

void det_mpi_outlive_hangups(void)
{
}

#endif
