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

/* Hands what is there over to the writer. */
static det_status flush(struct det_json_writer *json, struct det_writer *writer)
{
    DET_TRY_RETURN(json->status);
    DET_TRY_RETURN(det_writer_write(json->env, writer, json->text->data, json->text->length));
    json->text->length = 0;
    return DET_OK;
}

det_status det_coco_json_write_dataset(struct det_env *env, const char *path,
                                       const struct det_coco_dataset *dataset)
{
    struct det_writer writer;
    struct det_text text = {0};
    struct det_json_writer json;
    det_json_begin(&json, env, &text, DET_JSON_SPACED);
    DET_TRY_RETURN(det_writer_open(env, path, &writer));
    det_status status = DET_OK;
    det_json_open_object(&json, NULL);
    det_json_open_list(&json, "images");
    for (size_t i = 0; i < dataset->image_count; i++) {
        det_json_line(&json, 1);
        put_image(&json, &dataset->images[i], &dataset->names);
        DET_TRY(flush(&json, &writer));
    }
    det_json_close_list(&json);
    det_json_line(&json, 0);
    det_json_open_list(&json, "categories");
    for (size_t i = 0; i < dataset->category_count; i++) {
        det_json_line(&json, 1);
        put_category(&json, &dataset->categories[i]);
    }
    det_json_close_list(&json);
    det_json_line(&json, 0);
    det_json_open_list(&json, "annotations");
    for (size_t i = 0; i < dataset->annotation_count; i++) {
        det_json_line(&json, 1);
        put_annotation(&json, &dataset->annotations[i], &dataset->names);
        DET_TRY(flush(&json, &writer));
    }
    det_json_close_list(&json);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    DET_TRY(det_json_end(&json));
    DET_TRY(flush(&json, &writer));
    DET_TRY(det_writer_commit(env, &writer));
fail:
    if (status != DET_OK)
        det_writer_discard(env, &writer);
    det_text_free(env, &text);
    return status;
}

det_status det_coco_json_write_detections(struct det_env *env, const char *path,
                                          const struct det_coco_detection *items, size_t count,
                                          const struct det_coco_names *names)
{
    struct det_writer writer;
    struct det_text text = {0};
    struct det_json_writer json;
    det_json_begin(&json, env, &text, DET_JSON_SPACED);
    DET_TRY_RETURN(det_writer_open(env, path, &writer));
    det_status status = DET_OK;
    det_json_open_list(&json, NULL);
    for (size_t i = 0; i < count; i++) {
        det_json_line(&json, 1);
        put_detection(&json, &items[i], names);
        DET_TRY(flush(&json, &writer));
    }
    det_json_close_list(&json);
    det_json_line(&json, 0);
    DET_TRY(det_json_end(&json));
    DET_TRY(flush(&json, &writer));
    DET_TRY(det_writer_commit(env, &writer));
fail:
    if (status != DET_OK)
        det_writer_discard(env, &writer);
    det_text_free(env, &text);
    return status;
}
