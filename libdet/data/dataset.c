#include "data/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/box_faults.h"
#include "data/sample_source.h"
#include "data/unlisted.h"
#include "support/io.h"
#include "support/mem.h"

/* What opening needs at each record. */
struct opening {
    const struct det_dataset_settings *settings;
    struct det_dataset *dataset;
    const char *name; /* of the record */
    struct det_unlisted unlisted;
    struct det_record record;
};

/* Text first, then number. *class_index -1: an object to be left out. */
static det_status find_class(struct det_env *env, struct opening *o,
                             const struct det_example *example, size_t box, int32_t *class_index)
{
    const struct det_dataset_settings *s = o->settings;
    const struct det_label_map *labels = s->labels;
    struct det_object_label label = {0};
    *class_index = -1;
    if (example->class_text != NULL && labels != NULL)
        label.text = example->class_text[box];
    if (label.text.bytes > 0) {
        const int32_t id =
            det_label_map_find(labels, (const char *)label.text.data, label.text.bytes);
        if (id > 0) {
            *class_index = id - 1;
            return DET_OK;
        }
        label.is_background = id == 0;
    } else if (example->class_label != NULL) {
        label.has_number = true;
        label.number = example->class_label[box];
        if (label.number >= 1 && label.number <= s->class_count) {
            *class_index = (int32_t)(label.number - 1);
            if (labels != NULL && labels->names[*class_index] == NULL)
                return det_unlisted_add(env, &o->unlisted, &label, true);
            return DET_OK;
        }
    }
    if (s->strict && !label.is_background)
        return det_unlisted_fail(env, labels, s->class_count, o->name, box, &label);
    return det_unlisted_add(env, &o->unlisted, &label, false);
}

/* Fails where the policy says so. */
static det_status box_fault(struct det_env *env, const struct opening *o, size_t box,
                            const double v[4], enum det_box_fault fault)
{
    if (o->settings->box_policy != DET_BOX_FAIL)
        return DET_OK;
    return det_fail(env, DET_STATUS_CORRUPT,
                    "%s: object %zu: box ymin %g, xmin %g, ymax %g, xmax %g %s", o->name, box, v[0],
                    v[1], v[2], v[3], det_box_fault_text(fault));
}

/* Applies the rules to one box; *keep says whether it is used. */
static det_status check_box(struct det_env *env, const struct opening *o, size_t box, double v[4],
                            bool *keep)
{
    struct det_dataset_counts *counts = &o->dataset->counts;
    double beyond = 0;
    const unsigned faults = det_box_faults(v, &beyond);
    *keep = false;
    if ((faults & DET_BOX_NOT_FINITE) != 0) {
        counts->non_finite++;
        return box_fault(env, o, box, v, DET_BOX_NOT_FINITE);
    }
    if ((faults & DET_BOX_REVERSED) != 0) {
        counts->reversed++;
        return box_fault(env, o, box, v, DET_BOX_REVERSED);
    }
    if ((faults & DET_BOX_OUTSIDE) != 0) {
        counts->outside++;
        DET_TRY_RETURN(box_fault(env, o, box, v, DET_BOX_OUTSIDE));
        if (o->settings->box_policy == DET_BOX_DROP)
            return DET_OK;
    }
    *keep = det_box_clip(v);
    if (*keep)
        counts->clipped += beyond > 0;
    else
        counts->zero_size++;
    return DET_OK;
}

