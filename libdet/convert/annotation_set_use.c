/* annotation_set_use.c: see det/dataset.h: a resolved set checked, repaired, dealt out, counted,
 * drawn and written. */
#include <string.h>

#include "base/arguments.h"
#include "convert/annotation_set.h"
#include "convert/check.h"
#include "convert/formats.h"
#include "convert/sheet.h"
#include "convert/split.h"
#include "model/from_config.h"
#include "support/json_writer.h"
#include "support/mem.h"

/* --- checking and repairing --- */

static det_status check(det_annotation_set *set)
{
    det_annotation_set_touch(set);
    DET_TRY_RETURN(det_annotations_gather(set->env, &set->set));
    set->before_check = set->findings;
    set->is_checked = true;
    const det_status status = det_annotations_check(set->env, &set->set, &set->findings);
    set->findings.at = (struct det_finding_place){0};
    if (status != DET_OK)
        det_annotation_set_touch(set);
    return status;
}

det_status det_annotation_set_check(det_annotation_set *set)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    return check(set);
}

size_t det_annotation_set_finding_count(const det_annotation_set *set, const char *rule,
                                        det_severity least)
{
    size_t count = 0;
    for (int r = 0; set != NULL && r < DET_RULE_COUNT; r++)
        if (det_rule_severity((enum det_rule)r) >= least &&
            (rule == NULL || strcmp(rule, det_rule_name((enum det_rule)r)) == 0))
            count += set->findings.counts[r];
    return count;
}

det_status det_annotation_set_findings_json(det_annotation_set *set, const char **text)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    struct det_json_writer json;
    if (text != NULL)
        *text = NULL;
    DET_NEED(env, set);
    DET_NEED(env, text);
    const struct det_findings *findings = &set->findings;
    set->text.length = 0;
    det_json_begin(&json, env, &set->text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_size(&json, "errors", findings->errors);
    det_json_put_size(&json, "warnings", findings->warnings);
    det_json_open_object(&json, "rules");
    for (int rule = 0; rule < DET_RULE_COUNT; rule++)
        det_json_put_size(&json, det_rule_name((enum det_rule)rule), findings->counts[rule]);
    det_json_close_object(&json);
    det_json_put_size(&json, "images", set->set.image_count);
    det_json_put_size(&json, "boxes", det_annotation_set_object_count(set));
    det_json_close_object(&json);
    det_json_line(&json, 0);
    DET_TRY_RETURN(det_json_end(&json));
    *text = set->text.data;
    return DET_OK;
}

det_status det_annotation_set_repair(det_annotation_set *set, det_annotation_repairs *repairs)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    struct det_repairs done;
    DET_NEED(env, set);
    DET_NEED_REPORT(env, det_annotation_repairs, repairs);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    if (!set->is_checked)
        DET_TRY_RETURN(check(set));
    DET_TRY_RETURN(det_annotations_repair(env, &set->set, &done));
    det_set_stats_free(env, &set->stats);
    set->is_mended = true;
    if (set->findings.fatal == 0)
        memset(set->first_error, 0, sizeof set->first_error);
    set->mended = set->before_check.errors;
    const det_annotation_repairs filled = {
        .struct_size = sizeof filled,
        .images_dropped = done.images_dropped,
        .images_emptied = done.images_emptied,
        .images_thinned = done.images_thinned,
        .images_turned = done.images_turned,
        .tags_removed = done.tags_removed,
        .sizes_corrected = done.sizes_corrected,
        .ids_changed = done.ids_changed,
        .boxes_clipped = done.boxes_clipped,
        .boxes_swapped = done.boxes_swapped,
        .boxes_dropped = done.boxes_dropped,
        .boxes_repeated = done.boxes_repeated,
        .boxes_unlisted = done.boxes_unlisted,
        .classes_by_text = done.classes_by_text,
    };
    det_fill_report(repairs, &filled, sizeof filled);
    return DET_OK;
}

/* --- splits --- */

