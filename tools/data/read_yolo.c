/* read_yolo.c: see readers.h: lists of images, class names and label files. The three ways of saying
 * where they are (yolo_layout.c) become a list of splits with image paths; from there on all are the
 * same. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "convert/readers.h"
#include "convert/yolo_layout.h"

enum { MOST_VALUES = 2000 };

struct reading {
    const struct det_read_settings *settings;
    struct det_annotations *set;
    const struct det_yolo_layout *layout;
    int32_t *classes; /* number in the files -> class index */
};

static bool has_image_extension(const char *path)
{
    const char *dot = strrchr(det_path_name(path), '.');
    return dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
                           strcasecmp(dot, ".png") == 0);
}

/* PATH with its last folder `images` changed to `labels` and the extension to .txt; without such a
 * folder, or when that file is not there, the file beside the image. */
static det_status label_path(struct det_env *env, const char *image, char **out)
{
    const char *dot = strrchr(det_path_name(image), '.');
    const size_t stem = dot != NULL ? (size_t)(dot - image) : strlen(image);
    const char *images = NULL;
    for (const char *at = strstr(image, "images/"); at != NULL; at = strstr(at + 1, "images/"))
        if (at == image || at[-1] == '/')
            images = at;
    if (images != NULL) {
        const size_t before = (size_t)(images - image), behind = before + strlen("images");
        DET_TRY_RETURN(det_format(env, out, "%.*slabels%.*s.txt", (int)before, image,
                                  (int)(stem - behind), image + behind));
        if (det_file_exists(*out))
            return DET_OK;
        det_free(env, out);
    }
    return det_format(env, out, "%.*s.txt", (int)stem, image);
}

/* cx cy w h, or the corners of an outline, into a box. */
static bool box_of(const double *values, size_t count, double box[4])
{
    if (count == 4) {
        box[0] = values[1] - values[3] / 2;
        box[1] = values[0] - values[2] / 2;
        box[2] = values[1] + values[3] / 2;
        box[3] = values[0] + values[2] / 2;
        return true;
    }
    if (count < 6 || count % 2 != 0)
        return false;
    box[0] = box[2] = values[1];
    box[1] = box[3] = values[0];
    for (size_t i = 2; i < count; i += 2) {
        if (values[i + 1] < box[0])
            box[0] = values[i + 1];
        if (values[i + 1] > box[2])
            box[2] = values[i + 1];
        if (values[i] < box[1])
            box[1] = values[i];
        if (values[i] > box[3])
            box[3] = values[i];
    }
    return true;
}

static det_status add_line(struct det_env *env, struct reading *r, size_t image, const char *path,
                           uint32_t number, char *line, double *values)
{
    struct det_findings *findings = r->settings->findings;
    size_t count = 0;
    double class_number = 0;
    char *save = NULL;
    for (char *word = strtok_r(line, " \t", &save); word != NULL;
         word = strtok_r(NULL, " \t", &save)) {
        double value = 0;
        if (!det_parse_coordinate(word, &value) || count > MOST_VALUES) {
            det_finding(findings, DET_RULE_UNREADABLE, "%s:%u: got `%.60s`, expected a number",
                        path, number, word);
            return DET_OK;
        }
        if (count == 0)
            class_number = value;
        else
            values[count - 1] = value;
        count++;
    }
    if (count == 0)
        return DET_OK;
    struct det_labelled_object object = det_annotations_object(image);
    object.line = number;
    if (!box_of(values, count - 1, object.box)) {
        det_finding(findings, DET_RULE_UNREADABLE,
                    "%s:%u: %zu numbers, expected 5 (class cx cy w h) or a class and an outline",
                    path, number, count);
        return DET_OK;
    }
    if (count > 5)
        det_finding(findings, DET_RULE_SHAPE_BOXED, "%s:%u: an outline, its bounding box is taken",
                    path, number);
    const size_t classes = r->layout->names.count;
    if (!(class_number >= 0 && class_number < (double)classes) ||
        class_number != (double)(size_t)class_number)
        det_finding(findings, DET_RULE_CLASS_UNKNOWN, "%s:%u: class %g, expected 0 to %zu", path,
                    number, class_number, classes - 1);
    else
        object.class_index = r->classes[(size_t)class_number];
    return det_annotations_add_object(env, r->set, &object);
}

