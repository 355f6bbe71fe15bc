#include "convert/formats.h"

#include <string.h>

#include "det/dataset.h"

const struct det_data_format det_data_formats[DET_DATA_FORMATS] = {
    [DET_DATA_TFRECORD] = {"tfrecord", det_read_tfrecord, det_write_tfrecord},
    [DET_DATA_VOC] = {"voc", det_read_voc, det_write_voc},
    [DET_DATA_COCO] = {"coco", det_read_coco, det_write_coco},
    [DET_DATA_YOLO] = {"yolo", det_read_yolo, det_write_yolo},
    [DET_DATA_CVAT] = {"cvat-xml", det_read_cvat, det_write_cvat},
    [DET_DATA_CSV] = {"csv", det_read_csv, det_write_csv},
};

const struct det_data_format *det_data_format_find(const char *name)
{
    for (size_t i = 0; i < DET_DATA_FORMATS; i++)
        if (strcmp(det_data_formats[i].name, name) == 0)
            return &det_data_formats[i];
    return NULL;
}

const char *det_annotation_format(size_t index)
{
    return index < DET_DATA_FORMATS ? det_data_formats[index].name : NULL;
}
