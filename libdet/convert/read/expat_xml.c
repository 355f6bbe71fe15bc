#include <dlfcn.h>
#include <expat.h>
#include <stdio.h>
#include <string.h>

#include "base/library.h"
#include "convert/read/xml.h"
#include "support/encoding.h"
#include "support/mem.h"
#include "support/text.h"

/* X(name) for each function. */
#define EACH_OF_EXPAT(X)           \
    X(XML_ParserCreate)            \
    X(XML_ParserFree)              \
    X(XML_SetUserData)             \
    X(XML_SetElementHandler)       \
    X(XML_SetCharacterDataHandler) \
    X(XML_SetEntityDeclHandler)    \
    X(XML_Parse)                   \
    X(XML_StopParser)              \
    X(XML_GetCurrentLineNumber)    \
    X(XML_GetErrorCode)            \
    X(XML_ErrorString)

struct det_expat {
    void *library;
#define MEMBER(name) __typeof__(name) *name;
    EACH_OF_EXPAT(MEMBER)
#undef MEMBER
};

static const char *const libraries[] = {"libexpat.so.1", NULL};

struct parsing {
    struct det_env *env;
    const struct det_expat *expat;
    const char *name;
    XML_Parser parser;
    const struct det_xml_handlers *handlers;
    char path[1024];
    size_t lengths[DET_XML_READER_MOST_DEPTH + 1]; /* of the path at each depth */
    int depth;
    struct det_text texts[DET_XML_READER_MOST_DEPTH + 1]; /* of each open element */
    det_status status;
};

static void fail(struct parsing *p, det_status status)
{
    p->status = status;
    p->expat->XML_StopParser(p->parser, XML_FALSE);
}

static struct det_xml_place place_of(const struct parsing *p)
{
    return (struct det_xml_place){p->path, (uint32_t)p->expat->XML_GetCurrentLineNumber(p->parser)};
}

static void XMLCALL on_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    struct parsing *p = user;
    const size_t length = strlen(name), at = p->lengths[p->depth];
    if (p->depth >= DET_XML_READER_MOST_DEPTH || at + length + 2 > sizeof p->path) {
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
    const struct det_xml_place place = place_of(p);
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
    const struct det_xml_place place = place_of(p);
    const det_status status =
        p->handlers->end(p->handlers->user, &place, content != NULL ? content : "");
    if (status != DET_OK)
        fail(p, status);
    p->depth--;
    p->path[p->lengths[p->depth]] = '\0';
}

/* No annotation has a DTD of its own, and entities of one are how XML files attack their
 * readers. */
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

/* --- encodings --- */

/* What the declaration <?xml ... encoding="X"?> says; false: nothing. A name that does not fit is
 * none. */
static bool declared_encoding(const char *data, size_t bytes, char encoding[40])
{
    char head[256];
    const size_t length = bytes < sizeof head - 1 ? bytes : sizeof head - 1;
    memcpy(head, data, length);
    head[length] = '\0';
    const char *start = strncmp(head, "\xef\xbb\xbf", 3) == 0 ? head + 3 : head;
    char *end = strstr(head, "?>");
    if (strncmp(start, "<?xml", 5) != 0 || end == NULL)
        return false;
    *end = '\0';
    const char *at = strstr(start, "encoding");
    if (at == NULL)
        return false;
    at += strlen("encoding");
    at += strspn(at, " \t\r\n=");
    const char quote = *at;
    const size_t name = quote == '"' || quote == '\'' ? strcspn(at + 1, "\"'") : 0;
    if (name == 0 || name >= 40 || at[1 + name] != quote)
        return false;
    memcpy(encoding, at + 1, name);
    encoding[name] = '\0';
    return true;
}

/* The text as UTF-8: of the encoding that the file declares; where its bytes are not of that, of
 * `encoding` or UTF-8. */
