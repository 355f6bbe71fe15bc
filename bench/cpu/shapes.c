/* shapes.c: the operations of the real network with their shapes, as a data file
 * (bench/shapes.txt). */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static bool parse_line(const char *line, struct bench_shape *s)
{
    char form[16], op[16];
    if (sscanf(line, "%15s %d %15s %d %d %d %d %d %d %d %d %d", form, &s->size, op, &s->in_h,
               &s->in_w, &s->in_c, &s->out_h, &s->out_w, &s->out_c, &s->kernel, &s->stride,
               &s->times) != 12)
        return false;
    s->train = strcmp(form, "train") == 0;
    for (int kind = 0; kind < DET_OP_KIND_COUNT; kind++)
        if (strcmp(op, det_op_kind_name((enum det_op_kind)kind)) == 0) {
            s->op = (enum det_op_kind)kind;
            return s->train || strcmp(form, "infer") == 0;
        }
    return false;
}

bool bench_shapes_read(const char *path, struct bench_shape **shapes, size_t *count)
{
    FILE *file = fopen(path, "r");
    char line[256];
    *shapes = NULL;
    *count = 0;
    if (file == NULL) {
        fprintf(stderr, "bench: %s cannot be read\n", path);
        return false;
    }
    bool good = true;
    for (int number = 1; good && fgets(line, sizeof line, file) != NULL; number++) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        struct bench_shape *more = realloc(*shapes, (*count + 1) * sizeof *more);
        good = more != NULL;
        *shapes = good ? more : *shapes;
        if (good && !parse_line(line, &more[(*count)++])) {
            fprintf(stderr, "bench: %s:%d: expected FORM SIZE OP and nine numbers\n", path, number);
            good = false;
        }
    }
    fclose(file);
    if (!good) {
        free(*shapes);
        *shapes = NULL;
    }
    return good;
}

static struct bench_shape shape_of(const struct det_graph *graph, const struct det_op *op,
                                   int32_t size)
{
    const struct det_tensor in = graph->tensors[op->in], out = graph->tensors[op->out];
    return (struct bench_shape){.train = !graph->folded,
                                .size = size,
                                .op = op->kind,
                                .in_h = in.height,
                                .in_w = in.width,
                                .in_c = in.channels,
                                .out_h = out.height,
                                .out_w = out.width,
                                .out_c = out.channels,
                                .kernel = op->kernel,
                                .stride = op->stride};
}

static bool same(struct bench_shape a, struct bench_shape b)
{
    return a.op == b.op && a.in_h == b.in_h && a.in_w == b.in_w && a.in_c == b.in_c &&
           a.out_h == b.out_h && a.out_w == b.out_w && a.out_c == b.out_c && a.kernel == b.kernel &&
           a.stride == b.stride;
}

static void write_graph(FILE *to, const struct det_graph *graph, int32_t size)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct bench_shape shape = shape_of(graph, &graph->ops[i], size);
        bool first = true;
        int32_t times = 0;
        for (int32_t k = 0; k < graph->op_count; k++)
            if (same(shape, shape_of(graph, &graph->ops[k], size))) {
                first = first && k >= i;
                times++;
            }
        if (first)
            fprintf(to, "%s %d %-12s %4d %4d %5d %4d %4d %5d %2d %2d %3d\n",
                    shape.train ? "train" : "infer", size, det_op_kind_name(shape.op), shape.in_h,
                    shape.in_w, shape.in_c, shape.out_h, shape.out_w, shape.out_c, shape.kernel,
                    shape.stride, times);
    }
}

bool bench_shapes_write(FILE *to)
{
    struct det_env env;
    det_env_default(&env);
    fprintf(to,
            "# Operations of SSD MobileNetV2 FPNLite with one class, by size of its input; made by "
            "`make bench-shapes`.\n"
            "# form size operation  in_h in_w in_c  out_h out_w out_c  kernel stride  times\n");
    for (int form = 0; form < 2; form++)
        for (int32_t size = 320; size <= 640; size += 320) {
            struct det_model_spec spec;
            struct det_graph graph = {0};
            det_model_spec_default(&spec, size, 1);
            if (det_graph_build(&env, &spec, form == 0, &graph) != DET_OK) {
                fprintf(stderr, "bench: %s\n", env.error);
                return false;
            }
            write_graph(to, &graph, size);
            det_graph_free(&env, &graph);
        }
    return true;
}
