#include "convert/writers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "data/exif.h"

#define JPEG_QUALITY 95

/* --- numbers and texts --- */

static char *format_fixed(char buffer[32], double value, int decimals)
{
    double scale = 1;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    if (!(fabs(value) * scale < 9e15)) {
        snprintf(buffer, 32, "0");
        return buffer;
    }
    const long long units = llround(value * scale), whole = units / (long long)scale;
    long long rest = units % (long long)scale;
    int digits = decimals;
    rest = rest < 0 ? -rest : rest;
    while (digits > 0 && rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    const char *sign = units < 0 && whole == 0 ? "-" : "";
    if (digits == 0)
        snprintf(buffer, 32, "%s%lld", units == 0 ? "" : sign, whole);
    else
        snprintf(buffer, 32, "%s%lld.%0*lld", sign, whole, digits, rest);
    return buffer;
}

char *det_format_pixels(char buffer[32], double value)
{
    return format_fixed(buffer, value, 3);
}

char *det_format_share(char buffer[32], double value)
{
    return format_fixed(buffer, value, 8);
}

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
        DET_TRY(det_text_printf(env, &text, "item {\n  id: %zu\n  name: \"", k + 1));
        for (const char *c = set->classes.paths[k]; *c != '\0'; c++) {
            if (*c == '\n')
                DET_TRY(det_text_append(env, &text, "\\n", 2));
            else if (*c == '"' || *c == '\\')
                DET_TRY(det_text_printf(env, &text, "\\%c", *c));
            else
                DET_TRY(det_text_append(env, &text, c, 1));
        }
        DET_TRY(det_text_append(env, &text, "\"\n}\n", 4));
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

det_status det_written_image_open(struct det_env *env, const struct det_labelled_image *image,
                                  bool in_record, struct det_written_image *written)
{
    const enum det_image_kind kind = det_written_kind(image, in_record);
    det_status status = DET_OK;
    size_t at = 0;
    *written = (struct det_written_image){0};
    DET_TRY_RETURN(det_source_bytes_open(env, image, &written->source));
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
    det_source_bytes_close(&written->source);
    det_free(env, &written->own);
    *written = (struct det_written_image){0};
}

det_status det_write_image_file(struct det_env *env, const struct det_write_settings *settings,
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
    DET_TRY(det_written_image_open(env, image, false, &written));
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

/* --- names --- */

static int64_t hash_name(const char *name, int32_t split)
{
    uint64_t hash = 14695981039346656037U + (uint64_t)split; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    return (int64_t)hash;
}

/* Length of a name without an image's extension. */
static size_t stem_length(const char *name)
{
    const char *extension = det_image_extension(name);
    return extension != NULL ? (size_t)(extension - name) : strlen(name);
}

/* The source's extension where it is right, so that a data set keeps its names. */
static const char *extension_of(const struct det_labelled_image *image, const char *name)
{
    const char *present = det_image_extension(name);
    const enum det_image_kind kind = det_written_kind(image, false);
    return present != NULL && det_image_kind_of_name(name) == kind ? present
                                                                   : det_image_kind_extension(kind);
}

det_status det_written_names(struct det_env *env, const struct det_annotations *set, bool per_split,
                             char ***names)
{
    struct det_id_map taken = {0};
    det_status status = DET_OK;
    *names = NULL;
    DET_TRY(det_alloc(env, names, set->image_count, sizeof **names, "file names"));
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        const char *name = image->name != NULL ? det_path_name(image->name) : "";
        const char *extension = extension_of(image, name);
        const int32_t split = per_split ? image->split : 0;
        const int stem = (int)stem_length(name);
        uint32_t other = 0;
        if (image->broken)
            continue;
        for (int n = 1; (*names)[i] == NULL; n++) {
            if (stem == 0 || name[0] == '.')
                DET_TRY(det_format(env, &(*names)[i], "image_%06zu%s", i + (size_t)n, extension));
            else if (n == 1)
                DET_TRY(det_format(env, &(*names)[i], "%.*s%s", stem, name, extension));
            else
                DET_TRY(det_format(env, &(*names)[i], "%.*s_%d%s", stem, name, n, extension));
            /* Names differ in their stems: labels and XML files have no extension of the image's. */
            char *key = NULL;
            DET_TRY(det_strndup(env, &key, (*names)[i], stem_length((*names)[i])));
            const int64_t hash = hash_name(key, split);
            det_free(env, &key);
            if (det_id_map_find(&taken, hash, &other))
                det_free(env, &(*names)[i]);
            else
                DET_TRY(det_id_map_add(env, &taken, hash, 0));
        }
    }
fail:
    det_id_map_free(env, &taken);
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
