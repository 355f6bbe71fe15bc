/* ncnn.h: what writer and reader of ncnn's files share (ncnn.c says what they are). */
#ifndef DET_EXPORT_NCNN_H
#define DET_EXPORT_NCNN_H

#include "export/export.h"
#include "export/program.h"

#define DET_NCNN_MAGIC  "7767517"
#define DET_NCNN_HALVES 0x01306B47u

enum { DET_NCNN_BIN = 0, DET_NCNN_PARAM = 2 }; /* files of the export */

/* Strict: layers, parameters and numbers that the writer does not write are UNSUPPORTED. */
det_status det_read_ncnn(struct det_env *env, const struct det_export *exported,
                         struct det_program *program);
/* That the anchors in the file are the network's: what the program does not use. */
det_status det_prove_ncnn_anchors(struct det_env *env, const struct det_export_job *job,
                                  struct det_export *exported);

#endif
