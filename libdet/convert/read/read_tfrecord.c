/* read_tfrecord.c: see readers.h. */
#include <stdio.h>
#include <string.h>

#include "convert/readers.h"
#include "support/mem.h"

struct reading {
    const struct det_read_settings *settings;
    struct det_annotations *set;
    const char *path; /* of the file that is read */
    char *split;
};

static det_status copy_text(struct det_env *env, struct det_bytes bytes, char **text)
{
    return bytes.bytes > 0 ? det_strndup(env, text, (const char *)bytes.data, bytes.bytes) : DET_OK;
}

static det_status add_object(struct det_env *env, struct reading *r, size_t image,
                             const struct det_example *e, size_t box)
{
    struct det_labelled_object object = det_annotations_object(image);
    char place[600], *name = NULL;
    det_status status = DET_OK;
    snprintf(place, sizeof place, "%.500s: object %zu", r->set->images[image].where, box);
    object.box[0] = (double)e->ymin[box];
    object.box[1] = (double)e->xmin[box];
    object.box[2] = (double)e->ymax[box];
    object.box[3] = (double)e->xmax[box];
    object.label = e->class_label != NULL ? e->class_label[box] : 0;
    if (e->area != NULL)
        object.area_px2 = det_sound_area(r->settings, place, (double)e->area[box]);
    if (e->weight != NULL)
        object.weight = (double)e->weight[box];
    object.difficult = e->difficult != NULL && e->difficult[box] != 0;
    object.group_of = e->group_of != NULL && e->group_of[box] != 0;
    object.is_crowd = e->is_crowd != NULL && e->is_crowd[box] != 0;
    object.truncated = e->truncated != NULL && e->truncated[box] != 0;
    if (e->class_text != NULL)
        DET_TRY(copy_text(env, e->class_text[box], &name));
    const int64_t known = (int64_t)r->set->classes.count;
    if (name == NULL && object.label >= 1 && r->set->classes_are_fixed && object.label <= known)
        DET_TRY(det_strdup(env, &name, r->set->classes.paths[object.label - 1]));
    else if (name == NULL && e->class_label != NULL)
        DET_TRY(det_format(env, &name, "class %lld", (long long)object.label));
    if (e->class_label != NULL &&
        (object.label < 1 || (r->set->classes_are_fixed && object.label > known))) {
        object.class_index = object.label < 1 ? DET_CLASS_NONE : DET_CLASS_UNLISTED;
        det_finding(r->settings->findings, DET_RULE_CLASS_UNKNOWN,
                    "%s: class number %lld, expected %s%lld", place, (long long)object.label,
                    r->set->classes_are_fixed ? "1 to " : "at least ",
                    r->set->classes_are_fixed ? (long long)known : 1LL);
    } else {
        DET_TRY(det_find_class(env, r->settings, r->set, place, name != NULL ? name : "",
                               &object.class_index));
    }
    DET_TRY(det_annotations_add_object(env, r->set, &object));
fail:
    det_free(env, &name);
    return status;
}

static int32_t known_size(int64_t value)
{
    return value > 0 && value <= 65500 ? (int32_t)value : 0;
}

static det_status add_example(struct det_env *env, struct reading *r, const char *where,
                              const struct det_example *e, const struct det_record_part *encoded)
{
    size_t index = 0;
    DET_TRY_RETURN(det_annotations_add_image(env, r->set, where, NULL, false, &index));
    struct det_labelled_image *image = &r->set->images[index];
    DET_TRY_RETURN(copy_text(env, e->filename, &image->name));
    DET_TRY_RETURN(copy_text(env, e->source_id, &image->source_id));
    image->width_px = known_size(e->width);
    image->height_px = known_size(e->height);
    image->encoded = *encoded;
    DET_TRY_RETURN(det_set_split(env, r->settings, r->set, index, r->split));
    if (e->encoded.bytes == 0) {
        char *base = NULL;
        DET_TRY_RETURN(det_path_directory(env, &base, r->path));
        const det_status status = det_find_image(env, r->settings, base, r->split, image);
        det_free(env, &base);
        DET_TRY_RETURN(status);
    }
    for (size_t box = 0; box < e->box_count; box++)
        DET_TRY_RETURN(add_object(env, r, index, e, box));
    return DET_OK;
}

