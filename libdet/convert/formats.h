/* formats.h: the formats of data sets, each once: what it is called, what reads and what writes
 * it. */
#ifndef DET_CONVERT_FORMATS_H
#define DET_CONVERT_FORMATS_H

#include "convert/readers.h"
#include "convert/writers.h"

enum det_data_format_id {
    DET_DATA_TFRECORD,
    DET_DATA_VOC,
    DET_DATA_COCO,
    DET_DATA_YOLO,
    DET_DATA_CVAT,
    DET_DATA_CSV,
    DET_DATA_FORMATS /* none */
};

struct det_data_format {
    const char *name;
    det_reader read;
    det_writer_of_set write;
};

extern const struct det_data_format det_data_formats[DET_DATA_FORMATS];

/* For messages. */
#define DET_DATA_FORMAT_NAMES "tfrecord, voc, coco, yolo, cvat-xml or csv"

/* NULL: there is none of that name. */
const struct det_data_format *det_data_format_find(const char *name);

#endif
