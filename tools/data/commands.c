/* commands.c: det-data convert, check, split, stats, show. */
#include <string.h>

#include "base/context.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "common/console.h"
#include "common/output.h"
#include "convert/check.h"
#include "convert/readers.h"
#include "convert/sheet.h"
#include "convert/split.h"
#include "convert/stats.h"
#include "convert/writers.h"
#include "data/data.h"
#include "model/from_config.h"

enum { MOST_SPLITS = 16 };

static int failed(struct data_job *job, det_status status)
{
    return tool_fail(&job->tool, status);
}

/* --- repairs --- */

static det_status repair(struct data_job *job)
{
    struct det_repairs r;
    DET_TRY_RETURN(det_annotations_repair(job->env, &job->set, &r));
    const struct {
        size_t count;
        const char *what;
    } rows[] = {
        {r.images_dropped, "images dropped (missing, damaged or there twice)"},
        {r.images_emptied, "images dropped whose boxes all had faults"},
        {r.images_thinned, "images kept that lost some of their boxes by faults"},
        {r.images_turned, "images turned upright (EXIF)"},
        {r.tags_removed, "EXIF rotations taken off that the boxes ignore"},
        {r.sizes_corrected, "sizes corrected"},
        {r.ids_changed, "ids changed that were there twice"},
        {r.boxes_swapped, "boxes with min and max exchanged"},
        {r.boxes_clipped, "boxes clipped to the image"},
        {r.boxes_dropped,
         "boxes dropped (not readable, not finite, no area, outside, without a class)"},
        {r.boxes_repeated, "boxes dropped that were there twice"},
        {r.boxes_unlisted, "boxes dropped of classes that the label map lacks"},
        {r.classes_by_text, "class numbers made to agree with their names"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].count > 0)
            tool_log(&job->tool, DET_LOG_INFO, "fixed: %zu %s", rows[i].count, rows[i].what);
    return DET_OK;
}

/* --- splits --- */

det_status data_check_split(struct data_job *job, const char *option, const char *name)
{
    char *safe = NULL;
    DET_TRY_RETURN(det_safe_name(job->env, name, &safe));
    const bool is_safe = strcmp(safe, name) == 0;
    det_free(job->env, &safe);
    return is_safe
               ? DET_OK
               : det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                          "%s: `%s` is no name of a file, which the split's would become part of",
                          option, name);
}

det_status data_split(struct data_job *job, const char *text)
{
    struct det_env *env = job->env;
    const char *names[MOST_SPLITS];
    double shares[MOST_SPLITS];
    struct det_split_settings settings = {
        .names = names, .shares = shares, .seed = (uint64_t)job->arguments.seed};
    char *copy = NULL, *save = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_strdup(env, &copy, text));
    for (char *part = strtok_r(copy, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(part, '=');
        double share = 0;
        if (settings.count == MOST_SPLITS || equals == NULL || equals == part ||
            !det_parse_coordinate(equals + 1, &share)) {
            status = det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                              "--split: got `%s`, expected NAME=SHARE,NAME=SHARE,... (at most %d)",
                              text, MOST_SPLITS);
            goto fail;
        }
        *equals = '\0';
        names[settings.count] = det_trimmed(part);
        shares[settings.count++] = share;
        DET_TRY(data_check_split(job, "--split", names[settings.count - 1]));
    }
    DET_TRY(det_annotations_split(env, &job->set, &settings));
fail:
    det_free(env, &copy);
    return status;
}

/* --- commands --- */

static void summarise(struct data_job *job)
{
    for (int rule = 0; rule < DET_RULE_COUNT; rule++)
        if (job->findings.counts[rule] > 0)
            tool_log(&job->tool, DET_LOG_INFO, "%8zu %s %s", job->findings.counts[rule],
                     det_rule_name((enum det_rule)rule),
                     det_rule_severity((enum det_rule)rule) >= DET_SEVERITY_ERROR ? "(error)"
                                                                                  : "(warning)");
}

/* What no repair mends, and what is left of a set that is about to be written. */
static det_status check_rest(struct data_job *job)
{
    size_t images = 0;
    if (job->findings.fatal > 0)
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing was written: --fix repairs entries, not what was not read");
    for (size_t i = 0; i < job->set.image_count; i++)
        images += !job->set.images[i].broken;
    if (images == 0)
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing was written: no image is left");
    if (job->set.object_count == 0 && !job->arguments.allow_no_boxes)
        return det_fail(
            job->env, DET_STATUS_INVALID_ARGUMENT,
            "nothing was written: %zu images are left and not one box: --allow_no_boxes "
            "writes them all the same",
            images);
    if (job->set.classes.count == 0)
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing was written: there is no class: give a --label_map");
    return DET_OK;
}

static size_t count_bad(const struct data_job *job)
{
    const struct det_findings *findings = &job->findings;
    if (!job->arguments.strict)
        return findings->errors;
    /* A leak between the old splits is mended by dealing out anew. */
    const bool deals = job->arguments.split != NULL;
    return findings->errors + findings->warnings -
           (deals ? findings->counts[DET_RULE_SPLIT_LEAK] : 0);
}

