#include "export/tries.h"

#include "common/console.h"
#include "support/json_writer.h"
#include "support/mem.h"

static const double *stats_before(const struct export_tries *t)
{
    return det_evaluation_coco(t->before)->stats;
}

/* Of the file that has the lowest AP. */
static const double *stats_after(const struct export_tries *t)
{
    return det_evaluation_coco(t->files->found[t->least])->stats;
}

/* --- tables --- */

static det_status print_row(struct det_env *env, struct det_text *text, const char *name,
                            const double *before, const double *after)
{
    char shown[CONSOLE_NAME_BYTES];
    return det_text_printf(env, text, "  %-24s %7.3f %7.3f   %7.3f %7.3f\n",
                           console_name(shown, name), before[DET_COCO_AP], after[DET_COCO_AP],
                           before[DET_COCO_AP50], after[DET_COCO_AP50]);
}

static det_status print_table(struct det_env *env, const char *format,
                              const det_coco_result *before, const det_coco_result *after)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text, "  %-24s %15s   %15s\n  %-24s %7s %7s   %7s %7s\n", format,
                            "AP", "AP50", "class", "float32", "int8", "float32", "int8"));
    for (int32_t k = 0; k < before->class_count; k++)
        DET_TRY(print_row(env, &text, before->classes[k]->name, before->classes[k]->stats,
                          after->classes[k]->stats));
    DET_TRY(print_row(env, &text, "all", before->stats, after->stats));
    console_print_text(text.data);
fail:
    det_text_free(env, &text);
    return status;
}

static det_status print_tables(const struct export_tries *t)
{
    for (size_t i = 0; i < t->files->count; i++)
        DET_TRY_RETURN(print_table(&t->tool->env, t->files->formats[i]->name,
                                   det_evaluation_coco(t->before),
                                   det_evaluation_coco(t->files->found[i])));
    return DET_OK;
}

/* --- a try --- */

static det_status note(struct export_tries *t, const det_model *candidate)
{
    struct det_env *env = &t->tool->env;
    det_quantisation_info info = {.struct_size = sizeof info};
    DET_TRY_RETURN(det_model_quantisation(t->tool->context, candidate, &info));
    DET_TRY_RETURN(det_grow(env, &t->list, &t->capacity, t->count + 1, sizeof *t->list, "tries"));
    t->least = 0;
    for (size_t i = 1; i < t->files->count; i++)
        t->least = t->files->ap[i] < t->files->ap[t->least] ? i : t->least;
    t->list[t->count++] = (struct export_try){info, stats_after(t)[DET_COCO_AP]};
    return DET_OK;
}

/* The first ones are calibrations; in the later ones more layers are in float32. */
static bool has_more_floats(const struct export_tries *t, const struct export_try *one)
{
    return one->info.float_layers > t->list[0].info.float_layers;
}

static det_status describe(const struct export_tries *t, const struct export_try *one,
                           struct det_text *text)
{
    struct det_env *env = &t->tool->env;
    const det_quantisation_info *info = &one->info;
    if (has_more_floats(t, one))
        return det_text_printf(env, text, "%d layers in float32, %.1f %% of the multiplications",
                               info->float_layers, 100 * info->float_share);
    return det_text_printf(env, text, "%s, channels %s, biases %s",
                           det_quantisation_observer_name(info->observer),
                           info->equalised ? "equalised" : "as they are",
                           info->biases_corrected ? "corrected" : "as they are");
}

static det_status print_try(const struct export_tries *t, const struct export_try *one)
{
    struct det_text text = {0};
    const det_status status = describe(t, one, &text);
    if (status == DET_OK)
        console_print("  try %zu: %s: AP %.4f, %.4f less\n", t->count, text.data, one->ap,
                      stats_before(t)[DET_COCO_AP] - one->ap);
    det_text_free(&t->tool->env, &text);
    return status;
}

/* What the first one makes is told whole, each further one in a line until one is good. */
static det_status tell(struct export_tries *t, const det_model *candidate, bool good)
{
    if (t->count == 1)
        DET_TRY_RETURN(print_tables(t));
    if (t->count > 1 || (!good && !t->once))
        DET_TRY_RETURN(print_try(t, &t->list[t->count - 1]));
    if (t->count > 1 && good)
        DET_TRY_RETURN(print_tables(t));
    return t->count == 1 && !good ? eight_bits_name_worst(t->tool, candidate, &t->worst) : DET_OK;
}

