#include "export/tf_object_graph.h"

#include <string.h>

#include "formats/protowire.h"
#include "formats/tf_bundle.h"
#include "support/mem.h"

static det_status new_node(struct det_env *env, struct det_tf_graph *g, int32_t *node)
{
    if (g->node_count >= INT32_MAX)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "an object graph of %zu nodes", g->node_count);
    DET_TRY_RETURN(det_grow(env, &g->nodes, &g->node_capacity, g->node_count + 1, sizeof *g->nodes,
                            "object graph"));
    g->nodes[g->node_count] = (struct det_tf_node){0};
    *node = (int32_t)g->node_count++;
    return DET_OK;
}

static det_status add_edge(struct det_env *env, struct det_tf_graph *g, int32_t from,
                           const char *name, size_t bytes, int32_t to)
{
    DET_TRY_RETURN(det_grow(env, &g->edges, &g->edge_capacity, g->edge_count + 1, sizeof *g->edges,
                            "object graph"));
    struct det_tf_edge *edge = &g->edges[g->edge_count];
    *edge = (struct det_tf_edge){.from = from, .to = to};
    DET_TRY_RETURN(det_strndup(env, &edge->name, name, bytes));
    g->edge_count++;
    return DET_OK;
}

static int32_t find_child(const struct det_tf_graph *g, int32_t from, const char *name,
                          size_t bytes)
{
    for (size_t e = 0; e < g->edge_count; e++)
        if (g->edges[e].from == from && strncmp(g->edges[e].name, name, bytes) == 0 &&
            g->edges[e].name[bytes] == '\0')
            return g->edges[e].to;
    return -1;
}

det_status det_tf_graph_add(struct det_env *env, struct det_tf_graph *g, const char *path,
                            int32_t *node)
{
    *node = 0;
    if (g->node_count == 0) {
        DET_TRY_RETURN(new_node(env, g, node));
        DET_TRY_RETURN(det_strdup(env, &g->nodes[0].path, ""));
    }
    for (const char *at = path; *at != '\0';) {
        const size_t length = strcspn(at, "/");
        int32_t child = find_child(g, *node, at, length);
        if (child < 0) {
            DET_TRY_RETURN(new_node(env, g, &child));
            DET_TRY_RETURN(
                det_strndup(env, &g->nodes[child].path, path, (size_t)(at - path) + length));
            DET_TRY_RETURN(add_edge(env, g, *node, at, length, child));
        }
        *node = child;
        at += length + (at[length] == '/');
    }
    return DET_OK;
}

det_status det_tf_graph_add_variable(struct det_env *env, struct det_tf_graph *g, const char *path,
                                     int32_t *node)
{
    DET_TRY_RETURN(det_tf_graph_add(env, g, path, node));
    return det_format(env, &g->nodes[*node].key, "%s" DET_TF_VARIABLE_SUFFIX, path);
}

det_status det_tf_graph_add_name(struct det_env *env, struct det_tf_graph *g, int32_t from,
                                 const char *name, int32_t node)
{
    return add_edge(env, g, from, name, strlen(name), node);
}

static det_status slot_path(struct det_env *env, const struct det_tf_graph *g,
                            const struct det_tf_slot *slot, char **path)
{
    return det_format(env, path, "%s/.OPTIMIZER_SLOT/%s/%s", g->nodes[slot->variable].path,
                      g->nodes[slot->optimizer].path, slot->name);
}

det_status det_tf_graph_add_slot(struct det_env *env, struct det_tf_graph *g, int32_t optimizer,
                                 int32_t variable, const char *name, int32_t *node)
{
    DET_TRY_RETURN(det_grow(env, &g->slots, &g->slot_capacity, g->slot_count + 1, sizeof *g->slots,
                            "object graph"));
    struct det_tf_slot *slot = &g->slots[g->slot_count];
    *slot = (struct det_tf_slot){.optimizer = optimizer, .variable = variable};
    DET_TRY_RETURN(det_strdup(env, &slot->name, name));
    g->slot_count++;
    DET_TRY_RETURN(new_node(env, g, node));
    slot->to = *node;
    DET_TRY_RETURN(slot_path(env, g, slot, &g->nodes[*node].path));
    return det_format(env, &g->nodes[*node].key, "%s" DET_TF_VARIABLE_SUFFIX, g->nodes[*node].path);
}

void det_tf_graph_free(struct det_env *env, struct det_tf_graph *g)
{
    for (size_t i = 0; i < g->node_count; i++) {
        det_free(env, &g->nodes[i].path);
        det_free(env, &g->nodes[i].key);
    }
    for (size_t i = 0; i < g->edge_count; i++)
        det_free(env, &g->edges[i].name);
    for (size_t i = 0; i < g->slot_count; i++)
        det_free(env, &g->slots[i].name);
    det_free(env, &g->nodes);
    det_free(env, &g->edges);
    det_free(env, &g->slots);
    *g = (struct det_tf_graph){0};
}

