/* own_set.h: a data set that a program of its own makes through det/dataset.h, the folder that its
 * pictures are in, and what was found in it. */
#ifndef DET_TESTS_SUPPORT_OWN_SET_H
#define DET_TESTS_SUPPORT_OWN_SET_H

#include "support/workspace.h"

enum { MOST_FOUND = 64 };

/* What was found, in its order. */
struct found {
    struct finding {
        char rule[32], message[300], where[200];
        det_severity severity;
        int64_t image, object, line;
    } all[MOST_FOUND];
    int count;
};

/* The first finding of a rule, which must be there. */
const struct finding *found_rule(const struct found *found, const char *rule);

struct own_set {
    struct test_env t;
    det_context *context;
    det_annotation_set *set;
    struct found found;
    char folder[256];
};

/* What is found goes to *found. */
det_annotation_set *own_set_create(det_context *context, struct found *found);
/* An empty set, and an empty folder. */
void own_set_open(struct own_set *f, const char *name);
void own_set_close(struct own_set *f);
void own_set_path(const struct own_set *f, char path[400], const char *name);

/* A JPEG of this size in the folder. */
void own_set_picture(const struct own_set *f, const char *name, int width, int height,
                     unsigned seed);
size_t own_set_add_file(struct own_set *f, const char *name, const char *split);
det_annotation_object own_object(const char *class_name, int in_pixels, double ymin, double xmin,
                                 double ymax, double xmax);
void own_set_add_box(struct own_set *f, size_t position, const char *class_name, int in_pixels,
                     double ymin, double xmin, double ymax, double xmax);

#endif
