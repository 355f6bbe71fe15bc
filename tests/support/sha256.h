/* sha256.h: SHA-256 (FIPS 180-4), for goldens that give pixels by their digest. */
#ifndef DET_TESTS_SUPPORT_SHA256_H
#define DET_TESTS_SUPPORT_SHA256_H

#include <stddef.h>

/* The digest as 64 hexadecimal digits. */
void test_sha256(const void *data, size_t bytes, char hex[65]);

#endif
