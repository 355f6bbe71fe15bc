/* write_cvat.c: see writers.h and formats/annotation_write.h. */
#include "convert/writers.h"
#include "support/mem.h"

/* Image files beside the annotations, and their elements. */
static det_status write_image(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set,
                              const struct det_labelled_image *image, char *name,
                              struct det_xml_writer *xml, struct det_write_counts *counts)
{
    struct det_annotated_image annotated = {.id = (int64_t)counts->images};
    char *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_format(env, &folder, "images/%s", set->splits.paths[image->split]));
    DET_TRY(det_write_image_file(env, settings, set, image, folder, name, counts));
    DET_TRY(det_annotated_image_open(env, set, image, det_name_to_write(settings, image, name),
                                     &annotated));
    det_cvat_put_image(xml, &annotated);
    counts->images++;
    counts->objects += image->object_count;
fail:
    det_annotated_image_close(env, &annotated);
    det_free(env, &folder);
    return status;
}

det_status det_write_cvat(struct det_env *env, const struct det_write_settings *settings,
                          const struct det_annotations *set, struct det_write_counts *counts)
{
    struct det_text text = {0};
    struct det_xml_writer xml;
    char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_written_names(env, set, det_scope_of_split, &names, counts));
    det_xml_begin(&xml, env, &text);
    det_cvat_begin(&xml, settings->name != NULL ? settings->name : "libdet",
                   (const char *const *)set->classes.paths, set->classes.count);
    for (size_t i = 0; i < set->image_count; i++)
        if (!set->images[i].broken)
            DET_TRY(write_image(env, settings, set, &set->images[i], names[i], &xml, counts));
    det_cvat_end(&xml);
    DET_TRY(det_xml_end(&xml));
    DET_TRY(det_write_text_file(env, settings, "annotations.xml", &text));
fail:
    det_written_names_free(env, set, &names);
    det_text_free(env, &text);
    return status;
}
