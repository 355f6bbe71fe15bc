/* det/context.h: the handle that carries everything other libraries keep in globals: allocator,
 * logger, last error message, CPU threads and the chosen instruction set.
 *
 * Thread safety: a context and the objects made with it belong to one thread at a time; use one
 * context per thread. A det_model is immutable after loading and may be shared by the contexts of
 * several threads.
 *
 * After fork(): a child has its parent's memory and none of its threads. It may use and must in the
 * end destroy what it inherited like anything else (or leave it to _exit() or exec()): models and
 * detectors work as before, on the one thread that the child has, with the same results; an
 * inherited trainer answers UNSUPPORTED instead of a step, as the threads that bring it images are
 * gone, and so does a summary writer, whose file is the parent's; with CUDA every call answers
 * DEVICE. A context of its own, made after the fork, has all threads again. What another thread of
 * the parent was inside of at the moment of the fork may only be destroyed.
 */
#ifndef DET_CONTEXT_H
#define DET_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "det/export.h"
#include "det/status.h"
#include "det/version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_context det_context;

/** Host memory hooks. Both are called from several threads at once and must allow that. */
typedef struct det_allocator {
    size_t struct_size; /**< sizeof(det_allocator) */
    void *user;         /**< passed through */
    /** Returns memory of at least `bytes`, aligned to `alignment` (a power of two), or NULL. */
    void *(*allocate)(void *user, size_t bytes, size_t alignment);
    /** Releases what `allocate` returned; never called with NULL. */
    void (*release)(void *user, void *memory);
} det_allocator;

typedef enum det_log_level {
    DET_LOG_DEBUG = 0,
    DET_LOG_INFO = 1,
    DET_LOG_WARNING = 2,
    DET_LOG_ERROR = 3
} det_log_level;

/** Receives each message, one line without a newline. May be called from the library's own
 * threads. */
typedef struct det_logger {
    size_t struct_size; /**< sizeof(det_logger) */
    void *user;
    /** NULL: drop everything. */
    void (*write)(void *user, det_log_level level, const char *message);
} det_logger;

typedef struct det_context_settings {
    size_t struct_size; /**< sizeof(det_context_settings), set by the default function */
    const det_allocator *allocator; /**< copied; NULL, the default: the C library's */
    const det_logger *logger;       /**< copied; NULL, the default: none, the library is silent */
    /** worker threads; 0, the default: processors this process may run on, of which ranks of an
     * mpirun that share them take a part each */
    int threads;
    /** "auto" or an instruction set: on x86-64 "sse2", "avx2", "avxvnni", "avx512",
     * "avx512vnni", "avx512bf16"; on any machine "generic", which all of its kind can run (on
     * x86-64 that is sse2), and "ref"; default "auto" */
    const char *cpu;
    /** "auto", "cpu", "cuda", "cuda:I"; asking for cuda and not getting it is an error; default
     * "auto". After an error of a kernel on a GPU (status DEVICE) the sure way on is a new
     * process: what else in this one uses the GPU is broken too */
    const char *device;
    /** "auto" (now "f32"), "f32", "tf32", "bf16" or "int8": what dense convolutions multiply and,
     * with bf16, how activations are stored. A model in 8 bits (det/quantisation.h) is run in these
     * whatever is asked for, but for bf16 on CUDA, where that is UNSUPPORTED; "int8" refuses any
     * other, and training. Master weights, statistics and losses are float32 always.
     * On CUDA tf32 and bf16 need compute capability 8.0. The CPU has no tf32; bf16 there is fast
     * where the instruction set is avx512bf16, on any other the answers are the same but slower
     * than f32 ("ref": none). Only 1x1 convolutions multiply in it, and training stores
     * activations in float32. Default "auto" */
    const char *precision;
    /** 1: CUDA takes only library algorithms that give the same bits in each run, somewhat slower.
     * The CPU always does, for any number of threads. Default 0 */
    int deterministic;
    /** 1: CUDA launches operations one by one instead of one recorded graph: for comparison and for
     * profilers. Default 0 */
    int no_graph;
    /* What a picture's file may ask for; more is UNSUPPORTED, with a message that names the
     * setting. 0: the default. */
    uint64_t max_image_pixels; /**< width x height, from 1 to 715,827,882; default 120,000,000 */
    /** of a progressive JPEG; scans x pixels stay within 20 x max_image_pixels besides; default
     * 100 */
    int32_t max_jpeg_scans;
    /** most memory that one file may make the library take: a model with its detector, a
     * checkpoint, a compressed record file, a record, a COCO file. What asks for more fails with
     * OUT_OF_MEMORY before it is tried. 0: as the environment variable DET_MAX_FILE_MEMORY says,
     * in bytes; without it what the machine, or its control group, has available at that moment.
     * Default 0 */
    size_t max_file_memory_bytes;
    /** 1: CUDA takes cublasLt's first choice of an algorithm for each product; 0: it times several
     * when a training or a detector starts, for two seconds at most. With `deterministic` none is
     * timed. Default 0 */
    int no_tuning;
    int reserved; /**< 0 */
} det_context_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_context_settings_init(det_context_settings *settings, size_t struct_size);
static inline void det_context_settings_default(det_context_settings *settings)
{
    det_context_settings_init(settings, sizeof *settings);
}

