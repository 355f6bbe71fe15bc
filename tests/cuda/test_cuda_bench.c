/* What measures on a GPU, without one: bench_cuda under the emulation writes the JSON it promises
 * (tests/unit/test_gpu_check.c has the script around it); the gates of `make cuda-check` refuse
 * what they are there to refuse. Needs the programs of this build in DET_BIN_DIR. */
#ifdef DET_CUDA_EMU

#include <cjson/cJSON.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

static void program(char path[300], const char *name)
{
    const char *directory = getenv("DET_BIN_DIR");
    snprintf(path, 300, "%s/%s", directory != NULL ? directory : "build/cuda-emu/bin", name);
    if (access(path, X_OK) != 0) {
        print_message("skipped: no %s in this build\n", name);
        skip();
    }
}

/* Exit status of a shell command; *output is what it printed, malloc. */
static int run(const char *command, char **output)
{
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t used = 0, room = 1 << 20;
    *output = malloc(room);
    assert_non_null(*output);
    for (size_t got; (got = fread(*output + used, 1, room - 1 - used, pipe)) > 0;)
        used += got;
    (*output)[used] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *output, const char *text)
{
    if (strstr(output, text) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", output, text);
}

static const cJSON *item(const cJSON *row, const char *key)
{
    const cJSON *found = cJSON_GetObjectItem(row, key);
    if (found == NULL)
        fail_msg("no \"%s\" in %s", key, cJSON_PrintUnformatted(row));
    return found;
}

static void expect_positive(const cJSON *row, const char *key)
{
    assert_true(cJSON_IsNumber(item(row, key)) && item(row, key)->valuedouble > 0);
}

enum { WHOLE, LAUNCH, SUM, SKIPPED, CUDNN, CUDNN_SUM, LAUNCHES, KINDS };

static void check_launch(const cJSON *row)
{
    expect_positive(row, "launches");
    expect_positive(row, "p50_us");
    expect_positive(row, "runs");
    assert_true(item(row, "bytes")->valuedouble >= 0 && item(row, "flops")->valuedouble >= 0);
    assert_true(cJSON_IsNull(item(row, "bound_us"))); /* of the emulation there are no figures */
}

/* cuDNN has all of them. */
static void check_cudnn(const cJSON *row)
{
    const char *operation = item(row, "operation")->valuestring;
    expect_positive(row, "p50_us");
    expect_positive(row, "cudnn_us");
    assert_true(strcmp(operation, "convolution") == 0 || strcmp(operation, "depthwise") == 0 ||
                strcmp(operation, "batch_norm") == 0);
}

/* bench_cuda's rows as docs/cuda.md has them; counts them by kind. */
static void check_row(const cJSON *row, int counts[KINDS])
{
    static const char *const kinds[] = {"whole", "launch",    "sum",     "skipped",
                                        "cudnn", "cudnn_sum", "launches"};
    static const char *const common[] = {"kind", "job", "precision"};
    static const char *const whole[] = {"p50_ms",     "p99_ms", "ahead_p50_ms", "staging_p50_ms",
                                        "host_bytes", "runs",   "bytes"};
    assert_true(cJSON_IsObject(row));
    for (size_t i = 0; i < 3; i++)
        assert_true(cJSON_IsString(item(row, common[i])));
    assert_true(cJSON_IsNumber(item(row, "size")) && cJSON_IsNumber(item(row, "batch")));
    int kind = 0;
    while (kind < KINDS && strcmp(kinds[kind], item(row, "kind")->valuestring) != 0)
        kind++;
    if (kind == KINDS) {
        fail_msg("kind \"%s\"", item(row, "kind")->valuestring);
        return;
    }
    counts[kind]++;
    if (kind == WHOLE)
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
            expect_positive(row, whole[i]);
    else if (kind == LAUNCH)
        check_launch(row);
    else if (kind == CUDNN)
        check_cudnn(row);
    else if (kind == LAUNCHES)
        expect_positive(row, "us_a_launch");
    else if (kind == SKIPPED)
        assert_true(cJSON_IsString(item(row, "why")));
    else
        expect_positive(row, "p50_us");
}

/* The kinds of rows, as check_row() counts them. */
static void count_rows(const char *options, int counts[KINDS])
{
    char path[300], command[700], *output = NULL;
    program(path, "bench_cuda");
    memset(counts, 0, KINDS * sizeof *counts);
    snprintf(command, sizeof command, "%s --sizes 40 --batches 1 --flush_mb 1 %s 2>&1", path,
             options);
    const int status = run(command, &output);
    if (status != 0)
        fail_msg("bench_cuda ended with %d: %s", status, output);
    char *at = output;
    for (char *line; (line = strsep(&at, "\n")) != NULL && *line != '\0';) {
        cJSON *row = cJSON_Parse(line);
        if (row == NULL)
            fail_msg("no JSON: %s", line);
        check_row(row, counts);
        cJSON_Delete(row);
    }
    free(output);
}

static void rows(void **state)
{
    (void)state;
    int counts[KINDS];
    count_rows("--repeat 1 --precision bf16", counts);
    assert_int_equal(counts[WHOLE], 2); /* two jobs */
    assert_int_equal(counts[SUM], 2);
    assert_true(counts[LAUNCH] > 400);
    assert_int_equal(counts[SKIPPED] + counts[CUDNN] + counts[CUDNN_SUM], 0);
    count_rows("--repeat 1 --precision int8", counts);
    assert_int_equal(counts[WHOLE], 1); /* inference alone */
    assert_int_equal(counts[SUM], 1);
    assert_true(counts[LAUNCH] > 80);
}

/* cuDNN's rows instead of ours, and their sum. */
static void peers(void **state)
{
    (void)state;
    int counts[KINDS];
    count_rows("--repeat 1 --precision bf16 --peer 1", counts);
    assert_int_equal(counts[WHOLE], 2);
    assert_true(counts[CUDNN] > 400);
    assert_int_equal(counts[CUDNN_SUM], 2);
    assert_int_equal(counts[LAUNCH] + counts[SUM] + counts[SKIPPED], 0);
    /* In float32 ways that round are none; some runs. */
    count_rows("--repeat 4 --precision f32 --peer 1 --job inference", counts);
    assert_true(counts[CUDNN] > 80);
    assert_int_equal(counts[CUDNN_SUM], 1);
}

/* Launches alone, one after the other and on five streams. */
static void launches(void **state)
{
    (void)state;
    int counts[KINDS];
    count_rows("--repeat 1 --precision f32 --job launches", counts);
    assert_int_equal(counts[LAUNCHES], 2);
    assert_int_equal(counts[WHOLE] + counts[LAUNCH] + counts[SUM] + counts[SKIPPED], 0);
}

static void errors(void **state)
{
    (void)state;
    char path[300], command[700], *output = NULL;
    program(path, "bench_cuda");
    /* What does not fit is said and skipped; what is no option is an error. */
    snprintf(command, sizeof command,
             "DET_EMU_MEMORY=4000000 %s --sizes 64 --batches 64 --repeat 1 --flush_mb 1 "
             "--whole_only 1 2>&1",
             path);
    assert_int_equal(run(command, &output), 0);
    expect(output, "\"kind\": \"skipped\", \"job\": \"training\"");
    expect(output, "not even batch size 1 fits");
    free(output);
    snprintf(command, sizeof command, "%s --device cuda:9 --precision bf16 2>&1", path);
    assert_int_equal(run(command, &output), 1);
    expect(output, "cuda:9: there are 1 GPUs");
    free(output);
    static const char *const wrong[] = {"--batches 0", "--job evaluation"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "%s %s 2>&1", path, wrong[i]);
        assert_int_equal(run(command, &output), 2);
        expect(output, "usage: bench_cuda");
        free(output);
    }
}