/* --- as bytes --- */

static det_status put_text(struct det_env *env, struct det_text *bytes, uint32_t number,
                           const char *text)
{
    return det_wire_put_bytes(env, bytes, number, text, strlen(text));
}

/* ObjectReference: node_id 1, local_name 2. */
static det_status put_edge(struct det_env *env, const struct det_tf_edge *edge,
                           struct det_text *bytes)
{
    size_t mark = 0;
    DET_TRY_RETURN(det_wire_begin(env, bytes, 1, &mark));
    DET_TRY_RETURN(det_wire_put_varint(env, bytes, 1, (uint64_t)edge->to));
    DET_TRY_RETURN(put_text(env, bytes, 2, edge->name));
    return det_wire_end(env, bytes, mark);
}

/* SerializedTensor: name 1, checkpoint_key 3 (full_name 2 is for TensorFlow 1). */
static det_status put_values(struct det_env *env, const char *key, struct det_text *bytes)
{
    size_t mark = 0;
    DET_TRY_RETURN(det_wire_begin(env, bytes, 2, &mark));
    DET_TRY_RETURN(put_text(env, bytes, 1, "VARIABLE_VALUE"));
    DET_TRY_RETURN(put_text(env, bytes, 3, key));
    return det_wire_end(env, bytes, mark);
}

/* SlotVariableReference: original_variable_node_id 1, slot_name 2, slot_variable_node_id 3. */
static det_status put_slot(struct det_env *env, const struct det_tf_slot *slot,
                           struct det_text *bytes)
{
    size_t mark = 0;
    DET_TRY_RETURN(det_wire_begin(env, bytes, 3, &mark));
    DET_TRY_RETURN(det_wire_put_varint(env, bytes, 1, (uint64_t)slot->variable));
    DET_TRY_RETURN(put_text(env, bytes, 2, slot->name));
    DET_TRY_RETURN(det_wire_put_varint(env, bytes, 3, (uint64_t)slot->to));
    return det_wire_end(env, bytes, mark);
}

/* TrackableObject: children 1, attributes 2, slot_variables 3, has_checkpoint_values 5 (a
 * BoolValue). */
static det_status put_node(struct det_env *env, const struct det_tf_graph *g, int32_t node,
                           struct det_text *bytes)
{
    for (size_t e = 0; e < g->edge_count; e++)
        if (g->edges[e].from == node)
            DET_TRY_RETURN(put_edge(env, &g->edges[e], bytes));
    if (g->nodes[node].key != NULL)
        DET_TRY_RETURN(put_values(env, g->nodes[node].key, bytes));
    for (size_t s = 0; s < g->slot_count; s++)
        if (g->slots[s].optimizer == node)
            DET_TRY_RETURN(put_slot(env, &g->slots[s], bytes));
    return det_wire_put_bytes(env, bytes, 5, "\x08\x01", 2);
}

det_status det_tf_graph_write(struct det_env *env, const struct det_tf_graph *g,
                              struct det_text *bytes)
{
    for (size_t i = 0; i < g->node_count; i++) {
        size_t mark = 0;
        DET_TRY_RETURN(det_wire_begin(env, bytes, 1, &mark));
        DET_TRY_RETURN(put_node(env, g, (int32_t)i, bytes));
        DET_TRY_RETURN(det_wire_end(env, bytes, mark));
    }
    return DET_OK;
}

/* --- back --- */

struct reference {
    uint64_t first, second; /* fields 1 and 3 where they are numbers */
    struct det_wire name;   /* field 2, or the last text */
};

static det_status read_reference(struct det_env *env, struct det_wire wire, struct reference *r)
{
    *r = (struct reference){0};
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.type == DET_WIRE_BYTES)
            r->name = field.payload;
        else
            *(field.number == 1 ? &r->first : &r->second) = field.value;
    }
}

static det_status check_node(struct det_env *env, const struct det_tf_graph *g, uint64_t node)
{
    return node < g->node_count
               ? DET_OK
               : det_fail(env, DET_STATUS_CORRUPT, "object graph: node %llu of %zu",
                          (unsigned long long)node, g->node_count);
}

static det_status read_slot(struct det_env *env, struct det_tf_graph *g, int32_t optimizer,
                            const struct reference *r)
{
    DET_TRY_RETURN(check_node(env, g, r->first));
    DET_TRY_RETURN(check_node(env, g, r->second));
    DET_TRY_RETURN(det_grow(env, &g->slots, &g->slot_capacity, g->slot_count + 1, sizeof *g->slots,
                            "object graph"));
    struct det_tf_slot *slot = &g->slots[g->slot_count];
    *slot = (struct det_tf_slot){
        .optimizer = optimizer, .variable = (int32_t)r->first, .to = (int32_t)r->second};
    DET_TRY_RETURN(det_strndup(env, &slot->name, (const char *)r->name.data, r->name.bytes));
    g->slot_count++;
    return DET_OK;
}

