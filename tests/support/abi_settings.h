/* abi_settings.h: each struct that a caller fills, with what sets it up and what takes it. */
#ifndef DET_TESTS_SUPPORT_ABI_SETTINGS_H
#define DET_TESTS_SUPPORT_ABI_SETTINGS_H

#include "support/abi_fixture.h"

struct abi_settings {
    const char *name;
    size_t size;
    void (*init)(void *settings, size_t struct_size);
    det_status (*use)(struct abi_fixture *f, const void *settings);
    bool wants_last; /* without its last field it is refused */
};

enum { ABI_SETTINGS = 29 };
extern const struct abi_settings abi_settings[ABI_SETTINGS];

#endif
