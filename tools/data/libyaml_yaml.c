#include <string.h>
#include <yaml.h>

#include "data/yaml.h"

/* Text of a scalar; NULL: it is none, or holds a NUL. */
static const char *scalar(const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static uint32_t line_of(const yaml_node_t *node)
{
    return (uint32_t)node->start_mark.line + 1;
}

static det_status give(const struct yaml_handlers *handlers, const char *inner,
                       const yaml_node_t *node)
{
    const char *text = scalar(node);
    return text != NULL ? handlers->value(handlers->user, inner, text, line_of(node)) : DET_OK;
}

static det_status give_values(yaml_document_t *document, const yaml_node_t *value,
                              const struct yaml_handlers *handlers)
{
    if (value->type == YAML_SCALAR_NODE)
        return give(handlers, NULL, value);
    if (value->type == YAML_SEQUENCE_NODE) {
        for (const yaml_node_item_t *item = value->data.sequence.items.start;
             item < value->data.sequence.items.top; item++)
            DET_TRY_RETURN(give(handlers, NULL, yaml_document_get_node(document, *item)));
    } else if (value->type == YAML_MAPPING_NODE) {
        for (const yaml_node_pair_t *pair = value->data.mapping.pairs.start;
             pair < value->data.mapping.pairs.top; pair++) {
            const char *inner = scalar(yaml_document_get_node(document, pair->key));
            if (inner != NULL)
                DET_TRY_RETURN(
                    give(handlers, inner, yaml_document_get_node(document, pair->value)));
        }
    }
    return DET_OK;
}

static det_status give_document(struct det_env *env, const char *name, yaml_document_t *document,
                                const struct yaml_handlers *handlers)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return det_fail(env, DET_STATUS_PARSE, "%s:%u: expected `key: value` lines", name,
                        root != NULL ? line_of(root) : 1);
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const char *key = scalar(yaml_document_get_node(document, pair->key));
        if (key == NULL)
            continue;
        DET_TRY_RETURN(handlers->key(handlers->user, key));
        DET_TRY_RETURN(
            give_values(document, yaml_document_get_node(document, pair->value), handlers));
    }
    return DET_OK;
}

static det_status fail(struct det_env *env, const char *name, const yaml_parser_t *parser)
{
    const char *problem = parser->problem != NULL ? parser->problem : "is no YAML";
    const char *context = parser->context != NULL ? parser->context : "";
    /* What the reader of characters finds has an offset alone. */
    if (parser->error == YAML_MEMORY_ERROR)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: libyaml is out of memory", name);
    if (parser->error == YAML_READER_ERROR)
        return det_fail(env, DET_STATUS_PARSE, "%s: byte %zu: %s", name, parser->problem_offset,
                        problem);
    return det_fail(env, DET_STATUS_PARSE, "%s:%zu: %s%s%s", name, parser->problem_mark.line + 1,
                    context, context[0] != '\0' ? ", " : "", problem);
}

det_status yaml_parse(struct det_env *env, const char *name, const char *text,
                      const struct yaml_handlers *handlers)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: libyaml is out of memory", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    det_status status;
    if (yaml_parser_load(&parser, &document)) {
        status = give_document(env, name, &document, handlers);
        yaml_document_delete(&document);
    } else {
        status = fail(env, name, &parser);
    }
    yaml_parser_delete(&parser);
    return status;
}

const char *yaml_about(void)
{
    return yaml_get_version_string();
}
