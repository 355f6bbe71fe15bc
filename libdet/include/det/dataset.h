/* det/dataset.h: labelled data sets: read, built up or changed in memory, checked, repaired, dealt
 * out into splits, counted, shown and written in another format. docs/data_sets.md tells the
 * formats, what they lose, and the rules for names and faults.
 *
 * Order of use: create; what the set is made of, in any number and order: read (files of other
 * programs), add_image and add_object (one's own boxes); resolve, which decodes every picture once
 * and normalises all boxes; then look at images and objects, change them, check, repair, split,
 * count, write. More may be added after that, and resolved again.
 *
 * Images have positions 0 .. image_count - 1 and keep them. Classes have ids 1 .. class_count, as
 * in label maps and detections. Boxes are ymin, xmin, ymax, xmax, as shares of the upright
 * picture's height and width: 0 to 1, (0, 0) top left.
 *
 * What is wrong with data is a finding, not a failure: it is counted and handed to the callback,
 * and the rest goes on. What is wrong with a call (a class id that is none, no memory, a folder
 * that is not there) is a failure.
 *
 * Pixels are not kept: an image is a file, a part of a record file or a program's encoded bytes,
 * which are copied.
 *
 * Thread safety: as the context it was made with; resolve uses the context's threads.
 */
#ifndef DET_DATASET_H
#define DET_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"
#include "det/pipeline_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_annotation_set det_annotation_set;

/* --- findings --- */

/** Rising. Training survives what a warning says. An error is mended, or its entry dropped, by
 * det_annotation_set_repair(). What is fatal nothing mends: what is missing there was never read.
 */
typedef enum det_severity {
    DET_SEVERITY_WARNING = 0,
    DET_SEVERITY_ERROR = 1,
    DET_SEVERITY_FATAL = 2
} det_severity;

/** Lent to the callback while it runs. */
typedef struct det_annotation_finding {
    /** as far as this library knows the struct */
    size_t struct_size;
    /** one of det_annotation_rule(): "box-outside" */
    const char *rule;
    det_severity severity;
    int reserved;
    /** one line fit to be shown, which begins with file, record and box and says what was found and
     * expected */
    const char *message;
    /** the file, or the entry of it that an image came from: "a.xml", "x.tfrecord: record 3"; "":
     * of none */
    const char *where;
    /** position in the set, -1: the finding is of no image, or of one that is only being read */
    int64_t image;
    /** number of the object among those of its image in the source, from 0; -1: of none */
    int64_t object;
    /** in the source's text, 0: of none */
    int64_t line;
} det_annotation_finding;

/** Must not use the set. */
typedef void (*det_finding_callback)(void *user, const det_annotation_finding *finding);

/** Name of a rule, NULL behind the last; *severity (may be NULL) is what breaking it means. Static
 * text. From any thread. docs/data_sets.md tells what becomes of each fault. Names stay; their
 * order and number do not. */
DET_API const char *det_annotation_rule(size_t index, det_severity *severity);

/* --- formats --- */

/** Name of a format that is read and written, NULL behind the last: "tfrecord", "voc", "coco",
 * "yolo", "cvat-xml", "csv" (docs/data_sets.md). Static text. From any thread. */
DET_API const char *det_annotation_format(size_t index);
/** What reading takes of libraries that are loaded when it is needed, NULL behind the last: "XML"
 * (Pascal VOC, CVAT), "YAML" (data.yaml of YOLO), "zip" (archives). *missing (may be NULL): why
 * that cannot be read here, and what to install; NULL when it can. Static text. From any thread. */
DET_API const char *det_annotation_library(size_t index, const char **missing);

/* --- a set --- */

/** What a rotation that a camera has noted in a picture (EXIF) means for its boxes. */
typedef enum det_exif_policy {
    /** the size that the source says decides; where it does not tell: records are as TensorFlow
     * reads them (not turned), files and bytes as viewers show them (turned) */
    DET_EXIF_AUTO = 0,
    /** boxes are for the turned picture, which is what is written */
    DET_EXIF_APPLY = 1,
    /** boxes are for the pixels as stored; the tag is taken off when they are written */
    DET_EXIF_IGNORE = 2
} det_exif_policy;

