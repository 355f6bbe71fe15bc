/* read_csv.c: tables of boxes. RFC 4180: fields in quotes may hold commas, quotes (doubled) and
 * line breaks; semicolons or tabs may stand for the commas where the first line has them. That line
 * names the columns, in any order and case; of several names for one thing the first here counts:
 *
 *   required:   filename | file_name | image | image_path | image_name | file | path | imageid |
 *               image_id
 *               class | label | name | class_name | labelname | label_name | category
 *               xmin | x1 | left | x_min, ymin | y1 | top | y_min, ... xmax right, ymax bottom
 *   the image:  width, height, split | subset | set
 *   the object: difficult, isgroupof | group_of, iscrowd | is_crowd, istruncated | truncated
 *
 * Other columns are not looked at. Without such a line the table may be keras-retinanet's: path,
 * x1, y1, x2, y2, class. A line with an empty class and empty coordinates is an image without
 * boxes. Blanks at the ends of a field are no part of it, unless it is in quotes. Coordinates are
 * pixels when one of the file's is above 1.5, else shares of the image. An
 * apostrophe in front of a name that looks like a formula is no part of it (det_text_csv()). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "convert/readers.h"
#include "support/mem.h"
#include "support/text.h"

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

enum { MOST_NAMES = 9, MOST_FIELDS = 64 };

static const char *const names[COLUMNS][MOST_NAMES] = {
    [FILENAME] = {"filename", "file_name", "image", "image_path", "image_name", "file", "path",
                  "imageid", "image_id"},
    [CLASS] = {"class", "label", "name", "class_name", "labelname", "label_name", "category"},
    [XMIN] = {"xmin", "x1", "left", "x_min"},
    [YMIN] = {"ymin", "y1", "top", "y_min"},
    [XMAX] = {"xmax", "x2", "right", "x_max"},
    [YMAX] = {"ymax", "y2", "bottom", "y_max"},
    [WIDTH] = {"width"},
    [HEIGHT] = {"height"},
    [SPLIT] = {"split", "subset", "set"},
    [DIFFICULT] = {"difficult"},
    [GROUP_OF] = {"isgroupof", "group_of"},
    [IS_CROWD] = {"iscrowd", "is_crowd"},
    [TRUNCATED] = {"istruncated", "truncated"},
};

struct table {
    char *at; /* rest of the text */
    char delimiter;
    uint32_t line; /* where the record begins */
    uint32_t next_line;
    char *fields[MOST_FIELDS];
    bool quoted[MOST_FIELDS]; /* blanks at its ends are its own */
    size_t count;
    bool too_many, unclosed; /* more fields than that; a quote that has no end */
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

/* Behind blanks between a quote and what ends its field; `from` where more than that stands
 * there. */
