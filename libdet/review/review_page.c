#include <math.h>
#include <stdio.h>

#include "convert/tile.h"
#include "review/boxed_picture.h"
#include "review/review.h"
#include "support/mem.h"

enum { SIDE_PX = 420, CONTEXT_BOXES = 200 };

struct page {
    struct det_review *review;
    struct det_env *env;
    struct det_xml_writer *xml;
    struct det_image image, small;
    size_t loaded; /* position of the picture in `image`, SIZE_MAX: none */
    const struct det_annotations *set;
    struct det_page_box *boxes;
    size_t capacity;
};

static void close_page(struct page *page)
{
    det_image_free(page->env, &page->image);
    det_image_free(page->env, &page->small);
    det_free(page->env, &page->boxes);
}

static det_status load(struct page *page, size_t image)
{
    if (page->loaded == image)
        return DET_OK;
    page->loaded = SIZE_MAX;
    DET_TRY_RETURN(
        det_labelled_image_load(page->env, page->set, &page->set->images[image], &page->image));
    page->loaded = image;
    return DET_OK;
}

/* Around both boxes, with as much again on each side, and no less than a quarter of the picture. */
static void region_of(const struct det_evidence *e, double region[4])
{
    const bool given = e->object >= 0, found = e->found_class >= 0;
    for (int c = 0; c < 4; c++) {
        const double a = given ? e->box[c] : e->found_box[c];
        const double b = found ? e->found_box[c] : e->box[c];
        region[c] = c < 2 ? fmin(a, b) : fmax(a, b);
    }
    for (int c = 0; c < 2; c++) {
        const double side = fmax(region[2 + c] - region[c], .08);
        region[c] = fmax(0, region[c] - side);
        region[2 + c] = fmin(1, region[2 + c] + side);
    }
}

static det_status put_one_box(struct page *page, const double box[4], const char *style,
                              const char *name, size_t *count)
{
    DET_TRY_RETURN(det_grow(page->env, &page->boxes, &page->capacity, *count + 1,
                            sizeof *page->boxes, "boxes of a picture"));
    struct det_page_box *to = &page->boxes[(*count)++];
    *to = (struct det_page_box){.style = style, .name = name};
    for (int c = 0; c < 4; c++)
        to->box[c] = box[c];
    return DET_OK;
}

/* The other boxes of the picture, for what is seen beside it, then these two. */
static det_status collect(struct page *page, const struct det_evidence *e, size_t *count)
{
    const struct det_labelled_image *image = &page->set->images[e->image];
    *count = 0;
    for (size_t i = 0; i < image->object_count && i < CONTEXT_BOXES; i++) {
        const struct det_labelled_object *o = &page->set->objects[image->first_object + i];
        if ((int64_t)i != e->object)
            DET_TRY_RETURN(put_one_box(page, o->box, "other",
                                       det_review_class_name(page->review, o->class_index), count));
    }
    if (e->found_class >= 0 && e->kind != DET_REVIEW_SPURIOUS)
        DET_TRY_RETURN(put_one_box(page, e->found_box, "found",
                                   det_review_class_name(page->review, e->found_class), count));
    if (e->object >= 0)
        DET_TRY_RETURN(put_one_box(page, e->box, "given",
                                   det_review_class_name(page->review, e->class_index), count));
    return DET_OK;
}

static void name(struct det_xml_writer *xml, const char *class_name)
{
    det_xml_open(xml, "b");
    det_xml_text_shown(xml, class_name);
    det_xml_close(xml);
}

static void tell(struct page *page, const struct det_evidence *e)
{
    struct det_xml_writer *xml = page->xml;
    const char *given = det_review_class_name(page->review, e->class_index);
    const char *found = det_review_class_name(page->review, e->found_class);
    char number[64];
    switch (e->kind) {
    case DET_REVIEW_MISSING:
        det_xml_text(xml, "no box, and ");
        name(xml, found);
        det_xml_text_printf(xml, " is detected, score %s", det_fixed_text(number, e->score, 2));
        break;
    case DET_REVIEW_RENAMED:
        det_xml_text(xml, "called ");
        name(xml, given);
        det_xml_text(xml, ", and ");
        name(xml, found);
        det_xml_text_printf(xml, " is detected, score %s", det_fixed_text(number, e->score, 2));
        break;
    case DET_REVIEW_MOVED:
        name(xml, given);
        det_xml_text_printf(xml, " is detected elsewhere, IoU %s",
                            det_fixed_text(number, e->iou, 2));
        break;
    case DET_REVIEW_SPURIOUS:
    case DET_REVIEW_AGREES:
        det_xml_text(xml, "box of ");
        name(xml, given);
        det_xml_text(xml, ", and nothing is detected there");
        break;
    }
}

static det_status put_row(struct page *page, size_t rank)
{
    const struct det_evidence *e = &page->review->list.rows[rank];
    const char *image = det_review_image_name(&page->set->images[e->image]);
    struct det_xml_writer *xml = page->xml;
    struct det_boxed boxed = {.image = &page->image, .side_px = SIDE_PX, .alt = image};
    char number[64];
    DET_TRY_RETURN(load(page, e->image));
    DET_TRY_RETURN(collect(page, e, &boxed.count));
    boxed.boxes = page->boxes;
    region_of(e, boxed.region);
    det_xml_open(xml, "figure");
    DET_TRY_RETURN(det_boxed_picture(xml, &page->small, &boxed));
    det_xml_open(xml, "figcaption");
    det_xml_text_printf(xml, "%zu. ", rank + 1);
    tell(page, e);
    det_xml_open(xml, "br");
    det_xml_close_empty(xml);
    det_xml_open(xml, "small");
    det_xml_text_printf(xml, "%s %s, ", det_review_kind_name(e->kind),
                        det_fixed_text(number, e->suspicion, 2));
    det_xml_text_shown(xml, image);
    if (e->object >= 0)
        det_xml_text_printf(xml, ", box %lld", (long long)e->object + 1);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
    return xml->status;
}