typedef struct det_annotation_set_settings {
    /** sizeof(det_annotation_set_settings), set by the default function */
    size_t struct_size;
    /** of text files that do not say their own, by iconv's name; NULL, the default: UTF-8 */
    const char *encoding;
    /** default DET_EXIF_AUTO */
    det_exif_policy exif;
    /** 1: a set without a single box is no fault; default 0 */
    int allow_no_boxes;
    /** gets each finding as it is made; NULL, the default: they are only counted */
    det_finding_callback on_finding;
    /** passed through */
    void *user;
} det_annotation_set_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_annotation_set_settings_init(det_annotation_set_settings *settings,
                                              size_t struct_size);
static inline void det_annotation_set_settings_default(det_annotation_set_settings *settings)
{
    det_annotation_set_settings_init(settings, sizeof *settings);
}

/** An empty set; `settings` may be NULL for the defaults. INVALID_ARGUMENT: an encoding that this
 * machine does not know. On failure *set is NULL. The set must be destroyed before the context. */
DET_NODISCARD DET_API det_status det_annotation_set_create(
    det_context *context, const det_annotation_set_settings *settings, det_annotation_set **set);
/** Releases it and sets *set to NULL. NULL is allowed. */
DET_API void det_annotation_set_destroy(det_annotation_set **set);

/* --- reading --- */

/** Takes the classes of a label map, in its order; objects of other classes are findings
 * (class-unknown) from then on. Without one, classes are what the sources and
 * det_annotation_set_add_class() name. Only while the set is empty (INVALID_ARGUMENT). A map that
 * cannot be understood is a fatal finding. */
DET_NODISCARD DET_API det_status det_annotation_set_load_label_map(det_annotation_set *set,
                                                                   const char *path);
/** Whether the label map fits the config's num_classes; if not, that is a fatal finding. Without a
 * label map nothing is said. */
DET_NODISCARD DET_API det_status det_annotation_set_check_config(det_annotation_set *set,
                                                                 const det_pipeline_config *config);
/** The label map that lies with a source, as exporters leave it: label_map.pbtxt in its folder or
 * in train/ there, or NAME_label_map.pbtxt beside NAME.tfrecord. *path: NULL when there is none;
 * owned by the set, until the next call that uses it. The failures of det_annotation_set_read()
 * for an archive. */
DET_NODISCARD DET_API det_status det_annotation_set_find_label_map(det_annotation_set *set,
                                                                   const char *source,
                                                                   const char **path);
/** A folder, or a .zip of one, in which images are looked for by the names that sources give, with
 * the folders below, before the source's own. */
DET_NODISCARD DET_API det_status det_annotation_set_add_image_folder(det_annotation_set *set,
                                                                     const char *path);

/** Reads a source and adds what is in it: a file, a pattern of record files, a folder (the root of
 * an export: four folders deep), or a .zip of one, which is read where it is.
 *
 * `format`: one of det_annotation_format() or of det_annotation_set_add_reader(); NULL: it is seen
 * by what holds boxes in the source, and det_annotation_set_format() says what it is. `split` is
 * the split of all of it; NULL: as the source says, else by the names of its folders and files.
 *
 * Faults of entries are findings, as are records that are not there (no-input: a pattern may match
 * nothing). UNSUPPORTED: a format that is not known, a library that is missing
 * (det_annotation_library()), an archive that is refused; NOT_FOUND, IO: there is no such file, or
 * nothing of a format in the folder; INVALID_ARGUMENT: it holds two formats. After a failure the
 * set has what was read before that. */
DET_NODISCARD DET_API det_status det_annotation_set_read(det_annotation_set *set,
                                                         const char *format, const char *path,
                                                         const char *split);
/** The same of a file in memory, [bytes], which is copied: records, COCO's annotations, a table,
 * CVAT's annotations, a .zip of any of them. `name` is what it would be called as a file: messages
 * begin with it, it tells the format and the split where these are NULL, and images that are not in
 * it are looked for beside it; of a .zip it must be another one each time (INVALID_ARGUMENT). The
 * set keeps the copy where it holds pictures. */