int data_convert(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    det_status status = data_read(job);
    if (status == DET_OK)
        status = det_annotations_check(job->env, &job->set, &job->findings);
    if (status != DET_OK)
        return failed(job, status);
    const size_t bad = count_bad(job);
    if (bad > 0 && !a->fix) {
        summarise(job);
        return tool_error(
            &job->tool,
            "%zu error%s: nothing was written; --fix repairs what can be and drops the rest", bad,
            bad == 1 ? "" : "s");
    }
    if (a->fix)
        status = repair(job);
    if (status == DET_OK)
        status = check_rest(job);
    if (status == DET_OK && a->split != NULL)
        status = data_split(job, a->split);
    if (status == DET_OK)
        status = data_write(job, a->to != NULL ? a->to : job->format, a->output);
    return status == DET_OK ? 0 : failed(job, status);
}

static det_status write_findings(struct data_job *job)
{
    struct det_json_writer json;
    struct det_text text = {0};
    det_status status = DET_OK;
    det_json_begin(&json, job->env, &text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_size(&json, "errors", job->findings.errors);
    det_json_put_size(&json, "warnings", job->findings.warnings);
    det_json_open_object(&json, "rules");
    for (int rule = 0; rule < DET_RULE_COUNT; rule++)
        det_json_put_size(&json, det_rule_name((enum det_rule)rule), job->findings.counts[rule]);
    det_json_close_object(&json);
    det_json_put_size(&json, "images", job->set.image_count);
    det_json_put_size(&json, "boxes", job->set.object_count);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    DET_TRY(det_json_end(&json));
    DET_TRY(output_write(job->env, job->arguments.json, text.data, text.length));
fail:
    det_text_free(job->env, &text);
    return status;
}

int data_check(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    det_status status = data_read(job);
    if (status == DET_OK)
        status = det_annotations_check(job->env, &job->set, &job->findings);
    if (status == DET_OK && a->json != NULL)
        status = write_findings(job);
    summarise(job);
    if (status == DET_OK && a->fix)
        status = repair(job);
    if (status == DET_OK && a->fix)
        status = check_rest(job);
    if (status == DET_OK && a->fix)
        status = data_write(job, a->to != NULL ? a->to : job->format, a->output);
    if (status != DET_OK)
        return failed(job, status);
    console_print("%zu errors, %zu warnings in %zu images with %zu boxes\n", job->findings.errors,
                  job->findings.warnings, job->set.image_count, job->set.object_count);
    return count_bad(job) > 0 && !a->fix ? TOOL_EXIT_ERROR : 0;
}

/* Figures and pictures of nothing are none. */
static det_status need_images(struct data_job *job)
{
    for (size_t i = 0; i < job->set.image_count; i++)
        if (!job->set.images[i].broken)
            return DET_OK;
    return det_fail(job->env, DET_STATUS_NOT_FOUND, "no image was read");
}

int data_stats(struct data_job *job)
{
    struct det_set_stats stats = {0};
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(data_read(job));
    DET_TRY(need_images(job));
    DET_TRY(det_annotations_stats(job->env, &job->set, &stats));
    DET_TRY(det_set_stats_table(job->env, &job->set, &stats, &text));
    console_print_text(text.data);
    text.length = 0;
    if (job->arguments.json != NULL) {
        DET_TRY(det_set_stats_json(job->env, &job->set, &stats, &text));
        DET_TRY(output_write(job->env, job->arguments.json, text.data, text.length));
    }
fail:
    det_text_free(job->env, &text);
    det_set_stats_free(job->env, &stats);
    return status == DET_OK ? 0 : failed(job, status);
}

int data_show(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    struct det_sheet_settings settings = {
        .count = (size_t)a->count,
        .columns = (int32_t)a->columns,
        .cell_px = (int32_t)a->cell_px,
        .seed = (uint64_t)a->seed,
    };
    struct det_augment_option *augmentations = NULL;
    struct det_image sheet = {0};
    det_status status = DET_OK;
    DET_TRY(tool_writes(&job->tool, "--output", a->output));
    DET_TRY(data_read(job));
    DET_TRY(data_announce_images(job));
    DET_TRY(need_images(job));
    if (a->augmented)
        DET_TRY(det_augment_from_config(job->env, job->config, &augmentations,
                                        &settings.augmentation_count));
    settings.augmentations = augmentations;
    DET_TRY(det_annotations_sheet(job->env, &job->set, &settings, &sheet));
    DET_TRY(det_image_write(job->env, a->output, &sheet));
    tool_log(&job->tool, DET_LOG_INFO, "%s: %d x %d pixels", a->output, sheet.width, sheet.height);
fail:
    det_free(job->env, &augmentations);
    det_image_free(job->env, &sheet);
    return status == DET_OK ? 0 : failed(job, status);
}
