/* read_cvat.c: CVAT's XML. "For images" lists every image with its shapes; "for video" lists
 * tracks, whose shapes name their frame: the image of frame 12 is frame_000012 with some extension,
 * as CVAT exports it. Frames without a shape are images without boxes, where their files are
 * there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/read/cvat_shape.h"
#include "convert/read/xml.h"
#include "convert/readers.h"
#include "data/image.h"
#include "support/mem.h"

struct reading {
    struct det_env *env;
    const struct det_read_settings *settings;
    struct det_annotations *set;
    const char *path; /* annotations.xml */
    char *base;
    size_t image, first_image;
    bool in_image;
    struct det_labelled_object object; /* the shape that is open */
    bool in_shape;
    char attribute[32]; /* name of the open <attribute> */
    char *label_name;   /* of the open <label> */
    bool label_has_boxes;
    /* for video */
    char *track_label;        /* of the open <track> */
    char *task;               /* its task_id, the same for all */
    struct det_id_map frames; /* number -> image */
    bool has_tracks;
    int32_t original[2]; /* width and height */
};

static int32_t size_of(double value)
{
    return value >= 1 && value <= 65500 ? (int32_t)value : 0;
}

/* --- images --- */

/* A size that is none is told; the pixels say it too. */
static int32_t read_size(struct reading *r, const struct det_xml_place *place,
                         const char *const *attributes, const char *name)
{
    const char *text = det_xml_value_of(attributes, name);
    double value = 0;
    if (text != NULL && !det_parse_coordinate(text, &value))
        det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                    "%s:%u: %s is `%.60s`, expected a number", r->path, place->line, name, text);
    return size_of(value);
}

static det_status start_image(struct reading *r, const struct det_xml_place *place,
                              const char *const *attributes)
{
    const char *name = det_xml_value_of(attributes, "name"),
               *subset = det_xml_value_of(attributes, "subset");
    const char *split = subset != NULL && subset[0] != '\0' ? subset : "data";
    char where[600];
    snprintf(where, sizeof where, "%.300s:%u: image `%.200s`", r->path, place->line,
             name != NULL ? name : "");
    DET_TRY_RETURN(det_annotations_add_image(r->env, r->set, where, name, true, &r->image));
    struct det_labelled_image *image = &r->set->images[r->image];
    image->width_px = read_size(r, place, attributes, "width");
    image->height_px = read_size(r, place, attributes, "height");
    r->in_image = true;
    DET_TRY_RETURN(det_set_split(r->env, r->settings, r->set, r->image, split));
    return det_find_image(r->env, r->settings, r->base, split, &r->set->images[r->image]);
}

static det_status add_frame(struct reading *r, int64_t frame, size_t *index)
{
    char where[600], name[32];
    snprintf(name, sizeof name, "frame_%06lld", (long long)frame);
    snprintf(where, sizeof where, "%.500s: %s", r->path, name);
    DET_TRY_RETURN(det_annotations_add_image(r->env, r->set, where, name, true, index));
    r->set->images[*index].width_px = r->original[0];
    r->set->images[*index].height_px = r->original[1];
    DET_TRY_RETURN(det_id_map_add(r->env, &r->frames, frame, (uint32_t)*index));
    DET_TRY_RETURN(det_set_split(r->env, r->settings, r->set, *index, "data"));
    return det_find_image(r->env, r->settings, r->base, NULL, &r->set->images[*index]);
}

/* --- shapes --- */

static void tell_fault(struct reading *r, const struct det_xml_place *place,
                       const struct det_cvat_fault *fault)
{
    const char *name = r->set->images[r->image].name;
    det_lose_object(r->set, r->image);
    det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                "%s:%u: image `%.200s`: %s is `%s`, expected a number", r->path, place->line,
                name != NULL ? name : "", fault->attribute, fault->value);
}

/* A shape of the image r->image. */
static det_status start_shape(struct reading *r, const struct det_xml_place *place,
                              const char *element, const char *const *attributes, const char *label)
{
    struct det_cvat_fault fault = {0};
    char where[600];
    bool as_it_is = false;
    const enum det_cvat_kind kind = det_cvat_kind_of(element);
    if (kind == DET_CVAT_POINTS)
        det_finding(r->settings->findings, DET_RULE_SHAPE_SKIPPED,
                    "%s:%u: <%.40s> has no box: left out", r->path, place->line, element);
    if (kind != DET_CVAT_BOXED)
        return DET_OK;
    r->object = det_annotations_object(r->image);
    r->object.line = place->line;
    if (!det_cvat_shape_box(element, attributes, r->object.box, &as_it_is, &fault)) {
        tell_fault(r, place, &fault);
        return DET_OK;
    }
    if (!as_it_is)
        det_finding(r->settings->findings, DET_RULE_SHAPE_BOXED,
                    "%s:%u: <%s>: its bounding box is taken", r->path, place->line, element);
    snprintf(where, sizeof where, "%.500s:%u", r->path, place->line);
    DET_TRY_RETURN(det_find_class(r->env, r->settings, r->set, where, label != NULL ? label : "",
                                  &r->object.class_index));
    r->in_shape = true;
    return DET_OK;
}

