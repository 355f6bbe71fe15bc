/* safe_name.h: names that come from data (splits, image files, classes) as names of files.
 *
 * A data set may say that a split is called "../../x" or an image "/etc/passwd": whatever becomes
 * part of a path goes through det_safe_name(), and what is to be a file of its own through a
 * det_name_set. */
#ifndef DET_SUPPORT_SAFE_NAME_H
#define DET_SUPPORT_SAFE_NAME_H

#include "support/env.h"
#include "support/id_map.h"

/* File systems take 255 bytes; prefixes, suffixes and names of temporary files need some. */
enum { DET_SAFE_NAME_BYTES = 200 };

/* `name` as one component of a path that leads nowhere else and that other systems can unpack. A
 * sound name stays as it is; otherwise
 *   - separators (/ and \) and control characters become "_", bytes that are no UTF-8 "%E9"
 *     (det_text_utf8())
 *   - so does a "." or "-" at the beginning (hidden files, "..", options), and a "." or blank at
 *     the end
 *   - a name of a device of Windows (con, nul, com1.txt) gets "_" in front, and "" is "_"
 *   - what is longer than DET_SAFE_NAME_BYTES loses its middle: the beginning and an extension stay
 * Different names may become the same one: see det_name_set. The caller frees. */
det_status det_safe_name(struct det_env *env, const char *name, char **safe);

/* Names that are taken. Upper and lower case of ASCII are one name, as on file systems that fold
 * case. Two names with one hash of 64 bits count as the same. Zero: empty. */
struct det_name_set {
    struct det_id_map hashes; /* -> place in next */
    uint32_t *next;           /* what number to try behind the name */
    size_t count, capacity;
};

/* `name`, or NAME_2, NAME_3, ...: the first that is free, which is then taken. `scope` keeps the
 * names of several folders apart. The caller frees. */
det_status det_name_set_unique(struct det_env *env, struct det_name_set *set, uint64_t scope,
                               const char *name, char **unique);
void det_name_set_free(struct det_env *env, struct det_name_set *set);

#endif
