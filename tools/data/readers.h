/* readers.h: the readers of convert/readers.h for formats that take a library which libdet does not
 * link.
 *
 *   voc       a file, or a folder of files (Annotations/, or beside the images, also in folders
 *             below). Splits: ImageSets/Main/NAME.txt, else the folder's name
 *   cvat-xml  "CVAT for images 1.1" or "CVAT for video 1.1": annotations.xml. Splits: the images'
 *             subset. Polygons, masks, ellipses and turned boxes become their bounding boxes
 *   yolo      a folder with data.yaml (Ultralytics), obj.data (Darknet, CVAT) or a list of names,
 *             or that file (yolo_layout.h); labels/NAME.txt for images/NAME.jpg, or beside the
 *             image; lines "class cx cy w h" normalised, with keypoints where data.yaml has
 *             kpt_shape, or "class x1 y1 x2 y2 ...": outlines and turned boxes, which become their
 *             bounding boxes
 */
#ifndef DET_TOOLS_DATA_READERS_H
#define DET_TOOLS_DATA_READERS_H

#include "convert/readers.h"

det_status det_read_voc(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set);
det_status det_read_cvat(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);
det_status det_read_yolo(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);

#endif
