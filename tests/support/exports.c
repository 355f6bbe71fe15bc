#include "support/exports.h"

#include "base/context.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/workspace.h"

void exports_spec(struct det_model_spec *spec, int32_t height, int32_t width, int32_t classes)
{
    formula_spec(spec, height, classes);
    spec->input_width = width;
    spec->score_threshold = 0.01F;
    spec->max_per_class = spec->max_total = 20;
}

void exports_vary_spec(struct det_model_spec *spec, uint32_t bits)
{
    spec->share_tower = bits & 1;
    spec->head_depthwise = bits & 2;
    spec->fpn_depthwise = bits & 4;
    spec->min_level = 2 + (int32_t)(bits % 4);
    spec->max_level = 5 + (int32_t)(bits / 4);
    spec->head_layers = (int32_t)(bits % 3);
    spec->head_kernel = bits % 5 == 0 ? 1 : bits % 5 == 1 ? 4 : 3;
}

det_status exports_model(struct det_env *env, const struct det_model_spec *spec,
                         const char *const *names, det_model **model)
{
    DET_TRY_RETURN(det_model_create(env, spec, false, names, model));
    formula_params(&(*model)->graph, (*model)->owned);
    (*model)->step = 77;
    return DET_OK;
}

/* The only operation that reads a tensor, -1 where there are others. */
static int32_t sole_reader(const struct det_graph *g, int32_t tensor)
{
    int32_t reader = -1, count = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (g->ops[i].in == tensor || g->ops[i].in2 == tensor) {
            reader = i;
            count++;
        }
    }
    return count == 1 ? reader : -1;
}

static bool is_first_user(const struct det_graph *g, int32_t op)
{
    for (int32_t i = 0; i < op; i++) {
        if (g->ops[i].weight == g->ops[op].weight)
            return false;
    }
    return true;
}

/* Channel 0 of what an operation writes: its weights or, of a batch norm, scale and offset. */
static void scale_channel(const struct det_graph *g, const struct det_op *op, float *params,
                          float factor)
{
    if (op->kind == DET_OP_BATCH_NORM) {
        params[g->params[op->gamma].offset] *= factor;
        params[g->params[op->beta].offset] *= factor;
        return;
    }
    const struct det_param *weight = &g->params[op->weight];
    for (size_t k = 0; k < weight->count; k += (size_t)weight->shape[2])
        params[weight->offset + k] *= factor;
}

int32_t exports_spoil(det_model *model, float factor, bool all)
{
    const struct det_graph *g = &model->graph;
    int32_t spoilt = 0;
    for (int32_t i = 0; i < g->op_count && (all || spoilt == 0); i++) {
        const struct det_op *op = &g->ops[i];
        const bool linear = op->kind == DET_OP_DWCONV ||
                            (op->kind == DET_OP_BATCH_NORM && op->act == DET_ACTIVATION_NONE);
        const int32_t at = linear ? sole_reader(g, op->out) : -1;
        if (at < 0 || g->ops[at].kind != DET_OP_CONV)
            continue;
        const struct det_param *reader = &g->params[g->ops[at].weight];
        assert_int_equal(reader->shape[0] * reader->shape[1], 1);
        if (op->kind == DET_OP_BATCH_NORM || is_first_user(g, i))
            scale_channel(g, op, model->owned, factor);
        for (int32_t c = 0; c < reader->shape[3] && is_first_user(g, at); c++)
            model->owned[reader->offset + (size_t)c] /= factor;
        spoilt++;
    }
    return spoilt;
}

void exports_start(struct exports_setup *setup)
{
    *setup = (struct exports_setup){0};
    test_env_init(&setup->t);
    setup->context = workspace_context(&setup->t, 1);
    setup->env = det_context_env(setup->context);
}

void exports_end(struct exports_setup *setup)
{
    det_model_destroy(&setup->model);
    det_context_destroy(&setup->context);
    test_env_check(&setup->t);
}

void exports_open(struct exports_file *file, struct det_env *env, const struct det_model_spec *spec,
                  const char *format, const det_export_settings *settings)
{
    det_model *model = NULL;
    assert_ok(env, exports_model(env, spec, NULL, &model));
    exports_open_model(file, env, model, format, settings);
}