/* The next field of a row, as RFC 4180 has it; *at moves behind its comma, to NULL behind the row's
 * last. */
static void read_field(char **at, char field[200])
{
    char *c = *at;
    size_t length = 0;
    const bool quoted = *c == '"';
    for (c += quoted; *c != '\0' && (quoted || (*c != ',' && *c != '\n')); c++) {
        if (quoted && *c == '"' && *++c != '"')
            break;
        if (!quoted && *c == '"')
            fail_msg("a quote inside of a field: %s", *at);
        assert_true(length < 199);
        field[length++] = *c;
    }
    field[length] = '\0';
    if (*c != ',' && *c != '\n')
        fail_msg("'%c' behind a field: %s", *c, *at);
    *at = *c == ',' ? c + 1 : NULL;
}

/* The roofline's file: ten fields a row, whatever commas the names have. */
static void roofline_file(void **state)
{
    (void)state;
    static const char *const head[] = {"size",   "batch", "precision", "job",         "operation",
                                       "launch", "flops", "bytes",     "fused_bytes", "l2_bytes"};
    char path[300], command[700], directory[256], table[300], *output = NULL;
    program(path, "roofline");
    test_make_directory(directory, "roofline");
    snprintf(table, sizeof table, "%s/roofline.csv", directory);
    snprintf(command, sizeof command, "%s %s 2>&1", path, table);
    assert_int_equal(run(command, &output), 0);
    free(output);
    char *text = test_read_text(table), *line = text;
    int rows = 0, commas = 0;
    for (char *next; *line != '\0'; line = next, rows++) {
        next = strchr(line, '\n') + 1;
        for (int i = 0; i < 10; i++) {
            char field[200], *end = NULL;
            assert_non_null(line);
            read_field(&line, field);
            commas += strchr(field, ',') != NULL;
            if (rows == 0)
                assert_string_equal(field, head[i]);
            else if (i != 4 && (i < 2 || i > 5))
                assert_true(strtod(field, &end) >= 0 && *end == '\0' && end != field);
        }
        assert_null(line);
    }
    assert_true(rows > 10000);
    assert_true(commas > 1000);
    free(text);
    test_remove_tree(directory);
    snprintf(command, sizeof command, "%s /nowhere/roofline.csv 2>&1", path);
    assert_int_equal(run(command, &output), 1);
    expect(output, "roofline: /nowhere");
    free(output);
}

