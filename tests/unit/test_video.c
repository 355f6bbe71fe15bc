/* det-detect on videos, as a user runs it: a generated traffic video with known truth through the
 * bundled model; every kind of file FFmpeg's command can make here; Ctrl-C. DET_VIDEO_SECONDS=30
 * makes the traffic video that long, at 1280 x 720, and prints the figures (make video-proof);
 * DET_VIDEO_SEED: of another scene. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/context.h"
#include "det/tracker.h"
#include "support/run_tool.h"
#include "support/shell.h"

static const char *model = "data/vehicles.det";

/* --- traffic with known truth --- */

struct truth {
    cJSON *tree;
    cJSON *next; /* annotation */
};

static double item(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItem(object, name);
    if (!cJSON_IsNumber(value))
        fail_msg("no number \"%s\"", name);
    return value->valuedouble;
}

static size_t true_boxes(struct truth *truth, int frame, det_mot_box *boxes)
{
    size_t count = 0;
    for (; truth->next != NULL && (int)item(truth->next, "image_id") == frame + 1;
         truth->next = truth->next->next) {
        const cJSON *box = cJSON_GetObjectItem(truth->next, "bbox");
        float v[4];
        for (int i = 0; i < 4; i++)
            v[i] = (float)cJSON_GetArrayItem(box, i)->valuedouble;
        boxes[count++] = (det_mot_box){(int64_t)item(truth->next, "track_id"), v[1], v[0],
                                       v[1] + v[3], v[0] + v[2]};
    }
    return count;
}

static size_t found_boxes(const cJSON *line, det_mot_box *boxes)
{
    size_t count = 0;
    const cJSON *d = NULL;
    cJSON_ArrayForEach(d, cJSON_GetObjectItem(line, "detections"))
    {
        const cJSON *box = cJSON_GetObjectItem(d, "box_px");
        float v[4];
        for (int i = 0; i < 4; i++)
            v[i] = (float)cJSON_GetArrayItem(box, i)->valuedouble;
        assert_true(count < 64);
        boxes[count++] = (det_mot_box){(int64_t)item(d, "track_id"), v[0], v[1], v[2], v[3]};
    }
    return count;
}

static det_mot_result measure_tracks(const char *truth_path, const char *lines_path)
{
    struct test_env t;
    det_context_settings settings;
    det_context *context = NULL;
    det_mot_measure *measure = NULL;
    det_mot_result result = {.struct_size = sizeof result};
    test_env_init(&t);
    det_context_settings_default(&settings);
    settings.threads = 1;
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    assert_ok(det_context_env(context), det_mot_measure_create(context, 0.5F, &measure));
    char *text = test_read_text(truth_path);
    struct truth truth = {.tree = cJSON_Parse(text)};
    free(text);
    assert_non_null(truth.tree);
    truth.next = cJSON_GetObjectItem(truth.tree, "annotations")->child;
    text = test_read_text(lines_path);
    int frame = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, frame++) {
        det_mot_box wanted[64], found[64];
        *end = '\0';
        cJSON *tree = cJSON_Parse(line);
        assert_non_null(tree);
        assert_int_equal((int)item(tree, "frame"), frame);
        const size_t truths = true_boxes(&truth, frame, wanted), count = found_boxes(tree, found);
        assert_ok(det_context_env(context),
                  det_mot_measure_frame(measure, wanted, truths, found, count));
        cJSON_Delete(tree);
    }
    free(text);
    cJSON_Delete(truth.tree);
    assert_ok(det_context_env(context), det_mot_measure_result(measure, &result));
    det_mot_measure_destroy(&measure);
    det_context_destroy(&context);
    test_env_check(&t);
    return result;
}

static void read_counts(const char *path, bool of_truth, int64_t *forward, int64_t *backward)
{
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    const cJSON *counts = cJSON_GetObjectItem(tree, of_truth ? "counts" : "line 1");
    *forward = (int64_t)item(cJSON_GetObjectItem(counts, "forward"), "all");
    *backward = (int64_t)item(cJSON_GetObjectItem(counts, "backward"), "all");
    cJSON_Delete(tree);
    free(text);
}

