/* data_workspace.h: a workspace is made of a data set: records, label map, pipeline.config. It is
 * there whole or not at all: what is being made stands in a folder of its own (ANNOTATIONS.part),
 * which one that was interrupted leaves behind and the next one clears. */
#ifndef DET_TOOLS_DATA_DATA_WORKSPACE_H
#define DET_TOOLS_DATA_DATA_WORKSPACE_H

#include "data/data.h"

/* Where its parts are, below --output. */
struct workspace_layout {
    const char *annotations;    /* records, label map, source.json */
    const char *config;         /* the pipeline.config */
    const char *to_annotations; /* from the config's folder: "../../annotations" */
};

struct workspace {
    const struct workspace_layout *layout;
    char *annotations, *config; /* paths */
    char *weights;              /* that training begins with; NULL: none */
    char *part, *part_config;   /* what is being made */
    int lock;                   /* of that folder; -1: not taken */
    bool made_output;           /* the folder of all of it was not there */
    const char *train, *test;   /* names of splits */
    det_starter_choices choices;
};

enum workspace_state {
    WORKSPACE_NONE,   /* nothing of it is there */
    WORKSPACE_MADE,   /* all of it, by this program */
    WORKSPACE_OTHERS, /* something is there that this program has not made */
};

/* What is there; completes what was interrupted in its last step. *what: the path that is somebody
 * else's. */
det_status workspace_look(struct data_job *job, const struct workspace_layout *layout,
                          struct workspace *w, enum workspace_state *state, const char **what);
/* Makes it where there is none. */
det_status workspace_make(struct data_job *job, struct workspace *w);
/* That the sources are those it was made of. */
det_status workspace_compare(struct data_job *job, const struct workspace *w);
void workspace_free(struct det_env *env, struct workspace *w);

#endif
