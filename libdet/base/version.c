#include "det/version.h"

int det_version(void)
{
    return DET_VERSION;
}

int det_abi_version(void)
{
    return DET_ABI_VERSION;
}

const char *det_version_string(void)
{
    return DET_VERSION_STRING;
}
