#include "formats/annotation_write.h"

static void put_flag_of_label(struct det_xml_writer *xml, const char *flag)
{
    det_xml_line(xml, 12);
    det_xml_open(xml, "attribute");
    det_xml_element(xml, "name", flag);
    det_xml_element(xml, "mutable", "False");
    det_xml_element(xml, "input_type", "checkbox");
    det_xml_element(xml, "default_value", "false");
    det_xml_element(xml, "values", "false");
    det_xml_close(xml);
}

static void put_label(struct det_xml_writer *xml, const char *name)
{
    static const char *const flags[] = {"difficult", "is_crowd", "group_of", "truncated"};
    det_xml_line(xml, 8);
    det_xml_open(xml, "label");
    det_xml_line(xml, 10);
    det_xml_element(xml, "name", name);
    det_xml_line(xml, 10);
    det_xml_element(xml, "type", "rectangle");
    det_xml_line(xml, 10);
    det_xml_open(xml, "attributes");
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        put_flag_of_label(xml, flags[i]);
    det_xml_line(xml, 10);
    det_xml_close(xml);
    det_xml_line(xml, 8);
    det_xml_close(xml);
}

void det_cvat_begin(struct det_xml_writer *xml, const char *task, const char *const *labels,
                    size_t label_count)
{
    det_xml_made(xml, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    det_xml_open(xml, "annotations");
    det_xml_line(xml, 2);
    det_xml_element(xml, "version", "1.1");
    det_xml_line(xml, 2);
    det_xml_open(xml, "meta");
    det_xml_line(xml, 4);
    det_xml_open(xml, "task");
    det_xml_line(xml, 6);
    if (task != NULL) {
        det_xml_element(xml, "name", task);
        det_xml_line(xml, 6);
    }
    det_xml_open(xml, "labels");
    for (size_t i = 0; i < label_count; i++)
        put_label(xml, labels[i]);
    det_xml_line(xml, 6);
    det_xml_close(xml);
    det_xml_line(xml, 4);
    det_xml_close(xml);
    det_xml_line(xml, 2);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static void put_flag(struct det_xml_writer *xml, const char *name, bool is)
{
    if (!is)
        return;
    det_xml_made(xml, "  ");
    det_xml_open(xml, "attribute");
    det_xml_attribute(xml, "name", name);
    det_xml_text(xml, "true");
    det_xml_close(xml);
    det_xml_line(xml, 4);
}

static void put_pixels(struct det_xml_writer *xml, const char *name, double share, int32_t size)
{
    char number[32];
    det_xml_attribute(xml, name, det_format_pixels(number, share * (double)size));
}

static void put_box(struct det_xml_writer *xml, const struct det_annotated_image *image,
                    const struct det_annotated_box *box)
{
    det_xml_made(xml, "    ");
    det_xml_open(xml, "box");
    det_xml_attribute(xml, "label", box->label);
    det_xml_attribute(xml, "source", box->automatic ? "auto" : "manual");
    det_xml_attribute_int(xml, "occluded", 0);
    put_pixels(xml, "xtl", box->box_norm[1], image->width);
    put_pixels(xml, "ytl", box->box_norm[0], image->height);
    put_pixels(xml, "xbr", box->box_norm[3], image->width);
    put_pixels(xml, "ybr", box->box_norm[2], image->height);
    det_xml_attribute_int(xml, "z_order", 0);
    det_xml_line(xml, 4);
    put_flag(xml, "difficult", box->difficult);
    put_flag(xml, "is_crowd", box->is_crowd);
    put_flag(xml, "group_of", box->group_of);
    put_flag(xml, "truncated", box->truncated);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

void det_cvat_put_image(struct det_xml_writer *xml, const struct det_annotated_image *image)
{
    det_xml_made(xml, "  ");
    det_xml_open(xml, "image");
    det_xml_attribute_int(xml, "id", image->id);
    det_xml_attribute(xml, "name", image->name);
    if (image->subset != NULL)
        det_xml_attribute(xml, "subset", image->subset);
    det_xml_attribute_int(xml, "width", image->width);
    det_xml_attribute_int(xml, "height", image->height);
    det_xml_line(xml, 0);
    for (size_t i = 0; i < image->count; i++)
        put_box(xml, image, &image->boxes[i]);
    det_xml_made(xml, "  ");
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

void det_cvat_end(struct det_xml_writer *xml)
{
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

det_status det_yolo_txt(struct det_env *env, struct det_text *text,
                        const struct det_annotated_image *image)
{
    DET_TRY_RETURN(det_text_append(env, text, "", 0));
    for (size_t i = 0; i < image->count; i++) {
        const double *b = image->boxes[i].box_norm;
        char n[4][32];
        DET_TRY_RETURN(det_text_printf(
            env, text, "%d %s %s %s %s\n", (int)image->boxes[i].class_index,
            det_format_share(n[0], (b[1] + b[3]) / 2), det_format_share(n[1], (b[0] + b[2]) / 2),
            det_format_share(n[2], b[3] - b[1]), det_format_share(n[3], b[2] - b[0])));
    }
    return DET_OK;
}
