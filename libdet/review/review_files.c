#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "data/box_faults.h"
#include "formats/annotation_write.h"
#include "review/review.h"
#include "support/io.h"
#include "support/json_writer.h"
#include "support/mem.h"
#include "support/path.h"
#include "support/writer.h"

const char *det_review_image_name(const struct det_labelled_image *image)
{
    return image->name != NULL ? image->name : image->where;
}

const char *det_review_class_name(const struct det_review *review, int32_t class_index)
{
    return class_index >= 0 ? review->set->set.classes.paths[class_index] : "";
}

/* The rows are sorted: those that say nothing are the last. */
size_t det_review_telling(const struct det_review *review, size_t most)
{
    size_t count = 0;
    while (count < most && count < review->list.count && review->list.rows[count].suspicion > 0)
        count++;
    return count;
}

/* More digits tell nothing. */
static double short_share(double value)
{
    return round(value * 1e4) / 1e4;
}

/* --- JSON --- */

static void put_box(struct det_json_writer *json, const char *key, const double box[4])
{
    double shares[4];
    for (int c = 0; c < 4; c++)
        shares[c] = short_share(box[c]);
    det_json_put_doubles(json, key, shares, 4);
}

static void put_row(struct det_json_writer *json, const struct det_review *review, size_t rank)
{
    const struct det_evidence *e = &review->list.rows[rank];
    const struct det_labelled_image *image = &review->set->set.images[e->image];
    det_json_open_object(json, NULL);
    det_json_put_size(json, "rank", rank + 1);
    det_json_put_string(json, "kind", det_review_kind_name(e->kind));
    det_json_put_double(json, "suspicion", short_share(e->suspicion));
    det_json_put_string(json, "image", det_review_image_name(image));
    det_json_put_string(json, "split", review->set->set.splits.paths[image->split]);
    if (e->object >= 0) {
        det_json_put_int(json, "object", e->object);
        det_json_put_string(json, "class", det_review_class_name(review, e->class_index));
        put_box(json, "box", e->box);
    }
    if (e->found_class >= 0) {
        det_json_put_string(json, "detected", det_review_class_name(review, e->found_class));
        put_box(json, "detected_box", e->found_box);
        det_json_put_double(json, "score", short_share(e->score));
        if (e->object >= 0)
            det_json_put_double(json, "iou", short_share(e->iou));
    }
    det_json_close_object(json);
}

static void put_choice(struct det_json_writer *json, const struct det_review *review, size_t index)
{
    const struct det_chosen *c = &review->chosen[index];
    const struct det_labelled_image *image = &review->unlabelled->set.images[c->image];
    det_json_open_object(json, NULL);
    det_json_put_size(json, "rank", index + 1);
    det_json_put_string(json, "image", det_review_image_name(image));
    det_json_put_double(json, "uncertainty", short_share(c->uncertainty));
    det_json_put_double(json, "distance", isfinite(c->distance) ? short_share(c->distance) : -1);
    det_json_put_size(json, "detections", c->detection_count);
    det_json_close_object(json);
}