static det_status decode(struct det_env *env, const char *name, const void *data, size_t bytes,
                         const char *encoding, struct det_text *text)
{
    char declared[40], message[DET_ERROR_BYTES];
    if (!declared_encoding(data, bytes, declared))
        return det_decode_text(env, name, data, bytes, encoding, text);
    det_status status = det_decode_text(env, name, data, bytes, declared, text);
    if (status != DET_STATUS_PARSE)
        return status;
    memcpy(message, env->error, sizeof message);
    text->length = 0;
    const det_status again = det_decode_text(env, name, data, bytes, encoding, text);
    if (again == DET_OK)
        det_log(env, DET_LOG_WARNING, "%s: says that it is %s and is not: read as %s", name,
                declared, encoding != NULL ? encoding : "UTF-8");
    if (again == DET_OK || again == DET_STATUS_OUT_OF_MEMORY)
        return again;
    return det_fail(env, status, "%s", message);
}

/* --- the library --- */

static det_status load(struct det_env *env, const char *name, struct det_xml_reader *xml)
{
    struct det_expat *expat = NULL;
    det_any_function function = NULL;
    char what[600];
    det_status status = DET_OK;
    if (xml->expat != NULL)
        return DET_OK;
    snprintf(what, sizeof what, "%.500s: XML", name);
    DET_TRY_RETURN(det_alloc(env, &xml->expat, 1, sizeof *xml->expat, "XML parser"));
    expat = xml->expat;
    DET_TRY(det_library_load(env, what, libraries, "expat (Debian's package libexpat1)",
                             &expat->library));
#define FIND(name)                                                              \
    DET_TRY(det_library_function(env, what, expat->library, #name, &function)); \
    expat->name = (__typeof__(name) *)function;
    EACH_OF_EXPAT(FIND)
#undef FIND
    return DET_OK;
fail:
    det_xml_reader_close(env, xml);
    return status;
}

void det_xml_reader_close(struct det_env *env, struct det_xml_reader *xml)
{
    if (xml->expat != NULL && xml->expat->library != NULL)
        dlclose(xml->expat->library);
    det_free(env, &xml->expat);
}

const char *det_xml_missing(void)
{
    return det_library_is_there(libraries)
               ? NULL
               : "libexpat.so.1 cannot be loaded; install expat (Debian's package libexpat1)";
}

/* --- parsing --- */

static det_status parse(struct parsing *p, const char *data, size_t bytes)
{
    enum XML_Status parsed = XML_STATUS_OK;
    size_t left = bytes;
    do { /* expat counts in int */
        const size_t part = left > (1u << 26) ? 1u << 26 : left;
        left -= part;
        parsed = p->expat->XML_Parse(p->parser, data, (int)part, left == 0);
        data += part;
    } while (parsed == XML_STATUS_OK && left > 0);
    if (parsed != XML_STATUS_OK && p->status == DET_OK) {
        const enum XML_Error error = p->expat->XML_GetErrorCode(p->parser);
        p->status = det_fail(
            p->env, error == XML_ERROR_NO_MEMORY ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_PARSE,
            "%s:%u: %s", p->name, place_of(p).line, p->expat->XML_ErrorString(error));
    }
    return p->status;
}

det_status det_xml_parse(struct det_env *env, struct det_xml_reader *xml, const char *name,
                         const void *data, size_t bytes, const char *encoding,
                         const struct det_xml_handlers *handlers)
{
    struct parsing p = {.env = env, .name = name, .handlers = handlers};
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY_RETURN(load(env, name, xml));
    const struct det_expat *expat = p.expat = xml->expat;
    DET_TRY(decode(env, name, data, bytes, encoding, &text));
    p.parser = expat->XML_ParserCreate("UTF-8"); /* whatever the file declares */
    if (p.parser == NULL)
        DET_TRY(det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for the XML parser", name));
    expat->XML_SetUserData(p.parser, &p);
    expat->XML_SetElementHandler(p.parser, on_start, on_end);
    expat->XML_SetCharacterDataHandler(p.parser, on_text);
    expat->XML_SetEntityDeclHandler(p.parser, on_entity);
    DET_TRY(parse(&p, text.data, text.length));
fail:
    for (int i = 0; i <= DET_XML_READER_MOST_DEPTH; i++)
        det_text_free(env, &p.texts[i]);
    expat->XML_ParserFree(p.parser);
    det_text_free(env, &text);
    return status;
}
