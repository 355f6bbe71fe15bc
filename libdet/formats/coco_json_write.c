/* coco_json_write.c: the writing half of coco_json.h. */
#include "formats/coco_json.h"
#include "support/io.h"
#include "support/json_writer.h"

static void put_image_id(struct det_json_writer *json, const char *key, int64_t id,
                         const struct det_coco_names *names)
{
    if (names == NULL || names->count == 0)
        det_json_put_int(json, key, id);
    else if (id >= 1 && (uint64_t)id <= names->count)
        det_json_put_string(json, key, names->names[id - 1]);
    else if (json->status == DET_OK)
        json->status = det_fail(json->env, DET_STATUS_INVALID_ARGUMENT, "image id %lld has no name",
                                (long long)id);
}

static void put_image(struct det_json_writer *json, const struct det_coco_image *image,
                      const struct det_coco_names *names)
{
    det_json_open_object(json, NULL);
    put_image_id(json, "id", image->id, names);
    if (image->width_px > 0 && image->height_px > 0) {
        det_json_put_int(json, "width", image->width_px);
        det_json_put_int(json, "height", image->height_px);
    }
    if (image->file_name != NULL)
        det_json_put_string(json, "file_name", image->file_name);
    det_json_close_object(json);
}

static void put_category(struct det_json_writer *json, const struct det_coco_category *category)
{
    det_json_open_object(json, NULL);
    det_json_put_int(json, "id", category->id);
    det_json_put_string(json, "name", category->name);
    det_json_close_object(json);
}

static void put_annotation(struct det_json_writer *json, const struct det_coco_annotation *object,
                           const struct det_coco_names *names)
{
    det_json_open_object(json, NULL);
    det_json_put_int(json, "id", object->id);
    put_image_id(json, "image_id", object->image_id, names);
    det_json_put_int(json, "category_id", object->category_id);
    det_json_put_values(json, "bbox", object->box_px, 4);
    det_json_put_value(json, "area", object->area_px2);
    det_json_put_int(json, "iscrowd", object->is_crowd);
    det_json_put_int(json, "ignore", object->ignore);
    det_json_close_object(json);
}

static void put_detection(struct det_json_writer *json, const struct det_coco_detection *item,
                          const struct det_coco_names *names)
{
    det_json_open_object(json, NULL);
    put_image_id(json, "image_id", item->image_id, names);
    det_json_put_int(json, "category_id", item->category_id);
    det_json_put_values(json, "bbox", item->box_px, 4);
    det_json_put_value(json, "score", item->score);
    det_json_close_object(json);
}

/* A file under way. */
struct output {
    struct det_writer writer;
    struct det_text text;
    struct det_json_writer json;
};

static det_status open_output(struct det_env *env, const char *path, struct output *o)
{
    o->text = (struct det_text){0};
    det_json_begin(&o->json, env, &o->text, DET_JSON_SPACED);
    return det_writer_open(env, path, &o->writer);
}

/* Hands what is there over to the writer. */
static det_status flush(struct output *o)
{
    DET_TRY_RETURN(o->json.status);
    DET_TRY_RETURN(det_writer_write(o->json.env, &o->writer, o->text.data, o->text.length));
    o->text.length = 0;
    return DET_OK;
}

static det_status finish(struct output *o)
{
    det_json_line(&o->json, 0);
    DET_TRY_RETURN(det_json_end(&o->json));
    DET_TRY_RETURN(flush(o));
    return det_writer_commit(o->json.env, &o->writer);
}

/* The file is there when all went well. */
static det_status close_output(struct output *o, det_status status)
{
    if (status == DET_OK)
        status = finish(o);
    if (status != DET_OK)
        det_writer_discard(o->json.env, &o->writer);
    det_text_free(o->json.env, &o->text);
    return status;
}

det_status det_coco_json_write_dataset(struct det_env *env, const char *path,
                                       const struct det_coco_dataset *dataset)
{
    struct output o;
    struct det_json_writer *json = &o.json;
    det_status status = DET_OK;
    DET_TRY_RETURN(open_output(env, path, &o));
    det_json_open_object(json, NULL);
    det_json_open_list(json, "images");
    for (size_t i = 0; i < dataset->image_count; i++) {
        det_json_line(json, 1);
        put_image(json, &dataset->images[i], &dataset->names);
        DET_TRY(flush(&o));
    }
    det_json_close_list(json);
    det_json_line(json, 0);
    det_json_open_list(json, "categories");
    for (size_t i = 0; i < dataset->category_count; i++) {
        det_json_line(json, 1);
        put_category(json, &dataset->categories[i]);
    }
    det_json_close_list(json);
    det_json_line(json, 0);
    det_json_open_list(json, "annotations");
    for (size_t i = 0; i < dataset->annotation_count; i++) {
        det_json_line(json, 1);
        put_annotation(json, &dataset->annotations[i], &dataset->names);
        DET_TRY(flush(&o));
    }
    det_json_close_list(json);
    det_json_close_object(json);
fail:
    return close_output(&o, status);
}

det_status det_coco_json_write_detections(struct det_env *env, const char *path,
                                          const struct det_coco_detection *items, size_t count,
                                          const struct det_coco_names *names)
{
    struct output o;
    struct det_json_writer *json = &o.json;
    det_status status = DET_OK;
    DET_TRY_RETURN(open_output(env, path, &o));
    det_json_open_list(json, NULL);
    for (size_t i = 0; i < count; i++) {
        det_json_line(json, 1);
        put_detection(json, &items[i], names);
        DET_TRY(flush(&o));
    }
    det_json_close_list(json);
fail:
    return close_output(&o, status);
}
