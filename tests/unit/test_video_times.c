/* det-detect on videos whose times or lengths are not as a simple file's: joined recordings,
 * counters that wrap, trimmed files, audio that outlasts the picture, files that were cut short. */
#include <math.h>

#include <cjson/cJSON.h>

#include "support/run_tool.h"
#include "support/shell.h"

static const char *model = "data/vehicles.det";

static char out[100000];

enum { MOST_FRAMES = 400 };

struct times {
    double time_s[MOST_FRAMES];
    int count, status;
};

/* What det-detect makes of FOLDER/NAME; its annotated copy is FOLDER/out.mp4. */
static void detect(const char *folder, const char *name, struct times *times)
{
    char path[400];
    times->count = 0;
    times->status =
        run_tool(out, sizeof out, "det-detect %s --video %s/%s --json %s/lines --output %s/out.mp4",
                 model, folder, name, folder, folder);
    snprintf(path, sizeof path, "%s/lines", folder);
    char *text = test_read_text(path);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        cJSON *tree = cJSON_Parse(line);
        assert_non_null(tree);
        assert_true(times->count < MOST_FRAMES);
        times->time_s[times->count++] = cJSON_GetObjectItem(tree, "time_s")->valuedouble;
        cJSON_Delete(tree);
    }
    free(text);
}

static double output_is(const char *folder, const char *stream, const char *what)
{
    return number_of("ffprobe -v error -of csv=p=0 -select_streams %s -show_entries stream=%s "
                     "%s/out.mp4",
                     stream, what, folder);
}

/* Each frame a step behind the one before it, but for `seams` that may be wider. */
static void check_steps(const char *name, const struct times *times, double step_s, int seams,
                        double widest_s)
{
    for (int i = 1; i < times->count; i++) {
        const double step = times->time_s[i] - times->time_s[i - 1];
        if (fabs(step - step_s) < 0.002)
            continue;
        if (!(step > 0.9 * step_s && step < widest_s) || seams-- == 0)
            fail_msg("%s: frame %d comes %g s behind the one before it:\n%s", name, i, step, out);
    }
}

static bool tools_are_here(void)
{
    return has_video() && has_program("ffmpeg") && has_program("ffprobe");
}

static void joined_recordings_go_on(void **state)
{
    (void)state;
    static const struct {
        const char *name, *make;
        int frames, seams;
        double step_s, length_s, widest_s; /* of the picture; of a step at a seam */
        bool audio, told;
    } cases[] = {
        {"twice.ts", "cat v.ts v.ts", 60, 1, 1. / 30, 2, 0.04, false, true},
        {"audio.ts", "cat a.ts a.ts", 60, 1, 1. / 30, 2, 0.1, true, true},
        {"thrice.ts", "cat a.ts a.ts a.ts", 90, 2, 1. / 30, 3, 0.1, true, true},
        {"down.ts", "cat late.ts a.ts", 60, 1, 1. / 30, 2, 0.1, true, true},
        {"up.ts", "cat a.ts late.ts", 60, 1, 1. / 30, 2, 0.1, true, true},
        {"wrap.ts", "cat wrap.ts", 30, 0, 1. / 30, 1, 0, true, false},
        {"joined.mpg", "cat a.mpg a.mpg", 50, 1, 1. / 25, 2, 0.1, true, true},
        {"joined.mkv", "cat a.mkv a.mkv", 60, 1, 1. / 30, 2, 0.1, true, true},
        {"joined.h264", "cat a.h264 a.h264", 60, 0, 1. / 30, 2, 0, false, false},
        {"plain.mkv", "cat a.mkv", 30, 0, 1. / 30, 1, 0, true, false},
    };
    char folder[256];
    if (!tools_are_here())
        skip();
    test_make_directory(folder, "joined");
    assert_int_equal(
        shell(
            "cd %s && F='ffmpeg -v error -y' && $F -f lavfi -i testsrc2=s=96x64:r=30:d=1 -f lavfi "
            "-i "
            "sine=d=1 -c:v libx264 -bf 2 -c:a aac a.mp4 && $F -i a.mp4 -c copy a.ts && $F -i a.mp4 "
            "-an -c copy v.ts && $F -i a.mp4 -c copy -output_ts_offset 1000 late.ts && $F -i a.mp4 "
            "-c copy -output_ts_offset 95441.8 wrap.ts && $F -i a.mp4 -c copy a.mkv && $F -i a.mp4 "
            "-c copy a.h264 && $F -f lavfi -i testsrc2=s=96x64:r=25:d=1 -f lavfi -i sine=d=1 -c:v "
            "mpeg2video -c:a mp2 a.mpg",
            folder),
        0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct times times;
        char name[40];
        snprintf(name, sizeof name, "in-%s", cases[i].name);
        assert_int_equal(shell("cd %s && %s > %s", folder, cases[i].make, name), 0);
        detect(folder, name, &times);
        if (times.status != 0 || times.count != cases[i].frames)
            fail_msg("%s: exit status %d, %d frames:\n%s", cases[i].name, times.status, times.count,
                     out);
        check_steps(cases[i].name, &times, cases[i].step_s, cases[i].seams, cases[i].widest_s);
        const double length = times.time_s[times.count - 1] - times.time_s[0] + cases[i].step_s;
        assert_near(length, cases[i].length_s, 0.06);
        assert_int_equal((int)output_is(folder, "v:0", "nb_frames"), cases[i].frames);
        assert_near(output_is(folder, "v:0", "duration"), length, 0.05);
        if (cases[i].audio)
            assert_near(output_is(folder, "a:0", "duration"), length, 0.1);
        const char *told = strstr(out, "its timestamps step by ");
        if ((told != NULL) != cases[i].told ||
            (told != NULL && strstr(told + 20, "timestamps step")))
            fail_msg("%s: said\n%s", cases[i].name, out);
    }
    test_remove_tree(folder);
}

