/* library_types.h: stand-in: the data types that cublasLt's calls name. */
#ifndef DET_EMU_LIBRARY_TYPES_H
#define DET_EMU_LIBRARY_TYPES_H

typedef enum cudaDataType_t {
    CUDA_R_32F = 0,
    CUDA_R_8I = 3,
    CUDA_R_32I = 10,
    CUDA_R_16BF = 14,
} cudaDataType_t;
typedef cudaDataType_t cudaDataType;

#endif
