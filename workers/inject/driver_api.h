// The few functions of CUDA's driver that instruments call: those of the libcuda that is loaded.
#pragma once

#include <cuda.h>

namespace sextant::inject {

#define SEXTANT_DRIVER_ALL(X)      \
  X(cuCtxGetCurrent)               \
  X(cuCtxGetDevice)                \
  X(cuCtxPushCurrent_v2)           \
  X(cuCtxPopCurrent_v2)            \
  X(cuCtxSynchronize)              \
  X(cuDeviceGetAttribute)          \
  X(cuDeviceGetName)               \
  X(cuDeviceGetUuid_v2)            \
  X(cuEventCreate)                 \
  X(cuEventDestroy_v2)             \
  X(cuEventElapsedTime)            \
  X(cuEventQuery)                  \
  X(cuEventRecord)                 \
  X(cuEventSynchronize)            \
  X(cuStreamCreate)                \
  X(cuStreamDestroy_v2)            \
  X(cuStreamIsCapturing)           \
  X(cuFuncGetAttribute)            \
  X(cuFuncGetName)                 \
  X(cuKernelGetFunction)           \
  X(cuGraphGetNodes)               \
  X(cuGraphNodeGetType)            \
  X(cuGraphGetEdges_v2)            \
  X(cuGraphKernelNodeGetParams_v2) \
  X(cuGraphChildGraphNodeGetGraph)

// A pointer is null where the driver has no such function.
struct DriverApi {
#define SEXTANT_DRIVER_POINTER(name) decltype(&::name) name = nullptr;
  SEXTANT_DRIVER_ALL(SEXTANT_DRIVER_POINTER)
#undef SEXTANT_DRIVER_POINTER
};

// Of the process; the library is looked for once.
const DriverApi& Driver();

}  // namespace sextant::inject
