/* graph_json.c: the network as JSON, for scripts that build the same one for a peer. */
#include <cjson/cJSON.h>

#include "partner.h"

static const char *const roles[] = {"kernel", "depthwise", "pointwise",   "bias",
                                    "gamma",  "beta",      "moving_mean", "moving_variance"};

static cJSON *params_of(const struct det_graph *graph)
{
    cJSON *list = cJSON_CreateArray();
    for (int32_t i = 0; i < graph->param_count; i++) {
        const struct det_param *param = &graph->params[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(list, item);
        cJSON_AddStringToObject(item, "key", param->key);
        cJSON_AddStringToObject(item, "role", roles[param->role]);
        cJSON_AddItemToObject(item, "shape", cJSON_CreateIntArray(param->shape, param->dims));
        cJSON_AddNumberToObject(item, "offset", (double)param->offset);
        cJSON_AddNumberToObject(item, "l2", (double)param->l2);
        cJSON_AddBoolToObject(item, "trainable", param->trainable);
    }
    return list;
}

static cJSON *ops_of(const struct det_graph *graph)
{
    cJSON *list = cJSON_CreateArray();
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        const struct {
            const char *name;
            int32_t value;
        } numbers[] = {{"in", op->in},
                       {"in2", op->in2},
                       {"out", op->out},
                       {"weight", op->weight},
                       {"bias", op->bias},
                       {"gamma", op->gamma},
                       {"beta", op->beta},
                       {"mean", op->mean},
                       {"variance", op->variance},
                       {"kernel", op->kernel},
                       {"stride", op->stride},
                       {"relu6", op->act == DET_ACTIVATION_RELU6}};
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(list, item);
        cJSON_AddStringToObject(item, "kind", det_op_kind_name(op->kind));
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            cJSON_AddNumberToObject(item, numbers[k].name, numbers[k].value);
        cJSON_AddNumberToObject(item, "epsilon", (double)op->epsilon);
        cJSON_AddNumberToObject(item, "decay", (double)op->decay);
    }
    return list;
}

char *partner_graph_json(const struct det_graph *graph)
{
    cJSON *root = cJSON_CreateObject(), *tensors = cJSON_AddArrayToObject(root, "tensors");
    for (int32_t i = 0; i < graph->tensor_count; i++) {
        const struct det_tensor t = graph->tensors[i];
        const int sizes[3] = {t.height, t.width, t.channels};
        cJSON_AddItemToArray(tensors, cJSON_CreateIntArray(sizes, 3));
    }
    cJSON_AddItemToObject(root, "params", params_of(graph));
    cJSON_AddItemToObject(root, "ops", ops_of(graph));
    cJSON_AddItemToObject(root, "box_outputs",
                          cJSON_CreateIntArray(graph->box_outputs, graph->levels));
    cJSON_AddItemToObject(root, "class_outputs",
                          cJSON_CreateIntArray(graph->class_outputs, graph->levels));
    cJSON_AddNumberToObject(root, "class_slots", graph->class_slots);
    cJSON_AddNumberToObject(root, "anchors", graph->anchor_count);
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}
