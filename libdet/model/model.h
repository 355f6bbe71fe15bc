/* model.h: what is behind a det_model, and its way into and out of .det files. */
#ifndef DET_MODEL_MODEL_H
#define DET_MODEL_MODEL_H

#include "det/model.h"
#include "formats/label_map.h"
#include "model/graph.h"

struct det_weights_file; /* formats/weights.h */

struct det_model {
    struct det_env env; /* a copy of the creating context's hooks: the model may outlive it */
    struct det_model_spec spec;
    struct det_graph graph; /* graph.folded says which form */
    const float *params;    /* [graph.param_floats], in `owned` or in the mapped file */
    float *owned;
    struct det_weights_file *file; /* NULL unless mapped */
    int32_t class_count;
    char **class_names; /* [class_count] */
    int64_t step;
};

/* An empty model of this spec with its own parameter block (zeros) and names copied from `names`
 * ("class N" if NULL). */
det_status det_model_create(struct det_env *env, const struct det_model_spec *spec, bool folded,
                            const char *const *names, det_model **model);

/* The same without the parameter block, for whoever maps one. */
det_status det_model_prepare(struct det_env *env, const struct det_model_spec *spec, bool folded,
                             const char *const *names, det_model **model);

/* The spec as a JSON object and back (model/spec_json.c): every field of det_model_spec; a missing
 * or wrong one is CORRUPT naming it. */
struct det_text;
det_status det_model_spec_to_json(struct det_env *env, const struct det_model_spec *spec,
                                  struct det_text *json);
struct cJSON;
det_status det_model_spec_from_json(struct det_env *env, const char *name, const struct cJSON *json,
                                    struct det_model_spec *spec);

#endif
