/* exif.h: the orientation tag of a JPEG's EXIF block, and turning pixels by it.
 *
 * TensorFlow's decoder and libdet's ignore the tag; viewers and most labelling tools turn the image by
 * it, so boxes may be meant for either. Where it stands: SOI, then segments ff MARKER u16 length; in
 * an APP1 segment that begins "Exif\0\0" a TIFF header (II or MM, 42, offset of IFD 0); IFD 0 is a
 * u16 count of 12-byte entries: tag, type, count, value; tag 0x0112, type 3 (u16), is 1 to 8 (EXIF
 * 2.32, 4.6.4).
 */
#ifndef DET_DATA_EXIF_H
#define DET_DATA_EXIF_H

#include "data/image.h"

/* 1 to 8; 1 (upright) also when there is no tag, or no JPEG. *value_at: where the 16-bit value's low
 * byte stands, 0 when there is none; NULL is allowed. */
int det_exif_orientation(const uint8_t *data, size_t bytes, size_t *value_at);

/* True for the orientations that exchange width and height. */
bool det_exif_swaps_sides(int orientation);

/* Makes upright what an orientation describes; 1 leaves it. */
det_status det_exif_turn(struct det_env *env, struct det_image *image, int orientation);

#endif
