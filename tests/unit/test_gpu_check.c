/* bench/gpu_check.sh and what goes with it, on a machine without a GPU: pretended programs in a
 * folder that is the whole PATH, beside links to the few commands the scripts may use. No compiler
 * is among them, no header is needed. What is asserted is the JSON: what a run says that is whole,
 * that fails, that is ended from outside in each of its parts, that has too little time. */
#include <cjson/cJSON.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/run_tool.h"
#include "support/shell.h"

static const char *const parts[] = {
    "tests",          "step-bf16",     "step-tf32", "step-f32",   "inference-bf16",
    "inference-tf32", "inference-f32", "launches",  "int8-tests", "int8-inference",
    "demo",           "rows-bf16",     "rows-tf32", "rows-f32",   "int8-rows",
    "torch",          "ranks",         "memcheck",  "racecheck",  "peer-bf16",
    "peer-tf32",      "peer-f32"};
enum { PARTS = sizeof parts / sizeof *parts };

/* A machine as the scripts see it. Its folder holds programs and results. */
struct machine {
    char name[256], folder[400];
    char *output;
    cJSON *json; /* NULL: none was written */
    int status;
};

static void pretend(const struct machine *m, const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", text);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

/* What every program of a part does: a row; then, in the part $IN, what $DO says: fails, hangs or
 * ends the script by a signal. */
#define WORK                                                                        \
    "echo \"{\\\"kind\\\": \\\"whole\\\", \\\"part\\\": \\\"$DET_GPU_PART\\\"}\"\n" \
    "[ \"$DET_GPU_PART\" = \"${IN:-}\" ] || exit 0\n"                               \
    "case $DO in\n"                                                                 \
    "fail) echo 'the device said \"no\"' >&2; exit 1 ;;\n"                          \
    "skip) echo 'nothing of it here' >&2; exit 4 ;;\n"                              \
    "some) echo 'not all of it' >&2; exit 3 ;;\n"                                   \
    "half) printf '{\"kind\": \"who'; exit 1 ;;\n"                                  \
    "hang) exec sleep 30 ;;\n"                                                      \
    "TERM) kill -TERM $SCRIPT; exec sleep 30 ;;\n"                                  \
    "late) sleep 1.6; kill -KILL $SCRIPT ;;\n"                                      \
    "*) kill -KILL $SCRIPT ;;\n"                                                    \
    "esac"

static void machine_open(struct machine *m, bool gpu)
{
    *m = (struct machine){0};
    test_make_directory(m->name, "gpu-check");
    assert_non_null(realpath(m->name, m->folder));
    assert_int_equal(shell("mkdir -p %s/tools %s/site/nvidia/cu13/lib %s/site/nvidia/cudnn/lib && "
                           "touch %s/site/nvidia/cu13/lib/libcublasLt.so.13 "
                           "%s/site/nvidia/cudnn/lib/libcudnn.so.9",
                           m->folder, m->folder, m->folder, m->folder, m->folder),
                     0);
    assert_int_equal(
        shell("for t in sh timeout sed grep date tail head cut tr wc cat mv rm mkdir mktemp "
              "sleep dirname sort nproc ln; do ln -s \"$(command -v $t)\" %s/tools/ || exit; done",
              m->folder),
        0);
    if (gpu)
        pretend(m, "nvidia-smi",
                "case $1 in *name*) echo 'Pretended \"GPU\"'; echo second;; *compute_cap*) echo "
                "9.0;; *) echo "
                "1.2;; esac");
    static const char *const compilers[] = {"make", "nvcc", "gcc", "cc", "g++"};
    for (size_t i = 0; i < sizeof compilers / sizeof *compilers; i++)
        pretend(m, compilers[i], "echo called >> \"$OUT/compiled\"; exit 2");
    pretend(m, "bench_cuda", WORK);
    static const char *const tools[] = {"det-demo-data", "det-train", "det-eval", "det-export",
                                        "det-detect"};
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        pretend(m, tools[i], WORK);
    pretend(m, "det-cuda-tests",
            "[ $1 != --list ] || { echo test_cuda_bn; echo test_cuda_conv; exit 0; }\n"
            "[ \"${DO:-}-$1\" != fail-=test_cuda_bn ] || exit 0\n" WORK);
    pretend(m, "compute-sanitizer", "shift 6; exec \"$@\"");
    pretend(m, "python3", "[ $1 != -c ] || exec \"$PYTHON\" \"$@\"\n" WORK);
}

static void machine_forget(struct machine *m)
{
    cJSON_Delete(m->json);
    free(m->output);
    m->json = NULL;
    m->output = NULL;
}

static void machine_close(struct machine *m)
{
    machine_forget(m);
    test_remove_tree(m->folder);
}

/* The script at `script` with variables and options; m->status, output and JSON are of this run. */
static void run_at(struct machine *m, const char *script, const char *variables,
                   const char *options)
{
    char path[600];
    machine_forget(m);
    assert_int_equal(shell("rm -f %s/gpu-check*.json* %s/compiled", m->folder, m->folder), 0);
    m->status = shell(
        "export OUT=%s TMPDIR=%s PYTHON=\"$(python3 -c 'import sys; print(sys.executable)')\" "
        "PYTHONPATH=%s/site %s; PATH=%s:%s/tools; "
        "unset LD_LIBRARY_PATH; sh -c 'export SCRIPT=$$; exec sh %s %s' > $OUT/output 2>&1",
        m->folder, m->folder, m->folder, variables, m->folder, m->folder, script, options);
    snprintf(path, sizeof path, "%s/output", m->folder);
    m->output = test_read_text(path);
    snprintf(path, sizeof path, "%s/gpu-check.json", m->folder);
    if (access(path, R_OK) != 0)
        return;
    char *text = test_read_text(path);
    m->json = cJSON_Parse(text);
    if (m->json == NULL)
        fail_msg("no JSON: %s", text);
    free(text);
}

/* With the programs of the machine's folder, as of a bundle. */
static void run(struct machine *m, const char *variables, const char *options)
{
    char all[600];
    snprintf(all, sizeof all, "DET_GPU_BIN=%s %s", m->folder, variables);
    run_at(m, "bench/gpu_check.sh", all, options);
    snprintf(all, sizeof all, "%s/compiled", m->folder);
    assert_int_not_equal(access(all, R_OK), 0); /* it builds nothing */
}

static const cJSON *part_of(const struct machine *m, const char *name)
{
    const cJSON *part = cJSON_GetObjectItem(cJSON_GetObjectItem(m->json, "parts"), name);
    if (part == NULL)
        fail_msg("no part \"%s\"; the script said:\n%s", name, m->output);
    return part;
}

static bool has_part(const struct machine *m, const char *name)
{
    return cJSON_HasObjectItem(cJSON_GetObjectItem(m->json, "parts"), name);
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
    return text != NULL ? text : "(no text)";
}

static void expect_part(const struct machine *m, const char *name, const char *result)
{
    if (strcmp(text_of(part_of(m, name), "result"), result) != 0)
        fail_msg("part %s: \"%s\", expected \"%s\"; the script said:\n%s", name,
                 text_of(part_of(m, name), "result"), result, m->output);
}

static int rows_of(const struct machine *m, const char *part)
{
    int count = 0;
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(m->json, "rows"))
    {
        assert_true(cJSON_IsObject(row));
        count += strcmp(text_of(row, "part"), part) == 0;
    }
    return count;
}

