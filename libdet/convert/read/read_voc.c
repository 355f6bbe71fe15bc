#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/read/xml.h"
#include "convert/readers.h"
#include "data/image.h"
#include "support/mem.h"

enum { MOST_DEPTH = 5 };

/* <source><image> is where a picture came from ("flickr", "Unknown"), no id. */

/* One line of ImageSets/Main/SPLIT.txt: a file's name without extension. */
struct listed {
    char *stem;
    int32_t split; /* position in names */
    bool is_read;  /* its file was there */
};

struct reading {
    struct det_env *env;
    const struct det_read_settings *settings;
    struct det_annotations *set;
    struct listed *listed; /* sorted, each name once */
    size_t listed_count, listed_capacity;
    struct det_path_list names; /* of the splits listed */
    struct det_xml_reader xml;
    char *root;
};

/* One file while it is parsed. */
struct file {
    struct reading *r;
    const char *path;
    char *filename;
    int32_t width, height;
    struct object {
        char *name;
        struct det_labelled_object object;
        unsigned corners; /* bit c: coordinate c was given */
        bool bad;         /* a number is none, told */
    } * objects;
    size_t count, capacity;
};

static struct object *current(struct file *f)
{
    return &f->objects[f->count - 1];
}

static det_status on_start(void *user, const struct det_xml_place *place,
                           const char *const *attributes)
{
    struct file *f = user;
    (void)attributes;
    if (strcmp(place->path, "annotation") != 0 && strchr(place->path, '/') == NULL)
        return det_fail(
            f->r->env, DET_STATUS_PARSE,
            "%s:%u: the root element is <%.60s>, expected <annotation>: no Pascal VOC file%s",
            f->path, place->line, place->path,
            strcmp(place->path, "annotations") == 0 ? " but CVAT's: --from cvat-xml" : "");
    if (strcmp(place->path, "annotation/object") != 0)
        return DET_OK;
    DET_TRY_RETURN(det_grow(f->r->env, &f->objects, &f->capacity, f->count + 1, sizeof *f->objects,
                            "objects"));
    f->objects[f->count++] = (struct object){.object = det_annotations_object(0)};
    current(f)->object.line = place->line;
    current(f)->object.number = (uint32_t)f->count - 1;
    return DET_OK;
}

static void tell_number(struct file *f, const struct det_xml_place *place, const char *text)
{
    det_finding(f->r->settings->findings, DET_RULE_UNREADABLE,
                "%s:%u: <%s> is `%.60s`, expected a number", f->path, place->line,
                det_path_name(place->path), text);
}

static det_status keep(struct file *f, char **to, const char *text)
{
    det_free(f->r->env, to);
    return det_strdup(f->r->env, to, text);
}

static det_status end_object(struct file *f, const struct det_xml_place *place, const char *tail,
                             const char *text)
{
    static const char *const corners[4] = {"bndbox/ymin", "bndbox/xmin", "bndbox/ymax",
                                           "bndbox/xmax"};
    struct object *o = current(f);
    const bool is_set =
        strcmp(text, "1") == 0 || strcmp(text, "true") == 0 || strcmp(text, "True") == 0;
    for (unsigned c = 0; c < 4; c++) {
        if (strcmp(tail, corners[c]) != 0)
            continue;
        if (!det_parse_coordinate(text, &o->object.box[c])) {
            tell_number(f, place, text);
            o->bad = true;
        }
        o->corners |= 1u << c;
    }
    if (strcmp(tail, "name") == 0)
        return keep(f, &o->name, text);
    if (strcmp(tail, "difficult") == 0)
        o->object.difficult = is_set;
    else if (strcmp(tail, "truncated") == 0)
        o->object.truncated = is_set;
    else if (strcmp(tail, "group_of") == 0)
        o->object.group_of = is_set;
    else if (strcmp(tail, "iscrowd") == 0)
        o->object.is_crowd = is_set;
    return DET_OK;
}

