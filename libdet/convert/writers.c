#include "convert/writers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/exif.h"
#include "formats/prototext.h"
#include "support/guard.h"
#include "support/mem.h"

#define JPEG_QUALITY 95

/* --- files --- */

det_status det_write_text_file(struct det_env *env, const struct det_write_settings *settings,
                               const char *name, const struct det_text *text)
{
    char *path = NULL, *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &path, settings->directory, name));
    DET_TRY(det_path_directory(env, &folder, path));
    DET_TRY(det_make_directories(env, folder));
    DET_TRY(det_write_file(env, path, text->data != NULL ? text->data : "", text->length));
fail:
    det_free(env, &folder);
    det_free(env, &path);
    return status;
}

det_status det_write_label_map(struct det_env *env, const struct det_annotations *set,
                               const char *path)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    for (size_t k = 0; k < set->classes.count; k++) {
        DET_TRY(det_text_printf(env, &text, "item {\n  id: %zu\n  name: ", k + 1));
        DET_TRY(det_prototext_put_string(env, &text, set->classes.paths[k]));
        DET_TRY(det_text_append(env, &text, "\n}\n", 3));
    }
    DET_TRY(det_write_file(env, path, text.data != NULL ? text.data : "", text.length));
fail:
    det_text_free(env, &text);
    return status;
}

/* --- images --- */

enum det_image_kind det_written_kind(const struct det_labelled_image *image, bool in_record)
{
    const bool encodable = image->kind == DET_IMAGE_JPEG || image->kind == DET_IMAGE_PNG;
    return encodable || (image->turn == 1 && !in_record) ? image->kind : DET_IMAGE_PNG;
}

static det_status encode(struct det_env *env, const struct det_labelled_image *image,
                         enum det_image_kind kind, struct det_written_image *written)
{
    struct det_image pixels = {0};
    det_status status = DET_OK;
    DET_TRY(
        det_image_decode(env, image->where, written->source.data, written->source.bytes, &pixels));
    DET_TRY(det_exif_turn(env, &pixels, image->turn));
    DET_TRY(
        kind == DET_IMAGE_PNG
            ? det_image_encode_png(env, &pixels, &written->own, &written->bytes)
            : det_image_encode_jpeg(env, &pixels, JPEG_QUALITY, &written->own, &written->bytes));
    written->encoded = true;
fail:
    det_image_free(env, &pixels);
    return status;
}

det_status det_written_image_open(struct det_env *env, const struct det_annotations *set,
                                  const struct det_labelled_image *image, bool in_record,
                                  struct det_written_image *written)
{
    const enum det_image_kind kind = det_written_kind(image, in_record);
    det_status status = DET_OK;
    size_t at = 0;
    *written = (struct det_written_image){0};
    DET_TRY_RETURN(det_image_bytes_open(env, set, image, &written->source));
    const uint8_t *data = written->source.data;
    written->bytes = written->source.bytes;
    const bool tagged = det_exif_orientation(data, written->source.bytes, &at) != 1;
    if (image->turn != 1 || kind != image->kind || (tagged && at == 0)) {
        DET_TRY(encode(env, image, kind, written));
    } else if (tagged) {
        DET_TRY(det_alloc_raw(env, &written->own, written->source.bytes, 1, "image"));
        memcpy(written->own, data, written->source.bytes);
        written->own[at] = 1;
    }
    written->data = written->own != NULL ? written->own : data;
    return DET_OK;
fail:
    det_written_image_close(env, written);
    return status;
}

void det_written_image_close(struct det_env *env, struct det_written_image *written)
{
    det_source_bytes_close(env, &written->source);
    det_free(env, &written->own);
    *written = (struct det_written_image){0};
}

det_status det_write_image_file(struct det_env *env, const struct det_write_settings *settings,
                                const struct det_annotations *set,
                                const struct det_labelled_image *image, const char *folder,
                                const char *name, struct det_write_counts *counts)
{
    struct det_written_image written = {0};
    char *directory = NULL, *path = NULL;
    det_status status = DET_OK;
    if (settings->without_images)
        return DET_OK;
    DET_TRY(det_path_join(env, &directory, settings->directory, folder));
    DET_TRY(det_make_directories(env, directory));
    DET_TRY(det_path_join(env, &path, directory, name));
    if (!det_guard_rehearses(env))
        DET_TRY(det_written_image_open(env, set, image, false, &written));
    DET_TRY(det_write_file(env, path, written.data, written.bytes));
    if (written.encoded)
        counts->encoded++;
    else
        counts->copied++;
fail:
    det_written_image_close(env, &written);
    det_free(env, &path);
    det_free(env, &directory);
    return status;
}

