/* ffmpeg_whole.c: whether a Matroska or WebM file is all there. FFmpeg reads one that was cut short
 * to where it ends and says nothing to its caller.
 *
 * Such a file is an element "EBML" and an element "Segment", in which all others are. An element:
 * an id of 1 to 4 bytes, the number of leading zero bits of the first saying how many follow; a
 * size of 1 to 8 bytes told the same way, without that bit, all ones where it was not known when it
 * was written (RFC 8794, sections 4 to 6). */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "video/ffmpeg_parts.h"

enum { ID_EBML = 0x1a45dfa3, ID_SEGMENT = 0x18538067 };

struct element {
    uint32_t id;
    uint64_t bytes; /* of its content */
    bool unknown_size;
};

static bool read_element(FILE *file, struct element *element)
{
    const int first = fgetc(file);
    int more = 0;
    *element = (struct element){.id = (uint32_t)first};
    while (first > 0 && (first & 0x80 >> more) == 0)
        more++;
    if (first <= 0 || more > 3)
        return false;
    for (; more > 0; more--)
        element->id = element->id << 8 | (uint32_t)(fgetc(file) & 0xff);
    const int size = fgetc(file);
    while (size > 0 && (size & 0x80 >> more) == 0)
        more++;
    if (size <= 0)
        return false;
    element->bytes = (uint64_t)(size & ((0x80 >> more) - 1));
    const uint64_t all_ones = ((uint64_t)1 << 7 * (more + 1)) - 1;
    for (; more > 0; more--)
        element->bytes = element->bytes << 8 | (uint64_t)(fgetc(file) & 0xff);
    element->unknown_size = element->bytes == all_ones;
    return !ferror(file) && !feof(file);
}

static int64_t missing_in(FILE *file)
{
    struct stat info;
    struct element element;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode) ||
        !read_element(file, &element) || element.id != ID_EBML || element.bytes > 65536 ||
        fseek(file, (long)element.bytes, SEEK_CUR) != 0 || !read_element(file, &element) ||
        element.id != ID_SEGMENT || element.unknown_size)
        return 0;
    const uint64_t here = (uint64_t)ftell(file), size = (uint64_t)info.st_size;
    if (element.bytes > INT64_MAX - here || here + element.bytes <= size)
        return 0;
    return (int64_t)(here + element.bytes - size);
}

int64_t video_missing_bytes(const AVFormatContext *format)
{
    if (strncmp(format->iformat->name, "matroska", 8) != 0)
        return 0;
    FILE *file = fopen(format->url, "rb"); /* a URL is none */
    if (file == NULL)
        return 0;
    const int64_t missing = missing_in(file);
    fclose(file);
    return missing;
}
