/* exif.h: the orientation tag of an EXIF block, and turning pixels by it.
 *
 * TensorFlow's decoder ignores the tag, and so does data/image.h, by which training reads; viewers
 * and most labelling tools turn the picture by it, so boxes may be meant for either. Where it
 * stands: in a JPEG (SOI, then segments ff MARKER u16 length) an APP1 segment that begins
 * "Exif\0\0"; in a PNG a chunk eXIf, in a WebP a chunk EXIF. There a TIFF header (II or MM, 42,
 * offset of IFD 0); IFD 0 is a u16 count of 12-byte entries: tag, type, count, value; tag 0x0112,
 * type 3 (u16), is 1 to 8 (EXIF 2.32, 4.6.4).
 */
#ifndef DET_DATA_EXIF_H
#define DET_DATA_EXIF_H

#include "data/image.h"

/* 1 to 8; 1 (upright) also when there is no tag, or none that makes sense. *value_at (NULL is
 * allowed): where the 16-bit value's low byte stands, to be overwritten; 0 when there is none, or a
 * checksum covers it (PNG). */
int det_exif_orientation(const uint8_t *data, size_t bytes, size_t *value_at);

/* As det_image_decode_reduced() and det_image_read_reduced(), but upright; `least` and all sizes
 * are the upright picture's. *orientation: what the file says. */
det_status det_image_decode_upright(struct det_env *env, const char *name, const uint8_t *data,
                                    size_t bytes, struct det_image_least least,
                                    struct det_image *image, int *orientation);
det_status det_image_read_upright(struct det_env *env, const char *path,
                                  struct det_image_least least, struct det_image *image,
                                  int *orientation);

#endif