/* --- boxes --- */

det_status det_annotated_image_open(struct det_env *env, const struct det_annotations *set,
                                    const struct det_labelled_image *image, const char *name,
                                    struct det_annotated_image *annotated)
{
    struct det_annotated_box *boxes = NULL;
    annotated->boxes = NULL;
    DET_TRY_RETURN(det_alloc(env, &boxes, image->object_count, sizeof *boxes, "boxes"));
    for (size_t i = 0; i < image->object_count; i++) {
        const struct det_labelled_object *object = &set->objects[image->first_object + i];
        boxes[i] = (struct det_annotated_box){.class_index = object->class_index,
                                              .label = set->classes.paths[object->class_index],
                                              .difficult = object->difficult,
                                              .is_crowd = object->is_crowd,
                                              .group_of = object->group_of,
                                              .truncated = object->truncated};
        memcpy(boxes[i].box_norm, object->box, sizeof boxes[i].box_norm);
    }
    *annotated = (struct det_annotated_image){.id = annotated->id,
                                              .name = name,
                                              .subset = set->splits.paths[image->split],
                                              .width = image->width_px,
                                              .height = image->height_px,
                                              .boxes = boxes,
                                              .count = image->object_count};
    return DET_OK;
}

void det_annotated_image_close(struct det_env *env, struct det_annotated_image *annotated)
{
    det_free(env, &annotated->boxes);
    annotated->count = 0;
}

/* --- names --- */

/* The source's extension where it is right, so that a data set keeps its names. */
static const char *extension_of(const struct det_labelled_image *image, const char *present)
{
    const enum det_image_kind kind = det_written_kind(image, false);
    return present != NULL && det_image_kind_of_name(present) == kind
               ? present
               : det_image_kind_extension(kind);
}

static det_status write_name(struct det_env *env, struct det_name_set *taken,
                             const struct det_labelled_image *image, size_t number, uint64_t scope,
                             char **name)
{
    const char *given = image->name != NULL ? det_path_name(image->name) : "";
    const char *present = det_image_extension(given);
    const size_t length = present != NULL ? (size_t)(present - given) : strlen(given);
    char *stem = NULL, *safe = NULL, *unique = NULL;
    det_status status = DET_OK;
    DET_TRY(length > 0 ? det_strndup(env, &stem, given, length)
                       : det_format(env, &stem, "image_%06zu", number));
    DET_TRY(det_safe_name(env, stem, &safe));
    DET_TRY(det_name_set_unique(env, taken, scope, safe, &unique));
    DET_TRY(det_format(env, name, "%s%s", unique, extension_of(image, present)));
fail:
    det_free(env, &unique);
    det_free(env, &safe);
    det_free(env, &stem);
    return status;
}

uint64_t det_scope_of_split(const struct det_annotations *set, int32_t split)
{
    (void)set;
    return (uint64_t)split;
}

det_status det_written_names(struct det_env *env, const struct det_annotations *set,
                             det_name_scope scope, char ***names, struct det_write_counts *counts)
{
    struct det_name_set taken = {0};
    det_status status = DET_OK;
    *names = NULL;
    DET_TRY(det_alloc(env, names, set->image_count, sizeof **names, "file names"));
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        if (image->broken)
            continue;
        DET_TRY(write_name(env, &taken, image, i + 1, scope != NULL ? scope(set, image->split) : 0,
                           &(*names)[i]));
        counts->renamed +=
            image->name == NULL || strcmp(det_path_name(image->name), (*names)[i]) != 0;
    }
fail:
    det_name_set_free(env, &taken);
    if (status != DET_OK)
        det_written_names_free(env, set, names);
    return status;
}

void det_written_names_free(struct det_env *env, const struct det_annotations *set, char ***names)
{
    for (size_t i = 0; *names != NULL && i < set->image_count; i++)
        det_free(env, &(*names)[i]);
    det_free(env, names);
}

char *det_name_to_write(const struct det_write_settings *settings,
                        const struct det_labelled_image *image, char *written)
{
    return settings->without_images && image->name != NULL ? image->name : written;
}
