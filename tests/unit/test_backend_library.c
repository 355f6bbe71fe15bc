/* The backend in a library of its own: where it is looked for, what will not do and how that is
 * said, and that jobs run through one. The libraries are pretended ones (tests/loaded); what
 * libdet's own files show and need is looked at, too. */
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include "base/build.h"
#include "devices/backend_library.h"
#include "support/run_tool.h"
#include "support/shell.h"
#include "support/workspace.h"

static char out[20000];

/* `folder` of the build: bin, lib, loaded. */
static const char *built(const char *folder)
{
    static char path[600];
    const char *bin = getenv("DET_BIN_DIR");
    snprintf(path, sizeof path, "%s/../%s", bin != NULL ? bin : "build/release/bin", folder);
    char *whole = realpath(path, NULL);
    assert_non_null(whole);
    snprintf(path, sizeof path, "%s", whole);
    free(whole);
    return path;
}

struct fixture {
    struct test_env t;
    char root[512]; /* absolute */
};

/* Under qemu-user a program is a script elsewhere, and the files are another machine's. */
static void skip_emulated(void)
{
    if (getenv("DET_EMULATED") != NULL) {
        print_message("skipped: another machine's program, emulated\n");
        skip();
    }
}

static void begin(struct fixture *f)
{
    char made[256];
    test_env_init(&f->t);
    test_make_directory(made, "backend-library");
    char *whole = realpath(made, NULL);
    assert_non_null(whole);
    snprintf(f->root, sizeof f->root, "%s", whole);
    free(whole);
    assert_int_equal(unsetenv("DET_CUDA_LIBRARIES"), 0);
}

static void end(struct fixture *f)
{
    assert_int_equal(unsetenv("DET_CUDA_LIBRARIES"), 0);
    test_remove_tree(f->root);
    test_env_check(&f->t);
}

/* root/FOLDER/NAME is one of tests/loaded. */
static void put(const struct fixture *f, const char *which, const char *folder, const char *name)
{
    assert_int_equal(shell("mkdir -p %s/%s && cp %s/%s.so %s/%s/%s", f->root, folder,
                           built("loaded"), which, f->root, folder, name),
                     0);
}

/* DET_CUDA_LIBRARIES=root/FIRST[:root/SECOND] */
static void look_in(const struct fixture *f, const char *first, const char *second)
{
    char text[1200];
    snprintf(text, sizeof text, "%s/%s%s%s%s%s", f->root, first, second != NULL ? ":" : "",
             second != NULL ? f->root : "", second != NULL ? "/" : "",
             second != NULL ? second : "");
    assert_int_equal(setenv("DET_CUDA_LIBRARIES", text, 1), 0);
}

static det_status open_backend(struct det_env *env, const char *name,
                               const struct det_backend **backend)
{
    return det_backend_library_open(env, name, "DET_CUDA_LIBRARIES", backend);
}

/* --- what is found and what is not --- */

