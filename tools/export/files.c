#include "export/files.h"

#include <stdio.h>
#include <string.h>

#include "common/console.h"
#include "common/countdown.h"
#include "common/output.h"
#include "export/eight_bits.h"
#include "export/tries.h"
#include "support/clock.h"
#include "support/json_writer.h"
#include "support/mem.h"
#include "support/path.h"

/* A failing call of the context's, with the format's name in front. */
static det_status of_format(struct tool *tool, const det_export_format *format, det_status status)
{
    return status == DET_OK ? DET_OK
                            : det_fail(&tool->env, status, "%s: %s", format->name,
                                       det_context_error(tool->context));
}

static det_status announce(struct tool *tool, const det_export *exported, const char *folder)
{
    det_export_file file = {.struct_size = sizeof file};
    for (size_t i = 0; i < det_export_file_count(exported); i++) {
        DET_TRY_RETURN(det_export_file_at(tool->context, exported, i, &file));
        DET_TRY_RETURN(tool_writes_in(tool, "--output_directory", folder, file.name));
    }
    return DET_OK;
}

det_status export_files_announce(struct tool *tool, const struct export_files *files,
                                 const char *folder)
{
    for (size_t i = 0; i < files->count; i++)
        DET_TRY_RETURN(announce(tool, files->exports[i], folder));
    return DET_OK;
}

static det_status make(struct tool *tool, const struct export_choices *choices,
                       const det_model *model, const det_export_format *format,
                       struct export_files *files)
{
    const size_t i = files->count;
    const det_export_settings settings = export_choices_settings(choices, format);
    const double start = det_clock_seconds();
    console_progress("making %s", format->name);
    const det_status status =
        det_export_create(tool->context, model, format->name, &settings, &files->exports[i]);
    console_progress_clear();
    DET_TRY_RETURN(of_format(tool, format, status));
    files->formats[i] = format;
    files->seconds[i] = det_clock_seconds() - start;
    files->count++;
    return DET_OK;
}

det_status export_files_make(struct tool *tool, const struct export_choices *choices,
                             const det_model *model, struct export_files *files)
{
    for (size_t i = 0; i < choices->count; i++) {
        DET_TRY_RETURN(make(tool, choices, model, choices->chosen[i], files));
        if (tool_interrupted())
            return det_fail(&tool->env, DET_STATUS_CANCELLED, "interrupted: nothing was written");
    }
    return DET_OK;
}

det_status export_test_evaluate(struct tool *tool, struct export_test *test, const det_model *model,
                                const det_export *exported, const char *name,
                                det_evaluation **evaluation)
{
    char what[64];
    test->settings.exported = exported;
    test->settings.progress = countdown_show;
    snprintf(what, sizeof what, "evaluating %s", name);
    test->settings.progress_user = &(struct countdown){.what = what};
    const det_status status =
        det_evaluation_run(tool->context, test->config, model, &test->settings, evaluation);
    console_progress_clear();
    test->settings.quiet = 1;
    return status == DET_OK
               ? DET_OK
               : det_fail(&tool->env, status, "%s: %s", name, det_context_error(tool->context));
}

det_status export_files_evaluate(struct tool *tool, const det_model *model,
                                 struct export_test *test, struct export_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        DET_TRY_RETURN(export_test_evaluate(tool, test, model, files->exports[i],
                                            files->formats[i]->name, &files->found[i]));
        const det_coco_result *coco = det_evaluation_coco(files->found[i]);
        files->images = coco->images;
        files->ap[i] = coco->stats[DET_COCO_AP];
        files->ap50[i] = coco->stats[DET_COCO_AP50];
    }
    return DET_OK;
}

det_status export_files_write(struct tool *tool, const struct export_files *files,
                              const char *folder)
{
    for (size_t i = 0; i < files->count; i++)
        DET_TRY_RETURN(of_format(tool, files->formats[i],
                                 det_export_write(tool->context, files->exports[i], folder)));
    return DET_OK;
}

void export_files_destroy(struct export_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        det_evaluation_destroy(&files->found[i]);
        det_export_destroy(&files->exports[i]);
    }
    files->count = 0;
}

/* --- what is told --- */

static det_status print_names(struct tool *tool, const det_export *exported, const char *folder,
                              struct det_text *text)
{
    struct det_env *env = &tool->env;
    det_export_file file = {.struct_size = sizeof file};
    char name[CONSOLE_NAME_BYTES];
    for (size_t i = 0; i < det_export_file_count(exported); i++) {
        char *path = NULL;
        DET_TRY_RETURN(det_export_file_at(tool->context, exported, i, &file));
        DET_TRY_RETURN(det_path_join(env, &path, folder, file.name));
        const det_status status =
            file.bytes < 100000
                ? det_text_printf(env, text, "%s%s (%.1f kB)", i == 0 ? "" : ", ",
                                  console_name(name, path), (double)file.bytes / 1e3)
                : det_text_printf(env, text, "%s%s (%.1f MB)", i == 0 ? "" : ", ",
                                  console_name(name, path), (double)file.bytes / 1e6);
        det_free(env, &path);
        DET_TRY_RETURN(status);
    }
    return det_text_printf(env, text, "\n");
}

/* The lines of the signature, indented. */
static det_status print_signature(struct det_env *env, const char *signature, struct det_text *text)
{
    for (const char *line = signature; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        DET_TRY_RETURN(det_text_printf(env, text, "  %.*s\n", (int)length, line));
        line += length + (line[length] == '\n');
    }
    return DET_OK;
}

