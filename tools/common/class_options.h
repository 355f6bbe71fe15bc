/* class_options.h: the options of det-train, det-eval and det-export about what becomes of a model
 * whose classes are not those of the label map. */
#ifndef DET_TOOLS_COMMON_CLASS_OPTIONS_H
#define DET_TOOLS_COMMON_CLASS_OPTIONS_H

#include "common/options.h"
#include "det/det.h"

struct class_options {
    bool remap, rename;
};

/* Entries of an option table. */
#define CLASS_OPTIONS(classes)                                                               \
    {"remap_classes", OPTION_FLAG, &(classes)->remap, NULL,                                  \
     "where the label map has other ids for its classes than the .det file: take the class " \
     "predictor by name"},                                                                   \
    {                                                                                        \
        "rename_classes", OPTION_FLAG, &(classes)->rename, NULL,                             \
            "take it by id, and the label map's names for its classes"                       \
    }

#define STRICT_OPTION(strict)                                                                     \
    {                                                                                             \
        "strict", OPTION_FLAG, (strict), NULL,                                                    \
            "an object of a class that the label map does not list is an error; else it is left " \
            "out with a warning, as TensorFlow does without one"                                  \
    }

/* What is wrong with them; NULL: nothing. */
static inline const char *class_options_fault(const struct class_options *classes)
{
    return classes->remap && classes->rename
               ? "--remap_classes and --rename_classes exclude each other"
               : NULL;
}

static inline det_status class_options_apply(const struct class_options *classes,
                                             det_pipeline_config *config)
{
    return det_pipeline_config_set_class_match(config, classes->remap    ? DET_CLASSES_REMAP
                                                       : classes->rename ? DET_CLASSES_RENAME
                                                                         : DET_CLASSES_CHECK);
}

#endif
