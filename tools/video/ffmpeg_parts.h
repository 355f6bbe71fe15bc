/* ffmpeg_parts.h: between the ffmpeg_*.c files. */
#ifndef DET_TOOLS_VIDEO_FFMPEG_PARTS_H
#define DET_TOOLS_VIDEO_FFMPEG_PARTS_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "video/video.h"

/* --- ffmpeg_error.c --- */

/* From now on FFmpeg's own messages are kept for the next error instead of being printed. */
void video_capture_log(void);
/* Status and sentence of an AVERROR: "WHAT: FFmpeg's last message (meaning of the code)". */
det_status video_fail(struct det_env *env, int error, const char *format, ...) DET_PRINTF(3, 4);

/* --- ffmpeg_times.c --- */

struct video_times;
det_status video_times_open(struct det_env *env, const AVFormatContext *format,
                            struct video_times **times);
void video_times_free(struct det_env *env, struct video_times **times);
/* Gives a packet, as it was read, times that continue its stream's and fit the other streams'; an
 * audio packet without a time gets one. Returns by how much its own step out of line, in
 * microseconds; 0: not at all. */
int64_t video_times_correct(struct video_times *times, AVPacket *packet);
/* Where the last packets of all streams end, corrected; 0 when there was none. */
int64_t video_times_end_us(const struct video_times *times);

/* --- ffmpeg_whole.c --- */

/* How many bytes a file lacks by what its head says; 0: none, or it does not say. */
int64_t video_missing_bytes(const AVFormatContext *format);

/* --- ffmpeg_reader.c --- */

/* The file's streams, to copy parameters from. */
AVFormatContext *video_reader_format(struct video_reader *reader);
/* Everything was read, to the end of the file. */
bool video_reader_at_end(const struct video_reader *reader);
/* From now on the packets of that stream are kept for video_reader_take_packet(). */
void video_reader_keep_stream(struct video_reader *reader, int stream);
/* Moves the oldest kept packet to `packet` when it begins by `limit_s` (seconds from the file's
 * start); its times are already counted from there, in its stream's time base. May be called from
 * another thread than the reader's. */
bool video_reader_take_packet(struct video_reader *reader, double limit_s, AVPacket *packet);

/* --- ffmpeg_colour.c --- */

struct SwsContext;
/* Matrix and range for a conversion between RGB and `space` (AVCOL_SPC_*; unknown: by the height,
 * as players do). */
void video_set_colours(struct SwsContext *scaler, enum AVColorSpace space, bool full_range,
                       int height, bool to_rgb);
enum AVColorSpace video_colour_space(enum AVColorSpace space, int height);

/* --- ffmpeg_codec.c --- */

/* The encoder for `codec` (NULL: the container's best) in that container, not opened yet, with its
 * pixel format and options set for pictures of this size. */
det_status video_choose_encoder(struct det_env *env, const struct video_writer_settings *settings,
                                const AVOutputFormat *container, AVCodecContext **encoder,
                                AVDictionary **options);

/* --- ffmpeg_file.c: an output file (support/writer.h) that can still be finished when the disk is
 * full --- */

struct video_file;
det_status video_file_open(struct det_env *env, const char *path, struct video_file **file);
AVIOContext *video_file_io(struct video_file *file);
/* The disk is full; what FFmpeg has yet to write goes into space that was set aside. */
bool video_file_full(const struct video_file *file);
/* What failed, errno; 0: nothing. */
int video_file_error(const struct video_file *file);
/* keep: puts it in place, with what was written, where the writing failed too; else the file that
 * was there before stands. */
det_status video_file_close(struct det_env *env, struct video_file **file, bool keep);

/* --- ffmpeg_audio.c: the audio of a written file --- */

struct video_audio;
/* Adds the streams to `format`, whose header is not written yet. *audio is NULL when there is
 * nothing to do. `about` gets a few words. */
det_status video_audio_open(struct det_env *env, const struct video_writer_settings *settings,
                            AVFormatContext *format, char *about, size_t about_bytes,
                            struct video_audio **audio);
/* Writes what belongs before `until_s`. Returns 0 or an AVERROR. */
int video_audio_write(struct video_audio *audio, AVFormatContext *format, double until_s);
/* The same, and what the encoder still has; all audio of an input that was read to its end. */
int video_audio_finish(struct video_audio *audio, AVFormatContext *format, double until_s);
void video_audio_free(struct det_env *env, struct video_audio **audio);

#endif