static void check_copy(const char *input, const char *output, int frames)
{
    static const char *const probe =
        "ffprobe -v error -of csv=p=0 -select_streams %s -show_entries stream=%s %s";
    char command[700];
    if (!has_program("ffprobe"))
        return;
    snprintf(command, sizeof command, probe, "v:0 -count_frames", "nb_read_frames", output);
    assert_int_equal((int)number_of("%s", command), frames);
    for (int audio = 0; audio < 2; audio++) {
        const char *stream = audio ? "a:0" : "v:0";
        double seconds[2];
        for (int i = 0; i < 2; i++) {
            snprintf(command, sizeof command, probe, stream, "duration", i == 0 ? input : output);
            seconds[i] = number_of("%s", command);
        }
        assert_near(seconds[0], seconds[1], 0.03);
    }
    snprintf(command, sizeof command, probe, "a:0", "nb_frames", output);
    assert_true(number_of("%s", command) > 10);
}

static void traffic_is_detected_followed_and_counted(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], video[300], truth[300];
    if (!has_video())
        skip();
    const char *wanted = getenv("DET_VIDEO_SECONDS"), *seed = getenv("DET_VIDEO_SEED");
    const double seconds = wanted != NULL ? strtod(wanted, NULL) : 2.5;
    const int rate = wanted != NULL ? 30 : 8;
    const int frames = (int)(seconds * rate);
    test_make_directory(folder, "traffic");
    snprintf(video, sizeof video, "%s/traffic.mp4", folder);
    snprintf(truth, sizeof truth, "%s/traffic.truth.json", folder);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-demo-data --video %s --seconds %g --fps %d --size %s --seed %s",
                              video, seconds, rate, wanted != NULL ? "1280x720" : "480x270",
                              seed != NULL ? seed : "1"),
                     0);
    if (wanted != NULL)
        print_message("%s", out);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s --video %s --threshold 0.5 --track --count_line "
                              "0,0.62,1,0.62 --counts %s/counts.json --json %s/lines.jsonl "
                              "--output %s/out.mp4",
                              model, video, folder, folder, folder),
                     0);
    if (wanted != NULL)
        print_message("%s", out);
    char lines[300], counts[300], output[300];
    snprintf(lines, sizeof lines, "%s/lines.jsonl", folder);
    snprintf(counts, sizeof counts, "%s/counts.json", folder);
    snprintf(output, sizeof output, "%s/out.mp4", folder);
    assert_int_equal(count_lines(lines), frames);
    check_copy(video, output, frames);
    const det_mot_result tracks = measure_tracks(truth, lines);
    int64_t forward[2], backward[2];
    read_counts(truth, true, &forward[0], &backward[0]);
    read_counts(counts, false, &forward[1], &backward[1]);
    print_message(
        "%d frames, %d objects: MOTA %.3f, MOTP %.3f, IDF1 %.3f, %d switches; through the "
        "line %d and %d, truth %d and %d\n",
        frames, (int)tracks.objects, tracks.mota, tracks.motp, tracks.idf1, (int)tracks.switches,
        (int)forward[1], (int)backward[1], (int)forward[0], (int)backward[0]);
    assert_int_equal(tracks.frames, frames);
    assert_true(tracks.mota > 0.5 && tracks.idf1 > 0.7);
    const double all = (double)(forward[0] + backward[0]);
    assert_near((double)(forward[1] + backward[1]), all, all >= 20 ? 0.05 * all : 1);
    /* The detections alone, by det-eval. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s --threshold 0.05 --no_video --quiet --coco_results "
                              "%s/results.json",
                              model, video, folder),
                     0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --ground_truth %s --detections %s/results.json", truth,
                              folder),
                     0);
    if (wanted != NULL)
        print_message("%s", out);
    const char *ap50 = strstr(out, "IoU=0.50      | area=   all | maxDets=100 ] = ");
    assert_non_null(ap50);
    assert_true(strtod(strstr(ap50, "] = ") + 4, NULL) > 0.6);
    test_remove_tree(folder);
}

/* --- kinds of files --- */

