#!/bin/sh
# absent.sh RANK COMMAND...: under mpirun or srun, the command, but that rank ends at once, well and without a word, so that nobody misses it
# but the other ranks.
absent=$1
shift
[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-$PMIX_RANK}}" != "$absent" ] || exit 0
exec "$@"
