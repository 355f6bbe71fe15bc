#include "convert/folder.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "convert/readers.h"
#include "support/encoding.h"
#include "support/mem.h"

enum { MOST_DEPTH = 4, MOST_TEXTS = 5000, HEAD_BYTES = 1 << 16 };

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcasecmp(text + length - tail, end) == 0;
}

/* --- files --- */

/* What a file may be by its name alone. */
static enum det_data_format_id named_format(const char *path)
{
    static const struct {
        const char *end;
        enum det_data_format_id format;
    } ends[] = {{".json", DET_DATA_COCO},  {".csv", DET_DATA_CSV},       {".xml", DET_DATA_VOC},
                {".yaml", DET_DATA_YOLO},  {".yml", DET_DATA_YOLO},      {".data", DET_DATA_YOLO},
                {".names", DET_DATA_YOLO}, {".tfrec", DET_DATA_TFRECORD}};
    const char *name = det_path_name(path);
    if (strstr(name, ".tfrecord") != NULL || strstr(name, ".record") != NULL)
        return DET_DATA_TFRECORD;
    if (strcmp(name, "classes.txt") == 0 || strcmp(name, "_darknet.labels") == 0)
        return DET_DATA_YOLO;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(name, ends[i].end))
            return ends[i].format;
    return DET_DATA_FORMATS;
}

static bool holds(const void *data, size_t bytes, const char *word)
{
    const size_t length = strlen(word);
    const uint8_t *at = data, *end = at + bytes;
    while ((size_t)(end - at) >= length) {
        at = memchr(at, word[0], (size_t)(end - at) - length + 1);
        if (at == NULL)
            return false;
        if (memcmp(at, word, length) == 0)
            return true;
        at++;
    }
    return false;
}

/* COCO's captions have no categories, its results no images. */
static bool is_coco(const void *data, size_t bytes)
{
    return holds(data, bytes, "\"images\"") && holds(data, bytes, "\"annotations\"") &&
           holds(data, bytes, "\"categories\"");
}

/* In UTF-16 no word is found before it is decoded: all of it, since lists come in any order. */
static det_status look_for_coco(struct det_env *env, const char *path,
                                const struct det_source_bytes *source, bool *found)
{
    struct det_text text = {0};
    const bool is_wide = source->bytes >= 2 && (memcmp(source->data, "\xff\xfe", 2) == 0 ||
                                                memcmp(source->data, "\xfe\xff", 2) == 0 ||
                                                source->data[0] == 0 || source->data[1] == 0);
    *found = is_coco(source->data, source->bytes);
    if (!is_wide)
        return DET_OK;
    const det_status status = det_decode_text(env, path, source->data, source->bytes, NULL, &text);
    *found = status == DET_OK && is_coco(text.data, text.length);
    det_text_free(env, &text);
    if (status == DET_STATUS_OUT_OF_MEMORY)
        return status;
    det_forget_error(env);
    return DET_OK;
}

/* The beginning as text, whatever its encoding; *text is empty where it is none. */
static det_status head_of(struct det_env *env, const char *path,
                          const struct det_source_bytes *source, struct det_text *text)
{
    const size_t bytes = source->bytes < HEAD_BYTES ? source->bytes : HEAD_BYTES;
    /* Not UTF-8: the names of columns and elements are ASCII in any encoding. */
    det_status status = det_decode_text(env, path, source->data, bytes, NULL, text);
    if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY) {
        text->length = 0;
        status = det_decode_text(env, path, source->data, bytes, "ISO-8859-1", text);
    }
    if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY) {
        text->length = 0;
        status = det_text_append(env, text, "", 0);
    }
    return status;
}

/* CVAT's root element is <annotations>, VOC's <annotation>. */
static enum det_data_format_id xml_format(const char *text)
{
    const char *root = strstr(text, "<annotation");
    if (root == NULL)
        return DET_DATA_FORMATS;
    return strncmp(root, "<annotations", 12) == 0 ? DET_DATA_CVAT : DET_DATA_VOC;
}

