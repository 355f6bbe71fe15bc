/* memory_plan.h: bytes that a training takes, for any batch size, before they are taken. */
#ifndef DET_TRAIN_MEMORY_PLAN_H
#define DET_TRAIN_MEMORY_PLAN_H

#include "train/trainer.h"

struct det_memory_question {
    const struct det_model_spec *spec;
    const struct det_learner_settings *learner; /* batch_size is not looked at */
    const struct det_loader_settings *loader;   /* neither here */
    size_t limit_bytes;                         /* 0: what the system says is available */
};

/* Batch sizes that --batch_size auto chooses from: powers of two up to this. */
#define DET_BATCH_AUTO_MOST 128

/* The CPU's plan for a batch. */
det_status det_memory_plan(det_context *context, const struct det_memory_question *question,
                           int32_t batch_size, det_trainer_memory *memory);
size_t det_memory_total(const det_trainer_memory *memory);

/* OUT_OF_MEMORY when a batch on the CPU needs more than there is, naming both and the largest that
 * fits. Logs the plan. */
det_status det_memory_check(struct det_trainer *trainer, const struct det_memory_question *question,
                            int32_t batch_size);

/* The largest power of two, up to DET_BATCH_AUTO_MOST and the number of training images, that takes
 * at most four fifths of what there is on the CPU. OUT_OF_MEMORY when not even one image does. */
det_status det_memory_choose_batch(struct det_trainer *trainer,
                                   const struct det_memory_question *question, int32_t *batch_size);

void det_memory_log(const struct det_trainer *trainer, int32_t batch_size);

#endif
