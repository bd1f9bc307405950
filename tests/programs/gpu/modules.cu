// One kernel name with two codes: argv[1] is a cubin or PTX file with `twice`, argv[2] another.
// Loads both through the driver and launches them in turn, five times each.
#include <cuda.h>

#include "check.h"

// A function of the driver, which is not linked with.
template <typename Function>
static Function* Driver(Function*, const char* name) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
  MUST(cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found));
  return reinterpret_cast<Function*>(entry);
}
#define DRIVER(name, ...)                                            \
  do {                                                               \
    const CUresult result = Driver(&name, #name)(__VA_ARGS__);       \
    if (result == CUDA_SUCCESS) break;                               \
    std::fprintf(stderr, "%s: %d\n", #name, static_cast<int>(result)); \
    std::exit(9);                                                    \
  } while (false)

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  MUST(cudaFree(nullptr));
  CUmodule modules[2];
  CUfunction functions[2];
  CUdeviceptr data;
  DRIVER(cuMemAlloc, &data, 4096);
  for (int i = 0; i < 2; ++i) {
    DRIVER(cuModuleLoad, &modules[i], argv[1 + i]);
    DRIVER(cuModuleGetFunction, &functions[i], modules[i], "twice");
  }
  for (int i = 0; i < 10; ++i) {
    void* arguments[] = {&data};
    DRIVER(cuLaunchKernel, functions[i % 2], 1, 1, 1, 32, 1, 1, 0, nullptr, arguments, nullptr);
  }
  DRIVER(cuCtxSynchronize);
  return 0;
}