/* Whether a key at `at`, behind its quote if it has one, is of the top: at the beginning of a line,
 * or behind the brace or a comma where the file is one mapping in braces. */
static bool is_top_key(const char *text, const char *at, bool in_braces)
{
    if (at > text && (at[-1] == '"' || at[-1] == '\''))
        at--;
    if (!in_braces)
        return at == text || at[-1] == '\n';
    while (at > text && strchr(" \t\r\n", at[-1]) != NULL)
        at--;
    return at > text && (at[-1] == '{' || at[-1] == ',');
}

/* `names:` at the top of a YAML file. */
static bool has_yaml_names(const char *text)
{
    const bool in_braces = text[strspn(text, " \t\r\n")] == '{';
    for (const char *at = strstr(text, "names"); at != NULL; at = strstr(at + 1, "names"))
        if (strchr(": \"'", at[5]) != NULL && at[5] != '\0' && is_top_key(text, at, in_braces))
            return true;
    return false;
}

/* What a file that may be of `format` is. */
static det_status look_inside(struct det_env *env, const struct det_files *files, const char *path,
                              enum det_data_format_id *format)
{
    struct det_source_bytes source = {0};
    struct det_text text = {0};
    bool is_found = false;
    det_status status = DET_OK;
    if (*format == DET_DATA_TFRECORD || *format == DET_DATA_FORMATS)
        return DET_OK;
    DET_TRY(det_files_open(env, files, path, &source));
    if (*format == DET_DATA_COCO) {
        DET_TRY(look_for_coco(env, path, &source, &is_found));
        *format = is_found ? DET_DATA_COCO : DET_DATA_FORMATS;
        goto fail;
    }
    DET_TRY(head_of(env, path, &source, &text));
    if (*format == DET_DATA_VOC)
        *format = xml_format(text.data);
    else if (*format == DET_DATA_CSV && !det_csv_holds_boxes(text.data))
        *format = DET_DATA_FORMATS;
    else if (*format == DET_DATA_YOLO && (ends_with(path, ".yaml") || ends_with(path, ".yml")) &&
             !has_yaml_names(text.data))
        *format = DET_DATA_FORMATS;
fail:
    det_source_bytes_close(env, &source);
    det_text_free(env, &text);
    return status;
}

det_status det_data_file_format(struct det_env *env, const struct det_files *files,
                                const char *path, enum det_data_format_id *format)
{
    *format = named_format(path);
    /* A file of that name is taken for it: its reader says what is wrong with it. */
    if (!ends_with(path, ".xml") || !det_files_exists(files, path))
        return DET_OK;
    DET_TRY_RETURN(look_inside(env, files, path, format));
    if (*format == DET_DATA_FORMATS)
        *format = DET_DATA_VOC;
    return DET_OK;
}

/* --- labels of YOLO --- */

/* "0 .5 .5 .2 .2" */
static bool is_label_line(char *line)
{
    char *save = NULL;
    int count = 0;
    double value = 0;
    for (char *word = strtok_r(line, " \t", &save); word != NULL && count < 5;
         word = strtok_r(NULL, " \t", &save), count++)
        if (!det_parse_coordinate(word, &value) || (count > 0 && !(value >= -1 && value <= 2)))
            return false;
    return count == 5;
}

static det_status look_for_label(struct det_env *env, const struct det_files *files,
                                 struct det_data_folder *folder, const char *path)
{
    struct det_source_bytes source = {0};
    struct det_text text = {0};
    char *line = NULL;
    det_status status = DET_OK;
    if (folder->label != NULL || folder->texts_looked >= MOST_TEXTS)
        return DET_OK;
    folder->texts_looked++;
    DET_TRY(det_files_open(env, files, path, &source));
    DET_TRY(head_of(env, path, &source, &text));
    char *at = text.data;
    while (det_next_line(&at, &line) && det_trimmed(line)[0] == '\0')
        ;
    if (line != NULL && is_label_line(line))
        DET_TRY(det_strdup(env, &folder->label, path));
fail:
    det_source_bytes_close(env, &source);
    det_text_free(env, &text);
    return status;
}

