#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "data/xml.h"
#include "data/xml_readers.h"

struct reading {
    struct det_env *env;
    const struct det_read_settings *settings;
    struct det_annotations *set;
    const char *path; /* annotations.xml */
    char *base;
    size_t image;
    bool in_image;
    struct det_labelled_object object; /* the shape that is open */
    bool in_shape;
    char attribute[32]; /* name of the open <attribute> */
    char *label_name;   /* of the open <label> */
    bool label_has_boxes;
};

static det_status bad(struct reading *r, const struct xml_place *place, const char *name,
                      const char *value)
{
    return det_fail(r->env, DET_STATUS_PARSE, "%s:%u: %s is `%.60s`, expected a number", r->path,
                    place->line, name, value != NULL ? value : "(missing)");
}

static det_status number(struct reading *r, const struct xml_place *place,
                         const char *const *attributes, const char *name, double *value)
{
    const char *text = xml_attribute(attributes, name);
    return text != NULL && det_parse_coordinate(text, value) ? DET_OK : bad(r, place, name, text);
}

static det_status start_image(struct reading *r, const struct xml_place *place,
                              const char *const *attributes)
{
    const char *name = xml_attribute(attributes, "name"),
               *subset = xml_attribute(attributes, "subset");
    const char *split = subset != NULL && subset[0] != '\0' ? subset : "data";
    double width = 0, height = 0;
    char where[600];
    snprintf(where, sizeof where, "%.300s:%u: image `%.200s`", r->path, place->line,
             name != NULL ? name : "");
    DET_TRY_RETURN(number(r, place, attributes, "width", &width));
    DET_TRY_RETURN(number(r, place, attributes, "height", &height));
    DET_TRY_RETURN(det_annotations_add_image(r->env, r->set, where, name, true, &r->image));
    struct det_labelled_image *image = &r->set->images[r->image];
    image->width_px = width >= 1 && width <= 65500 ? (int32_t)width : 0;
    image->height_px = height >= 1 && height <= 65500 ? (int32_t)height : 0;
    r->in_image = true;
    DET_TRY_RETURN(det_set_split(r->env, r->settings, r->set, r->image, split));
    return det_find_image(r->env, r->settings, r->base, split, &r->set->images[r->image]);
}

static void include(double box[4], double x, double y)
{
    box[0] = fmin(box[0], y);
    box[1] = fmin(box[1], x);
    box[2] = fmax(box[2], y);
    box[3] = fmax(box[3], x);
}

/* A box turned by `degrees` about its middle: what stands upright around it. */
static void turn(double box[4], double degrees)
{
    const double angle = degrees * 3.14159265358979323846 / 180, c = cos(angle), s = sin(angle);
    const double cy = (box[0] + box[2]) / 2, cx = (box[1] + box[3]) / 2;
    const double h = (box[2] - box[0]) / 2, w = (box[3] - box[1]) / 2;
    const double half_w = fabs(w * c) + fabs(h * s), half_h = fabs(w * s) + fabs(h * c);
    box[0] = cy - half_h;
    box[1] = cx - half_w;
    box[2] = cy + half_h;
    box[3] = cx + half_w;
}

/* "1.5,2;3,4;..." */
static det_status outline(struct reading *r, const struct xml_place *place, const char *points,
                          double box[4])
{
    box[0] = box[1] = INFINITY;
    box[2] = box[3] = -INFINITY;
    while (points != NULL && *points != '\0') {
        char pair[96];
        const size_t length = strcspn(points, ";");
        double x = 0, y = 0;
        snprintf(pair, sizeof pair, "%.*s", length < 95 ? (int)length : 95, points);
        char *comma = strchr(pair, ',');
        if (comma == NULL)
            return bad(r, place, "points", pair);
        *comma = '\0';
        if (!det_parse_coordinate(pair, &x) || !det_parse_coordinate(comma + 1, &y))
            return bad(r, place, "points", pair);
        include(box, x, y);
        points += length + (points[length] == ';');
    }
    return isfinite(box[0]) ? DET_OK : bad(r, place, "points", "");
}

static det_status shape_box(struct reading *r, const struct xml_place *place, const char *kind,
                            const char *const *attributes, bool *as_it_is)
{
    double *box = r->object.box, rotation = 0, a = 0, b = 0;
    const char *text = xml_attribute(attributes, "rotation");
    if (text != NULL && !det_parse_coordinate(text, &rotation))
        return bad(r, place, "rotation", text);
    *as_it_is = strcmp(kind, "box") == 0 && rotation == 0;
    if (strcmp(kind, "box") == 0) {
        DET_TRY_RETURN(number(r, place, attributes, "ytl", &box[0]));
        DET_TRY_RETURN(number(r, place, attributes, "xtl", &box[1]));
        DET_TRY_RETURN(number(r, place, attributes, "ybr", &box[2]));
        DET_TRY_RETURN(number(r, place, attributes, "xbr", &box[3]));
    } else if (strcmp(kind, "polygon") == 0) {
        DET_TRY_RETURN(outline(r, place, xml_attribute(attributes, "points"), box));
    } else if (strcmp(kind, "mask") == 0) {
        DET_TRY_RETURN(number(r, place, attributes, "top", &box[0]));
        DET_TRY_RETURN(number(r, place, attributes, "left", &box[1]));
        DET_TRY_RETURN(number(r, place, attributes, "height", &a));
        DET_TRY_RETURN(number(r, place, attributes, "width", &b));
        box[2] = box[0] + a;
        box[3] = box[1] + b;
    } else { /* ellipse */
        double cx = 0, cy = 0;
        DET_TRY_RETURN(number(r, place, attributes, "cx", &cx));
        DET_TRY_RETURN(number(r, place, attributes, "cy", &cy));
        DET_TRY_RETURN(number(r, place, attributes, "rx", &a));
        DET_TRY_RETURN(number(r, place, attributes, "ry", &b));
        box[0] = cy - b;
        box[1] = cx - a;
        box[2] = cy + b;
        box[3] = cx + a;
    }
    if (rotation != 0)
        turn(box, rotation);
    return DET_OK;
}