DET_NODISCARD DET_API det_status det_annotation_set_read_memory(det_annotation_set *set,
                                                                const char *format,
                                                                const char *name, const void *data,
                                                                size_t bytes, const char *split);
/** Format of the last source; NULL: none was read, or the last one's could not be told. Valid as
 * long as the set. */
DET_API const char *det_annotation_set_format(const det_annotation_set *set);

/** A program's own reader: adds to the set what `path` holds, by add_image, add_object and
 * add_finding. `split` may be NULL. Its status is that of det_annotation_set_read(); the message is
 * that of the call that failed in it, or what it gave det_context_fail(). */
typedef det_status (*det_annotation_reader_callback)(void *user, det_annotation_set *set,
                                                     const char *path, const char *split);
/** From now on det_annotation_set_read() reads `format` (copied) by it, also where the library, or
 * an earlier reader, has one of that name: that one is what reads the format while this one
 * runs. */
DET_NODISCARD DET_API det_status
det_annotation_set_add_reader(det_annotation_set *set, const char *format,
                              det_annotation_reader_callback callback, void *user);

/* --- building a set up --- */

/** Adds a class, unless it is there; *class_id, from 1, which it keeps. `name` that is not UTF-8 is
 * made so. MISMATCH: a label map has fixed the classes and lacks it. INVALID_ARGUMENT: "". */
DET_NODISCARD DET_API det_status det_annotation_set_add_class(det_annotation_set *set,
                                                              const char *name, int32_t *class_id);

/** An image to be added: {.struct_size = sizeof image, .path = "a.jpg"}. All texts are copied. */
typedef struct det_annotation_image {
    /** sizeof(det_annotation_image) */
    size_t struct_size;
    /** a file of one of det_image_formats(); NULL: `data`, or a file that is looked for by `name`
     */
    const char *path;
    /** [bytes] such a file in memory, copied; NULL: none */
    const void *data;
    size_t bytes;
    /** what it is called in files that are written; NULL: as `path`. A name that is taken gets
     * "_2", ... */
    const char *name;
    /** where a file called `name` is looked for, after the image folders, when there is neither
     * path nor data; NULL: "." */
    const char *folder;
    /** unique in its split; NULL: the name */
    const char *source_id;
    /** NULL: "data". INVALID_ARGUMENT when it is no safe name of a file, which it becomes part of
     */
    const char *split;
    /** begins messages: "list.txt: line 3"; NULL: the path, else the name */
    const char *where;
    /** what the source says, compared when the picture is decoded; 0: nothing */
    int32_t width_px, height_px;
} det_annotation_image;

/** Adds an image without objects; *position: its place in the set. A file that cannot be found or
 * decoded is a finding, when it is looked for by name or resolved, and the image cannot be used. */
DET_NODISCARD DET_API det_status det_annotation_set_add_image(det_annotation_set *set,
                                                              const det_annotation_image *image,
                                                              size_t *position);

/** An object, to be added or as it is in a set. */
typedef struct det_annotation_object {
    /** sizeof(det_annotation_object), set by the default function */
    size_t struct_size;
    /** added to the classes when it is new (copied); "": none, which is a finding; NULL, the
     * default: class_id says which. Of a set: lent, as long as it is not changed; NULL: the object
     * has no class that is known */
    const char *class_name;
    /** from 1; 0, the default: none, which is a finding */
    int32_t class_id;
    /** 1: `box` is in pixels of the upright picture; default 0. Of a set: 0, but for an image that
     * cannot be used, whose boxes are as they were given */
    int in_pixels;
    /** ymin, xmin, ymax, xmax */
    double box[4];
    /** of its outline, where that is known; 0, the default: that of the box */
    double area_px2;
    /** in the loss, 0 or more; default 1 */
    double weight;
    /** flags of the formats; default 0 */
    int difficult, group_of, is_crowd, truncated;
} det_annotation_object;