/* --- folders --- */

struct look {
    const struct det_files *files;
    struct det_data_folder *folder;
    char *voc; /* the folder that has Pascal VOC's files */
};

/* One of a thousand such files beside each other tells for all. */
static det_status note_voc(struct det_env *env, struct look *l, const char *path)
{
    det_free(env, &l->voc);
    return det_path_directory(env, &l->voc, path);
}

static bool is_beside(const char *folder, const char *path)
{
    const size_t length = (size_t)(det_path_name(path) - path);
    return folder != NULL && strlen(folder) + 1 == length && strncmp(folder, path, length - 1) == 0;
}

static det_status look_at_file(struct det_env *env, void *user, const char *path)
{
    struct look *l = user;
    struct det_data_folder *folder = l->folder;
    enum det_data_format_id format = named_format(path);
    const enum det_data_format_id named = format;
    if (named == DET_DATA_VOC && is_beside(l->voc, path) &&
        strcmp(det_path_name(path), "annotations.xml") != 0)
        return DET_OK;
    if (named == DET_DATA_FORMATS)
        return ends_with(path, ".txt") ? look_for_label(env, l->files, folder, path) : DET_OK;
    DET_TRY_RETURN(look_inside(env, l->files, path, &format));
    if (format == DET_DATA_VOC)
        DET_TRY_RETURN(note_voc(env, l, path));
    return det_path_list_add(
        env, format != DET_DATA_FORMATS ? &folder->files[format] : &folder->others[named], path);
}

det_status det_data_folder_look(struct det_env *env, const struct det_files *files,
                                const char *path, struct det_data_folder *folder)
{
    struct look l = {files, folder, NULL};
    *folder = (struct det_data_folder){.path = path};
    const det_status status = det_files_walk(env, files, path, MOST_DEPTH, look_at_file, &l);
    det_free(env, &l.voc);
    return status;
}

void det_data_folder_free(struct det_env *env, struct det_data_folder *folder)
{
    for (int f = 0; f < DET_DATA_FORMATS; f++) {
        det_path_list_free(env, &folder->files[f]);
        det_path_list_free(env, &folder->others[f]);
    }
    det_free(env, &folder->label);
}

bool det_data_folder_holds(const struct det_data_folder *folder, enum det_data_format_id format)
{
    return folder->files[format].count > 0 && (format != DET_DATA_YOLO || folder->label != NULL);
}

const char *det_data_folder_example(const struct det_data_folder *folder,
                                    enum det_data_format_id format)
{
    return format == DET_DATA_YOLO ? folder->label : folder->files[format].paths[0];
}

/* --- what readers take --- */

/* Adds the folder that a file lies in, `above` levels higher, once. */
static det_status add_folder_of(struct det_env *env, struct det_path_list *list, const char *path,
                                int above)
{
    char *folder = NULL, *higher = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_directory(env, &folder, path));
    for (; above > 0; above--) {
        DET_TRY(det_path_directory(env, &higher, folder));
        det_free(env, &folder);
        folder = higher;
        higher = NULL;
    }
    if (list->count == 0 || strcmp(list->paths[list->count - 1], folder) != 0)
        DET_TRY(det_path_list_add(env, list, folder));
fail:
    det_free(env, &folder);
    return status;
}

/* Pascal VOC: the folders that have an Annotations/ with files in it; without any the folder
 * itself, which is read with all below it. */
