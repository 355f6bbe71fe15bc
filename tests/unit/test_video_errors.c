/* det-detect on what is no video, or not a whole one: a clear message, a finished output, the right
 * exit status. */
#include <unistd.h>

#include "support/run_tool.h"
#include "support/shell.h"

static const char *model = "data/vehicles.det";

static char out[100000];

/* The text with the folder in the place of each @. */
static void put_folder(char *to, size_t size, const char *text, const char *folder)
{
    size_t length = 0;
    for (; *text != '\0' && length + 1 < size; text++)
        length += *text == '@' ? (size_t)snprintf(to + length, size - length, "%s", folder)
                               : (size_t)snprintf(to + length, size - length, "%c", *text);
    assert_true(length + 1 < size);
}

static int frames_of(const char *folder, const char *name)
{
    return (int)number_of("ffprobe -v error -of csv=p=0 -count_frames -select_streams v:0 "
                          "-show_entries stream=nb_read_frames %s/%s",
                          folder, name);
}

static bool is_there(const char *folder, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void wrong_files_are_answered(void **state)
{
    (void)state;
    char folder[256];
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "wrong");
    assert_int_equal(
        shell("cd %s && ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25 -frames:v 12 -c:v "
              "libx264 -movflags +faststart good.mp4 && ffmpeg -v error -y -f lavfi -i sine=d=1 "
              "audio.m4a && cp audio.m4a audio.mp4 && head -c 4500 good.mp4 > short.mp4 && "
              "tail -c 4000 good.mp4 > headless.mp4 && echo hello > text.mp4 && : > empty.mp4 && "
              "cp good.mp4 video.jpg && printf 'YUV4MPEG2 W96 H64 F25:1 Ip A1:1 C420jpeg\\n' > "
              "none.y4m && ffmpeg -v error -y -i good.mp4 -frames:v 0 -c:v mjpeg none.avi",
              folder),
        0);
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"--video @/none.mp4", "No such file"},
        {"--video @/audio.mp4", "audio.mp4: holds no video, only audio"},
        {"--video @/text.mp4", "text.mp4: cannot be opened as video"},
        {"--video @/empty.mp4", "empty.mp4: cannot be opened as video"},
        {"--video @/headless.mp4", "headless.mp4: cannot be opened as video"},
        {"--video @/none.y4m --output @/out.mp4", "none.y4m: its rawvideo video holds no frame"},
        {"--video @/none.avi --output @/out.mp4", "none.avi: its mjpeg video holds no frame"},
        {"@/video.jpg", "video.jpg: not a JPEG, PNG, BMP, GIF or WebP image (starts with"},
        {"@/video.jpg", ": an MP4 video)"},
        {"--video v4l2:/dev/no_such_camera", "no_such_camera: cannot be opened as a camera"},
        {"--video @/good.mp4 --codec none --output @/out.mp4", "no encoder \"none\""},
        {"--video @/good.mp4 --codec h264 --output @/out.webm",
         "cannot go into a file of format webm"},
        {"--video @/good.mp4 --output @/good.mp4", "is an input, which would be overwritten"},
        {"--video @/good.mp4 --threshold 2", "--threshold: got \"2\""},
        {"--video @/good.mp4 --threshold lorry=.5",
         "\"lorry\" is no class of the model; it has: car, truck, bus"},
        {"--video @/good.mp4 --classes car,9", "\"9\" is no class"},
        {"--video @/good.mp4 --count_line 0,0,1", "expected x0,y0,x1,y1"},
        {"--video @/good.mp4 --output @/nowhere/out.mp4", "No such file or directory"},
        {"--video http://127.0.0.1:9/a.mp4", "Connection refused"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char arguments[700];
        put_folder(arguments, sizeof arguments, cases[i].arguments, folder);
        const int status = run_tool(out, sizeof out, "det-detect %s %s", model, arguments);
        if (status != 1 || strstr(out, cases[i].message) == NULL)
            fail_msg("%s: exit status %d, \"%s\" expected, got:\n%s", arguments, status,
                     cases[i].message, out);
        if (is_there(folder, "out.mp4") || is_there(folder, "out.webm"))
            fail_msg("%s: leaves a video without a frame", arguments);
    }
    /* What could be read of the truncated one is there. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s --video %s/short.mp4 --output "
                              "%s/out.mp4",
                              model, folder, folder),
                     1);
    assert_non_null(strstr(out, "short.mp4: "));
    assert_non_null(strstr(out, "1 input failed"));
    if (has_program("ffprobe")) {
        const int frames = frames_of(folder, "out.mp4");
        assert_true(frames >= 2 && frames < 12);
    }
    test_remove_tree(folder);
}

/* What a file holds counts, not what it is called. */
static void other_extensions_are_read(void **state)
{
    (void)state;
    char folder[256];
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "extensions");
    assert_int_equal(
        shell("cd %s && ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25 "
              "-frames:v 2 -c:v libx264 a.mp4 && mv a.mp4 video.avi && ffmpeg -v error "
              "-y -f lavfi -i testsrc2=s=96x64 -frames:v 1 a.jpg && mv a.jpg "
              "picture.mp4",
              folder),
        0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s/video.avi %s/picture.mp4 --json %s/lines --output "
                              "%s/seen",
                              model, folder, folder, folder, folder),
                     0);
    char lines[300];
    snprintf(lines, sizeof lines, "%s/lines", folder);
    assert_int_equal(count_lines(lines), 3);
    if (has_program("ffprobe")) {
        assert_int_equal(frames_of(folder, "seen/video.mp4"), 2);
        assert_int_equal(frames_of(folder, "seen/picture.mp4"), 1);
    }
    test_remove_tree(folder);
}

