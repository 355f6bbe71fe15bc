/* video.h: video in and out for the tools, by FFmpeg's libraries where the build found them
 * (ffmpeg_*.c, in det-video.so, which load_video.c loads with the first reader or writer), else a
 * plain error. One reader or writer belongs to one thread at a time; a frame may go to another
 * thread. A new function needs its line in functions.h, ffmpeg_functions.c, load_video.c.
 *
 * Times: `ticks` of a frame count in the reader's time base from the start of the file; the writer
 * is given the same ticks and time base, so that a variable frame rate comes out as it went in. */
#ifndef DET_TOOLS_VIDEO_VIDEO_H
#define DET_TOOLS_VIDEO_VIDEO_H

#include "support/image.h"

/* "FFmpeg: libavformat 59.27.100, ..." or why there is none. Static. */
const char *video_about(void);
/* False where the build has no FFmpeg: readers and writers then fail to open with UNSUPPORTED. */
bool video_available(void);

/* --- in --- */

struct video_rational {
    int num, den;
};

struct video_info {
    int32_t width, height;             /* of the upright picture */
    double frame_rate;                 /* average; 0: not known */
    double duration_s;                 /* 0: not known */
    int64_t frames;                    /* what the file or its duration says; 0: not known */
    bool frames_exact;                 /* the file says it */
    bool endless;                      /* a camera or a stream without an end */
    struct video_rational time_base;   /* seconds of one tick */
    struct video_rational pixel_shape; /* width : height of a pixel; 1 : 1 mostly */
    /* how the file's pictures lie, 1 to 8 as support/image.h has them; 1: upright */
    int orientation;
    char codec[32];
};

struct video_reader;

/* A decoded picture as the decoder left it: cheap to hand on, RGB is made by video_frame_rgb().
 * Holds memory of the reader's: release it before the reader is closed. */
struct video_frame {
    void *picture; /* NULL: empty */
    int64_t ticks;
    double time_s;
    int64_t index; /* 0, 1, ... in the order of showing */
};

/* `url`: a file, "-" (standard input), "v4l2:/dev/video0", rtsp:, http:, ... `stop` (may be NULL)
 * is asked while waiting for a camera or network; true ends reading. threads: of the decoder, 0: as
 * many as processors. */
det_status video_reader_open(struct det_env *env, const char *url, int threads, bool (*stop)(void),
                             struct video_reader **reader);
const struct video_info *video_reader_info(const struct video_reader *reader);
/* *end: no frame is left. Packets that cannot be decoded are counted and passed over. */
det_status video_reader_next(struct det_env *env, struct video_reader *reader,
                             struct video_frame *frame, bool *end);
void video_frame_release(struct video_frame *frame);
/* After the end: what was wrong with the file, as an error (packets that could not be decoded, an
 * end before its time, a picture size that changed); OK when nothing was. */
det_status video_reader_verdict(struct det_env *env, const struct video_reader *reader);
void video_reader_close(struct det_env *env, struct video_reader **reader);

/* Makes upright RGB of the reader's size. One converter a thread. Start with NULL. */
struct video_converter;
det_status video_frame_rgb(struct det_env *env, struct video_converter **converter,
                           const struct video_reader *reader, const struct video_frame *frame,
                           struct det_image *image);
void video_converter_free(struct det_env *env, struct video_converter **converter);

/* --- out --- */

struct video_writer_settings {
    const char *path;
    const char *codec; /* NULL: the best the container takes; else a codec's or an encoder's name */
    int32_t width, height;
    double frame_rate; /* nominal; 0: not known */
    struct video_rational time_base;
    struct video_rational pixel_shape;
    struct video_reader *audio_from; /* its audio is copied; NULL: none */
    bool tone;                       /* instead: an audio track of a generated tone */
    int threads;                     /* of the encoder; 0: its own choice */
};

struct video_writer;

/* Fails before anything is written when the codec or container cannot be had. */
det_status video_writer_open(struct det_env *env, const struct video_writer_settings *settings,
                             struct video_writer **writer);
/* What is written: "h264 (libx264), 1280 x 720, audio aac copied". */
const char *video_writer_about(const struct video_writer *writer);
/* Ticks must rise; one that does not is moved up by one. After NO_SPACE the file can still be
 * finished. */
det_status video_writer_frame(struct det_env *env, struct video_writer *writer,
                              const struct det_image *image, int64_t ticks);
/* Flushes the encoder, writes the index, closes. The file is playable also after a failed frame;
 * the failure is returned again. NULL is allowed. */
det_status video_writer_close(struct det_env *env, struct video_writer **writer);

#endif