static void every_kind_of_video_is_read(void **state)
{
    (void)state;
    static char out[100000];
    static const struct {
        const char *name, *arguments;
        int frames, width, height;
    } kinds[] = {
        {"h264.mp4", "-f lavfi -i testsrc2=s=96x64:r=25 -frames:v 4 -c:v libx264", 4, 96, 64},
        {"hevc.mkv", "-f lavfi -i testsrc2=s=96x64:r=25 -frames:v 4 -c:v libx265", 4, 96, 64},
        {"vp9.webm",
         "-f lavfi -i testsrc2=s=194x130:r=25 -vf scale=97:65,format=yuv420p -frames:v 4 -c:v "
         "libvpx-vp9",
         4, 97, 65},
        {"av1.mkv", "-f lavfi -i testsrc2=s=96x64:r=25 -frames:v 3 -c:v libsvtav1", 3, 96, 64},
        {"mjpeg.avi",
         "-f lavfi -i testsrc2=s=198x126:r=25 -vf scale=99:63,format=yuvj420p -frames:v 4 -c:v "
         "mjpeg",
         4, 99, 63},
        {"deep.mp4",
         "-f lavfi -i testsrc2=s=96x64:r=25 -frames:v 4 -pix_fmt yuv420p10le -c:v libx264", 4, 96,
         64},
        {"variable.mp4",
         "-f lavfi -i testsrc2=s=96x64:r=25 -vf select='not(mod(n\\,3))+eq(n\\,4)' -vsync vfr "
         "-frames:v 4 -c:v libx264",
         4, 96, 64},
        {"raw.h264", "-f lavfi -i testsrc2=s=96x64:r=25 -frames:v 4 -c:v libx264", 4, 96, 64},
    };
    char folder[256], lines[300];
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "kinds");
    snprintf(lines, sizeof lines, "%s/lines.jsonl", folder);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char size[40];
        if (shell("ffmpeg -v error -y %s %s/%s >/dev/null 2>&1", kinds[i].arguments, folder,
                  kinds[i].name) != 0) {
            print_message("this ffmpeg cannot make %s\n", kinds[i].name);
            continue;
        }
        if (run_tool(out, sizeof out, "det-detect %s --video %s/%s --json %s --output %s/out.mp4",
                     model, folder, kinds[i].name, lines, folder) != 0)
            fail_msg("%s: %s", kinds[i].name, out);
        if (count_lines(lines) != kinds[i].frames)
            fail_msg("%s: %d frames", kinds[i].name, count_lines(lines));
        char *text = test_read_text(lines);
        snprintf(size, sizeof size, "\"width\":%d,\"height\":%d,", kinds[i].width, kinds[i].height);
        assert_non_null(strstr(text, size));
        free(text);
        if (has_program("ffprobe")) {
            assert_int_equal(
                (int)number_of("ffprobe -v error -of csv=p=0 -count_frames -select_streams v:0 "
                               "-show_entries stream=nb_read_frames %s/out.mp4",
                               folder),
                kinds[i].frames);
            assert_int_equal((int)number_of("ffprobe -v error -of csv=p=0 -select_streams v:0 "
                                            "-show_entries stream=width %s/out.mp4",
                                            folder),
                             kinds[i].width);
        }
    }
    test_remove_tree(folder);
}

/* The times of a variable rate come out as they went in, and a phone's upright video stays
 * upright. */
static void times_and_rotation_are_kept(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256];
    if (!has_video() || !has_program("ffmpeg") || !has_program("ffprobe"))
        skip();
    test_make_directory(folder, "times");
    assert_int_equal(
        shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25 -vf "
              "select='not(mod(n\\,3))+eq(n\\,4)' -vsync vfr -frames:v 4 -c:v libx264 %s/a.mp4 && "
              "ffmpeg -v error -y -i %s/a.mp4 -c copy -metadata:s:v rotate=90 %s/b.mp4",
              folder, folder, folder),
        0);
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s %s/a.mp4 --output %s/out.mp4", model,
                              folder, folder),
                     0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            shell("ffprobe -v error -of csv=p=0 -select_streams v:0 -show_entries frame=pts_time "
                  "%s/%s > %s/times%d",
                  folder, i == 0 ? "a.mp4" : "out.mp4", folder, i),
            0);
    }
    assert_int_equal(shell("cmp %s/times0 %s/times1", folder, folder), 0);
    assert_int_equal(run_tool(out, sizeof out, "det-detect %s %s/b.mp4 --json -", model, folder),
                     0);
    assert_non_null(strstr(out, "\"width\":64,\"height\":96,"));
    test_remove_tree(folder);
}

