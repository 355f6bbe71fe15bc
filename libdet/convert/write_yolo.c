/* write_yolo.c: see writers.h. An image without boxes gets an empty label file. */
#include <string.h>

#include "convert/writers.h"
#include "support/mem.h"
#include "support/utf8.h"

static det_status write_labels(struct det_env *env, const struct det_write_settings *settings,
                               const struct det_annotations *set,
                               const struct det_labelled_image *image, const char *name)
{
    struct det_annotated_image annotated = {0};
    struct det_text text = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_annotated_image_open(env, set, image, name, &annotated));
    DET_TRY(det_yolo_txt(env, &text, &annotated));
    DET_TRY(det_format(env, &path, "labels/%s/%.*s.txt", set->splits.paths[image->split],
                       (int)det_path_stem_length(name), name));
    DET_TRY(det_write_text_file(env, settings, path, &text));
fail:
    det_annotated_image_close(env, &annotated);
    det_free(env, &path);
    det_text_free(env, &text);
    return status;
}

static bool split_is_used(const struct det_annotations *set, size_t split)
{
    for (size_t i = 0; i < set->image_count; i++)
        if (!set->images[i].broken && (size_t)set->images[i].split == split)
            return true;
    return false;
}

/* The keys that readers look for: other splits are listed by the nearest of them. */
static const char *key_of(const char *split)
{
    return strncmp(split, "val", 3) == 0    ? "val"
           : strncmp(split, "test", 4) == 0 ? "test"
                                            : "train";
}

/* A string of YAML in quotes. What is not printable there (YAML 1.1, 5.1) is escaped, a byte that
 * is no UTF-8 as in det_text_utf8(). */
static det_status put_string(struct det_env *env, struct det_text *text, const char *value)
{
    DET_TRY_RETURN(det_text_append(env, text, "\"", 1));
    while (*value != '\0') {
        uint32_t code = 0;
        char piece[4];
        const bool is_utf8 = det_utf8_next(value, &code) > 0;
        const size_t bytes = det_utf8_made(&value, piece);
        const bool printable = code >= 0x20 && !(code >= 0x7f && code < 0xa0) && code != 0xfeff &&
                               code != 0xfffe && code != 0xffff;
        if (is_utf8 && (code == '"' || code == '\\'))
            DET_TRY_RETURN(det_text_printf(env, text, "\\%c", (int)code));
        else if (is_utf8 && !printable)
            DET_TRY_RETURN(det_text_printf(env, text, "\\u%04x", (unsigned)code));
        else
            DET_TRY_RETURN(det_text_append(env, text, piece, bytes));
    }
    return det_text_append(env, text, "\"", 1);
}

/* Splits of one key are read as one. */
static uint64_t scope_of_key(const struct det_annotations *set, int32_t split)
{
    return (uint64_t)key_of(set->splits.paths[split])[0];
}

/* "images/SPLIT" as a string: a split may be called "a, b". */
static det_status put_folder(struct det_env *env, struct det_text *text, const char *split)
{
    char *folder = NULL;
    DET_TRY_RETURN(det_format(env, &folder, "images/%s", split));
    const det_status status = put_string(env, text, folder);
    det_free(env, &folder);
    return status;
}

static det_status write_yaml(struct det_env *env, const struct det_write_settings *settings,
                             const struct det_annotations *set)
{
    static const char *const keys[] = {"train", "val", "test"};
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text, "path: .\n"));
    for (size_t k = 0; k < 3; k++) {
        size_t count = 0;
        for (size_t split = 0; split < set->splits.count; split++) {
            if (strcmp(key_of(set->splits.paths[split]), keys[k]) != 0 ||
                !split_is_used(set, split))
                continue;
            DET_TRY(det_text_printf(env, &text, count++ == 0 ? "%s: [" : "%.0s, ", keys[k]));
            DET_TRY(put_folder(env, &text, set->splits.paths[split]));
        }
        DET_TRY(det_text_printf(env, &text, count > 0 ? "]\n" : ""));
    }
    DET_TRY(det_text_printf(env, &text, "nc: %zu\nnames:\n", set->classes.count));
    for (size_t k = 0; k < set->classes.count; k++) {
        DET_TRY(det_text_printf(env, &text, "  %zu: ", k));
        DET_TRY(put_string(env, &text, set->classes.paths[k]));
        DET_TRY(det_text_append(env, &text, "\n", 1));
    }
    DET_TRY(det_write_text_file(env, settings, "data.yaml", &text));
fail:
    det_text_free(env, &text);
    return status;
}

det_status det_write_yolo(struct det_env *env, const struct det_write_settings *settings,
                          const struct det_annotations *set, struct det_write_counts *counts)
{
    char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_written_names(env, set, scope_of_key, &names, counts));
    for (size_t i = 0; i < set->image_count; i++) {
        const struct det_labelled_image *image = &set->images[i];
        char *folder = NULL;
        if (image->broken)
            continue;
        DET_TRY(det_format(env, &folder, "images/%s", set->splits.paths[image->split]));
        status = det_write_image_file(env, settings, set, image, folder, names[i], counts);
        det_free(env, &folder);
        DET_TRY(status);
        DET_TRY(write_labels(env, settings, set, image, names[i]));
        counts->images++;
        counts->objects += image->object_count;
    }
    DET_TRY(write_yaml(env, settings, set));
fail:
    det_written_names_free(env, set, &names);
    return status;
}
