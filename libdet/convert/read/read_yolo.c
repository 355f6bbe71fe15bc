/* read_yolo.c: see readers.h: lists of images, class names and label files. The ways of saying
 * where they are (yolo_layout.c) become a list of splits with image paths; from there on all are
 * the same. Label files without an image are read too: their images may be elsewhere. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/read/yolo_layout.h"
#include "convert/readers.h"
#include "data/image.h"
#include "support/mem.h"

enum { MOST_DEPTH = 8 };

struct reading {
    const struct det_read_settings *settings;
    struct det_annotations *set;
    const struct det_yolo_layout *layout;
    const char *split, *folder; /* of the part that is read */
    bool is_label_folder;       /* all texts below it are labels */
    int32_t *classes;           /* number in the files -> class index */
    struct det_id_map labels;   /* paths of the label files that were read */
    bool told_of_keypoints;
    double *values; /* numbers of a line */
    size_t value_capacity;
};

/* --- lines --- */

/* cx cy w h, or the corners of an outline, into a box. */
static bool box_of(const double *values, size_t count, size_t keypoints, double box[4])
{
    static const double none[4] = DET_NO_BOX;
    if (count == 4 || (keypoints > 0 && count == 4 + keypoints)) {
        box[0] = values[1] - values[3] / 2;
        box[1] = values[0] - values[2] / 2;
        box[2] = values[1] + values[3] / 2;
        box[3] = values[0] + values[2] / 2;
        return true;
    }
    if (keypoints > 0 || count < 6 || count % 2 != 0)
        return false;
    memcpy(box, none, sizeof none);
    for (size_t i = 0; i < count; i += 2)
        det_box_include(box, values[i + 1], values[i]);
    return true;
}

static void tell_of_shape(struct reading *r, const char *path, uint32_t number, size_t count)
{
    struct det_findings *findings = r->settings->findings;
    if (count > 4 && r->layout->keypoints == 0) {
        det_finding(findings, DET_RULE_SHAPE_BOXED, "%s:%u: an outline, its bounding box is taken",
                    path, number);
    } else if (count > 4 && !r->told_of_keypoints) {
        r->told_of_keypoints = true;
        det_finding(findings, DET_RULE_SHAPE_SKIPPED,
                    "%s: boxes have keypoints (kpt_shape, %zu numbers): they are left out",
                    r->layout->source, r->layout->keypoints);
    }
}

static void tell_of_count(struct reading *r, const char *path, uint32_t number, size_t count)
{
    if (r->layout->keypoints > 0)
        det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                    "%s:%u: %zu numbers, expected 5 (class cx cy w h) or %zu (with kpt_shape)",
                    path, number, count, 5 + r->layout->keypoints);
    else
        det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                    "%s:%u: %zu numbers, expected 5 (class cx cy w h) or a class and an outline%s",
                    path, number, count,
                    count == 6  ? ": is the last one a score?"
                    : count > 7 ? ": with keypoints, data.yaml needs their kpt_shape"
                                : "");
}

/* The numbers of a line. False: one is none, told. */
static det_status read_numbers(struct det_env *env, struct reading *r, const char *path,
                               uint32_t number, char *line, size_t *count, bool *sound)
{
    char *save = NULL;
    *count = 0;
    *sound = true;
    for (char *word = strtok_r(line, " \t", &save); word != NULL;
         word = strtok_r(NULL, " \t", &save)) {
        DET_TRY_RETURN(det_grow(env, &r->values, &r->value_capacity, *count + 1, sizeof *r->values,
                                "outline"));
        if (!det_parse_coordinate(word, &r->values[*count])) {
            *sound = false;
            det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                        "%s:%u: got `%.60s`, expected a number", path, number, word);
            return DET_OK;
        }
        ++*count;
    }
    return DET_OK;
}

static void set_class(struct reading *r, struct det_labelled_object *object, double number,
                      const char *path)
{
    const size_t classes = r->layout->names.count;
    char place[600];
    if (!(number >= 0 && number < (double)classes) || number != (double)(size_t)number) {
        det_finding(r->settings->findings, DET_RULE_CLASS_UNKNOWN,
                    "%s:%u: class %g, expected 0 to %zu", path, object->line, number, classes - 1);
        return;
    }
    object->class_index = r->classes[(size_t)number];
    snprintf(place, sizeof place, "%.500s:%u", path, object->line);
    det_tell_class(r->settings, r->set, place, r->layout->names.paths[(size_t)number],
                   object->class_index);
}