static det_status on_end(void *user, const struct det_xml_place *place, const char *text)
{
    struct file *f = user;
    const char *path = place->path;
    double number = 0;
    if (strncmp(path, "annotation/object/", 18) == 0)
        return end_object(f, place, path + 18, text);
    if (strcmp(path, "annotation/filename") == 0)
        return keep(f, &f->filename, text);
    const bool is_width = strcmp(path, "annotation/size/width") == 0;
    if (!is_width && strcmp(path, "annotation/size/height") != 0)
        return DET_OK;
    if (!det_parse_coordinate(text, &number))
        tell_number(f, place, text);
    *(is_width ? &f->width : &f->height) = number >= 1 && number <= 65500 ? (int32_t)number : 0;
    return DET_OK;
}

/* The image that <filename> names; many files were renamed after labelling, so else the one that is
 * called as the XML file. */
static det_status find_image(struct file *f, const char *base, size_t index)
{
    struct det_env *env = f->r->env;
    struct det_findings silent = {0};
    struct det_read_settings quiet = *f->r->settings;
    struct det_labelled_image *image = &f->r->set->images[index];
    quiet.findings = &silent;
    DET_TRY_RETURN(det_find_image(env, &quiet, base, NULL, image));
    if (!image->broken)
        return DET_OK;
    char *given = image->name, *stem = NULL;
    const char *name = det_path_name(f->path);
    det_status status = DET_OK;
    image->name = NULL;
    DET_TRY(det_strndup(env, &stem, name, strlen(name) - 4));
    DET_TRY(det_strdup(env, &image->name, stem));
    DET_TRY(det_find_image(env, &quiet, base, NULL, image));
    if (image->path != NULL) { /* with its extension */
        det_free(env, &image->name);
        DET_TRY(det_strdup(env, &image->name, det_path_name(image->path)));
    }
fail:
    det_free(env, &stem);
    if (status == DET_OK && !image->broken) {
        det_free(env, &given);
        return DET_OK;
    }
    det_free(env, &image->name);
    image->name = given;
    return status == DET_OK ? det_find_image(env, f->r->settings, base, NULL, image) : status;
}

static int by_stem(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    const int order = strcmp(x->stem, y->stem);
    return order != 0 ? order : (x->split > y->split) - (x->split < y->split);
}

static int find_stem(const void *key, const void *listed)
{
    return strcmp(key, ((const struct listed *)listed)->stem);
}

/* The folder that a file's split may be called by: the innermost that is not named for what it
 * holds. *length: of its name, 0: none below the root. */
static const char *split_folder(const struct reading *r, const char *base, size_t *length)
{
    static const char *const plain[] = {"Annotations", "annotations", "labels",    "xml",
                                        "xmls",        "images",      "JPEGImages"};
    const char *end = base + strlen(base), *first = base + strlen(r->root);
    *length = 0;
    while (end > first) {
        const char *name = det_path_part(first, end);
        *length = (size_t)(end - name);
        bool is_plain = *length == 0;
        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
            is_plain |= strlen(plain[i]) == *length && memcmp(plain[i], name, *length) == 0;
        if (!is_plain)
            return name;
        *length = 0;
        end = name > first ? name - 1 : first;
    }
    return base;
}

static det_status set_split(struct file *f, size_t image, const char *base)
{
    struct reading *r = f->r;
    const char *name = det_path_name(f->path);
    char *split = NULL, *stem = NULL;
    size_t length = 0;
    DET_TRY_RETURN(det_strndup(r->env, &stem, name, strlen(name) - 4));
    struct listed *found = r->listed_count > 0 ? bsearch(stem, r->listed, r->listed_count,
                                                         sizeof *r->listed, find_stem)
                                               : NULL;
    det_free(r->env, &stem);
    if (found != NULL) {
        found->is_read = true;
        return det_set_split(r->env, r->settings, r->set, image, r->names.paths[found->split]);
    }
    const char *folder = split_folder(r, base, &length);
    DET_TRY_RETURN(length > 0 ? det_strndup(r->env, &split, folder, length)
                              : det_strdup(r->env, &split, "data"));
    const det_status status = det_set_split(r->env, r->settings, r->set, image, split);
    det_free(r->env, &split);
    return status;
}

