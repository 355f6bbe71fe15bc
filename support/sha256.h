/* sha256.h: SHA-256 (FIPS 180-4): a file's sum as people know it from sha256sum. */
#ifndef DET_SUPPORT_SHA256_H
#define DET_SUPPORT_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct det_sha256 {
    uint32_t state[8];
    uint8_t block[64]; /* what is not a whole block yet */
    uint64_t bytes;
};

void det_sha256_begin(struct det_sha256 *sum);
void det_sha256_add(struct det_sha256 *sum, const void *data, size_t bytes);
/* 64 hexadecimal digits. Ends it. */
void det_sha256_end(struct det_sha256 *sum, char hex[65]);

#endif
