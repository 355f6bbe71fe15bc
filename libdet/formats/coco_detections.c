/* coco_detections.c: see coco_json.h: lists of detections. */
#include "formats/coco_value.h"
#include "support/io.h"
#include "support/mem.h"

det_status det_coco_json_parse_detections(struct det_env *env, const char *path, const void *data,
                                          size_t bytes, const struct det_coco_names *names,
                                          struct det_coco_detection_list *list)
{
    static const char *const keys[] = {"image_id", "category_id", "bbox", "score"};
    *list = (struct det_coco_detection_list){0};
    struct det_json root;
    DET_TRY_RETURN(det_json_parse(env, path, data, bytes, &root));
    det_status status = DET_OK;
    const struct det_budget before = det_budget_open(env, path);
    if (det_json_kind(root) != DET_JSON_LIST)
        DET_TRY(det_fail(env, DET_STATUS_PARSE, "%s: is %s, expected a list of detections", path,
                         det_json_kind_text(root)));
    DET_TRY(det_alloc(env, &list->items, det_json_count(root), sizeof *list->items, "detections"));
    struct det_coco_place place = {.env = env, .path = path, .list = "detections"};
    struct det_json_entry entry;
    for (bool more = det_json_first(root, &entry); more;
         more = det_json_next(&entry), place.index++) {
        struct det_coco_detection *item = &list->items[place.index];
        struct det_json values[4] = {{0}};
        DET_TRY(det_coco_keys(&place, entry.value, keys, values, 4));
        DET_TRY(det_coco_image_id(&place, "image_id", values[0], names, &item->image_id));
        DET_TRY(det_coco_integer(&place, "category_id", values[1], &item->category_id));
        DET_TRY(det_coco_box(&place, values[2], item->box_px));
        DET_TRY(det_coco_number(&place, "score", values[3], &item->score));
        list->count++;
    }
fail:
    det_budget_close(env, before);
    if (status != DET_OK)
        det_coco_detection_list_free(env, list);
    return status;
}

det_status det_coco_json_read_detections(struct det_env *env, const char *path,
                                         const struct det_coco_names *names,
                                         struct det_coco_detection_list *list)
{
    *list = (struct det_coco_detection_list){0};
    struct det_file_bytes contents;
    DET_TRY_RETURN(det_file_read(env, path, &contents));
    const det_status status =
        det_coco_json_parse_detections(env, path, contents.data, contents.bytes, names, list);
    det_file_release(&contents);
    return status;
}

void det_coco_detection_list_free(struct det_env *env, struct det_coco_detection_list *list)
{
    det_free(env, &list->items);
    list->count = 0;
}
