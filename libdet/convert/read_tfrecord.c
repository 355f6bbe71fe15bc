/* read_tfrecord.c: see readers.h. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "convert/readers.h"

struct reading {
    const struct det_read_settings *settings;
    struct det_annotations *set;
    const char *split;
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
        object.area_px2 = (double)e->area[box];
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
        (object.label < 1 || (r->set->classes_are_fixed && object.label > known)))
        det_finding(r->settings->findings, DET_RULE_CLASS_UNKNOWN,
                    "%s: class number %lld, expected %s%lld", place, (long long)object.label,
                    r->set->classes_are_fixed ? "1 to " : "at least ",
                    r->set->classes_are_fixed ? (long long)known : 1LL);
    else
        DET_TRY(det_find_class(env, r->settings, r->set, place, name != NULL ? name : "",
                               &object.class_index));
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
        DET_TRY_RETURN(det_path_directory(env, &base, where));
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
    char where[512];
    det_record_set_name(records, index, where);
    det_status status = det_record_set_get(env, records, index, &record);
    if (status == DET_OK && record.bytes == 0)
        det_finding(r->settings->findings, DET_RULE_EMPTY_RECORD, "%s: the record has 0 bytes",
                    where);
    else if (status == DET_OK)
        status = det_example_parse(env, where, record.data, record.bytes, &example);
    if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY) {
        det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        status = DET_OK;
    } else if (status == DET_OK && record.bytes > 0) {
        struct det_record_part part = {.record = det_record_set_place(records, index),
                                       .bytes = example.encoded.bytes};
        if (part.bytes > 0)
            part.offset = (size_t)(example.encoded.data - record.data);
        status = add_example(env, r, where, &example, &part);
    }
    det_example_free(env, &example);
    det_record_free(env, &record);
    return status;
}

/* The set takes the records over. */
static det_status add_records(struct det_env *env, struct reading *r,
                              struct det_record_set *records)
{
    struct det_annotations *set = r->set;
    const det_status status = det_grow(env, &set->records, &set->record_capacity,
                                       set->record_count + 1, sizeof *set->records, "record files");
    if (status != DET_OK) {
        det_record_set_close(env, records);
        return status;
    }
    set->records[set->record_count++] = *records;
    const struct det_record_set *kept = &set->records[set->record_count - 1];
    for (size_t f = 0; f < kept->file_count; f++) {
        if (det_record_set_is_compressed(kept, f))
            det_finding(r->settings->findings, DET_RULE_COMPRESSED,
                        "%s: compressed: libdet reads it, TensorFlow only when it is told the "
                        "compression_type",
                        det_record_set_path(kept, f));
    }
    if (kept->record_count == 0)
        det_finding(r->settings->findings, DET_RULE_NO_INPUT, "%s: there is no record in it",
                    det_record_set_path(kept, 0));
    for (size_t i = 0; i < records->record_count; i++) {
        char *split = NULL;
        char where[512];
        DET_TRY_RETURN(det_split_of_path(
            env, det_record_set_name(&set->records[set->record_count - 1], i, where), &split));
        r->split = split;
        const det_status added = add_record(env, r, &set->records[set->record_count - 1], i);
        det_free(env, &split);
        DET_TRY_RETURN(added);
    }
    return DET_OK;
}

static det_status read_pattern(struct det_env *env, struct reading *r, const char *pattern)
{
    struct det_record_set records = {0};
    const char *const one[] = {pattern};
    det_status status = det_record_set_open(env, one, 1, &records);
    if (status == DET_OK)
        return add_records(env, r, &records);
    if (status == DET_STATUS_OUT_OF_MEMORY)
        return status;
    det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
    /* One file of several is bad: the others are read. */
    struct det_path_list files = {0};
    if (det_glob(env, pattern, &files) == DET_OK && files.count > 1) {
        status = DET_OK;
        for (size_t i = 0; i < files.count && status == DET_OK; i++) {
            const char *const file[] = {files.paths[i]};
            const det_status opened = det_record_set_open(env, file, 1, &records);
            status = opened == DET_OK                     ? add_records(env, r, &records)
                     : opened == DET_STATUS_OUT_OF_MEMORY ? opened
                                                          : DET_OK; /* told above */
        }
    } else {
        status = DET_OK;
    }
    det_path_list_free(env, &files);
    return status;
}

det_status det_read_tfrecord(struct det_env *env, const struct det_read_settings *settings,
                             struct det_annotations *set)
{
    struct reading r = {.settings = settings, .set = set};
    if (!set->classes_are_fixed)
        set->classes_as_met = true;
    if (!det_is_directory(settings->path))
        return read_pattern(env, &r, settings->path);
    struct det_path_list files = {0};
    size_t found = 0;
    det_status status = DET_OK;
    DET_TRY(det_list_directory(env, settings->path, &files));
    for (size_t i = 0; i < files.count; i++) {
        const char *name = det_path_name(files.paths[i]);
        if (strstr(name, ".tfrecord") == NULL && strstr(name, ".record") == NULL)
            continue;
        found++;
        DET_TRY(read_pattern(env, &r, files.paths[i]));
    }
    if (found == 0)
        det_finding(settings->findings, DET_RULE_NO_INPUT,
                    "%s: the folder holds no .tfrecord or .record file", settings->path);
fail:
    det_path_list_free(env, &files);
    return status;
}
