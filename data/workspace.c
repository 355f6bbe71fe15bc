#include "workspace.h"

#include <string.h>

#include "data/image.h"
#include "formats/tf_example.h"
#include "formats/tfrecord.h"
#include "mosaic.h"
#include "pipeline_text.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/text.h"

struct writing {
    const struct workspace_options *options;
    struct workspace_summary *summary;
    struct renderer *renderer;
    struct scene *scene;
    struct render_frame *frame;
    struct mosaic mosaic; /* of these */
    struct det_image image;
    struct object_list objects; /* in it */
    float *boxes;               /* of a record: [4][objects] */
    struct det_bytes *texts;
    int64_t *labels;
    size_t box_capacity, text_capacity, label_capacity;
};

static struct det_bytes bytes_of(const char *text)
{
    return (struct det_bytes){(const uint8_t *)text, strlen(text)};
}

/* An image without a vehicle teaches little: a few further scenes are tried for the same place in
 * the set. */
static det_status draw_scene(struct det_env *env, struct writing *w, uint64_t index)
{
    const struct workspace_options *o = w->options;
    w->objects.count = 0;
    if (o->width > 0)
        return mosaic_draw(env, &w->mosaic, o->seed, index, o->width, o->height, &w->image,
                           &w->objects);
    for (uint64_t attempt = 0; attempt < 4; attempt++) {
        scene_random(w->scene, o->seed, index | attempt << 40);
        DET_TRY_RETURN(renderer_draw(env, w->renderer, w->scene, 0, &w->image, w->frame));
        if (w->frame->object_count > 0)
            break;
    }
    return object_list_add(env, &w->objects, w->frame);
}

static det_status write_record(struct det_env *env, struct writing *w, struct det_writer *records,
                               const char *name, struct det_bytes encoded)
{
    const size_t count = w->objects.count;
    DET_TRY_RETURN(
        det_grow(env, &w->boxes, &w->box_capacity, 4 * count, sizeof *w->boxes, "boxes"));
    DET_TRY_RETURN(det_grow(env, &w->texts, &w->text_capacity, count, sizeof *w->texts, "boxes"));
    DET_TRY_RETURN(
        det_grow(env, &w->labels, &w->label_capacity, count, sizeof *w->labels, "boxes"));
    for (size_t i = 0; i < count; i++) {
        const struct render_object *object = &w->objects.objects[i];
        for (size_t k = 0; k < 4; k++)
            w->boxes[k * count + i] = object->box_norm[k];
        w->texts[i] = bytes_of(vehicle_class_names[object->class_index]);
        w->labels[i] = (int64_t)object->class_index + 1;
        w->summary->boxes[object->class_index]++;
    }
    const struct det_example example = {.encoded = encoded,
                                        .format = bytes_of("jpeg"),
                                        .filename = bytes_of(name),
                                        .source_id = bytes_of(name),
                                        .height = w->image.height,
                                        .width = w->image.width,
                                        .box_count = count,
                                        .ymin = w->boxes,
                                        .xmin = w->boxes + count,
                                        .ymax = w->boxes + 2 * count,
                                        .xmax = w->boxes + 3 * count,
                                        .class_text = w->texts,
                                        .class_label = w->labels};
    uint8_t *data = NULL;
    size_t bytes = 0;
    det_status status;
    DET_TRY(det_example_serialize(env, &example, &data, &bytes));
    DET_TRY(det_tfrecord_write(env, records, data, bytes));
fail:
    det_free(env, &data);
    return status;
}

static det_status write_image(struct det_env *env, struct writing *w, struct det_writer *records,
                              const char *folder, const char *name)
{
    det_status status;
    uint8_t *jpeg = NULL;
    size_t bytes = 0;
    char *path = NULL;
    DET_TRY(det_path_join(env, &path, folder, name));
    DET_TRY(det_image_encode_jpeg(env, &w->image, w->scene->finish.jpeg_quality, &jpeg, &bytes));
    DET_TRY(det_write_file(env, path, jpeg, bytes));
    DET_TRY(write_record(env, w, records, name, (struct det_bytes){jpeg, bytes}));
fail:
    det_free(env, &jpeg);
    det_free(env, &path);
    return status;
}

/* `first` keeps the scenes of the sets apart. */
static det_status write_set(struct det_env *env, struct writing *w, const char *set, int32_t count,
                            uint64_t first)
{
    det_status status;
    char *folder = NULL, *record_path = NULL;
    struct det_writer records = {.descriptor = -1};
    DET_TRY(det_path_join_printf(env, &folder, w->options->directory, "images/%s", set));
    DET_TRY(det_make_directories(env, folder));
    DET_TRY(det_path_join_printf(env, &record_path, w->options->directory,
                                 "annotations/%s.tfrecord", set));
    DET_TRY(det_writer_open(env, record_path, &records));
    for (int32_t i = 0; i < count; i++) {
        char *name = NULL;
        DET_TRY(draw_scene(env, w, first + (uint64_t)i));
        DET_TRY(det_format(env, &name, "%s_%05d.jpg", set, (int)i));
        status = write_image(env, w, &records, folder, name);
        det_free(env, &name);
        if (status != DET_OK)
            goto fail;
        w->summary->images++;
    }
    DET_TRY(det_writer_commit(env, &records));
fail:
    if (status != DET_OK)
        det_writer_discard(env, &records);
    det_free(env, &record_path);
    det_free(env, &folder);
    return status;
}

