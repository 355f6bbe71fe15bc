/* coco_segmentation.h: the box around a COCO `segmentation`: polygons [[x, y, x, y, ...], ...], or
 * a mask as run lengths {"counts": [...] or "...", "size": [height, width]}
 * (cocodataset.org/#format-data; the text form is pycocotools'). */
#ifndef DET_FORMATS_COCO_SEGMENTATION_H
#define DET_FORMATS_COCO_SEGMENTATION_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* x, y, width, height. False: there is no outline in it, or it is none. */
bool det_coco_segmentation_box(const cJSON *segmentation, double box_px[4]);

#endif
