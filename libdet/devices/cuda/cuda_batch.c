#include "devices/cuda/cuda_batch.h"

#include <string.h>

#include "devices/cuda/cuda_error.h"

det_status det_cuda_batch_create(struct det_env *env, int32_t images, int32_t anchors,
                                 int32_t boxes, struct det_cuda_batch *b)
{
    DET_TRY_RETURN(det_cuda_truths_create(env, images, anchors, boxes, &b->truths));
    return det_cuda_check(env, cudaEventCreateWithFlags(&b->uploaded, cudaEventDisableTiming),
                          "creating an event");
}

void det_cuda_batch_destroy(struct det_cuda_batch *b)
{
    det_cuda_graph_forget(&b->graph);
    det_cuda_truths_destroy(&b->truths);
    if (b->uploaded != NULL)
        (void)cudaEventDestroy(b->uploaded);
    b->uploaded = NULL;
}

/* Picture by picture, so that the device fetches one while the host copies the next. */
static det_status upload(struct det_env *env, const struct det_device *device,
                         struct det_cuda_batch *b, const struct det_picture *pictures,
                         int32_t count, size_t place_bytes)
{
    b->under_way = true;
    for (int32_t n = 0; n < count; n++) {
        const size_t bytes = det_picture_bytes(&pictures[n]), place = (size_t)n * place_bytes;
        memcpy(b->staged + place, pictures[n].pixels, bytes);
        b->staged_table[n] = pictures[n];
        b->staged_table[n].pixels = b->images + place;
        DET_TRY_RETURN(det_cuda_input_upload(env, device, b->images + place, b->staged + place,
                                             bytes, "uploading the pictures"));
    }
    DET_TRY_RETURN(det_cuda_input_upload(env, device, b->table, b->staged_table,
                                         (size_t)count * sizeof *b->table,
                                         "uploading the pictures' sizes"));
    return det_cuda_input_uploaded(env, device, b->uploaded);
}

/* A recording with too few passes for the contrasts is of no use. */
static void count_contrasts(struct det_cuda_batch *b, const struct det_picture *pictures,
                            int32_t count)
{
    for (int32_t n = 0; n < count; n++)
        if (pictures[n].contrast_count > b->contrasts) {
            b->contrasts = pictures[n].contrast_count;
            det_cuda_graph_forget(&b->graph);
        }
}

det_status det_cuda_batch_fill(struct det_env *env, const struct det_device *device,
                               struct det_cuda_batch *b, const struct det_picture *pictures,
                               int32_t count, size_t place_bytes,
                               const struct det_ground_truth *truths)
{
    bool moved = false;
    if (b->under_way)
        DET_TRY_RETURN(det_cuda_input_wait(env, device));
    b->under_way = false;
    DET_TRY_RETURN(det_cuda_truths_stage(env, &b->truths, truths, &moved));
    if (moved)
        det_cuda_graph_forget(&b->graph);
    count_contrasts(b, pictures, count);
    return upload(env, device, b, pictures, count, place_bytes);
}
