/* write_csv.c: see writers.h. */
#include <string.h>

#include "convert/writers.h"
#include "support/mem.h"

static det_status put_image(struct det_env *env, struct det_text *text,
                            const struct det_annotations *set,
                            const struct det_labelled_image *image, const char *name)
{
    const double w = image->width_px, h = image->height_px;
    for (size_t i = 0; i < image->object_count || i == 0; i++) {
        DET_TRY_RETURN(det_text_csv(env, text, name));
        DET_TRY_RETURN(det_text_printf(env, text, ",%d,%d,", image->width_px, image->height_px));
        if (image->object_count == 0)
            return det_text_printf(env, text, ",,,,,,,,\n");
        const struct det_labelled_object *object = &set->objects[image->first_object + i];
        const double *b = object->box;
        char n[4][32];
        DET_TRY_RETURN(det_text_csv(env, text, set->classes.paths[object->class_index]));
        DET_TRY_RETURN(det_text_printf(
            env, text, ",%s,%s,%s,%s,%d,%d,%d,%d\n", det_format_pixels(n[0], b[1] * w),
            det_format_pixels(n[1], b[0] * h), det_format_pixels(n[2], b[3] * w),
            det_format_pixels(n[3], b[2] * h), object->difficult, object->truncated,
            object->group_of, object->is_crowd));
    }
    return DET_OK;
}

static det_status write_split(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set, int32_t split, char **names,
                              struct det_write_counts *counts)
{
    struct det_text text = {0};
    char *path = NULL;
    size_t images = 0;
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text,
                            "filename,width,height,class,xmin,ymin,xmax,ymax,difficult,truncated,"
                            "group_of,is_crowd\n"));
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        if (image->broken || image->split != split)
            continue;
        DET_TRY(det_write_image_file(env, settings, set, image, "images", names[i], counts));
        DET_TRY(put_image(env, &text, set, image, det_name_to_write(settings, image, names[i])));
        images++;
        counts->objects += image->object_count;
    }
    counts->images += images;
    if (images > 0) {
        DET_TRY(det_format(env, &path, "%s.csv", set->splits.paths[split]));
        DET_TRY(det_write_text_file(env, settings, path, &text));
    }
fail:
    det_free(env, &path);
    det_text_free(env, &text);
    return status;
}

det_status det_write_csv(struct det_env *env, const struct det_write_settings *settings,
                         const struct det_annotations *set, struct det_write_counts *counts)
{
    char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_written_names(env, set, NULL, &names, counts));
    for (int32_t split = 0; split < (int32_t)set->splits.count; split++)
        DET_TRY(write_split(env, settings, set, split, names, counts));
fail:
    det_written_names_free(env, set, &names);
    return status;
}
