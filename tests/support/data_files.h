/* data_files.h: data sets as exporters lay them out, made from a list of files, in a folder or in a
 * zip archive. */
#ifndef DET_TESTS_SUPPORT_DATA_FILES_H
#define DET_TESTS_SUPPORT_DATA_FILES_H

#include "support/test.h"

/* A text; "@PATH" is the bytes of that file; NULL a picture of 40 x 30 pixels that no other file of
 * the list has. A list ends with a NULL path. */
struct data_file {
    const char *path; /* below the folder */
    const char *text;
};

/* Writes the files, their folders made. */
void data_files_write(const char *folder, const struct data_file *files);

/* One file of ASCII as UTF-16 behind a byte order mark. */
void data_file_write_utf16(const char *path, const char *text, bool big_endian);

/* What is wrong with an archive. */
enum zip_fault {
    ZIP_SOUND,
    ZIP_DEFLATED, /* sound too: packed */
    ZIP_ENCRYPTED,
    ZIP_UNKNOWN_METHOD,
    ZIP_WRONG_CRC,
    ZIP_TOO_SHORT,   /* the first entry has fewer bytes than it says */
    ZIP_BOMB,        /* it claims 3.75 GiB */
    ZIP_BOMBS,       /* each claims 60 MiB */
    ZIP_OVERLAPPING, /* all entries claim the whole file */
    ZIP_CUT,         /* the directory is cut off */
};

/* The files in an archive, each path with `prefix` in front. */
void data_files_zip(const char *path, const char *prefix, const struct data_file *files,
                    enum zip_fault fault);

#endif
