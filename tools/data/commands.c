/* commands.c: det-data convert, check, split, stats, show. */
#include <stdlib.h>
#include <string.h>

#include "common/console.h"
#include "common/output.h"
#include "data/data.h"
#include "support/mem.h"

enum { MOST_SPLITS = 16 };

static int failed(struct data_job *job, det_status status)
{
    return tool_fail(&job->tool, status);
}

/* --- repairs --- */

det_status data_repair(struct data_job *job)
{
    det_annotation_repairs r = {.struct_size = sizeof r};
    DET_TRY_RETURN(det_annotation_set_repair(job->set, &r));
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

/* Without blanks at both ends, in place. */
static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* "train=0.8,val=0.2" into splits. */
static det_status deal(struct data_job *job, const char *text)
{
    struct det_env *env = job->env;
    const char *names[MOST_SPLITS];
    double shares[MOST_SPLITS];
    size_t count = 0;
    char *copy = NULL, *save = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_strdup(env, &copy, text));
    for (char *part = strtok_r(copy, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(part, '=');
        char *end = equals;
        const double share = equals != NULL ? strtod(equals + 1, &end) : 0;
        if (count == MOST_SPLITS || equals == NULL || equals == part || end == equals + 1 ||
            end[strspn(end, " \t")] != '\0') {
            status = det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                              "--split: got `%s`, expected NAME=SHARE,NAME=SHARE,... (at most %d)",
                              text, MOST_SPLITS);
            goto fail;
        }
        *equals = '\0';
        names[count] = trimmed(part);
        shares[count++] = share;
    }
    status = det_annotation_set_deal(job->set, names, shares, count, (uint64_t)job->arguments.seed);
    if (status != DET_OK)
        det_fail_prefix(env, tool_adopt(env, job->tool.context, status), "--split");
fail:
    det_free(env, &copy);
    return status;
}

/* --- tiles --- */

det_status data_cut(struct data_job *job)
{
    det_tile_settings tiles;
    det_annotation_tile_settings settings;
    det_annotations_tiled cut = {.struct_size = sizeof cut};
    if (!job->arguments.tiles.size.given)
        return DET_OK;
    det_annotation_tile_settings_default(&settings);
    settings.tiles = tile_options_settings(&job->arguments.tiles, &tiles);
    settings.least_inside = job->arguments.least_inside;
    settings.background = job->arguments.background;
    settings.seed = (uint64_t)job->arguments.seed;
    DET_TRY_RETURN(det_annotation_set_tile(job->set, &settings, &cut));
    tool_log(&job->tool, DET_LOG_INFO,
             "tiles: %zu of %zu images, %zu of them without an object (%zu more were left out), "
             "%zu objects, %zu of them in part; %zu parts of less than %g were dropped",
             cut.tiles, cut.images, cut.background, cut.left_out, cut.objects, cut.clipped,
             cut.dropped, settings.least_inside);
    return DET_OK;
}

/* --- commands --- */

static void summarise(struct data_job *job)
{
    det_severity severity;
    for (size_t i = 0; det_annotation_rule(i, &severity) != NULL; i++) {
        const char *rule = det_annotation_rule(i, NULL);
        const size_t count = det_annotation_set_finding_count(job->set, rule, DET_SEVERITY_WARNING);
        if (count > 0)
            tool_log(&job->tool, DET_LOG_INFO, "%8zu %s %s", count, rule,
                     severity >= DET_SEVERITY_ERROR ? "(error)" : "(warning)");
    }
}

static det_status count_usable(struct data_job *job, size_t *usable)
{
    det_annotation_image_info info = {.struct_size = sizeof info};
    *usable = 0;
    for (size_t i = 0; i < det_annotation_set_image_count(job->set); i++) {
        DET_TRY_RETURN(det_annotation_set_image(job->set, i, &info));
        *usable += info.usable != 0;
    }
    return DET_OK;
}

/* What no repair mends, and what is left of a set that is about to be written: as the library says
 * it, in the words of options. */
det_status data_check_rest(struct data_job *job)
{
    size_t images = 0;
    if (det_annotation_set_finding_count(job->set, NULL, DET_SEVERITY_FATAL) > 0)
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing was written: --fix repairs entries, not what was not read");
    DET_TRY_RETURN(count_usable(job, &images));
    if (images > 0 && det_annotation_set_object_count(job->set) == 0 &&
        !job->arguments.allow_no_boxes)
        return det_fail(
            job->env, DET_STATUS_INVALID_ARGUMENT,
            "nothing was written: %zu images are left and not one box: --allow_no_boxes "
            "writes them all the same",
            images);
    if (images > 0 && det_annotation_set_class_count(job->set) == 0)
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing was written: there is no class: give a --label_map");
    return DET_OK;
}

