#include "export/read_onnx.h"

#include <string.h>

#include "export/onnx_fields.h"
#include "export/onnx_parts.h"
#include "support/mem.h"

bool det_onnx_span_is(det_onnx_span span, const char *text)
{
    return span.bytes == strlen(text) &&
           (span.bytes == 0 || memcmp(span.data, text, span.bytes) == 0);
}

/* --- names --- */

static const struct det_onnx_name *entry_of(const struct det_onnx_reader *r, det_onnx_span name)
{
    for (size_t i = 0; i < r->name_count; i++)
        if (det_onnx_span_is(name, r->names[i].name))
            return &r->names[i];
    return NULL;
}

static int32_t find(const struct det_onnx_reader *r, det_onnx_span name)
{
    const struct det_onnx_name *entry = entry_of(r, name);
    return entry == NULL ? -1 : entry->value;
}

int32_t det_onnx_type_of(const struct det_onnx_reader *r, det_onnx_span name)
{
    const struct det_onnx_name *entry = entry_of(r, name);
    return entry == NULL ? 0 : entry->type;
}

det_status det_onnx_value(struct det_onnx_reader *r, det_onnx_span name, int32_t *value)
{
    *value = name.bytes == 0 ? -1 : find(r, name);
    if (*value < 0 && name.bytes > 0)
        return det_fail(r->env, DET_STATUS_CORRUPT, "nothing is called `%.*s`", (int)name.bytes,
                        (const char *)name.data);
    return DET_OK;
}

det_status det_onnx_add_name(struct det_onnx_reader *r, det_onnx_span name, int32_t value)
{
    if (name.bytes == 0 || name.bytes > INT16_MAX || memchr(name.data, 0, name.bytes) != NULL)
        return det_fail(r->env, DET_STATUS_CORRUPT, "byte %zu: a name of %zu bytes", name.base,
                        name.bytes);
    if (find(r, name) >= 0)
        return det_fail(r->env, DET_STATUS_CORRUPT, "two are called `%.*s`", (int)name.bytes,
                        (const char *)name.data);
    DET_TRY_RETURN(det_grow(r->env, &r->names, &r->name_capacity, r->name_count + 1,
                            sizeof *r->names, "onnx names"));
    struct det_onnx_name *added = &r->names[r->name_count];
    DET_TRY_RETURN(det_strndup(r->env, &added->name, (const char *)name.data, name.bytes));
    added->value = value;
    added->type = 0;
    r->name_count++;
    return DET_OK;
}

det_status det_onnx_add_value(struct det_onnx_reader *r, det_onnx_span name, int32_t *value)
{
    DET_TRY_RETURN(det_onnx_add_name(r, name, r->program->value_count));
    return det_program_add_value(r->env, r->program, r->names[r->name_count - 1].name, value);
}

/* --- messages --- */

det_status det_onnx_unknown_field(struct det_onnx_reader *r, const char *message,
                                  const struct det_wire_field *field)
{
    return det_fail(r->env, DET_STATUS_UNSUPPORTED, "%s: field %u is none that libdet writes",
                    message, field->number);
}

det_status det_onnx_take_string(struct det_onnx_reader *r, const struct det_wire_field *field,
                                const char *what, det_onnx_span *span)
{
    DET_TRY_RETURN(det_wire_expect(r->env, field, DET_WIRE_BYTES, what));
    *span = field->payload;
    return DET_OK;
}

det_status det_onnx_take_varint(struct det_onnx_reader *r, const struct det_wire_field *field,
                                const char *what, int64_t *value)
{
    DET_TRY_RETURN(det_wire_expect(r->env, field, DET_WIRE_VARINT, what));
    *value = (int64_t)field->value;
    return DET_OK;
}

det_status det_onnx_take_whole(struct det_onnx_reader *r, const struct det_wire_field *field,
                               const char *what, int64_t values[DET_ARRAY_MOST_DIMS],
                               int32_t *count)
{
    if (*count == DET_ARRAY_MOST_DIMS)
        return det_fail(r->env, DET_STATUS_UNSUPPORTED, "%s: more than %d numbers", what,
                        DET_ARRAY_MOST_DIMS);
    DET_TRY_RETURN(det_onnx_take_varint(r, field, what, &values[*count]));
    ++*count;
    return DET_OK;
}

/* --- probes --- */

/* What libdet looks at; the two first are there in every file. */
static const char *const probe_names[DET_PROBES] = {
    [DET_PROBE_ENCODINGS] = DET_ONNX_ENCODINGS,
    [DET_PROBE_SCORES] = DET_ONNX_SCORES,
    [DET_PROBE_BOXES] = DET_ONNX_BOXES,
    [DET_PROBE_DETECTION_BOXES] = "detection_boxes",
    [DET_PROBE_DETECTION_CLASSES] = "detection_classes",
    [DET_PROBE_DETECTION_SCORES] = "detection_scores",
    [DET_PROBE_DETECTION_COUNTS] = "num_detections",
};

