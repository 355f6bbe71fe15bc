/* names.h: what each input is called in the outputs. Annotated pictures and videos and YOLO's texts
 * lie in one folder, and COCO and CVAT tell pictures apart by name, so no two inputs may have one:
 * of those that do, the first keeps it and the others are numbered, "x_2.jpg", the same in all
 * outputs. Names differ in what is before the extension: a text has no other place for a/x.jpg and
 * a/x.png. */
#ifndef DET_TOOLS_DETECT_NAMES_H
#define DET_TOOLS_DETECT_NAMES_H

#include "detect/inputs.h"
#include "support/text.h"

struct names {
    char **images; /* one each of the inputs' images: "x.jpg", "x_2.jpg" */
    char **videos; /* of the videos: "road.mp4" */
    size_t image_count, video_count;
    size_t changed;       /* those that were numbered */
    struct det_text told; /* of the first of them: "b/x.jpg is called x_2.jpg" */
};

det_status names_make(struct det_env *env, const struct inputs *inputs, struct names *names);
void names_free(struct det_env *env, struct names *names);

#endif