static void interrupted_video_is_finished(void **state)
{
    (void)state;
    char folder[256], video[300], output[300], program[600];
    if (!has_video() || !has_program("ffmpeg") || !has_program("ffprobe"))
        skip();
    test_make_directory(folder, "ctrl-c");
    snprintf(video, sizeof video, "%s/a.mp4", folder);
    snprintf(output, sizeof output, "%s/out.mp4", folder);
    assert_int_equal(
        shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25:d=80 -f lavfi -i sine=d=80 "
              "-c:v libx264 -preset ultrafast -c:a aac %s",
              video),
        0);
    const char *bin = getenv("DET_BIN_DIR") != NULL ? getenv("DET_BIN_DIR") : "build/release/bin";
    snprintf(program, sizeof program, "%s/det-detect", bin);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        execl(program, program, model, "--video", video, "--output", output, (char *)NULL);
        _exit(127);
    }
    /* Under its temporary name until it is finished. */
    for (int i = 0; i < 600 && shell("find %s -name '.out.mp4.tmp-*' -size +0 | grep -q .", folder);
         i++)
        usleep(50000);
    assert_int_not_equal(access(output, F_OK), 0);
    usleep(200000);
    assert_int_equal(kill(child, SIGINT), 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    const double frames = number_of("ffprobe -v error -of csv=p=0 -count_frames -select_streams "
                                    "v:0 -show_entries stream=nb_read_frames %s",
                                    output);
    const double seconds[2] = {
        number_of("ffprobe -v error -of csv=p=0 -select_streams v:0 -show_entries stream=duration "
                  "%s",
                  output),
        number_of("ffprobe -v error -of csv=p=0 -select_streams a:0 -show_entries stream=duration "
                  "%s",
                  output)};
    assert_true(frames >= 1 && frames < 2000);
    assert_near(seconds[0], frames / 25, 0.05);
    assert_near(seconds[1], seconds[0], 0.2);
    test_remove_tree(folder);
}

/* --- other outputs --- */

static void every_output_is_written(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], path[400];
    test_make_directory(folder, "outputs");
    assert_int_equal(run_tool(out, sizeof out, "det-demo-data %s/demo --train 1 --test 4", folder),
                     0);
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-detect %s '%s/demo/images/test/*.jpg' --threshold 0.3,bus=0.9 --csv %s/a.csv "
                 "--coco %s/a.coco.json --cvat %s/a.xml --yolo %s/yolo --json %s/a.jsonl --output "
                 "%s/pictures --classes car,truck",
                 model, folder, folder, folder, folder, folder, folder, folder),
        0);
    snprintf(path, sizeof path, "%s/a.csv", folder);
    const int found = count_lines(path) - 1;
    assert_true(found > 0);
    char *text = test_read_text(path);
    assert_null(strstr(text, ",bus,"));
    free(text);
    snprintf(path, sizeof path, "%s/a.coco.json", folder);
    text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    free(text);
    assert_non_null(tree);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "annotations")), found);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "images")), 4);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "categories")), 3);
    cJSON_Delete(tree);
    snprintf(path, sizeof path, "%s/a.xml", folder);
    text = test_read_text(path);
    int boxes = 0;
    for (const char *at = text; (at = strstr(at, "<box label=\"")) != NULL; at++)
        boxes++;
    assert_int_equal(boxes, found);
    assert_non_null(strstr(text, "<image id=\"3\" name=\"test_00003.jpg\" width="));
    free(text);
    int lines = 0;
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/yolo/test_%05d.txt", folder, i);
        lines += count_lines(path);
        snprintf(path, sizeof path, "%s/pictures/test_%05d.jpg", folder, i);
        assert_int_equal(access(path, R_OK), 0);
    }
    assert_int_equal(lines, found);
    /* The same images as a list on standard input and as an image on standard input; thresholds
     * from a file. */
    snprintf(path, sizeof path, "%s/thresholds.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"car\": 0.3, \"truck\": 0.3, \"bus\": 1}\n", file);
    fclose(file);
    assert_int_equal(shell("ls %s/demo/images/test/*.jpg > %s/list.txt", folder, folder), 0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s --list %s/list.txt --csv - --threshold_file %s "
                              "--classes 1,2 --quiet 2>/dev/null | grep -c jpg",
                              model, folder, path),
                     0);
    assert_int_equal(atoi(out), found);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s - --threshold 0.01 --quiet < "
                              "%s/demo/images/test/test_00000.jpg",
                              model, folder),
                     0);
    assert_non_null(strstr(out, "{\"image\":\"-\",\"width\":"));
    test_remove_tree(folder);
}