/* All frames get the first one's size, and it is said once. */
static void changed_size_is_told(void **state)
{
    (void)state;
    char folder[256];
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "sizes");
    assert_int_equal(
        shell("cd %s && for s in 96x64 128x98; do ffmpeg -v error -y -f lavfi -i "
              "testsrc2=s=$s:r=25 -frames:v 3 -c:v libx264 $s.h264; done; cat 96x64.h264 "
              "128x98.h264 > a.h264",
              folder),
        0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s --video %s/a.h264 --json %s/lines --output %s/out.mp4",
                              model, folder, folder, folder),
                     0);
    const char *told = strstr(out, "frame 3 has 128 x 98 pixels, not 96 x 64 as the video began");
    assert_non_null(told);
    assert_null(strstr(strstr(told, "as the video began") + 1, "as the video began"));
    char lines[300];
    snprintf(lines, sizeof lines, "%s/lines", folder);
    assert_int_equal(count_lines(lines), 6);
    assert_int_equal(shell("test $(grep -c '\"width\":96,\"height\":64' %s) = 6", lines), 0);
    if (has_program("ffprobe"))
        assert_int_equal(frames_of(folder, "out.mp4"), 6);
    test_remove_tree(folder);
}

/* --- no room --- */

static const char *bin(void)
{
    const char *folder = getenv("DET_BIN_DIR");
    return folder != NULL ? folder : "build/release/bin";
}

static void make_picture_video(const char *folder)
{
    assert_int_equal(shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=640x480:r=25 -frames:v 12 "
                           "-c:v libx264 -preset ultrafast %s/a.mp4",
                           folder),
                     0);
}

static void check_log(const char *folder, const char *message)
{
    char path[300];
    snprintf(path, sizeof path, "%s/log", folder);
    char *text = test_read_text(path);
    if (strstr(text, message) == NULL || strstr(text, "1 input failed") == NULL)
        fail_msg("%s", text);
    free(text);
}

/* The largest size that a file may have: Matroska plays as far as it goes, MP4's index has no place
 * left. */
