/* proof_parts.h: what the halves of comparing a program with the network share. */
#ifndef DET_EXPORT_PROOF_PARTS_H
#define DET_EXPORT_PROOF_PARTS_H

#include "export/export.h"
#include "export/program.h"

/* The one node that reads a value; NULL when there is none, or more. */
const struct det_node *det_proof_reader(const struct det_program *program, int32_t value);

/* proof_eight_bits.c, of operation `index` of the network, in 8 bits, and the program's convolution
 * for it: that its weights, its bias and what it reads and makes have the network's 8 bits. Adds to
 * *tensors what was compared. MISMATCH */
det_status det_proof_eight_bits(struct det_env *env, const struct det_export_job *job,
                                const struct det_program *program, int32_t index,
                                const struct det_node *conv, int32_t *tensors);
/* The activation that the program's convolution must have: none where the range of the 8 bits does
 * the same. */
enum det_activation det_proof_activation(const struct det_export_job *job, int32_t index);

#endif
