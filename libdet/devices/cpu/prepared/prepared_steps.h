/* prepared_steps.h: the steps that a prepared network (prepared.h) consists of. A step is planned
 * once, for fixed tensors, and then run once an image batch; it cuts its work into tasks of the
 * pool, each with `scratch_floats` of the worker's own. */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_STEPS_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_STEPS_H

#include "devices/cpu/prepared/prepared_units.h"
#include "devices/cpu/prepared/prepared_weights.h"
#include "model/quantised.h"
#include "ops/cpu/conv/conv_view.h"

/* What a step needs at run time. */
struct detk_run {
    struct det_exec exec; /* the workspace of OTHER operations */
    int32_t batch;
    float *scratch; /* [threads][scratch_floats] */
    size_t scratch_floats;
    float *shared; /* between two jobs of one step */
};

/* Inverted residual, or the stem with the first depthwise block (prepared_block.c). */
struct detk_block_step {
    /* One of two: `expand`, or `stem` packed [columns / width][terms][width] for gemm.h's
     * kernels. In 8 bits the stem is an `expand` too, of windows (q8_stem.h). */
    struct detk_pointwise expand;
    bool q8_stem;
    struct detk_view view; /* of the stem; view.c == 0: there is none */
    const struct detk_gemm *gemm;
    float *stem, *stem_bias;
    bool stem_relu6;
    int32_t stem_c;
    struct detk_depthwise depthwise;
    struct detk_pointwise project;
    struct detk_map in, out, added; /* added.first NULL: nothing is */
    int32_t mid_h, mid_w;           /* between expansion and depthwise */
    struct det_q8_tensor mid;       /* where one of them is in 8 bits */
    int32_t band;                   /* output rows at a time; 0: the whole image, cut by channels */
    int32_t near;                   /* of them between expansion and depthwise */
    int32_t chunks;                 /* of rows, one task each */
    int32_t bands, groups;          /* by channels, of the projection: of rows, of panels */
    size_t scratch_floats, shared_floats;
};

/* Depthwise and pointwise, for several tensors in one job (prepared_separable.c). */
struct detk_branch {
    struct detk_depthwise depthwise;
    struct detk_pointwise pointwise;
    struct det_q8_tensor mid; /* between them, where one is in 8 bits */
    struct detk_map in, out;  /* `in` is framed */
    int32_t band, tasks;      /* output rows of a task; tasks of an image */
};
struct detk_separable_step {
    struct detk_branch *branches;
    int32_t count;
    size_t scratch_floats;
};

/* How products of rows with panels are cut into tasks: rows of one, how many times; groups of
 * panels. */
struct detk_tasks {
    int32_t band, bands, groups;
};
struct detk_part {
    int32_t image, y, end; /* rows */
    int32_t first, last;   /* panels first .. last - 1 */
};

static inline struct detk_part detk_part_of(const struct detk_tasks *tasks, int32_t task,
                                            int32_t rows, int32_t panels)
{
    const int32_t group = task % tasks->groups, at = task / tasks->groups;
    const int32_t y = at % tasks->bands * tasks->band;
    return (struct detk_part){.image = at / tasks->bands,
                              .y = y,
                              .end = (int32_t)detk_min(y + tasks->band, rows),
                              .first = (int32_t)detk_cut(panels, tasks->groups, group),
                              .last = (int32_t)detk_cut(panels, tasks->groups, group + 1)};
}

static inline int32_t detk_task_count(const struct detk_tasks *tasks, int32_t batch)
{
    return batch * tasks->bands * tasks->groups;
}

/* 1x1 convolution and what is added to it (prepared_pointwise.c). */
struct detk_pointwise_step {
    struct detk_pointwise pointwise;
    struct detk_map in, out, low; /* low.first NULL: nothing is added */
    struct detk_tasks tasks;
    size_t shared_floats;
};

/* Dense convolution in 8 bits (prepared_dense.c). */
struct detk_dense_step {
    struct detk_pointwise product; /* of windows: all blocks of a tap, tap after tap */
    struct detk_view view;
    struct detk_map in, out;
    struct detk_tasks tasks;
    size_t scratch_floats;
};

/* A tensor in another form, or a sum in float32 (prepared_convert.c). */
struct detk_convert_step {
    struct detk_map in, in2, out; /* in2.first NULL: nothing is added */
    bool upsampled;               /* `in`, in a sum */
    int32_t band, bands;          /* rows of a task, tasks of a block */
    size_t scratch_floats;
};

/* Any other operation by the table of ops.h, through plain copies (prepared_other.c). */
struct detk_other_step {
    const struct det_ops *ops;
    const struct det_op *op;
    bool q8;
    struct det_q8_layer layer; /* in 8 bits: a convolution's */
    struct det_q8_add add;     /* or an addition's */
    struct det_q8_tensor in_tensor, in2_tensor, out_tensor;
    struct det_conv_shape shape; /* of one image */
    float *weights;              /* a copy: the kernel, then the bias */
    size_t weight_floats;
    const float *bias;
    struct detk_map in, in2, out; /* in2.first NULL: none */
    size_t shared_floats;
};

struct detk_step {
    enum detk_unit_kind kind;
    union {
        struct detk_block_step block;
        struct detk_separable_step separable;
        struct detk_pointwise_step pointwise;
        struct detk_dense_step dense;
        struct detk_convert_step convert;
        struct detk_other_step other;
    } as;
};

/* Columns that one call of gemm.h's kernels makes within a block. */
static inline int32_t detk_stem_width(const struct detk_gemm *gemm)
{
    return gemm->lanes < DETK_BLOCK ? 2 * gemm->lanes : gemm->lanes;
}

/* A row of pixels of one block of the stem in float32; the slab (conv_view.h) begins with what it
 * sees. */
void detk_stem_row(const struct detk_block_step *step, const float *slab, int32_t block, float *to);

/* Sizes and cuts, after the maps and weights are set. */
void detk_block_plan(struct detk_block_step *step, int32_t batch, int threads);
void detk_separable_plan(struct detk_separable_step *step, int32_t batch, int threads);
void detk_pointwise_plan(struct detk_pointwise_step *step, int32_t batch);
void detk_dense_plan(struct detk_dense_step *step);
void detk_convert_plan(struct detk_convert_step *step);

void detk_block_run(const struct detk_block_step *step, const struct detk_run *run);
void detk_separable_run(const struct detk_separable_step *step, const struct detk_run *run);
void detk_pointwise_step_run(const struct detk_pointwise_step *step, const struct detk_run *run);
void detk_dense_run(const struct detk_dense_step *step, const struct detk_run *run);
void detk_convert_run(const struct detk_convert_step *step, const struct detk_run *run);
void detk_other_run(const struct detk_other_step *step, const struct detk_run *run);

#endif
