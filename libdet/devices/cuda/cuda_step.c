#include "devices/cuda/cuda_step.h"

#include "checksum.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_fit.h"
#include "devices/precision.h"
#include "pictures.h"
#include "support/mem.h"

/* Boxes of an image that there is room for from the start: train_input_reader.max_number_of_boxes
 * of the API. */
#define BOXES_PER_IMAGE 100

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Places of det_step.targets_at. */
enum { MATCHED, CLASS, CLASS_WEIGHT, BOX_WEIGHT, ENCODINGS, WEIGHT_SUM, MATCHED_COUNT };

static void place_targets(struct det_step *s)
{
    static const size_t sizes[] = {
        [MATCHED] = sizeof(int32_t),     [CLASS] = sizeof(int32_t),
        [CLASS_WEIGHT] = sizeof(float),  [BOX_WEIGHT] = sizeof(float),
        [ENCODINGS] = 4 * sizeof(float),
    };
    const size_t anchors = (size_t)s->batch * (size_t)s->learner->graph.anchor_count;
    for (int i = MATCHED; i <= ENCODINGS; i++)
        s->targets_at[i] = det_cuda_layout_add(&s->layout, anchors, sizes[i]);
    s->targets_at[WEIGHT_SUM] = det_cuda_layout_add(&s->layout, 1, sizeof(double));
    s->targets_at[MATCHED_COUNT] = det_cuda_layout_add(&s->layout, 1, sizeof(int64_t));
}

/* Each rank's batch moves the moving statistics, but for those of one batch of all ranks. */
static int32_t moving_batches(const struct det_step *s)
{
    return s->ranks != NULL && !s->learner->settings.sync_batch_norm ? s->ranks->size : 1;
}

static size_t moving_count(const struct det_step *s)
{
    return (size_t)s->norm_count * (size_t)moving_batches(s);
}

static void place_ranks(struct det_step *s)
{
    struct det_cuda_layout *layout = &s->layout;
    const struct det_cuda_ranks *r = s->ranks;
    if (r == NULL)
        return;
    const size_t size = (size_t)r->size, statistics = s->net.plan.statistics_floats;
    s->seen_at = det_cuda_layout_add(
        layout, size * most(statistics, det_cuda_fold_seen_count(&s->fold)), sizeof *r->seen);
    s->squares_at = det_cuda_layout_add(layout, detk_gradient_norm_workspace(s->chunk_count), 1);
    if (s->learner->settings.bf16_gradients)
        s->wire_at = det_cuda_layout_add(layout, r->buckets.most_floats, sizeof(uint16_t));
    s->weights_at = det_cuda_layout_add(layout, 1, sizeof *r->weights);
    if (!s->learner->settings.sync_batch_norm)
        return;
    s->sync_mine_at = det_cuda_layout_add(layout, statistics, sizeof *s->sync.mine);
    s->sync_weights_at = det_cuda_layout_add(layout, size, sizeof *s->sync.weights);
}