static void largest_size_is_told(void **state)
{
    (void)state;
    char folder[256];
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "limit");
    make_picture_video(folder);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            shell("bash -c \"ulimit -f 120; trap '' XFSZ; %s/det-detect %s %s/a.mp4 --codec mjpeg "
                  "--output %s/out.%s\" >%s/log 2>&1",
                  bin(), model, folder, folder, i == 0 ? "mkv" : "mp4", folder),
            1);
        check_log(folder, i == 0 ? "out.mkv: writing after " : "File too large");
    }
    if (has_program("ffprobe")) {
        const int frames = frames_of(folder, "out.mkv");
        assert_true(frames >= 1 && frames < 12);
    }
    test_remove_tree(folder);
}

/* A full disk: the MP4 is closed with the frames it has. */
static void full_disk_is_told(void **state)
{
    (void)state;
    char folder[256];
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "full");
    make_picture_video(folder);
    if (shell("mkdir %s/disk && unshare -rm mount -t tmpfs none %s/disk 2>/dev/null", folder,
              folder) != 0) {
        print_message("skipped: no file system can be mounted here\n");
        test_remove_tree(folder);
        skip();
    }
    assert_int_equal(
        shell("unshare -rm sh -c 'mount -t tmpfs -o size=4300k none %s/disk && %s/det-detect %s "
              "%s/a.mp4 --codec mjpeg --output %s/disk/out.mp4; status=$?; cp %s/disk/out.mp4 %s; "
              "exit $status' >%s/log 2>&1",
              folder, bin(), model, folder, folder, folder, folder, folder),
        1);
    check_log(folder, "out.mp4: no space left on the device after ");
    if (has_program("ffprobe")) {
        const int frames = frames_of(folder, "out.mp4");
        assert_true(frames >= 1 && frames < 12);
    }
    test_remove_tree(folder);
}

/* --- a build without FFmpeg --- */

static void build_without_video_says_so(void **state)
{
    (void)state;
    run_tool(out, sizeof out, "det-info");
    if (strstr(out, "video: FFmpeg") != NULL)
        skip(); /* the others of this group are for such a build */
    assert_non_null(strstr(out, "video: "));
    assert_int_equal(
        run_tool(out, sizeof out, "det-detect %s --video road.mp4 --output out.mp4", model), 1);
    assert_non_null(strstr(out, "road.mp4: video: "));
    assert_non_null(strstr(out, "FFmpeg"));
    assert_int_equal(run_tool(out, sizeof out, "det-demo-data --video out.mp4 --seconds 1"), 1);
    assert_non_null(strstr(out, "FFmpeg"));
    assert_int_not_equal(access("out.mp4", F_OK), 0);
}

/* A program that was copied without lib/libdet/ works on pictures and names the file that it lacks
 * for a video. */
static void missing_plugin_is_named(void **state)
{
    (void)state;
    char folder[256];
    const char *bin = getenv("DET_BIN_DIR");
    if (bin == NULL || !has_video())
        skip();
    test_make_directory(folder, "plugin");
    assert_int_equal(shell("mkdir %s/bin && cp %s/det-detect %s/bin", folder, bin, folder), 0);
    assert_int_equal(shell("%s/bin/det-detect %s road.mp4 --output %s/out.mp4 > %s/said 2>&1",
                           folder, model, folder, folder),
                     1);
    assert_int_equal(
        shell("grep -q 'road.mp4: /.*/%s/lib/libdet/det-video.so: ' %s/said", folder, folder), 0);
    assert_int_equal(shell("test -e %s/out.mp4", folder), 1);
    test_remove_tree(folder);
}

int test_video_errors(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_answered), cmocka_unit_test(other_extensions_are_read),
        cmocka_unit_test(changed_size_is_told),     cmocka_unit_test(largest_size_is_told),
        cmocka_unit_test(full_disk_is_told),        cmocka_unit_test(build_without_video_says_so),
        cmocka_unit_test(missing_plugin_is_named),
    };
    return cmocka_run_group_tests_name("video_errors", tests, NULL, NULL);
}
