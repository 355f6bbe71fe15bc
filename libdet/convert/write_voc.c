/* write_voc.c: see writers.h. Coordinates are pixels as the API's create_pascal_tf_record.py takes
 * them: xmin = share * width, nothing added. */
#include <stdio.h>
#include <string.h>

#include "convert/writers.h"
#include "support/mem.h"

/* An element in a line of its own; `line` is the line end with its tabs. */
static void put_field(struct det_xml_writer *xml, const char *line, const char *element,
                      const char *value)
{
    det_xml_made(xml, line);
    det_xml_element(xml, element, value);
}

static void put_int(struct det_xml_writer *xml, const char *line, const char *element, int value)
{
    char number[16];
    snprintf(number, sizeof number, "%d", value);
    put_field(xml, line, element, number);
}

static void put_corner(struct det_xml_writer *xml, const char *element, double share, int32_t size)
{
    char number[32];
    put_field(xml, "\n\t\t\t", element, det_format_pixels(number, share * (double)size));
}

static void put_object(struct det_xml_writer *xml, const struct det_annotations *set,
                       const struct det_labelled_image *image,
                       const struct det_labelled_object *object)
{
    static const char line[] = "\n\t\t";
    det_xml_made(xml, "\n\t");
    det_xml_open(xml, "object");
    put_field(xml, line, "name", set->classes.paths[object->class_index]);
    put_field(xml, line, "pose", "Unspecified");
    put_int(xml, line, "truncated", object->truncated);
    put_int(xml, line, "difficult", object->difficult);
    if (object->group_of)
        put_int(xml, line, "group_of", 1);
    if (object->is_crowd)
        put_int(xml, line, "iscrowd", 1);
    det_xml_made(xml, line);
    det_xml_open(xml, "bndbox");
    put_corner(xml, "xmin", object->box[1], image->width_px);
    put_corner(xml, "ymin", object->box[0], image->height_px);
    put_corner(xml, "xmax", object->box[3], image->width_px);
    put_corner(xml, "ymax", object->box[2], image->height_px);
    det_xml_made(xml, line);
    det_xml_close(xml);
    det_xml_made(xml, "\n\t");
    det_xml_close(xml);
}

static det_status append_image(struct det_env *env, const struct det_annotations *set,
                               const struct det_labelled_image *image, const char *name,
                               struct det_text *text)
{
    struct det_xml_writer xml;
    det_xml_begin(&xml, env, text);
    det_xml_open(&xml, "annotation");
    put_field(&xml, "\n\t", "folder", "JPEGImages");
    put_field(&xml, "\n\t", "filename", name);
    det_xml_made(&xml, "\n\t");
    det_xml_open(&xml, "size");
    put_int(&xml, "\n\t\t", "width", image->width_px);
    put_int(&xml, "\n\t\t", "height", image->height_px);
    put_int(&xml, "\n\t\t", "depth", 3);
    det_xml_made(&xml, "\n\t");
    det_xml_close(&xml);
    put_int(&xml, "\n\t", "segmented", 0);
    for (size_t i = 0; i < image->object_count; i++)
        put_object(&xml, set, image, &set->objects[image->first_object + i]);
    det_xml_line(&xml, 0);
    det_xml_close(&xml);
    det_xml_line(&xml, 0);
    return det_xml_end(&xml);
}

static det_status write_image(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set,
                              const struct det_labelled_image *image, char *name, const char *stem)
{
    struct det_text text = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(append_image(env, set, image, det_name_to_write(settings, image, name), &text));
    DET_TRY(det_format(env, &path, "Annotations/%s.xml", stem));
    DET_TRY(det_write_text_file(env, settings, path, &text));
fail:
    det_free(env, &path);
    det_text_free(env, &text);
    return status;
}

/* ImageSets/Main/SPLIT.txt: a stem a line. */
static det_status write_lists(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set, char **stems)
{
    for (int32_t split = 0; split < (int32_t)set->splits.count; split++) {
        struct det_text text = {0};
        char *path = NULL;
        det_status status = DET_OK;
        for (size_t i = 0; i < set->image_count && status == DET_OK; i++)
            if (!set->images[i].broken && set->images[i].split == split)
                status = det_text_printf(env, &text, "%s\n", stems[i]);
        if (status == DET_OK && text.length > 0)
            status = det_format(env, &path, "ImageSets/Main/%s.txt", set->splits.paths[split]);
        if (status == DET_OK && path != NULL)
            status = det_write_text_file(env, settings, path, &text);
        det_free(env, &path);
        det_text_free(env, &text);
        DET_TRY_RETURN(status);
    }
    return DET_OK;
}

det_status det_write_voc(struct det_env *env, const struct det_write_settings *settings,
                         const struct det_annotations *set, struct det_write_counts *counts)
{
    char **names = NULL, **stems = NULL, *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_written_names(env, set, NULL, &names, counts));
    DET_TRY(det_alloc(env, &stems, set->image_count, sizeof *stems, "file names"));
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        if (image->broken)
            continue;
        DET_TRY(det_strndup(env, &stems[i], names[i], det_path_stem_length(names[i])));
        DET_TRY(det_write_image_file(env, settings, set, image, "JPEGImages", names[i], counts));
        DET_TRY(write_image(env, settings, set, image, names[i], stems[i]));
        counts->images++;
        counts->objects += image->object_count;
    }
    DET_TRY(write_lists(env, settings, set, stems));
    DET_TRY(det_path_join(env, &path, settings->directory, "label_map.pbtxt"));
    DET_TRY(det_write_label_map(env, set, path));
fail:
    det_free(env, &path);
    for (size_t i = 0; stems != NULL && i < set->image_count; i++)
        det_free(env, &stems[i]);
    det_free(env, &stems);
    det_written_names_free(env, set, &names);
    return status;
}
