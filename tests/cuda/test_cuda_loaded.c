/* The backend as libdet loads it, beside the one that is linked with these tests: the same bits;
 * what it shows; and which libraries will not do. Where they are looked for is in
 * tests/unit/test_backend_library.c. */
#define _GNU_SOURCE /* dladdr, memmem */
#include <dlfcn.h>
#include <math.h>

#include "base/build.h"
#include "cuda/support/tiny.h"
#include "det/version.h"
#include "devices/backend_library.h"
#include "support/formula.h"
#include "support/io.h"

static det_status open_backend(struct det_env *env, const char *name,
                               const struct det_backend **backend)
{
    return det_backend_library_open(env, name, "DET_CUDA_LIBRARIES", backend);
}

/* The file that a table is in. */
static const char *file_of(const struct det_backend *backend)
{
    Dl_info info;
    assert_true(dladdr(backend, &info) != 0);
    return info.dli_fname;
}

static void loaded_is_linked(void **state)
{
    (void)state;
    const struct tiny_settings settings = {.device = {.index = -1, .deterministic = true}};
    const struct det_backend *backend = NULL;
    struct det_device *device = NULL;
    struct det_learner *learner = NULL;
    struct det_step_result linked, loaded;
    struct tiny tiny;
    tiny_open(&tiny, &settings);
    struct det_env *env = tiny.env;
    assert_ok(env, open_backend(env, "det-cuda.so", &backend));
    assert_string_equal(backend->name, "cuda");
    assert_ptr_not_equal(backend, tiny.backend);
    assert_ok(env, backend->device_open(env, &settings.device, &device));
    char text[2][200];
    tiny.backend->device_describe(tiny.device, text[0], sizeof text[0]);
    backend->device_describe(device, text[1], sizeof text[1]);
    assert_string_equal(text[1], text[0]);

    struct det_model_spec spec;
    tiny_spec(&spec);
    assert_ok(env,
              det_learner_create(env, &spec, &tiny.gpu->settings, backend, device, 7, &learner));
    formula_params(&learner->graph, learner->params);
    assert_ok(env, det_learner_push(env, learner));
    for (int i = 0; i < 3; i++) {
        assert_ok(env, det_learner_step(env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &linked));
        assert_ok(env, det_learner_step(env, learner, tiny.images, tiny.truths, 0.01f, &loaded));
        assert_true(isfinite(loaded.total_loss) && loaded.total_loss > 0);
        assert_true(loaded.total_loss == linked.total_loss);
    }
    assert_ok(env, tiny.backend->step_pull(env, tiny.gpu->step));
    assert_ok(env, backend->step_pull(env, learner->step));
    assert_memory_equal(learner->params, tiny.gpu->params,
                        learner->graph.param_floats * sizeof *learner->params);
    det_learner_destroy(env, &learner);
    backend->device_close(env, &device);
    tiny_close(&tiny);
}

/* No function is missing, and batches are staged ahead. */
static void the_table_is_whole(void **state)
{
    (void)state;
    const struct det_backend *backend = det_backend_cuda();
    assert_true(backend->stages_ahead);
    for (size_t at = offsetof(struct det_backend, device_open); at < sizeof *backend;
         at += sizeof(void *)) {
        void *function;
        memcpy(&function, (const char *)backend + at, sizeof function);
        if (function == NULL)
            fail_msg("the table has no function at byte %zu", at);
    }
}

/* Who has the library finds its table and none of the copies that it has of libdet's functions and
 * CUDA's; who has not finds nothing. */
static void the_table_alone_is_shown(void **state)
{
    (void)state;
    static const char *const inside[] = {"det_status_text", "det_build",  "det_backend_cuda",
                                         "detk_add",        "cudaMalloc", "cublasLtCreate"};
    struct test_env t;
    const struct det_backend *backend = NULL;
    test_env_init(&t);
    assert_ok(&t.env, open_backend(&t.env, "det-cuda.so", &backend));
    void *library = dlopen(file_of(backend), RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    assert_non_null(dlsym(library, DET_BACKEND_LIBRARY));
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        if (dlsym(library, inside[i]) != NULL)
            fail_msg("the library shows %s", inside[i]);
    assert_null(dlsym(RTLD_DEFAULT, DET_BACKEND_LIBRARY));
    dlclose(library);
    test_env_check(&t);
}

/* ROOT/NAME: a copy of the file, in which another build is named if that is wanted. */
static void put_copy(struct det_env *env, const char *file, const char *root, const char *name,
                     bool other_build)
{
    char path[600];
    struct det_file_bytes contents;
    assert_ok(env, det_file_read(env, file, &contents));
    char *bytes = malloc(contents.bytes);
    assert_non_null(bytes);
    memcpy(bytes, contents.data, contents.bytes);
    char *build = memmem(bytes, contents.bytes, det_build, strlen(det_build));
    assert_non_null(build);
    if (other_build)
        build[strlen(det_build) - 1] ^= 1;
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_ok(env, det_write_file(env, path, bytes, contents.bytes));
    free(bytes);
    det_file_release(&contents);
}

/* A library of the same version, of other sources; and one that has no table. */
static void others_will_not_do(void **state)
{
    (void)state;
    struct test_env t;
    const struct det_backend *backend = NULL;
    const char *set = getenv("DET_CUDA_LIBRARIES");
    char *before = set != NULL ? strdup(set) : NULL;
    char root[256], path[600];
    test_env_init(&t);
    struct det_env *env = &t.env;
    test_make_directory(root, "cuda-loaded");
    /* 12 digits of the sources' hash */
    assert_int_equal(strlen(det_build), strlen(DET_VERSION_STRING "-") + 12);
    assert_ok(env, open_backend(env, "det-cuda.so", &backend));
    put_copy(env, file_of(backend), root, "det-odd.so", true);
    put_copy(env, file_of(backend), root, "det-cuda.so", false);
    assert_int_equal(setenv("DET_CUDA_LIBRARIES", root, 1), 0);
    assert_fails(env, DET_STATUS_DEVICE, "det-odd.so is of libdet " DET_VERSION_STRING "-",
                 open_backend(env, "det-odd.so", &backend));
    assert_null(backend);
    assert_fails(env, DET_STATUS_DEVICE, " is no backend of libdet: it has no ",
                 open_backend(env, "libz.so.1", &backend));
    assert_null(backend);
    /* The folder that the environment names comes first. */
    snprintf(path, sizeof path, "%s/det-cuda.so", root);
    assert_ok(env, open_backend(env, "det-cuda.so", &backend));
    assert_string_equal(file_of(backend), path);
    if (before != NULL)
        setenv("DET_CUDA_LIBRARIES", before, 1);
    else
        unsetenv("DET_CUDA_LIBRARIES");
    free(before);
    test_remove_tree(root);
    test_env_check(&t);
}

int test_cuda_loaded(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loaded_is_linked),
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(the_table_alone_is_shown),
        cmocka_unit_test(others_will_not_do),
    };
    return cmocka_run_group_tests_name("cuda_loaded", tests, NULL, NULL);
}
