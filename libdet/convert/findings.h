/* findings.h: what is wrong with a data set, as a list of rules that each have a name, and a sink
 * that counts what was found and hands it on. */
#ifndef DET_CONVERT_FINDINGS_H
#define DET_CONVERT_FINDINGS_H

#include "det/dataset.h"
#include "support/env.h"

/* X(name, text, severity): an error makes `det-data check` fail; a warning does not. What is fatal
 * no repair mends: what is missing there was never read. */
#define DET_RULE_TABLE(X)                                                                          \
    X(UNREADABLE, "unreadable", ERROR)       /* an entry, record or image's file of them */        \
    X(SOURCE, "source", FATAL)               /* a file of many images: nothing of it was read */   \
    X(NOT_JSON, "not-json", WARNING)         /* NaN and Infinity, as Python writes them */         \
    X(EMPTY_RECORD, "empty-record", ERROR)   /* a record of 0 bytes */                             \
    X(COMPRESSED, "compressed", WARNING)     /* gzip or zlib, which TensorFlow must be told */     \
    X(NO_INPUT, "no-input", FATAL)           /* nothing there, or no image in it */                \
    X(NO_BOX, "no-box", ERROR)               /* images, and not one box */                         \
    X(LABEL_MAP, "label-map", FATAL)         /* ids, names, syntax */                              \
    X(CLASS_COUNT, "class-count", FATAL)     /* the config's num_classes is another */             \
    X(PATH_STALE, "path-stale", WARNING)     /* a path leads nowhere */                            \
    X(NAME_CHANGED, "name-changed", WARNING) /* no file name, not UTF-8: written as another */     \
    X(CLASS_UNUSED, "class-unused", WARNING) /* no object has it */                                \
    X(IMAGE_MISSING, "image-missing", ERROR) /* no bytes, no file */                               \
    X(IMAGE_AMBIGUOUS, "image-ambiguous", ERROR)   /* several files may be it */                   \
    X(IMAGE_FORMAT, "image-format", ERROR)         /* neither JPEG nor PNG */                      \
    X(IMAGE_CORRUPT, "image-corrupt", ERROR)       /* does not decode */                           \
    X(IMAGE_SIZE, "image-size", ERROR)             /* not the size that the source says */         \
    X(IMAGE_EXIF, "image-exif", WARNING)           /* has a rotation that TensorFlow ignores */    \
    X(IMAGE_TURNED, "image-turned", ERROR)         /* and the boxes were made on the turned one */ \
    X(IMAGE_DUPLICATE, "image-duplicate", WARNING) /* the same pixels twice in a split */          \
    X(SPLIT_LEAK, "split-leak", WARNING)           /* the same pixels in two splits */             \
    X(ID_DUPLICATE, "id-duplicate", ERROR)         /* the same source_id twice in a split */       \
    X(CLASS_MISSING, "class-missing", ERROR)       /* an object without a class */                 \
    X(CLASS_UNKNOWN, "class-unknown", ERROR)       /* not in the label map */                      \
    X(CLASS_DISAGREES, "class-disagrees", ERROR)   /* text and number are different classes */     \
    X(WEIGHT, "weight", ERROR)                     /* of an object: not finite, or negative */     \
    X(AREA, "area", WARNING)                       /* the same: that of the box is taken */        \
    X(BOX_NOT_FINITE, "box-not-finite", ERROR)     /* NaN or infinity */                           \
    X(BOX_PIXELS, "box-pixels", ERROR)             /* looks like pixels, should be shares */       \
    X(BOX_REVERSED, "box-reversed", ERROR)         /* min > max */                                 \
    X(BOX_ZERO_SIZE, "box-zero-size", ERROR)       /* min = max */                                 \
    X(BOX_OUTSIDE, "box-outside", ERROR)           /* more than .01 outside the image */           \
    X(BOX_EDGE, "box-edge", WARNING)               /* up to .01 outside: rounding, clipped */      \
    X(BOX_TINY, "box-tiny", WARNING)               /* a side below one pixel */                    \
    X(BOX_DUPLICATE, "box-duplicate", WARNING)     /* same class, same box, same image */          \
    X(SHAPE_BOXED, "shape-boxed", WARNING) /* a polygon or turned box became its bounding box */   \
    X(SHAPE_SKIPPED, "shape-skipped", WARNING) /* points, lines: no box */

enum det_rule {
#define DET_RULE_ENUM(name, text, severity) DET_RULE_##name,
    DET_RULE_TABLE(DET_RULE_ENUM)
#undef DET_RULE_ENUM
        DET_RULE_COUNT
};

const char *det_rule_name(enum det_rule rule);
det_severity det_rule_severity(enum det_rule rule);

/* Where something was found, as far as whoever finds it says so. */
struct det_finding_place {
    const char *where;     /* file, or the entry of it that an image came from; NULL: of none */
    int64_t image, object; /* image: position + 1, object: number + 1; 0: none */
    uint32_t line;         /* 0: none */
};

struct det_findings {
    struct det_finding_place at;  /* of what is found next */
    bool allowed[DET_RULE_COUNT]; /* these are none */
    size_t counts[DET_RULE_COUNT];
    size_t errors, warnings; /* errors: fatal ones included */
    size_t fatal;
    /* Gets each finding: `message`, one line fit to be shown, begins with file, record and box.
     * NULL: only counted. */
    void (*report)(void *user, enum det_rule rule, const char *message);
    void *user;
};

/* Counts a finding and hands it on; the format begins with where. */
void det_finding(struct det_findings *findings, enum det_rule rule, const char *format, ...)
    DET_PRINTF(3, 4);

#endif