static det_status make_try(struct export_tries *t, const det_model *candidate, bool *good)
{
    console_progress_clear();
    if (t->count == 0)
        DET_TRY_RETURN(eight_bits_tell(t->tool, candidate));
    export_files_destroy(t->files);
    DET_TRY_RETURN(export_files_make(t->tool, t->choices, candidate, t->files));
    if (t->count == 0) {
        DET_TRY_RETURN(export_files_announce(t->tool, t->files, t->folder));
        DET_TRY_RETURN(
            export_test_evaluate(t->tool, t->test, t->model, NULL, "float32", &t->before));
    }
    DET_TRY_RETURN(export_files_evaluate(t->tool, candidate, t->test, t->files));
    DET_TRY_RETURN(note(t, candidate));
    *good = stats_before(t)[DET_COCO_AP] - stats_after(t)[DET_COCO_AP] <= t->eight_bits->max_drop;
    return tell(t, candidate, *good);
}

static int accept(void *user, const det_model *candidate)
{
    struct export_tries *t = user;
    bool good = false;
    t->status = make_try(t, candidate, &good);
    return t->status != DET_OK ? -1 : good;
}

/* --- the whole --- */

static det_status fail_of_drop(struct export_tries *t)
{
    struct det_env *env = &t->tool->env;
    const struct export_try *best = &t->list[0];
    struct det_text more = {0};
    det_status status = DET_OK;
    for (size_t i = 1; i < t->count; i++)
        best = t->list[i].ap > best->ap ? &t->list[i] : best;
    if (t->count > 1) {
        DET_TRY(
            det_text_printf(env, &more, "; the best of %zu tries has %.4f: ", t->count, best->ap));
        DET_TRY(describe(t, best, &more));
    }
    status = det_fail(env, DET_STATUS_MISMATCH,
                      "AP falls from %.4f to %.4f in 8 bits, more than --max_drop %g: nothing was "
                      "written%s%s%s",
                      stats_before(t)[DET_COCO_AP], t->list[0].ap, t->eight_bits->max_drop,
                      t->worst.length > 0 ? "; the layers that cost most: " : "",
                      t->worst.length > 0 ? t->worst.data : "", t->count > 1 ? more.data : "");
fail:
    det_text_free(env, &more);
    return status;
}

det_status export_tries_make(struct export_tries *t, const struct option_list *image_dirs,
                             const det_model *model, det_model **quantised)
{
    const struct eight_bits_judge judge = {accept, t};
    t->once = det_model_is_trained_in_8_bits(model);
    t->model = model;
    const det_status status =
        eight_bits_make(t->tool, t->eight_bits, image_dirs, model, &judge, quantised);
    if (t->status != DET_OK)
        return t->status;
    return status == DET_STATUS_MISMATCH && t->count > 0 ? fail_of_drop(t) : status;
}

void export_tries_free(struct export_tries *t)
{
    det_evaluation_destroy(&t->before);
    det_text_free(&t->tool->env, &t->worst);
    det_free(&t->tool->env, &t->list);
}

void export_tries_json(const struct export_tries *t, struct det_json_writer *json)
{
    det_json_open_list(json, "tries");
    for (size_t i = 0; i < t->count; i++) {
        det_json_open_object(json, NULL);
        const det_quantisation_info *info = &t->list[i].info;
        det_json_put_string(json, "observer", det_quantisation_observer_name(info->observer));
        det_json_put_bool(json, "equalised", info->equalised != 0);
        det_json_put_bool(json, "biases_corrected", info->biases_corrected != 0);
        det_json_put_int(json, "float_layers", info->float_layers);
        det_json_put_value(json, "float_share", info->float_share);
        det_json_put_value(json, "ap", t->list[i].ap);
        det_json_close_object(json);
    }
    det_json_close_list(json);
    det_json_put_value(json, "ap_float32", stats_before(t)[DET_COCO_AP]);
    det_json_put_value(json, "ap", stats_after(t)[DET_COCO_AP]);
    det_json_put_value(json, "ap50_float32", stats_before(t)[DET_COCO_AP50]);
    det_json_put_value(json, "ap50", stats_after(t)[DET_COCO_AP50]);
}