static det_status start_track(struct reading *r, const struct det_xml_place *place,
                              const char *const *attributes)
{
    const char *label = det_xml_value_of(attributes, "label"),
               *task = det_xml_value_of(attributes, "task_id");
    r->has_tracks = true;
    if (task != NULL && r->task != NULL && strcmp(task, r->task) != 0)
        return det_fail(
            r->env, DET_STATUS_PARSE,
            "%s:%u: tracks of task %.40s and of task %.40s: which frame is meant cannot "
            "be told: export each task for itself, or as \"CVAT for images 1.1\"",
            r->path, place->line, r->task, task);
    if (task != NULL && r->task == NULL)
        DET_TRY_RETURN(det_strdup(r->env, &r->task, task));
    det_free(r->env, &r->track_label);
    return det_strdup(r->env, &r->track_label, label != NULL ? label : "");
}

static det_status start_track_shape(struct reading *r, const struct det_xml_place *place,
                                    const char *element, const char *const *attributes)
{
    const char *text = det_xml_value_of(attributes, "frame"),
               *outside = det_xml_value_of(attributes, "outside");
    double frame = 0;
    uint32_t found = 0;
    if (outside != NULL && strcmp(outside, "1") == 0)
        return DET_OK; /* the object is not to be seen */
    if (text == NULL || !det_parse_coordinate(text, &frame) || !(frame >= 0 && frame <= 1e9) ||
        frame != floor(frame)) {
        det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                    "%s:%u: frame is `%.60s`, expected a number", r->path, place->line,
                    text != NULL ? text : "(missing)");
        return DET_OK;
    }
    if (det_id_map_find(&r->frames, (int64_t)frame, &found))
        r->image = found;
    else
        DET_TRY_RETURN(add_frame(r, (int64_t)frame, &r->image));
    return start_shape(r, place, element, attributes, r->track_label);
}

static void set_flag(struct reading *r, const char *text)
{
    const bool is =
        strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "1") == 0;
    if (strcmp(r->attribute, "difficult") == 0)
        r->object.difficult = is;
    else if (strcmp(r->attribute, "is_crowd") == 0)
        r->object.is_crowd = is;
    else if (strcmp(r->attribute, "group_of") == 0)
        r->object.group_of = is;
    else if (strcmp(r->attribute, "truncated") == 0)
        r->object.truncated = is;
}

/* --- elements --- */