static det_status add_objects(struct det_env *env, struct opening *o,
                              const struct det_example *example, struct det_dataset_entry *entry)
{
    struct det_dataset *ds = o->dataset;
    struct det_ground_truth *all = &ds->objects;
    entry->first_object = all->count;
    for (size_t i = 0; i < example->box_count; i++) {
        double box[4] = {(double)example->ymin[i], (double)example->xmin[i],
                         (double)example->ymax[i], (double)example->xmax[i]};
        int32_t class_index = -1;
        bool keep = false;
        DET_TRY_RETURN(find_class(env, o, example, i, &class_index));
        if (class_index < 0)
            ds->counts.unknown_class++;
        else
            DET_TRY_RETURN(check_box(env, o, i, box, &keep));
        if (!keep) {
            ds->counts.dropped++;
            continue;
        }
        if (all->count == all->capacity) {
            if (all->count > INT32_MAX / 2)
                return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: more than %d objects", o->name,
                                INT32_MAX / 2);
            DET_TRY_RETURN(
                det_ground_truth_reserve(env, all, all->count == 0 ? 64 : 2 * all->count));
        }
        const int32_t at = all->count++;
        for (int c = 0; c < 4; c++)
            all->boxes[at][c] = (float)box[c];
        all->class_index[at] = class_index;
        all->weight[at] = example->weight != NULL ? example->weight[i] : 1.0f;
        all->area_px[at] = example->area != NULL ? example->area[i] : 0.0f;
        all->is_crowd[at] = example->is_crowd != NULL && example->is_crowd[i] != 0;
        all->difficult[at] = example->difficult != NULL && example->difficult[i] != 0;
        all->group_of[at] = example->group_of != NULL && example->group_of[i] != 0;
        if (!isfinite(all->weight[at]) || all->weight[at] < 0.0f)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: object %zu: weight %g, expected a finite number of at least 0",
                            o->name, i, (double)all->weight[at]);
        ds->boxes_of_class[class_index]++;
    }
    entry->object_count = all->count - entry->first_object;
    ds->counts.boxes += (size_t)entry->object_count;
    ds->counts.images_without_boxes += entry->object_count == 0;
    return DET_OK;
}

/* *path stays NULL when `directory` has no such file. */
static det_status look_in(struct det_env *env, const char *directory, const char *name, char **path)
{
    DET_TRY_RETURN(det_path_join(env, path, directory, name));
    if (!det_file_exists(*path) || det_is_directory(*path))
        det_free(env, path);
    return DET_OK;
}

/* image/encoded is empty: the file named by image/filename in one of the folders. */
static det_status find_image_file(struct det_env *env, const struct opening *o,
                                  const struct det_example *example, char **path)
{
    const struct det_dataset_settings *s = o->settings;
    *path = NULL;
    if (example->filename.bytes == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: image/encoded is empty and there is no image/filename", o->name);
    char *name = NULL;
    DET_TRY_RETURN(
        det_strndup(env, &name, (const char *)example->filename.data, example->filename.bytes));
    det_status status = DET_OK;
    if (s->image_dir_count == 0)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                         "%s: image/encoded is empty (exported without images?): give the folder "
                         "that holds `%s` with --images DIR",
                         o->name, name));
    for (size_t i = 0; i < s->image_dir_count && *path == NULL; i++) {
        if (det_path_stays_inside(name))
            DET_TRY(look_in(env, s->image_dirs[i], name, path));
        if (*path == NULL && det_path_name(name)[0] != '\0')
            DET_TRY(look_in(env, s->image_dirs[i], det_path_name(name), path));
    }
    if (*path == NULL)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                         "%s: image/encoded is empty and `%s` is not in %s%s given with --images",
                         o->name, name, s->image_dirs[0],
                         s->image_dir_count > 1 ? " or another folder" : ", the folder"));
fail:
    det_free(env, &name);
    return status;
}

static int32_t known_size(int64_t value)
{
    return value > 0 && value <= 65500 ? (int32_t)value : 0;
}

