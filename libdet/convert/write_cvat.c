/* write_cvat.c: see writers.h. What CVAT's boxes have no place for (difficult, crowd, group) are attributes
 * of the box, as CVAT writes those that a label defines. */
#include "base/mem.h"
#include "convert/writers.h"

static det_status put_label(struct det_env *env, struct det_text *text, const char *name)
{
    static const char *const attributes[] = {"difficult", "is_crowd", "group_of", "truncated"};
    DET_TRY_RETURN(det_text_printf(env, text, "        <label>\n          <name>"));
    DET_TRY_RETURN(det_text_xml(env, text, name));
    DET_TRY_RETURN(det_text_printf(
        env, text, "</name>\n          <type>rectangle</type>\n          <attributes>\n"));
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        DET_TRY_RETURN(
            det_text_printf(env, text,
                            "            <attribute><name>%s</name><mutable>False</mutable>"
                            "<input_type>checkbox</input_type><default_value>false</default_value>"
                            "<values>false</values></attribute>\n",
                            attributes[i]));
    return det_text_printf(env, text, "          </attributes>\n        </label>\n");
}

static det_status put_box(struct det_env *env, struct det_text *text,
                          const struct det_annotations *set, const struct det_labelled_image *image,
                          const struct det_labelled_object *object)
{
    const double w = image->width_px, h = image->height_px, *b = object->box;
    const struct {
        const char *name;
        bool is;
    } flags[] = {{"difficult", object->difficult},
                 {"is_crowd", object->is_crowd},
                 {"group_of", object->group_of},
                 {"truncated", object->truncated}};
    char n[4][32];
    DET_TRY_RETURN(det_text_printf(env, text, "    <box label=\""));
    DET_TRY_RETURN(det_text_xml(env, text, set->classes.paths[object->class_index]));
    DET_TRY_RETURN(
        det_text_printf(env, text,
                        "\" source=\"manual\" occluded=\"0\" xtl=\"%s\" ytl=\"%s\" xbr=\"%s\" "
                        "ybr=\"%s\" z_order=\"0\">\n",
                        det_format_pixels(n[0], b[1] * w), det_format_pixels(n[1], b[0] * h),
                        det_format_pixels(n[2], b[3] * w), det_format_pixels(n[3], b[2] * h)));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].is)
            DET_TRY_RETURN(det_text_printf(
                env, text, "      <attribute name=\"%s\">true</attribute>\n", flags[i].name));
    return det_text_printf(env, text, "    </box>\n");
}

static det_status put_image(struct det_env *env, struct det_text *text,
                            const struct det_annotations *set,
                            const struct det_labelled_image *image, const char *name, size_t id)
{
    DET_TRY_RETURN(det_text_printf(env, text, "  <image id=\"%zu\" name=\"", id));
    DET_TRY_RETURN(det_text_xml(env, text, name));
    DET_TRY_RETURN(det_text_printf(env, text, "\" subset=\""));
    DET_TRY_RETURN(det_text_xml(env, text, set->splits.paths[image->split]));
    DET_TRY_RETURN(det_text_printf(env, text, "\" width=\"%d\" height=\"%d\">\n", image->width_px,
                                   image->height_px));
    for (size_t i = 0; i < image->object_count; i++)
        DET_TRY_RETURN(put_box(env, text, set, image, &set->objects[image->first_object + i]));
    return det_text_printf(env, text, "  </image>\n");
}

static det_status put_meta(struct det_env *env, struct det_text *text,
                           const struct det_annotations *set, const char *name)
{
    DET_TRY_RETURN(det_text_printf(env, text,
                                   "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n"
                                   "  <version>1.1</version>\n  <meta>\n    <task>\n      <name>"));
    DET_TRY_RETURN(det_text_xml(env, text, name != NULL ? name : "libdet"));
    DET_TRY_RETURN(det_text_printf(env, text, "</name>\n      <labels>\n"));
    for (size_t k = 0; k < set->classes.count; k++)
        DET_TRY_RETURN(put_label(env, text, set->classes.paths[k]));
    return det_text_printf(env, text, "      </labels>\n    </task>\n  </meta>\n");
}

det_status det_write_cvat(struct det_env *env, const struct det_write_settings *settings,
                          const struct det_annotations *set, struct det_write_counts *counts)
{
    struct det_text text = {0};
    char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_written_names(env, set, det_scope_of_split, &names, counts));
    DET_TRY(put_meta(env, &text, set, settings->name));
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        char *folder = NULL;
        if (image->broken)
            continue;
        DET_TRY(det_format(env, &folder, "images/%s", set->splits.paths[image->split]));
        status = det_write_image_file(env, settings, set, image, folder, names[i], counts);
        det_free(env, &folder);
        DET_TRY(status);
        DET_TRY(put_image(env, &text, set, image, det_name_to_write(settings, image, names[i]),
                          counts->images));
        counts->images++;
        counts->objects += image->object_count;
    }
    DET_TRY(det_text_printf(env, &text, "</annotations>\n"));
    DET_TRY(det_write_text_file(env, settings, "annotations.xml", &text));
fail:
    det_written_names_free(env, set, &names);
    det_text_free(env, &text);
    return status;
}
