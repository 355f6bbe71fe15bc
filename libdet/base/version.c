#include "det/version.h"

int det_version(void)
{
    return DET_VERSION;
}

const char *det_version_string(void)
{
    return DET_VERSION_STRING;
}
