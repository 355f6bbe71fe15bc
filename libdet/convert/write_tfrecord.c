/* write_tfrecord.c: see writers.h. The keys are those of the API's own scripts
 * (dataset_tools/create_pascal_tf_record.py, create_coco_tf_record.py). Shards take images in turn,
 * so that each is a sample of the whole. */
#include <stdio.h>
#include <string.h>

#include "convert/writers.h"
#include "formats/tf_example.h"
#include "support/guard.h"
#include "support/mem.h"

static struct det_bytes bytes_of(const char *text)
{
    return (struct det_bytes){(const uint8_t *)text, strlen(text)};
}

/* The lists of one example, kept for the next. */
struct lists {
    size_t room;
    float *values;    /* [6][room]: the box, area, weight */
    int64_t *numbers; /* [5][room] */
    struct det_bytes *texts;
};

static void lists_free(struct det_env *env, struct lists *lists)
{
    det_free(env, &lists->values);
    det_free(env, &lists->numbers);
    det_free(env, &lists->texts);
    lists->room = 0;
}

static det_status reserve(struct det_env *env, struct lists *lists, size_t count)
{
    if (count <= lists->room && lists->values != NULL)
        return DET_OK;
    lists_free(env, lists);
    const size_t room = count < 16 ? 16 : 2 * count;
    DET_TRY_RETURN(det_alloc(env, &lists->values, room, 6 * sizeof *lists->values, "boxes"));
    DET_TRY_RETURN(det_alloc(env, &lists->numbers, room, 5 * sizeof *lists->numbers, "boxes"));
    DET_TRY_RETURN(det_alloc(env, &lists->texts, room, sizeof *lists->texts, "boxes"));
    lists->room = room;
    return DET_OK;
}

/* Lists that say nothing are left out, as the API's scripts do without them. */
static void fill(const struct det_annotations *set, const struct det_labelled_image *image,
                 struct lists *lists, struct det_example *e)
{
    const size_t room = lists->room;
    bool area = false, weight = false, flags[4] = {false};
    for (size_t i = 0; i < image->object_count; i++) {
        const struct det_labelled_object *object = &set->objects[image->first_object + i];
        for (size_t c = 0; c < 4; c++)
            lists->values[c * room + i] = (float)object->box[c];
        lists->values[4 * room + i] = (float)object->area_px2;
        lists->values[5 * room + i] = (float)object->weight;
        area |= object->area_px2 > 0;
        weight |= object->weight != 1;
        const bool is[4] = {object->difficult, object->group_of, object->is_crowd,
                            object->truncated};
        for (size_t f = 0; f < 4; f++) {
            lists->numbers[f * room + i] = is[f];
            flags[f] |= is[f];
        }
        lists->numbers[4 * room + i] = object->class_index + 1;
        lists->texts[i] = bytes_of(set->classes.paths[object->class_index]);
    }
    e->box_count = image->object_count;
    e->ymin = lists->values;
    e->xmin = lists->values + room;
    e->ymax = lists->values + 2 * room;
    e->xmax = lists->values + 3 * room;
    e->area = area ? lists->values + 4 * room : NULL;
    e->weight = weight ? lists->values + 5 * room : NULL;
    e->difficult = flags[0] ? lists->numbers : NULL;
    e->group_of = flags[1] ? lists->numbers + room : NULL;
    e->is_crowd = flags[2] ? lists->numbers + 2 * room : NULL;
    e->truncated = flags[3] ? lists->numbers + 3 * room : NULL;
    e->class_label = lists->numbers + 4 * room;
    e->class_text = lists->texts;
}

static det_status write_image(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set,
                              const struct det_labelled_image *image, struct lists *lists,
                              struct det_writer *writer, struct det_write_counts *counts)
{
    struct det_written_image written = {0};
    uint8_t *data = NULL;
    size_t bytes = 0;
    det_status status = DET_OK;
    const char *name = image->name != NULL ? image->name : "";
    struct det_example e = {
        .format = bytes_of(det_written_kind(image, true) == DET_IMAGE_PNG ? "png" : "jpeg"),
        .filename = bytes_of(name),
        .source_id = bytes_of(image->source_id != NULL ? image->source_id : name),
        .height = image->height_px,
        .width = image->width_px,
    };
    DET_TRY(reserve(env, lists, image->object_count));
    fill(set, image, lists, &e);
    if (!settings->without_images && !det_guard_rehearses(env)) {
        DET_TRY(det_written_image_open(env, set, image, true, &written));
        e.encoded = (struct det_bytes){written.data, written.bytes};
        if (written.encoded)
            counts->encoded++;
        else
            counts->copied++;
    }
    DET_TRY(det_example_serialize(env, &e, &data, &bytes));
    DET_TRY(det_tfrecord_write(env, writer, data, bytes));
    counts->images++;
    counts->objects += image->object_count;
fail:
    det_free(env, &data);
    det_written_image_close(env, &written);
    return status;
}

static det_status write_shard(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set, int32_t split, int32_t shard,
                              struct lists *lists, struct det_write_counts *counts)
{
    struct det_writer writer = {.descriptor = -1};
    char *path = NULL;
    det_status status = DET_OK;
    if (settings->shards > 1)
        DET_TRY(det_path_join_printf(env, &path, settings->directory, "%s.tfrecord-%05d-of-%05d",
                                     set->splits.paths[split], shard, settings->shards));
    else
        DET_TRY(det_path_join_printf(env, &path, settings->directory, "%s.tfrecord",
                                     set->splits.paths[split]));
    DET_TRY(det_writer_open(env, path, &writer));
    int64_t number = 0;
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        if (image->broken || image->split != split)
            continue;
        if (number++ % settings->shards == shard)
            DET_TRY(write_image(env, settings, set, image, lists, &writer, counts));
    }
    DET_TRY(det_writer_commit(env, &writer));
fail:
    if (status != DET_OK)
        det_writer_discard(env, &writer);
    det_free(env, &path);
    return status;
}

static bool split_is_empty(const struct det_annotations *set, int32_t split)
{
    for (size_t i = 0; i < set->image_count; i++)
        if (!set->images[i].broken && set->images[i].split == split)
            return false;
    return true;
}

det_status det_write_tfrecord(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set, struct det_write_counts *counts)
{
    struct lists lists = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_make_directories(env, settings->directory));
    for (int32_t split = 0; split < (int32_t)set->splits.count; split++)
        for (int32_t shard = 0; shard < settings->shards && !split_is_empty(set, split); shard++)
            DET_TRY(write_shard(env, settings, set, split, shard, &lists, counts));
    DET_TRY(det_path_join(env, &path, settings->directory, "label_map.pbtxt"));
    DET_TRY(det_write_label_map(env, set, path));
fail:
    det_free(env, &path);
    lists_free(env, &lists);
    return status;
}