/* All that does not depend on the number of boxes. */
static void place(struct det_step *s)
{
    const struct det_learner *l = s->learner;
    const struct det_graph *g = &l->graph;
    struct det_cuda_layout *layout = &s->layout;
    s->params_at = det_cuda_layout_add(layout, g->param_floats, sizeof(float));
    s->gradients_at = det_cuda_layout_add(layout, g->param_floats, sizeof(float));
    for (int32_t i = 0; i < l->slot_count; i++)
        s->slots_at[i] = det_cuda_layout_add(layout, g->param_floats, sizeof(float));
    for (int i = 0; i < DET_CUDA_BATCHES; i++) {
        struct det_cuda_batch *b = &s->batches[i];
        b->images_at = det_cuda_layout_add(layout, (size_t)s->batch, s->image_bytes);
        b->table_at = det_cuda_layout_add(layout, (size_t)s->batch, sizeof *b->table);
    }
    s->picture_sums_at = det_cuda_layout_add(layout, detk_pictures_workspace(s->batch), 1);
    s->anchors_at = det_cuda_layout_add(layout, (size_t)g->anchor_count, 4 * sizeof(float));
    place_targets(s);
    s->losses_at = det_cuda_layout_add(layout, 1, sizeof *s->losses);
    s->found_at = det_cuda_layout_add(layout, 1, sizeof *s->found);
    if (l->settings.accumulate > 1) {
        s->sums_at = det_cuda_layout_add(layout, g->param_floats, sizeof *s->sums);
        s->so_far_at = det_cuda_layout_add(layout, 1, sizeof *s->so_far);
    }
    s->hyper_at = det_cuda_layout_add(layout, 1, sizeof *s->hyper);
    s->chunks_at = det_cuda_layout_add(layout, (size_t)s->chunk_count, sizeof *s->chunks);
    s->moving_at = det_cuda_layout_add(layout, moving_count(s), sizeof *s->moving);
    s->heads_at = det_cuda_layout_add(layout, (size_t)s->norm_count + 1, sizeof *s->heads);
    const size_t loss_bytes = detk_losses_workspace(s->batch, g->anchor_count, l->spec.num_classes);
    const size_t norm_bytes = detk_gradient_norm_workspace(s->chunk_count);
    s->workspace_at =
        det_cuda_layout_add(layout,
                            most(most(s->net.workspace_bytes, s->fold.net.workspace_bytes),
                                 most(most(loss_bytes, norm_bytes), detk_checksum_workspace())),
                            1);
    det_cuda_fold_place(l, layout, &s->fold);
    place_ranks(s);
}

/* Everything that is decided before memory is taken, for any batch size. */
static det_status plan(struct det_env *env, struct det_device *device, struct det_learner *learner,
                       struct det_cuda_ranks *ranks, int32_t batch, struct det_step *s)
{
    *s = (struct det_step){
        .device = device,
        .learner = learner,
        .ranks = ranks,
        .batch = batch,
        .chunk_count = det_cuda_chunk_count(&learner->graph),
        .norm_count = det_cuda_norm_count(&learner->graph),
        .image_bytes =
            det_picture_most_bytes(learner->spec.input_height, learner->spec.input_width),
    };
    DET_TRY_RETURN(det_cuda_net_plan(env, device, &learner->graph, NULL, batch,
                                     det_learner_mode(learner), &s->layout, &s->net));
    /* One network follows the other: they have the same memory. */
    struct det_cuda_layout folded = {0};
    const det_status status = det_cuda_fold_plan(env, device, learner, batch, &folded, &s->fold);
    if (status != DET_OK) {
        det_cuda_net_free(env, &s->net);
        return status;
    }
    if (folded.bytes > s->layout.bytes)
        s->layout.bytes = folded.bytes;
    s->layout.too_large = s->layout.too_large || folded.too_large;
    place(s);
    return DET_OK;
}

static size_t bytes_of(const struct det_step *s)
{
    const int32_t anchors = s->learner->graph.anchor_count;
    return s->layout.bytes +
           DET_CUDA_BATCHES * det_cuda_truths_bytes(s->batch, anchors, s->batch * BOXES_PER_IMAGE);
}

static det_status bytes_for(struct det_env *env, void *argument, int32_t batch, size_t *bytes)
{
    const struct det_step *of = argument;
    struct det_step trial;
    DET_TRY_RETURN(plan(env, of->device, of->learner, of->ranks, batch, &trial));
    *bytes = trial.layout.too_large ? SIZE_MAX : bytes_of(&trial);
    det_cuda_net_free(env, &trial.net);
    det_cuda_fold_free(env, &trial.fold);
    return DET_OK;
}