/* What an element right in an image or a track is called; NULL: it is elsewhere. */
static const char *shape_element(const char *path)
{
    static const char *const parents[] = {"annotations/image/", "annotations/track/"};
    for (size_t i = 0; i < 2; i++)
        if (strncmp(path, parents[i], 18) == 0 && strchr(path + 18, '/') == NULL)
            return path + 18;
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static det_status on_start(void *user, const struct det_xml_place *place,
                           const char *const *attributes)
{
    struct reading *r = user;
    const char *path = place->path, *element = shape_element(path);
    if (strchr(path, '/') == NULL)
        return strcmp(path, "annotations") == 0
                   ? DET_OK
                   : det_fail(r->env, DET_STATUS_PARSE,
                              "%s:%u: the root element is <%.60s>, expected <annotations>: no CVAT "
                              "file%s",
                              r->path, place->line, path,
                              strcmp(path, "annotation") == 0 ? " but Pascal VOC's: --from voc"
                                                              : "");
    if (strcmp(path, "annotations/track") == 0)
        return start_track(r, place, attributes);
    if (strcmp(path, "annotations/image") == 0)
        return start_image(r, place, attributes);
    if (element != NULL && r->in_image)
        return start_shape(r, place, element, attributes, det_xml_value_of(attributes, "label"));
    if (element != NULL)
        return start_track_shape(r, place, element, attributes);
    if (r->in_shape && ends_with(path, "/attribute")) {
        const char *name = det_xml_value_of(attributes, "name");
        snprintf(r->attribute, sizeof r->attribute, "%.31s", name != NULL ? name : "");
    }
    if (ends_with(path, "/label"))
        r->label_has_boxes = true;
    return DET_OK;
}

static det_status end_label(struct reading *r)
{
    int32_t index = -1;
    det_status status = DET_OK;
    /* A map that lacks one of CVAT's labels is told when an object has it. */
    if (r->label_name != NULL && r->label_name[0] != '\0' && r->label_has_boxes)
        status = det_annotations_class(r->env, r->set, r->label_name, &index);
    det_free(r->env, &r->label_name);
    return status;
}

static det_status end_meta(struct reading *r, const char *path, const char *text)
{
    double value = 0;
    if (ends_with(path, "/labels/label/name")) {
        det_free(r->env, &r->label_name);
        return det_strdup(r->env, &r->label_name, text);
    }
    if (ends_with(path, "/labels/label/type"))
        r->label_has_boxes = strcmp(text, "tag") != 0 && strcmp(text, "points") != 0 &&
                             strcmp(text, "polyline") != 0 && strcmp(text, "skeleton") != 0;
    if (ends_with(path, "/labels/label"))
        return end_label(r);
    for (int side = 0; side < 2; side++)
        if (ends_with(path, side == 0 ? "/original_size/width" : "/original_size/height") &&
            det_parse_coordinate(text, &value))
            r->original[side] = size_of(value);
    return DET_OK;
}

static det_status on_end(void *user, const struct det_xml_place *place, const char *text)
{
    struct reading *r = user;
    const char *path = place->path;
    if (strncmp(path, "annotations/meta/", 17) == 0)
        return end_meta(r, path, text);
    if (r->in_shape && ends_with(path, "/attribute")) {
        set_flag(r, text);
    } else if (r->in_shape && shape_element(path) != NULL) {
        r->in_shape = false;
        return det_annotations_add_object(r->env, r->set, &r->object);
    } else if (strcmp(path, "annotations/image") == 0) {
        r->in_image = false;
    }
    return DET_OK;
}

/* --- frames without a shape --- */

/* "frame_000012" -> 12, -1: another name. */
static int64_t frame_of(const char *name)
{
    const char *extension = det_image_extension(name);
    int64_t frame = 0;
    if (extension == NULL || strncmp(name, "frame_", 6) != 0 || extension - name < 12 ||
        extension - name > 15)
        return -1;
    for (const char *digit = name + 6; digit < extension; digit++) {
        if (*digit < '0' || *digit > '9')
            return -1;
        frame = frame * 10 + (*digit - '0');
    }
    return frame;
}

/* Those that lie with the first one that was found. */
static det_status add_other_frames(struct reading *r)
{
    struct det_path_list files = {0};
    char *folder = NULL;
    size_t first = r->first_image, index = 0;
    det_status status = DET_OK;
    while (first < r->set->image_count && r->set->images[first].path == NULL)
        first++;
    if (first == r->set->image_count)
        return DET_OK;
    DET_TRY(det_path_directory(r->env, &folder, r->set->images[first].path));
    DET_TRY(det_files_list(r->env, r->settings->files, folder, &files));
    for (size_t i = 0; i < files.count; i++) {
        const int64_t frame = frame_of(det_path_name(files.paths[i]));
        uint32_t found = 0;
        if (frame >= 0 && !det_id_map_find(&r->frames, frame, &found))
            DET_TRY(add_frame(r, frame, &index));
    }
fail:
    det_free(r->env, &folder);
    det_path_list_free(r->env, &files);
    return status;
}

/* --- the file --- */

/* A file that ends before its end: images before that are whole, but a track may be missing in any
 * frame. */
static det_status settle(struct reading *r, det_status status)
{
    const size_t whole = r->set->image_count - r->first_image - r->in_image;
    if ((status != DET_STATUS_PARSE && status != DET_STATUS_CORRUPT) || r->has_tracks || whole == 0)
        return status;
    if (r->in_image)
        r->set->images[r->image].broken = true;
    det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                "%s: nothing from there on is read; %zu images before it are", r->env->error,
                whole);
    return DET_OK;
}

det_status det_read_cvat(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set)
{
    struct reading r = {.env = env,
                        .settings = settings,
                        .set = set,
                        .path = settings->path,
                        .first_image = set->image_count};
    const struct det_xml_handlers handlers = {&r, on_start, on_end};
    struct det_source_bytes source = {0};
    struct det_xml_reader xml = {0};
    det_status status = DET_OK;
    DET_TRY(det_path_directory(env, &r.base, settings->path));
    DET_TRY(det_files_open(env, settings->files, settings->path, &source));
    status = det_xml_parse(env, &xml, settings->path, source.data, source.bytes, settings->encoding,
                           &handlers);
    DET_TRY(settle(&r, status));
    if (r.has_tracks)
        DET_TRY(add_other_frames(&r));
fail:
    det_xml_reader_close(env, &xml);
    det_source_bytes_close(env, &source);
    det_id_map_free(env, &r.frames);
    det_free(env, &r.label_name);
    det_free(env, &r.track_label);
    det_free(env, &r.task);
    det_free(env, &r.base);
    return det_source_fault(env, settings, status);
}