static det_status read_node(struct det_env *env, struct det_tf_graph *g, int32_t node,
                            struct det_wire wire)
{
    for (;;) {
        struct det_wire_field field;
        struct reference r;
        DET_TRY_RETURN(det_wire_next(env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number > 3)
            continue;
        DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_BYTES, "object"));
        DET_TRY_RETURN(read_reference(env, field.payload, &r));
        if (r.name.data == NULL)
            return det_fail(env, DET_STATUS_CORRUPT, "object graph: node %d: a name is missing",
                            node);
        if (field.number == 1) {
            DET_TRY_RETURN(check_node(env, g, r.first));
            DET_TRY_RETURN(
                add_edge(env, g, node, (const char *)r.name.data, r.name.bytes, (int32_t)r.first));
        } else if (field.number == 2) {
            if (g->nodes[node].key != NULL)
                return det_fail(env, DET_STATUS_UNSUPPORTED,
                                "object graph: node %d has values under two keys", node);
            DET_TRY_RETURN(
                det_strndup(env, &g->nodes[node].key, (const char *)r.name.data, r.name.bytes));
        } else {
            DET_TRY_RETURN(read_slot(env, g, node, &r));
        }
    }
}

/* Calls `read` for the nodes in order, or counts them. */
static det_status walk(struct det_env *env, const struct det_text *bytes, struct det_tf_graph *g,
                       bool count)
{
    struct det_wire wire = det_wire_start((const uint8_t *)bytes->data, bytes->length);
    int32_t node = 0;
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number != 1)
            continue;
        DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_BYTES, "object graph"));
        if (count)
            DET_TRY_RETURN(new_node(env, g, &node));
        else
            DET_TRY_RETURN(read_node(env, g, node++, field.payload));
    }
}

/* Each node's first way from the root, the shortest, then the slots'. */
static det_status find_paths(struct det_env *env, struct det_tf_graph *g)
{
    if (g->node_count == 0)
        return det_fail(env, DET_STATUS_CORRUPT, "object graph: is empty");
    DET_TRY_RETURN(det_strdup(env, &g->nodes[0].path, ""));
    for (bool more = true; more;) {
        more = false;
        for (size_t e = 0; e < g->edge_count; e++) {
            const char *from = g->nodes[g->edges[e].from].path;
            struct det_tf_node *to = &g->nodes[g->edges[e].to];
            if (from == NULL || to->path != NULL)
                continue;
            DET_TRY_RETURN(det_format(env, &to->path, "%s%s%s", from, from[0] == '\0' ? "" : "/",
                                      g->edges[e].name));
            more = true;
        }
    }
    for (size_t s = 0; s < g->slot_count; s++) {
        const struct det_tf_slot *slot = &g->slots[s];
        if (g->nodes[slot->to].path != NULL || g->nodes[slot->variable].path == NULL ||
            g->nodes[slot->optimizer].path == NULL)
            return det_fail(env, DET_STATUS_CORRUPT, "object graph: slot `%s` of node %d",
                            slot->name, slot->variable);
        DET_TRY_RETURN(slot_path(env, g, slot, &g->nodes[slot->to].path));
    }
    return DET_OK;
}

static det_status check_keys(struct det_env *env, const struct det_tf_graph *g)
{
    static const char suffix[] = DET_TF_VARIABLE_SUFFIX;
    for (size_t i = 0; i < g->node_count; i++) {
        const struct det_tf_node *node = &g->nodes[i];
        const size_t length = node->path != NULL ? strlen(node->path) : 0;
        if (node->path == NULL)
            return det_fail(env, DET_STATUS_CORRUPT, "object graph: nothing leads to node %zu", i);
        if (node->key != NULL && (strncmp(node->key, node->path, length) != 0 ||
                                  strcmp(node->key + length, suffix) != 0))
            return det_fail(env, DET_STATUS_CORRUPT, "object graph: `%s` has the key `%s`",
                            node->path, node->key);
    }
    return DET_OK;
}

det_status det_tf_graph_read(struct det_env *env, const struct det_text *bytes,
                             struct det_tf_graph *graph)
{
    det_status status = DET_OK;
    *graph = (struct det_tf_graph){0};
    DET_TRY(walk(env, bytes, graph, true));
    DET_TRY(walk(env, bytes, graph, false));
    DET_TRY(find_paths(env, graph));
    DET_TRY(check_keys(env, graph));
    return DET_OK;
fail:
    det_tf_graph_free(env, graph);
    return status;
}
