/* Stands in for expat_xml.c. */
#include "convert/read/xml.h"

void det_xml_reader_close(struct det_env *env, struct det_xml_reader *xml)
{
    (void)env, (void)xml;
}

det_status det_xml_parse(struct det_env *env, struct det_xml_reader *xml, const char *name,
                         const void *data, size_t bytes, const char *encoding,
                         const struct det_xml_handlers *handlers)
{
    (void)xml, (void)data, (void)bytes, (void)encoding, (void)handlers;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: XML: %s", name, det_xml_missing());
}

const char *det_xml_missing(void)
{
    return "libdet was built without expat; install libexpat1-dev and build again";
}
