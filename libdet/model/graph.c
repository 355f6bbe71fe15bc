#include "model/graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "support/mem.h"

#define EXTRACTOR "model/_feature_extractor"
#define BACKBONE  EXTRACTOR "/classification_backbone"
#define FPN       EXTRACTOR "/_fpn_features_generator"
#define PREDICTOR "model/_box_predictor"

/* The first failure sticks and every later call does nothing, so that the network below reads as a
 * list of layers. */
struct builder {
    struct det_env *env;
    const struct det_model_spec *spec;
    struct det_graph *graph;
    det_status status;
    int32_t backbone_layer; /* N of layer_with_weights-N */
};

static int32_t add_tensor(struct builder *b, int32_t height, int32_t width, int32_t channels)
{
    struct det_graph *g = b->graph;
    if (b->status == DET_OK && (int64_t)height * width > DET_MOST_VALUES / channels)
        b->status = det_fail(b->env, DET_STATUS_UNSUPPORTED,
                             "model: a tensor of %d x %d x %d values, at most %d are supported",
                             height, width, channels, DET_MOST_VALUES);
    if (b->status == DET_OK)
        b->status = det_grow(b->env, &g->tensors, &g->tensor_capacity, (size_t)g->tensor_count + 1,
                             sizeof *g->tensors, "graph tensors");
    if (b->status != DET_OK)
        return -1;
    g->tensors[g->tensor_count] = (struct det_tensor){height, width, channels};
    return g->tensor_count++;
}

static struct det_op *add_op(struct builder *b, struct det_op op)
{
    struct det_graph *g = b->graph;
    if (b->status == DET_OK)
        b->status = det_grow(b->env, &g->ops, &g->op_capacity, (size_t)g->op_count + 1,
                             sizeof *g->ops, "graph operations");
    if (b->status != DET_OK)
        return NULL;
    g->ops[g->op_count] = op;
    return &g->ops[g->op_count++];
}

/* One of two tensors that learns nothing. */
static void add_sum(struct builder *b, enum det_op_kind kind, int32_t in, int32_t in2, int32_t out)
{
    add_op(b, (struct det_op){.kind = kind,
                              .in = in,
                              .in2 = in2,
                              .out = out,
                              .weight = -1,
                              .bias = -1,
                              .gamma = -1,
                              .beta = -1,
                              .mean = -1,
                              .variance = -1});
}

/* The parameter with this key; made when it is new (the head's kernels serve every level). */
static int32_t add_param(struct builder *b, const char *prefix, const char *name,
                         struct det_param param)
{
    struct det_graph *g = b->graph;
    if (b->status != DET_OK)
        return -1;
    char key[256];
    snprintf(key, sizeof key, "%s/%s", prefix, name);
    const int32_t present = det_graph_find_param(g, key);
    if (present >= 0)
        return present;
    b->status = det_grow(b->env, &g->params, &g->param_capacity, (size_t)g->param_count + 1,
                         sizeof *g->params, "graph parameters");
    if (b->status == DET_OK)
        b->status = det_strdup(b->env, &param.key, key);
    if (b->status != DET_OK)
        return -1;
    param.count = 1;
    for (int32_t i = 0; i < param.dims; i++)
        param.count *= (size_t)param.shape[i];
    param.offset = g->param_floats;
    param.stored = param.stored || param.trainable;
    g->param_floats += (param.count + 15) / 16 * 16;
    g->params[g->param_count] = param;
    return g->param_count++;
}

static int32_t add_vector(struct builder *b, const char *prefix, const char *name,
                          enum det_param_role role, int32_t channels, float initial, bool trainable,
                          bool stored, bool backbone)
{
    return add_param(b, prefix, name,
                     (struct det_param){
                         .role = role,
                         .dims = 1,
                         .shape = {channels},
                         .init = {.kind = DET_INIT_CONSTANT, .a = initial},
                         .trainable = trainable,
                         .stored = stored,
                         .backbone = backbone,
                     });
}

