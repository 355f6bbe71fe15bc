/* partner_train.c: training steps on command, on a made-up batch, from the initial parameters of
 * seed 1. */
#include <stdlib.h>
#include <string.h>

#include "det/det.h"
#include "devices/context.h"
#include "model/targets.h"
#include "partner.h"
#include "support/mem.h"
#include "train/learner.h"

enum { MOST_STEPS = 200 };

struct partner {
    det_context *context;
    struct det_env *env;
    struct det_learner *learner;
    struct bench_batch batch;
};

static det_status open_partner(struct partner *p, int size, int batch, int threads,
                               const char *precision)
{
    struct det_learner_settings training;
    DET_TRY_RETURN(partner_open(threads, precision, &p->context));
    p->env = det_context_env(p->context);
    det_learner_settings_default(&training);
    bench_batch_make(p->env, size, batch, &p->batch);
    return bench_learner_create(p->context, &p->batch, &training, &p->learner);
}

/* The network and all that its loss is made of. */
static det_status write_all(struct partner *p, const char *directory)
{
    const struct det_learner *l = p->learner;
    const size_t rows = (size_t)p->batch.count * (size_t)l->graph.anchor_count;
    struct det_targets *t = NULL;
    DET_TRY_RETURN(det_targets_create(p->env, &l->settings.targets, (const float(*)[4])l->anchors,
                                      l->graph.anchor_count, l->spec.num_classes, p->batch.count,
                                      &t));
    det_status status =
        det_targets_assign(p->env, t, p->context->pool, p->batch.truths, p->batch.count);
    if (status == DET_OK &&
        !(partner_write_graph(directory, &l->graph, l->params) &&
          partner_write(directory, "images.bin", p->batch.images, p->batch.floats * 4) &&
          partner_write(directory, "class_index.bin", t->class_index, rows * 4) &&
          partner_write(directory, "class_weight.bin", t->class_weight, rows * 4) &&
          partner_write(directory, "box_weight.bin", t->box_weight, rows * 4) &&
          partner_write(directory, "encodings.bin", t->encodings, rows * 16)))
        status = det_fail(p->env, DET_STATUS_IO, "%s: cannot be written", directory);
    det_targets_destroy(p->env, &t);
    if (status == DET_OK)
        printf("{}\n");
    return status;
}

static det_status run_steps(struct partner *p, int count)
{
    static double ms[MOST_STEPS];
    static struct det_step_result results[MOST_STEPS];
    for (int i = 0; i < count; i++) {
        DET_TRY_RETURN(bench_learner_step(p->context, p->learner, &p->batch, &ms[i], &results[i]));
        ms[i] *= 1e3;
    }
    struct json_line line;
    json_line_open(&line, p->env);
    partner_put_times(&line, ms, count);
    det_json_open_list(&line.json, "loss");
    for (int i = 0; i < count; i++) {
        const double losses[] = {results[i].localization_loss, results[i].classification_loss,
                                 results[i].regularization_loss};
        det_json_put_doubles(&line.json, NULL, losses, 3);
    }
    det_json_close_list(&line.json);
    return json_line_close(&line);
}

int partner_train(int size, int batch, int threads, const char *precision)
{
    struct partner p = {0};
    char line[2000], *words[3];
    det_status status = open_partner(&p, size, batch, threads, precision);
    if (status == DET_OK)
        status = partner_print_device(p.env, det_context_device(p.context));
    while (status == DET_OK && partner_command(line, sizeof line, words)) {
        const int count = words[1] == NULL ? 1 : atoi(words[1]);
        if (strcmp(words[0], "steps") == 0 && count >= 1 && count <= MOST_STEPS)
            status = run_steps(&p, count);
        else if (strcmp(words[0], "graph") == 0 && words[1] != NULL)
            status = write_all(&p, words[1]);
        else
            status = det_fail(p.env, DET_STATUS_INVALID_ARGUMENT, "command %s", words[0]);
    }
    if (status != DET_OK)
        fprintf(stderr, "partner: %s\n", det_context_error(p.context));
    det_learner_destroy(p.env, &p.learner);
    bench_batch_free(p.env, &p.batch);
    det_context_destroy(&p.context);
    return status == DET_OK ? 0 : 1;
}
