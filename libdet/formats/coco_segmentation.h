/* coco_segmentation.h: the box around a COCO `segmentation`: polygons [[x, y, x, y, ...], ...], or
 * a mask as run lengths {"counts": [...] or "...", "size": [height, width]}
 * (cocodataset.org/#format-data; the text form is pycocotools'). */
#ifndef DET_FORMATS_COCO_SEGMENTATION_H
#define DET_FORMATS_COCO_SEGMENTATION_H

#include "support/json.h"

/* x, y, width, height. *found is false where there is no outline in it, or it is none. */
det_status det_coco_segmentation_box(struct det_env *env, struct det_json segmentation,
                                     double box_px[4], bool *found);

#endif
