// C = A B^T in bf16 on Hopper's tensor cores, as a warp-specialised pipeline: one warp asks the copy
// engine for tiles, two warpgroups multiply them, and barriers in shared memory tell each side when a
// stage is full or empty. With scopes in every role.
//
//   gemm_ws [M [N [K [LAUNCHES]]]]     multiples of 128, 256 and 64; default 4096 each, 20 launches
//
// Prints the median time of a launch and the largest error of 65,536 elements against sums in fp32;
// exits with 1 when that is above what bf16 explains, with 77 where there is no sm_90.
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "examples/gemm_ws/hopper.cuh"
#include "sextant/scope.cuh"

namespace {

constexpr int kTileM = 128, kTileN = 256, kTileK = 64;
constexpr int kStages = 4;
constexpr int kConsumers = 2;                         // warpgroups, 64 rows each
constexpr int kThreads = 128 * (1 + kConsumers);
constexpr int kStageBytes = (kTileM + kTileN) * kTileK * 2;

struct Shared {
  __nv_bfloat16 a[kStages][kTileM * kTileK];
  __nv_bfloat16 b[kStages][kTileN * kTileK];
  uint64_t full[kStages];
  uint64_t empty[kStages];
};
constexpr int kSharedBytes = sizeof(Shared) + 1024;   // room to align the tiles

// A place in the ring of stages; barriers complete with parity 0, then 1, …
struct Stage {
  int index = 0;
  uint32_t parity = 0;
  __device__ void Next() {
    if (++index < kStages) return;
    index = 0;
    parity ^= 1;
  }
};

#define CHECK(call)                                                                 \
  do {                                                                              \
    const cudaError_t status = (call);                                              \
    if (status != cudaSuccess) {                                                    \
      std::fprintf(stderr, "gemm_ws: %s: %s\n", #call, cudaGetErrorString(status)); \
      std::exit(1);                                                                 \
    }                                                                               \
  } while (0)

}  // namespace

__global__ void __launch_bounds__(kThreads, 1)
    gemm_ws(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
            __nv_bfloat16* c, int m, int n, int k) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ unsigned char raw[];
  Shared& shared = *reinterpret_cast<Shared*>((reinterpret_cast<uintptr_t>(raw) + 1023) & ~uintptr_t{1023});
  const int warpgroup = threadIdx.x / 128, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      hopper::BarrierInit(&shared.full[stage], 1);
      hopper::BarrierInit(&shared.empty[stage], kConsumers * 4);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  const int rows = m / kTileM, tiles = rows * (n / kTileN), steps = k / kTileK;
  Stage stage;

  if (warpgroup == 0) {
    hopper::GiveRegisters<40>();
    if (warp != 0) return;
    SEXTANT_KERNEL(ctx);
    sextant::role(ctx, "producer");
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      for (int step = 0; step < steps; ++step, stage.Next()) {
        {
          SEXTANT_WAIT(ctx, "empty", stage.index);
          hopper::BarrierWait(&shared.empty[stage.index], stage.parity ^ 1);
        }
        SEXTANT_SCOPE(ctx, "load");
        if (lane == 0) {
          hopper::BarrierExpect(&shared.full[stage.index], kStageBytes);
          hopper::CopyTile(shared.a[stage.index], &a, step * kTileK, tile % rows * kTileM,
                           &shared.full[stage.index]);
          hopper::CopyTile(shared.b[stage.index], &b, step * kTileK, tile / rows * kTileN,
                           &shared.full[stage.index]);
        }
        sextant::signal(ctx, "full", stage.index);
      }
    }
    return;
  }

  hopper::TakeRegisters<232>();
  SEXTANT_KERNEL(ctx);
  sextant::role(ctx, "consumer");
  const int row = (warpgroup - 1) * 64;
  float d[128];
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    int previous = -1;
    for (int step = 0; step < steps; ++step, stage.Next()) {
      {
        SEXTANT_WAIT(ctx, "full", stage.index);
        hopper::BarrierWait(&shared.full[stage.index], stage.parity);
      }
      {
        SEXTANT_SCOPE(ctx, "mma");
        hopper::MmaFence();
#pragma unroll
        for (int i = 0; i < kTileK / 16; ++i) {
          hopper::Mma64x256x16(d, hopper::Descriptor(&shared.a[stage.index][row * kTileK + i * 16]),
                               hopper::Descriptor(&shared.b[stage.index][i * 16]),
                               step > 0 || i > 0);
        }
        hopper::MmaCommit();
        hopper::MmaWait<1>();  // the step before has been multiplied
      }
      if (previous >= 0) {
        if (lane == 0) hopper::BarrierArrive(&shared.empty[previous]);
        sextant::signal(ctx, "empty", previous);
      }
      previous = stage.index;
    }
    {
      SEXTANT_SCOPE(ctx, "drain");
      hopper::MmaWait<0>();
    }
    if (lane == 0) hopper::BarrierArrive(&shared.empty[previous]);
    sextant::signal(ctx, "empty", previous);

    SEXTANT_SCOPE(ctx, "store");
    const int first = tile % rows * kTileM + row + warp % 4 * 16 + lane / 4;
    __nv_bfloat16* const to = c + static_cast<size_t>(first) * n + tile / rows * kTileN + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kTileN / 8; ++j) {
      *reinterpret_cast<__nv_bfloat162*>(to + 8 * j) = __floats2bfloat162_rn(d[4 * j], d[4 * j + 1]);
      *reinterpret_cast<__nv_bfloat162*>(to + 8 * static_cast<size_t>(n) + 8 * j) =
          __floats2bfloat162_rn(d[4 * j + 2], d[4 * j + 3]);
    }
  }