static void no_gpu(void **state)
{
    (void)state;
    struct machine m;
    machine_open(&m, false);
    run(&m, "", "");
    assert_int_equal(m.status, 2);
    assert_contains(m.output, "no GPU here");
    assert_null(m.json);
    /* A driver that finds none. */
    pretend(&m, "nvidia-smi", "exit 9");
    run(&m, "", "");
    assert_int_equal(m.status, 2);
    machine_close(&m);
}

static void whole(void **state)
{
    (void)state;
    struct machine m;
    char folder[600];
    machine_open(&m, true);
    run(&m, "", "");
    if (m.status != 0)
        fail_msg("status %d: %s", m.status, m.output);
    assert_contains(m.output, "Pretended \"GPU\", sm_90, driver 1.2; GPUs: 2");
    assert_string_equal(text_of(m.json, "gpu"), "Pretended \"GPU\"");
    for (int i = 0; i < PARTS; i++) {
        expect_part(&m, parts[i], "passed");
        assert_true(rows_of(&m, parts[i]) > 0);
    }
    assert_int_equal(rows_of(&m, "tests"), 2);
    assert_null(cJSON_GetObjectItem(cJSON_GetObjectItem(m.json, "parts"), "synccheck"));
    expect_part(&m, "end", "passed");
    if (has_program("python3")) {
        snprintf(folder, sizeof folder, "%s/site/nvidia/cu13/lib", m.folder);
        assert_string_equal(text_of(cJSON_GetObjectItem(m.json, "libraries"), "libcublasLt"),
                            folder);
        snprintf(folder, sizeof folder, "%s/site/nvidia/cudnn/lib", m.folder);
        assert_string_equal(text_of(cJSON_GetObjectItem(m.json, "libraries"), "libcudnn"), folder);
    }
    /* The programs see those folders; where a library is not, what was searched is said. */
    pretend(&m, "bench_cuda", "# libcudnn.so.99\necho \"looks in $LD_LIBRARY_PATH\" >&2; exit 1");
    run(&m, "PYTHONPATH=", "--only step-f32");
    assert_int_equal(m.status, 1);
    assert_contains(m.output, "no libcudnn.so.99 in ");
    assert_contains(m.output, "/usr/local/cuda/lib64");
    machine_close(&m);
}