static det_status add_record(struct det_env *env, struct opening *o, size_t index)
{
    struct det_dataset *ds = o->dataset;
    struct det_dataset_entry *entry = &ds->entries[index];
    struct det_example example = {0};
    char record[512], name[512];
    det_status status = DET_OK;
    det_record_set_name(&ds->records, index, record);
    DET_TRY(det_record_set_get(env, &ds->records, index, &o->record));
    DET_TRY(det_example_parse(env, record, o->record.data, o->record.bytes, &example));
    det_example_name(&example, record, name);
    o->name = name;
    *entry = (struct det_dataset_entry){
        .encoded_bytes = example.encoded.bytes,
        .height_px = known_size(example.height),
        .width_px = known_size(example.width),
    };
    if (example.encoded.bytes > 0)
        entry->encoded_offset = (size_t)(example.encoded.data - o->record.data);
    const struct det_bytes id = example.source_id.bytes > 0 ? example.source_id : example.filename;
    if (id.bytes > 0)
        DET_TRY(det_strndup(env, &entry->id, (const char *)id.data, id.bytes));
    if (example.encoded.bytes == 0) {
        DET_TRY(find_image_file(env, o, &example, &entry->path));
        ds->counts.images_from_files++;
    } else {
        enum det_image_kind kind;
        DET_TRY(det_image_sniff(env, name, example.encoded.data, example.encoded.bytes, &kind));
    }
    if (!o->settings->images_only)
        DET_TRY(add_objects(env, o, &example, entry));
fail:
    o->name = NULL;
    det_example_free(env, &example);
    return status;
}

static det_status add_sample(struct det_env *env, struct opening *o, size_t index)
{
    struct det_dataset *ds = o->dataset;
    struct det_dataset_entry *entry = &ds->entries[index];
    struct det_example example = {0};
    det_labelled_sample sample;
    char name[512];
    *entry = (struct det_dataset_entry){0};
    det_dataset_name(ds, index, name);
    DET_TRY_RETURN(det_source_ask(env, &ds->source, name, index, false, &sample));
    det_status status = DET_OK;
    if (sample.id != NULL && sample.id[0] != '\0')
        DET_TRY(det_strdup(env, &entry->id, sample.id));
    o->name = det_dataset_name(ds, index, name);
    DET_TRY(det_source_check(env, name, &sample, false));
    DET_TRY(det_source_checksum(env, name, &sample, &entry->objects_crc));
    const struct det_source_size size = det_source_size(&sample);
    entry->height_px = known_size(size.height_px);
    entry->width_px = known_size(size.width_px);
    if (!o->settings->images_only) {
        DET_TRY(det_source_example(env, name, &sample, &example));
        DET_TRY(add_objects(env, o, &example, entry));
    }
fail:
    o->name = NULL;
    det_example_free(env, &example);
    det_source_give_back(&ds->source, index, &sample);
    return status;
}

static void log_counts(const struct det_env *env, const char *role,
                       const struct det_dataset_settings *s, const struct det_dataset_counts *c)
{
    char boxes[40] = "", files[40] = "";
    if (!s->images_only)
        snprintf(boxes, sizeof boxes, ", %zu boxes", c->boxes);
    if (s->source == NULL)
        snprintf(files, sizeof files, ", %zu files", c->files);
    det_log(env, DET_LOG_INFO, "%s: %zu images%s%s", role, c->images, boxes, files);
    const size_t dropped = c->dropped - c->unknown_class; /* which have a warning of their own */
    if (dropped > 0 || c->clipped > 0)
        det_log(env, DET_LOG_WARNING,
                "%s: %zu boxes clipped to the image, %zu dropped (%zu without area, %zu reversed, "
                "%zu not finite), %zu reached outside the image",
                role, c->clipped, dropped, c->zero_size, c->reversed, c->non_finite, c->outside);
}

static det_status open_records(struct det_env *env, const struct det_dataset_settings *settings,
                               const char *role, struct det_record_set *records)
{
    DET_TRY_RETURN(det_record_set_open(env, settings->patterns, settings->pattern_count, records));
    if (records->record_count == 0)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: %s: there is no record in %zu file%s", role,
                        settings->pattern_count > 0 ? settings->patterns[0] : "(no input)",
                        records->file_count, records->file_count == 1 ? "" : "s");
    return DET_OK;
}