static det_status take_memory(struct det_env *env, struct det_step *s)
{
    const int32_t anchors = s->learner->graph.anchor_count;
    DET_TRY_RETURN(det_alloc(env, &s->given, (size_t)s->batch, sizeof *s->given, "pictures"));
    for (int i = 0; i < DET_CUDA_BATCHES; i++)
        DET_TRY_RETURN(det_cuda_batch_create(env, s->batch, anchors, s->batch * BOXES_PER_IMAGE,
                                             &s->batches[i]));
    DET_TRY_RETURN(det_cuda_block_create(env, DET_CUDA_DEVICE, s->layout.bytes, "a training step",
                                         &s->memory));
    struct det_cuda_layout pinned = {0};
    size_t images_at[DET_CUDA_BATCHES], table_at[DET_CUDA_BATCHES];
    for (int i = 0; i < DET_CUDA_BATCHES; i++) {
        images_at[i] = det_cuda_layout_add(&pinned, (size_t)s->batch, s->image_bytes);
        table_at[i] = det_cuda_layout_add(&pinned, (size_t)s->batch, sizeof(struct det_picture));
    }
    const size_t hyper_at = det_cuda_layout_add(&pinned, 1, sizeof *s->staged_hyper);
    const size_t result_at = det_cuda_layout_add(&pinned, 1, sizeof *s->result);
    const size_t rate_at = det_cuda_layout_add(&pinned, 1, sizeof *s->fold.staged_rate);
    const size_t left_at = det_cuda_layout_add(&pinned, 1, sizeof(int32_t));
    const size_t told_at = det_cuda_layout_add(&pinned, 1, sizeof(uint64_t));
    DET_TRY_RETURN(
        det_cuda_block_create(env, DET_CUDA_PINNED, pinned.bytes, "a training step", &s->pinned));
    for (int i = 0; i < DET_CUDA_BATCHES; i++) {
        s->batches[i].staged = s->pinned.at + images_at[i];
        s->batches[i].staged_table = (struct det_picture *)(void *)(s->pinned.at + table_at[i]);
    }
    s->staged_hyper = (struct detk_hyper *)(void *)(s->pinned.at + hyper_at);
    s->result = (struct detk_step_result *)(void *)(s->pinned.at + result_at);
    s->fold.staged_rate = (float *)(void *)(s->pinned.at + rate_at);
    if (s->ranks != NULL) {
        s->ranks->left = (int32_t *)(void *)(s->pinned.at + left_at);
        *s->ranks->left = 0;
        s->ranks->told_weights = (uint64_t *)(void *)(s->pinned.at + told_at);
    }
    return DET_OK;
}

static void *in_memory(const struct det_step *s, size_t offset)
{
    return s->memory.at + offset;
}

static void bind_ranks(struct det_step *s)
{
    if (s->ranks == NULL)
        return;
    s->ranks->seen = in_memory(s, s->seen_at);
    s->ranks->squares = in_memory(s, s->squares_at);
    s->ranks->weights = in_memory(s, s->weights_at);
    if (s->learner->settings.bf16_gradients)
        s->ranks->wire = in_memory(s, s->wire_at);
    if (!s->learner->settings.sync_batch_norm)
        return;
    s->sync = (struct det_cuda_sync){
        .ranks = s->ranks,
        .mine = in_memory(s, s->sync_mine_at),
        .all = s->ranks->seen, /* nobody gathers statistics for later then */
        .weights = in_memory(s, s->sync_weights_at),
    };
    if (s->net.mode == DET_NET_TRAIN)
        s->net.sync = &s->sync;
}

static void bind(struct det_step *s)
{
    s->params = in_memory(s, s->params_at);
    s->gradients = in_memory(s, s->gradients_at);
    for (int32_t i = 0; i < s->learner->slot_count; i++)
        s->slots[i] = in_memory(s, s->slots_at[i]);
    for (int i = 0; i < DET_CUDA_BATCHES; i++) {
        s->batches[i].images = in_memory(s, s->batches[i].images_at);
        s->batches[i].table = in_memory(s, s->batches[i].table_at);
    }
    s->picture_sums = in_memory(s, s->picture_sums_at);
    s->filled = s->learned = &s->batches[0];
    s->anchors = in_memory(s, s->anchors_at);
    s->targets = (struct detk_targets){
        .matched = in_memory(s, s->targets_at[MATCHED]),
        .class_index = in_memory(s, s->targets_at[CLASS]),
        .class_weight = in_memory(s, s->targets_at[CLASS_WEIGHT]),
        .box_weight = in_memory(s, s->targets_at[BOX_WEIGHT]),
        .encodings = in_memory(s, s->targets_at[ENCODINGS]),
        .box_weight_sum = in_memory(s, s->targets_at[WEIGHT_SUM]),
        .matched_count = in_memory(s, s->targets_at[MATCHED_COUNT]),
    };
    s->losses = in_memory(s, s->losses_at);
    s->found = in_memory(s, s->found_at);
    if (s->learner->settings.accumulate > 1) {
        s->sums = in_memory(s, s->sums_at);
        s->so_far = in_memory(s, s->so_far_at);
    }
    s->hyper = in_memory(s, s->hyper_at);
    s->chunks = in_memory(s, s->chunks_at);
    s->moving = in_memory(s, s->moving_at);
    s->heads = in_memory(s, s->heads_at);
    s->workspace = in_memory(s, s->workspace_at);
    bind_ranks(s);
    det_cuda_net_bind(&s->net, s->memory.at, s->params, s->gradients, s->workspace);
    det_cuda_fold_bind(&s->fold, s->memory.at, s->workspace);
}

