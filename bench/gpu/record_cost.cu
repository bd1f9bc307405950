// What one record of sextant/scope.cuh costs on this GPU, in cycles of an SM.
//
//   record_cost     run with SEXTANT_SCOPES=1: recording; without: what is left when it does not
//
// Prints JSON: {"alone":…,"in_loop":…,"warps8":…,"warps16":…}
//   alone     a loop of empty scopes: time a record, one warp
//   in_loop   what a scope adds to 64 dependent FMAs, a record, one warp
//   warps8    the same with 8 warps on the SM, 16 with 16: a record of each of them
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sextant/scope.cuh"

constexpr int kTurns = 400;

__device__ __forceinline__ uint32_t Cycles() {
  uint32_t clock;
  asm volatile("mov.u32 %0, %%clock;" : "=r"(clock)::"memory");
  return clock;
}

// `Chain` dependent FMAs inside the scope and as many after it.
template <int Chain>
__device__ __forceinline__ float Work(float value) {
#pragma unroll
  for (int i = 0; i < Chain; ++i) value = value * 1.0001f + 1.0f;
  asm volatile("" : "+f"(value)::"memory");
  return value;
}

template <int Chain>
__global__ void plain(float* values, uint32_t* cycles) {
  float value = values[threadIdx.x];
  const uint32_t begin = Cycles();
#pragma unroll 1
  for (int i = 0; i < kTurns; ++i) value = Work<Chain>(Work<Chain>(value));
  const uint32_t end = Cycles();
  values[threadIdx.x] = value;
  if (threadIdx.x % 32 == 0) cycles[threadIdx.x / 32] = end - begin;
}

template <int Chain>
__global__ void scoped(float* values, uint32_t* cycles) {
  SEXTANT_KERNEL(ctx);
  float value = values[threadIdx.x];
  const uint32_t begin = Cycles();
#pragma unroll 1
  for (int i = 0; i < kTurns; ++i) {
    {
      SEXTANT_SCOPE(ctx, "work");
      value = Work<Chain>(value);
    }
    value = Work<Chain>(value);
  }
  const uint32_t end = Cycles();
  values[threadIdx.x] = value;
  if (threadIdx.x % 32 == 0) cycles[threadIdx.x / 32] = end - begin;
}

template <typename Kernel>
double CyclesOf(Kernel kernel, int warps, float* values, uint32_t* cycles) {
  std::vector<double> runs;
  for (int run = 0; run < 9; ++run) {
    kernel<<<1, 32 * warps>>>(values, cycles);
    std::vector<uint32_t> taken(static_cast<size_t>(warps));
    if (cudaMemcpy(taken.data(), cycles, taken.size() * 4, cudaMemcpyDeviceToHost) != cudaSuccess) {
      std::fprintf(stderr, "record_cost: %s\n", cudaGetErrorString(cudaGetLastError()));
      std::exit(1);
    }
    double sum = 0;
    for (const uint32_t one : taken) sum += one;
    runs.push_back(sum / warps / kTurns);
  }
  std::sort(runs.begin(), runs.end());
  return runs[runs.size() / 2];
}

int main() {
  sextant::Recorder recorder;
  float* values;
  uint32_t* cycles;
  if (cudaMalloc(&values, 4096) != cudaSuccess || cudaMalloc(&cycles, 4096) != cudaSuccess ||
      cudaMemset(values, 0, 4096) != cudaSuccess) {
    std::fprintf(stderr, "record_cost: needs a GPU\n");
    return 77;
  }
  // Two records a turn.
  const double alone = CyclesOf(scoped<0>, 1, values, cycles) / 2;
  const auto added = [&](int warps) {
    return (CyclesOf(scoped<32>, warps, values, cycles) - CyclesOf(plain<32>, warps, values, cycles)) / 2;
  };
  std::printf("{\"alone\":%.2f,\"in_loop\":%.2f,\"warps8\":%.2f,\"warps16\":%.2f}\n", alone, added(1),
              added(8), added(16));
  return 0;
}
