/* read_csv.c: tables of boxes. RFC 4180: fields in quotes may hold commas, quotes (doubled) and line
 * breaks. The first line names the columns, in any order and case:
 *
 *   filename | image | image_path | file | imageid     required
 *   class | label | name | labelname                   required
 *   xmin | x1 | left, ymin | y1 | top, xmax | x2 | right, ymax | y2 | bottom     required
 *   width, height                                      of the image
 *   split | subset | set, difficult, isgroupof | group_of, iscrowd | is_crowd, istruncated | truncated
 *
 * Other columns are not looked at. A line with an empty class and empty coordinates is an image without
 * boxes. Coordinates are pixels when one of the file's is above 1.5, else shares of the image.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "convert/readers.h"

enum column {
    FILENAME,
    CLASS,
    XMIN,
    YMIN,
    XMAX,
    YMAX,
    WIDTH,
    HEIGHT,
    SPLIT,
    DIFFICULT,
    GROUP_OF,
    IS_CROWD,
    TRUNCATED,
    COLUMNS
};

static const char *const names[COLUMNS][6] = {
    [FILENAME] = {"filename", "image", "image_path", "file", "imageid"},
    [CLASS] = {"class", "label", "name", "labelname"},
    [XMIN] = {"xmin", "x1", "left"},
    [YMIN] = {"ymin", "y1", "top"},
    [XMAX] = {"xmax", "x2", "right"},
    [YMAX] = {"ymax", "y2", "bottom"},
    [WIDTH] = {"width"},
    [HEIGHT] = {"height"},
    [SPLIT] = {"split", "subset", "set"},
    [DIFFICULT] = {"difficult"},
    [GROUP_OF] = {"isgroupof", "group_of"},
    [IS_CROWD] = {"iscrowd", "is_crowd"},
    [TRUNCATED] = {"istruncated", "truncated"},
};

enum { MOST_FIELDS = 64 };

struct table {
    char *at;      /* rest of the text */
    uint32_t line; /* where the record begins */
    uint32_t next_line;
    char *fields[MOST_FIELDS];
    size_t count;
    bool too_many;
};

struct reading {
    const struct det_read_settings *settings;
    struct det_annotations *set;
    struct table table;
    int place[COLUMNS]; /* of a column in a line, -1: not there */
    char *base, *split;
    struct det_id_map images; /* hash of the name -> position of the first with it */
    double most;              /* the largest coordinate */
    size_t first_image;
};

/* One field, unquoted in place; *end: what stood behind it. */
static char *next_field(struct table *t, char *end)
{
    char *from = t->at, *to = t->at, *start = t->at;
    if (*from == '"') {
        from++;
        while (*from != '\0' && !(from[0] == '"' && from[1] != '"')) {
            from += from[0] == '"';
            t->next_line += *from == '\n';
            *to++ = *from++;
        }
        from += *from == '"';
    }
    while (*from != '\0' && *from != ',' && *from != '\n')
        *to++ = *from++;
    *end = *from;
    t->at = from + (*from != '\0');
    if (to > start && *end != ',' && to[-1] == '\r')
        to--;
    *to = '\0';
    return start;
}

/* The next line that is not empty; false at the end. */
static bool next_record(struct table *t)
{
    while (*t->at != '\0') {
        char end = ',';
        t->line = t->next_line;
        t->count = 0;
        t->too_many = false;
        while (end == ',') {
            char *field = next_field(t, &end);
            if (t->count < MOST_FIELDS)
                t->fields[t->count++] = field;
            else
                t->too_many = true;
        }
        t->next_line++;
        if (t->count > 1 || t->fields[0][0] != '\0')
            return true;
    }
    return false;
}

static const char *field(const struct reading *r, enum column column)
{
    const int at = r->place[column];
    return at >= 0 && (size_t)at < r->table.count ? det_trimmed(r->table.fields[at]) : "";
}

static det_status read_header(struct det_env *env, struct reading *r)
{
    if (!next_record(&r->table))
        return det_fail(env, DET_STATUS_PARSE, "%s: is empty, expected a line of column names",
                        r->settings->path);
    for (int c = 0; c < COLUMNS; c++) {
        r->place[c] = -1;
        for (size_t f = 0; f < r->table.count; f++)
            for (int n = 0; n < 6 && names[c][n] != NULL; n++)
                if (r->place[c] < 0 &&
                    strcasecmp(det_trimmed(r->table.fields[f]), names[c][n]) == 0)
                    r->place[c] = (int)f;
        if (c <= YMAX && r->place[c] < 0)
            return det_fail(env, DET_STATUS_PARSE,
                            "%s:1: there is no column `%s` (found `%s`, ...)", r->settings->path,
                            names[c][0], r->table.fields[0]);
    }
    return DET_OK;
}