static det_status set_probes(struct det_onnx_reader *r)
{
    for (int i = 0; i < DET_PROBES; i++) {
        if (probe_names[i] == NULL)
            continue;
        const det_onnx_span name = {.data = (const uint8_t *)probe_names[i],
                                    .bytes = strlen(probe_names[i])};
        r->program->probes[i] = find(r, name);
        if (r->program->probes[i] < 0 && (i == DET_PROBE_ENCODINGS || i == DET_PROBE_SCORES))
            return det_fail(r->env, DET_STATUS_CORRUPT, "there is no `%s`", probe_names[i]);
    }
    return DET_OK;
}

/* --- nodes --- */

static det_status read_attribute(struct det_onnx_reader *r, struct det_wire wire,
                                 struct det_onnx_attribute *a)
{
    struct det_wire_field field;
    int64_t type = 0;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        switch (field.number) {
        case 0:
            a->type = type > 0 && type < INT32_MAX ? (int32_t)type : 0;
            return DET_OK;
        case ONNX_ATTRIBUTE_NAME:
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "name", &a->name));
            break;
        case ONNX_ATTRIBUTE_FLOAT:
            DET_TRY_RETURN(det_wire_expect(r->env, &field, DET_WIRE_FIXED32, "f"));
            a->number = det_wire_float((uint32_t)field.value);
            break;
        case ONNX_ATTRIBUTE_INT:
            DET_TRY_RETURN(det_onnx_take_varint(r, &field, "i", &a->whole));
            break;
        case ONNX_ATTRIBUTE_STRING:
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "s", &a->string));
            break;
        case ONNX_ATTRIBUTE_INTS:
            DET_TRY_RETURN(det_onnx_take_whole(r, &field, "ints", a->wholes, &a->count));
            break;
        case ONNX_ATTRIBUTE_TYPE:
            DET_TRY_RETURN(det_onnx_take_varint(r, &field, "type", &type));
            break;
        default:
            return det_onnx_unknown_field(r, "AttributeProto", &field);
        }
    }
}

static det_status take_span(struct det_onnx_reader *r, const struct det_wire_field *field,
                            const char *what, det_onnx_span *spans, int32_t *count, int32_t most)
{
    if (*count == most)
        return det_fail(r->env, DET_STATUS_UNSUPPORTED, "a node with more than %d %ss", most, what);
    return det_onnx_take_string(r, field, what, &spans[(*count)++]);
}

static det_status read_node_field(struct det_onnx_reader *r, const struct det_wire_field *field,
                                  struct det_onnx_node *node)
{
    switch (field->number) {
    case ONNX_NODE_INPUT:
        return take_span(r, field, "input", node->inputs, &node->input_count,
                         DET_PROGRAM_MOST_INPUTS);
    case ONNX_NODE_OUTPUT:
        return take_span(r, field, "output", node->outputs, &node->output_count,
                         DET_PROGRAM_MOST_OUTPUTS);
    case ONNX_NODE_NAME:
        return det_onnx_take_string(r, field, "name", &node->name);
    case ONNX_NODE_OPERATOR:
        return det_onnx_take_string(r, field, "op_type", &node->operator_name);
    case ONNX_NODE_DOMAIN:
        return det_onnx_take_string(r, field, "domain", &node->domain);
    case ONNX_NODE_ATTRIBUTE:
        if (node->attribute_count == DET_ONNX_MOST_ATTRIBUTES)
            return det_fail(r->env, DET_STATUS_UNSUPPORTED, "a node with more than %d attributes",
                            DET_ONNX_MOST_ATTRIBUTES);
        DET_TRY_RETURN(det_wire_expect(r->env, field, DET_WIRE_BYTES, "attribute"));
        return read_attribute(r, field->payload, &node->attributes[node->attribute_count++]);
    default:
        return det_onnx_unknown_field(r, "NodeProto", field);
    }
}

static det_status read_node(struct det_onnx_reader *r, struct det_wire wire)
{
    struct det_onnx_node node = {0};
    struct det_wire_field field;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        if (field.number == 0)
            return det_onnx_read_node(r, &node);
        DET_TRY_RETURN(read_node_field(r, &field, &node));
    }
}

/* --- graph and model --- */

/* Fields in any order: what nodes refer to first, then nodes, then what refers to them. */
static det_status read_graph(struct det_onnx_reader *r, struct det_wire graph)
{
    struct det_wire_field field;
    det_onnx_span name;
    for (int pass = 0; pass < 3; pass++) {
        struct det_wire wire = graph;
        for (;;) {
            DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
            if (field.number == 0)
                break;
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "GraphProto", &name));
            if (field.number == ONNX_GRAPH_INITIALIZER && pass == 0)
                DET_TRY_RETURN(det_onnx_read_initialiser(r, field.payload));
            else if (field.number == ONNX_GRAPH_INPUT && pass == 0)
                DET_TRY_RETURN(det_onnx_read_input(r, field.payload));
            else if (field.number == ONNX_GRAPH_NODE && pass == 1)
                DET_TRY_RETURN(read_node(r, field.payload));
            else if (field.number == ONNX_GRAPH_OUTPUT && pass == 2)
                DET_TRY_RETURN(det_onnx_read_output(r, field.payload));
            else if (field.number != ONNX_GRAPH_INITIALIZER && field.number != ONNX_GRAPH_INPUT &&
                     field.number != ONNX_GRAPH_NODE && field.number != ONNX_GRAPH_OUTPUT &&
                     field.number != ONNX_GRAPH_NAME)
                return det_onnx_unknown_field(r, "GraphProto", &field);
        }
    }
    return set_probes(r);
}

