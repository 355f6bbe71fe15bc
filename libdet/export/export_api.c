#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "base/half.h"
#include "export/proof.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/path.h"
#include "support/writer.h"

void det_export_settings_init(det_export_settings *settings, size_t struct_size)
{
    static const det_export_settings defaults = {
        .struct_size = sizeof defaults,
        .batch = 1,
        .score_threshold = -1,
        .iou_threshold = -1,
        .verify = 1,
    };
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static det_status check_settings(struct det_env *env, const det_export_settings *s)
{
    if ((unsigned)s->outputs > DET_EXPORT_OUTPUTS_EFFICIENT_NMS ||
        (unsigned)s->input > DET_EXPORT_INPUT_FLOAT_NCHW ||
        (unsigned)s->precision > DET_EXPORT_FLOAT16)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_export_settings: outputs %d, input %d, precision %d: one of them is "
                        "none that this library knows",
                        (int)s->outputs, (int)s->input, (int)s->precision);
    if (s->batch < 0 || s->max_detections < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_export_settings: batch %d, max_detections %d: expected at least 0",
                        s->batch, s->max_detections);
    if (s->name != NULL && (s->name[0] == '\0' || strchr(s->name, '/') != NULL))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_export_settings: name `%s`: expected one name, no path", s->name);
    if (!(s->score_threshold <= 1 && s->iou_threshold <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_export_settings: score_threshold %g, iou_threshold %g: expected at "
                        "most 1",
                        (double)s->score_threshold, (double)s->iou_threshold);
    return DET_OK;
}

static det_status unknown_format(struct det_env *env, const char *name)
{
    char known[128] = "";
    for (size_t i = 0; det_export_format_at(i) != NULL; i++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ",
                 det_export_format_at(i)->name);
    }
    return det_fail(env, DET_STATUS_UNSUPPORTED, "export format `%s`: expected one of %s", name,
                    known);
}

/* AUTO becomes what it means for the format, thresholds go into the post-processing. */
static void settle(const struct det_export_writer *writer, struct det_export_job *job)
{
    det_export_settings *s = &job->settings;
    struct det_postprocess_settings *p = &job->inference.postprocess;
    if (s->outputs == DET_EXPORT_OUTPUTS_AUTO)
        s->outputs = writer->outputs;
    if (s->input == DET_EXPORT_INPUT_AUTO)
        s->input = writer->input;
    if (s->name == NULL && writer->named_by_step)
        snprintf(job->own_name, sizeof job->own_name, "ckpt-%lld", (long long)job->model->step);
    if (s->name == NULL)
        s->name = writer->named_by_step ? job->own_name : "model";
    if (s->score_threshold >= 0)
        p->score_threshold = s->score_threshold;
    if (s->iou_threshold >= 0)
        p->iou_threshold = s->iou_threshold;
    if (s->max_detections > 0)
        p->max_total_detections = s->max_detections;
}

/* More than there are would be room for nothing. */
static det_status check_limit(struct det_env *env, const struct det_export_job *job)
{
    const struct det_inference *inference = &job->inference;
    const int32_t classes = inference->graph->class_slots - 1;
    const int64_t most = (int64_t)inference->anchor_count * classes;
    if (job->settings.max_detections <= most)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "det_export_settings: max_detections %d: %d anchors of %d classes make %lld at "
                    "most",
                    job->settings.max_detections, inference->anchor_count, classes,
                    (long long)most);
}

/* Half precision has no number beyond 65504. */
static det_status check_half(struct det_env *env, const struct det_export_job *job)
{
    const struct det_graph *graph = job->inference.graph;
    if (job->settings.precision != DET_EXPORT_FLOAT16)
        return DET_OK;
    for (int32_t i = 0; i < graph->param_count; i++) {
        const float *values = job->inference.params + graph->params[i].offset;
        for (size_t v = 0; v < graph->params[i].count; v++)
            if (!isfinite(det_half_to_float(det_float_to_half(values[v]))))
                return det_fail(env, DET_STATUS_UNSUPPORTED,
                                "float16: `%s` has the value %g, half precision ends at 65504",
                                graph->params[i].key, (double)values[v]);
    }
    return DET_OK;
}

static det_status check_eight_bits(struct det_env *env, const struct det_export_writer *writer,
                                   const struct det_export_job *job)
{
    if (job->model->quantised == NULL)
        return DET_OK;
    if (writer->format.eight_bits == DET_EXPORT_EIGHT_BITS_NONE)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "the model is in 8 bits, which %s does not have here: export the float32 "
                        "model that it was made of",
                        writer->format.name);
    if (job->settings.precision == DET_EXPORT_FLOAT16)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "float16: the model is in 8 bits, export the float32 model that it was "
                        "made of");
    return DET_OK;
}

det_status det_export_job_open(struct det_env *env, const struct det_export_writer *writer,
                               struct det_export_job *job)
{
    DET_TRY_RETURN(check_eight_bits(env, writer, job));
    DET_TRY_RETURN(det_inference_open(env, job->model, &job->model->spec, DET_INFERENCE_FOLDED,
                                      &job->inference));
    settle(writer, job);
    det_status status = check_limit(env, job);
    if (status == DET_OK)
        status = check_half(env, job);
    if (status != DET_OK)
        det_inference_close(env, &job->inference);
    return status;
}