static det_status start_shape(struct reading *r, const struct xml_place *place, const char *kind,
                              const char *const *attributes)
{
    static const char *const boxed[] = {"box", "polygon", "mask", "ellipse"};
    char where[600];
    bool known = false, as_it_is = false;
    if (strcmp(kind, "tag") == 0)
        return DET_OK;
    for (size_t i = 0; i < sizeof boxed / sizeof boxed[0]; i++)
        known |= strcmp(kind, boxed[i]) == 0;
    if (!known) {
        det_finding(r->settings->findings, DET_RULE_SHAPE_SKIPPED,
                    "%s:%u: <%.40s> has no box: left out", r->path, place->line, kind);
        return DET_OK;
    }
    r->object = det_annotations_object(r->image);
    r->object.line = place->line;
    DET_TRY_RETURN(shape_box(r, place, kind, attributes, &as_it_is));
    if (!as_it_is)
        det_finding(r->settings->findings, DET_RULE_SHAPE_BOXED,
                    "%s:%u: <%s>: its bounding box is taken", r->path, place->line, kind);
    const char *label = xml_attribute(attributes, "label");
    snprintf(where, sizeof where, "%.500s:%u", r->path, place->line);
    DET_TRY_RETURN(det_find_class(r->env, r->settings, r->set, where, label != NULL ? label : "",
                                  &r->object.class_index));
    r->in_shape = true;
    return DET_OK;
}

static det_status on_start(void *user, const struct xml_place *place, const char *const *attributes)
{
    struct reading *r = user;
    const char *path = place->path, *last = strrchr(path, '/');
    if (last == NULL)
        return strcmp(path, "annotations") == 0
                   ? DET_OK
                   : det_fail(r->env, DET_STATUS_PARSE,
                              "%s:%u: the root element is <%.60s>, expected <annotations>: no "
                              "\"CVAT for images\" "
                              "file%s",
                              r->path, place->line, path,
                              strcmp(path, "annotation") == 0 ? " but Pascal VOC's: --from voc"
                                                              : "");
    if (strcmp(path, "annotations/track") == 0)
        return det_fail(r->env, DET_STATUS_PARSE,
                        "%s:%u: <track>: this is \"CVAT for video\": export the task as \"CVAT for "
                        "images 1.1\"",
                        r->path, place->line);
    if (strcmp(path, "annotations/image") == 0)
        return start_image(r, place, attributes);
    if (r->in_image && r->in_shape && strcmp(last, "/attribute") == 0) {
        const char *name = xml_attribute(attributes, "name");
        snprintf(r->attribute, sizeof r->attribute, "%.31s", name != NULL ? name : "");
        return DET_OK;
    }
    if (strncmp(path, "annotations/image/", 18) == 0 && strchr(path + 18, '/') == NULL)
        return start_shape(r, place, path + 18, attributes);
    if (strcmp(last, "/label") == 0)
        r->label_has_boxes = true;
    return DET_OK;
}

static det_status end_label(struct reading *r)
{
    int32_t index = -1;
    det_status status = DET_OK;
    /* A map that lacks one of CVAT's labels is told when an object has it. */
    if (r->label_name != NULL && r->label_has_boxes)
        status = det_annotations_class(r->env, r->set, r->label_name, &index);
    det_free(r->env, &r->label_name);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
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

static det_status on_end(void *user, const struct xml_place *place, const char *text)
{
    struct reading *r = user;
    const char *path = place->path;
    if (strncmp(path, "annotations/image", 17) == 0) {
        if (r->in_shape && ends_with(path, "/attribute")) {
            set_flag(r, text);
        } else if (r->in_shape && strncmp(path, "annotations/image/", 18) == 0 &&
                   strchr(path + 18, '/') == NULL) {
            r->in_shape = false;
            return det_annotations_add_object(r->env, r->set, &r->object);
        } else if (path[17] == '\0') {
            r->in_image = false;
        }
        return DET_OK;
    }
    if (ends_with(path, "/labels/label/name")) {
        det_free(r->env, &r->label_name);
        return det_strdup(r->env, &r->label_name, text);
    }
    if (ends_with(path, "/labels/label/type"))
        r->label_has_boxes = strcmp(text, "tag") != 0 && strcmp(text, "points") != 0 &&
                             strcmp(text, "polyline") != 0 && strcmp(text, "skeleton") != 0;
    if (ends_with(path, "/labels/label"))
        return end_label(r);
    return DET_OK;
}

det_status det_read_cvat(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set)
{
    struct reading r = {.env = env, .settings = settings, .set = set};
    const struct xml_handlers handlers = {&r, on_start, on_end};
    struct det_file_map map = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_is_directory(settings->path)
                ? det_path_join(env, &path, settings->path, "annotations.xml")
                : det_strdup(env, &path, settings->path));
    r.path = path;
    DET_TRY(det_path_directory(env, &r.base, path));
    DET_TRY(det_file_map_open(env, path, &map));
    status = xml_parse(env, path, map.data, map.bytes, &handlers);
    det_file_map_close(&map);
    if (status == DET_STATUS_PARSE || status == DET_STATUS_CORRUPT) {
        det_finding(settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        status = DET_OK;
    }
fail:
    det_free(env, &r.label_name);
    det_free(env, &r.base);
    det_free(env, &path);
    return status;
}
