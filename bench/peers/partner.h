/* partner.h: libdet's side of a race with a peer: a process that does on command what a script
 * times. Each line on stdin is a command, each answer one line of JSON on stdout.
 *
 *     partner detect MODEL.det SIZE THREADS [P]      partner train SIZE BATCH THREADS [P]
 *       graph DIR                                      graph DIR
 *       export FILE      for inference at SIZE         steps N
 *       input FILE       floats of 0..255
 *       network N
 *       outputs FILE     encodings, then logits
 *       picture FILE N
 *
 * P is f32 (the default), bf16 or, of a model in 8 bits, int8. `graph` writes graph.json,
 * params.bin and, of training, images.bin and the targets: what a script needs to build the same
 * network and loss for a peer. All files are little-endian arrays without a
 * header. */
#ifndef DET_BENCH_PEERS_PARTNER_H
#define DET_BENCH_PEERS_PARTNER_H

#include <stdbool.h>

#include "cpu/bench.h"
#include "json_line.h"
#include "model/graph.h"

/* malloc'ed. */
char *partner_graph_json(const struct det_graph *graph);

/* Writes DIR/NAME; false after a message on stderr. */
bool partner_write(const char *directory, const char *name, const void *data, size_t bytes);
/* Graph and parameters. */
bool partner_write_graph(const char *directory, const struct det_graph *graph, const float *params);

/* The next command's words, NULL where there are fewer; false at the end of the input. The words
 * belong to `line`. */
bool partner_command(char *line, size_t bytes, char *words[3]);
/* "ms": [...] */
void partner_put_times(struct json_line *line, const double *ms, int count);
/* The first line, when the partner is ready. */
det_status partner_print_device(struct det_env *env, const char *device);

/* On the CPU. */
det_status partner_open(int threads, const char *precision, det_context **context);

int partner_detect(const char *model, int size, int threads, const char *precision);
int partner_train(int size, int batch, int threads, const char *precision);

#endif