static det_status make(struct det_env *env, struct det_pool *pool,
                       const struct det_export_writer *writer, struct det_export_job *job,
                       struct det_export **exported)
{
    det_status status = DET_OK;
    DET_TRY(det_export_job_open(env, writer, job));
    DET_TRY(det_alloc(env, exported, 1, sizeof **exported, "export"));
    det_env_fork(&(*exported)->env, env);
    (*exported)->writer = writer;
    DET_TRY(writer->write(env, job, *exported));
    if (job->settings.verify != 0 && writer->read != NULL)
        DET_TRY(det_export_prove(env, pool, writer, job, *exported));
    if (job->settings.verify != 0 && writer->prove != NULL)
        DET_TRY(writer->prove(env, job, *exported));
fail:
    det_inference_close(env, &job->inference);
    if (status != DET_OK)
        det_export_destroy(exported);
    return status;
}

det_status det_export_create(det_context *context, const det_model *model, const char *format,
                             const det_export_settings *settings, det_export **exported)
{
    struct det_env *env = det_context_env(context);
    struct det_export_job job = {.model = model};
    if (exported != NULL)
        *exported = NULL;
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, format);
    DET_NEED(env, exported);
    det_export_settings_default(&job.settings);
    DET_TRY_RETURN(DET_TAKE(env, det_export_settings, &job.settings, settings));
    DET_TRY_RETURN(check_settings(env, &job.settings));
    const struct det_export_writer *writer = det_export_writer_find(format);
    if (writer == NULL)
        return unknown_format(env, format);
    return make(env, det_context_pool(context), writer, &job, exported);
}

void det_export_destroy(det_export **exported)
{
    if (exported == NULL || *exported == NULL)
        return;
    struct det_env env = (*exported)->env;
    for (size_t i = 0; i < (*exported)->file_count; i++) {
        det_free(&env, &(*exported)->files[i].name);
        det_text_free(&env, &(*exported)->files[i].data);
    }
    det_text_free(&env, &(*exported)->signature);
    det_free(&env, exported);
}

det_status det_export_add_file(struct det_env *env, struct det_export *exported, const char *name,
                               const char *suffix, struct det_text **data)
{
    struct det_export_bytes *file = &exported->files[exported->file_count];
    DET_TRY_RETURN(det_format(env, &file->name, "%s%s", name, suffix));
    exported->file_count++;
    *data = &file->data;
    return DET_OK;
}

size_t det_export_file_count(const det_export *exported)
{
    return exported == NULL ? 0 : exported->file_count;
}

det_status det_export_file_at(det_context *context, const det_export *exported, size_t index,
                              det_export_file *file)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, exported);
    DET_NEED_REPORT(env, det_export_file, file);
    if (index >= exported->file_count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_export_file_at: file %zu, there are %zu", index, exported->file_count);
    const struct det_export_bytes *bytes = &exported->files[index];
    const det_export_file filled = {.struct_size = sizeof filled,
                                    .name = bytes->name,
                                    .data = bytes->data.data,
                                    .bytes = bytes->data.length};
    det_fill_report(file, &filled, sizeof filled);
    return DET_OK;
}

det_status det_export_proof_of(det_context *context, const det_export *exported,
                               det_export_proof *proof)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, exported);
    DET_NEED_REPORT(env, det_export_proof, proof);
    det_export_proof filled = exported->proof;
    filled.struct_size = sizeof filled;
    det_fill_report(proof, &filled, sizeof filled);
    return DET_OK;
}

const char *det_export_signature(const det_export *exported)
{
    return exported == NULL ? NULL : exported->signature.data;
}

static det_status write_one(struct det_env *env, const struct det_export_bytes *file,
                            const char *folder, struct det_writer *writer)
{
    char *path = NULL;
    det_status status = DET_OK;
    *writer = (struct det_writer){.descriptor = -1};
    DET_TRY(det_path_join(env, &path, folder, file->name));
    DET_TRY(det_writer_open(env, path, writer));
    DET_TRY(det_writer_write(env, writer, file->data.data, file->data.length));
    DET_TRY(det_writer_flush(env, writer));
fail:
    det_free(env, &path);
    if (status != DET_OK)
        det_writer_discard(env, writer);
    return status;
}

/* All of them are on the disk before the first gets its name: a disk that is full costs nothing. */
det_status det_export_write(det_context *context, const det_export *exported, const char *folder)
{
    struct det_env *env = det_context_env(context);
    struct det_writer writers[DET_EXPORT_MOST_FILES];
    size_t written = 0;
    det_status status = DET_OK;
    DET_NEED(env, context);
    DET_NEED(env, exported);
    DET_NEED(env, folder);
    DET_TRY_RETURN(det_make_directories(env, folder));
    for (; written < exported->file_count; written++)
        DET_TRY(write_one(env, &exported->files[written], folder, &writers[written]));
    for (size_t i = 0; i < written; i++)
        DET_TRY(det_writer_commit(env, &writers[i]));
fail:
    for (size_t i = 0; i < written; i++)
        det_writer_discard(env, &writers[i]);
    return status;
}
