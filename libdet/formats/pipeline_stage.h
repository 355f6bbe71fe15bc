/* pipeline_stage.h: who reads a part of a pipeline.config. What cannot be honoured in a part that
 * training does not read fails when that part is asked for, not when the file is read. */
#ifndef DET_FORMATS_PIPELINE_STAGE_H
#define DET_FORMATS_PIPELINE_STAGE_H

enum det_pipeline_stage {
    DET_STAGE_ALL, /* a failure of reading */
    DET_STAGE_INFERENCE,
    DET_STAGE_EVALUATION,
    DET_STAGE_COUNT
};

/* Of each stage the first thing that was refused, as a whole message; NULL: nothing. */
struct det_stage_refusals {
    const char *messages[DET_STAGE_COUNT];
};

#endif
