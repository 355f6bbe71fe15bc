/* det-detect on sources that do not wait: --live, and a stream from a real RTSP server on loopback
 * where GStreamer's is installed (gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good,
 * python3-gi). */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/run_tool.h"
#include "support/shell.h"

static const char *model = "data/vehicles.det";

/* "N frames shown, M dropped": their sum; fails the test when it is not said. */
static int all_frames(const char *out, int *dropped)
{
    const char *at = strstr(out, " frames shown, ");
    if (at == NULL)
        fail_msg("%s", out);
    const char *number = at;
    while (number > out && number[-1] >= '0' && number[-1] <= '9')
        number--;
    *dropped = atoi(at + strlen(" frames shown, "));
    return atoi(number) + *dropped;
}

static void live_drops_and_counts(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], lines[300];
    int dropped = 0;
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "live");
    snprintf(lines, sizeof lines, "%s/lines.jsonl", folder);
    assert_int_equal(
        shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=500:d=0.6 -c:v libx264 -preset "
              "ultrafast %s/a.mp4",
              folder),
        0);
    assert_int_equal(
        run_tool(out, sizeof out, "det-detect %s %s/a.mp4 --live --json %s", model, folder, lines),
        0);
    assert_int_equal(all_frames(out, &dropped), 300);
    assert_true(dropped > 0 && dropped < 300);
    assert_int_equal(dropped + count_lines(lines), 300);
    test_remove_tree(folder);
}

/* Returns the server's process, or 0 when it cannot run here. */
static pid_t start_server(const char *folder, int port)
{
    char video[300], number[16], said[300];
    snprintf(video, sizeof video, "%s/a.mp4", folder);
    snprintf(number, sizeof number, "%d", port);
    snprintf(said, sizeof said, "%s/said", folder);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen(said, "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        execl("/usr/bin/python3", "python3", "tests/support/rtsp_server.py", video, number,
              (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 600; i++) {
        if (access(said, R_OK) == 0 && count_lines(said) == 1)
            return child;
        if (waitpid(child, NULL, WNOHANG) == child)
            return 0;
        usleep(50000);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}

static void a_stream_is_read_from_a_server(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], lines[300];
    const int port = 20000 + (int)(getpid() % 10000);
    if (!has_video() || !has_program("ffmpeg"))
        skip();
    test_make_directory(folder, "stream");
    snprintf(lines, sizeof lines, "%s/lines.jsonl", folder);
    assert_int_equal(shell("ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=25:d=1 -c:v libx264 "
                           "-g 5 -pix_fmt yuv420p %s/a.mp4",
                           folder),
                     0);
    const pid_t server = start_server(folder, port);
    if (server == 0) {
        print_message("skipped: GStreamer's RTSP server is not here\n");
        test_remove_tree(folder);
        skip();
    }
    int dropped = 0, refused_status = 0;
    const int status = run_tool(out, sizeof out, "det-detect %s rtsp://127.0.0.1:%d/road --json %s",
                                model, port, lines);
    static char refused[10000];
    refused_status = run_tool(refused, sizeof refused,
                              "det-detect %s rtsp://127.0.0.1:%d/other --json -", model, port);
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    if (status != 0)
        fail_msg("%s", out);
    assert_int_equal(all_frames(out, &dropped), 25);
    assert_int_equal(count_lines(lines) + dropped, 25);
    assert_int_equal(refused_status, 1);
    assert_non_null(strstr(refused, "404"));
    test_remove_tree(folder);
}

int test_video_stream(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_drops_and_counts),
        cmocka_unit_test(a_stream_is_read_from_a_server),
    };
    return cmocka_run_group_tests_name("video_stream", tests, NULL, NULL);
}
