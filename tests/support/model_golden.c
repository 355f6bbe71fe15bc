#include "support/model_golden.h"

#include "support/test.h"

/* Rows 0, 25, 50, ... of the golden, then the whole of it where the shared folder is. */
void model_golden_compare_within(const char *name, const float *ours, double bound,
                                 const char *label)
{
    char path[256], file[128];
    size_t count = 0;
    snprintf(file, sizeof file, "model320/%s_every25.npy", name);
    float *golden = test_npy_load_float(test_golden(path, file), &count);
    double worst = 0;
    for (size_t row = 0; row < count / 4; row++) {
        const double error = test_max_abs_error(ours + row * 25 * 4, golden + row * 4, 4);
        if (!(error <= worst))
            worst = error;
    }
    free(golden);
    snprintf(file, sizeof file, "goldens/model320/%s.npy", name);
    if (test_shared(path, file) != NULL) {
        golden = test_npy_load_float(path, &count);
        assert_int_equal(count, 12804 * 4);
        worst = test_max_abs_error(ours, golden, count);
        free(golden);
    }
    print_message("%s: %s: max abs error %.3g (bound %g)\n", label, name, worst, bound);
    if (!(worst <= bound))
        fail_msg("%s differs from TensorFlow by %g", name, worst);
}

void model_golden_compare(const char *name, const float *ours, const char *label)
{
    model_golden_compare_within(name, ours, 2e-4, label);
}
