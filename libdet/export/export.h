/* export.h: what every writer of a format gets and gives, and the list of the formats.
 *
 * A format is one writer, NAME.c, and one reader, read_NAME.c, which makes of the files a program
 * that program.h runs; formats.c has the list. det_export_create() (export_api.c) calls the writer,
 * reads what it gave back, and compares the tensors and what the program computes of a picture with
 * the network itself.
 */
#ifndef DET_EXPORT_EXPORT_H
#define DET_EXPORT_EXPORT_H

#include "det/export_formats.h"
#include "model/inference.h"
#include "support/text.h"

struct det_program; /* export/program.h */

/* What is exported: the folded network at the model's input size. */
struct det_export_job {
    const det_model *model;
    struct det_inference inference; /* folded; its postprocess has the settings' thresholds */
    /* AUTO is replaced by what it means for the format, `name` NULL by "model" or own_name */
    det_export_settings settings;
    char own_name[32];
};

struct det_export_writer;

/* Of a job whose model and settings are set: the network; AUTO and thresholds of the settings
 * become what they mean. UNSUPPORTED for weights that the precision does not hold. To be released
 * with det_inference_close(). */
det_status det_export_job_open(struct det_env *env, const struct det_export_writer *writer,
                               struct det_export_job *job);

struct det_export_bytes {
    char *name; /* "model.onnx" */
    struct det_text data;
};

enum { DET_EXPORT_MOST_FILES = 4 };

/* Files in the order in which they are written; what makes the others valid comes last. */
struct det_export {
    struct det_env env; /* a copy of the creating context's hooks */
    const struct det_export_writer *writer;
    struct det_export_bytes files[DET_EXPORT_MOST_FILES];
    size_t file_count;
    struct det_text signature;
    det_export_proof proof;
};

struct det_export_writer {
    det_export_format format;
    det_export_outputs outputs; /* what AUTO means */
    det_export_input input;
    /* What AUTO means of a model in 8 bits; 0: the same, and the format has no input of
     * bytes (DET_EXPORT_INPUT_UINT8 and INT8). */
    det_export_input byte_input;
    /* UNSUPPORTED, with the sentence, for settings and specs that the format cannot express. */
    det_status (*write)(struct det_env *env, const struct det_export_job *job,
                        struct det_export *exported);
    /* NULL: there is nothing to prove it with. Names in the files' own words; MISMATCH, CORRUPT,
     * UNSUPPORTED say what is wrong with them. */
    det_status (*read)(struct det_env *env, const struct det_export *exported,
                       struct det_program *program);
    /* Of a format that is no network to be run, in place of `read`: fills in exported->proof. */
    det_status (*prove)(struct det_env *env, const struct det_export_job *job,
                        struct det_export *exported);
    bool named_by_step; /* `name` NULL is "ckpt-STEP" */
};

/* NULL when there is none of that name. */
const struct det_export_writer *det_export_writer_find(const char *name);

/* A new file of the export called `name` and `suffix`; *data is where its bytes are appended. */
det_status det_export_add_file(struct det_env *env, struct det_export *exported, const char *name,
                               const char *suffix, struct det_text **data);

extern const struct det_export_writer det_export_det, det_export_onnx, det_export_tflite,
    det_export_tf_checkpoint, det_export_ncnn;

#endif
