/* roofline: what a training step and an inference must move and compute on a GPU, on paper: `roofline [FILE.csv]` prints a table, and
 * writes every launch to the file. Nothing here was measured. What is counted how: roofline_plan.h. */
#include <stdio.h>
#include <string.h>

#include "roofline_plan.h"

struct totals {
    int launches;
    double bytes, fused_bytes, flops;
    double seconds[ROOFLINE_GPUS], fused_seconds[ROOFLINE_GPUS];
};

struct setting {
    int32_t size, batch, element; /* bytes of an activation */
    bool training;
    FILE *csv;
    struct totals *totals;
};

static void add(void *user, const struct roofline_launch *l)
{
    const struct setting *s = user;
    struct totals *t = s->totals;
    t->launches++;
    t->bytes += l->bytes;
    t->flops += l->flops;
    if (l->fused > 0)
        t->fused_bytes += l->fused;
    for (int g = 0; g < ROOFLINE_GPUS; g++) {
        t->seconds[g] +=
            roofline_bound(&roofline_gpus[g], s->element, l->dense, l->flops, l->bytes);
        if (l->fused >= 0)
            t->fused_seconds[g] +=
                roofline_bound(&roofline_gpus[g], s->element, l->dense, l->flops, l->fused);
    }
    if (s->csv != NULL)
        fprintf(s->csv, "%d,%d,%s,%s,%s,%s,%.0f,%.0f,%.0f\n", (int)s->size, (int)s->batch,
                s->element == 2 ? "bf16" : "f32", s->training ? "training" : "inference", l->name,
                l->what, l->flops, l->bytes, l->fused < 0 ? 0.0 : l->fused);
}

static void print(const struct setting *s)
{
    const struct totals *t = s->totals;
    printf("%-9s %4d %5d  %-4s %6d %9.3f %9.3f %6.2f %9.2f ",
           s->training ? "training" : "inference", (int)s->size, (int)s->batch,
           s->element == 2 ? "bf16" : "f32", t->launches, t->bytes * 1e-9, t->fused_bytes * 1e-9,
           t->bytes / t->fused_bytes, t->flops * 1e-9);
    for (int g = 0; g < ROOFLINE_GPUS; g++)
        if (s->element == 2 && !(roofline_gpus[g].bf16 > 0))
            printf(" %17s", "no bf16");
        else
            printf(" %8.3f %8.3f", t->seconds[g] * 1e3, t->fused_seconds[g] * 1e3);
    printf("\n");
}

static det_status table_row(struct det_env *env, int32_t size, int32_t batch, int32_t element,
                            bool training, FILE *csv)
{
    struct det_model_spec spec;
    struct det_graph graph = {0};
    struct totals totals = {0};
    det_model_spec_default(&spec, size, 1);
    DET_TRY_RETURN(det_graph_build(env, &spec, !training, &graph));
    struct setting s = {size, batch, element, training, csv, &totals};
    const struct roofline plan = {&graph, batch, element, training, add, &s};
    for (int32_t i = 0; i < graph.op_count; i++)
        roofline_forward_op(&plan, &graph.ops[i]);
    for (int32_t i = graph.op_count - 1; training && i >= 0; i--)
        roofline_backward_op(&plan, &graph.ops[i]);
    roofline_around(&plan);
    print(&s);
    det_graph_free(env, &graph);
    return DET_OK;
}

int main(int argc, char **argv)
{
    static const int32_t sizes[] = {320, 640}, batches[] = {1, 8, 64};
    struct det_env env;
    det_env_default(&env);
    FILE *csv = argc > 1 ? fopen(argv[1], "w") : NULL;
    if (argc > 1 && csv == NULL) {
        fprintf(stderr, "roofline: %s: cannot write\n", argv[1]);
        return 1;
    }
    if (csv != NULL)
        fprintf(csv, "size,batch,precision,job,operation,launch,flops,bytes,fused_bytes\n");
    printf("One class. Bounds in ms: of the plan, of the fused plan. Not measured.\n");
    printf("%-9s %4s %5s  %-4s %6s %9s %9s %6s %9s ", "job", "size", "batch", "", "launch", "GB",
           "fused GB", "ratio", "GFLOP");
    for (int g = 0; g < ROOFLINE_GPUS; g++)
        printf(" %17s", roofline_gpus[g].name);
    printf("\n");
    det_status status = DET_OK;
    for (int training = 0; training < 2; training++)
        for (int s = 0; s < 2; s++)
            for (int b = 0; b < 3; b++)
                for (int32_t element = 4; status == DET_OK && element >= 2; element -= 2)
                    status = table_row(&env, sizes[s], batches[b], element, training != 0, csv);
    if (status != DET_OK)
        fprintf(stderr, "roofline: %s\n", env.error);
    return csv != NULL && fclose(csv) != 0 ? 1 : status != DET_OK;
}