DET_API void det_annotation_object_init(det_annotation_object *object, size_t struct_size);
static inline void det_annotation_object_default(det_annotation_object *object)
{
    det_annotation_object_init(object, sizeof *object);
}

/** Adds an object to the image at `position`. The box is judged by check. INVALID_ARGUMENT: no such
 * image or class id, a weight or area that is negative or not finite. */
DET_NODISCARD DET_API det_status det_annotation_set_add_object(det_annotation_set *set,
                                                               size_t position,
                                                               const det_annotation_object *object);
/** For readers: a fault of what is being read, by a rule's name. `position`: of the image that it
 * is in, SIZE_MAX: none. With "unreadable" the image counts as one that has lost an object: it is
 * no background when none is left. `message` begins with file, line and entry. */
DET_NODISCARD DET_API det_status det_annotation_set_add_finding(det_annotation_set *set,
                                                                const char *rule, size_t position,
                                                                const char *message);

/** Decodes what was added since the last time, on all threads, and normalises its boxes. Where the
 * sources have no order of classes (records, CSV and Pascal VOC without a label map), it gives
 * those that are new one that does not depend on the files': by the numbers of records if these are
 * 1 .. K, else by name; behind the classes that were there, which keep their ids. */
DET_NODISCARD DET_API det_status det_annotation_set_resolve(det_annotation_set *set);

/* --- looking: of a set that is resolved --- */

DET_API size_t det_annotation_set_image_count(const det_annotation_set *set);
/** Of all images. */
DET_API size_t det_annotation_set_object_count(const det_annotation_set *set);
DET_API int32_t det_annotation_set_class_count(const det_annotation_set *set);
/** Name of class id 1 .. class_count, NULL for any other. Valid until the set changes. */
DET_API const char *det_annotation_set_class_name(const det_annotation_set *set, int32_t class_id);
DET_API size_t det_annotation_set_split_count(const det_annotation_set *set);
/** Name of a split as it becomes part of file names, NULL behind the last. Valid until the set
 * changes. */
DET_API const char *det_annotation_set_split_name(const det_annotation_set *set, size_t index);

/** What is known of an image; texts are lent until the set changes. */
typedef struct det_annotation_image_info {
    /** sizeof(det_annotation_image_info), set by the caller */
    size_t struct_size;
    /** file name, with its folders below the images' folder */
    const char *name;
    /** unique in its split: the name where the source has none */
    const char *source_id;
    const char *split;
    /** of the file, NULL: it is in a record or in memory */
    const char *path;
    /** begins messages: "x.tfrecord: record 3" */
    const char *where;
    /** of the frame that boxes are in: the upright picture */
    int32_t width_px, height_px;
    size_t object_count;
    /** 0: not found, does not decode, dropped; it is not written, and has no size */
    int usable;
    /** as in EXIF; 1: upright */
    int orientation;
} det_annotation_image_info;

/** INVALID_ARGUMENT: no such image, or the set has changed and is not resolved. */
DET_NODISCARD DET_API det_status det_annotation_set_image(det_annotation_set *set, size_t position,
                                                          det_annotation_image_info *info);
/** Object 0 .. object_count - 1 of an image. The same failures. */
DET_NODISCARD DET_API det_status det_annotation_set_object(det_annotation_set *set, size_t position,
                                                           size_t index,
                                                           det_annotation_object *object);

/* --- changing: of a set that is resolved, and stays so --- */

/** Replaces the objects of an image by these, [count], whose elements are `objects[0].struct_size`
 * apart. */
DET_NODISCARD DET_API det_status det_annotation_set_set_objects(
    det_annotation_set *set, size_t position, const det_annotation_object *objects, size_t count);
/** Puts an image into a split, which is added when it is new (where another one is called so but
 * for capitals, as "NAME_2"). */
DET_NODISCARD DET_API det_status det_annotation_set_set_split(det_annotation_set *set,
                                                              size_t position, const char *split);
/** The image loses its objects and cannot be used any more; those behind it keep their positions.
 */