static void options(void **state)
{
    (void)state;
    static const char *const wrong[] = {"--only nothing", "--only step-", "--seconds",
                                        "--seconds 1h",   "--limit x",    "now"};
    struct machine m;
    machine_open(&m, true);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        run(&m, "", wrong[i]);
        assert_int_equal(m.status, 2);
        assert_contains(m.output, "usage: gpu_check.sh");
        assert_null(m.json);
    }
    run(&m, "", "--only rows,synccheck");
    assert_int_equal(m.status, 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(m.json, "parts")), 5);
    expect_part(&m, "rows-tf32", "passed");
    expect_part(&m, "synccheck", "passed");
    /* An earlier run's file stays. */
    run(&m, "; echo '{\"parts\": {}}' > $OUT/gpu-check.json", "--only step-f32");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(m.json, "parts")), 0);
    assert_int_equal(shell("grep -q step-f32 %s/gpu-check-2.json", m.folder), 0);
    machine_close(&m);
}

/* One part that does not do well leaves the others as they are. */
static void failures(void **state)
{
    (void)state;
    static const struct {
        const char *part, *does, *result, *last;
        int status;
    } cases[] = {
        {"step-bf16", "fail", "failed", "the device said \"no\"", 1},
        {"tests", "fail", "failed", "1 of 2 groups passed; failed: test_cuda_conv", 1},
        {"racecheck", "fail", "failed", "1 of 14 groups passed; failed: test_cuda_dwconv", 1},
        {"rows-tf32", "half", "failed", "", 1},
        {"torch", "skip", "skipped: nothing of it here", NULL, 0},
        {"torch", "some", "passed in part", "not all of it", 0},
    };
    struct machine m;
    char variables[100];
    machine_open(&m, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(variables, sizeof variables, "IN=%s DO=%s", cases[i].part, cases[i].does);
        run(&m, variables, "--only tests,step-bf16,rows,torch,racecheck");
        assert_int_equal(m.status, cases[i].status);
        int others = 0;
        for (int k = 0; k < PARTS; k++) {
            const bool here = strcmp(parts[k], cases[i].part) == 0;
            if (!here && !has_part(&m, parts[k]))
                continue;
            expect_part(&m, parts[k], here ? cases[i].result : "passed");
            assert_true(here || rows_of(&m, parts[k]) > 0);
            others += !here;
        }
        assert_int_equal(others, 6);
        expect_part(&m, "end", cases[i].status == 0 ? "passed" : "failed");
        if (cases[i].last != NULL)
            assert_contains(text_of(part_of(&m, cases[i].part), "last"), cases[i].last);
    }
    assert_int_equal(shell("rm %s/compute-sanitizer %s/python3", m.folder, m.folder), 0);
    run(&m, "", "--only memcheck,torch,profile");
    assert_int_equal(m.status, 0);
    expect_part(&m, "profile", "skipped: ncu is not installed");
    expect_part(&m, "torch", "skipped: python3 is not installed");
    expect_part(&m, "memcheck", "skipped: compute-sanitizer is not installed");
    pretend(&m, "nvidia-smi", "case $1 in *name*) echo one;; *) echo 9.0;; esac");
    run(&m, "", "--only ranks");
    assert_int_equal(m.status, 0);
    expect_part(&m, "ranks", "skipped: one GPU");
    machine_close(&m);
}