det_status det_annotation_set_deal(det_annotation_set *set, const char *const *names,
                                   const double *shares, size_t count, uint64_t seed)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    size_t changed = 0;
    DET_NEED(env, set);
    DET_NEED_ARRAY(env, names, count);
    DET_NEED_ARRAY(env, shares, count);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(det_check_strings(env, "names", names, count));
    for (size_t i = 0; i < count; i++)
        DET_TRY_RETURN(det_annotation_set_check_split(set, names[i]));
    const struct det_split_settings settings = {
        .names = names, .shares = shares, .count = count, .seed = seed};
    det_set_stats_free(env, &set->stats);
    DET_TRY_RETURN(det_annotations_split(env, &set->set, &settings));
    /* What was found of boxes and classes stays true; ids were unique in the splits before. */
    const det_status status = det_annotations_rename_ids(env, &set->set, &changed);
    if (changed > 0)
        det_finding(&set->findings, DET_RULE_NAME_CHANGED,
                    "%zu image%s an id that another image of the new split has: it has the image's "
                    "number behind it now",
                    changed, changed == 1 ? " had" : "s had");
    if (status != DET_OK)
        det_annotation_set_touch(set);
    return status;
}

/* --- figures --- */

static det_status count(det_annotation_set *set, const char *function)
{
    DET_TRY_RETURN(det_annotation_set_need(set, function));
    return set->stats.splits == NULL ? det_annotations_stats(set->env, &set->set, &set->stats)
                                     : DET_OK;
}

static det_status find_split(det_annotation_set *set, const char *function, const char *split,
                             const struct det_split_stats **stats)
{
    DET_TRY_RETURN(count(set, function));
    int32_t s = (int32_t)set->set.splits.count; /* behind them: of all */
    if (split != NULL)
        s = det_annotation_set_find_split(set, split);
    if (s < 0)
        return det_fail(set->env, DET_STATUS_NOT_FOUND, "%s: there is no split `%.200s`", function,
                        split);
    *stats = &set->stats.splits[s];
    return DET_OK;
}

det_status det_annotation_set_split_stats(det_annotation_set *set, const char *split,
                                          det_annotation_split_stats *stats)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    const struct det_split_stats *found = NULL;
    DET_NEED(env, set);
    DET_NEED_REPORT(env, det_annotation_split_stats, stats);
    DET_TRY_RETURN(find_split(set, __func__, split, &found));
    const det_annotation_split_stats filled = {
        .struct_size = sizeof filled,
        .images = found->images,
        .objects = found->objects,
        .images_without_objects = found->without_objects,
        .difficult = found->difficult,
        .crowd = found->crowd,
        .group_of = found->group_of,
        .duplicates = found->duplicates,
        .objects_per_image = found->per_image,
        .width_px = found->width_px,
        .height_px = found->height_px,
    };
    det_fill_report(stats, &filled, sizeof filled);
    return DET_OK;
}

det_status det_annotation_set_class_stats(det_annotation_set *set, const char *split,
                                          int32_t class_id, det_annotation_class_stats *stats)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    const struct det_split_stats *found = NULL;
    DET_NEED(env, set);
    DET_NEED_REPORT(env, det_annotation_class_stats, stats);
    DET_TRY_RETURN(find_split(set, __func__, split, &found));
    if (class_id < 1 || (size_t)class_id > set->stats.class_count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: class id %d, expected 1 to %zu",
                        __func__, class_id, set->stats.class_count);
    const struct det_class_stats *c = &found->classes[class_id - 1];
    const det_annotation_class_stats filled = {
        .struct_size = sizeof filled,
        .objects = c->objects,
        .images = c->images,
        .small = c->small,
        .medium = c->medium,
        .large = c->large,
        .side_px = c->side_px,
        .aspect = c->aspect,
    };
    det_fill_report(stats, &filled, sizeof filled);
    return DET_OK;
}

static det_status put_stats(det_annotation_set *set, const char *function, bool json,
                            const char **text)
{
    DET_TRY_RETURN(count(set, function));
    set->text.length = 0;
    DET_TRY_RETURN((json ? det_set_stats_json : det_set_stats_table)(set->env, &set->set,
                                                                     &set->stats, &set->text));
    *text = set->text.data;
    return DET_OK;
}

