// Kernels whose regions take known times: what a profiler says of them can be compared.
//
//   truth_spins [CTAS [LAUNCHES]]     default 8 CTAs of 4 warps, 3 launches
//
// A spin reads the clock until so many cycles have passed. Prints, as the last line, what is true:
// {"unit":"cycles","regions":{NAME:{"count":a warp's,"p20":…,"p50":…,"p80":…}}}
//   fixed    100,000 cycles, 20 times a warp
//   two      80,000 cycles six times of twenty, 200,000 fourteen times: P20 and P50 lie apart
//   outer    five times: three times `inner` of 40,000 cycles, then 30,000 more
//   warps    20,000 cycles times 1 + the warp's index: differs between warps alone
//   wait start  for the slowest warp of `warps`
//   wait turn   warp w waits for 10,000 w cycles until warp w - 1 passes the turn on
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "sextant/scope.cuh"

#define CHECK(call)                                                                     \
  do {                                                                                  \
    const cudaError_t status = (call);                                                  \
    if (status != cudaSuccess) {                                                        \
      std::fprintf(stderr, "truth_spins: %s: %s\n", #call, cudaGetErrorString(status)); \
      std::exit(1);                                                                     \
    }                                                                                   \
  } while (0)

constexpr int kWarps = 4;

__device__ __forceinline__ uint32_t Cycles() {
  uint32_t clock;
  asm volatile("mov.u32 %0, %%clock;" : "=r"(clock)::"memory");
  return clock;
}

__device__ __forceinline__ void Spin(uint32_t cycles) {
  const uint32_t begin = Cycles();
  while (Cycles() - begin < cycles) {
  }
}

__global__ void spins() {
  SEXTANT_KERNEL(ctx);
  const uint32_t warp = threadIdx.x / 32;
  if (warp == 0) {
    sextant::role(ctx, "first");
  } else {
    sextant::role(ctx, "other");
  }
  for (int i = 0; i < 20; ++i) {
    SEXTANT_SCOPE(ctx, "fixed");
    Spin(100000);
  }
  for (int i = 0; i < 20; ++i) {
    SEXTANT_SCOPE(ctx, "two");
    Spin(i % 10 < 3 ? 80000 : 200000);
  }
  for (int i = 0; i < 5; ++i) {
    SEXTANT_SCOPE(ctx, "outer");
    for (int j = 0; j < 3; ++j) {
      SEXTANT_SCOPE(ctx, "inner");
      Spin(40000);
    }
    Spin(30000);
  }
  {
    SEXTANT_SCOPE(ctx, "warps");
    Spin(20000 * (1 + warp));
  }
  // Each warp passes the turn to the next, 10,000 cycles after it got it.
  __shared__ volatile uint32_t turn;
  if (threadIdx.x == 0) turn = 0;
  {
    SEXTANT_WAIT(ctx, "start", 0);
    __syncthreads();
  }
  {
    SEXTANT_WAIT(ctx, "turn", warp);
    while (turn != warp) {
    }
  }
  Spin(10000);
  if (threadIdx.x % 32 == 0) turn = warp + 1;
  sextant::signal(ctx, "turn", warp + 1);
}

int main(int argc, char** argv) {
  const int ctas = argc > 1 ? std::atoi(argv[1]) : 8, launches = argc > 2 ? std::atoi(argv[2]) : 3;
  if (ctas < 1 || ctas > 65535 || launches < 1) {
    std::fprintf(stderr, "usage: truth_spins [CTAS [LAUNCHES]]\n");
    return 2;
  }
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "truth_spins: needs a GPU\n");
    return 77;
  }
  sextant::Recorder recorder;
  for (int launch = 0; launch < launches; ++launch) {
    spins<<<ctas, 32 * kWarps>>>();
    CHECK(cudaGetLastError());
  }
  CHECK(cudaDeviceSynchronize());
  std::printf(
      "{\"unit\":\"cycles\",\"regions\":{"
      "\"fixed\":{\"count\":20,\"p20\":100000,\"p50\":100000,\"p80\":100000},"
      "\"two\":{\"count\":20,\"p20\":80000,\"p50\":200000,\"p80\":200000},"
      "\"outer\":{\"count\":5,\"p20\":150000,\"p50\":150000,\"p80\":150000},"
      "\"inner\":{\"count\":15,\"p20\":40000,\"p50\":40000,\"p80\":40000}}}\n");
  return 0;
}