static det_status add_line(struct det_env *env, struct reading *r, size_t image, const char *path,
                           uint32_t number, char *line)
{
    struct det_labelled_object object = det_annotations_object(image);
    size_t count = 0;
    bool sound = true;
    object.line = number;
    DET_TRY_RETURN(read_numbers(env, r, path, number, line, &count, &sound));
    if (sound && count == 0)
        return DET_OK;
    if (sound && !box_of(r->values + 1, count - 1, r->layout->keypoints, object.box)) {
        tell_of_count(r, path, number, count);
        sound = false;
    }
    if (!sound) {
        det_lose_object(r->set, image);
        return DET_OK;
    }
    tell_of_shape(r, path, number, count - 1);
    set_class(r, &object, r->values[0], path);
    return det_annotations_add_object(env, r->set, &object);
}

/* --- images --- */

static det_status add_labels(struct det_env *env, struct reading *r, size_t image, const char *path)
{
    char *text = NULL, *line = NULL;
    uint32_t number = 0, other = 0;
    const int64_t id = det_id_of_text(path);
    if (!det_files_exists(r->settings->files, path))
        return DET_OK; /* an image without boxes */
    if (!det_id_map_find(&r->labels, id, &other))
        DET_TRY_RETURN(det_id_map_add(env, &r->labels, id, 0));
    det_status status = det_read_text(env, r->settings, path, &text);
    if (status == DET_STATUS_OUT_OF_MEMORY)
        return status;
    if (status != DET_OK) {
        det_lose_object(r->set, image);
        det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        return DET_OK;
    }
    char *at = text;
    while (status == DET_OK && det_next_line(&at, &line))
        status = add_line(env, r, image, path, ++number, line);
    det_free(env, &text);
    return status;
}

/* `name` is what the image is looked for by where it is not at `path`. */
static det_status add_image(struct det_env *env, struct reading *r, const char *path,
                            const char *name, const char *labels)
{
    const struct det_files *files = r->settings->files;
    size_t index = 0;
    DET_TRY_RETURN(det_annotations_add_image(
        env, r->set, det_files_exists(files, labels) ? labels : path, name, false, &index));
    DET_TRY_RETURN(det_set_split(env, r->settings, r->set, index, r->split));
    if (path[0] != '\0' && det_files_exists(files, path)) {
        DET_TRY_RETURN(det_strdup(env, &r->set->images[index].path, path));
    } else {
        char *folder = NULL;
        DET_TRY_RETURN(det_path_directory(env, &folder, labels));
        const det_status status =
            det_find_image(env, r->settings, folder, r->split, &r->set->images[index]);
        det_free(env, &folder);
        DET_TRY_RETURN(status);
    }
    return add_labels(env, r, index, labels);
}

/* With the folders below that of the part: many sets have a 0001.jpg of each camera. */
static const char *name_in_part(const struct reading *r, const char *path)
{
    return path + strlen(r->folder) + 1;
}

static det_status add_image_file(struct det_env *env, struct reading *r, const char *path)
{
    char *labels = NULL;
    DET_TRY_RETURN(det_yolo_label_path(env, r->settings->files, path, &labels));
    const det_status status = add_image(env, r, path, name_in_part(r, path), labels);
    det_free(env, &labels);
    return status;
}

/* --- labels without images --- */

/* Whether a text begins as a label file does: a line of at least five numbers. */
static bool looks_like_labels(char *text)
{
    char *line = NULL, *save = NULL;
    size_t count = 0;
    double value = 0;
    while (det_next_line(&text, &line) && det_trimmed(line)[0] == '\0')
        ;
    for (char *word = line != NULL ? strtok_r(line, " \t", &save) : NULL; word != NULL;
         word = strtok_r(NULL, " \t", &save), count++)
        if (!det_parse_coordinate(word, &value))
            return false;
    return count >= 5;
}

/* A .txt file that no image has asked for: its image is elsewhere. Beside images other texts lie
 * about. */
static det_status add_lone_labels(struct det_env *env, struct reading *r, const char *path)
{
    const char *name = name_in_part(r, path);
    const bool is_labels =
        r->is_label_folder || strncmp(name, "labels/", 7) == 0 || strstr(name, "/labels/") != NULL;
    const size_t length = strlen(path);
    uint32_t other = 0;
    char *text = NULL, *stem = NULL;
    det_status status = DET_OK;
    if (length <= 4 || strcmp(path + length - 4, ".txt") != 0 ||
        strcmp(path, r->layout->source) == 0 ||
        det_id_map_find(&r->labels, det_id_of_text(path), &other))
        return DET_OK;
    if (!is_labels) {
        status = det_read_text(env, r->settings, path, &text);
        const bool are_labels = status == DET_OK && looks_like_labels(text);
        det_free(env, &text);
        if (!are_labels)
            return status == DET_STATUS_OUT_OF_MEMORY ? status : DET_OK;
    }
    DET_TRY_RETURN(det_strndup(env, &stem, name, strlen(name) - 4));
    if (strcmp(det_path_name(stem), "classes") != 0)
        status = add_image(env, r, "", stem, path);
    det_free(env, &stem);
    return status;
}