det_status det_annotation_set_stats_table(det_annotation_set *set, const char **text)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    if (text != NULL)
        *text = NULL;
    DET_NEED(env, set);
    DET_NEED(env, text);
    return put_stats(set, __func__, false, text);
}

det_status det_annotation_set_stats_json(det_annotation_set *set, const char **text)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    if (text != NULL)
        *text = NULL;
    DET_NEED(env, set);
    DET_NEED(env, text);
    return put_stats(set, __func__, true, text);
}

/* --- what is written --- */

/* The guard for what is written: the env's, or `own` with what the set was read from. The files of
 * images, which workers read, become inputs here. */
static det_status begin_writing(det_annotation_set *set, struct det_guard *own)
{
    struct det_env *env = set->env;
    if (env->guard == NULL) {
        DET_TRY_RETURN(det_guard_add_inputs(env, own, &set->inputs));
        env->guard = own;
    }
    for (size_t i = 0; i < set->set.image_count; i++)
        if (set->set.images[i].path != NULL)
            DET_TRY_RETURN(det_guard_input(env, env->guard, set->set.images[i].path));
    return DET_OK;
}

static void end_writing(det_annotation_set *set, struct det_guard *previous, struct det_guard *own)
{
    if (set->env->guard != NULL)
        set->env->guard->rehearsing = false;
    set->env->guard = previous;
    det_guard_free(set->env, own);
}

static const det_annotation_sheet_settings sheet_defaults = {
    .struct_size = sizeof sheet_defaults, .count = 24, .columns = 6, .cell_px = 240, .seed = 1};

void det_annotation_sheet_settings_init(det_annotation_sheet_settings *settings, size_t struct_size)
{
    det_init_struct(settings, struct_size, &sheet_defaults, sizeof sheet_defaults);
}

static det_status take_sheet(struct det_env *env, const det_annotation_sheet_settings *given,
                             det_annotation_sheet_settings *settings)
{
    *settings = sheet_defaults;
    DET_TRY_RETURN(DET_TAKE(env, det_annotation_sheet_settings, settings, given));
    DET_TRY_RETURN(det_check_reserved(env, "det_annotation_sheet_settings", settings->reserved));
    if (settings->count < 1 || settings->count > 10000 || settings->columns < 1 ||
        settings->columns > 1000 || settings->cell_px < 32 || settings->cell_px > 4096)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_sheet_settings: count %d, columns %d, cell_px %d: expected "
                        "1 to 10000, 1 to 1000, 32 to 4096",
                        settings->count, settings->columns, settings->cell_px);
    return DET_OK;
}

static det_status write_sheet(det_annotation_set *set, const char *path,
                              const det_annotation_sheet_settings *given, struct det_image *sheet)
{
    struct det_env *env = set->env;
    struct det_augment_option *augmentations = NULL;
    struct det_guard own = {0}, *previous = env->guard;
    struct det_sheet_settings settings = {.count = (size_t)given->count,
                                          .columns = given->columns,
                                          .cell_px = given->cell_px,
                                          .seed = given->seed};
    det_status status = DET_OK;
    DET_TRY(begin_writing(set, &own));
    if (given->augmentation != NULL)
        DET_TRY(det_augment_from_config(env, given->augmentation, &augmentations,
                                        &settings.augmentation_count));
    settings.augmentations = augmentations;
    DET_TRY(det_annotations_sheet(env, &set->set, &settings, sheet));
    DET_TRY(det_image_write(env, path, sheet));
fail:
    end_writing(set, previous, &own);
    det_free(env, &augmentations);
    return status;
}

det_status det_annotation_set_write_sheet(det_annotation_set *set, const char *path,
                                          const det_annotation_sheet_settings *settings,
                                          int32_t *height, int32_t *width)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    det_annotation_sheet_settings taken;
    struct det_image sheet = {0};
    if (height != NULL)
        *height = 0;
    if (width != NULL)
        *width = 0;
    DET_NEED(env, set);
    DET_NEED(env, path);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(take_sheet(env, settings, &taken));
    const det_status status = write_sheet(set, path, &taken, &sheet);
    if (status == DET_OK && height != NULL)
        *height = sheet.height;
    if (status == DET_OK && width != NULL)
        *width = sheet.width;
    det_image_free(env, &sheet);
    return status;
}

