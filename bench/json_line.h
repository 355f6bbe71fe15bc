/* json_line.h: a JSON object as a line on standard output, by the writer of the library: what
 * scripts read of the programs that are timed. */
#ifndef DET_BENCH_JSON_LINE_H
#define DET_BENCH_JSON_LINE_H

#include "support/json_writer.h"

struct json_line {
    struct det_text text;
    struct det_json_writer json; /* in the object; what is put has a key */
};

void json_line_open(struct json_line *line, struct det_env *env);
/* Prints and frees it. */
det_status json_line_close(struct json_line *line);

#endif