/* What a convolution layer is: everything but its place. */
struct layer {
    const char *prefix;      /* of the kernel's key */
    const char *kernel_name; /* "kernel", "depthwise_kernel", "pointwise_kernel" */
    enum det_param_role role;
    int32_t kernel, stride, out_c;
    struct det_init_spec init;
    float l2;
    bool bias;
    float bias_init;
    bool backbone, head;
    const struct det_hyper_spec *norm; /* batch norm after it, or NULL */
    const char *norm_prefix;
    enum det_activation act; /* after the batch norm */
};

static void add_batch_norm(struct builder *b, const struct layer *l, int32_t in, int32_t out,
                           int32_t channels)
{
    const struct det_hyper_spec *n = l->norm;
    struct det_op op = {
        .kind = DET_OP_BATCH_NORM,
        .in = in,
        .in2 = -1,
        .out = out,
        .weight = -1,
        .bias = -1,
        .act = l->act,
        .epsilon = n->bn_epsilon,
        .decay = n->bn_decay,
        .head = l->head,
    };
    op.gamma = add_vector(b, l->norm_prefix, "gamma", DET_PARAM_GAMMA, channels, 1.0f, n->bn_scale,
                          n->bn_scale, l->backbone);
    op.beta = add_vector(b, l->norm_prefix, "beta", DET_PARAM_BETA, channels, 0.0f, n->bn_center,
                         n->bn_center, l->backbone);
    op.mean = add_vector(b, l->norm_prefix, "moving_mean", DET_PARAM_MOVING_MEAN, channels, 0.0f,
                         false, true, l->backbone);
    op.variance = add_vector(b, l->norm_prefix, "moving_variance", DET_PARAM_MOVING_VARIANCE,
                             channels, 1.0f, false, true, l->backbone);
    add_op(b, op);
}

/* Convolution, and its batch norm and activation. Returns the output tensor. */
static int32_t add_layer(struct builder *b, int32_t in, const struct layer *l)
{
    if (b->status != DET_OK)
        return -1;
    const struct det_tensor from = b->graph->tensors[in];
    const bool depthwise = l->role == DET_PARAM_DEPTHWISE;
    const int32_t out_c = depthwise ? from.channels : l->out_c;
    const struct det_conv_shape s =
        det_conv_same(1, from.height, from.width, from.channels, out_c, l->kernel, l->stride);
    const bool fold = b->graph->folded && l->norm != NULL;
    struct det_param kernel = {
        .role = l->role,
        .dims = 4,
        .shape = {l->kernel, l->kernel, from.channels, depthwise ? 1 : out_c},
        .init = l->init,
        .l2 = l->l2,
        .trainable = true,
        .backbone = l->backbone,
    };
    struct det_op op = {
        .kind = depthwise ? DET_OP_DWCONV : DET_OP_CONV,
        .in = in,
        .in2 = -1,
        .bias = -1,
        .gamma = -1,
        .beta = -1,
        .mean = -1,
        .variance = -1,
        .kernel = l->kernel,
        .stride = l->stride,
        .act = fold || l->norm == NULL ? l->act : DET_ACTIVATION_NONE,
    };
    /* A folded kernel belongs to its batch norm, not to the layer that several levels share. */
    op.weight = fold ? add_param(b, l->norm_prefix, "folded_kernel", kernel)
                     : add_param(b, l->prefix, l->kernel_name, kernel);
    if (fold)
        op.bias = add_vector(b, l->norm_prefix, "folded_bias", DET_PARAM_BIAS, out_c, 0.0f, true,
                             true, l->backbone);
    else if (l->bias)
        op.bias = add_vector(b, l->prefix, "bias", DET_PARAM_BIAS, out_c, l->bias_init, true, true,
                             l->backbone);
    op.out = add_tensor(b, s.out_h, s.out_w, out_c);
    add_op(b, op);
    if (l->norm == NULL || fold)
        return op.out;
    const int32_t out = add_tensor(b, s.out_h, s.out_w, out_c);
    add_batch_norm(b, l, op.out, out, out_c);
    return out;
}

/* --- MobileNetV2 --- */

/* keras_models/mobilenet_v2.py _make_divisible */
static int32_t make_divisible(double value, int32_t divisor)
{
    int32_t rounded = (int32_t)(value + divisor / 2.0) / divisor * divisor;
    if (rounded < divisor)
        rounded = divisor;
    if (rounded < 0.9 * value)
        rounded += divisor;
    return rounded;
}