static const det_annotation_write_settings write_defaults = {.struct_size = sizeof write_defaults,
                                                             .shards = 1};

void det_annotation_write_settings_init(det_annotation_write_settings *settings, size_t struct_size)
{
    det_init_struct(settings, struct_size, &write_defaults, sizeof write_defaults);
}

/* Whether there is something to write, and all of it can be. */
static det_status check_content(det_annotation_set *set)
{
    struct det_env *env = set->env;
    size_t usable = 0;
    if (!set->is_checked)
        DET_TRY_RETURN(check(set));
    const size_t reading = set->before_check.errors - set->mended;
    const size_t checking = set->is_mended ? 0 : set->findings.errors - set->before_check.errors;
    const size_t errors = set->findings.fatal > 0 ? set->findings.errors : reading + checking;
    if (errors > 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing was written: %zu error%s%s, the first: %.600s", errors,
                        errors == 1 ? "" : "s",
                        set->findings.fatal > 0 ? ", not all of which can be repaired" : "",
                        set->first_error[set->first_error[0][0] == '\0']);
    for (size_t i = 0; i < set->set.image_count; i++)
        usable += !set->set.images[i].broken;
    if (usable == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "nothing was written: no image is left");
    if (set->set.object_count == 0 && !set->findings.allowed[DET_RULE_NO_BOX])
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing was written: %zu images are left and not one box, which "
                        "allow_no_boxes has to allow",
                        usable);
    if (set->set.classes.count == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "nothing was written: there is no class");
    return DET_OK;
}

static det_status find_writer(struct det_env *env, const char *format, det_writer_of_set *write)
{
    const struct det_data_format *found = det_data_format_find(format);
    if (found == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format `%.100s`: expected " DET_DATA_FORMAT_NAMES, format);
    *write = found->write;
    return DET_OK;
}

/* The names of outputs come from the data, so the job is rehearsed first (support/guard.h). */
static det_status write_set(det_annotation_set *set, det_writer_of_set write,
                            const struct det_write_settings *settings,
                            struct det_write_counts *counts)
{
    struct det_env *env = set->env;
    struct det_guard own = {0}, *previous = env->guard;
    det_status status = DET_OK;
    DET_TRY(begin_writing(set, &own));
    env->guard->rehearsing = true;
    DET_TRY(write(env, settings, &set->set, counts));
    env->guard->rehearsing = false;
    *counts = (struct det_write_counts){0};
    DET_TRY(write(env, settings, &set->set, counts));
fail:
    end_writing(set, previous, &own);
    return status;
}

det_status det_annotation_set_write(det_annotation_set *set, const char *format, const char *folder,
                                    const det_annotation_write_settings *settings,
                                    det_annotations_written *written)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    det_annotation_write_settings taken = write_defaults;
    struct det_write_counts counts = {0};
    det_writer_of_set write = NULL;
    DET_NEED(env, set);
    DET_NEED(env, format);
    DET_NEED(env, folder);
    if (written != NULL)
        DET_NEED_REPORT(env, det_annotations_written, written);
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(DET_TAKE(env, det_annotation_write_settings, &taken, settings));
    if (taken.shards < 1 || taken.shards > 99999)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_annotation_write_settings: %d shards, expected 1 to 99999",
                        taken.shards);
    DET_TRY_RETURN(find_writer(env, format, &write));
    DET_TRY_RETURN(check_content(set));
    const struct det_write_settings how = {
        .directory = folder,
        .shards = taken.shards,
        .without_images = taken.without_images != 0,
        .name = taken.name != NULL ? taken.name : det_path_name(folder),
    };
    DET_TRY_RETURN(write_set(set, write, &how, &counts));
    const det_annotations_written filled = {
        .struct_size = sizeof filled,
        .images = counts.images,
        .objects = counts.objects,
        .copied = counts.copied,
        .encoded = counts.encoded,
        .renamed = counts.renamed,
    };
    if (written != NULL)
        det_fill_report(written, &filled, sizeof filled);
    return DET_OK;
}