DET_NODISCARD DET_API det_status det_annotation_set_drop_image(det_annotation_set *set,
                                                               size_t position);

/* --- checking and repairing --- */

/** Judges classes, boxes, ids and duplicates. What it finds is counted until the set changes. */
DET_NODISCARD DET_API det_status det_annotation_set_check(det_annotation_set *set);
/** How often a rule was broken, in reading and by the last check; `rule` NULL: any. */
DET_API size_t det_annotation_set_finding_count(const det_annotation_set *set, const char *rule,
                                                det_severity least);
/** The counts as JSON: errors, warnings, each rule's, images, boxes. Owned by the set, until the
 * next call that uses it. */
DET_NODISCARD DET_API det_status det_annotation_set_findings_json(det_annotation_set *set,
                                                                  const char **text);

/** What was mended and dropped. An image that keeps some of its objects stays; one whose objects
 * all had a fault is dropped, so that it is not taken for background. Objects of a class that the
 * label map lacks are no fault of the labelling: without them an image may be background. */
typedef struct det_annotation_repairs {
    /** sizeof(det_annotation_repairs), set by the caller */
    size_t struct_size;
    /** missing, no image, do not decode; all but one of equal pixels */
    size_t images_dropped;
    /** dropped, too: all of their objects had a fault */
    size_t images_emptied;
    /** kept, with some of their objects */
    size_t images_thinned;
    /** turned as the boxes need it when they are written, their EXIF tag gone */
    size_t images_turned;
    /** EXIF rotations that the boxes ignore */
    size_t tags_removed;
    size_t sizes_corrected;
    /** a source_id that came before: "ID#2" */
    size_t ids_changed;
    size_t boxes_clipped;
    /** min and max exchanged */
    size_t boxes_swapped;
    /** not finite, without area, outside, without a class or weight, not read */
    size_t boxes_dropped;
    /** dropped: there twice */
    size_t boxes_repeated;
    /** dropped: of a class that the label map lacks */
    size_t boxes_unlisted;
    /** number and text were different classes: the text stands */
    size_t classes_by_text;
} det_annotation_repairs;

/** Mends what can be mended and drops the rest; afterwards a check finds no error but fatal ones,
 * and that nothing is left. Counts of findings stay. */
DET_NODISCARD DET_API det_status det_annotation_set_repair(det_annotation_set *set,
                                                           det_annotation_repairs *repairs);

/* --- splits, figures, pictures --- */

/** Deals all images out anew, [count] names and shares (positive; only their ratio counts). Every
 * class is spread evenly, the rarest first, and images with the same pixels stay together
 * (iterative stratification; Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label
 * data", ECML 2011). The same seed gives the same splits. An id that two images of a split then
 * have becomes "ID#2" for one of them, as in a repair; that is a finding (name-changed).
 * INVALID_ARGUMENT: no name, a share that is not positive, a name that is there twice or no safe
 * name of a file. */
DET_NODISCARD DET_API det_status det_annotation_set_deal(det_annotation_set *set,
                                                         const char *const *names,
                                                         const double *shares, size_t count,
                                                         uint64_t seed);

/** How pictures are cut into tiles. */
typedef struct det_annotation_tile_settings {
    /** sizeof(det_annotation_tile_settings), set by the default function */
    size_t struct_size;
    /** size, in pixels, which must be given, and overlap of the tiles; with `whole` the pictures
     * stay as well, as a detector with these tiles looks at them. Must not be NULL */
    const det_tile_settings *tiles;
    /** an object of which less than this share of its box's area is inside a tile is left out of
     * it, above 0, to 1; default .5 */
    double least_inside;
    /** most tiles without an object that are kept in a split, as a share of those with one;
     * default .25 */
    double background;
    /** chooses them; default 1 */
    uint64_t seed;
} det_annotation_tile_settings;

DET_API void det_annotation_tile_settings_init(det_annotation_tile_settings *settings,
                                               size_t struct_size);
static inline void det_annotation_tile_settings_default(det_annotation_tile_settings *settings)
{
    det_annotation_tile_settings_init(settings, sizeof *settings);
}