static char *skip_to_end(const struct table *t, char *from)
{
    char *at = from;
    while (*at != t->delimiter && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return *at == '\0' || *at == '\n' || *at == t->delimiter ? at : from;
}

/* One field, unquoted in place; *end: what stood behind it. */
static char *next_field(struct table *t, char *end, bool *quoted)
{
    char *from = t->at, *to = t->at, *start = t->at;
    *quoted = *from == '"';
    if (*quoted) {
        from++;
        while (*from != '\0' && !(from[0] == '"' && from[1] != '"')) {
            from += from[0] == '"';
            t->next_line += *from == '\n';
            *to++ = *from++;
        }
        t->unclosed |= *from == '\0';
        from = skip_to_end(t, from + (*from == '"'));
    }
    const char *inside = to;
    while (*from != '\0' && *from != t->delimiter && *from != '\n')
        *to++ = *from++;
    *end = *from;
    t->at = from + (*from != '\0');
    if (to > inside && *end != t->delimiter && to[-1] == '\r')
        to--;
    *to = '\0';
    return start;
}

/* The next line that is not empty; false at the end. */
static bool next_record(struct table *t)
{
    while (*t->at != '\0') {
        char end = t->delimiter;
        t->line = t->next_line;
        t->count = 0;
        t->too_many = false;
        while (end == t->delimiter) {
            bool quoted = false;
            char *field = next_field(t, &end, &quoted);
            t->too_many |= t->count == MOST_FIELDS;
            if (t->too_many)
                continue;
            t->quoted[t->count] = quoted;
            t->fields[t->count++] = field;
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
    if (at < 0 || (size_t)at >= r->table.count)
        return "";
    return r->table.quoted[at] ? r->table.fields[at] : det_trimmed(r->table.fields[at]);
}

/* A field that is a name, not a number. */
static const char *name_in(const struct reading *r, enum column column)
{
    return det_csv_value(field(r, column));
}

/* The character that the first line has, in the order of the string. */
static char find_delimiter(const char *text)
{
    static const char delimiters[] = ",;\t";
    const size_t length = strcspn(text, "\n");
    for (size_t i = 0; i + 1 < sizeof delimiters; i++)
        if (memchr(text, delimiters[i], length) != NULL)
            return delimiters[i];
    return ',';
}

/* Column of a thing, -1: not there. */
static int find_column(struct table *t, enum column column)
{
    for (int n = 0; n < MOST_NAMES && names[column][n] != NULL; n++)
        for (size_t f = 0; f < t->count; f++)
            if (strcasecmp(det_trimmed(t->fields[f]), names[column][n]) == 0)
                return (int)f;
    return -1;
}

/* keras-retinanet: "a.jpg,1,2,3,4,cat", or "a.jpg,,,,,". */
static bool is_headless(struct reading *r)
{
    static const enum column order[] = {FILENAME, XMIN, YMIN, XMAX, YMAX, CLASS};
    int numbers = 0, empty = 0;
    double value = 0;
    for (int f = 1; f <= 4 && r->table.count == 6; f++) {
        numbers += det_parse_coordinate(r->table.fields[f], &value);
        empty += r->table.fields[f][0] == '\0';
    }
    if (numbers != 4 && empty != 4)
        return false;
    for (int f = 0; f < 6; f++)
        r->place[order[f]] = f;
    return true;
}

/* Looks at the first record. COLUMNS: it names all columns that must be there, or there is no
 * header (*headless: the record is not used up), else the column that is missing. */
static enum column find_columns(struct reading *r, bool *headless)
{
    *headless = false;
    for (int c = 0; c < COLUMNS; c++)
        r->place[c] = find_column(&r->table, (enum column)c);
    for (int c = 0; c <= YMAX; c++) {
        if (r->place[c] >= 0)
            continue;
        *headless = is_headless(r);
        return *headless ? COLUMNS : (enum column)c;
    }
    return COLUMNS;
}

static det_status read_header(struct det_env *env, struct reading *r, bool *headless)
{
    if (!next_record(&r->table))
        return det_fail(env, DET_STATUS_PARSE, "%s: is empty, expected a line of column names",
                        r->settings->path);
    const enum column missing = find_columns(r, headless);
    if (missing == COLUMNS)
        return DET_OK;
    return det_fail(env, DET_STATUS_PARSE, "%s:1: there is no column `%s` (found `%.60s`, ...)",
                    r->settings->path, names[missing][0], r->table.fields[0]);
}

bool det_csv_holds_boxes(char *text)
{
    struct reading r = {.table = {.at = text, .delimiter = find_delimiter(text), .next_line = 1}};
    bool headless = false;
    return next_record(&r.table) && find_columns(&r, &headless) == COLUMNS;
}

/* A line of an image that an earlier line has put into another split. */
static void compare_split(struct reading *r, const struct det_labelled_image *image)
{
    const char *split = name_in(r, SPLIT), *first = r->set->split_sources.paths[image->split];
    if (r->settings->split != NULL || split[0] == '\0' || strcmp(split, first) == 0)
        return;
    det_finding(
        r->settings->findings, DET_RULE_SPLIT_LEAK,
        "%s:%u (%.150s): split `%.60s`, but an earlier line of the image has `%.60s`, which "
        "counts",
        r->settings->path, r->table.line, image->name, split, first);
}

static det_status find_or_add(struct det_env *env, struct reading *r, const char *name,
                              size_t *image)
{
    uint32_t found = 0;
    const int64_t hash = det_id_of_text(name);
    const bool known = det_id_map_find(&r->images, hash, &found);
    if (known && strcmp(r->set->images[found].name, name) == 0) {
        *image = found;
        compare_split(r, &r->set->images[found]);
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
    const char *split = name_in(r, SPLIT);
    split = split[0] != '\0' ? split : r->split;
    DET_TRY_RETURN(det_set_split(env, r->settings, r->set, *image, split));
    return det_find_image(env, r->settings, r->base, split, added);
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
                        "%s:%u (%.150s): %s is `%.60s`, expected a number", r->settings->path,
                        r->table.line, name_in(r, FILENAME), names[order[c]][0], text);
            return false;
        }
        if (object->box[c] > r->most)
            r->most = object->box[c];
    }
    return true;
}

/* Why a record cannot be a box; NULL: it can. */
static const char *fault_of(const struct reading *r)
{
    return r->table.unclosed   ? "a quote that never closes: nothing behind it is read"
           : r->table.too_many ? "more than 64 fields"
           : name_in(r, FILENAME)[0] == '\0' ? "has no file name"
                                             : NULL;
}

static det_status add_line(struct det_env *env, struct reading *r)
{
    char place[600];
    size_t image = 0;
    const char *fault = fault_of(r);
    if (fault != NULL) {
        det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s:%u: %s", r->settings->path,
                    r->table.line, fault);
        return DET_OK;
    }
    DET_TRY_RETURN(find_or_add(env, r, name_in(r, FILENAME), &image));
    const char *class_name = name_in(r, CLASS);
    if (class_name[0] == '\0' && field(r, XMIN)[0] == '\0' && field(r, YMIN)[0] == '\0' &&
        field(r, XMAX)[0] == '\0' && field(r, YMAX)[0] == '\0')
        return DET_OK;
    struct det_labelled_object object = det_annotations_object(image);
    if (!read_box(r, &object)) {
        det_lose_object(r->set, image);
        return DET_OK;
    }
    object.line = r->table.line;
    object.difficult = is_true(field(r, DIFFICULT));
    object.group_of = is_true(field(r, GROUP_OF));
    object.is_crowd = is_true(field(r, IS_CROWD));
    object.truncated = is_true(field(r, TRUNCATED));
    snprintf(place, sizeof place, "%.400s:%u (%.150s)", r->settings->path, r->table.line,
             r->set->images[image].name);
    DET_TRY_RETURN(
        det_find_class(env, r->settings, r->set, place, class_name, &object.class_index));
    return det_annotations_add_object(env, r->set, &object);
}

det_status det_read_csv(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set)
{
    struct reading r = {.settings = settings, .set = set, .first_image = set->image_count};
    char *text = NULL;
    bool headless = false;
    det_status status = DET_OK;
    if (!set->classes_are_fixed)
        set->classes_as_met = true;
    DET_TRY(det_read_text(env, settings, settings->path, &text));
    r.table = (struct table){.at = text, .delimiter = find_delimiter(text), .next_line = 1};
    DET_TRY(det_path_directory(env, &r.base, settings->path));
    DET_TRY(det_split_of_path(env, settings->path, &r.split));
    DET_TRY(read_header(env, &r, &headless));
    if (headless)
        DET_TRY(add_line(env, &r));
    while (next_record(&r.table))
        DET_TRY(add_line(env, &r));
    for (size_t i = r.first_image; i < set->image_count; i++)
        set->images[i].boxes_px = r.most > 1.5;
fail:
    det_id_map_free(env, &r.images);
    det_free(env, &r.base);
    det_free(env, &r.split);
    det_free(env, &text);
    return det_source_fault(env, settings, status);
}
