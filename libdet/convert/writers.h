/* writers.h: a data set into files of another format. Every file is written atomically; images that
 * need no change are copied byte for byte.
 *
 *   tfrecord  DIR/SPLIT.tfrecord, or DIR/SPLIT.tfrecord-0000i-of-0000n, and DIR/label_map.pbtxt
 *   coco      DIR/annotations/instances_SPLIT.json, DIR/SPLIT/NAME.jpg
 *   voc       DIR/Annotations/NAME.xml, DIR/JPEGImages/NAME.jpg, DIR/ImageSets/Main/SPLIT.txt,
 *             DIR/label_map.pbtxt
 *   yolo      DIR/data.yaml, DIR/images/SPLIT/NAME.jpg, DIR/labels/SPLIT/NAME.txt
 *   csv       DIR/SPLIT.csv (read_csv.c has the columns), DIR/images/NAME.jpg
 *   cvat-xml  DIR/annotations.xml ("CVAT for images 1.1"), DIR/images/SPLIT/NAME.jpg
 */
#ifndef DET_CONVERT_WRITERS_H
#define DET_CONVERT_WRITERS_H

#include "convert/annotations.h"
#include "formats/annotation_write.h"
#include "support/text.h"

struct det_write_settings {
    const char *directory;
    int32_t shards;      /* of each split's records; 1: one file without a number */
    bool without_images; /* annotations alone; records then have an empty image/encoded */
    const char *name;    /* of the data set, for formats that say it */
};

struct det_write_counts {
    size_t images, objects;
    size_t copied, encoded; /* image files byte for byte, encoded anew */
    size_t renamed;         /* images that are called otherwise than in the source */
};

/* Broken images are left out. The set must be resolved and free of boxes that are not finite. */
typedef det_status (*det_writer_of_set)(struct det_env *env,
                                        const struct det_write_settings *settings,
                                        const struct det_annotations *set,
                                        struct det_write_counts *counts);

det_status det_write_tfrecord(struct det_env *env, const struct det_write_settings *settings,
                              const struct det_annotations *set, struct det_write_counts *counts);
det_status det_write_coco(struct det_env *env, const struct det_write_settings *settings,
                          const struct det_annotations *set, struct det_write_counts *counts);
det_status det_write_voc(struct det_env *env, const struct det_write_settings *settings,
                         const struct det_annotations *set, struct det_write_counts *counts);
det_status det_write_yolo(struct det_env *env, const struct det_write_settings *settings,
                          const struct det_annotations *set, struct det_write_counts *counts);
det_status det_write_csv(struct det_env *env, const struct det_write_settings *settings,
                         const struct det_annotations *set, struct det_write_counts *counts);
det_status det_write_cvat(struct det_env *env, const struct det_write_settings *settings,
                          const struct det_annotations *set, struct det_write_counts *counts);

/* label_map.pbtxt of the classes. */
det_status det_write_label_map(struct det_env *env, const struct det_annotations *set,
                               const char *path);

/* --- for writers --- */

/* What an image is written as: the source's kind where it can be; else PNG, which loses nothing: in
 * records, where TensorFlow's users expect JPEG or PNG, and where a picture is turned. */
enum det_image_kind det_written_kind(const struct det_labelled_image *image, bool in_record);

/* What a training has to decode for an image: the source's own bytes, those with the EXIF rotation
 * set to 1, or the pixels (turned) encoded anew as det_written_kind() (JPEG with quality 95). */
struct det_written_image {
    struct det_source_bytes source;
    uint8_t *own; /* NULL: the source's bytes */
    const uint8_t *data;
    size_t bytes;
    bool encoded;
};
det_status det_written_image_open(struct det_env *env, const struct det_annotations *set,
                                  const struct det_labelled_image *image, bool in_record,
                                  struct det_written_image *written);
void det_written_image_close(struct det_env *env, struct det_written_image *written);

/* Splits whose images lie in one folder, or are read as one split, have the same scope. */
typedef uint64_t (*det_name_scope)(const struct det_annotations *set, int32_t split);
/* Each split for itself. */
uint64_t det_scope_of_split(const struct det_annotations *set, int32_t split);

/* File names of all images, without folders, each once in its scope (NULL: one for the set): that
 * of the source as a safe name (support/safe_name.h), with the extension of what it holds; a name
 * that is taken, or differs from one in its extension or in capitals alone, gets "_2". Those that
 * are changed are counted. */
det_status det_written_names(struct det_env *env, const struct det_annotations *set,
                             det_name_scope scope, char ***names, struct det_write_counts *counts);
void det_written_names_free(struct det_env *env, const struct det_annotations *set, char ***names);
/* How annotations call an image: as it is written; as in the source where images are not. */
char *det_name_to_write(const struct det_write_settings *settings,
                        const struct det_labelled_image *image, char *written);

/* The image with its boxes as formats/annotation_write.h takes them, called `name` (borrowed), with
 * its split as subset. */
det_status det_annotated_image_open(struct det_env *env, const struct det_annotations *set,
                                    const struct det_labelled_image *image, const char *name,
                                    struct det_annotated_image *annotated);
void det_annotated_image_close(struct det_env *env, struct det_annotated_image *annotated);

/* Writes the image's bytes to DIRECTORY/FOLDER/NAME, unless the settings want none. */
det_status det_write_image_file(struct det_env *env, const struct det_write_settings *settings,
                                const struct det_annotations *set,
                                const struct det_labelled_image *image, const char *folder,
                                const char *name, struct det_write_counts *counts);
/* DIRECTORY/NAME, its folder made. */
det_status det_write_text_file(struct det_env *env, const struct det_write_settings *settings,
                               const char *name, const struct det_text *text);

#endif