static det_status voc_roots(struct det_env *env, const struct det_data_folder *folder,
                            struct det_path_list *roots)
{
    static const char inner[] = "/Annotations/";
    bool all = folder->files[DET_DATA_VOC].count > 0;
    for (size_t i = 0; i < folder->files[DET_DATA_VOC].count; i++)
        all &= strstr(folder->files[DET_DATA_VOC].paths[i] + strlen(folder->path), inner) != NULL;
    if (!all)
        return det_path_list_add(env, roots, folder->path);
    for (size_t i = 0; i < folder->files[DET_DATA_VOC].count; i++) {
        const char *path = folder->files[DET_DATA_VOC].paths[i];
        const char *at = strstr(path + strlen(folder->path), inner);
        int above = 0;
        for (const char *c = at + 1; *c != '\0'; c++)
            above += *c == '/';
        DET_TRY_RETURN(add_folder_of(env, roots, path, above));
    }
    return DET_OK;
}

/* COCO's own annotations/ has the people of instances_X.json once more, with their keypoints, in
 * person_keypoints_X.json. */
static det_status coco_roots(struct det_env *env, const struct det_data_folder *folder,
                             struct det_path_list *roots)
{
    static const char beginning[] = "person_keypoints_";
    const struct det_path_list *found = &folder->files[DET_DATA_COCO];
    for (size_t i = 0; i < found->count; i++) {
        const char *path = found->paths[i], *name = det_path_name(path);
        char *twin = NULL;
        bool has_twin = false;
        if (strncmp(name, beginning, sizeof beginning - 1) == 0)
            DET_TRY_RETURN(det_format(env, &twin, "%.*sinstances_%s", (int)(name - path), path,
                                      name + sizeof beginning - 1));
        for (size_t k = 0; k < found->count && twin != NULL; k++)
            has_twin |= strcmp(found->paths[k], twin) == 0;
        det_free(env, &twin);
        if (!has_twin)
            DET_TRY_RETURN(det_path_list_add(env, roots, path));
    }
    return DET_OK;
}

/* Data files before lists of names, those higher up before those below. */
static int name_rank(const char *path)
{
    return ends_with(path, ".yaml") || ends_with(path, ".yml") ? 0
           : ends_with(path, ".data")                          ? 1
                                                               : 2;
}

/* YOLO: of the files with class names in each folder the best one, which stands for the folders
 * below. */
static det_status yolo_roots(struct det_env *env, const struct det_data_folder *folder,
                             struct det_path_list *roots)
{
    const struct det_path_list *names = &folder->files[DET_DATA_YOLO];
    for (size_t i = 0; i < names->count; i++) {
        char *own = NULL;
        bool is_best = true;
        DET_TRY_RETURN(det_path_directory(env, &own, names->paths[i]));
        for (size_t k = 0; k < names->count && is_best; k++) {
            char *other = NULL;
            if (k == i)
                continue;
            const det_status status = det_path_directory(env, &other, names->paths[k]);
            if (status == DET_OK) {
                const bool same = strcmp(own, other) == 0;
                const int mine = name_rank(names->paths[i]), its = name_rank(names->paths[k]);
                is_best = same ? mine < its || (mine == its && i < k)
                               : det_path_below(own, other) == NULL;
            }
            det_free(env, &other);
            if (status != DET_OK) {
                det_free(env, &own);
                return status;
            }
        }
        det_free(env, &own);
        if (is_best)
            DET_TRY_RETURN(det_path_list_add(env, roots, names->paths[i]));
    }
    return DET_OK;
}

det_status det_data_folder_roots(struct det_env *env, enum det_data_format_id format,
                                 struct det_data_folder *folder)
{
    struct det_path_list roots = {0};
    struct det_path_list *found = &folder->files[format];
    det_status status = DET_OK;
    if (found->count == 0) {
        *found = folder->others[format];
        folder->others[format] = (struct det_path_list){0};
    }
    if (found->count == 0 ||
        (format != DET_DATA_VOC && format != DET_DATA_YOLO && format != DET_DATA_COCO))
        return DET_OK;
    DET_TRY(format == DET_DATA_VOC    ? voc_roots(env, folder, &roots)
            : format == DET_DATA_YOLO ? yolo_roots(env, folder, &roots)
                                      : coco_roots(env, folder, &roots));
    det_path_list_free(env, found);
    *found = roots;
    return DET_OK;
fail:
    det_path_list_free(env, &roots);
    return status;
}