static det_status add_labels(struct det_env *env, struct reading *r, size_t image, const char *path)
{
    char *text = NULL, *line = NULL;
    double *values = NULL;
    uint32_t number = 0;
    if (!det_file_exists(path))
        return DET_OK; /* an image without boxes */
    det_status status = det_read_text(env, path, &text);
    if (status != DET_OK) {
        det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        return status == DET_STATUS_OUT_OF_MEMORY ? status : DET_OK;
    }
    char *at = text;
    DET_TRY(det_alloc_raw(env, &values, MOST_VALUES + 1, sizeof *values, "outline"));
    while (det_next_line(&at, &line)) {
        number++;
        DET_TRY(add_line(env, r, image, path, number, line, values));
    }
fail:
    det_free(env, &values);
    det_free(env, &text);
    return status;
}

static det_status add_image(struct det_env *env, struct reading *r, const char *split,
                            const char *path)
{
    char *labels = NULL;
    size_t index = 0;
    det_status status = DET_OK;
    DET_TRY(label_path(env, path, &labels));
    DET_TRY(det_annotations_add_image(env, r->set, det_file_exists(labels) ? labels : path,
                                      det_path_name(path), false, &index));
    DET_TRY(det_set_split(env, r->settings, r->set, index, split));
    if (det_file_exists(path))
        DET_TRY(det_strdup(env, &r->set->images[index].path, path));
    else
        DET_TRY(det_find_image(env, r->settings, r->layout->root, split, &r->set->images[index]));
    DET_TRY(add_labels(env, r, index, labels));
fail:
    det_free(env, &labels);
    return status;
}

/* All images in a folder and the folders in it, a few levels down. */
static det_status add_folder(struct det_env *env, struct reading *r, const char *split,
                             const char *folder, int depth)
{
    struct det_path_list entries = {0};
    det_status status = DET_OK;
    DET_TRY(det_list_directory(env, folder, &entries));
    for (size_t i = 0; i < entries.count; i++) {
        if (det_is_directory(entries.paths[i])) {
            if (depth > 0)
                DET_TRY(add_folder(env, r, split, entries.paths[i], depth - 1));
        } else if (has_image_extension(entries.paths[i])) {
            DET_TRY(add_image(env, r, split, entries.paths[i]));
        }
    }
fail:
    det_path_list_free(env, &entries);
    return status;
}

/* A text file with an image path a line. */
static det_status add_list(struct det_env *env, struct reading *r, const char *split,
                           const char *list)
{
    char *text = NULL, *line = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_read_text(env, list, &text));
    char *at = text;
    while (status == DET_OK && det_next_line(&at, &line)) {
        char *path = NULL;
        line = det_trimmed(line);
        if (line[0] == '\0')
            continue;
        status = det_yolo_resolve(env, r->layout, line, &path);
        if (status == DET_OK)
            status = add_image(env, r, split, path);
        det_free(env, &path);
    }
    det_free(env, &text);
    return status;
}

static det_status add_part(struct det_env *env, struct reading *r, const struct det_yolo_part *part)
{
    if (det_is_directory(part->path))
        return add_folder(env, r, part->split, part->path, 4);
    if (det_file_exists(part->path))
        return add_list(env, r, part->split, part->path);
    det_finding(r->settings->findings, DET_RULE_NO_INPUT, "%s: split `%s`: no folder or list %s",
                r->layout->source, part->split, part->path);
    return DET_OK;
}

det_status det_read_yolo(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set)
{
    struct det_yolo_layout layout = {0};
    struct reading r = {.settings = settings, .set = set, .layout = &layout};
    det_status status = det_yolo_layout_read(env, settings->path, &layout);
    if (status == DET_STATUS_PARSE || status == DET_STATUS_CORRUPT) {
        det_finding(settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        return DET_OK;
    }
    if (status != DET_OK)
        return status;
    DET_TRY(det_alloc(env, &r.classes, layout.names.count, sizeof *r.classes, "classes"));
    for (size_t i = 0; i < layout.names.count; i++)
        DET_TRY(det_find_class(env, settings, set, layout.source, layout.names.paths[i],
                               &r.classes[i]));
    for (size_t i = 0; i < layout.part_count; i++)
        DET_TRY(add_part(env, &r, &layout.parts[i]));
fail:
    det_free(env, &r.classes);
    det_yolo_layout_free(env, &layout);
    return status;
}
