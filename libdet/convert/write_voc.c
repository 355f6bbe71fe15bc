/* write_voc.c: see writers.h. Coordinates are pixels as the API's create_pascal_tf_record.py takes them:
 * xmin = share * width, nothing added. */
#include <string.h>

#include "base/mem.h"
#include "convert/writers.h"

static det_status put_object(struct det_env *env, struct det_text *text,
                             const struct det_annotations *set,
                             const struct det_labelled_image *image,
                             const struct det_labelled_object *object)
{
    char n[4][32];
    const double w = image->width_px, h = image->height_px;
    DET_TRY_RETURN(det_text_printf(env, text, "\t<object>\n\t\t<name>"));
    DET_TRY_RETURN(det_text_xml(env, text, set->classes.paths[object->class_index]));
    DET_TRY_RETURN(det_text_printf(env, text,
                                   "</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>%d</"
                                   "truncated>\n\t\t<difficult>%d</difficult>\n",
                                   object->truncated, object->difficult));
    if (object->group_of)
        DET_TRY_RETURN(det_text_printf(env, text, "\t\t<group_of>1</group_of>\n"));
    if (object->is_crowd)
        DET_TRY_RETURN(det_text_printf(env, text, "\t\t<iscrowd>1</iscrowd>\n"));
    return det_text_printf(
        env, text,
        "\t\t<bndbox>\n\t\t\t<xmin>%s</xmin>\n\t\t\t<ymin>%s</ymin>\n\t\t\t<xmax>%s</xmax>\n"
        "\t\t\t<ymax>%s</ymax>\n\t\t</bndbox>\n\t</object>\n",
        det_format_pixels(n[0], object->box[1] * w), det_format_pixels(n[1], object->box[0] * h),
        det_format_pixels(n[2], object->box[3] * w), det_format_pixels(n[3], object->box[2] * h));
}

static det_status write_image(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set,
                              const struct det_labelled_image *image, char *name, const char *stem)
{
    struct det_text text = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(
        det_text_printf(env, &text, "<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>"));
    DET_TRY(det_text_xml(env, &text, det_name_to_write(settings, image, name)));
    DET_TRY(det_text_printf(env, &text, "</filename>\n"));
    DET_TRY(det_text_printf(env, &text,
                            "\t<size>\n\t\t<width>%d</width>\n\t\t<height>%d</height>\n"
                            "\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n",
                            image->width_px, image->height_px));
    for (size_t i = 0; i < image->object_count; i++)
        DET_TRY(put_object(env, &text, set, image, &set->objects[image->first_object + i]));
    DET_TRY(det_text_printf(env, &text, "</annotation>\n"));
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
        DET_TRY(det_strndup(env, &stems[i], names[i], (size_t)(strrchr(names[i], '.') - names[i])));
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
