/* proof.h: that a file that was made is the network, before anybody gets it.
 *
 * What the format's reader makes of the bytes (program.h) is compared with the network: each
 * convolution in order with its kernel, stride, padding and activation, each weight and bias, which
 * are equal, or equal to the value rounded to half precision. Then both run on a drawn picture, the
 * program by plain operations, the network as det-detect runs it: box encodings and scores, decoded
 * boxes where the file has them, and detections where it has them.
 *
 * In 8 bits weights, biases, scales and zeros are equal, and so is what the program's nodes in 8
 * bits make of the picture: no box encoding and no logit differs.
 *
 * Limits: 1e-4 for scores, 1e-4 of the largest encoding but at least of 1 for encodings: float32
 * sums in another order. For rounded weights the network runs with the file's own weights, so that
 * the limits are the same; what is told is the difference from the network as it is.
 *
 * Of a network in 8 bits each weight and bias, each scale and zero of what a convolution reads and
 * makes are the network's whole numbers, or the file differs. In the form QDQ (ONNX) the program
 * computes in between with real numbers in float32, libdet sums whole ones exactly: some values
 * come out one step apart, and a few dozen layers make a different noise of it, of the size that
 * rounding has. So outputs are compared by the root of their mean squared difference, which may be
 * twice that between the network and itself without rounding: two noises of one size are 1.4 times
 * as far from each other as from what both are about. Where the parts of a network are joined
 * wrongly the difference is far more.
 */
#ifndef DET_EXPORT_PROOF_H
#define DET_EXPORT_PROOF_H

#include "base/pool.h"
#include "export/export.h"
#include "export/program.h"

/* Proves the files and fills in exported->proof. MISMATCH where file and network differ, CORRUPT
 * and UNSUPPORTED where the file cannot be read. */
det_status det_export_prove(struct det_env *env, struct det_pool *pool,
                            const struct det_export_writer *writer,
                            const struct det_export_job *job, struct det_export *exported);

/* --- the two halves --- */

/* *params: what the file has for the network's parameter block, for the caller to free; *tensors:
 * how many were compared. */
det_status det_proof_structure(struct det_env *env, const struct det_export_job *job,
                               const struct det_program *program, float **params, int32_t *tensors);

/* `params`: of det_proof_structure(). */
det_status det_proof_run(struct det_env *env, struct det_pool *pool,
                         const struct det_export_job *job, struct det_program *program,
                         const float *params, det_export_proof *proof);

#endif