static det_status add_record(struct det_env *env, struct reading *r,
                             const struct det_record_set *records, size_t index)
{
    struct det_example example = {0};
    struct det_record record = {0};
    char name[512], where[512];
    det_record_set_name(records, index, name);
    det_status status = det_record_set_get(env, records, index, &record);
    if (status == DET_OK && record.bytes == 0)
        det_finding(r->settings->findings, DET_RULE_EMPTY_RECORD, "%s: the record has 0 bytes",
                    name);
    else if (status == DET_OK)
        status = det_example_parse(env, name, record.data, record.bytes, &example);
    if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY) {
        det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        status = DET_OK;
    } else if (status == DET_OK && record.bytes > 0) {
        struct det_record_part part = {.record = det_record_set_place(records, index),
                                       .bytes = example.encoded.bytes};
        if (part.bytes > 0)
            part.offset = (size_t)(example.encoded.data - record.data);
        det_example_name(&example, name, where);
        status = add_example(env, r, where, &example, &part);
    }
    det_example_free(env, &example);
    det_record_free(env, &record);
    return status;
}

/* All records of one file, which the set keeps. */
static det_status read_file(struct det_env *env, struct reading *r, const char *path)
{
    struct det_annotations *set = r->set;
    struct det_findings *findings = r->settings->findings;
    det_status damage = DET_OK;
    DET_TRY_RETURN(det_grow(env, &set->records, &set->record_capacity, set->record_count + 1,
                            sizeof *set->records, "record files"));
    struct det_record_source *kept = &set->records[set->record_count++];
    const bool on_disk = det_files_is_on_disk(r->settings->files, path);
    if (!on_disk)
        DET_TRY_RETURN(det_files_open(env, r->settings->files, path, &kept->source));
    const struct det_file_bytes bytes = {.data = kept->source.data, .bytes = kept->source.bytes};
    const det_status status =
        det_record_set_open_file(env, path, on_disk ? NULL : &bytes, &kept->records, &damage);
    if (status != DET_OK)
        return det_source_fault(env, r->settings, status);
    if (damage != DET_OK)
        det_finding(findings, DET_RULE_UNREADABLE,
                    "%s: nothing from there on is read; %zu records before it are", env->error,
                    kept->records.record_count);
    if (det_record_set_is_compressed(&kept->records, 0))
        det_finding(findings, DET_RULE_COMPRESSED,
                    "%s: compressed: libdet reads it, TensorFlow only when it is told the "
                    "compression_type",
                    path);
    if (kept->records.record_count == 0)
        det_finding(findings, DET_RULE_NO_INPUT, "%s: there is no record in it", path);
    r->path = path;
    DET_TRY_RETURN(det_split_of_path(env, path, &r->split));
    det_status added = DET_OK;
    for (size_t i = 0; i < kept->records.record_count && added == DET_OK; i++)
        added = add_record(env, r, &set->records[set->record_count - 1].records, i);
    det_free(env, &r->split);
    return added;
}

det_status det_read_tfrecord(struct det_env *env, const struct det_read_settings *settings,
                             struct det_annotations *set)
{
    struct reading r = {.settings = settings, .set = set};
    struct det_path_list files = {0};
    det_status status = DET_OK;
    if (!set->classes_are_fixed)
        set->classes_as_met = true;
    if (!det_files_is_on_disk(settings->files, settings->path)) {
        DET_TRY(det_path_list_add(env, &files, settings->path));
    } else {
        status = det_record_paths(env, settings->path, &files);
        if (status == DET_STATUS_NOT_FOUND) {
            det_finding(settings->findings, DET_RULE_NO_INPUT, "%s", env->error);
            status = DET_OK;
        }
        DET_TRY(status);
    }
    for (size_t i = 0; i < files.count; i++)
        DET_TRY(read_file(env, &r, files.paths[i]));
fail:
    det_path_list_free(env, &files);
    return status;
}
