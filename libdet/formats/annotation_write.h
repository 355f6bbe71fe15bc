/* annotation_write.h: boxes of images as annotation tools and other trainers read them, written image by image, so that
 * memory stays flat however many there are.
 *
 *   CVAT for images 1.1 (docs.cvat.ai, "CVAT" format): <annotations><version>1.1</version><meta>...<labels/></meta>
 *     <image id="0" name="a.jpg" width="640" height="480"><box label="car" xtl= ytl= xbr= ybr= .../></image>...
 *   YOLO: a text file an image, a line a box: "class_index x_centre y_centre width height", normalised
 */
#ifndef DET_FORMATS_ANNOTATION_WRITE_H
#define DET_FORMATS_ANNOTATION_WRITE_H

#include "base/io.h"
#include "base/text.h"

struct det_annotated_box {
    int32_t class_index;
    const char *label;
    float box_norm[4]; /* ymin, xmin, ymax, xmax */
    bool automatic;    /* found by a model, not drawn by a person */
};

struct det_annotated_image {
    int64_t id;
    const char *name;
    int32_t width, height;
    const struct det_annotated_box *boxes;
    size_t count;
};

/* The head with the labels; then the images; then the end. `writer` is open, and committed by the caller. */
det_status det_cvat_xml_begin(struct det_env *env, struct det_writer *writer,
                              const char *const *labels, size_t label_count);
det_status det_cvat_xml_image(struct det_env *env, struct det_writer *writer,
                              const struct det_annotated_image *image);
det_status det_cvat_xml_end(struct det_env *env, struct det_writer *writer);

/* Appends the lines of one image. */
det_status det_yolo_txt(struct det_env *env, struct det_text *text,
                        const struct det_annotated_image *image);

#endif
