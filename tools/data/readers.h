/* xml_readers.h: the readers of convert/readers.h for formats that are XML.
 *
 *   voc       a file, or a folder of files (Annotations/, or beside the images, also in folders below).
 *             Splits: ImageSets/Main/NAME.txt, else the folder's name
 *   cvat-xml  "CVAT for images 1.1": annotations.xml or its folder. Splits: the images' subset.
 *             Polygons, masks, ellipses and turned boxes become their bounding boxes
 */
#ifndef DET_TOOLS_DATA_XML_READERS_H
#define DET_TOOLS_DATA_XML_READERS_H

#include "convert/readers.h"

det_status det_read_voc(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set);
det_status det_read_cvat(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);

#endif