static det_status print_proof(struct tool *tool, const det_export *exported, struct det_text *text)
{
    struct det_env *env = &tool->env;
    det_export_proof proof = {.struct_size = sizeof proof};
    DET_TRY_RETURN(det_export_proof_of(tool->context, exported, &proof));
    return proof.proved
               ? det_text_printf(env, text,
                                 "  proved: %d tensors are equal; largest difference of encodings "
                                 "%.2g, of scores %.2g\n",
                                 (int)proof.tensors, proof.encodings, proof.scores)
               : DET_OK;
}

static det_status print_one(struct tool *tool, const struct export_files *files, size_t i,
                            const char *folder, struct det_text *text)
{
    struct det_env *env = &tool->env;
    DET_TRY_RETURN(det_text_printf(env, text, "%s: ", files->formats[i]->name));
    DET_TRY_RETURN(print_names(tool, files->exports[i], folder, text));
    DET_TRY_RETURN(print_signature(env, det_export_signature(files->exports[i]), text));
    DET_TRY_RETURN(print_proof(tool, files->exports[i], text));
    return files->images == 0
               ? DET_OK
               : det_text_printf(env, text, "  AP %.3f, AP50 %.3f on %lld images\n", files->ap[i],
                                 files->ap50[i], (long long)files->images);
}

det_status export_files_print(struct tool *tool, const struct export_files *files,
                              const char *folder)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    for (size_t i = 0; i < files->count; i++)
        DET_TRY(print_one(tool, files, i, folder, &text));
    console_print_text(text.data);
fail:
    det_text_free(&tool->env, &text);
    return status;
}

/* --- as JSON --- */

static det_status put_files(struct tool *tool, struct det_json_writer *json,
                            const det_export *exported)
{
    det_export_file file = {.struct_size = sizeof file};
    det_json_open_list(json, "files");
    for (size_t i = 0; i < det_export_file_count(exported); i++) {
        DET_TRY_RETURN(det_export_file_at(tool->context, exported, i, &file));
        det_json_open_object(json, NULL);
        det_json_put_string(json, "name", file.name);
        det_json_put_size(json, "bytes", file.bytes);
        det_json_close_object(json);
    }
    det_json_close_list(json);
    return DET_OK;
}

static det_status put_signature(struct tool *tool, struct det_json_writer *json,
                                const char *signature)
{
    struct det_env *env = &tool->env;
    det_json_open_list(json, "signature");
    for (const char *line = signature; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        char *copy = NULL;
        DET_TRY_RETURN(det_strndup(env, &copy, line, length));
        det_json_put_string(json, NULL, copy);
        det_free(env, &copy);
        line += length + (line[length] == '\n');
    }
    det_json_close_list(json);
    return DET_OK;
}

static det_status put_one(struct tool *tool, struct det_json_writer *json,
                          const struct export_files *files, size_t i)
{
    det_export_proof proof = {.struct_size = sizeof proof};
    DET_TRY_RETURN(det_export_proof_of(tool->context, files->exports[i], &proof));
    det_json_line(json, 2);
    det_json_open_object(json, NULL);
    det_json_put_string(json, "format", files->formats[i]->name);
    DET_TRY_RETURN(put_files(tool, json, files->exports[i]));
    DET_TRY_RETURN(put_signature(tool, json, det_export_signature(files->exports[i])));
    det_json_put_bool(json, "proved", proof.proved != 0);
    if (proof.proved) {
        det_json_put_int(json, "tensors", proof.tensors);
        det_json_put_float(json, "encodings_difference", (float)proof.encodings);
        det_json_put_float(json, "scores_difference", (float)proof.scores);
    }
    if (files->images > 0) {
        det_json_put_int(json, "images", files->images);
        det_json_put_float(json, "ap", (float)files->ap[i]);
        det_json_put_float(json, "ap50", (float)files->ap50[i]);
    }
    det_json_put_fixed(json, "seconds", files->seconds[i], 3);
    det_json_close_object(json);
    return DET_OK;
}

static void put_model(struct det_json_writer *json, const char *from, const det_model *model)
{
    det_json_put_string(json, "checkpoint", from);
    det_json_put_int(json, "step", det_model_step(model));
    det_json_put_int(json, "height", det_model_input_height(model));
    det_json_put_int(json, "width", det_model_input_width(model));
    det_json_put_int(json, "anchors", det_model_anchor_count(model));
    tool_put_classes(json, model);
}

static det_status put_eight_bits(struct tool *tool, const det_model *model,
                                 const struct export_tries *tries, struct det_json_writer *json)
{
    det_quantisation_info info = {.struct_size = sizeof info};
    DET_TRY_RETURN(det_model_quantisation(tool->context, model, &info));
    if (!info.is_quantised)
        return DET_OK;
    det_json_open_object(json, "int8");
    if (tries != NULL)
        export_tries_json(tries, json);
    DET_TRY_RETURN(eight_bits_json(tool, model, json));
    det_json_close_object(json);
    return DET_OK;
}

det_status export_files_json(struct tool *tool, const struct export_files *files,
                             const char *folder, const char *from, const det_model *model,
                             const struct export_tries *tries, const char *path)
{
    struct det_env *env = &tool->env;
    struct det_json_writer json;
    struct det_text text = {0};
    det_status status = DET_OK;
    det_json_begin(&json, env, &text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    put_model(&json, from, model);
    det_json_put_string(&json, "output_directory", folder);
    det_json_open_list(&json, "exports");
    for (size_t i = 0; i < files->count; i++)
        DET_TRY(put_one(tool, &json, files, i));
    det_json_close_list(&json);
    DET_TRY(put_eight_bits(tool, model, tries, &json));
    det_json_close_object(&json);
    det_json_line(&json, 0);
    DET_TRY(det_json_end(&json));
    DET_TRY(output_write(env, path, text.data, text.length));
fail:
    det_text_free(env, &text);
    return status;
}