static void what_will_not_do_is_said(void **state)
{
    (void)state;
    struct fixture f;
    char text[1200];
    const struct det_backend *backend = (const void *)&f;
    begin(&f);
    struct det_env *env = &f.t.env;

    assert_fails(env, DET_STATUS_DEVICE,
                 "det-odd.so was not found; searched: DET_CUDA_LIBRARIES (not set), /",
                 open_backend(env, "det-odd.so", &backend));
    assert_null(backend);
    snprintf(text, sizeof text, "%s/libdet, ", built("lib"));
    assert_contains(env->error, text);
    assert_contains(env->error, det_build_folder);
    assert_contains(env->error, "the loader's folders (LD_LIBRARY_PATH, ld.so.cache)");

    const struct {
        const char *folder, *message;
    } cases[] = {
        {"text", "text/det-odd.so: file too short"},
        {"elf", "elf/det-odd.so: invalid ELF header"},
        {"folder", "folder/det-odd.so: cannot read file data"},
        {"other", "other/det-odd.so is of libdet 0.0.9-0123456789ab, this is "},
        {"nothing", "nothing/det-odd.so is no backend of libdet: it has no det_backend_library"},
    };
    put(&f, "other", "other", "det-odd.so");
    put(&f, "nothing", "nothing", "det-odd.so");
    assert_int_equal(shell("cd %s && mkdir -p text elf folder/det-odd.so && echo x > "
                           "text/det-odd.so && head -c 5000 /dev/zero > elf/det-odd.so",
                           f.root),
                     0);
    put(&f, "right", "right", "det-odd.so");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        look_in(&f, cases[i].folder, "nowhere");
        snprintf(text, sizeof text, "det-odd.so could not be loaded: %s/%s", f.root,
                 cases[i].message);
        assert_fails(env, DET_STATUS_DEVICE, text, open_backend(env, "det-odd.so", &backend));
        assert_null(backend);
        snprintf(text, sizeof text, "; searched: %s/%s, %s/nowhere, ", f.root, cases[i].folder,
                 f.root);
        assert_contains(env->error, text);
        if (strcmp(cases[i].folder, "other") == 0)
            assert_contains(env->error, det_build);
        /* It is no obstacle to a right one behind it. */
        look_in(&f, cases[i].folder, "right");
        assert_ok(env, open_backend(env, "det-odd.so", &backend));
        assert_string_equal(backend->name, "cuda");
    }
    end(&f);
}

static det_status open_absent(struct det_env *env, void *argument)
{
    const struct det_backend *backend = argument;
    const det_status status = open_backend(env, "det-odd.so", &backend);
    assert_null(backend);
    return det_forgive(env, status, DET_STATUS_DEVICE);
}

static det_status open_present(struct det_env *env, void *argument)
{
    const struct det_backend *backend = argument;
    const det_status status = open_backend(env, "det-right.so", &backend);
    assert_true((status == DET_OK) == (backend != NULL));
    return status;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    test_each_allocation_fails(open_absent, &f);
    put(&f, "right", "right", "det-right.so");
    look_in(&f, "right", NULL);
    test_each_allocation_fails(open_present, &f);
    end(&f);
}

/* What cannot be allocated while the library is looked for is an error of device auto, not a reason
 * to take the CPU. */
static void auto_without_memory(void **state)
{
    (void)state;
    struct fixture f;
    const struct det_device_settings settings = {0};
    const struct det_backend *backend = NULL;
    struct det_device *device = NULL;
    begin(&f);
    struct det_env *env = &f.t.env;
    put(&f, "right", "right", "det-cuda.so");
    look_in(&f, "right", NULL);
    assert_ok(env, det_backend_find_cuda(env, &backend));
    const long needed = test_env_allocations(&f.t);
    assert_true(needed > 0);
    for (long n = 1; n <= needed; n++) {
        test_env_fail_at(&f.t, n);
        assert_fails(env, DET_STATUS_OUT_OF_MEMORY, "",
                     det_backend_open(env, "auto", &settings, &backend, &device));
        assert_null(device);
    }
    end(&f);
}

/* --- the places --- */

/* Beside the program, as it is installed; where the loader looks; not in the folder where somebody
 * happens to be. A program's copy, so that this build's own backend is not found. */
static void places(void **state)
{
    (void)state;
    struct fixture f;
    skip_emulated();
    begin(&f);
    assert_int_equal(setenv("ROOT", f.root, 1), 0);
    put(&f, "right", "lib/libdet", "det-cuda.so");
    put(&f, "right", "elsewhere", "det-cuda.so");
    assert_int_equal(
        shell("cd $ROOT && mkdir -p bin a/lone && cp %s/det-info bin && cp %s/det-info a/lone",
              built("bin"), built("bin")),
        0);
    const char *found = "| grep -x 'backends that can be had: cpu cuda' > /dev/null";
    assert_int_equal(shell("cd / && $ROOT/bin/det-info %s", found), 0);
    assert_int_equal(shell("cd $ROOT/bin && ./det-info %s", found), 0);
    assert_int_equal(shell("cd / && PATH=$ROOT/bin:$PATH det-info %s", found), 0);
    assert_int_equal(
        shell("ln -s $ROOT/bin/det-info $ROOT/a/lone/link && $ROOT/a/lone/link %s", found), 0);
    assert_int_not_equal(shell("cd $ROOT/elsewhere && ../a/lone/det-info %s", found), 0);
    assert_int_not_equal(
        shell("cd $ROOT/elsewhere && bash -c 'exec -a $ROOT/bin/det-info ../a/lone/det-info' %s",
              found),
        0);
    assert_int_equal(shell("LD_LIBRARY_PATH=$ROOT/elsewhere $ROOT/a/lone/det-info %s", found), 0);
    assert_int_equal(shell("DET_CUDA_LIBRARIES=$ROOT/elsewhere $ROOT/a/lone/det-info %s", found),
                     0);
    assert_int_equal(shell("DET_CUDA_LIBRARIES=$ROOT/else* $ROOT/a/lone/det-info %s", found), 0);
    assert_int_equal(shell("cd $ROOT/elsewhere && DET_CUDA_LIBRARIES=:: ../a/lone/det-info | grep "
                           "-x 'backends that "
                           "can be had: cpu' > /dev/null"),
                     0);
    unsetenv("ROOT");
    end(&f);
}