static det_status add_file(struct file *f)
{
    struct reading *r = f->r;
    char *base = NULL;
    size_t index = 0;
    det_status status = DET_OK;
    DET_TRY(det_path_directory(r->env, &base, f->path));
    DET_TRY(det_annotations_add_image(r->env, r->set, f->path, f->filename, true, &index));
    r->set->images[index].width_px = f->width;
    r->set->images[index].height_px = f->height;
    DET_TRY(set_split(f, index, base));
    DET_TRY(find_image(f, base, index));
    for (size_t i = 0; i < f->count; i++) {
        struct object *o = &f->objects[i];
        char place[600];
        snprintf(place, sizeof place, "%.500s:%u: object %zu", f->path, o->object.line, i);
        o->object.image = (uint32_t)index;
        if (o->corners != 15 && !o->bad)
            det_finding(r->settings->findings, DET_RULE_UNREADABLE,
                        "%s: <bndbox> lacks one of xmin, ymin, xmax, ymax", place);
        if (o->corners != 15 || o->bad) {
            det_lose_object(r->set, index);
            continue;
        }
        DET_TRY(det_find_class(r->env, r->settings, r->set, place, o->name != NULL ? o->name : "",
                               &o->object.class_index));
        DET_TRY(det_annotations_add_object(r->env, r->set, &o->object));
    }
fail:
    det_free(r->env, &base);
    return status;
}

