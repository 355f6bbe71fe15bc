#include <expat.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "data/xml.h"

struct parsing {
    struct det_env *env;
    const char *name;
    XML_Parser parser;
    const struct xml_handlers *handlers;
    char path[1024];
    size_t lengths[XML_MOST_DEPTH + 1]; /* of the path at each depth */
    int depth;
    struct det_text texts[XML_MOST_DEPTH + 1]; /* of each open element */
    det_status status;
};

static void fail(struct parsing *p, det_status status)
{
    p->status = status;
    XML_StopParser(p->parser, XML_FALSE);
}

static struct xml_place place_of(const struct parsing *p)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9 /* which deprecates the other */
    return (struct xml_place){p->path, (uint32_t)XML_GetCurrentLineNumber64(p->parser)};
#else
    return (struct xml_place){p->path, (uint32_t)XML_GetCurrentLineNumber(p->parser)};
#endif
}

static void XMLCALL on_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    struct parsing *p = user;
    const size_t length = strlen(name), at = p->lengths[p->depth];
    if (p->depth >= XML_MOST_DEPTH || at + length + 2 > sizeof p->path) {
        fail(p, det_fail(p->env, DET_STATUS_CORRUPT, "%s:%u: elements are nested too deep", p->name,
                         place_of(p).line));
        return;
    }
    const bool inner = at > 0;
    if (inner)
        p->path[at] = '/';
    memcpy(p->path + at + inner, name, length + 1);
    p->lengths[++p->depth] = at + inner + length;
    p->texts[p->depth].length = 0;
    const struct xml_place place = place_of(p);
    const det_status status =
        p->handlers->start(p->handlers->user, &place, (const char *const *)attributes);
    if (status != DET_OK)
        fail(p, status);
}

static void XMLCALL on_text(void *user, const XML_Char *text, int length)
{
    struct parsing *p = user;
    const det_status status = det_text_append(p->env, &p->texts[p->depth], text, (size_t)length);
    if (status != DET_OK)
        fail(p, status);
}

static void XMLCALL on_end(void *user, const XML_Char *name)
{
    struct parsing *p = user;
    struct det_text *text = &p->texts[p->depth];
    static const char blanks[] = " \t\r\n";
    (void)name;
    char *content = text->data != NULL && text->length > 0 ? text->data : NULL;
    if (content != NULL) {
        content += strspn(content, blanks);
        size_t length = strlen(content);
        while (length > 0 && strchr(blanks, content[length - 1]) != NULL)
            content[--length] = '\0';
    }
    const struct xml_place place = place_of(p);
    const det_status status =
        p->handlers->end(p->handlers->user, &place, content != NULL ? content : "");
    if (status != DET_OK)
        fail(p, status);
    p->depth--;
    p->path[p->lengths[p->depth]] = '\0';
}

/* No annotation has a DTD of its own, and entities of one are how XML files attack their readers. */
static void XMLCALL on_entity(void *user, const XML_Char *name, int is_parameter,
                              const XML_Char *value, int length, const XML_Char *base,
                              const XML_Char *system_id, const XML_Char *public_id,
                              const XML_Char *notation)
{
    struct parsing *p = user;
    (void)is_parameter, (void)value, (void)length, (void)base, (void)system_id, (void)public_id;
    (void)notation;
    fail(p, det_fail(p->env, DET_STATUS_CORRUPT,
                     "%s:%u: defines the entity `%s`, which is not supported", p->name,
                     place_of(p).line, name));
}

det_status xml_parse(struct det_env *env, const char *name, const void *data, size_t bytes,
                     const struct xml_handlers *handlers)
{
    struct parsing p = {.env = env, .name = name, .handlers = handlers};
    p.parser = XML_ParserCreate(NULL);
    if (p.parser == NULL)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for the XML parser", name);
    XML_SetUserData(p.parser, &p);
    XML_SetElementHandler(p.parser, on_start, on_end);
    XML_SetCharacterDataHandler(p.parser, on_text);
    XML_SetEntityDeclHandler(p.parser, on_entity);
    const char *at = data;
    enum XML_Status parsed = XML_STATUS_OK;
    size_t left = bytes;
    do { /* expat counts in int */
        const size_t part = left > (1u << 26) ? 1u << 26 : left;
        left -= part;
        parsed = XML_Parse(p.parser, at, (int)part, left == 0);
        at += part;
    } while (parsed == XML_STATUS_OK && left > 0);
    if (parsed != XML_STATUS_OK && p.status == DET_OK) {
        const enum XML_Error error = XML_GetErrorCode(p.parser);
        p.status = det_fail(
            env, error == XML_ERROR_NO_MEMORY ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_PARSE,
            "%s:%u: %s", name, place_of(&p).line, XML_ErrorString(error));
    }
    for (int i = 0; i <= XML_MOST_DEPTH; i++)
        det_text_free(env, &p.texts[i]);
    XML_ParserFree(p.parser);
    return p.status;
}

const char *xml_about(void)
{
    return XML_ExpatVersion();
}
