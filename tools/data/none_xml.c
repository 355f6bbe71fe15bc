#include "data/xml.h"

det_status xml_parse(struct det_env *env, const char *name, const void *data, size_t bytes,
                     const char *encoding, const struct xml_handlers *handlers)
{
    (void)data, (void)bytes, (void)encoding, (void)handlers;
    return det_fail(
        env, DET_STATUS_UNSUPPORTED,
        "%s: this det-data was built without expat and reads no XML: install libexpat1-dev and "
        "build again",
        name);
}

const char *xml_about(void)
{
    return "no XML: built without expat";
}