/* One job of the two, and each row as soon as it is measured: who is killed has written the rows
 * before. */
static void killed(void **state)
{
    (void)state;
    char path[300], directory[256], command[1500], *output = NULL;
    program(path, "bench_cuda");
    test_make_directory(directory, "cuda-bench");
    snprintf(command, sizeof command,
             "%s --job training --sizes 40 --batches 1 --repeat 1 --flush_mb 1 --whole_only 1 > "
             "%s/rows & "
             "while [ ! -s %s/rows ]; do sleep .02; done; kill -KILL $!; wait $!; "
             "echo status $?; cat %s/rows",
             path, directory, directory, directory);
    assert_int_equal(run(command, &output), 0);
    expect(output, "status 137");
    expect(output, "\"job\": \"training\"");
    assert_null(strstr(output, "inference"));
    free(output);
    test_remove_tree(directory);
}

/* The gates, over a kernel's resources and accesses. */
static void gate(const char *directory, const char *resources, const char *accesses, int wanted,
                 const char *text)
{
    /* kernel, arch, registers, stack, spills, static and dynamic shared memory, threads, occupancy;
     * kernel, 128-bit loads and stores */
    const char *const tables[] = {resources, "k<float 4>,90,40,0,0,0,1024,256,75", accesses,
                                  "k<float 4>,1,1"};
    char path[400], command[1000], *output = NULL;
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/table%d", directory, i);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file, "head\n%s\n", tables[i]);
        assert_int_equal(fclose(file), 0);
    }
    snprintf(command, sizeof command,
             "cd %s && sh $OLDPWD/bench/cuda_check.sh table0 table1 table2 table3 2>&1", directory);
    const int status = run(command, &output);
    if (status != wanted)
        fail_msg("cuda_check.sh ended with %d: %s", status, output);
    expect(output, text);
    free(output);
}

