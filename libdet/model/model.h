/* model.h: what is behind a det_model, and its way into and out of .det files. */
#ifndef DET_MODEL_MODEL_H
#define DET_MODEL_MODEL_H

#include "det/model.h"
#include "formats/label_map.h"
#include "model/act_ranges.h"
#include "model/graph.h"
#include "support/json.h"

struct det_optimizer_state; /* model/optimizer_state.h */
struct det_quantised;       /* model/quantised.h */
struct det_weights;         /* formats/weights.h */
struct det_weights_tensor;
struct det_weights_writer;

struct det_model {
    struct det_env env; /* a copy of the creating context's hooks: the model may outlive it */
    struct det_model_spec spec;
    struct det_graph graph; /* graph.folded says which form */
    const float *params;    /* [graph.param_floats], in `owned` or in `file` */
    float *owned;
    /* NULL, or of a training form the parameters with batch norm statistics taken anew: what is
     * folded */
    float *recalibrated;
    /* over how many pictures; of an exported model, over how many before */
    int64_t recalibrated_images;
    struct det_weights *file; /* NULL unless params are in it */
    int32_t class_count;
    char **class_names; /* [class_count]; "class N" where there is no other */
    bool *class_unused; /* [class_count] ids that the label map has no item for */
    int64_t step;
    /* NULL, or of a folded form the network in 8 bits; `params` are then what its weights stand
     * for, and its biases */
    struct det_quantised *quantised;
    struct det_optimizer_state *optimizer; /* NULL; of a training form: what goes on with it */
    struct det_act_ranges ranges; /* of a training form that was trained in 8 bits; else nothing */
};

/* An empty model of this spec with its own parameter block (zeros) and names copied from `names`
 * ("class N" if NULL); an entry that is NULL or "" is an id without a class. */
det_status det_model_create(struct det_env *env, const struct det_model_spec *spec, bool folded,
                            const char *const *names, det_model **model);

/* The same without the parameter block, for whoever has one. */
det_status det_model_prepare(struct det_env *env, const struct det_model_spec *spec, bool folded,
                             const char *const *names, det_model **model);

/* The model's names as det_model_create takes them: [class_count], NULL for an id without a class.
 * The caller frees the list, the strings are the model's. */
det_status det_model_names(struct det_env *env, const struct det_model *model, const char ***names);

/* Whether it was trained in 8 bits, and so knows its ranges. */
static inline bool det_model_has_ranges(const struct det_model *model)
{
    return model->ranges.updates > 0;
}
/* Those of `file`, if it has any, of a training form. */
det_status det_model_take_ranges(struct det_env *env, const struct det_weights *file,
                                 struct det_model *model);

/* What an export folds and an evaluation of the exported form runs. */
static inline const float *det_model_export_params(const struct det_model *model)
{
    return model->recalibrated != NULL ? model->recalibrated : model->params;
}

/* The spec as a JSON object and back (model/spec_json.c): every field of det_model_spec; a missing
 * or wrong one is CORRUPT naming it. */
struct det_text;
struct det_json_writer;
void det_model_spec_to_json(struct det_json_writer *json, const char *key,
                            const struct det_model_spec *spec);
det_status det_model_spec_from_json(struct det_env *env, const char *name, struct det_json json,
                                    struct det_model_spec *spec);

/* Appends "FIELD is A instead of B, ..." for the fields that differ; nothing when none does.
 * Structural fields decide which parameters exist and what the outputs mean; the others may change
 * between two runs of one training. */
det_status det_model_spec_difference(struct det_env *env, const struct det_model_spec *a,
                                     const struct det_model_spec *b, bool structural,
                                     struct det_text *text);

/* What the meta object of a .det file says (model/model_file.c). */
struct det_model_meta {
    bool folded; /* kind "inference"; else "checkpoint" */
    struct det_model_spec spec;
    int64_t step;
    const char *const *names;        /* [spec.num_classes], NULL or "": an id without a class */
    char **own_names;                /* the same when the meta was read, else NULL */
    int64_t recalibrated_images;     /* 0: the statistics are moving averages */
    bool recalibrated_with_averages; /* ... of the averages of the weights, not the weights */
    const struct det_quantised *quantised; /* for writing: of a network in 8 bits, else NULL */
};

/* `training`: NULL or the text of a JSON object. */
det_status det_model_meta_to_json(struct det_env *env, const struct det_model_meta *meta,
                                  const char *training, struct det_text *json);
/* det_model_meta_free releases the names. */
det_status det_model_meta_read(struct det_env *env, const struct det_weights *file,
                               struct det_model_meta *meta);
void det_model_meta_free(struct det_env *env, struct det_model_meta *meta);

/* One parameter as the tensor "key" + suffix: looked up with type and shape; queued for writing
 * from a block. */
det_status det_params_require(struct det_env *env, const struct det_weights *file,
                              const struct det_param *param, const char *suffix,
                              const struct det_weights_tensor **tensor);
det_status det_params_add(struct det_env *env, struct det_weights_writer *writer,
                          const struct det_param *param, const char *suffix, const float *block);
/* NON_FINITE naming file, parameter and value. */
det_status det_params_check_finite(struct det_env *env, const char *path,
                                   const struct det_param *param, const float *values);

/* Statistics taken anew beside the moving ones of a training file: tensors "key/.RECALIBRATED".
 * Queued for writing from a block; read into one. */
det_status det_recalibrated_add(struct det_env *env, struct det_weights_writer *writer,
                                const struct det_graph *graph, const float *recalibrated);
det_status det_recalibrated_read(struct det_env *env, const struct det_weights *file,
                                 const struct det_graph *graph, float *recalibrated);
/* Those of `file`, if it has any that are of these weights (the averages or not), as
 * model->recalibrated of a training form whose parameters are known. */
det_status det_model_take_recalibrated(struct det_env *env, const struct det_weights *file,
                                       const struct det_model_meta *meta, bool averages,
                                       struct det_model *model);

/* det_model_load and det_model_export for internal callers; `memory` as of
 * det_weights_writer_create(). */
det_status det_model_read(struct det_env *env, const char *path, det_model **model);
det_status det_model_write(struct det_env *env, const struct det_model *model, const char *path,
                           struct det_text *memory);

#endif