/* The run, of this part and those around it, is ended by `signal` while it is at work. */
static void cut(struct machine *m, int part, const char *signal)
{
    const int first = part > 0 ? part - 1 : 0, last = part + 2 < PARTS ? part + 2 : PARTS - 1;
    char variables[100], options[400] = "--only ";
    snprintf(variables, sizeof variables, "IN=%s DO=%s", parts[part], signal);
    for (int i = first; i <= last; i++) {
        const size_t used = strlen(options);
        snprintf(options + used, sizeof options - used, "%s%s", i > first ? "," : "", parts[i]);
    }
    run(m, variables, options);
    assert_int_equal(m->status, strcmp(signal, "TERM") == 0 ? 1 : 128 + 9);
    for (int i = first; i <= last; i++) {
        expect_part(m, parts[i],
                    i == part  ? "cut off with the run"
                    : i < part ? "passed"
                               : "not reached");
        if (i < part)
            assert_true(rows_of(m, parts[i]) > 0);
    }
    expect_part(m, "end", "unfinished");
}

static int place(const char *part)
{
    int i = 0;
    while (strcmp(parts[i], part) != 0)
        i++;
    return i;
}

/* Killed without a warning, and by a signal that can be caught; what was done is kept. */
static void ended_from_outside(void **state)
{
    (void)state;
    struct machine m;
    machine_open(&m, true);
    for (int i = 0; i < PARTS; i++)
        cut(&m, i, "KILL");
    cut(&m, place("step-bf16"), "TERM");
    assert_int_equal(rows_of(&m, "step-bf16"), 1);
    cut(&m, place("memcheck"), "TERM");
    /* A part that works for longer than a second has its rows in the file already. */
    cut(&m, place("inference-f32"), "late");
    assert_int_equal(rows_of(&m, "inference-f32"), 1);
    machine_close(&m);
}

static void time_limits(void **state)
{
    (void)state;
    struct machine m;
    char *text = NULL, path[600];
    machine_open(&m, true);
    run(&m, "IN=step-tf32 DO=hang", "--only step-bf16,step-tf32,torch --seconds 6");
    assert_int_equal(m.status, 1);
    expect_part(&m, "step-bf16", "passed");
    assert_contains(text_of(part_of(&m, "step-tf32"), "result"), "cut off after ");
    assert_int_equal(rows_of(&m, "step-tf32"), 1);
    expect_part(&m, "torch", "not reached in 6 s");
    expect_part(&m, "end", "failed");
    /* A group that hangs is cut off alone; what is left of the time goes to the next, and what has
     * none is named. */
    pretend(&m, "runner", "case $1 in =slow) exec sleep 30;; esac");
    snprintf(path, sizeof path, "%s/sum", m.folder);
    assert_int_equal(shell("bench/gpu_groups.sh 3 %s/runner slow quick > %s/rows 2> %s", m.folder,
                           m.folder, path),
                     3);
    text = test_read_text(path);
    assert_contains(text, "1 of 2 groups passed; cut off: slow");
    free(text);
    assert_int_equal(
        shell("DET_GPU_SECONDS=1 bench/gpu_groups.sh 9 %s/runner slow quick > %s/rows 2> %s",
              m.folder, m.folder, path),
        3);
    text = test_read_text(path);
    assert_contains(text, "0 of 2 groups passed; cut off: slow; not reached: quick");
    free(text);
    assert_int_equal(shell("bench/gpu_groups.sh 9 %s/runner 2> %s", m.folder, path),
                     1); /* no tests are no success */
    /* Half of a sanitizer's groups are what there was time for. */
    run(&m, "IN=memcheck DO=hang", "--only memcheck --seconds 6");
    assert_int_equal(m.status, 0);
    expect_part(&m, "memcheck", "passed in part");
    assert_contains(text_of(part_of(&m, "memcheck"), "last"),
                    "cut off: test_cuda_bn; not reached: test_cuda_dwconv");
    machine_close(&m);
}

/* Without DET_GPU_BIN it builds; a bundle's own script takes its programs, and says for which GPUs
 * they are. */
