/* run_record.h: MODEL_DIR/run.json: an entry for each run of a training, the oldest first, that
 * tells what it was made of. docs/monitoring.md describes the fields.
 *
 * The file is replaced whole (support/writer.h), when a run begins and when it ends: the entry of a
 * run that was killed says that it goes on. Earlier entries are kept as they stand, also those of
 * another version; a file that is none of ours is kept under another name. */
#ifndef DET_TRAIN_RUN_RECORD_H
#define DET_TRAIN_RUN_RECORD_H

#include "support/clock.h"
#include "support/json.h"
#include "support/json_writer.h"

#define DET_RUN_RECORD_NAME "run.json"

/* All zero: none is kept. */
struct det_run_record {
    char *path;
    struct det_text earlier; /* entries, with commas between them */
    struct det_text about;   /* of this run: a JSON object of what does not change */
    char started[DET_CLOCK_DATE_BYTES];
    uint64_t started_ns;
    int64_t first_step;
    int64_t step;     /* now */
    const char *how;  /* it ended; NULL: it runs */
    unsigned process; /* det_forks() */
};

/* Reads the file that is there; record->path is then set. */
det_status det_run_record_open(struct det_env *env, const char *model_dir,
                               struct det_run_record *record);
/* The sum that an earlier run took of a file which has still this size and time; false: there is
 * none. */
bool det_run_record_find_sum(struct det_env *env, const struct det_run_record *record,
                             const char *path, uint64_t bytes, int64_t modified_ns,
                             char sha256[65]);
det_status det_run_record_write(struct det_env *env, const struct det_run_record *record);
void det_run_record_free(struct det_env *env, struct det_run_record *record);

#endif
