/* folder.h: what the files in a folder are. A file counts for a format when it holds boxes in it:
 * names alone do not tell (a folder of labelImg has a classes.txt beside its XML, and a README in
 * JSON is no COCO). */
#ifndef DET_CONVERT_FOLDER_H
#define DET_CONVERT_FOLDER_H

#include "convert/formats.h"

struct det_data_folder {
    const char *path;
    /* For each format its files; of YOLO those with the class names. */
    struct det_path_list files[DET_DATA_FORMATS];
    struct det_path_list others[DET_DATA_FORMATS]; /* that are called so and hold something else */
    char *label;                                   /* the first label file of YOLO, NULL: none */
    size_t texts_looked;                           /* .txt files that were opened for it */
};

/* Looks at all files, four folders deep. */
det_status det_data_folder_look(struct det_env *env, const struct det_files *files,
                                const char *path, struct det_data_folder *folder);
void det_data_folder_free(struct det_env *env, struct det_data_folder *folder);

bool det_data_folder_holds(const struct det_data_folder *folder, enum det_data_format_id format);
/* One of the files. */
const char *det_data_folder_example(const struct det_data_folder *folder,
                                    enum det_data_format_id format);

/* Turns files[format] into what the format's reader takes: the folders of Pascal VOC and YOLO, not
 * every file in them, and no COCO file that says once more what another does; where no file holds
 * what it should, those that are called so. */
det_status det_data_folder_roots(struct det_env *env, enum det_data_format_id format,
                                 struct det_data_folder *folder);

/* Of one file, by its name and what its beginning says; DET_DATA_FORMATS: not plain. */
det_status det_data_file_format(struct det_env *env, const struct det_files *files,
                                const char *path, enum det_data_format_id *format);

#endif