static void gates(void **state)
{
    (void)state;
    char directory[256];
    static const char fits[] = "k<float 4>,90,40,0,0,0,1024,256,75",
                      /* kernel, arch, 128-bit loads and stores, local accesses */
        wide[] = "k<float 4>,90,3,2,0";
    test_make_directory(directory, "cuda-gates");
    gate(directory, fits, wide, 0, "1 kernels and architectures checked");
    gate(directory, "k<float 4>,90,41,0,0,0,1024,256,75", wide, 1, "41 registers, budget 40");
    gate(directory, "k<float 4>,90,40,8,0,0,1024,256,75", wide, 1, "8 bytes of stack");
    gate(directory, "k<float 4>,90,40,0,16,0,1024,256,75", wide, 1, "16 bytes of spills");
    gate(directory, "k<float 4>,90,40,0,0,4,1024,256,75", wide, 1, "1028 bytes of shared");
    gate(directory, "k<float 4>,90,40,0,0,0,1024,256,62", wide, 1, "occupancy 62 %, budget 75");
    gate(directory, "other,90,40,0,0,0,0,256,75", wide, 1, "not in the budget");
    gate(directory, "", wide, 1, "not in the budget");
    gate(directory, fits, wide, 0, "1 kernels and architectures: no local memory");
    gate(directory, fits, "k<float 4>,90,0,2,0", 1, "(sm_90): no 128-bit load");
    gate(directory, fits, "k<float 4>,90,3,0,0", 1, "(sm_90): no 128-bit store");
    gate(directory, fits, "k<float 4>,ptx,0,2,0", 1, "(PTX): no 128-bit load");
    gate(directory, fits, "k<float 4>,90,3,2,1", 1, "1 accesses of local memory");
    gate(directory, fits, "other,90,3,2,0", 1, "not in the claims");
    gate(directory, fits, "", 1, "not in the claims");
    test_remove_tree(directory);
}

/* What is counted in PTX, where there is no disassembler. */
static void accesses_in_ptx(void **state)
{
    (void)state;
    char directory[256], path[400], command[900], *output = NULL;
    test_make_directory(directory, "cuda-ptx");
    snprintf(path, sizeof path, "%s/kernels.ptx", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(".visible .entry wide(\n\tld.global.nc.v4.f32 \t{%f1, %f2, %f3, %f4}, [%rd1];\n"
          "\tld.global.v2.u64 \t{%rd2, %rd3}, [%rd1];\n"
          "\tst.global.v4.b32 \t[%rd1], {%r1, %r2, %r3, %r4};\n"
          ".visible .entry narrow(\n\tld.global.v2.f32 \t{%f1, %f2}, [%rd1];\n"
          "\tst.global.f32 \t[%rd1], %f1;\n\tst.local.v4.f32 \t[%rd1], {%f1, %f1, %f1, %f1};\n",
          file);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof command, "bench/kernel_accesses.sh '' %s", path);
    assert_int_equal(run(command, &output), 0);
    assert_string_equal(output, "kernel,arch,loads_128,stores_128,local\nnarrow,ptx,0,0,1\n"
                                "wide,ptx,2,1,0\n");
    free(output);
    test_remove_tree(directory);
}

