#include <stdio.h>
#include <string.h>

#include "data/image.h"
#include "monitor/page.h"
#include "monitor/plot_parts.h"

enum { MOST_PICTURES = 12, LINE_BYTES = 512 };

/* As a JPEG: a tenth of the PNG's size. One that cannot be decoded is left out with a warning. */
static det_status append_picture(struct det_plot *plot, const det_event *event, size_t blob)
{
    struct det_env *env = plot->env;
    struct det_xml_writer *xml = &plot->xml;
    struct det_image image = {0};
    det_status status = det_image_decode(env, event->tag, event->blobs[blob].data,
                                         event->blobs[blob].bytes, &image);
    if (status == DET_STATUS_CORRUPT || status == DET_STATUS_UNSUPPORTED) {
        det_log(env, DET_LOG_WARNING, "%s", env->error);
        det_forget_error(env);
        return DET_OK;
    }
    DET_TRY(status);
    DET_TRY(det_page_picture(xml, &image, event->tag));
    det_xml_line(xml, 0);
    status = xml->status;
fail:
    det_image_free(env, &image);
    return status;
}

static void open_section(struct det_xml_writer *xml, const char *title, const char *note,
                         const char *class)
{
    det_xml_element(xml, "h2", title);
    det_xml_open(xml, "p");
    det_xml_attribute(xml, "class", "note");
    det_xml_text(xml, note);
    det_xml_close(xml);
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", class);
    det_xml_line(xml, 0);
}

static void close_section(struct det_xml_writer *xml)
{
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

/* The newest pictures of the tags PREFIX 0 SUFFIX, PREFIX 1 SUFFIX, ... as a section; *any: there
 * were some. */
static det_status append_numbered(struct det_plot *plot, const char *prefix, const char *suffix,
                                  const char *title, const char *note, bool *any)
{
    *any = false;
    for (int i = 0; i < MOST_PICTURES; i++) {
        char tag[64], line[LINE_BYTES];
        snprintf(tag, sizeof tag, "%s%d%s", prefix, i, suffix);
        const det_event *event = det_plot_last(plot->eval, tag);
        if (event == NULL || event->kind != DET_EVENT_IMAGES)
            break;
        if (!*any) {
            snprintf(line, sizeof line, "Step %lld. %s", (long long)event->step, note);
            open_section(&plot->xml, title, line, "pictures");
        }
        *any = true;
        DET_TRY_RETURN(append_picture(plot, event, 0));
    }
    if (*any)
        close_section(&plot->xml);
    return plot->xml.status;
}

static det_status append_input(struct det_plot *plot)
{
    char line[LINE_BYTES];
    const det_event *event = det_plot_last(plot->train, "train_input_images");
    if (event == NULL || event->kind != DET_EVENT_IMAGES)
        return DET_OK;
    snprintf(line, sizeof line, "Step %lld, after augmentation, as the network sees it.",
             (long long)event->step);
    open_section(&plot->xml, "Training input", line, "pictures inputs");
    for (size_t i = 0; i < event->blob_count; i++)
        DET_TRY_RETURN(append_picture(plot, event, i));
    close_section(&plot->xml);
    return plot->xml.status;
}

det_status det_plot_append_pictures(struct det_plot *plot)
{
    bool best = false, worst = false;
    DET_TRY_RETURN(append_numbered(
        plot, "eval_worst/", "", "Worst detections",
        "Detections at the left, ground truth at the right; the number says how well the image "
        "went, from 0 to 1.",
        &worst));
    DET_TRY_RETURN(append_numbered(plot, "eval_best/", "", "Best detections",
                                   "Detections at the left, ground truth at the right.", &best));
    if (!best && !worst) /* TensorFlow writes these alone */
        DET_TRY_RETURN(append_numbered(plot, "eval_side_by_side_", "_0", "Detections",
                                       "Detections at the left, ground truth at the right.",
                                       &best));
    return append_input(plot);
}