/* Each part's sound stays with its picture, also where they do not end together: in the copy, white
 * pictures and the tone begin at the same time in the second part. */
static void joined_sound_stays_with_its_picture(void **state)
{
    (void)state;
    char folder[256];
    if (!tools_are_here())
        skip();
    test_make_directory(folder, "in-sync");
    /* 1 s of picture with 2 s of silence, then black and silence for .5 s, white and a tone for .5
     * s. */
    assert_int_equal(
        shell("cd %s && F='ffmpeg -v error -y' && $F -f lavfi -i color=c=gray:s=96x64:r=30:d=1 -f "
              "lavfi "
              "-i anullsrc=r=48000:cl=mono -t 2 -c:v libx264 -c:a aac first.ts && $F -f lavfi -i "
              "\"color=c=black:s=96x64:r=30:d=1,drawbox=c=white:t=fill:enable='gte(t,0.5)'\" -f "
              "lavfi "
              "-i \"sine=f=1000:r=48000:d=1,volume='if(gte(t,0.5),1,0)':eval=frame\" -c:v libx264 "
              "-c:a "
              "aac second.ts && cat first.ts second.ts > in.ts",
              folder),
        0);
    struct times times;
    detect(folder, "in.ts", &times);
    assert_int_equal(times.status, 0);
    assert_int_equal(times.count, 60);
    const double white = number_of(
        "ffmpeg -hide_banner -i %s/out.mp4 -vf negate,blackdetect=d=0.1 -an -f null - 2>&1 | "
        "sed -n 's/.*black_start:\\([0-9.]*\\).*/\\1/p' | head -1",
        folder);
    const double tone = number_of("ffmpeg -hide_banner -i %s/out.mp4 -af "
                                  "silencedetect=n=-30dB:d=0.2 -vn -f null - 2>&1 | sed -n "
                                  "'s/.*silence_end: \\([0-9.]*\\).*/\\1/p' | tail -1",
                                  folder);
    assert_true(white > 2.2 && white < 2.8);
    assert_near(white, tone, 0.08);
    test_remove_tree(folder);
}