#endif
}

// Values that differ from element to element, exact in bf16.
__global__ void fill(__nv_bfloat16* to, size_t count, uint32_t seed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < count;
       i += size_t{gridDim.x} * blockDim.x) {
    uint32_t x = static_cast<uint32_t>(i) * 2654435761u ^ seed;
    x = (x ^ x >> 15) * 2246822519u;
    x ^= x >> 13;
    to[i] = __float2bfloat16(static_cast<float>(static_cast<int>(x % 33) - 16) / 16);
  }
}

// The error of some elements of C, in the units of the last place that C has.
__global__ void check(const __nv_bfloat16* a, const __nv_bfloat16* b, const __nv_bfloat16* c, int m,
                      int n, int k, float* error) {
  const uint32_t at = blockIdx.x * blockDim.x + threadIdx.x;
  const size_t row = at * 2654435761ull % m, column = at * 40503ull % n;
  float sum = 0;
  for (int i = 0; i < k; ++i) {
    sum += __bfloat162float(a[row * k + i]) * __bfloat162float(b[column * k + i]);
  }
  const float have = __bfloat162float(c[row * n + column]);
  error[at] = fabsf(have - sum) / fmaxf(fabsf(sum), 1.0f);
}

namespace {

// Tiles of `rows` x 64 of a matrix with K columns.
CUtensorMap TensorMap(void* matrix, int rows, int k, int tile_rows) {
  using Encode = CUresult(CUDAAPI*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*,
                                    const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                                    const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                                    CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
  CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000,
                                         cudaEnableDefault, &found));
#else
  CHECK(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found));
#endif
  CUtensorMap map;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(k), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(k) * 2};
  const cuuint32_t box[] = {kTileK, static_cast<cuuint32_t>(tile_rows)};
  const cuuint32_t steps[] = {1, 1};
  const CUresult result = reinterpret_cast<Encode>(entry)(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, matrix, sizes, strides, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    std::fprintf(stderr, "gemm_ws: cuTensorMapEncodeTiled: %d\n", static_cast<int>(result));
    std::exit(1);
  }
  return map;
}

}  // namespace

int main(int argc, char** argv) {
  const int m = argc > 1 ? std::atoi(argv[1]) : 4096, n = argc > 2 ? std::atoi(argv[2]) : 4096;
  const int k = argc > 3 ? std::atoi(argv[3]) : 4096, launches = argc > 4 ? std::atoi(argv[4]) : 20;
  if (m <= 0 || n <= 0 || k <= 0 || m % kTileM != 0 || n % kTileN != 0 || k % kTileK != 0 ||
      launches < 1) {
    std::fprintf(stderr, "usage: gemm_ws [M [N [K [LAUNCHES]]]], multiples of %d, %d and %d\n",
                 kTileM, kTileN, kTileK);
    return 2;
  }
  cudaDeviceProp device;
  if (cudaGetDeviceProperties(&device, 0) != cudaSuccess || device.major != 9) {
    std::fprintf(stderr, "gemm_ws: needs a GPU of compute capability 9.x\n");
    return 77;
  }
  sextant::Recorder recorder;
  __nv_bfloat16 *a, *b, *c;
  CHECK(cudaMalloc(&a, size_t{2} * m * k));
  CHECK(cudaMalloc(&b, size_t{2} * n * k));
  CHECK(cudaMalloc(&c, size_t{2} * m * n));
  fill<<<1024, 256>>>(a, static_cast<size_t>(m) * k, 1);
  fill<<<1024, 256>>>(b, static_cast<size_t>(n) * k, 2);
  const CUtensorMap map_a = TensorMap(a, m, k, kTileM), map_b = TensorMap(b, n, k, kTileN);
  CHECK(cudaFuncSetAttribute(gemm_ws, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  const int ctas = std::min(device.multiProcessorCount, (m / kTileM) * (n / kTileN));

  cudaEvent_t begin, end;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  std::vector<float> times;
  for (int launch = 0; launch < launches; ++launch) {
    CHECK(cudaEventRecord(begin));
    gemm_ws<<<ctas, kThreads, kSharedBytes>>>(map_a, map_b, c, m, n, k);
    CHECK(cudaGetLastError());
    CHECK(cudaEventRecord(end));
    CHECK(cudaEventSynchronize(end));
    float ms = 0;
    CHECK(cudaEventElapsedTime(&ms, begin, end));
    times.push_back(ms);
  }
  constexpr int kChecked = 65536;
  float* errors;
  CHECK(cudaMalloc(&errors, kChecked * sizeof(float)));
  check<<<kChecked / 256, 256>>>(a, b, c, m, n, k, errors);
  std::vector<float> error(kChecked);
  CHECK(cudaMemcpy(error.data(), errors, kChecked * sizeof(float), cudaMemcpyDeviceToHost));
  const float worst = *std::max_element(error.begin(), error.end());
  std::sort(times.begin(), times.end());
  const double median_ms = times[times.size() / 2];
  std::printf("gemm_ws %d x %d x %d: %d launches, median %.4f ms, %.1f TFLOP/s, error %.4f\n", m, n,
              k, launches, median_ms, 2.0 * m * n * k / median_ms / 1e9, worst);
  return worst < 0.01f ? 0 : 1;
}
