/* mpi_name.h: which MPI this is compiled with, as its header says. The build asks too (mpi.mk). */
#ifndef DET_RANKS_MPI_MPI_NAME_H
#define DET_RANKS_MPI_MPI_NAME_H

#include <mpi.h>

#define DET_MPI_TEXT_OF(number) #number
#define DET_MPI_TEXT(number)    DET_MPI_TEXT_OF(number)

/* What is made of MPICH defines MPICH_VERSION too. */
#if defined(OMPI_MAJOR_VERSION)
#define DET_MPI_NAME                                               \
    "Open MPI " DET_MPI_TEXT(OMPI_MAJOR_VERSION) "." DET_MPI_TEXT( \
        OMPI_MINOR_VERSION) "." DET_MPI_TEXT(OMPI_RELEASE_VERSION)
#elif defined(I_MPI_VERSION)
#define DET_MPI_NAME "Intel MPI " I_MPI_VERSION
#elif defined(MVAPICH2_VERSION)
#define DET_MPI_NAME "MVAPICH2 " MVAPICH2_VERSION
#elif defined(MPICH_VERSION)
#define DET_MPI_NAME "MPICH " MPICH_VERSION
#else
#define DET_MPI_NAME "MPI " DET_MPI_TEXT(MPI_VERSION) "." DET_MPI_TEXT(MPI_SUBVERSION)
#endif

#endif