static int32_t at_least(int32_t value, int32_t low)
{
    return value < low ? low : value;
}

/* One convolution of the backbone with its batch norm: two entries of layer_with_weights-N. */
static int32_t add_backbone_layer(struct builder *b, int32_t in, bool depthwise, int32_t kernel,
                                  int32_t stride, int32_t out_c, enum det_activation act)
{
    char prefix[128], norm_prefix[128];
    snprintf(prefix, sizeof prefix, BACKBONE "/layer_with_weights-%d", b->backbone_layer);
    snprintf(norm_prefix, sizeof norm_prefix, BACKBONE "/layer_with_weights-%d",
             b->backbone_layer + 1);
    b->backbone_layer += 2;
    const struct det_hyper_spec *hyper = &b->spec->backbone;
    return add_layer(b, in,
                     &(struct layer){
                         .prefix = prefix,
                         .kernel_name = depthwise ? "depthwise_kernel" : "kernel",
                         .role = depthwise ? DET_PARAM_DEPTHWISE : DET_PARAM_KERNEL,
                         .kernel = kernel,
                         .stride = stride,
                         .out_c = out_c,
                         .init = hyper->init,
                         .l2 = hyper->l2,
                         .backbone = true,
                         .norm = hyper,
                         .norm_prefix = norm_prefix,
                         .act = act,
                     });
}

static int32_t channels_of(const struct builder *b, int32_t tensor)
{
    return tensor < 0 ? 1 : b->graph->tensors[tensor].channels;
}

/* Inverted residual (MobileNetV2 paper, section 3.3). */
static int32_t add_block(struct builder *b, int32_t in, int32_t expansion, int32_t filters,
                         int32_t stride)
{
    const struct det_model_spec *spec = b->spec;
    const int32_t in_c = channels_of(b, in);
    const int32_t wanted =
        make_divisible((int32_t)((double)filters * (double)spec->depth_multiplier), 8);
    int32_t at = in;
    if (expansion != 1)
        at = add_backbone_layer(b, at, false, 1, 1, expansion * in_c, DET_ACTIVATION_RELU6);
    at = add_backbone_layer(b, at, true, 3, stride, 0, DET_ACTIVATION_RELU6);
    at = add_backbone_layer(b, at, false, 1, 1, at_least(wanted, spec->min_depth),
                            DET_ACTIVATION_NONE);
    /* Keras compares with the width before min_depth raised it: so do we. */
    if (stride != 1 || in_c != wanted || b->status != DET_OK)
        return at;
    const struct det_tensor t = b->graph->tensors[at];
    const int32_t out = add_tensor(b, t.height, t.width, t.channels);
    add_sum(b, DET_OP_ADD, in, at, out);
    return out;
}

