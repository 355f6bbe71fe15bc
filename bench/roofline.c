/* roofline: what a training step and an inference must move and compute on a GPU, on paper:
 * `roofline [FILE.csv]` prints a table, and writes every launch to the file. Nothing here was
 * measured. What is counted how: roofline_plan.h. */
#include <stdio.h>

#include "roofline_plan.h"
#include "support/text.h"
#include "support/writer.h"

struct totals {
    int launches;
    double bytes, fused_bytes, l2_bytes, flops, host_bytes;
    double seconds[ROOFLINE_GPUS], fused_seconds[ROOFLINE_GPUS];
};

struct setting {
    int32_t size, batch, element; /* bytes of an activation */
    bool training;
    struct totals *totals;
    struct det_env *env;
    struct det_text *csv; /* NULL: not wanted */
    det_status status;    /* of the table's rows so far */
};

static const char *precision_of(const struct setting *s)
{
    return s->element == 1 ? "int8" : s->element == 2 ? "bf16" : "f32";
}

static const char *job_of(const struct setting *s)
{
    return s->training ? "training" : "inference";
}

/* A row of the file; the commas of names and launches stand in quotes. */
static det_status add_row(const struct setting *s, const struct roofline_launch *l)
{
    DET_TRY_RETURN(det_text_printf(s->env, s->csv, "%d,%d,%s,%s,", (int)s->size, (int)s->batch,
                                   precision_of(s), job_of(s)));
    DET_TRY_RETURN(det_text_csv(s->env, s->csv, l->name != NULL ? l->name : ""));
    DET_TRY_RETURN(det_text_append(s->env, s->csv, ",", 1));
    DET_TRY_RETURN(det_text_csv(s->env, s->csv, l->what));
    return det_text_printf(s->env, s->csv, ",%.0f,%.0f,%.0f,%.0f\n", l->flops, l->bytes,
                           l->fused < 0 ? 0.0 : l->fused, l->l2);
}

static void add(void *user, const struct roofline_launch *l)
{
    struct setting *s = user;
    struct totals *t = s->totals;
    t->launches++;
    t->bytes += l->bytes;
    t->l2_bytes += l->l2;
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
    if (s->csv != NULL && s->status == DET_OK)
        s->status = add_row(s, l);
}

static void print(const struct setting *s)
{
    const struct totals *t = s->totals;
    printf("%-9s %4d %5d  %-4s %6d %9.3f %9.3f %6.2f %9.3f %9.2f %8.2f ", job_of(s), (int)s->size,
           (int)s->batch, precision_of(s), t->launches, t->bytes * 1e-9, t->fused_bytes * 1e-9,
           t->bytes / t->fused_bytes, t->l2_bytes * 1e-9, t->flops * 1e-9, t->host_bytes * 1e-6);
    for (int g = 0; g < ROOFLINE_GPUS; g++)
        if (s->element < 4 && !(roofline_gpus[g].bf16 > 0))
            printf(" %17s", s->element == 2 ? "no bf16" : "no int8");
        else
            printf(" %8.3f %8.3f", t->seconds[g] * 1e3, t->fused_seconds[g] * 1e3);
    printf("\n");
}

static det_status table_row(struct det_env *env, int32_t size, int32_t batch, int32_t element,
                            bool training, struct det_text *csv)
{
    struct det_model_spec spec;
    struct det_graph graph = {0};
    struct totals totals = {0};
    det_model_spec_default(&spec, size, 1);
    DET_TRY_RETURN(det_graph_build(env, &spec, !training, &graph));
    struct setting s = {size, batch, element, training, &totals, env, csv, DET_OK};
    const struct roofline plan = {&graph, batch, element, training, add, &s, NULL};
    for (int32_t i = 0; i < graph.op_count; i++)
        roofline_forward_op(&plan, &graph.ops[i]);
    for (int32_t i = graph.op_count - 1; training && i >= 0; i--)
        roofline_backward_op(&plan, &graph.ops[i]);
    roofline_around(&plan);
    totals.host_bytes = roofline_host_bytes(&plan);
    print(&s);
    det_graph_free(env, &graph);
    return s.status;
}

static det_status table(struct det_env *env, struct det_text *csv)
{
    static const int32_t sizes[] = {320, 640}, batches[] = {1, 8, 64};
    for (int training = 0; training < 2; training++)
        for (int s = 0; s < 2; s++)
            for (int b = 0; b < 3; b++)
                for (int32_t element = 4; element > training; element /= 2)
                    DET_TRY_RETURN(
                        table_row(env, sizes[s], batches[b], element, training != 0, csv));
    return DET_OK;
}

int main(int argc, char **argv)
{
    struct det_env env;
    struct det_text csv = {0};
    const char *path = argc > 1 ? argv[1] : NULL;
    det_env_default(&env);
    printf("One class. Bounds in ms: of the plan, of the fused plan. Not measured.\n");
    printf("%-9s %4s %5s  %-4s %6s %9s %9s %6s %9s %9s %8s ", "job", "size", "batch", "", "launch",
           "GB", "fused GB", "ratio", "L2 GB", "GFLOP", "host MB");
    for (int g = 0; g < ROOFLINE_GPUS; g++)
        printf(" %17s", roofline_gpus[g].name);
    printf("\n");
    det_status status = det_text_printf(
        &env, &csv, "size,batch,precision,job,operation,launch,flops,bytes,fused_bytes,l2_bytes\n");
    if (status == DET_OK)
        status = table(&env, path != NULL ? &csv : NULL);
    if (status == DET_OK && path != NULL)
        status = det_write_file(&env, path, csv.data, csv.length);
    if (status != DET_OK)
        fprintf(stderr, "roofline: %s\n", env.error);
    det_text_free(&env, &csv);
    return status != DET_OK;
}
