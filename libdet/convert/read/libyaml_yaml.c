#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/library.h"
#include "convert/read/yaml.h"

/* X(name) for each function. */
#define EACH_OF_YAML(X)             \
    X(yaml_parser_initialize)       \
    X(yaml_parser_delete)           \
    X(yaml_parser_set_input_string) \
    X(yaml_parser_set_encoding)     \
    X(yaml_parser_load)             \
    X(yaml_document_delete)         \
    X(yaml_document_get_node)       \
    X(yaml_document_get_root_node)

struct libyaml {
    void *library;
#define MEMBER(name) __typeof__(name) *name;
    EACH_OF_YAML(MEMBER)
#undef MEMBER
};

static const char *const libraries[] = {"libyaml-0.so.2", NULL};

static det_status load(struct det_env *env, const char *name, struct libyaml *yaml)
{
    det_any_function function = NULL;
    char what[600];
    snprintf(what, sizeof what, "%.500s: YAML", name);
    DET_TRY_RETURN(det_library_load(env, what, libraries, "libyaml (Debian's package libyaml-0-2)",
                                    &yaml->library));
#define FIND(name)                                                                    \
    DET_TRY_RETURN(det_library_function(env, what, yaml->library, #name, &function)); \
    yaml->name = (__typeof__(name) *)function;
    EACH_OF_YAML(FIND)
#undef FIND
    return DET_OK;
}

const char *det_yaml_missing(void)
{
    return det_library_is_there(libraries)
               ? NULL
               : "libyaml-0.so.2 cannot be loaded; install libyaml (Debian's package libyaml-0-2)";
}

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

static det_status give(const struct det_yaml_handlers *handlers, const char *inner,
                       const yaml_node_t *node)
{
    const char *text = scalar(node);
    return text != NULL ? handlers->value(handlers->user, inner, text, line_of(node)) : DET_OK;
}

static det_status give_values(const struct libyaml *yaml, yaml_document_t *document,
                              const yaml_node_t *value, const struct det_yaml_handlers *handlers)
{
    if (value->type == YAML_SCALAR_NODE)
        return give(handlers, NULL, value);
    if (value->type == YAML_SEQUENCE_NODE) {
        for (const yaml_node_item_t *item = value->data.sequence.items.start;
             item < value->data.sequence.items.top; item++)
            DET_TRY_RETURN(give(handlers, NULL, yaml->yaml_document_get_node(document, *item)));
    } else if (value->type == YAML_MAPPING_NODE) {
        for (const yaml_node_pair_t *pair = value->data.mapping.pairs.start;
             pair < value->data.mapping.pairs.top; pair++) {
            const char *inner = scalar(yaml->yaml_document_get_node(document, pair->key));
            if (inner != NULL)
                DET_TRY_RETURN(
                    give(handlers, inner, yaml->yaml_document_get_node(document, pair->value)));
        }
    }
    return DET_OK;
}

static det_status give_document(struct det_env *env, const struct libyaml *yaml, const char *name,
                                yaml_document_t *document, const struct det_yaml_handlers *handlers)
{
    const yaml_node_t *root = yaml->yaml_document_get_root_node(document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return det_fail(env, DET_STATUS_PARSE, "%s:%u: expected `key: value` lines", name,
                        root != NULL ? line_of(root) : 1);
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const char *key = scalar(yaml->yaml_document_get_node(document, pair->key));
        if (key == NULL)
            continue;
        DET_TRY_RETURN(handlers->key(handlers->user, key));
        DET_TRY_RETURN(give_values(yaml, document,
                                   yaml->yaml_document_get_node(document, pair->value), handlers));
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

static det_status parse(struct det_env *env, const struct libyaml *yaml, const char *name,
                        const char *text, const struct det_yaml_handlers *handlers)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml->yaml_parser_initialize(&parser))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: libyaml is out of memory", name);
    yaml->yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    yaml->yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    det_status status;
    if (yaml->yaml_parser_load(&parser, &document)) {
        status = give_document(env, yaml, name, &document, handlers);
        yaml->yaml_document_delete(&document);
    } else {
        status = fail(env, name, &parser);
    }
    yaml->yaml_parser_delete(&parser);
    return status;
}

det_status det_yaml_parse(struct det_env *env, const char *name, const char *text,
                          const struct det_yaml_handlers *handlers)
{
    struct libyaml yaml = {0};
    det_status status = load(env, name, &yaml);
    if (status == DET_OK)
        status = parse(env, &yaml, name, text, handlers);
    if (yaml.library != NULL)
        dlclose(yaml.library);
    return status;
}
