#include "convert/read/cvat_shape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/read/xml.h"
#include "convert/readers.h"

enum det_cvat_kind det_cvat_kind_of(const char *element)
{
    static const char *const boxed[] = {"box", "polygon", "mask", "ellipse"};
    for (size_t i = 0; i < sizeof boxed / sizeof boxed[0]; i++)
        if (strcmp(element, boxed[i]) == 0)
            return DET_CVAT_BOXED;
    return strcmp(element, "tag") == 0 ? DET_CVAT_NO_SHAPE : DET_CVAT_POINTS;
}

static bool fail(struct det_cvat_fault *fault, const char *attribute, const char *value)
{
    fault->attribute = attribute;
    snprintf(fault->value, sizeof fault->value, "%.60s", value != NULL ? value : "(missing)");
    return false;
}

static bool number(const char *const *attributes, const char *name, double *value,
                   struct det_cvat_fault *fault)
{
    const char *text = det_xml_value_of(attributes, name);
    return (text != NULL && det_parse_coordinate(text, value)) || fail(fault, name, text);
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
static bool outline(const char *points, double box[4], struct det_cvat_fault *fault)
{
    static const double none[4] = DET_NO_BOX;
    memcpy(box, none, sizeof none);
    while (points != NULL && *points != '\0') {
        char pair[96];
        const size_t length = strcspn(points, ";");
        double x = 0, y = 0;
        snprintf(pair, sizeof pair, "%.*s", length < 95 ? (int)length : 95, points);
        char *comma = strchr(pair, ',');
        if (comma == NULL)
            return fail(fault, "points", pair);
        *comma = '\0';
        if (!det_parse_coordinate(pair, &x) || !det_parse_coordinate(comma + 1, &y)) {
            *comma = ',';
            return fail(fault, "points", pair);
        }
        det_box_include(box, y, x);
        points += length + (points[length] == ';');
    }
    return !isinf(box[0]) || fail(fault, "points", "");
}

static bool box_from(const char *element, const char *const *a, double box[4],
                     struct det_cvat_fault *fault)
{
    double first[2] = {0}, second[2] = {0};
    if (strcmp(element, "polygon") == 0)
        return outline(det_xml_value_of(a, "points"), box, fault);
    if (strcmp(element, "box") == 0)
        return number(a, "ytl", &box[0], fault) && number(a, "xtl", &box[1], fault) &&
               number(a, "ybr", &box[2], fault) && number(a, "xbr", &box[3], fault);
    const bool is_mask = strcmp(element, "mask") == 0; /* else an ellipse */
    if (!number(a, is_mask ? "top" : "cy", &first[0], fault) ||
        !number(a, is_mask ? "left" : "cx", &first[1], fault) ||
        !number(a, is_mask ? "height" : "ry", &second[0], fault) ||
        !number(a, is_mask ? "width" : "rx", &second[1], fault))
        return false;
    for (int axis = 0; axis < 2; axis++) {
        box[axis] = is_mask ? first[axis] : first[axis] - second[axis];
        box[2 + axis] = first[axis] + second[axis];
    }
    return true;
}

bool det_cvat_shape_box(const char *element, const char *const *attributes, double box[4],
                        bool *as_it_is, struct det_cvat_fault *fault)
{
    double rotation = 0;
    const char *text = det_xml_value_of(attributes, "rotation");
    if (text != NULL && !det_parse_coordinate(text, &rotation))
        return fail(fault, "rotation", text);
    *as_it_is = strcmp(element, "box") == 0 && rotation == 0;
    if (!box_from(element, attributes, box, fault))
        return false;
    if (rotation != 0)
        turn(box, rotation);
    return true;
}