static void lengths_are_what_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int frames; /* at least; exactly when the status is 0 */
        int status;
        double audio_s;
        const char *said;
    } cases[] = {
        {"trimmed.mp4", 47, 0, 1.57, NULL},
        {"audio.mp4", 30, 0, 3, NULL},
        {"audio.mkv", 30, 0, 3, NULL},
        {"cut.mkv", 40, 1, 0, "the file is cut short, it says that "},
        {"little.mkv", 85, 1, 0, "the file is cut short, it says that 5 more bytes follow"},
        {"cut.mp4", 80, 1, 0, "but says it has 90 frames"},
        {"cut.ts", 40, 1, 0, "damaged packet"}, /* such a file does not say how long it is */
    };
    char folder[256];
    if (!tools_are_here())
        skip();
    test_make_directory(folder, "lengths");
    assert_int_equal(
        shell("cd %s && F='ffmpeg -v error -y' && $F -f lavfi -i testsrc2=s=96x64:r=30:d=3 -f "
              "lavfi -i "
              "sine=d=3 -c:v libx264 -g 30 -bf 2 -c:a aac a.mp4 && $F -ss 1.43 -i a.mp4 -c copy "
              "trimmed.mp4 && $F -i a.mp4 -c copy a.mkv && $F -i a.mp4 -c copy a.ts && $F -i a.mp4 "
              "-c "
              "copy -movflags +faststart fast.mp4 && $F -f lavfi -i testsrc2=s=96x64:r=30:d=1 -f "
              "lavfi "
              "-i sine=d=3 -c:v libx264 -c:a aac audio.mp4 && $F -i audio.mp4 -c copy audio.mkv && "
              "head "
              "-c $(($(stat -c %%s a.mkv) * 6 / 10)) a.mkv > cut.mkv && head -c -5 a.mkv > "
              "little.mkv && "
              "head -c $(($(stat -c %%s fast.mp4) * 95 / 100)) fast.mp4 > cut.mp4 && head -c "
              "$(($(stat -c %%s a.ts) * 6 / 10)) a.ts > cut.ts",
              folder),
        0);
    /* Trimmed without being encoded anew: it counts more frames than it shows. */
    assert_true(number_of("ffprobe -v error -of csv=p=0 -select_streams v:0 -show_entries "
                          "stream=nb_frames %s/trimmed.mp4",
                          folder) > 50);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct times times;
        detect(folder, cases[i].name, &times);
        if (times.status != cases[i].status || times.count < cases[i].frames ||
            (cases[i].audio_s > 0 && times.count != cases[i].frames))
            fail_msg("%s: exit status %d, %d frames:\n%s", cases[i].name, times.status, times.count,
                     out);
        if (cases[i].said != NULL)
            assert_contains(out, cases[i].said);
        if (strcmp(cases[i].name, "cut.ts") != 0 && strcmp(cases[i].name, "cut.mp4") != 0)
            check_steps(cases[i].name, &times, 1. / 30, 0, 0);
        assert_int_equal((int)output_is(folder, "v:0", "nb_frames"), times.count);
        if (cases[i].audio_s > 0)
            assert_near(output_is(folder, "a:0", "duration"), cases[i].audio_s, 0.06);
    }
    test_remove_tree(folder);
}

/* The first track's matrix: (a b 0, c d 0, 0 0 1) in 16.16, high byte first. */
static void set_matrix(const char *folder, const int m[4])
{
    enum { MATRIX = 44 }; /* behind the letters */
    char path[400];
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/a.mp4", folder);
    char *data = test_read_bytes(path, &bytes);
    size_t at = 0;
    while (at + MATRIX + 36 < bytes && memcmp(data + at, "tkhd", 4) != 0)
        at++;
    assert_true(at + MATRIX + 36 < bytes);
    static const int places[4] = {0, 4, 12, 16};
    for (int i = 0; i < 4; i++) {
        const uint32_t value = (uint32_t)m[i] << 16;
        for (int k = 0; k < 4; k++)
            data[at + MATRIX + (size_t)places[i] + (size_t)k] = (char)(value >> (24 - 8 * k));
    }
    snprintf(path, sizeof path, "%s/b.mp4", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
    free(data);
}

/* All eight ways to lie, against what FFmpeg's command makes of the file. */
static void matrices_turn_and_mirror(void **state)
{
    (void)state;
    static const int matrices[8][4] = {{1, 0, 0, 1}, {-1, 0, 0, 1}, {-1, 0, 0, -1}, {1, 0, 0, -1},
                                       {0, 1, 1, 0}, {0, 1, -1, 0}, {0, -1, -1, 0}, {0, -1, 1, 0}};
    char folder[256];
    if (!tools_are_here())
        skip();
    test_make_directory(folder, "matrices");
    assert_int_equal(
        shell("cd %s && ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25 -frames:v 2 -c:v "
              "libx264 -crf 1 a.mp4",
              folder),
        0);
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        set_matrix(folder, matrices[i]);
        assert_int_equal(
            shell("cd %s && ffmpeg -v error -y -i b.mp4 -frames:v 1 wanted.png", folder), 0);
        assert_int_equal(
            run_tool(out, sizeof out,
                     "det-detect %s %s/b.mp4 --threshold 1 --codec mjpeg --output %s/out.mkv",
                     model, folder, folder),
            0);
        /* One that lies otherwise has some 10 dB. */
        const double psnr = number_of(
            "cd %s && ffmpeg -hide_banner -i out.mkv -i wanted.png -frames:v 1 -lavfi psnr -f "
            "null - 2>&1 | sed -n 's/.*average:\\([0-9.]*\\).*/\\1/p'",
            folder);
        if (!(psnr > 24))
            fail_msg("matrix %zu: PSNR %g", i, psnr);
    }
    test_remove_tree(folder);
}

int test_video_times(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_recordings_go_on),
        cmocka_unit_test(joined_sound_stays_with_its_picture),
        cmocka_unit_test(lengths_are_what_they_are),
        cmocka_unit_test(matrices_turn_and_mirror),
    };
    return cmocka_run_group_tests_name("video_times", tests, NULL, NULL);
}