static void programs(void **state)
{
    (void)state;
    struct machine m;
    char script[600];
    machine_open(&m, true);
    snprintf(script, sizeof script, "%s/bench/gpu_check.sh", m.folder);
    assert_int_equal(shell("mkdir %s/bench && cp bench/gpu_check.sh bench/gpu_groups.sh %s/bench",
                           m.folder, m.folder),
                     0);
    run_at(&m, script, "", "");
    assert_int_equal(m.status, 1);
    expect_part(&m, "build", "failed");
    for (int i = 0; i < PARTS; i++)
        expect_part(&m, parts[i], "skipped: the build failed");
    pretend(&m, "make", "echo \"$@\"; mkdir -p build/release && ln -s ../.. build/release/bin");
    run_at(&m, script, "", "--only step");
    expect_part(&m, "build", "passed");
    expect_part(&m, "step-f32", "passed");
    static const struct {
        const char *made;
        bool fits;
    } cases[] = {
        {"90", true}, {"80 89", true}, {"75", true}, {"80 100", false}, {"100 120", false}};
    assert_int_equal(shell("mkdir %s/bin && ln -s ../bench_cuda %s/bin", m.folder, m.folder), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(shell("echo '%s' > %s/architectures", cases[i].made, m.folder), 0);
        run_at(&m, script, "", "--only step-f32");
        assert_int_equal(m.status, cases[i].fits ? 0 : 1);
        if (cases[i].fits)
            expect_part(&m, "step-f32", "passed");
        else
            assert_contains(text_of(part_of(&m, "step-f32"), "result"),
                            "make gpu-bundle CUDA_ARCHS=90");
    }
    machine_close(&m);
}

/* A folder that needs nothing but glibc: programs without symbols, beside them what they are linked
 * with. */
static void bundle(void **state)
{
    (void)state;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    print_message("skipped: with a sanitizer a program alone is as large as a bundle may be\n");
    skip();
#endif
    struct machine m;
    char path[600];
    const char *bin = getenv("DET_BIN_DIR");
    machine_open(&m, false);
    snprintf(path, sizeof path, "%s/det-info", bin != NULL ? bin : "build/release/bin");
    /* Where programs are another machine's, a script of that name calls what runs them. */
    if (access(path, X_OK) != 0 || shell("head -c 4 %s | grep -q ELF", path) != 0) {
        print_message("skipped: no det-info of this machine's in this build\n");
        machine_close(&m);
        skip();
    }
    assert_int_equal(shell("DET_SHARED=/nowhere bench/gpu_bundle.sh %s/.gpu '80 90' %s "
                           "$(dirname %s)/../loaded/right.so > %s/said",
                           m.folder, path, path, m.folder),
                     0);
    assert_int_equal(
        shell(
            "cd %s/.gpu && test -x bin/det-info -a -e lib/libjpeg.so.* -a -e lib/libstdc++.so.6 -a "
            "-e lib/libdet/right.so -a "
            "-x bench/gpu_check.sh -a -x bench/gpu_groups.sh -a -x bench/gpu_profile.sh -a -e "
            "bench/peers/gpu_torch.py -a -d "
            "tests/golden -a "
            "! -e lib/libc.so.6 -a ! -e shared && grep -q '^80 90$' architectures && test -s "
            "commit",
            m.folder),
        0);
    /* Anew: what was measured with it stays; another folder is left alone. */
    assert_int_equal(
        shell("mkdir %s/.gpu/bench/results && touch %s/.gpu/bench/results/a.json && "
              "DET_SHARED=/nowhere bench/gpu_bundle.sh %s/.gpu 90 %s > %s/said.again && "
              "test -e %s/.gpu/bench/results/a.json",
              m.folder, m.folder, m.folder, path, m.folder, m.folder),
        0);
    assert_int_not_equal(
        shell("bench/gpu_bundle.sh %s/site 90 %s 2> %s/said.other", m.folder, path, m.folder), 0);
    assert_int_equal(shell("test -d %s/site/nvidia", m.folder), 0);
    assert_true(number_of("stat -c %%s %s/.gpu/bin/det-info", m.folder) <
                number_of("stat -c %%s %s", path));
    assert_true(number_of("grep -c 'sm_80 90: .* MiB of programs' %s/said", m.folder) == 1);
    machine_close(&m);
}

int test_gpu_check(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_gpu),
        cmocka_unit_test(whole),
        cmocka_unit_test(options),
        cmocka_unit_test(failures),
        cmocka_unit_test(ended_from_outside),
        cmocka_unit_test(time_limits),
        cmocka_unit_test(programs),
        cmocka_unit_test(bundle),
    };
    return cmocka_run_group_tests_name("gpu_check", tests, NULL, NULL);
}
