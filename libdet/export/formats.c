#include <string.h>

#include "export/export.h"

/* In the order in which they are listed. */
static const struct det_export_writer *const writers[] = {
    &det_export_det,           &det_export_onnx, &det_export_tflite,
    &det_export_tf_checkpoint, &det_export_ncnn,
};

const det_export_format *det_export_format_at(size_t index)
{
    return index < sizeof writers / sizeof *writers ? &writers[index]->format : NULL;
}

const struct det_export_writer *det_export_writer_find(const char *name)
{
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        if (strcmp(writers[i]->format.name, name) == 0)
            return writers[i];
    return NULL;
}