/** What became of the pictures. */
typedef struct det_annotations_tiled {
    /** sizeof(det_annotations_tiled), set by the caller */
    size_t struct_size;
    /** that were cut */
    size_t images;
    /** that there are now, and those without an object among them */
    size_t tiles, background;
    /** without an object, too many of them */
    size_t left_out;
    /** in tiles, and those of which a part is outside: their box ends at the tile, and they are
     * `truncated` */
    size_t objects, clipped;
    /** of a tile, in which too little of them is */
    size_t dropped;
} det_annotations_tiled;

/** Puts tiles in the place of each image that is larger than one (det_tile_plan()), with the boxes
 * that are inside: to train a detector for pictures that it looks at in tiles. A tile of a.jpg at
 * row 120, column 340 is called a_y0120_x0340.jpg. Pixels are cut out when the set is written or
 * drawn. Crowds and groups are kept with any part. Positions are counted anew. Deal the images out
 * before: tiles of one picture belong in one split. `tiled` may be NULL. INVALID_ARGUMENT: an image
 * has a box that is not finite or has no area (repair drops it); UNSUPPORTED: more than 65536 tiles
 * of an image. After a failure the set is as it was. */
DET_NODISCARD DET_API det_status
det_annotation_set_tile(det_annotation_set *set, const det_annotation_tile_settings *settings,
                        det_annotations_tiled *tiled);

/** Of a list of numbers, by nearest rank: all 0 when it is empty. */
typedef struct det_quantiles {
    double least, q05, median, q95, most, mean;
} det_quantiles;

typedef struct det_annotation_split_stats {
    /** sizeof(det_annotation_split_stats), set by the caller */
    size_t struct_size;
    /** that can be used */
    size_t images;
    size_t objects;
    size_t images_without_objects;
    size_t difficult, crowd, group_of;
    /** images whose pixels came before in the split */
    size_t duplicates;
    det_quantiles objects_per_image;
    det_quantiles width_px, height_px;
} det_annotation_split_stats;

typedef struct det_annotation_class_stats {
    /** sizeof(det_annotation_class_stats), set by the caller */
    size_t struct_size;
    size_t objects;
    /** with at least one object of the class */
    size_t images;
    /** as COCO: area below 32^2, below 96^2, else, in pixels */
    size_t small, medium, large;
    /** square root of the area */
    det_quantiles side_px;
    /** width / height in pixels */
    det_quantiles aspect;
} det_annotation_class_stats;

/** `split` NULL: all of them. NOT_FOUND: there is none of that name. */
DET_NODISCARD DET_API det_status det_annotation_set_split_stats(det_annotation_set *set,
                                                                const char *split,
                                                                det_annotation_split_stats *stats);
/** Of a class in a split. */
DET_NODISCARD DET_API det_status det_annotation_set_class_stats(det_annotation_set *set,
                                                                const char *split, int32_t class_id,
                                                                det_annotation_class_stats *stats);
/** All of the figures, as a table for people and as JSON. Owned by the set, until the next call
 * that uses it. */
DET_NODISCARD DET_API det_status det_annotation_set_stats_table(det_annotation_set *set,
                                                                const char **text);
DET_NODISCARD DET_API det_status det_annotation_set_stats_json(det_annotation_set *set,
                                                               const char **text);

typedef struct det_annotation_sheet_settings {
    /** sizeof(det_annotation_sheet_settings), set by the default function */
    size_t struct_size;
    /** pictures, from 1 to 10000; fewer when the set has not so many; default 24 */
    int32_t count;
    /** side by side, from 1 to 1000; default 6 */
    int32_t columns;
    /** side of the square that a picture is fitted into, from 32 to 4096; default 240 */
    int32_t cell_px;
    int reserved;
    /** chooses the pictures, and what augmentation draws; default 1 */
    uint64_t seed;
    /** each picture goes through its data_augmentation_options; NULL, the default: none */
    const det_pipeline_config *augmentation;
} det_annotation_sheet_settings;

