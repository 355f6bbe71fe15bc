/* annotation_write.h: boxes of images as annotation tools and other trainers read them, image by
 * image, so that memory may stay flat however many there are: of data sets (convert/) and of what
 * was detected (det-detect).
 *
 *   CVAT for images 1.1 (docs.cvat.ai, "CVAT" format):
 *     <annotations><version>1.1</version><meta>...<labels/></meta>
 *       <image id="0" name="a.jpg" width="640" height="480">
 *         <box label="car" xtl= ytl= xbr= ybr= .../>
 *     What CVAT's boxes have no place for (difficult, crowd, group, truncated) are attributes of
 *     the box, as CVAT writes those that a label defines.
 *   YOLO: a text file an image, a line a box:
 *     "class_index x_centre y_centre width height", normalised
 */
#ifndef DET_FORMATS_ANNOTATION_WRITE_H
#define DET_FORMATS_ANNOTATION_WRITE_H

#include "support/xml_writer.h"

struct det_annotated_box {
    int32_t class_index;
    const char *label;
    double box_norm[4]; /* ymin, xmin, ymax, xmax */
    bool automatic;     /* found by a model, not drawn by a person */
    bool difficult, is_crowd, group_of, truncated;
};

struct det_annotated_image {
    int64_t id;
    const char *name;
    const char *subset; /* NULL: of none */
    int32_t width, height;
    const struct det_annotated_box *boxes;
    size_t count;
};

/* The head with the labels; then the images; then the end. `task` NULL: it has no name. */
void det_cvat_begin(struct det_xml_writer *xml, const char *task, const char *const *labels,
                    size_t label_count);
void det_cvat_put_image(struct det_xml_writer *xml, const struct det_annotated_image *image);
void det_cvat_end(struct det_xml_writer *xml);

/* Appends the lines of one image. */
det_status det_yolo_txt(struct det_env *env, struct det_text *text,
                        const struct det_annotated_image *image);

#endif