det_status det_dataset_open(struct det_env *env, const struct det_dataset_settings *settings,
                            struct det_dataset *dataset)
{
    struct opening opening = {.settings = settings, .dataset = dataset};
    const char *role = settings->role != NULL ? settings->role : "data";
    det_status status = DET_OK;
    *dataset = (struct det_dataset){.class_count = settings->class_count};
    if (settings->class_count < 1)
        DET_TRY(det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: %d classes, expected at least 1",
                         role, settings->class_count));
    DET_TRY(det_alloc(env, &dataset->boxes_of_class, (size_t)settings->class_count,
                      sizeof *dataset->boxes_of_class, "class counts"));
    if (settings->source != NULL)
        DET_TRY(det_source_take(env, settings->source, &dataset->source));
    else
        DET_TRY(open_records(env, settings, role, &dataset->records));
    const size_t count =
        settings->source != NULL ? dataset->source.count : dataset->records.record_count;
    DET_TRY(det_grow(env, &dataset->entries, &dataset->entry_capacity, count,
                     sizeof *dataset->entries, "dataset index"));
    for (size_t i = 0; i < count; i++) {
        dataset->count = i + 1;
        DET_TRY(settings->source != NULL ? add_sample(env, &opening, i)
                                         : add_record(env, &opening, i));
    }
    dataset->counts.files = dataset->records.file_count;
    dataset->counts.images = dataset->count;
    log_counts(env, role, settings, &dataset->counts);
    DET_TRY(det_unlisted_tell(env, settings->labels, role, &dataset->counts, &opening.unlisted));
fail:
    det_record_free(env, &opening.record);
    det_unlisted_free(env, &opening.unlisted);
    if (status != DET_OK)
        det_dataset_close(env, dataset);
    return status;
}

void det_dataset_close(struct det_env *env, struct det_dataset *dataset)
{
    for (size_t i = 0; i < dataset->count; i++) {
        det_free(env, &dataset->entries[i].path);
        det_free(env, &dataset->entries[i].id);
    }
    det_free(env, &dataset->entries);
    det_free(env, &dataset->boxes_of_class);
    det_ground_truth_free(env, &dataset->objects);
    det_record_set_close(env, &dataset->records);
    *dataset = (struct det_dataset){0};
}

static det_status check_index(struct det_env *env, const struct det_dataset *dataset, size_t index)
{
    if (index < dataset->count)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "record %zu of %zu does not exist", index,
                    dataset->count);
}

/* area_px where the record has none: of the box in an image of this size. */
static void fill_areas(struct det_ground_truth *truth, int32_t height, int32_t width)
{
    for (int32_t i = 0; i < truth->count; i++) {
        const float *box = truth->boxes[i];
        if (!(truth->area_px[i] > 0.0f))
            truth->area_px[i] =
                (box[2] - box[0]) * (float)height * ((box[3] - box[1]) * (float)width);
    }
}

static det_status copy_objects(struct det_env *env, const struct det_dataset *dataset, size_t index,
                               struct det_ground_truth *truth)
{
    DET_TRY_RETURN(check_index(env, dataset, index));
    const struct det_dataset_entry *entry = &dataset->entries[index];
    const struct det_ground_truth *all = &dataset->objects;
    const int32_t first = entry->first_object;
    /* Only read through. */
    struct det_ground_truth part = {.count = entry->object_count};
    if (part.count > 0) {
        part.boxes = all->boxes + first;
        part.class_index = all->class_index + first;
        part.weight = all->weight + first;
        part.area_px = all->area_px + first;
        part.is_crowd = all->is_crowd + first;
        part.difficult = all->difficult + first;
        part.group_of = all->group_of + first;
    }
    return det_ground_truth_copy(env, truth, &part);
}

det_status det_dataset_load_truth(struct det_env *env, const struct det_dataset *dataset,
                                  size_t index, struct det_ground_truth *truth)
{
    DET_TRY_RETURN(copy_objects(env, dataset, index, truth));
    const struct det_dataset_entry *entry = &dataset->entries[index];
    fill_areas(truth, entry->height_px, entry->width_px);
    return DET_OK;
}

