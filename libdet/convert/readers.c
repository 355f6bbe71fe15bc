#include "convert/readers.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/prototext.h"

bool det_parse_coordinate(const char *text, double *value)
{
    char digits[64];
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    while (length > 0 && strchr(" \t\r\n", text[0]) != NULL) {
        text++;
        length--;
    }
    *value = 0;
    if (length == 0 || length >= sizeof digits - 1)
        return false;
    char *to = digits;
    if (*text == '-' || *text == '+') {
        if (*text == '-')
            *to++ = '-';
        text++;
        length--;
    }
    /* 007 is seven here, not octal, and 0x10 no number. */
    while (length > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
        text++;
        length--;
    }
    if (length > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return false;
    if (length == 0 || text[length - 1] == 'f' || text[length - 1] == 'F')
        if (length != 3) /* "inf" */
            return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return det_parse_double(digits, value);
}

char *det_trimmed(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

bool det_next_line(char **text, char **line)
{
    if (**text == '\0')
        return false;
    *line = *text;
    const size_t length = strcspn(*text, "\n");
    *text += length + ((*text)[length] == '\n');
    (*line)[length] = '\0';
    if (length > 0 && (*line)[length - 1] == '\r')
        (*line)[length - 1] = '\0';
    return true;
}

det_status det_read_text(struct det_env *env, const char *path, char **text)
{
    struct det_file_map map;
    *text = NULL;
    DET_TRY_RETURN(det_file_map_open(env, path, &map));
    /* A UTF-8 mark at the start is no content. */
    const size_t skip = map.bytes >= 3 && memcmp(map.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    det_status status;
    const uint8_t *nul = map.bytes > 0 ? memchr(map.data, 0, map.bytes) : NULL;
    if (nul != NULL)
        status = det_fail(env, DET_STATUS_CORRUPT, "%s: byte %zu is zero: not a text file", path,
                          (size_t)(nul - map.data));
    else
        status = det_strndup(env, text, (const char *)map.data + skip, map.bytes - skip);
    det_file_map_close(&map);
    return status;
}

det_status det_split_of_path(struct det_env *env, const char *path, char **split)
{
    const char *name = det_path_name(path);
    static const char *const prefixes[] = {"instances_", "annotations_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0 && strlen(name) > length)
            name += length;
    }
    size_t length = strcspn(name, ".?*[@");
    /* train-00000-of-00010 */
    const char *shard = strstr(name, "-of-");
    if (shard != NULL && shard - name > 6 && (size_t)(shard - name) <= length && shard[-6] == '-')
        length = (size_t)(shard - name) - 6;
    return length > 0 ? det_strndup(env, split, name, length) : det_strdup(env, split, "data");
}

det_status det_set_split(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set, size_t image, const char *name)
{
    return det_annotations_split_index(env, set, settings->split != NULL ? settings->split : name,
                                       &set->images[image].split);
}

det_status det_find_class(struct det_env *env, const struct det_read_settings *settings,
                          struct det_annotations *set, const char *place, const char *name,
                          int32_t *class_index)
{
    *class_index = -1;
    if (name[0] == '\0') {
        det_finding(settings->findings, DET_RULE_CLASS_MISSING, "%s: has no class", place);
        return DET_OK;
    }
    DET_TRY_RETURN(det_annotations_class(env, set, name, class_index));
    if (*class_index < 0)
        det_finding(settings->findings, DET_RULE_CLASS_UNKNOWN,
                    "%s: class \"%.200s\" is not in the label map (%zu classes)", place, name,
                    set->classes.count);
    return DET_OK;
}

/* A name must not lead out of the folders that are searched. */
static bool stays_inside(const char *name)
{
    if (name[0] == '/')
        return false;
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += part[0] == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return false;
    }
    return true;
}

/* DIR/FOLDER/name, then without the name's folders; *path stays NULL when neither is there. */
static det_status look_in(struct det_env *env, const char *directory, const char *folder,
                          const char *name, char **path)
{
    const char *base = det_path_name(name);
    const char *const names[2] = {stays_inside(name) ? name : NULL, base != name ? base : NULL};
    for (int i = 0; i < 2 && *path == NULL; i++) {
        if (names[i] == NULL || names[i][0] == '\0')
            continue;
        DET_TRY_RETURN(folder[0] != '\0'
                           ? det_format(env, path, "%s/%s/%s", directory, folder, names[i])
                           : det_format(env, path, "%s/%s", directory, names[i]));
        if (!det_file_exists(*path) || det_is_directory(*path))
            det_free(env, path);
    }
    return DET_OK;
}

det_status det_find_image(struct det_env *env, const struct det_read_settings *settings,
                          const char *base, const char *split, struct det_labelled_image *image)
{
    static const char *const folders[] = {"",          "images",        "JPEGImages", "..",
                                          "../images", "../JPEGImages", "../img",     "img"};
    char *name = image->name;
    if (name == NULL || det_path_name(name)[0] == '\0') {
        det_finding(settings->findings, DET_RULE_IMAGE_MISSING, "%s: names no image file",
                    image->where);
        image->broken = true;
        return DET_OK;
    }
    for (char *at = name; *at != '\0'; at++) /* Windows */
        if (*at == '\\')
            *at = '/';
    for (size_t i = 0; i < settings->image_dir_count && image->path == NULL; i++)
        DET_TRY_RETURN(look_in(env, settings->image_dirs[i], "", name, &image->path));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && image->path == NULL; i++)
        DET_TRY_RETURN(look_in(env, base, folders[i], name, &image->path));
    static const char *const above[] = {"", "images/", "../", "../images/"};
    for (size_t i = 0; i < sizeof above / sizeof above[0] && image->path == NULL; i++) {
        char *folder = NULL;
        if (split == NULL || !stays_inside(split))
            break;
        DET_TRY_RETURN(det_format(env, &folder, "%s%s", above[i], split));
        const det_status status = look_in(env, base, folder, name, &image->path);
        det_free(env, &folder);
        DET_TRY_RETURN(status);
    }
    if (image->path != NULL)
        return DET_OK;
    image->broken = true;
    det_finding(settings->findings, DET_RULE_IMAGE_MISSING,
                "%s: image `%.300s` is neither in %.200s nor near it%s", image->where, name,
                settings->image_dir_count > 0 ? settings->image_dirs[0] : base,
                settings->image_dir_count > 0 ? "" : ": give its folder with --images DIR");
    return DET_OK;
}