static det_status read_file(struct reading *r, const char *path)
{
    struct file f = {.r = r, .path = path};
    const struct det_xml_handlers handlers = {&f, on_start, on_end};
    struct det_source_bytes source;
    DET_TRY_RETURN(det_files_open(r->env, r->settings->files, path, &source));
    det_status status = det_xml_parse(r->env, &r->xml, path, source.data, source.bytes,
                                      r->settings->encoding, &handlers);
    det_source_bytes_close(r->env, &source);
    if (status == DET_OK) {
        status = add_file(&f);
    } else if (status == DET_STATUS_PARSE || status == DET_STATUS_CORRUPT) {
        det_finding(r->settings->findings, DET_RULE_UNREADABLE, "%s", r->env->error);
        status = DET_OK;
    }
    for (size_t i = 0; i < f.count; i++)
        det_free(r->env, &f.objects[i].name);
    det_free(r->env, &f.objects);
    det_free(r->env, &f.filename);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool is_xml(const char *path)
{
    return ends_with(path, ".xml") || ends_with(path, ".XML");
}

static det_status visit(struct det_env *env, void *user, const char *path)
{
    (void)env;
    return is_xml(path) ? read_file(user, path) : DET_OK;
}

/* --- ImageSets/Main --- */

/* "NAME 1", "NAME 0" or "NAME -1" says whether a class is in the image: such a list is of a
 * class. */
static bool lists_a_class(const char *text)
{
    char line[300];
    text += strspn(text, "\r\n");
    const size_t length = strcspn(text, "\r\n");
    snprintf(line, sizeof line, "%.*s", length < 299 ? (int)length : 299, text);
    const char *content = det_trimmed(line), *last = strrchr(content, ' ');
    return last != NULL &&
           (strcmp(last, " 1") == 0 || strcmp(last, " 0") == 0 || strcmp(last, " -1") == 0);
}

/* The name in a line of a list: without the folders that it may have, and quotes. */
static char *listed_name(char *line)
{
    line = det_trimmed(line);
    const size_t length = strlen(line);
    if (length > 1 && line[0] == '"' && line[length - 1] == '"') {
        line[length - 1] = '\0';
        line++;
    }
    return line + (det_path_name(line) - line);
}

static det_status read_list(struct reading *r, const char *path)
{
    char *text = NULL, *line = NULL, *split = NULL;
    const char *name = det_path_name(path);
    det_status status = DET_OK;
    DET_TRY(det_read_text(r->env, r->settings, path, &text));
    if (lists_a_class(text))
        goto fail;
    DET_TRY(det_strndup(r->env, &split, name, strlen(name) - 4));
    DET_TRY(det_path_list_add(r->env, &r->names, split));
    char *at = text;
    while (det_next_line(&at, &line)) {
        line = listed_name(line);
        if (line[0] == '\0')
            continue;
        DET_TRY(det_grow(r->env, &r->listed, &r->listed_capacity, r->listed_count + 1,
                         sizeof *r->listed, "image lists"));
        r->listed[r->listed_count] = (struct listed){.split = (int32_t)r->names.count - 1};
        DET_TRY(det_strdup(r->env, &r->listed[r->listed_count++].stem, line));
    }
fail:
    det_free(r->env, &split);
    det_free(r->env, &text);
    return status;
}

/* An image is in one split: the first list that names it counts. */
static void keep_first(struct reading *r, const char *folder)
{
    size_t kept = 0, twice = 0, example = 0;
    int32_t other = 0;
    for (size_t i = 0; i < r->listed_count; i++) {
        struct listed *at = &r->listed[i];
        if (kept == 0 || strcmp(r->listed[kept - 1].stem, at->stem) != 0) {
            r->listed[kept++] = *at;
            continue;
        }
        if (r->listed[kept - 1].split != at->split && twice++ == 0) {
            example = kept - 1;
            other = at->split;
        }
        det_free(r->env, &at->stem);
    }
    r->listed_count = kept;
    if (twice > 0)
        det_finding(r->settings->findings, DET_RULE_SPLIT_LEAK,
                    "%s: image `%.200s` is in %s.txt and in %s.txt (%zu such names): each is taken "
                    "for the first",
                    folder, r->listed[example].stem, r->names.paths[r->listed[example].split],
                    r->names.paths[other], twice);
}

static void tell_of_unread(struct reading *r, const char *folder)
{
    const struct listed *first = NULL;
    size_t unread = 0;
    for (size_t i = r->listed_count; i-- > 0;)
        if (!r->listed[i].is_read) {
            first = &r->listed[i];
            unread++;
        }
    if (unread > 0)
        det_finding(r->settings->findings, DET_RULE_PATH_STALE,
                    "%s: %s.txt names `%.200s`, but there is no such .xml file (%zu such names)",
                    folder, r->names.paths[first->split], first->stem, unread);
}

static det_status read_lists(struct reading *r, const char *folder)
{
    struct det_path_list files = {0};
    det_status status = DET_OK;
    if (!det_files_is_directory(r->settings->files, folder))
        return DET_OK;
    DET_TRY(det_files_list(r->env, r->settings->files, folder, &files));
    bool has_train = false;
    for (size_t i = 0; i < files.count; i++)
        has_train |= strcmp(det_path_name(files.paths[i]), "train.txt") == 0;
    /* trainval.txt is train and val together */
    for (size_t i = 0; i < files.count; i++)
        if (ends_with(files.paths[i], ".txt") &&
            !(has_train && strcmp(det_path_name(files.paths[i]), "trainval.txt") == 0))
            DET_TRY(read_list(r, files.paths[i]));
    if (r->listed_count > 0)
        qsort(r->listed, r->listed_count, sizeof *r->listed, by_stem);
    keep_first(r, folder);
fail:
    det_path_list_free(r->env, &files);
    return status;
}

det_status det_read_voc(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set)
{
    struct reading r = {.env = env, .settings = settings, .set = set};
    char *lists = NULL, *annotations = NULL;
    det_status status = DET_OK;
    if (!set->classes_are_fixed)
        set->classes_as_met = true;
    DET_TRY(det_files_is_directory(settings->files, settings->path)
                ? det_strdup(env, &r.root, settings->path)
                : det_path_directory(env, &r.root, settings->path));
    if (!det_files_is_directory(settings->files, settings->path)) {
        DET_TRY(read_file(&r, settings->path));
        goto fail;
    }
    DET_TRY(det_path_join(env, &lists, settings->path, "ImageSets/Main"));
    DET_TRY(det_path_join(env, &annotations, settings->path, "Annotations"));
    DET_TRY(read_lists(&r, lists));
    const size_t before = set->image_count;
    const bool has_folder = det_files_is_directory(settings->files, annotations);
    DET_TRY(det_files_walk(env, settings->files, has_folder ? annotations : settings->path,
                           MOST_DEPTH, visit, &r));
    tell_of_unread(&r, lists);
    if (set->image_count == before)
        det_finding(settings->findings, DET_RULE_NO_INPUT,
                    "%s: no annotation was read from its .xml files", settings->path);
fail:
    det_xml_reader_close(env, &r.xml);
    for (size_t i = 0; i < r.listed_count; i++)
        det_free(env, &r.listed[i].stem);
    det_free(env, &r.listed);
    det_path_list_free(env, &r.names);
    det_free(env, &r.root);
    det_free(env, &annotations);
    det_free(env, &lists);
    return status;
}