static det_status upload_moving(struct det_env *env, struct det_step *s)
{
    struct detk_bn_moving *entries = NULL;
    int32_t *heads = NULL;
    const size_t count = moving_count(s), heads_count = (size_t)s->norm_count + 1;
    const int32_t batches = moving_batches(s);
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &entries, count, sizeof *entries, "table of batch norms"));
    DET_TRY(det_alloc(env, &heads, heads_count, sizeof *heads, "table of batch norms"));
    s->moving_runs = det_cuda_fill_moving(&s->net, batches > 1 ? s->ranks->seen : s->net.statistics,
                                          batches, entries, heads);
    DET_TRY(det_cuda_upload(env, s->device, s->moving, entries, count * sizeof *entries,
                            "table of batch norms"));
    DET_TRY(det_cuda_upload(env, s->device, s->heads, heads, heads_count * sizeof *heads,
                            "table of batch norms"));
fail:
    det_free(env, &entries);
    det_free(env, &heads);
    return status;
}

/* What stays as it is until the end. The gradients of variables that nobody learns are never
 * written, but pulled. */
static det_status upload_constants(struct det_env *env, struct det_step *s)
{
    const struct det_graph *g = &s->learner->graph;
    DET_TRY_RETURN(det_cuda_check(
        env, cudaMemsetAsync(s->gradients, 0, g->param_floats * sizeof(float), s->device->stream),
        "clearing the gradients"));
    DET_TRY_RETURN(det_cuda_upload(env, s->device, s->anchors, s->learner->anchors,
                                   (size_t)g->anchor_count * sizeof *s->anchors,
                                   "uploading the anchors"));
    DET_TRY_RETURN(upload_moving(env, s));
    return det_cuda_fold_upload(env, s->device, s->learner, &s->fold);
}

/* A failure leaves the ranks as they are. */
static det_status create(struct det_env *env, struct det_device *device,
                         struct det_learner *learner, struct det_cuda_ranks *ranks,
                         struct det_step **out)
{
    struct det_step *s = NULL;
    DET_TRY_RETURN(det_precision_trains(env, device->settings.precision));
    DET_TRY_RETURN(det_cuda_device_use(env, device));
    DET_TRY_RETURN(det_target_settings_check(env, &learner->settings.targets));
    DET_TRY_RETURN(det_loss_settings_check(env, &learner->settings.loss));
    DET_TRY_RETURN(det_alloc(env, &s, 1, sizeof *s, "training step"));
    det_status status = plan(env, device, learner, ranks, learner->settings.batch_size, s);
    if (status == DET_OK)
        status = det_cuda_fit(env, "a training step", s->batch,
                              s->layout.too_large ? SIZE_MAX : bytes_of(s), bytes_for, s);
    if (status == DET_OK)
        status = take_memory(env, s);
    if (status == DET_OK) {
        bind(s);
        status = det_cuda_net_tune(env, &s->net);
    }
    if (status == DET_OK && learner->settings.quantise)
        status = det_cuda_net_tune(env, &s->fold.net);
    if (status == DET_OK)
        status = upload_constants(env, s);
    if (status == DET_OK)
        status = det_cuda_step_push(env, s);
    if (status != DET_OK) {
        s->ranks = NULL;
        det_cuda_step_destroy(env, &s);
    }
    *out = s;
    return status;
}

