/* coco_json_write.c: the writing half of coco_json.h. */
#include "base/io.h"
#include "base/text.h"
#include "formats/coco_json.h"

static det_status put_image_id(struct det_env *env, struct det_text *text, int64_t id,
                               const struct det_coco_names *names)
{
    if (names == NULL || names->count == 0)
        return det_text_printf(env, text, "%lld", (long long)id);
    if (id < 1 || (uint64_t)id > names->count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "image id %lld has no name",
                        (long long)id);
    return det_text_json_string(env, text, names->names[id - 1]);
}

static det_status put_box(struct det_env *env, struct det_text *text, const double box_px[4])
{
    char n[4][32];
    return det_text_printf(env, text, "\"bbox\": [%s, %s, %s, %s]",
                           det_format_double(n[0], box_px[0]), det_format_double(n[1], box_px[1]),
                           det_format_double(n[2], box_px[2]), det_format_double(n[3], box_px[3]));
}

static det_status put_image(struct det_env *env, struct det_text *text,
                            const struct det_coco_image *image, const struct det_coco_names *names)
{
    DET_TRY_RETURN(det_text_printf(env, text, "{\"id\": "));
    DET_TRY_RETURN(put_image_id(env, text, image->id, names));
    if (image->width_px > 0 && image->height_px > 0)
        DET_TRY_RETURN(det_text_printf(env, text, ", \"width\": %d, \"height\": %d",
                                       (int)image->width_px, (int)image->height_px));
    if (image->file_name != NULL) {
        DET_TRY_RETURN(det_text_printf(env, text, ", \"file_name\": "));
        DET_TRY_RETURN(det_text_json_string(env, text, image->file_name));
    }
    return det_text_append(env, text, "}", 1);
}

static det_status put_category(struct det_env *env, struct det_text *text,
                               const struct det_coco_category *category)
{
    DET_TRY_RETURN(
        det_text_printf(env, text, "{\"id\": %lld, \"name\": ", (long long)category->id));
    DET_TRY_RETURN(det_text_json_string(env, text, category->name));
    return det_text_append(env, text, "}", 1);
}

static det_status put_annotation(struct det_env *env, struct det_text *text,
                                 const struct det_coco_annotation *object,
                                 const struct det_coco_names *names)
{
    char area[32];
    DET_TRY_RETURN(
        det_text_printf(env, text, "{\"id\": %lld, \"image_id\": ", (long long)object->id));
    DET_TRY_RETURN(put_image_id(env, text, object->image_id, names));
    DET_TRY_RETURN(
        det_text_printf(env, text, ", \"category_id\": %lld, ", (long long)object->category_id));
    DET_TRY_RETURN(put_box(env, text, object->box_px));
    return det_text_printf(env, text, ", \"area\": %s, \"iscrowd\": %d, \"ignore\": %d}",
                           det_format_double(area, object->area_px2), object->is_crowd,
                           object->ignore);
}

static det_status put_detection(struct det_env *env, struct det_text *text,
                                const struct det_coco_detection *item,
                                const struct det_coco_names *names)
{
    char score[32];
    DET_TRY_RETURN(det_text_printf(env, text, "{\"image_id\": "));
    DET_TRY_RETURN(put_image_id(env, text, item->image_id, names));
    DET_TRY_RETURN(
        det_text_printf(env, text, ", \"category_id\": %lld, ", (long long)item->category_id));
    DET_TRY_RETURN(put_box(env, text, item->box_px));
    return det_text_printf(env, text, ", \"score\": %s}", det_format_double(score, item->score));
}

/* Hands the text over to the writer and empties it. */
static det_status flush(struct det_env *env, struct det_writer *writer, struct det_text *text)
{
    DET_TRY_RETURN(det_writer_write(env, writer, text->data, text->length));
    text->length = 0;
    return DET_OK;
}

det_status det_coco_json_write_dataset(struct det_env *env, const char *path,
                                       const struct det_coco_dataset *dataset)
{
    struct det_writer writer;
    struct det_text text = {0};
    DET_TRY_RETURN(det_writer_open(env, path, &writer));
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text, "{\"images\": ["));
    for (size_t i = 0; i < dataset->image_count; i++) {
        DET_TRY(det_text_printf(env, &text, i > 0 ? ",\n " : "\n "));
        DET_TRY(put_image(env, &text, &dataset->images[i], &dataset->names));
        DET_TRY(flush(env, &writer, &text));
    }
    DET_TRY(det_text_printf(env, &text, "],\n\"categories\": ["));
    for (size_t i = 0; i < dataset->category_count; i++) {
        DET_TRY(det_text_printf(env, &text, i > 0 ? ",\n " : "\n "));
        DET_TRY(put_category(env, &text, &dataset->categories[i]));
    }
    DET_TRY(det_text_printf(env, &text, "],\n\"annotations\": ["));
    for (size_t i = 0; i < dataset->annotation_count; i++) {
        DET_TRY(det_text_printf(env, &text, i > 0 ? ",\n " : "\n "));
        DET_TRY(put_annotation(env, &text, &dataset->annotations[i], &dataset->names));
        DET_TRY(flush(env, &writer, &text));
    }
    DET_TRY(det_text_printf(env, &text, "]}\n"));
    DET_TRY(flush(env, &writer, &text));
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
    DET_TRY_RETURN(det_writer_open(env, path, &writer));
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text, "["));
    for (size_t i = 0; i < count; i++) {
        DET_TRY(det_text_printf(env, &text, i > 0 ? ",\n " : "\n "));
        DET_TRY(put_detection(env, &text, &items[i], names));
        DET_TRY(flush(env, &writer, &text));
    }
    DET_TRY(det_text_printf(env, &text, "]\n"));
    DET_TRY(flush(env, &writer, &text));
    DET_TRY(det_writer_commit(env, &writer));
fail:
    if (status != DET_OK)
        det_writer_discard(env, &writer);
    det_text_free(env, &text);
    return status;
}