/* The shared library finds it beside itself, whoever has loaded it, and may go and come again. */
static void beside_the_shared_library(void **state)
{
    (void)state;
    struct fixture f;
    char path[600];
    begin(&f);
    put(&f, "right", "some/libdet", "det-cuda.so");
    assert_int_equal(shell("cp %s/libdet.so %s/some/libdet.so.0 && cp %s/libdet.so %s/libdet.so.0",
                           built("lib"), f.root, built("lib"), f.root),
                     0);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%slibdet.so.0", f.root, i % 2 == 0 ? "some/" : "");
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            fail_msg("%s", dlerror());
        const char *(*backends)(void) = NULL;
        *(void **)&backends = dlsym(library, "det_backends");
        assert_non_null(backends);
        assert_string_equal(backends(), i % 2 == 0 ? "cpu cuda" : "cpu");
        dlclose(library);
    }
    end(&f);
}

/* --- what is done with it --- */

static void keep_last(void *user, det_log_level level, const char *message)
{
    (void)level;
    snprintf(user, 2000, "%s", message);
}

static void devices(void **state)
{
    (void)state;
    struct fixture f;
    char said[2000] = "";
    det_context *context = NULL;
    det_context_settings settings;
    begin(&f);
    put(&f, "right", "right", "det-cuda.so");
    look_in(&f, "right", NULL);
    assert_string_equal(det_backends(), "cpu cuda");
    det_context_settings_default(&settings);
    settings.logger = &(det_logger){sizeof(det_logger), said, keep_last};
    settings.threads = 1;
    static const char *const names[] = {"cuda", "cuda:0"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        settings.device = names[i];
        assert_int_equal(det_context_create(&context, &settings), DET_OK);
        assert_string_equal(det_context_device(context), "cuda:0: pretended");
        det_context_destroy(&context);
    }
    const struct det_device_settings automatic = {0};
    const struct det_backend *backend = NULL;
    struct det_device *device = NULL;
    assert_ok(&f.t.env, det_backend_open(&f.t.env, "auto", &automatic, &backend, &device));
    assert_string_equal(backend->name, "cuda");
    backend->device_close(&f.t.env, &device);
    end(&f);
}

/* A library of another build beside the program, a copy, since this build may have a backend beside
 * it. */
static void what_tools_say(void **state)
{
    (void)state;
    struct fixture f;
    skip_emulated();
    begin(&f);
    put(&f, "other", "lib/libdet", "det-cuda.so");
    assert_int_equal(shell("mkdir %s/bin && cp %s/det-info %s/bin", f.root, built("bin"), f.root),
                     0);
    assert_int_equal(
        shell("env -u DET_DEVICE %s/bin/det-info | grep '^device: cpu' > /dev/null", f.root), 0);
    assert_int_equal(shell("%s/bin/det-info --device cuda:1 > %s/said 2>&1", f.root, f.root), 1);
    assert_int_equal(shell("grep -q 'device \"cuda:1\": det-cuda.so could not be loaded: "
                           "%s/lib/libdet/det-cuda.so is of libdet 0.0.9-0123456789ab, this is "
                           "%s; searched: ' %s/said && test $(grep -c det-cuda %s/said) = 1",
                           f.root, det_build, f.root, f.root),
                     0);
    end(&f);
}