det_status det_cuda_step_create(struct det_env *env, struct det_device *device,
                                struct det_learner *learner, struct det_step **out)
{
    struct det_cuda_ranks *ranks = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_cuda_ranks_open(env, device, learner, &ranks));
    const det_status status =
        det_cuda_ranks_agree(env, ranks, create(env, device, learner, ranks, out));
    if (status != DET_OK && *out == NULL)
        det_cuda_ranks_close(env, &ranks);
    else if (status != DET_OK)
        det_cuda_step_destroy(env, out);
    return status;
}

void det_cuda_step_destroy(struct det_env *env, struct det_step **step)
{
    struct det_step *s = *step;
    if (s == NULL)
        return;
    (void)cudaSetDevice(s->device->index);
    /* A staged batch may be on its way. */
    (void)cudaStreamSynchronize(s->device->copies);
    (void)cudaStreamSynchronize(s->device->stream);
    for (int i = 0; i < DET_CUDA_BATCHES; i++)
        det_cuda_batch_destroy(&s->batches[i]);
    det_cuda_ranks_close(env, &s->ranks);
    det_cuda_net_free(env, &s->net);
    det_cuda_fold_free(env, &s->fold);
    det_cuda_block_destroy(&s->memory);
    det_cuda_block_destroy(&s->pinned);
    det_free(env, &s->given);
    det_free(env, step);
}

static det_status push_chunks(struct det_env *env, struct det_step *s)
{
    struct detk_chunk *chunks = NULL;
    const size_t count = (size_t)s->chunk_count;
    DET_TRY_RETURN(det_alloc(env, &chunks, count, sizeof *chunks, "table of variables"));
    det_cuda_fill_chunks(&s->learner->graph, s->learner->trainable, chunks);
    const det_status status = det_cuda_upload(env, s->device, s->chunks, chunks,
                                              count * sizeof *chunks, "table of variables");
    det_free(env, &chunks);
    return status;
}

/* The learner's flags of what is trained go with its values: they are decided while it is set
 * up. */
det_status det_cuda_step_push(struct det_env *env, struct det_step *s)
{
    const struct det_learner *l = s->learner;
    const size_t bytes = l->graph.param_floats * sizeof(float);
    DET_TRY_RETURN(det_cuda_device_use(env, s->device));
    DET_TRY_RETURN(push_chunks(env, s));
    for (int32_t i = 0; i < l->slot_count; i++)
        DET_TRY_RETURN(det_cuda_upload(env, s->device, s->slots[i], l->slots[i], bytes,
                                       "uploading the optimizer's state"));
    DET_TRY_RETURN(
        det_cuda_upload(env, s->device, s->params, l->params, bytes, "uploading the parameters"));
    DET_TRY_RETURN(det_cuda_fold_push(env, s->device, l, &s->fold));
    return det_cuda_net_refresh_params(env, &s->net);
}

det_status det_cuda_step_pull(struct det_env *env, struct det_step *s)
{
    struct det_learner *l = s->learner;
    const size_t bytes = l->graph.param_floats * sizeof(float);
    DET_TRY_RETURN(det_cuda_device_use(env, s->device));
    for (int32_t i = 0; i < l->slot_count; i++)
        DET_TRY_RETURN(det_cuda_download(env, s->device, l->slots[i], s->slots[i], bytes,
                                         "fetching the optimizer's state"));
    DET_TRY_RETURN(
        det_cuda_download(env, s->device, l->params, s->params, bytes, "fetching the parameters"));
    return det_cuda_fold_pull(env, s->device, l, &s->fold);
}

det_status det_cuda_step_pull_gradients(struct det_env *env, struct det_step *s)
{
    struct det_learner *l = s->learner;
    DET_TRY_RETURN(det_cuda_device_use(env, s->device));
    return det_cuda_download(env, s->device, l->gradients, s->gradients,
                             l->graph.param_floats * sizeof(float), "fetching the gradients");
}

size_t det_cuda_step_bytes(const struct det_step *step)
{
    return bytes_of(step);
}