det_status det_review_json(det_review *review, const char **text)
{
    struct det_env *env = review != NULL ? review->env : NULL;
    struct det_json_writer json;
    if (text != NULL)
        *text = NULL;
    DET_NEED(env, review);
    DET_NEED(env, text);
    DET_TRY_RETURN(det_review_need_sets(review));
    review->text.length = 0;
    det_json_begin(&json, env, &review->text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_size(&json, "images", review->feature_count);
    det_json_put_size(&json, "rows", review->list.count);
    det_json_open_list(&json, "findings");
    const size_t count = det_review_telling(review, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        det_json_line(&json, 1);
        put_row(&json, review, i);
    }
    det_json_close_list(&json);
    if (review->unlabelled != NULL) {
        det_json_open_list(&json, "next");
        for (size_t i = 0; i < review->chosen_count; i++) {
            det_json_line(&json, 1);
            put_choice(&json, review, i);
        }
        det_json_close_list(&json);
    }
    det_json_close_object(&json);
    det_json_line(&json, 0);
    DET_TRY_RETURN(det_json_end(&json));
    *text = review->text.data;
    return DET_OK;
}

/* --- CSV --- */

static det_status csv_number(struct det_env *env, struct det_text *text, double value)
{
    char number[32];
    return det_text_printf(env, text, ",%s", det_format_double(number, short_share(value)));
}

static det_status csv_box(struct det_env *env, struct det_text *text, const double box[4],
                          bool is_there)
{
    for (int c = 0; c < 4; c++)
        DET_TRY_RETURN(is_there ? csv_number(env, text, box[c])
                                : det_text_append(env, text, ",", 1));
    return DET_OK;
}

static det_status csv_name(struct det_env *env, struct det_text *text, const char *name)
{
    DET_TRY_RETURN(det_text_append(env, text, ",", 1));
    return det_text_csv(env, text, name);
}

static det_status csv_row(struct det_env *env, const struct det_review *review, size_t rank,
                          struct det_text *text)
{
    const struct det_evidence *e = &review->list.rows[rank];
    const struct det_labelled_image *image = &review->set->set.images[e->image];
    const bool given = e->object >= 0, found = e->found_class >= 0;
    DET_TRY_RETURN(det_text_printf(env, text, "%zu,%s", rank + 1, det_review_kind_name(e->kind)));
    DET_TRY_RETURN(csv_number(env, text, e->suspicion));
    DET_TRY_RETURN(csv_name(env, text, det_review_image_name(image)));
    DET_TRY_RETURN(csv_name(env, text, review->set->set.splits.paths[image->split]));
    DET_TRY_RETURN(given ? det_text_printf(env, text, ",%lld", (long long)e->object)
                         : det_text_append(env, text, ",", 1));
    DET_TRY_RETURN(csv_name(env, text, det_review_class_name(review, e->class_index)));
    DET_TRY_RETURN(csv_box(env, text, e->box, given));
    DET_TRY_RETURN(csv_name(env, text, det_review_class_name(review, e->found_class)));
    DET_TRY_RETURN(csv_box(env, text, e->found_box, found));
    DET_TRY_RETURN(csv_number(env, text, e->score));
    DET_TRY_RETURN(csv_number(env, text, e->iou));
    return det_text_append(env, text, "\n", 1);
}

static det_status make_csv(struct det_review *review, size_t most, struct det_text *text)
{
    struct det_env *env = review->env;
    (void)most;
    DET_TRY_RETURN(det_text_printf(env, text,
                                   "rank,kind,suspicion,image,split,object,class,ymin,xmin,ymax,"
                                   "xmax,detected,detected_ymin,detected_xmin,detected_ymax,"
                                   "detected_xmax,score,iou\n"));
    for (size_t i = 0; i < review->list.count; i++)
        DET_TRY_RETURN(csv_row(env, review, i, text));
    return DET_OK;
}

/* --- CVAT --- */

static void begin_cvat(struct det_review *review, const char *task, struct det_text *text,
                       struct det_xml_writer *xml)
{
    const struct det_path_list *classes = &review->set->set.classes;
    det_xml_begin(xml, review->env, text);
    det_cvat_begin(xml, task, (const char *const *)classes->paths, classes->count);
}

static det_status cvat_as_given(struct det_review *review, size_t position, int64_t id,
                                struct det_xml_writer *xml)
{
    const struct det_annotations *set = &review->set->set;
    const struct det_labelled_image *image = &set->images[position];
    struct det_annotated_box *boxes = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_alloc(review->env, &boxes, image->object_count, sizeof *boxes, "boxes"));
    for (size_t i = 0; i < image->object_count; i++) {
        const struct det_labelled_object *o = &set->objects[image->first_object + i];
        double beyond = 0;
        /* What no file can say is check's to tell. */
        if (o->class_index < 0 || (det_box_faults(o->box, &beyond) & ~(unsigned)DET_BOX_OUTSIDE))
            continue;
        boxes[count] = (struct det_annotated_box){.class_index = o->class_index,
                                                  .label = set->classes.paths[o->class_index],
                                                  .difficult = o->difficult,
                                                  .is_crowd = o->is_crowd,
                                                  .group_of = o->group_of,
                                                  .truncated = o->truncated};
        memcpy(boxes[count++].box_norm, o->box, sizeof o->box);
    }
    const struct det_annotated_image annotated = {.id = id,
                                                  .name = det_review_image_name(image),
                                                  .subset = set->splits.paths[image->split],
                                                  .width = image->width_px,
                                                  .height = image->height_px,
                                                  .boxes = boxes,
                                                  .count = count};
    det_cvat_put_image(xml, &annotated);
    det_free(review->env, &boxes);
    return xml->status;
}