/* The image of a sample, which must still be what it was when the data set was opened. */
static det_status load_sample(struct det_env *env, const struct det_dataset *dataset, size_t index,
                              const char *name, struct det_image_least least,
                              struct det_image *image)
{
    const struct det_dataset_entry *entry = &dataset->entries[index];
    det_labelled_sample sample;
    uint32_t crc = 0;
    DET_TRY_RETURN(det_source_ask(env, &dataset->source, name, index, true, &sample));
    det_status status = DET_OK;
    DET_TRY(det_source_check(env, name, &sample, true));
    DET_TRY(det_source_checksum(env, name, &sample, &crc));
    if (crc != entry->objects_crc)
        DET_TRY(det_fail(env, DET_STATUS_CORRUPT,
                         "%s: its objects are others than when the data was opened: a sample must "
                         "depend on nothing but its index",
                         name));
    DET_TRY(det_source_image(env, name, &sample, least, image));
    if (entry->height_px > 0 && entry->width_px > 0 &&
        (image->file_height != entry->height_px || image->file_width != entry->width_px))
        DET_TRY(det_fail(env, DET_STATUS_CORRUPT,
                         "%s: its image has %d x %d pixels, when the data was opened it was said "
                         "to have %d x %d",
                         name, image->file_width, image->file_height, entry->width_px,
                         entry->height_px));
fail:
    det_source_give_back(&dataset->source, index, &sample);
    return status;
}

det_status det_dataset_load_reduced(struct det_env *env, const struct det_dataset *dataset,
                                    size_t index, struct det_image_least least,
                                    struct det_record *record, struct det_image *image,
                                    struct det_ground_truth *truth)
{
    DET_TRY_RETURN(copy_objects(env, dataset, index, truth));
    const struct det_dataset_entry *entry = &dataset->entries[index];
    char name[512];
    det_dataset_name(dataset, index, name);
    if (dataset->source.count > 0) {
        DET_TRY_RETURN(load_sample(env, dataset, index, name, least, image));
    } else if (entry->path != NULL) {
        const det_status status = det_image_read_reduced(env, entry->path, least, image);
        if (status != DET_OK)
            return det_fail_prefix(env, status, "%s", name);
    } else {
        DET_TRY_RETURN(det_record_set_get(env, &dataset->records, index, record));
        DET_TRY_RETURN(det_image_decode_reduced(env, name, record->data + entry->encoded_offset,
                                                entry->encoded_bytes, least, image));
    }
    fill_areas(truth, image->file_height, image->file_width);
    return DET_OK;
}

det_status det_dataset_load(struct det_env *env, const struct det_dataset *dataset, size_t index,
                            struct det_image *image, struct det_ground_truth *truth)
{
    const struct det_image_least whole = {INT32_MAX, INT32_MAX};
    struct det_record record = {0};
    const det_status status =
        det_dataset_load_reduced(env, dataset, index, whole, &record, image, truth);
    det_record_free(env, &record);
    return status;
}

const char *det_dataset_name(const struct det_dataset *dataset, size_t index, char buffer[512])
{
    const char *id = dataset->entries[index].id;
    char record[512];
    if (dataset->source.count > 0)
        snprintf(record, sizeof record, "sample %zu", index);
    else
        det_record_set_name(&dataset->records, index, record);
    if (id != NULL)
        snprintf(buffer, 512, "%.330s (%.150s)", record, id);
    else
        snprintf(buffer, 512, "%.511s", record);
    return buffer;
}

const char *det_dataset_id(const struct det_dataset *dataset, size_t index, char buffer[256])
{
    const char *id = dataset->entries[index].id;
    if (id == NULL)
        snprintf(buffer, 256, "%zu", index);
    else
        snprintf(buffer, 256, "%.200s", id);
    return buffer;
}
