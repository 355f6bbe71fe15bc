#include "formats/annotation_write.h"

#include <string.h>

/* As CVAT writes pixels, and as YOLO's files write shares. */
enum { PIXEL_DECIMALS = 2, SHARE_DECIMALS = 6 };

static const char *pixels(char buffer[64], float share, int32_t size)
{
    return det_fixed_text(buffer, (double)share * (double)size, PIXEL_DECIMALS);
}

static det_status flush(struct det_env *env, struct det_writer *writer, det_status status,
                        struct det_text *text)
{
    if (status == DET_OK)
        status = det_writer_write(env, writer, text->data, text->length);
    det_text_free(env, text);
    return status;
}

det_status det_cvat_xml_begin(struct det_env *env, struct det_writer *writer,
                              const char *const *labels, size_t label_count)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text,
                            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n"
                            "  <version>1.1</version>\n  <meta>\n    <task>\n      <labels>\n"));
    for (size_t i = 0; i < label_count; i++) {
        DET_TRY(det_text_printf(env, &text, "        <label>\n          <name>"));
        DET_TRY(det_text_xml(env, &text, labels[i]));
        DET_TRY(det_text_printf(
            env, &text, "</name>\n          <attributes></attributes>\n        </label>\n"));
    }
    DET_TRY(det_text_printf(env, &text, "      </labels>\n    </task>\n  </meta>\n"));
fail:
    return flush(env, writer, status, &text);
}

static det_status append_box(struct det_env *env, struct det_text *text,
                             const struct det_annotated_image *image,
                             const struct det_annotated_box *box)
{
    char n[4][64];
    DET_TRY_RETURN(det_text_printf(env, text, "    <box label=\""));
    DET_TRY_RETURN(det_text_xml(env, text, box->label));
    return det_text_printf(
        env, text,
        "\" source=\"%s\" occluded=\"0\" xtl=\"%s\" ytl=\"%s\" xbr=\"%s\" ybr=\"%s\" "
        "z_order=\"0\">\n    </box>\n",
        box->automatic ? "auto" : "manual", pixels(n[0], box->box_norm[1], image->width),
        pixels(n[1], box->box_norm[0], image->height), pixels(n[2], box->box_norm[3], image->width),
        pixels(n[3], box->box_norm[2], image->height));
}

det_status det_cvat_xml_image(struct det_env *env, struct det_writer *writer,
                              const struct det_annotated_image *image)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text, "  <image id=\"%lld\" name=\"", (long long)image->id));
    DET_TRY(det_text_xml(env, &text, image->name));
    DET_TRY(det_text_printf(env, &text, "\" width=\"%d\" height=\"%d\">\n", image->width,
                            image->height));
    for (size_t i = 0; i < image->count; i++)
        DET_TRY(append_box(env, &text, image, &image->boxes[i]));
    DET_TRY(det_text_printf(env, &text, "  </image>\n"));
fail:
    return flush(env, writer, status, &text);
}

det_status det_cvat_xml_end(struct det_env *env, struct det_writer *writer)
{
    static const char end[] = "</annotations>\n";
    return det_writer_write(env, writer, end, sizeof end - 1);
}

static const char *share(char buffer[64], float value)
{
    return det_fixed_text(buffer, (double)value, SHARE_DECIMALS);
}

det_status det_yolo_txt(struct det_env *env, struct det_text *text,
                        const struct det_annotated_image *image)
{
    DET_TRY_RETURN(det_text_append(env, text, "", 0));
    for (size_t i = 0; i < image->count; i++) {
        const float *b = image->boxes[i].box_norm;
        char n[4][64];
        DET_TRY_RETURN(det_text_printf(env, text, "%d %s %s %s %s\n", image->boxes[i].class_index,
                                       share(n[0], (b[1] + b[3]) / 2),
                                       share(n[1], (b[0] + b[2]) / 2), share(n[2], b[3] - b[1]),
                                       share(n[3], b[2] - b[0])));
    }
    return DET_OK;
}
