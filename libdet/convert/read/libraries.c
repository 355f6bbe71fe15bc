/* libraries.c: see det/dataset.h: what reading data sets takes of libraries that are loaded for
 * it. */
#include "convert/read/xml.h"
#include "convert/read/yaml.h"
#include "convert/zip.h"
#include "det/dataset.h"

const char *det_annotation_library(size_t index, const char **missing)
{
    static const struct {
        const char *what;
        const char *(*missing)(void);
    } libraries[] = {
        {"XML", det_xml_missing}, {"YAML", det_yaml_missing}, {"zip", det_zip_missing}};
    const bool known = index < sizeof libraries / sizeof libraries[0];
    if (missing != NULL)
        *missing = known ? libraries[index].missing() : NULL;
    return known ? libraries[index].what : NULL;
}
