#include "support/xml_writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "support/mem.h"

void det_xml_begin(struct det_xml_writer *xml, struct det_env *env, struct det_text *text)
{
    *xml = (struct det_xml_writer){.env = env, .text = text};
}

static void append(struct det_xml_writer *xml, const char *data)
{
    if (xml->status == DET_OK)
        xml->status = det_text_append(xml->env, xml->text, data, strlen(data));
}

typedef det_status (*escape)(struct det_env *env, struct det_text *text, const char *value);

static void append_escaped(struct det_xml_writer *xml, escape escaped, const char *value)
{
    if (xml->status == DET_OK)
        xml->status = escaped(xml->env, xml->text, value);
}

static void append_formatted(struct det_xml_writer *xml, const char *format, va_list arguments)
    DET_PRINTF(2, 0);
static void append_formatted(struct det_xml_writer *xml, const char *format, va_list arguments)
{
    char *value = NULL;
    if (xml->status == DET_OK)
        xml->status = det_format_list(xml->env, &value, format, arguments);
    append_escaped(xml, det_text_xml, value);
    det_free(xml->env, &value);
}

static void end_tag(struct det_xml_writer *xml)
{
    if (xml->in_tag)
        append(xml, ">");
    xml->in_tag = false;
}

static void fail(struct det_xml_writer *xml, const char *why)
{
    if (xml->status == DET_OK)
        xml->status = det_fail(xml->env, DET_STATUS_INTERNAL, "XML: %s", why);
}

det_status det_xml_end(struct det_xml_writer *xml)
{
    if (xml->depth > 0)
        fail(xml, "an element is not closed");
    return xml->status;
}

void det_xml_open(struct det_xml_writer *xml, const char *element)
{
    end_tag(xml);
    if (xml->depth == DET_XML_MOST_DEPTH)
        fail(xml, "too many elements in each other");
    else
        xml->elements[xml->depth++] = element;
    append(xml, "<");
    append(xml, element);
    xml->in_tag = true;
}

static void open_attribute(struct det_xml_writer *xml, const char *name)
{
    if (!xml->in_tag)
        fail(xml, "an attribute behind its tag");
    append(xml, " ");
    append(xml, name);
    append(xml, "=\"");
}

void det_xml_attribute(struct det_xml_writer *xml, const char *name, const char *value)
{
    open_attribute(xml, name);
    append_escaped(xml, det_text_xml, value);
    append(xml, "\"");
}

void det_xml_attribute_shown(struct det_xml_writer *xml, const char *name, const char *value)
{
    open_attribute(xml, name);
    append_escaped(xml, det_text_xml_shown, value);
    append(xml, "\"");
}

void det_xml_attribute_int(struct det_xml_writer *xml, const char *name, int64_t value)
{
    det_xml_attribute_printf(xml, name, "%lld", (long long)value);
}

void det_xml_attribute_printf(struct det_xml_writer *xml, const char *name, const char *format, ...)
{
    va_list arguments;
    open_attribute(xml, name);
    va_start(arguments, format);
    append_formatted(xml, format, arguments);
    va_end(arguments);
    append(xml, "\"");
}

void det_xml_text(struct det_xml_writer *xml, const char *value)
{
    end_tag(xml);
    append_escaped(xml, det_text_xml, value);
}

void det_xml_text_shown(struct det_xml_writer *xml, const char *value)
{
    end_tag(xml);
    append_escaped(xml, det_text_xml_shown, value);
}

void det_xml_text_printf(struct det_xml_writer *xml, const char *format, ...)
{
    va_list arguments;
    end_tag(xml);
    va_start(arguments, format);
    append_formatted(xml, format, arguments);
    va_end(arguments);
}

void det_xml_line(struct det_xml_writer *xml, int blanks)
{
    end_tag(xml);
    if (xml->status == DET_OK)
        xml->status = det_text_printf(xml->env, xml->text, "\n%*s", blanks, "");
}

void det_xml_made(struct det_xml_writer *xml, const char *markup)
{
    end_tag(xml);
    append(xml, markup);
}

void det_xml_close(struct det_xml_writer *xml)
{
    end_tag(xml);
    if (xml->depth == 0) {
        fail(xml, "nothing to close");
        return;
    }
    append(xml, "</");
    append(xml, xml->elements[--xml->depth]);
    append(xml, ">");
}

void det_xml_close_empty(struct det_xml_writer *xml)
{
    if (!xml->in_tag || xml->depth == 0) {
        fail(xml, "an element that was to be empty is not");
        return;
    }
    xml->depth--;
    xml->in_tag = false;
    append(xml, "/>");
}

void det_xml_element(struct det_xml_writer *xml, const char *element, const char *value)
{
    det_xml_open(xml, element);
    det_xml_text(xml, value);
    det_xml_close(xml);
}
