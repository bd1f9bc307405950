// What scopes add to a kernel that does nothing but dependent multiply-adds, one scope around every
// `Chain` of them: the same work as same_work.py records under Proton.
//
//   same_work       run with SEXTANT_SCOPES=…: recording
//
// Prints JSON: {"sms":…,"runs":[{"chain":…,"warps":…,"plain_ms":…,"scoped_ms":…,"records":…},…]}: medians of a
// launch of one CTA on each SM, and the records it makes.
#include <cuda_runtime.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sextant/scope.cuh"

constexpr int kFmas = 1 << 16;  // of a thread, whatever the chain
constexpr int kLaunches = 15;

#define CHECK(call)                                                                   \
  do {                                                                                \
    const cudaError_t status = (call);                                                \
    if (status != cudaSuccess) {                                                      \
      std::fprintf(stderr, "same_work: %s: %s\n", #call, cudaGetErrorString(status)); \
      std::exit(1);                                                                   \
    }                                                                                 \
  } while (0)

template <int Chain>
__device__ __forceinline__ float Work(float value) {
#pragma unroll
  for (int i = 0; i < Chain; ++i) value = value * 1.0001f + 1.0f;
  return value;
}

template <int Chain>
__global__ void plain(float* values) {
  float value = values[threadIdx.x];
#pragma unroll 1
  for (int i = 0; i < kFmas / Chain; ++i) value = Work<Chain>(value);
  values[threadIdx.x] = value;
}

template <int Chain>
__global__ void scoped(float* values) {
  SEXTANT_KERNEL(ctx);
  float value = values[threadIdx.x];
#pragma unroll 1
  for (int i = 0; i < kFmas / Chain; ++i) {
    SEXTANT_SCOPE(ctx, "work");
    value = Work<Chain>(value);
  }
  values[threadIdx.x] = value;
}

template <typename Kernel>
double MillisecondsOf(Kernel kernel, int ctas, int warps, float* values) {
  cudaEvent_t begin, end;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  std::vector<float> times;
  for (int launch = 0; launch <= kLaunches; ++launch) {
    CHECK(cudaEventRecord(begin));
    kernel<<<ctas, 32 * warps>>>(values);
    CHECK(cudaEventRecord(end));
    CHECK(cudaEventSynchronize(end));
    float ms = 0;
    CHECK(cudaEventElapsedTime(&ms, begin, end));
    if (launch > 0) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

bool first = true;

template <int Chain>
void Run(int sms, int warps, float* values) {
  const double plain_ms = MillisecondsOf(plain<Chain>, sms, warps, values);
  const double scoped_ms = MillisecondsOf(scoped<Chain>, sms, warps, values);
  std::printf("%s{\"chain\":%d,\"warps\":%d,\"plain_ms\":%.5f,\"scoped_ms\":%.5f,\"records\":%lld}",
              first ? "" : ",", Chain, warps, plain_ms, scoped_ms,
              2ll * sms * warps * (kFmas / Chain));
  first = false;
}

int main() {
  cudaDeviceProp device;
  if (cudaGetDeviceProperties(&device, 0) != cudaSuccess) {
    std::fprintf(stderr, "same_work: needs a GPU\n");
    return 77;
  }
  sextant::Recorder recorder;
  float* values;
  CHECK(cudaMalloc(&values, 4096));
  CHECK(cudaMemset(values, 0, 4096));
  std::printf("{\"sms\":%d,\"runs\":[", device.multiProcessorCount);
  for (const int warps : {8, 16}) {
    Run<32>(device.multiProcessorCount, warps, values);
    Run<128>(device.multiProcessorCount, warps, values);
  }
  std::printf("]}\n");
  std::fflush(stdout);
  _exit(0);  // what was recorded is not wanted
}