/* Images are the frames of one sequence in their order, also when one of them cannot be read. */
static void images_are_followed_and_counted(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], path[300], *text;
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "sequence");
    assert_int_equal(
        shell(
            "%s/det-demo-data --video %s/a.mp4 --seconds 1.5 --fps 6 --size 480x270 >/dev/null && "
            "mkdir "
            "%s/pictures && ffmpeg -v error -i %s/a.mp4 -q:v 2 %s/pictures/%%02d.jpg",
            getenv("DET_BIN_DIR") != NULL ? getenv("DET_BIN_DIR") : "build/release/bin", folder,
            folder, folder, folder),
        0);
    for (int broken = 0; broken < 2; broken++) {
        /* The same line, in shares and in pixels. */
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-detect %s %s/pictures --track --count_line 0,0.5,1,0.5 "
                                  "--count_line 0,135,480,135 --counts %s/counts --csv %s/csv",
                                  model, folder, folder, folder),
                         broken);
        snprintf(path, sizeof path, "%s/counts", folder);
        text = test_read_text(path);
        assert_int_equal(count_lines(path), 1);
        cJSON *tree = cJSON_Parse(text);
        free(text);
        assert_non_null(tree);
        assert_string_equal(cJSON_GetObjectItem(tree, "source")->valuestring, "images");
        const double objects = item(cJSON_GetObjectItem(tree, "objects"), "all");
        assert_true(objects >= 2);
        for (int i = 0; i < 2; i++) {
            const char *way = i == 0 ? "forward" : "backward";
            const double shares =
                item(cJSON_GetObjectItem(cJSON_GetObjectItem(tree, "line 1"), way), "all");
            const double pixels =
                item(cJSON_GetObjectItem(cJSON_GetObjectItem(tree, "line 2"), way), "all");
            assert_near(shares, pixels, 0);
        }
        cJSON_Delete(tree);
        snprintf(path, sizeof path, "%s/csv", folder);
        /* Each is followed: fewer objects than boxes. */
        assert_true(count_lines(path) - 1 > 2 * (int)objects);
        assert_int_equal(shell("echo hello > %s/pictures/05.jpg", folder), 0);
    }
    assert_non_null(strstr(out, "05.jpg: "));
    assert_non_null(strstr(out, "1 input failed"));
    /* None can be read: nothing was counted. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s %s/pictures/05.jpg --track --counts %s/counts", model,
                              folder, folder),
                     1);
    snprintf(path, sizeof path, "%s/counts", folder);
    assert_int_equal(count_lines(path), 0);
    test_remove_tree(folder);
}

int test_video(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_output_is_written),
        cmocka_unit_test(images_are_followed_and_counted),
        cmocka_unit_test(traffic_is_detected_followed_and_counted),
        cmocka_unit_test(every_kind_of_video_is_read),
        cmocka_unit_test(times_and_rotation_are_kept),
        cmocka_unit_test(interrupted_video_is_finished),
    };
    return cmocka_run_group_tests_name("video", tests, NULL, NULL);
}