/* --- splits --- */

static det_status visit_image(struct det_env *env, void *user, const char *path)
{
    return det_image_extension(path) != NULL ? add_image_file(env, user, path) : DET_OK;
}

static det_status visit_label(struct det_env *env, void *user, const char *path)
{
    return add_lone_labels(env, user, path);
}

static det_status add_folders(struct det_env *env, struct reading *r, const char *folder)
{
    const struct det_files *files = r->settings->files;
    char *labels = NULL;
    det_status status = DET_OK;
    DET_TRY(det_yolo_label_folder(env, folder, &labels));
    r->folder = folder;
    if (det_files_is_directory(files, folder))
        DET_TRY(det_files_walk(env, files, folder, MOST_DEPTH, visit_image, r));
    r->folder = labels;
    r->is_label_folder = strcmp(labels, folder) != 0;
    if (det_files_is_directory(files, labels))
        DET_TRY(det_files_walk(env, files, labels, MOST_DEPTH, visit_label, r));
fail:
    det_free(env, &labels);
    return status;
}

/* The part of a listed path that tells images apart: behind images/ or CVAT's obj_train_data/ in
 * the set's folder; the file's name where it lies elsewhere. */
static const char *name_in_set(const struct reading *r, const char *path)
{
    const char *name = det_path_below(path, r->layout->root);
    if (name == NULL || name[0] == '\0')
        return det_path_name(path);
    const char *slash = strchr(name, '/');
    if (slash != NULL && (strncmp(name, "images/", 7) == 0 || strncmp(name, "obj_", 4) == 0))
        return slash + 1;
    return name;
}

/* An image of a list; where it is not there, its labels may be. */
static det_status add_listed(struct det_env *env, struct reading *r, const char *folder,
                             const char *line)
{
    struct det_yolo_places places = det_yolo_places_of(r->layout);
    enum det_yolo_found found = DET_YOLO_NOT_FOUND;
    char *path = NULL, *labels = NULL, *name = NULL;
    det_status status = DET_OK;
    places.folder = folder;
    DET_TRY(det_yolo_resolve(env, r->settings->files, &places, line, &path, &found));
    DET_TRY(det_yolo_label_path(env, r->settings->files, path, &labels));
    DET_TRY(det_strdup(env, &name,
                       det_files_exists(r->settings->files, path) ? name_in_set(r, path) : line));
    DET_TRY(add_image(env, r, path, name, labels));
fail:
    det_free(env, &name);
    det_free(env, &labels);
    det_free(env, &path);
    return status;
}

/* A text file with an image path a line. */
static det_status add_list(struct det_env *env, struct reading *r, const char *list)
{
    char *text = NULL, *line = NULL, *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_directory(env, &folder, list));
    DET_TRY(det_read_text(env, r->settings, list, &text));
    char *at = text;
    while (det_next_line(&at, &line)) {
        line = det_trimmed(line);
        if (line[0] != '\0')
            DET_TRY(add_listed(env, r, folder, line));
    }
fail:
    det_free(env, &folder);
    det_free(env, &text);
    return status;
}

static det_status add_part(struct det_env *env, struct reading *r, const struct det_yolo_part *part)
{
    const struct det_files *files = r->settings->files;
    r->split = part->split;
    return det_files_exists(files, part->path) && !det_files_is_directory(files, part->path)
               ? add_list(env, r, part->path)
               : add_folders(env, r, part->path);
}

det_status det_read_yolo(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set)
{
    struct det_yolo_layout layout = {0};
    struct reading r = {.settings = settings, .set = set, .layout = &layout};
    det_status status = DET_OK;
    DET_TRY(det_yolo_layout_read(env, settings, &layout));
    DET_TRY(det_alloc(env, &r.classes, layout.names.count, sizeof *r.classes, "classes"));
    /* Those that the label map lacks are told when an object has one. */
    for (size_t i = 0; i < layout.names.count; i++) {
        r.classes[i] = DET_CLASS_NONE;
        if (layout.names.paths[i][0] != '\0')
            DET_TRY(det_annotations_class(env, set, layout.names.paths[i], &r.classes[i]));
    }
    for (size_t i = 0; i < layout.part_count; i++)
        DET_TRY(add_part(env, &r, &layout.parts[i]));
fail:
    det_free(env, &r.classes);
    det_free(env, &r.values);
    det_id_map_free(env, &r.labels);
    det_yolo_layout_free(env, &layout);
    return det_source_fault(env, settings, status);
}
