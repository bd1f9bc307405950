// Ends the program with exit code 9 where a CUDA call that must work does not.
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

inline void Must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(9);
}
#define MUST(call) Must(call, #call)
