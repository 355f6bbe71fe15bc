#include "convert/readers.h"

#include <math.h>
#include <string.h>

#include "formats/prototext.h"
#include "support/encoding.h"
#include "support/mem.h"

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

det_status det_read_text(struct det_env *env, const struct det_read_settings *settings,
                         const char *path, char **text)
{
    struct det_source_bytes source;
    struct det_text decoded = {0};
    *text = NULL;
    DET_TRY_RETURN(det_files_open(env, settings->files, path, &source));
    det_status status =
        det_decode_text(env, path, source.data, source.bytes, settings->encoding, &decoded);
    det_source_bytes_close(env, &source);
    if (status == DET_OK && strlen(decoded.data) != decoded.length)
        status = det_fail(env, DET_STATUS_CORRUPT, "%s: byte %zu is zero: not a text file", path,
                          strlen(decoded.data));
    if (status != DET_OK)
        det_text_free(env, &decoded);
    *text = decoded.data;
    return status;
}

/* The name of the folder that a file lies in; "data" where the path has none. */
static det_status split_of_folder(struct det_env *env, const char *path, char **split)
{
    const char *end = det_path_name(path);
    const char *start = end > path ? det_path_part(path, end - 1) : end;
    const size_t length = end > start ? (size_t)(end - start) - 1 : 0;
    const bool is_name =
        length > 0 && strncmp(start, ".", length) != 0 && strncmp(start, "..", length) != 0;
    return is_name ? det_strndup(env, split, start, length) : det_strdup(env, split, "data");
}

det_status det_split_of_path(struct det_env *env, const char *path, char **split)
{
    const char *name = det_path_name(path);
    static const char *const prefixes[] = {"instances_", "person_keypoints_", "annotations_"};
    static const char *const extensions[] = {".tfrecord", ".record", ".json", ".csv"};
    if (strncmp(name, "_annotations.", 13) == 0) /* Roboflow: each split in a folder of its own */
        return split_of_folder(env, path, split);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0 && strlen(name) > length)
            name += length;
    }
    size_t length = strlen(name);
    const char *extension = strchr(name, '.');
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        const char *found = strstr(name, extensions[i]);
        if (found != NULL) {
            extension = found;
            break;
        }
    }
    if (extension != NULL)
        length = (size_t)(extension - name);
    /* train-00000-of-00010 */
    const char *shard = strstr(name, "-of-");
    if (shard != NULL && shard - name > 6 && (size_t)(shard - name) <= length && shard[-6] == '-')
        length = (size_t)(shard - name) - 6;
    return length > 0 ? det_strndup(env, split, name, length) : det_strdup(env, split, "data");
}

det_status det_set_split(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set, size_t image, const char *name)
{
    struct det_labelled_image *at = &set->images[image];
    const size_t before = set->splits.count;
    if (settings->split != NULL)
        name = settings->split;
    DET_TRY_RETURN(det_annotations_split_index(env, set, name, &at->split));
    if (set->splits.count > before && strcmp(set->splits.paths[before], name) != 0)
        det_finding(settings->findings, DET_RULE_NAME_CHANGED,
                    "%s: split `%.200s` is called `%s`: its name becomes part of file names",
                    at->where, name, set->splits.paths[before]);
    return DET_OK;
}

det_status det_source_fault(struct det_env *env, const struct det_read_settings *settings,
                            det_status status)
{
    if (status != DET_STATUS_PARSE && status != DET_STATUS_CORRUPT &&
        status != DET_STATUS_MISMATCH && status != DET_STATUS_NON_FINITE)
        return status;
    det_finding(settings->findings, DET_RULE_SOURCE, "%s", env->error);
    return DET_OK;
}

double det_sound_area(const struct det_read_settings *settings, const char *place, double area_px2)
{
    if (det_number_is_sound(area_px2))
        return area_px2;
    det_finding(settings->findings, DET_RULE_AREA,
                "%s: area %g, expected a finite number of at least 0: that of the box is taken",
                place, area_px2);
    return 0;
}

void det_lose_object(struct det_annotations *set, size_t image)
{
    set->images[image].lost_objects++;
}

/* NaN stays NaN, whichever comes first. */
static double least(double a, double b)
{
    return isnan(a) || a <= b ? a : b;
}

void det_box_include(double box[4], double y, double x)
{
    box[0] = least(box[0], y);
    box[1] = least(box[1], x);
    box[2] = -least(-box[2], -y);
    box[3] = -least(-box[3], -x);
}

void det_tell_class(const struct det_read_settings *settings, const struct det_annotations *set,
                    const char *place, const char *name, int32_t class_index)
{
    if (class_index == DET_CLASS_NONE)
        det_finding(settings->findings, DET_RULE_CLASS_MISSING, "%s: has no class", place);
    else if (class_index == DET_CLASS_UNLISTED)
        det_finding(settings->findings, DET_RULE_CLASS_UNKNOWN,
                    "%s: class \"%.200s\" is not in the label map (%zu classes)", place, name,
                    set->classes.count);
}

