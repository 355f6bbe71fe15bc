/* yolo_paths.h: what the paths in the files of a YOLO data set mean. Such files travel: a path is
 * looked for as it is written, against what data.yaml calls `path` and against the file's own
 * folder; then without a "../" in front, as Ultralytics does (Roboflow writes one too many); then
 * without more and more of the folders at its beginning, which another machine had. */
#ifndef DET_CONVERT_READ_YOLO_PATHS_H
#define DET_CONVERT_READ_YOLO_PATHS_H

#include "convert/files.h"

/* Where the labels of an image are: its path with the last folder `images` changed to `labels` and
 * the extension to .txt; without such a folder, or when that file is not there, the file beside the
 * image. The caller frees. */
det_status det_yolo_label_path(struct det_env *env, const struct det_files *files,
                               const char *image, char **out);
/* A folder with its last part `images` changed to `labels`; a copy where it has none. The caller
 * frees. */
det_status det_yolo_label_folder(struct det_env *env, const char *folder, char **out);

/* Whether a file or folder is there, or its labels are: for sets without images. */
det_status det_yolo_is_there(struct det_env *env, const struct det_files *files, const char *path,
                             bool *there);

/* What paths are tried against. */
struct det_yolo_places {
    const char *root;      /* of the data set; near it is looked for what is not there */
    const char *data_root; /* as data.yaml says, NULL: nothing */
    const char *folder;    /* of the file that the path is in, NULL: root */
};

enum det_yolo_found { DET_YOLO_NOT_FOUND, DET_YOLO_AS_WRITTEN, DET_YOLO_NEAR };

/* The file or folder that a path means, or the one whose labels are there. *out: the caller frees;
 * after DET_YOLO_NOT_FOUND the path as written. */
det_status det_yolo_resolve(struct det_env *env, const struct det_files *files,
                            const struct det_yolo_places *places, const char *written, char **out,
                            enum det_yolo_found *found);

#endif