void exports_open_model(struct exports_file *file, struct det_env *env, det_model *model,
                        const char *format, const det_export_settings *settings)
{
    *file =
        (struct exports_file){.env = env, .model = model, .writer = det_export_writer_find(format)};
    assert_non_null(file->writer);
    file->job.model = file->model;
    if (settings != NULL)
        file->job.settings = *settings;
    else
        det_export_settings_default(&file->job.settings);
    assert_ok(env, det_export_job_open(env, file->writer, &file->job));
    assert_ok(env, file->writer->write(env, &file->job, &file->exported));
}

void exports_free(struct det_env *env, struct det_export *exported)
{
    for (size_t i = 0; i < exported->file_count; i++) {
        det_text_free(env, &exported->files[i].data);
        det_free(env, &exported->files[i].name);
    }
    det_text_free(env, &exported->signature);
}

void exports_close(struct exports_file *file)
{
    exports_free(file->env, &file->exported);
    det_inference_close(file->env, &file->job.inference);
    det_model_destroy(&file->model);
}

struct det_text *exports_bytes(struct exports_file *file)
{
    return &file->exported.files[0].data;
}

det_status exports_prove(struct exports_file *file)
{
    return det_export_prove(file->env, NULL, file->writer, &file->job, &file->exported);
}

det_status exports_prove_structure(struct exports_file *file)
{
    struct det_program program;
    float *params = NULL;
    int32_t tensors = 0;
    det_program_init(&program);
    det_status status = file->writer->read(file->env, &file->exported, &program);
    if (status == DET_OK)
        status = det_proof_structure(file->env, &file->job, &program, &params, &tensors);
    det_free(file->env, &params);
    det_program_free(file->env, &program);
    return status;
}

void exports_replace(struct exports_file *file, const void *from, size_t bytes, int index,
                     const void *to)
{
    struct det_text *data = exports_bytes(file);
    for (size_t at = 0; at + bytes <= data->length; at++) {
        if (memcmp(data->data + at, from, bytes) != 0 || index-- > 0)
            continue;
        memcpy(data->data + at, to, bytes);
        return;
    }
    fail_msg("there is no such place in the file");
}

int exports_fill_square(void *user, size_t index, det_labelled_sample *sample)
{
    const struct exports_squares *squares = user;
    const size_t side = (size_t)squares->side;
    sample->pixels.pixels = squares->pixels + index * side * side * 3;
    sample->pixels.width = sample->pixels.height = squares->side;
    return 0;
}

void exports_damage(struct det_text *data, size_t step, size_t dense, size_t sparse, size_t cuts,
                    void (*read)(void *user), void *user)
{
    const size_t bytes = data->length;
    for (size_t at = 0; at < bytes; at += at < dense ? step : sparse) {
        const char old = data->data[at];
        data->data[at] = (char)(old ^ (at % 3 == 0 ? 0xff : at % 3 == 1 ? 1 : 0x80));
        read(user);
        data->data[at] = old;
    }
    char *whole = data->data;
    for (size_t cut = 0; cut < cuts; cut++) {
        data->length = bytes * cut / cuts;
        data->data = malloc(data->length + 1);
        assert_non_null(data->data);
        memcpy(data->data, whole, data->length);
        read(user);
        free(data->data);
    }
    data->data = whole;
    data->length = bytes;
}

void exports_read_damaged(void *user)
{
    struct exports_file *file = user;
    struct det_program program;
    const struct det_budget before = det_budget_open(file->env, "damaged");
    det_program_init(&program);
    const det_status status = file->writer->read(file->env, &file->exported, &program);
    assert_true(status == DET_OK || status == DET_STATUS_CORRUPT ||
                status == DET_STATUS_UNSUPPORTED || status == DET_STATUS_NOT_FOUND ||
                status == DET_STATUS_OUT_OF_MEMORY);
    det_program_free(file->env, &program);
    det_budget_close(file->env, before);
}

det_status exports_write_and_read(struct det_env *env, void *user)
{
    const struct exports_file *file = user;
    struct det_export exported = {0};
    struct det_program program;
    det_status status = DET_OK;
    det_program_init(&program);
    DET_TRY(file->writer->write(env, &file->job, &exported));
    DET_TRY(file->writer->read(env, &exported, &program));
fail:
    exports_free(env, &exported);
    det_program_free(env, &program);
    return status;
}
