/* Where CUDA's libraries are looked for, with copies of a small library in their stead; and that
 * cuDNN is left alone by what does not need it. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cuda/support/tiny.h"
#include "devices/cuda/cuda_conv.h"
#include "devices/cuda/cuda_nccl.h"
#include "devices/cuda/cuda_search.h"
#include "support/io.h"

/* A folder, in which a program's environment says that everything is. */
struct fixture {
    struct test_env t;
    char root[256];
    char *home, *virtual_env;
};

static char *copy_of(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

static void set_or_unset(const char *variable, const char *value)
{
    if (value != NULL)
        assert_int_equal(setenv(variable, value, 1), 0);
    else
        assert_int_equal(unsetenv(variable), 0);
}

static void begin(struct fixture *f)
{
    test_env_init(&f->t);
    test_make_directory(f->root, "cuda-libraries");
    f->home = copy_of(getenv("HOME"));
    f->virtual_env = copy_of(getenv("VIRTUAL_ENV"));
    set_or_unset("HOME", f->root);
    set_or_unset("VIRTUAL_ENV", NULL);
    set_or_unset("DET_CUDA_LIBRARIES", NULL);
}

static void end(struct fixture *f)
{
    set_or_unset("HOME", f->home);
    set_or_unset("VIRTUAL_ENV", f->virtual_env);
    set_or_unset("DET_CUDA_LIBRARIES", NULL);
    free(f->home);
    free(f->virtual_env);
    test_remove_tree(f->root);
    test_env_check(&f->t);
}

/* The file of the process' own zlib: a real library, and a small one. */
static const char *small_library(void)
{
    static char path[512];
    Dl_info info;
    void *library = dlopen("libz.so.1", RTLD_NOW);
    assert_non_null(library);
    assert_true(dladdr(dlsym(library, "zlibVersion"), &info) != 0);
    snprintf(path, sizeof path, "%s", info.dli_fname);
    dlclose(library);
    return path;
}

/* root/FOLDER/NAME becomes a library. */
static void put(struct fixture *f, const char *folder, const char *name)
{
    char path[600];
    struct det_file_bytes contents;
    struct det_env *env = &f->t.env;
    snprintf(path, sizeof path, "%s/%s", f->root, folder);
    assert_ok(env, det_make_directories(env, path));
    snprintf(path, sizeof path, "%s/%s/%s", f->root, folder, name);
    assert_ok(env, det_file_read(env, small_library(), &contents));
    assert_ok(env, det_write_file(env, path, contents.data, contents.bytes));
    det_file_release(&contents);
}

/* It is found, in root/FOLDER. */
static void expect_in(struct fixture *f, const char *name, const char *folder)
{
    char wanted[600];
    void *library = NULL;
    Dl_info info;
    assert_ok(&f->t.env, det_cuda_library_open(&f->t.env, name, &library));
    assert_non_null(library);
    snprintf(wanted, sizeof wanted, "%s/%s/%s", f->root, folder, name);
    assert_true(dladdr(dlsym(library, "zlibVersion"), &info) != 0);
    assert_string_equal(info.dli_fname, wanted);
    dlclose(library);
}

/* Python's packages of the user and of a virtual environment, both versions' layouts, and the
 * folder of one's own before them. */
static void places(void **state)
{
    (void)state;
    static const char user[] = ".local/lib/python3.11/site-packages/nvidia/cu13/lib";
    static const char active[] = "venv/lib/python3.12/site-packages/nvidia/cudnn/lib";
    struct fixture f;
    char text[600];
    begin(&f);
    put(&f, user, "libdet-user.so.13");
    put(&f, active, "libdet-user.so.13");
    put(&f, active, "libdet-active.so.9");
    put(&f, "own", "libdet-active.so.9");
    expect_in(&f, "libdet-user.so.13", user);
    snprintf(text, sizeof text, "%s/venv", f.root);
    set_or_unset("VIRTUAL_ENV", text);
    expect_in(&f, "libdet-user.so.13", active);
    expect_in(&f, "libdet-active.so.9", active);
    snprintf(text, sizeof text, "%s/nowhere:%s/own", f.root, f.root);
    set_or_unset("DET_CUDA_LIBRARIES", text);
    expect_in(&f, "libdet-active.so.9", "own");
    expect_in(&f, "libdet-user.so.13", active);
    end(&f);
}

/* A library that the loader knows needs no folder. */
static void by_the_loader(void **state)
{
    (void)state;
    struct fixture f;
    void *library = NULL;
    begin(&f);
    assert_ok(&f.t.env, det_cuda_library_open(&f.t.env, "libz.so.1", &library));
    assert_non_null(library);
    dlclose(library);
    end(&f);
}

static void failures(void **state)
{
    (void)state;
    static const char *const searched[] = {
        "libdet-absent.so.1 was not found; searched: DET_CUDA_LIBRARIES (not set)",
        "LD_LIBRARY_PATH, ld.so.cache", "/.local/lib/python3*/site-packages/nvidia/*/lib",
        "/usr/local/lib/python3*/*-packages/nvidia/*/lib", "/usr/local/cuda/lib64"};
    struct fixture f;
    char text[600];
    void *library = &f;
    begin(&f);
    struct det_env *env = &f.t.env;
    for (size_t i = 0; i < sizeof searched / sizeof *searched; i++)
        assert_fails(env, DET_STATUS_DEVICE, searched[i],
                     det_cuda_library_open(env, "libdet-absent.so.1", &library));
    assert_null(library);
    snprintf(text, sizeof text, "%s/own", f.root);
    set_or_unset("DET_CUDA_LIBRARIES", text);
    assert_fails(env, DET_STATUS_DEVICE, text,
                 det_cuda_library_open(env, "libdet-absent.so.1", &library));
    /* A file that is none: why, and where else was looked. */
    put(&f, "own", "libdet-broken.so.1");
    snprintf(text, sizeof text, "%s/own/libdet-broken.so.1", f.root);
    assert_ok(env, det_write_file(env, text, "text", 4));
    assert_fails(env, DET_STATUS_DEVICE, "libdet-broken.so.1 could not be loaded: ",
                 det_cuda_library_open(env, "libdet-broken.so.1", &library));
    assert_non_null(strstr(env->error, text));
    assert_non_null(strstr(env->error, "; searched: "));
    /* A broken one is no obstacle to a whole one behind it. */
    put(&f, "more", "libdet-broken.so.1");
    snprintf(text, sizeof text, "%s/own:%s/more", f.root, f.root);
    set_or_unset("DET_CUDA_LIBRARIES", text);
    expect_in(&f, "libdet-broken.so.1", "more");
    end(&f);
}

static det_status look_in_vain(struct det_env *env, void *argument)
{
    (void)argument;
    void *library = NULL;
    const det_status status = det_cuda_library_open(env, "libdet-absent.so.1", &library);
    assert_null(library);
    return det_forgive(env, status, DET_STATUS_DEVICE);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    test_each_allocation_fails(look_in_vain, NULL);
    end(&f);
}

#ifdef DET_CUDA_EMU

/* The usual network is trained without cuDNN; a dense convolution that asks for it says that it is
 * not there. */
static void cudnn_is_not_needed(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    struct det_cuda_conv conv;
    const struct det_conv_shape dense = det_conv_same(1, 7, 9, 8, 8, 3, 1);
    const struct det_cuda_conv_uses uses = {.backward_weight = true};
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    cuda_emu_hide_cudnn(1);
    tiny_open(&tiny, &(struct tiny_settings){0});
    assert_ok(tiny.env,
              det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    const struct cuda_emu_counts after = cuda_emu_read_counts();
    assert_true(after.cublas_loads > before.cublas_loads);
    assert_int_equal(after.cudnn_loads, before.cudnn_loads);
    assert_fails(tiny.env, DET_STATUS_DEVICE, "libcudnn.so.9 was not found",
                 det_cuda_conv_create(tiny.env, tiny.device, &dense, &uses, &conv));
    cuda_emu_hide_cudnn(0);
    assert_ok(tiny.env, det_cuda_conv_create(tiny.env, tiny.device, &dense, &uses, &conv));
    det_cuda_conv_destroy(&conv);
    tiny_close(&tiny);
}

#else

/* NCCL as it is installed; where it is not, what was searched. */
static void nccl(void **state)
{
    (void)state;
    struct test_env t;
    const struct det_nccl *nccl = NULL;
    test_env_init(&t);
    const det_status status = det_cuda_nccl_load(&t.env, &nccl);
    if (status == DET_OK) {
        assert_in_range(nccl->version, 20000, 29999);
        assert_non_null(nccl->ncclAllReduce);
        assert_non_null(nccl->ncclCommAbort);
        assert_string_equal(nccl->ncclGetErrorString(DET_NCCL_SUCCESS), "no error");
        print_message("NCCL %d\n", nccl->version);
    } else {
        assert_int_equal(status, DET_STATUS_DEVICE);
        assert_contains(t.env.error, "libnccl.so.2 was not found; searched: ");
        assert_null(nccl);
    }
    test_env_check(&t);
}

#endif

int test_cuda_libraries(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),
        cmocka_unit_test(by_the_loader),
        cmocka_unit_test(failures),
        cmocka_unit_test(each_allocation_fails),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(cudnn_is_not_needed),
#else
        cmocka_unit_test(nccl),
#endif
    };
    return cmocka_run_group_tests_name("cuda_libraries", tests, NULL, NULL);
}