static int64_t hash_of(const char *name)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    return (int64_t)hash;
}

static det_status find_or_add(struct det_env *env, struct reading *r, const char *name,
                              size_t *image)
{
    uint32_t found = 0;
    const int64_t hash = hash_of(name);
    const bool known = det_id_map_find(&r->images, hash, &found);
    if (known && strcmp(r->set->images[found].name, name) == 0) {
        *image = found;
        return DET_OK;
    }
    char where[600];
    snprintf(where, sizeof where, "%.400s: %.180s", r->settings->path, name);
    DET_TRY_RETURN(det_annotations_add_image(env, r->set, where, name, true, image));
    if (!known)
        DET_TRY_RETURN(det_id_map_add(env, &r->images, hash, (uint32_t)*image));
    struct det_labelled_image *added = &r->set->images[*image];
    double width = 0, height = 0;
    if (det_parse_coordinate(field(r, WIDTH), &width) && width >= 1 && width <= 65500)
        added->width_px = (int32_t)width;
    if (det_parse_coordinate(field(r, HEIGHT), &height) && height >= 1 && height <= 65500)
        added->height_px = (int32_t)height;
    const char *split = field(r, SPLIT);
    DET_TRY_RETURN(
        det_set_split(env, r->settings, r->set, *image, split[0] != '\0' ? split : r->split));
    return det_find_image(env, r->settings, r->base, r->set->splits.paths[added->split], added);
}

static bool is_true(const char *text)
{
    return strcmp(text, "1") == 0 || strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0;
}

/* False: a coordinate is no number, told. */
static bool read_box(struct reading *r, struct det_labelled_object *object)
{
    static const enum column order[4] = {YMIN, XMIN, YMAX, XMAX};
    for (int c = 0; c < 4; c++) {
        const char *text = field(r, order[c]);
        if (!det_parse_coordinate(text, &object->box[c])) {
            det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                        "%s:%u: %s is `%.60s`, expected a number", r->settings->path, r->table.line,
                        names[order[c]][0], text);
            return false;
        }
        if (object->box[c] > r->most)
            r->most = object->box[c];
    }
    return true;
}

static det_status add_line(struct det_env *env, struct reading *r)
{
    char place[600];
    size_t image = 0;
    const char *name = field(r, FILENAME);
    if (r->table.too_many || name[0] == '\0') {
        det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s:%u: %s", r->settings->path,
                    r->table.line, r->table.too_many ? "more than 64 fields" : "has no file name");
        return DET_OK;
    }
    DET_TRY_RETURN(find_or_add(env, r, name, &image));
    const char *class_name = field(r, CLASS);
    if (class_name[0] == '\0' && field(r, XMIN)[0] == '\0' && field(r, YMIN)[0] == '\0' &&
        field(r, XMAX)[0] == '\0' && field(r, YMAX)[0] == '\0')
        return DET_OK;
    struct det_labelled_object object = det_annotations_object(image);
    if (!read_box(r, &object))
        return DET_OK;
    object.line = r->table.line;
    object.difficult = is_true(field(r, DIFFICULT));
    object.group_of = is_true(field(r, GROUP_OF));
    object.is_crowd = is_true(field(r, IS_CROWD));
    object.truncated = is_true(field(r, TRUNCATED));
    snprintf(place, sizeof place, "%.500s:%u", r->settings->path, r->table.line);
    DET_TRY_RETURN(
        det_find_class(env, r->settings, r->set, place, class_name, &object.class_index));
    return det_annotations_add_object(env, r->set, &object);
}

det_status det_read_csv(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set)
{
    struct reading r = {.settings = settings, .set = set, .first_image = set->image_count};
    char *text = NULL;
    det_status status = DET_OK;
    if (!set->classes_are_fixed)
        set->classes_as_met = true;
    DET_TRY_RETURN(det_read_text(env, settings->path, &text));
    r.table = (struct table){.at = text, .next_line = 1};
    DET_TRY(det_path_directory(env, &r.base, settings->path));
    DET_TRY(det_split_of_path(env, settings->path, &r.split));
    status = read_header(env, &r);
    if (status == DET_STATUS_PARSE) {
        det_finding(settings->findings, DET_RULE_UNREADABLE, "%s", env->error);
        status = DET_OK;
        goto fail;
    }
    while (status == DET_OK && next_record(&r.table))
        status = add_line(env, &r);
    for (size_t i = r.first_image; i < set->image_count; i++)
        set->images[i].boxes_px = r.most > 1.5;
fail:
    det_id_map_free(env, &r.images);
    det_free(env, &r.base);
    det_free(env, &r.split);
    det_free(env, &text);
    return status;
}