/* taps: outputs with stride 4, 8, 16 and 32: block_2, block_5, block_12 and out_relu. */
static void add_backbone(struct builder *b, int32_t input, int32_t taps[4])
{
    static const struct {
        int32_t expansion, filters, repeats, stride;
    } groups[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                  {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    const struct det_model_spec *spec = b->spec;
    const double alpha = (double)spec->depth_multiplier;
    int32_t at = add_backbone_layer(b, input, false, 3, 2,
                                    at_least(make_divisible(32 * alpha, 8), spec->min_depth),
                                    DET_ACTIVATION_RELU6);
    int32_t block = 0;
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        for (int32_t i = 0; i < groups[g].repeats; i++, block++) {
            at = add_block(b, at, groups[g].expansion, groups[g].filters,
                           i == 0 ? groups[g].stride : 1);
            if (block == 2)
                taps[0] = at;
            else if (block == 5)
                taps[1] = at;
            else if (block == 12)
                taps[2] = at;
        }
    }
    const int32_t last = alpha < 1.0 ? make_divisible(1280 * alpha, 8) : 1280;
    taps[3] = add_backbone_layer(b, at, false, 1, 1, at_least(last, spec->min_depth),
                                 DET_ACTIVATION_RELU6);
}

/* --- feature pyramid --- */

/* create_conv_block of models/feature_map_generators.py: 3x3, dense or separable, batch norm,
 * ReLU6. */
static int32_t add_fpn_block(struct builder *b, int32_t in, const char *prefix, int32_t stride,
                             int32_t depth)
{
    char conv[160], norm[160];
    snprintf(conv, sizeof conv, "%s/0", prefix);
    snprintf(norm, sizeof norm, "%s/1", prefix);
    const struct det_hyper_spec *hyper = &b->spec->fpn;
    struct layer dense = {
        .prefix = conv,
        .kernel_name = "kernel",
        .role = DET_PARAM_KERNEL,
        .kernel = 3,
        .stride = stride,
        .out_c = depth,
        .init = hyper->init,
        .l2 = hyper->l2,
        .norm = hyper,
        .norm_prefix = norm,
        .act = DET_ACTIVATION_RELU6,
    };
    if (!b->spec->fpn_depthwise)
        return add_layer(b, in, &dense);
    const struct layer depthwise = {
        .prefix = conv,
        .kernel_name = "depthwise_kernel",
        .role = DET_PARAM_DEPTHWISE,
        .kernel = 3,
        .stride = stride,
        .init = hyper->init,
        .l2 = hyper->l2,
    };
    /* Keras gives the pointwise kernel its own defaults: Glorot, no regulariser. */
    dense.kernel_name = "pointwise_kernel";
    dense.role = DET_PARAM_POINTWISE;
    dense.kernel = dense.stride = 1;
    dense.init = (struct det_init_spec){.kind = DET_INIT_GLOROT_UNIFORM};
    dense.l2 = 0.0f;
    return add_layer(b, add_layer(b, in, &depthwise), &dense);
}

static int32_t add_projection(struct builder *b, int32_t in, const char *prefix, int32_t depth)
{
    const struct det_hyper_spec *hyper = &b->spec->fpn;
    return add_layer(b, in,
                     &(struct layer){
                         .prefix = prefix,
                         .kernel_name = "kernel",
                         .role = DET_PARAM_KERNEL,
                         .kernel = 1,
                         .stride = 1,
                         .out_c = depth,
                         .init = hyper->init,
                         .l2 = hyper->l2,
                         .bias = true,
                     });
}

static void add_pyramid(struct builder *b, const int32_t taps[4])
{
    const struct det_model_spec *spec = b->spec;
    struct det_graph *g = b->graph;
    const int32_t depth = det_model_spec_pyramid_depth(spec);
    char prefix[160];
    int32_t down = add_projection(b, taps[3], FPN "/top_layers/0", depth);
    g->features[5 - spec->min_level] = down;
    for (int32_t level = 4, index = 0; level >= spec->min_level; level--, index++) {
        snprintf(prefix, sizeof prefix, FPN "/residual_blocks/%d/0", index);
        const int32_t lateral = add_projection(b, taps[level - 2], prefix, depth);
        if (b->status != DET_OK)
            return;
        const struct det_tensor t = g->tensors[lateral];
        const int32_t merged = add_tensor(b, t.height, t.width, depth);
        add_sum(b, DET_OP_UPSAMPLE_ADD, down, lateral, merged);
        snprintf(prefix, sizeof prefix, FPN "/conv_layers/%d", index);
        down = add_fpn_block(b, merged, prefix, 1, depth);
        g->features[level - spec->min_level] = down;
    }
    int32_t coarse = g->features[5 - spec->min_level];
    for (int32_t level = 6; level <= spec->max_level; level++) {
        snprintf(prefix, sizeof prefix, EXTRACTOR "/_coarse_feature_layers/%d", level - 6);
        coarse = add_fpn_block(b, coarse, prefix, 2, depth);
        g->features[level - spec->min_level] = coarse;
    }
}

/* --- box predictor --- */

static int32_t add_tower(struct builder *b, int32_t in, const char *scope, const char *head_name,
                         int32_t level_index)
{
    const struct det_model_spec *spec = b->spec;
    const struct det_hyper_spec *hyper = &spec->head;
    int32_t at = in;
    for (int32_t i = 0; i < spec->head_layers; i++) {
        char conv[160], norm[160];
        snprintf(conv, sizeof conv, PREDICTOR "/_head_scope_conv_layers/%s/%d", scope, i);
        snprintf(norm, sizeof norm, PREDICTOR "/_base_tower_layers_for_heads/%s/%d/%d", head_name,
                 level_index, 3 * i + 1);
        struct layer dense = {
            .prefix = conv,
            .kernel_name = "kernel",
            .role = DET_PARAM_KERNEL,
            .kernel = spec->head_kernel,
            .stride = 1,
            .out_c = spec->head_depth,
            .init = hyper->init,
            .l2 = hyper->l2,
            .head = true,
            .norm = hyper,
            .norm_prefix = norm,
            .act = DET_ACTIVATION_RELU6,
        };
        if (spec->head_depthwise) {
            const struct layer depthwise = {
                .prefix = conv,
                .kernel_name = "depthwise_kernel",
                .role = DET_PARAM_DEPTHWISE,
                .kernel = spec->head_kernel,
                .stride = 1,
                .init = hyper->init,
                .l2 = hyper->l2,
            };
            at = add_layer(b, at, &depthwise);
            dense.kernel_name = "pointwise_kernel";
            dense.role = DET_PARAM_POINTWISE;
            dense.kernel = 1;
            dense.init = (struct det_init_spec){.kind = DET_INIT_GLOROT_UNIFORM};
            dense.l2 = 0.0f;
        }
        at = add_layer(b, at, &dense);
    }
    return at;
}

/* WeightSharedConvolutionalBoxHead / ClassHead */
static int32_t add_predictor(struct builder *b, int32_t in, const char *prefix, int32_t out_c,
                             float bias_init)
{
    const struct det_model_spec *spec = b->spec;
    const struct det_hyper_spec *hyper = &spec->head;
    struct layer dense = {
        .prefix = prefix,
        .kernel_name = "kernel",
        .role = DET_PARAM_KERNEL,
        .kernel = spec->head_kernel,
        .stride = 1,
        .out_c = out_c,
        .init = hyper->init,
        .l2 = hyper->l2,
        .bias = true,
        .bias_init = bias_init,
    };
    if (!spec->head_depthwise)
        return add_layer(b, in, &dense);
    struct layer depthwise = {
        .prefix = prefix,
        .kernel_name = "depthwise_kernel",
        .role = DET_PARAM_DEPTHWISE,
        .kernel = spec->head_kernel,
        .stride = 1,
        .init = hyper->init,
        .l2 = hyper->l2,
    };
    dense.kernel_name = "pointwise_kernel";
    dense.role = DET_PARAM_POINTWISE;
    dense.kernel = 1;
    if (!spec->hyper_on_heads) {
        dense.init = depthwise.init = (struct det_init_spec){.kind = DET_INIT_GLOROT_UNIFORM};
        dense.l2 = depthwise.l2 = 0.0f;
    }
    return add_layer(b, add_layer(b, in, &depthwise), &dense);
}

static void add_head(struct builder *b)
{
    const struct det_model_spec *spec = b->spec;
    struct det_graph *g = b->graph;
    for (int32_t l = 0; l < g->levels && b->status == DET_OK; l++) {
        const int32_t feature = g->features[l];
        const int32_t box_tower =
            add_tower(b, feature, spec->share_tower ? "PredictionTower" : "BoxPredictionTower",
                      "box_encodings", l);
        const int32_t class_tower = spec->share_tower
                                        ? box_tower
                                        : add_tower(b, feature, "ClassPredictionTower",
                                                    "class_predictions_with_background", l);
        g->box_outputs[l] =
            add_predictor(b, box_tower, PREDICTOR "/_box_prediction_head/_box_encoder_layers/0",
                          g->anchors_per_cell * 4, 0.0f);
        g->class_outputs[l] = add_predictor(
            b, class_tower,
            PREDICTOR
            "/_prediction_heads/class_predictions_with_background/_class_predictor_layers/0",
            g->anchors_per_cell * g->class_slots, spec->class_bias_init);
        if (b->status == DET_OK) {
            const struct det_tensor t = g->tensors[g->box_outputs[l]];
            g->anchor_count += t.height * t.width * g->anchors_per_cell;
        }
    }
}

static int32_t round_up(int32_t value, int32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

const char *det_op_kind_name(enum det_op_kind kind)
{
    static const char *const names[] = {
#define DET_OP_KIND_NAME(kind, name) name,
        DET_OP_KINDS(DET_OP_KIND_NAME)
#undef DET_OP_KIND_NAME
    };
    return names[kind];
}

det_status det_graph_build(struct det_env *env, const struct det_model_spec *spec, bool folded,
                           struct det_graph *graph)
{
    *graph = (struct det_graph){.folded = folded};
    DET_TRY_RETURN(det_model_spec_check(env, spec));
    graph->levels = spec->max_level - spec->min_level + 1;
    graph->anchors_per_cell = det_model_spec_anchors_per_cell(spec);
    graph->class_slots = spec->num_classes + 1;
    struct builder b = {.env = env, .spec = spec, .graph = graph};
    const int32_t input = add_tensor(&b, round_up(spec->input_height, spec->pad_to_multiple),
                                     round_up(spec->input_width, spec->pad_to_multiple), 3);
    int32_t taps[4] = {-1, -1, -1, -1};
    add_backbone(&b, input, taps);
    add_pyramid(&b, taps);
    add_head(&b);
    /* Names point at keys, which do not move any more. */
    for (int32_t i = 0; b.status == DET_OK && i < graph->op_count; i++) {
        struct det_op *op = &graph->ops[i];
        const int32_t named = op->weight >= 0 ? op->weight : op->gamma;
        op->name = named >= 0               ? graph->params[named].key
                   : op->kind == DET_OP_ADD ? "residual add"
                                            : "upsample and add";
    }
    if (b.status != DET_OK)
        det_graph_free(env, graph);
    return b.status;
}

void det_graph_free(struct det_env *env, struct det_graph *graph)
{
    for (int32_t i = 0; i < graph->param_count; i++)
        det_free(env, &graph->params[i].key);
    det_free(env, &graph->params);
    det_free(env, &graph->tensors);
    det_free(env, &graph->ops);
    *graph = (struct det_graph){0};
}

bool det_graph_is_output(const struct det_graph *graph, int32_t tensor)
{
    for (int32_t l = 0; l < graph->levels; l++)
        if (graph->box_outputs[l] == tensor || graph->class_outputs[l] == tensor)
            return true;
    return false;
}

int32_t det_graph_find_param(const struct det_graph *graph, const char *key)
{
    for (int32_t i = 0; i < graph->param_count; i++) {
        if (strcmp(graph->params[i].key, key) == 0)
            return i;
    }
    return -1;
}

/* --- values --- */

enum { FOLDED_AT_ONCE = 64 }; /* channels */

static int32_t at_most(int32_t value, int32_t high)
{
    return value > high ? high : value;
}

static void fold_one(const struct det_graph *training, const float *params,
                     const struct det_op *conv, const struct det_op *norm,
                     const struct det_graph *folded, const struct det_op *to, float *out)
{
    const struct det_param *from = &training->params[conv->weight];
    const struct det_param *kernel = &folded->params[to->weight];
    const int32_t channels = folded->params[to->bias].shape[0];
    const float *gamma = params + training->params[norm->gamma].offset;
    const float *beta = params + training->params[norm->beta].offset;
    const float *mean = params + training->params[norm->mean].offset;
    const float *variance = params + training->params[norm->variance].offset;
    const float *w = params + from->offset;
    float *folded_w = out + kernel->offset;
    float *folded_b = out + folded->params[to->bias].offset;
    /* The output channel runs fastest in both layouts: HWIO, and HWC1 read as HWC. */
    for (int32_t first = 0; first < channels; first += FOLDED_AT_ONCE) {
        const int32_t end = at_most(first + FOLDED_AT_ONCE, channels);
        double scale[FOLDED_AT_ONCE];
        for (int32_t c = first; c < end; c++)
            scale[c - first] = (double)gamma[c] / sqrt((double)variance[c] + (double)norm->epsilon);
        for (size_t row = 0; row < kernel->count; row += (size_t)channels)
            for (int32_t c = first; c < end; c++)
                folded_w[row + (size_t)c] = (float)((double)w[row + (size_t)c] * scale[c - first]);
        for (int32_t c = first; c < end; c++)
            folded_b[c] = (float)((double)beta[c] - (double)mean[c] * scale[c - first]);
    }
}

static void copy_param(const struct det_graph *from_graph, int32_t from, const float *values,
                       const struct det_graph *to_graph, int32_t to, float *out)
{
    if (from >= 0)
        memcpy(out + to_graph->params[to].offset, values + from_graph->params[from].offset,
               from_graph->params[from].count * sizeof *out);
}

void det_graph_fold_params(const struct det_graph *training, const float *params,
                           const struct det_graph *folded, float *folded_params)
{
    memset(folded_params, 0, folded->param_floats * sizeof *folded_params);
    /* One builder made both, so the operations come in the same order, less the batch norms. */
    int32_t j = 0;
    for (int32_t i = 0; i < training->op_count; i++) {
        const struct det_op *op = &training->ops[i];
        if (op->kind == DET_OP_BATCH_NORM)
            continue;
        const struct det_op *to = &folded->ops[j++];
        const struct det_op *next = i + 1 < training->op_count ? op + 1 : NULL;
        if (next != NULL && next->kind == DET_OP_BATCH_NORM && next->in == op->out) {
            fold_one(training, params, op, next, folded, to, folded_params);
        } else {
            copy_param(training, op->weight, params, folded, to->weight, folded_params);
            copy_param(training, op->bias, params, folded, to->bias, folded_params);
        }
    }
}

/* Keras' fans: the receptive field times the last but one and the last dimension. */
static void fans(const struct det_param *param, double *fan_in, double *fan_out)
{
    const double field = (double)param->shape[0] * param->shape[1];
    *fan_in = field * param->shape[2];
    *fan_out = field * param->shape[3];
}

static void init_one(const struct det_param *param, struct det_rng *rng, float *values)
{
    const struct det_init_spec *init = &param->init;
    double fan_in = 1, fan_out = 1, limit = 0;
    enum { CONSTANT, NORMAL, TRUNCATED, UNIFORM } draw = CONSTANT;
    float mean = init->a, deviation = init->b;
    if (param->dims == 4)
        fans(param, &fan_in, &fan_out);
    switch (init->kind) {
    case DET_INIT_CONSTANT:
        break;
    case DET_INIT_NORMAL:
        draw = NORMAL;
        break;
    case DET_INIT_TRUNCATED_NORMAL:
        draw = TRUNCATED;
        break;
    case DET_INIT_GLOROT_UNIFORM:
        draw = UNIFORM;
        limit = sqrt(6.0 / (fan_in + fan_out));
        break;
    case DET_INIT_VARIANCE_SCALING: {
        const double fan = init->fan_mode == DET_INIT_FAN_IN    ? fan_in
                           : init->fan_mode == DET_INIT_FAN_OUT ? fan_out
                                                                : 0.5 * (fan_in + fan_out);
        const double scale = (double)init->a / fmax(1.0, fan);
        draw = init->uniform ? UNIFORM : TRUNCATED;
        limit = sqrt(3.0 * scale);
        mean = 0.0f;
        /* the standard deviation of a normal truncated at two deviations */
        deviation = (float)(sqrt(scale) / 0.87962566103423978);
        break;
    }
    }
    for (size_t i = 0; i < param->count; i++) {
        if (draw == NORMAL)
            values[i] = mean + deviation * det_rng_normal(rng);
        else if (draw == TRUNCATED)
            values[i] = mean + deviation * det_rng_truncated_normal(rng);
        else if (draw == UNIFORM)
            values[i] = (float)((2.0 * det_rng_uniform_double(rng) - 1.0) * limit);
        else
            values[i] = init->a;
    }
}

void det_graph_init_params(const struct det_graph *graph, uint64_t seed, float *params)
{
    memset(params, 0, graph->param_floats * sizeof *params);
    for (int32_t i = 0; i < graph->param_count; i++) {
        struct det_rng rng;
        det_rng_init(&rng, seed, (uint64_t)i, 0);
        init_one(&graph->params[i], &rng, params + graph->params[i].offset);
    }
}