/** Why there is no context. Never grows. */
typedef struct det_error {
    char text[DET_ERROR_BYTES]; /**< one sentence without a newline; "" after a success */
} det_error;

/** What the two functions below call, with what the program was compiled with. For programs that do
 * not read these headers (by a foreign function interface): the numbers are those of the headers
 * that the declarations were taken from. */
DET_NODISCARD DET_API det_status det_context_create_for(int header_abi, int header_version,
                                                        det_context **context,
                                                        const det_context_settings *settings,
                                                        det_error *error);

/**
 * Creates a context. `settings` may be NULL for the defaults. On failure (INVALID_ARGUMENT,
 * UNSUPPORTED: instruction set or precision not here, DEVICE, OUT_OF_MEMORY, MISMATCH: headers of
 * another ABI) *context is NULL and nothing is left allocated. There is no context to ask for the
 * sentence that tells why: the logger, if one was given, gets it.
 */
DET_NODISCARD static inline det_status det_context_create(det_context **context,
                                                          const det_context_settings *settings)
{
    return det_context_create_for(DET_ABI_VERSION, DET_VERSION, context, settings, NULL);
}

/** The same; *error has the sentence. */
DET_NODISCARD static inline det_status
det_context_create_explained(det_context **context, const det_context_settings *settings,
                             det_error *error)
{
    return det_context_create_for(DET_ABI_VERSION, DET_VERSION, context, settings, error);
}

/** Backends that can be had, separated by spaces: "cpu" or "cpu cuda", which says that CUDA's
 * library det-cuda.so was found, not that there is a GPU. It is loaded for that, and stays loaded
 * as when a context opens a GPU. Static. From any thread. */
DET_API const char *det_backends(void);

/** Instruction sets of the CPU code that this build knows, slowest first: name `index`, NULL behind
 * the last. *missing is NULL where it can be used here, else what the processor or the operating
 * system lacks (static text). "auto" takes the last usable one. */
DET_API const char *det_cpu_instruction_set(int index, const char **missing);

/** Releases the context and sets *context to NULL. Objects made with it must be gone before. NULL
 * is allowed. */
DET_API void det_context_destroy(det_context **context);

/** Detail of the last call that failed in this context, "" if none did. A call that succeeds never
 * leaves the text of a failure that it handled (a label map that cannot be read costs names, not
 * the model: that is a warning in the log). Valid until the next call that uses the context. */
DET_API const char *det_context_error(const det_context *context);

/** Leaves a message of the program's own there, one line fit to be shown, and returns `status`: for
 * callbacks that fail by themselves (`return det_context_fail(context, DET_STATUS_PARSE, text)`),
 * and for programs that tell failures of theirs and of the library from one place. */
DET_NODISCARD DET_API det_status det_context_fail(det_context *context, det_status status,
                                                  const char *message);

/**
 * Names a file that the program reads, so that nothing it was made from is lost: from the first of
 * these two calls on the context keeps a list of what is read, by its own calls too, and no call of
 * it writes over a file that is on the list (INVALID_ARGUMENT, whatever the file is called: links
 * make no difference). A file that is not there is none. INVALID_ARGUMENT: it was named as written.
 */
DET_NODISCARD DET_API det_status det_context_reads(det_context *context, const char *path);
/** Names a file that will be written, before anything is: INVALID_ARGUMENT when it is read, or was
 * named as written before, what else is wrong with it as its status says (NOT_FOUND: the folder is
 * not there). Reading it is refused from then on. `what` is put before the path in messages
 * ("--json"); NULL: nothing. Devices may be named several times. */
DET_NODISCARD DET_API det_status det_context_writes(det_context *context, const char *what,
                                                    const char *path);

/** Worker threads in use. */
DET_API int det_context_threads(const det_context *context);

/** What computes: "cpu: avx512, 2 threads". Valid as long as the context. */
DET_API const char *det_context_device(const det_context *context);

#ifdef __cplusplus
}
#endif
#endif