static size_t count_bad(const struct data_job *job)
{
    const size_t errors = det_annotation_set_finding_count(job->set, NULL, DET_SEVERITY_ERROR);
    if (!job->arguments.strict)
        return errors;
    /* A leak between the old splits is mended by dealing out anew. */
    const bool deals = job->arguments.split != NULL;
    return det_annotation_set_finding_count(job->set, NULL, DET_SEVERITY_WARNING) -
           (deals ? det_annotation_set_finding_count(job->set, "split-leak", DET_SEVERITY_WARNING)
                  : 0);
}

int data_convert(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    det_status status = data_read(job);
    if (status == DET_OK)
        status = det_annotation_set_check(job->set);
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
        status = data_repair(job);
    if (status == DET_OK)
        status = data_check_rest(job);
    if (status == DET_OK && a->split != NULL)
        status = deal(job, a->split);
    if (status == DET_OK)
        status = data_cut(job);
    if (status == DET_OK)
        status = data_write(job, a->to != NULL ? a->to : job->format, a->output, a->output);
    return status == DET_OK ? 0 : failed(job, status);
}

static det_status write_findings(struct data_job *job)
{
    const char *text = NULL;
    DET_TRY_RETURN(det_annotation_set_findings_json(job->set, &text));
    return output_write(job->env, job->arguments.json, text, strlen(text));
}

int data_check(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    det_status status = data_read(job);
    if (status == DET_OK)
        status = det_annotation_set_check(job->set);
    if (status == DET_OK && a->json != NULL)
        status = write_findings(job);
    summarise(job);
    if (status == DET_OK && a->fix)
        status = data_repair(job);
    if (status == DET_OK && a->fix)
        status = data_check_rest(job);
    if (status == DET_OK && a->fix)
        status = data_write(job, a->to != NULL ? a->to : job->format, a->output, a->output);
    if (status != DET_OK)
        return failed(job, status);
    const size_t errors = det_annotation_set_finding_count(job->set, NULL, DET_SEVERITY_ERROR);
    console_print("%zu errors, %zu warnings in %zu images with %zu boxes\n", errors,
                  det_annotation_set_finding_count(job->set, NULL, DET_SEVERITY_WARNING) - errors,
                  det_annotation_set_image_count(job->set),
                  det_annotation_set_object_count(job->set));
    return count_bad(job) > 0 && !a->fix ? TOOL_EXIT_ERROR : 0;
}

/* Figures and pictures of nothing are none. */
static det_status need_images(struct data_job *job)
{
    size_t usable = 0;
    DET_TRY_RETURN(count_usable(job, &usable));
    return usable > 0 ? DET_OK : det_fail(job->env, DET_STATUS_NOT_FOUND, "no image was read");
}

int data_stats(struct data_job *job)
{
    const char *text = NULL;
    det_status status = DET_OK;
    DET_TRY(data_read(job));
    DET_TRY(need_images(job));
    DET_TRY(det_annotation_set_stats_table(job->set, &text));
    console_print_text(text);
    if (job->arguments.json != NULL) {
        DET_TRY(det_annotation_set_stats_json(job->set, &text));
        DET_TRY(output_write(job->env, job->arguments.json, text, strlen(text)));
    }
fail:
    return status == DET_OK ? 0 : failed(job, status);
}

int data_show(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    det_annotation_sheet_settings settings;
    int32_t height = 0, width = 0;
    det_status status = DET_OK;
    DET_TRY(tool_writes(&job->tool, "--output", a->output));
    DET_TRY(data_read(job));
    DET_TRY(need_images(job));
    det_annotation_sheet_settings_default(&settings);
    settings.count = (int32_t)a->count;
    settings.columns = (int32_t)a->columns;
    settings.cell_px = (int32_t)a->cell_px;
    settings.seed = (uint64_t)a->seed;
    settings.augmentation = a->augmented ? job->config : NULL;
    DET_TRY(det_annotation_set_write_sheet(job->set, a->output, &settings, &height, &width));
    tool_log(&job->tool, DET_LOG_INFO, "%s: %d x %d pixels", a->output, width, height);
fail:
    return status == DET_OK ? 0 : failed(job, status);
}