/* The library has its own copies of libdet's functions: a training through it is the CPU's, bit for
 * bit, and so is what it finds. */
static void jobs(void **state)
{
    (void)state;
    struct fixture f;
    struct workspace w;
    begin(&f);
    workspace_make(&w, "loaded");
    put(&f, "right", "right", "det-cuda.so");
    look_in(&f, "right", NULL);
    static const char *const device[] = {"cpu", "cuda"};
    for (int i = 0; i < 2; i++) {
        const int trained = run_tool(
            out, sizeof out, "det-train --device %s --pipeline_config_path %s --model_dir %s/%s",
            device[i], w.config, f.root, device[i]);
        if (trained != 0)
            fail_msg("%s", out);
        assert_contains(out, i == 0 ? "cpu: " : "cuda:0: pretended");
    }
    assert_int_equal(shell("cmp %s/cpu/ckpt-12.det %s/cuda/ckpt-12.det", f.root, f.root), 0);
    workspace_remove(&w);
    end(&f);
}

static void *open_often(void *argument)
{
    (void)argument;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.device = "cuda";
    settings.threads = 1;
    for (int i = 0; i < 20; i++) {
        det_context *context = NULL;
        if (det_context_create(&context, &settings) != DET_OK ||
            strcmp(det_context_device(context), "cuda:0: pretended") != 0)
            return "not opened";
        det_context_destroy(&context);
    }
    return NULL;
}

static void threads_at_once(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    struct fixture f;
    pthread_t threads[THREADS];
    begin(&f);
    put(&f, "right", "right", "det-cuda.so");
    look_in(&f, "right", NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_often, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failure = NULL;
        assert_int_equal(pthread_join(threads[i], &failure), 0);
        assert_null(failure);
    }
    end(&f);
}

/* --- libdet's files --- */

/* Neither libdet.so nor a tool needs a library of CUDA's, has a symbol of it or device code; a
 * library that is loaded shows its table and nothing else. */
static void what_files_show_and_need(void **state)
{
    (void)state;
    skip_emulated();
    if (!has_program("nm") || !has_program("readelf"))
        skip();
    static const char *const files[] = {"lib/libdet.so", "bin/det-train", "examples/detect_image"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (shell("cd %s && { readelf -dSW %s; nm -D %s; } | grep -iE "
                  "'nvidia|nv_fatbin|cuda[A-Z_]|cudart|cublas|cudnn|detk_'",
                  built("."), files[i], files[i]) != 1)
            fail_msg("%s shows or needs something of CUDA", files[i]);
    static const struct {
        const char *file, *table;
    } loaded[] = {{"lib/libdet/det-cuda.so", DET_BACKEND_LIBRARY},
                  {"lib/libdet/det-video.so", "det_video_functions"},
                  {"lib/libdet/det-view.so", "det_view_functions"},
                  {"loaded/right.so", DET_BACKEND_LIBRARY}};
    for (size_t i = 0; i < sizeof loaded / sizeof *loaded; i++) {
        char path[700];
        snprintf(path, sizeof path, "%s/%s", built("."), loaded[i].file);
        if (access(path, F_OK) != 0)
            continue; /* not in this build */
        if (shell("test \"$(nm -D --defined-only %s | sed 's/.* //')\" = %s", path,
                  loaded[i].table) != 0)
            fail_msg("%s shows something else than %s", loaded[i].file, loaded[i].table);
    }
}

int test_backend_library(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_will_not_do_is_said),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(auto_without_memory),
        cmocka_unit_test(places),
        cmocka_unit_test(beside_the_shared_library),
        cmocka_unit_test(devices),
        cmocka_unit_test(what_tools_say),
        cmocka_unit_test(jobs),
        cmocka_unit_test(threads_at_once),
        cmocka_unit_test(what_files_show_and_need),
    };
    return cmocka_run_group_tests_name("backend_library", tests, NULL, NULL);
}
