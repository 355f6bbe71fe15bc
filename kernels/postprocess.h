/* postprocess.h: scores, top-k, box decoding, per-class NMS and clipping on the device, for a
 * batch. Agrees with model/postprocess.h (det_postprocess_run) detection for detection, order and
 * ties included; scores and boxes within 4 ulp (expf). Only candidates that suppression looks at
 * are decoded. */
#ifndef DET_KERNELS_POSTPROCESS_H
#define DET_KERNELS_POSTPROCESS_H

#include "kernel.h"
#include "model/postprocess.h"

DETK_BEGIN

/* Device memory; max = settings.max_total_detections. */
struct detk_detections {
    int32_t *count;       /* [n] */
    float (*boxes)[4];    /* [n][max] */
    int32_t *class_index; /* [n][max] */
    float *score;         /* [n][max] */
    int32_t *anchor;      /* [n][max] */
    /* [n] 0 when a logit (column 0 included) or encoding of the image is NaN or infinite, else 1 */
    int32_t *finite;
};

size_t detk_postprocess_workspace(const struct det_postprocess_settings *settings, int32_t n,
                                  int32_t anchors, int32_t class_count);
/* windows [n][4] device memory, as are settings->class_thresholds, which are read when the kernels
 * run. Any number of candidates is handled exactly: no silent cap before NMS. */
cudaError_t detk_postprocess(cudaStream_t stream, const struct det_postprocess_settings *settings,
                             const float (*anchors)[4], int32_t n, int32_t anchor_count,
                             int32_t class_count, const float *logits, const float *encodings,
                             const float (*windows)[4], const struct detk_detections *detections,
                             void *workspace);

DETK_END
#endif