DET_API void det_annotation_sheet_settings_init(det_annotation_sheet_settings *settings,
                                                size_t struct_size);
static inline void det_annotation_sheet_settings_default(det_annotation_sheet_settings *settings)
{
    det_annotation_sheet_settings_init(settings, sizeof *settings);
}

/** Writes a contact sheet: pictures with their boxes in one .jpg, .jpeg or .png, atomically.
 * *height and *width: of the sheet in pixels; they may be NULL. INVALID_ARGUMENT: no picture, a
 * sheet beyond 65500 pixels, or a path that is an image of the set. */
DET_NODISCARD DET_API det_status det_annotation_set_write_sheet(
    det_annotation_set *set, const char *path, const det_annotation_sheet_settings *settings,
    int32_t *height, int32_t *width);

typedef struct det_annotation_report_settings {
    /** sizeof(det_annotation_report_settings), set by the default function */
    size_t struct_size;
    /** heading of the page; NULL, the default: "Data set" */
    const char *title;
    /** whose anchors the boxes are held against; NULL, the default: the model zoo's, for
     * input_px */
    const det_pipeline_config *config;
    /** side of the network's input, from 64 to 1280; default 320; not looked at with a config */
    int32_t input_px;
    /** pictures that are shown, from 0 to 1000; default 24 */
    int32_t samples;
    /** chooses them; default 1 */
    uint64_t seed;
} det_annotation_report_settings;

DET_API void det_annotation_report_settings_init(det_annotation_report_settings *settings,
                                                 size_t struct_size);
static inline void det_annotation_report_settings_default(det_annotation_report_settings *settings)
{
    det_annotation_report_settings_init(settings, sizeof *settings);
}

/** Writes a page about a resolved set: splits, classes, sizes and shapes of boxes and which of them
 * no anchor meets, where boxes lie, pictures that two splits have alike or nearly alike, what a
 * check finds, pictures with their boxes. One HTML file that loads nothing from elsewhere, written
 * atomically; of a set without pictures, too. INVALID_ARGUMENT: a setting out of range. */
DET_NODISCARD DET_API det_status det_annotation_set_write_report(
    det_annotation_set *set, const char *path, const det_annotation_report_settings *settings);

/* --- writing --- */

typedef struct det_annotation_write_settings {
    /** sizeof(det_annotation_write_settings), set by the default function */
    size_t struct_size;
    /** record files of each split, from 1 to 99999; default 1: one without a number */
    int32_t shards;
    /** 1: annotations alone; records then have an empty image/encoded. Default 0 */
    int without_images;
    /** of the data set, for formats that say it; NULL, the default: the folder's */
    const char *name;
} det_annotation_write_settings;

DET_API void det_annotation_write_settings_init(det_annotation_write_settings *settings,
                                                size_t struct_size);
static inline void det_annotation_write_settings_default(det_annotation_write_settings *settings)
{
    det_annotation_write_settings_init(settings, sizeof *settings);
}

/** What was written. */
typedef struct det_annotations_written {
    /** sizeof(det_annotations_written), set by the caller */
    size_t struct_size;
    size_t images, objects;
    /** images byte for byte as they were, and those that had to be encoded anew */
    size_t copied, encoded;
    /** images that are called otherwise than in the source: theirs was there twice, no safe name,
     * had the wrong extension */
    size_t renamed;
} det_annotations_written;

/** Writes a folder in a format: "tfrecord" (with label_map.pbtxt), "voc", "coco", "yolo",
 * "cvat-xml" or "csv"; every file atomically. Images that cannot be used are left out. Nothing is
 * written, and the status INVALID_ARGUMENT, while there is an error (repair mends them; a set that
 * was not checked is checked first), no image, no class or, without allow_no_boxes, no object; and
 *  where a file that the set was read from would be overwritten. `settings` and `written` may be
 * NULL. */
DET_NODISCARD DET_API det_status det_annotation_set_write(
    det_annotation_set *set, const char *format, const char *folder,
    const det_annotation_write_settings *settings, det_annotations_written *written);

#ifdef __cplusplus
}
#endif
#endif
