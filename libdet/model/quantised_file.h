/* quantised_file.h: a network in 8 bits in a .det file (model/model_file.c): the weights' tensors
 * are i8 under their own names, and beside them are
 *
 *   NAME/.SCALE         f32 [output channels]   of each weight that is i8
 *   .QUANTISED/SCALE    f32 [tensors]           of the graph, in its order; 0: in float32 only
 *   .QUANTISED/ZERO     u8  [tensors]           and 128
 *   .QUANTISED/EIGHT    u8  [operations]        1: in 8 bits
 *   .QUANTISED/ERROR    f32 [operations]        for who asks
 *
 * and in the meta object {"quantisation": {"images": ..., "observer": ..., "equalised": ...,
 * "score_error": ..., "box_error": ...}}. Biases are f32 as ever.
 */
#ifndef DET_MODEL_QUANTISED_FILE_H
#define DET_MODEL_QUANTISED_FILE_H

#include "formats/weights.h"
#include "model/model.h"
#include "model/quantised.h"

struct det_json_writer;

/* The meta object's part. */
void det_quantised_to_json(struct det_json_writer *json, const struct det_quantised *quantised);

/* What stands in the file's bytes and not in the model's memory as it is written: to be kept until
 * the file is written, then released with det_free(). */
struct det_quantised_tables {
    float *scales;
    uint8_t *zeros, *eight_bits;
};
/* Queues the tensors above and the weights that are i8. */
det_status det_quantised_add(struct det_env *env, struct det_weights_writer *writer,
                             const struct det_graph *graph, const struct det_quantised *quantised,
                             struct det_quantised_tables *tables);
void det_quantised_tables_free(struct det_env *env, struct det_quantised_tables *tables);

/* Whether the file is in 8 bits. */
bool det_quantised_is_in(const struct det_weights *file);
/* Of a file that is, of a folded graph: everything but the parameter block. CORRUPT for what cannot
 * be. */
det_status det_quantised_read(struct det_env *env, const struct det_weights *file,
                              const struct det_graph *graph, struct det_quantised **quantised);

#endif
