/* crc32c.h: CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), and the "mask" that TFRecord and
 * LevelDB tables apply to stored checksums: rotate right by 15 and add 0xa282ead8, so that a CRC of
 * data that holds CRCs is sound. */
#ifndef DET_BASE_CRC32C_H
#define DET_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of the bytes so far (`crc`, 0 at the start) followed by `data`. */
uint32_t det_crc32c(uint32_t crc, const void *data, size_t bytes);

uint32_t det_crc32c_mask(uint32_t crc);
uint32_t det_crc32c_unmask(uint32_t masked);

#endif
