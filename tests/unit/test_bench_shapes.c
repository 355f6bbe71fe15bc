/* bench/shapes.txt against the network: each operation of the graph is in it, as often as it is
 * there. */
#include <stdio.h>
#include <string.h>

#include "model/graph.h"
#include "support/test.h"

enum { MOST_LINES = 1000 };

struct line {
    char form[16], op[16];
    int size, in[3], out[3], kernel, stride, times;
};

static size_t read_lines(struct line *lines)
{
    char text[256];
    size_t count = 0;
    FILE *file = fopen("bench/shapes.txt", "r");
    assert_non_null(file);
    while (fgets(text, sizeof text, file) != NULL) {
        struct line *l = &lines[count];
        if (text[0] == '#')
            continue;
        assert_true(count < MOST_LINES);
        assert_int_equal(sscanf(text, "%15s %d %15s %d %d %d %d %d %d %d %d %d", l->form, &l->size,
                                l->op, &l->in[0], &l->in[1], &l->in[2], &l->out[0], &l->out[1],
                                &l->out[2], &l->kernel, &l->stride, &l->times),
                         12);
        count++;
    }
    fclose(file);
    return count;
}

static bool is(const int *a, struct det_tensor b)
{
    return a[0] == b.height && a[1] == b.width && a[2] == b.channels;
}

static void shapes_are_the_networks(void **state)
{
    (void)state;
    static struct line lines[MOST_LINES];
    const size_t count = read_lines(lines);
    struct test_env t;
    test_env_init(&t);
    for (int folded = 0; folded < 2; folded++)
        for (int size = 320; size <= 640; size += 320) {
            struct det_model_spec spec;
            struct det_graph graph = {0};
            det_model_spec_default(&spec, size, 1);
            assert_ok(&t.env, det_graph_build(&t.env, &spec, folded == 1, &graph));
            for (int32_t i = 0; i < graph.op_count; i++) {
                const struct det_op *op = &graph.ops[i];
                size_t at = 0;
                while (at < count &&
                       !(strcmp(lines[at].form, folded ? "infer" : "train") == 0 &&
                         lines[at].size == size &&
                         strcmp(lines[at].op, det_op_kind_name(op->kind)) == 0 &&
                         is(lines[at].in, graph.tensors[op->in]) &&
                         is(lines[at].out, graph.tensors[op->out]) &&
                         lines[at].kernel == op->kernel && lines[at].stride == op->stride))
                    at++;
                if (at == count)
                    fail_msg("%s of the network at %d is not in bench/shapes.txt: make "
                             "bench-shapes",
                             op->name, size);
                lines[at].times--;
            }
            det_graph_free(&t.env, &graph);
        }
    for (size_t i = 0; i < count; i++)
        if (lines[i].times != 0)
            fail_msg("bench/shapes.txt: operation %zu is there %d times too often: make "
                     "bench-shapes",
                     i + 1, lines[i].times);
    test_env_check(&t);
}

int test_bench_shapes(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes_are_the_networks)};
    return cmocka_run_group_tests_name("bench_shapes", tests, NULL, NULL);
}