static det_status write_text(struct det_env *env, const char *directory, const char *folder,
                             const char *name, const struct det_text *text)
{
    det_status status;
    char *parent = NULL, *path = NULL;
    DET_TRY(det_path_join(env, &parent, directory, folder));
    DET_TRY(det_make_directories(env, parent));
    DET_TRY(det_path_join(env, &path, parent, name));
    DET_TRY(det_write_file(env, path, text->data, text->length));
fail:
    det_free(env, &path);
    det_free(env, &parent);
    return status;
}

/* What the names between @ mean: a long schedule from scratch, a short one from trained weights. */
static const struct {
    const char *name, *from_scratch, *from_weights;
} places[] = {
    {"rate", "0.04", "0.01"},
    {"steps", "4000", "300"},
    {"warmup_rate", "0.004", "0.002"},
    {"warmup_steps", "200", "20"},
    {"checkpoint", "",
     "  fine_tune_checkpoint: \"../../pre-trained-models/vehicles.det\"\n"
     "  fine_tune_checkpoint_type: \"full\"\n"
     "  fine_tune_checkpoint_version: V2\n"},
};

static det_status append_piece(struct det_env *env, struct det_text *text, const char *piece,
                               bool from_weights)
{
    const char *at = strchr(piece, '@');
    const char *end = at != NULL ? strchr(at + 1, '@') : NULL;
    if (end == NULL)
        return det_text_append(env, text, piece, strlen(piece));
    DET_TRY_RETURN(det_text_append(env, text, piece, (size_t)(at - piece)));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const size_t length = strlen(places[i].name);
        if (length == (size_t)(end - at) - 1 && memcmp(at + 1, places[i].name, length) == 0) {
            const char *value = from_weights ? places[i].from_weights : places[i].from_scratch;
            DET_TRY_RETURN(det_text_append(env, text, value, strlen(value)));
        }
    }
    return append_piece(env, text, end + 1, from_weights);
}

static det_status copy_weights(struct det_env *env, const char *from, const char *directory)
{
    struct det_file_bytes contents;
    char *folder = NULL, *path = NULL;
    DET_TRY_RETURN(det_file_read(env, from, &contents));
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &folder, directory, "pre-trained-models"));
    DET_TRY(det_make_directories(env, folder));
    DET_TRY(det_path_join(env, &path, folder, "vehicles.det"));
    DET_TRY(det_write_file(env, path, contents.data, contents.bytes));
fail:
    det_free(env, &folder);
    det_free(env, &path);
    det_file_release(&contents);
    return status;
}

static det_status write_texts(struct det_env *env, const char *directory, const char *weights)
{
    det_status status;
    struct det_text map = {0}, config = {0};
    for (int i = 0; i < VEHICLE_CLASSES; i++)
        DET_TRY(det_text_printf(env, &map, "item {\n  id: %d\n  name: '%s'\n}\n", i + 1,
                                vehicle_class_names[i]));
    DET_TRY(write_text(env, directory, "annotations", "label_map.pbtxt", &map));
    for (size_t i = 0; pipeline_text[i] != NULL; i++)
        DET_TRY(append_piece(env, &config, pipeline_text[i], weights != NULL));
    if (weights != NULL)
        DET_TRY(copy_weights(env, weights, directory));
    DET_TRY(write_text(env, directory, "models/demo", "pipeline.config", &config));
fail:
    det_text_free(env, &config);
    det_text_free(env, &map);
    return status;
}

det_status workspace_write(struct det_env *env, const struct workspace_options *options,
                           struct workspace_summary *summary)
{
    det_status status;
    struct writing w = {.options = options, .summary = summary};
    memset(summary, 0, sizeof *summary);
    DET_TRY(det_alloc(env, &w.scene, 1, sizeof *w.scene, "scene"));
    DET_TRY(det_alloc(env, &w.frame, 1, sizeof *w.frame, "frame"));
    DET_TRY(renderer_create(env, &w.renderer));
    w.mosaic = (struct mosaic){.renderer = w.renderer, .scene = w.scene, .frame = w.frame};
    DET_TRY(write_texts(env, options->directory, options->weights));
    DET_TRY(write_set(env, &w, "train", options->train, 0));
    DET_TRY(write_set(env, &w, "test", options->test, UINT64_C(1) << 32));
fail:
    renderer_destroy(env, &w.renderer);
    det_image_free(env, &w.mosaic.cell);
    det_image_free(env, &w.image);
    object_list_free(env, &w.objects);
    det_free(env, &w.boxes);
    det_free(env, &w.texts);
    det_free(env, &w.labels);
    det_free(env, &w.frame);
    det_free(env, &w.scene);
    return status;
}