static det_status check_opset(struct det_onnx_reader *r, struct det_wire wire)
{
    struct det_wire_field field;
    det_onnx_span domain = {0};
    int64_t version = 0;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        if (field.number == 0)
            break;
        if (field.number == ONNX_OPSET_DOMAIN)
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "domain", &domain));
        else if (field.number == ONNX_OPSET_VERSION)
            DET_TRY_RETURN(det_onnx_take_varint(r, &field, "version", &version));
        else
            return det_onnx_unknown_field(r, "OperatorSetIdProto", &field);
    }
    const bool own =
        domain.bytes == 0 && (version == DET_ONNX_OPSET || version == DET_ONNX_OPSET_OLD);
    const bool known =
        (own && r->opset == 0) || (det_onnx_span_is(domain, DET_ONNX_TENSORRT) && version == 1);
    if (!known)
        return det_fail(r->env, DET_STATUS_UNSUPPORTED, "operators of `%.*s`, version %lld",
                        domain.bytes > 64 ? 64 : (int)domain.bytes,
                        domain.bytes == 0 ? "" : (const char *)domain.data, (long long)version);
    if (own)
        r->opset = version;
    return DET_OK;
}

/* The last thing that the writer writes, in this order. */
static const char *const metadata[] = {"outputs", "labels",    "input",
                                       "anchors", "detection", "step"};
enum { METADATA = sizeof metadata / sizeof *metadata };

static det_status check_metadata(struct det_onnx_reader *r, struct det_wire wire, int32_t *entries)
{
    struct det_wire_field key, value;
    DET_TRY_RETURN(det_wire_next(r->env, &wire, &key));
    DET_TRY_RETURN(det_wire_next(r->env, &wire, &value));
    if (*entries == METADATA || key.number != ONNX_ENTRY_KEY || value.number != ONNX_ENTRY_VALUE ||
        !det_onnx_span_is(key.payload, metadata[*entries]) || value.payload.bytes == 0)
        return det_fail(r->env, DET_STATUS_CORRUPT, "metadata_props: entry %d is not `%s`",
                        *entries, *entries == METADATA ? "" : metadata[*entries]);
    ++*entries;
    return DET_OK;
}

static det_status read_model(struct det_onnx_reader *r, struct det_wire wire)
{
    struct det_wire_field field;
    det_onnx_span graph = {0}, text;
    int64_t ir = 0;
    int32_t entries = 0;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        switch (field.number) {
        case 0:
            if (graph.data == NULL)
                return det_fail(r->env, DET_STATUS_CORRUPT, "there is no graph");
            if (r->opset == 0)
                return det_fail(r->env, DET_STATUS_CORRUPT, "there is no opset_import");
            if (entries < METADATA)
                return det_fail(r->env, DET_STATUS_CORRUPT, "metadata_props: there is no `%s`",
                                metadata[entries]);
            return read_graph(r, graph);
        case ONNX_MODEL_IR_VERSION:
            DET_TRY_RETURN(det_onnx_take_varint(r, &field, "ir_version", &ir));
            if (ir != DET_ONNX_IR)
                return det_fail(r->env, DET_STATUS_UNSUPPORTED, "IR version %lld", (long long)ir);
            break;
        case ONNX_MODEL_PRODUCER_NAME:
        case ONNX_MODEL_PRODUCER_VERSION:
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "producer", &text));
            break;
        case ONNX_MODEL_METADATA:
            DET_TRY_RETURN(det_wire_expect(r->env, &field, DET_WIRE_BYTES, "metadata_props"));
            DET_TRY_RETURN(check_metadata(r, field.payload, &entries));
            break;
        case ONNX_MODEL_OPSET_IMPORT:
            DET_TRY_RETURN(det_wire_expect(r->env, &field, DET_WIRE_BYTES, "opset_import"));
            DET_TRY_RETURN(check_opset(r, field.payload));
            break;
        case ONNX_MODEL_GRAPH:
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "graph", &graph));
            break;
        default:
            return det_onnx_unknown_field(r, "ModelProto", &field);
        }
    }
}

det_status det_onnx_read(struct det_env *env, const struct det_export *exported,
                         struct det_program *program)
{
    struct det_onnx_reader r = {.env = env, .program = program};
    const struct det_text *data = &exported->files[0].data;
    const det_status status =
        read_model(&r, det_wire_start((const uint8_t *)data->data, data->length));
    for (size_t i = 0; i < r.name_count; i++)
        det_free(env, &r.names[i].name);
    det_free(env, &r.names);
    return status;
}
