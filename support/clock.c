#include "support/clock.h"

#include <time.h>

uint64_t det_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double det_clock_seconds(void)
{
    return (double)det_clock_ns() * 1e-9;
}

double det_clock_wall_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int64_t det_clock_wall_whole_seconds(void)
{
    return (int64_t)time(NULL);
}

int64_t det_clock_boot_seconds(void)
{
    struct timespec up = {0};
    clock_gettime(CLOCK_BOOTTIME, &up);
    return det_clock_wall_whole_seconds() - (int64_t)up.tv_sec;
}

char *det_clock_utc(char buffer[DET_CLOCK_DATE_BYTES])
{
    const time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) == NULL ||
        strftime(buffer, DET_CLOCK_DATE_BYTES, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        buffer[0] = '\0';
    return buffer;
}