/* Files that are compiled together share no name of their own. */
static void names_of_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } files[] = {
        {"a.cu", "#define WIDTH 8\nstruct place {\n};\ntemplate <int N>\nstatic int "
                 "launch(int a)\n{\n    return other(a);\n}\n"},
        {"b.cu", "#define HEIGHT 8\nstatic int start(int a)\n{\n    return launch(a);\n}\n"},
        {"c.cu", "#define WIDTH 8\n"},
        {"d.cu", "struct place {\n};\n"},
        {"e.cu", "template <typename T> static int launch(float a)\n{\n}\n"},
        {"f.cu", "template <typename T>\n__global__ void __launch_bounds__(128)\n    "
                 "detk_kernel(int)\n"},
        {"g.cu", "static __global__ void __launch_bounds__(WIDTH)\n    detk_kernel(int)\n"},
    };
    static const struct {
        const char *files, *text;
    } cases[] = {
        {"a.cu b.cu f.cu", NULL},
        {"a.cu c.cu", "c.cu: WIDTH is in a.cu"},
        {"a.cu d.cu", "d.cu: place is in a.cu"},
        {"a.cu b.cu e.cu", "e.cu: launch is in a.cu"},
        {"f.cu g.cu", "g.cu: detk_kernel is in f.cu"},
    };
    char directory[256], path[400], command[900], *output = NULL;
    test_make_directory(directory, "cuda-units");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(files[i].text, file);
        assert_int_equal(fclose(file), 0);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(command, sizeof command, "cd %s && $OLDPWD/bench/unit_names.sh %s 2>&1", directory,
                 cases[i].files);
        assert_int_equal(run(command, &output), cases[i].text != NULL);
        if (cases[i].text != NULL)
            expect(output, cases[i].text);
        free(output);
    }
    test_remove_tree(directory);
}

/* What an installation of CUDA of this version makes of `make CUDA=...`; the exit status. */
static int make_with(const char *directory, int version, int insists, char **output)
{
    static const char *const headers[] = {"cublasLt.h", "cudnn.h", "cuda_runtime_api.h"};
    char path[400], command[900];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/include/%s", directory, headers[i]);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file, "#define CUDART_VERSION %d\n", version);
        assert_int_equal(fclose(file), 0);
    }
    snprintf(command, sizeof command,
             "make -s CONFIG=release CROSS= %s NVCC=%s/bin/nvcc BUILD=%s/build help 2>&1",
             insists ? "CUDA=1" : "CUDA=auto", directory, directory);
    return run(command, output);
}

static void write_script(const char *directory, const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", text);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

/* CUDA 11 is refused with the reason where CUDA is asked for, and left out where it is not. */
static void old_cuda(void **state)
{
    (void)state;
    static const char reason[] = "is version 11080, 12000 (CUDA 12.0) or newer is needed";
    char directory[256], path[400], *output = NULL;
    test_make_directory(directory, "old-cuda");
    snprintf(path, sizeof path, "%s/bin", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    write_script(path, "nvcc", "echo compute_75; echo compute_80");
    snprintf(path, sizeof path, "%s/include", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/lib", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    write_script(path, "libcudart_static.a", "");
    assert_int_not_equal(make_with(directory, 11080, true, &output), 0);
    expect(output, reason);
    free(output);
    assert_int_equal(make_with(directory, 11080, false, &output), 0);
    expect(output, reason);
    expect(output, "building for the CPU only");
    free(output);
    for (int insists = 0; insists < 2; insists++) {
        assert_int_equal(make_with(directory, 12000, insists, &output), 0);
        if (strstr(output, "is needed") != NULL)
            fail_msg("CUDA 12.0: %s", output);
        free(output);
    }
    test_remove_tree(directory);
}

int test_cuda_bench(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(peers),
        cmocka_unit_test(launches),
        cmocka_unit_test(errors),
        cmocka_unit_test(killed),
        cmocka_unit_test(roofline_file),
        cmocka_unit_test(gates),
        cmocka_unit_test(accesses_in_ptx),
        cmocka_unit_test(names_of_a_unit),
        cmocka_unit_test(old_cuda),
    };
    return cmocka_run_group_tests_name("cuda_bench", tests, NULL, NULL);
}

#else

int test_cuda_bench(void);

/* On a GPU gpu_check.sh is what runs bench_cuda. */
int test_cuda_bench(void)
{
    return 0;
}

#endif
