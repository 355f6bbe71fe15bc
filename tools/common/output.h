/* output.h: the files that a tool's options name. "-" is standard output, as is /dev/stdout; what a
 * tool tells people then goes to standard error.
 *
 * A tool names what it reads and writes before it does either: an output that is an input, two
 * outputs of one file and an output that cannot be written are refused then (support/guard.h), and
 * a file that is replaced is named. */
#ifndef DET_TOOLS_COMMON_OUTPUT_H
#define DET_TOOLS_COMMON_OUTPUT_H

#include "common/tool.h"
#include "support/writer.h"

/* NULL is allowed and nothing; "-" is standard input. Once a tool has named something, what it maps
 * counts too. */
det_status tool_reads(struct tool *tool, const char *path);
/* `option`: "--json"; NULL as path is allowed and nothing. */
det_status tool_writes(struct tool *tool, const char *option, const char *path);
/* The same for a file in a folder that is an option's, which is made if need be. */
det_status tool_writes_in(struct tool *tool, const char *option, const char *folder,
                          const char *name);

/* The same of a folder whose files the library chooses: only says that something is there. */
void tool_tells_of_contents(struct tool *tool, const char *folder);

/* All files whose paths begin so ("DIR/events.out."), and a checkpoint, which may be several
 * files. */
det_status tool_reads_all(struct tool *tool, const char *beginning);
det_status tool_reads_checkpoint(struct tool *tool, const det_checkpoint_info *checkpoint);

/* What the library is given for a path: it knows no "-". */
const char *output_path(const char *path);
/* A writer for the path of an option; with "-" for standard output, written by console_send(). */
det_status output_open(struct det_env *env, const char *path, struct det_writer *writer);
/* All of it at once. */
det_status output_write(struct det_env *env, const char *path, const void *data, size_t bytes);

#endif