static det_status make_annotations(struct det_review *review, size_t most, struct det_text *text)
{
    struct det_env *env = review->env;
    struct det_xml_writer xml;
    bool *told = NULL;
    int64_t id = 0;
    const size_t count = det_review_telling(review, most);
    det_status status = DET_OK;
    DET_TRY_RETURN(
        det_alloc(env, &told, review->set->set.image_count, sizeof *told, "images told"));
    begin_cvat(review, "review", text, &xml);
    for (size_t i = 0; i < count; i++) {
        const size_t image = review->list.rows[i].image;
        if (!told[image])
            DET_TRY(cvat_as_given(review, image, id++, &xml));
        told[image] = true;
    }
    det_cvat_end(&xml);
    DET_TRY(det_xml_end(&xml));
fail:
    det_free(env, &told);
    return status;
}

static det_status cvat_as_detected(struct det_review *review, size_t index,
                                   struct det_xml_writer *xml)
{
    const struct det_chosen *c = &review->chosen[index];
    const struct det_labelled_image *image = &review->unlabelled->set.images[c->image];
    struct det_annotated_box *boxes = NULL;
    DET_TRY_RETURN(det_alloc(review->env, &boxes, c->detection_count, sizeof *boxes, "boxes"));
    for (size_t i = 0; i < c->detection_count; i++) {
        const det_detection *d = &c->detections[i];
        boxes[i] = (struct det_annotated_box){
            .class_index = d->class_id - 1,
            .label = det_review_class_name(review, d->class_id - 1),
            .box_norm = {(double)d->ymin, (double)d->xmin, (double)d->ymax, (double)d->xmax},
            .automatic = true};
    }
    const struct det_annotated_image annotated = {.id = (int64_t)index,
                                                  .name = det_review_image_name(image),
                                                  .width = image->width_px,
                                                  .height = image->height_px,
                                                  .boxes = boxes,
                                                  .count = c->detection_count};
    det_cvat_put_image(xml, &annotated);
    det_free(review->env, &boxes);
    return xml->status;
}

static det_status make_unlabelled(struct det_review *review, size_t most, struct det_text *text)
{
    struct det_xml_writer xml;
    (void)most;
    begin_cvat(review, "unlabelled", text, &xml);
    for (size_t i = 0; i < review->chosen_count; i++)
        DET_TRY_RETURN(cvat_as_detected(review, i, &xml));
    det_cvat_end(&xml);
    return det_xml_end(&xml);
}

/* --- all of them --- */

static const struct {
    const char *name;
    det_status (*make)(struct det_review *review, size_t most, struct det_text *text);
    bool of_choices;
} files[] = {
    {"review.html", det_review_page, false},
    {"review.csv", make_csv, false},
    {"annotations.xml", make_annotations, false},
    {"unlabelled.xml", make_unlabelled, true},
};

const char *det_review_file(size_t index)
{
    return index < sizeof files / sizeof *files ? files[index].name : NULL;
}

static det_status write_one(struct det_review *review, const char *folder, size_t most, size_t file)
{
    struct det_env *env = review->env;
    struct det_text text = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(files[file].make(review, most, &text));
    DET_TRY(det_path_join(env, &path, folder, files[file].name));
    DET_TRY(det_write_file(env, path, text.data, text.length));
fail:
    det_free(env, &path);
    det_text_free(env, &text);
    return status;
}

det_status det_review_write(det_review *review, const char *folder, size_t most)
{
    struct det_env *env = review != NULL ? review->env : NULL;
    DET_NEED(env, review);
    DET_NEED(env, folder);
    DET_TRY_RETURN(det_review_need_sets(review));
    DET_TRY_RETURN(det_make_directories(env, folder));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!files[i].of_choices || review->chosen_count > 0)
            DET_TRY_RETURN(write_one(review, folder, most, i));
    return DET_OK;
}
