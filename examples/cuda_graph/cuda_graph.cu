// Heat in a plate: sweeps of a stencil and a check of what changed, captured once as a CUDA graph and
// replayed, on two plates in two streams. Launches of a graph's node share everything but time; the
// scopes of each replay are a launch of their own.
//
//   cuda_graph [REPLAYS [WIDTH]]     default 10 replays of 4 sweeps, plates of 1024 x 1024
//
// Exits with 1 unless the same sweeps on the host give the same plate.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sextant/scope.cuh"

#define CHECK(call)                                                                    \
  do {                                                                                 \
    const cudaError_t status = (call);                                                 \
    if (status != cudaSuccess) {                                                       \
      std::fprintf(stderr, "cuda_graph: %s: %s\n", #call, cudaGetErrorString(status)); \
      std::exit(1);                                                                    \
    }                                                                                  \
  } while (0)

constexpr int kTile = 32;
constexpr int kSweeps = 4;  // of a replay; even, so that the result lies where it began

// One step for a tile of 32 x 32 by 32 x 8 threads.
__global__ void sweep(const float* from, float* to, int width) {
  SEXTANT_KERNEL(ctx);
  __shared__ float tile[kTile + 2][kTile + 2];
  const int left = blockIdx.x * kTile, top = blockIdx.y * kTile;
  {
    SEXTANT_SCOPE(ctx, "load");
    for (int y = threadIdx.y; y < kTile + 2; y += blockDim.y) {
      for (int x = threadIdx.x; x < kTile + 2; x += blockDim.x) {
        const int column = min(max(left + x - 1, 0), width - 1);
        const int row = min(max(top + y - 1, 0), width - 1);
        tile[y][x] = from[static_cast<size_t>(row) * width + column];
      }
    }
  }
  {
    SEXTANT_WAIT(ctx, "tile", 0);
    __syncthreads();
  }
  SEXTANT_SCOPE(ctx, "stencil");
  for (int y = threadIdx.y; y < kTile; y += blockDim.y) {
    const int x = threadIdx.x;
    to[static_cast<size_t>(top + y) * width + left + x] =
        0.2f * (tile[y + 1][x + 1] + tile[y][x + 1] + tile[y + 2][x + 1] + tile[y + 1][x] +
                tile[y + 1][x + 2]);
  }
}

// The largest difference of two plates into `most`, as bits of a float that is not negative.
__global__ void change(const float* a, const float* b, int count, int* most) {
  SEXTANT_KERNEL(ctx);
  SEXTANT_SCOPE(ctx, "change");
  float largest = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
    largest = fmaxf(largest, fabsf(a[i] - b[i]));
  }
  atomicMax(most, __float_as_int(largest));
}

namespace {

std::vector<float> Plate(int width, int seed) {
  std::vector<float> plate(static_cast<size_t>(width) * width);
  for (size_t i = 0; i < plate.size(); ++i) {
    plate[i] = static_cast<float>((i * 2654435761u + static_cast<size_t>(seed)) >> 7 & 255);
  }
  return plate;
}

void SweepOnHost(const std::vector<float>& from, std::vector<float>* to, int width) {
  const auto at = [&](int x, int y) {
    return from[static_cast<size_t>(std::clamp(y, 0, width - 1)) * width +
                std::clamp(x, 0, width - 1)];
  };
  for (int y = 0; y < width; ++y) {
    for (int x = 0; x < width; ++x) {
      (*to)[static_cast<size_t>(y) * width + x] =
          0.2f * (at(x, y) + at(x, y - 1) + at(x, y + 1) + at(x - 1, y) + at(x + 1, y));
    }
  }
}

struct Run {
  cudaStream_t stream;
  cudaGraphExec_t graph;
  float *a, *b;
  int* most;
};

Run Capture(const std::vector<float>& plate, int width) {
  Run run;
  const size_t bytes = plate.size() * sizeof(float);
  CHECK(cudaStreamCreateWithFlags(&run.stream, cudaStreamNonBlocking));
  CHECK(cudaMalloc(&run.a, bytes));
  CHECK(cudaMalloc(&run.b, bytes));
  CHECK(cudaMalloc(&run.most, sizeof(int)));
  CHECK(cudaMemcpy(run.a, plate.data(), bytes, cudaMemcpyHostToDevice));
  const dim3 grid(width / kTile, width / kTile), block(kTile, 8);
  cudaGraph_t graph;
  CHECK(cudaStreamBeginCapture(run.stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < kSweeps; ++i) {
    sweep<<<grid, block, 0, run.stream>>>(i % 2 == 0 ? run.a : run.b, i % 2 == 0 ? run.b : run.a,
                                          width);
  }
  CHECK(cudaMemsetAsync(run.most, 0, sizeof(int), run.stream));
  change<<<64, 256, 0, run.stream>>>(run.a, run.b, width * width, run.most);
  CHECK(cudaStreamEndCapture(run.stream, &graph));
  CHECK(cudaGraphInstantiate(&run.graph, graph, 0));
  CHECK(cudaGraphDestroy(graph));
  return run;
}

}  // namespace

int main(int argc, char** argv) {
  const int replays = argc > 1 ? std::atoi(argv[1]) : 10, width = argc > 2 ? std::atoi(argv[2]) : 1024;
  if (replays < 1 || width < kTile || width % kTile != 0 || width > 16384) {
    std::fprintf(stderr, "usage: cuda_graph [REPLAYS [WIDTH]], WIDTH a multiple of %d\n", kTile);
    return 2;
  }
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "cuda_graph: needs a GPU\n");
    return 77;
  }
  sextant::Recorder recorder;
  std::vector<Run> runs;
  for (int i = 0; i < 2; ++i) runs.push_back(Capture(Plate(width, i), width));
  for (int replay = 0; replay < replays; ++replay) {
    for (const Run& run : runs) CHECK(cudaGraphLaunch(run.graph, run.stream));
  }
  CHECK(cudaDeviceSynchronize());

  double worst = 0;
  for (int i = 0; i < 2; ++i) {
    std::vector<float> want = Plate(width, i), other(want.size()), have(want.size());
    for (int step = 0; step < replays * kSweeps; step += 2) {
      SweepOnHost(want, &other, width);
      SweepOnHost(other, &want, width);
    }
    CHECK(cudaMemcpy(have.data(), runs[i].a, have.size() * sizeof(float), cudaMemcpyDeviceToHost));
    for (size_t at = 0; at < have.size(); ++at) {
      worst = std::max(worst, std::fabs(static_cast<double>(have[at]) - want[at]));
    }
    int bits;
    CHECK(cudaMemcpy(&bits, runs[i].most, sizeof(bits), cudaMemcpyDeviceToHost));
    float most;
    static_assert(sizeof(most) == sizeof(bits));
    std::copy_n(reinterpret_cast<const char*>(&bits), sizeof(most), reinterpret_cast<char*>(&most));
    std::printf("cuda_graph: plate %d, %d replays, last sweep changed at most %.4f\n", i, replays, most);
  }
  std::printf("cuda_graph: largest difference from the host's plates %.6f\n", worst);
  return worst < 1e-2 ? 0 : 1;
}