static det_status put_choice(struct page *page, size_t index)
{
    const struct det_chosen *c = &page->review->chosen[index];
    const char *image = det_review_image_name(&page->set->images[c->image]);
    struct det_xml_writer *xml = page->xml;
    struct det_boxed boxed = {.image = &page->image, .side_px = SIDE_PX, .alt = image};
    char doubt[64], away[64];
    DET_TRY_RETURN(load(page, c->image));
    for (size_t i = 0; i < c->detection_count; i++) {
        const det_detection *d = &c->detections[i];
        const double box[4] = {(double)d->ymin, (double)d->xmin, (double)d->ymax, (double)d->xmax};
        DET_TRY_RETURN(put_one_box(page, box, "found",
                                   det_review_class_name(page->review, d->class_id - 1),
                                   &boxed.count));
    }
    boxed.boxes = page->boxes;
    det_xml_open(xml, "figure");
    DET_TRY_RETURN(det_boxed_picture(xml, &page->small, &boxed));
    det_xml_open(xml, "figcaption");
    det_xml_text_printf(xml, "%zu. ", index + 1);
    name(xml, image);
    det_xml_open(xml, "br");
    det_xml_close_empty(xml);
    det_xml_open(xml, "small");
    det_xml_text_printf(
        xml, "doubt %s, distance %s, %zu detections", det_fixed_text(doubt, c->uncertainty, 2),
        isfinite(c->distance) ? det_fixed_text(away, c->distance, 1) : "-", c->detection_count);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
    return xml->status;
}

static void put_legend(struct det_xml_writer *xml)
{
    static const char *const lines[][2] = {
        {"given", "the box as given"}, {"found", "as detected"}, {"other", "other boxes"}};
    det_xml_open(xml, "p");
    det_xml_attribute(xml, "class", "legend");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        det_xml_open(xml, "span");
        det_xml_open(xml, "i");
        det_xml_attribute(xml, "class", lines[i][0]);
        det_xml_close(xml);
        det_xml_text(xml, lines[i][1]);
        det_xml_close(xml);
    }
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static void put_cards(const struct det_review *review, struct det_xml_writer *xml)
{
    size_t boxes = 0, counts[DET_REVIEW_MOVED + 1] = {0};
    char number[32];
    for (size_t i = 0; i < review->list.count; i++) {
        boxes += review->list.rows[i].object >= 0;
        counts[review->list.rows[i].kind] += review->list.rows[i].suspicion >= 0.5;
    }
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "cards");
    snprintf(number, sizeof number, "%zu", review->feature_count);
    det_page_card(xml, number, "pictures");
    snprintf(number, sizeof number, "%zu", boxes);
    det_page_card(xml, number, "boxes");
    for (int kind = DET_REVIEW_MISSING; kind <= DET_REVIEW_MOVED; kind++) {
        char what[64];
        snprintf(number, sizeof number, "%zu", counts[kind]);
        snprintf(what, sizeof what, "%s, suspicion .5 or more",
                 det_review_kind_name((det_review_kind)kind));
        det_page_card(xml, number, what);
    }
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static void open_looks(struct det_xml_writer *xml)
{
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "looks");
    det_xml_line(xml, 0);
}

static det_status put_rows(struct page *page, size_t most)
{
    struct det_xml_writer *xml = page->xml;
    const size_t count = det_review_telling(page->review, most);
    char note[200];
    snprintf(note, sizeof note,
             "The first %zu of %zu rows by falling suspicion; all of them are in review.csv, these "
             "pictures' boxes in annotations.xml, for CVAT.",
             count, page->review->list.count);
    det_page_section(xml, "Boxes to look at",
                     count > 0 ? note : "The model agrees with all boxes.");
    put_legend(xml);
    open_looks(xml);
    for (size_t i = 0; i < count; i++)
        DET_TRY_RETURN(put_row(page, i));
    det_xml_close(xml);
    det_xml_line(xml, 0);
    return xml->status;
}

static det_status put_choices(struct page *page)
{
    struct det_xml_writer *xml = page->xml;
    if (page->review->unlabelled == NULL)
        return DET_OK;
    page->set = &page->review->unlabelled->set;
    page->loaded = SIZE_MAX;
    det_page_section(xml, "Pictures to label next",
                     page->review->chosen_count > 0
                         ? "Those that the model doubts and that look unlike what is labelled or "
                           "stands before them. What is detected is in unlabelled.xml, to begin "
                           "from in CVAT."
                         : "Every picture is there already.");
    open_looks(xml);
    for (size_t i = 0; i < page->review->chosen_count; i++)
        DET_TRY_RETURN(put_choice(page, i));
    det_xml_close(xml);
    det_xml_line(xml, 0);
    return xml->status;
}

det_status det_review_page(struct det_review *review, size_t most, struct det_text *html)
{
    struct det_xml_writer xml;
    struct page page = {.review = review,
                        .env = review->env,
                        .xml = &xml,
                        .loaded = SIZE_MAX,
                        .set = &review->set->set};
    det_status status = DET_OK;
    det_xml_begin(&xml, review->env, html);
    det_page_begin(&xml, "Review of the labels", "As the model sees them", det_boxed_style);
    put_cards(review, &xml);
    DET_TRY(put_rows(&page, most));
    DET_TRY(put_choices(&page));
    det_page_end(&xml);
    status = det_xml_end(&xml);
fail:
    close_page(&page);
    return status;
}