det_status det_find_class(struct det_env *env, const struct det_read_settings *settings,
                          struct det_annotations *set, const char *place, const char *name,
                          int32_t *class_index)
{
    *class_index = DET_CLASS_NONE;
    if (name[0] != '\0')
        DET_TRY_RETURN(det_annotations_class(env, set, name, class_index));
    det_tell_class(settings, set, place, name, *class_index);
    return DET_OK;
}

/* Where an image is looked for. */
struct search {
    struct det_env *env;
    const struct det_read_settings *settings;
    const char *base, *split;
    const char *name; /* as the annotation has it, with "/" */
};

/* DIR/FOLDER/name, then without the name's folders; *path stays NULL when neither is there. */
static det_status look_in(const struct search *s, const char *directory, const char *folder,
                          bool exact, char **path)
{
    struct det_env *env = s->env;
    const char *base = det_path_name(s->name);
    const char *const names[2] = {det_path_stays_inside(s->name) ? s->name : NULL,
                                  base != s->name ? base : NULL};
    char *within = NULL, *whole = NULL, *parent = NULL, *stem = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &within, directory, folder));
    for (int i = 0; i < 2 && *path == NULL; i++) {
        if (names[i] == NULL || names[i][0] == '\0')
            continue;
        DET_TRY(det_path_join(env, &whole, within, names[i]));
        if (exact) {
            if (det_files_exists(s->settings->files, whole) &&
                !det_files_is_directory(s->settings->files, whole)) {
                *path = whole;
                whole = NULL;
            }
        } else {
            const char *last = det_path_name(whole), *extension = det_image_extension(whole);
            DET_TRY(det_path_directory(env, &parent, whole));
            DET_TRY(det_strndup(env, &stem, last,
                                extension != NULL ? (size_t)(extension - last) : strlen(last)));
            DET_TRY(det_files_find_stem(env, s->settings->files, parent, stem, path));
            det_free(env, &parent);
            det_free(env, &stem);
        }
        det_free(env, &whole);
    }
fail:
    det_free(env, &within);
    det_free(env, &whole);
    det_free(env, &parent);
    det_free(env, &stem);
    return status;
}

static det_status look_near(const struct search *s, bool exact, char **path)
{
    static const char *const folders[] = {"",          "images",        "JPEGImages", "..",
                                          "../images", "../JPEGImages", "../img",     "img"};
    static const char *const above[] = {"", "images/", "../", "../images/"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && *path == NULL; i++)
        DET_TRY_RETURN(look_in(s, s->base, folders[i], exact, path));
    for (size_t i = 0; i < sizeof above / sizeof above[0] && *path == NULL; i++) {
        char *folder = NULL;
        if (s->split == NULL || !det_path_stays_inside(s->split))
            break;
        DET_TRY_RETURN(det_format(s->env, &folder, "%s%s", above[i], s->split));
        const det_status status = look_in(s, s->base, folder, exact, path);
        det_free(s->env, &folder);
        DET_TRY_RETURN(status);
    }
    return DET_OK;
}

/* In the folders that the user gave and below them; *other: a second file that it may be. */
static det_status look_below(const struct search *s, bool exact, char **path, const char **other)
{
    if (s->settings->index == NULL || *path != NULL || *other != NULL)
        return DET_OK;
    const struct det_image_match match = det_image_index_find(s->settings->index, s->name, exact);
    *other = match.other;
    return match.path != NULL ? det_strdup(s->env, path, match.path) : DET_OK;
}

static det_status search(const struct search *s, char **path, const char **other)
{
    *path = NULL;
    *other = NULL;
    for (size_t i = 0; i < s->settings->image_dir_count && *path == NULL; i++)
        DET_TRY_RETURN(look_in(s, s->settings->image_dirs[i], "", true, path));
    DET_TRY_RETURN(look_below(s, true, path, other));
    DET_TRY_RETURN(look_near(s, true, path));
    DET_TRY_RETURN(look_below(s, false, path, other));
    return look_near(s, false, path);
}

det_status det_find_image(struct det_env *env, const struct det_read_settings *settings,
                          const char *base, const char *split, struct det_labelled_image *image)
{
    const char *other = NULL;
    char *name = image->name;
    if (name == NULL || det_path_name(name)[0] == '\0') {
        det_finding(settings->findings, DET_RULE_IMAGE_MISSING, "%s: names no image file",
                    image->where);
        image->broken = true;
        return DET_OK;
    }
    det_path_use_slashes(name);
    const struct search s = {env, settings, base, split, name};
    det_free(env, &image->path);
    DET_TRY_RETURN(search(&s, &image->path, &other));
    if (other != NULL)
        det_finding(settings->findings, DET_RULE_IMAGE_AMBIGUOUS,
                    "%s: image `%.200s` may be %.200s or %.200s", image->where, name, image->path,
                    other);
    else if (image->path == NULL)
        det_finding(settings->findings, DET_RULE_IMAGE_MISSING,
                    "%s: image `%.300s` is neither in %.200s nor near it%s", image->where, name,
                    settings->image_dir_count > 0 ? settings->image_dirs[0] : base,
                    settings->image_dir_count > 0 ? "" : ", and no folder of images was given");
    image->broken = image->path == NULL || other != NULL;
    return DET_OK;
}
