#include "ranks/place.h"

#include <stdlib.h>

#include "det/communicator.h"

int32_t det_launched_place_here(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                            "SLURM_LOCALID"};
    if (det_launched_ranks() <= 1)
        return 0;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *text = getenv(variables[i]);
        int32_t place = 0;
        for (; text != NULL && *text >= '0' && *text <= '9' && place < 65536; text++)
            place = place * 10 + (*text - '0');
        if (place > 0)
            return place;
    }
    return 0;
}
