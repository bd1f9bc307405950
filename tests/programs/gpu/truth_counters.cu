// Kernels whose counters are known before they run. Prints one JSON line for each thing that is known
// of a launch: {"kernel", "metric", "expected", "tolerance"}; tolerance is relative, 0 is exact.
//
//   truth_counters [repeats [graph]]     graph: 1 launches all kernels as one CUDA graph
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

constexpr int kChain = 64;           // dependent FFMA in an iteration
constexpr int kIterations = 1000;
constexpr size_t kBytes = 1ull << 30;  // twenty times the L2 cache
constexpr int kSpilled = 96;           // values alive at once, over the registers that a thread has

#define CHECK(call)                                                                      \
  do {                                                                                   \
    const cudaError_t error_ = (call);                                                   \
    if (error_ != cudaSuccess) {                                                         \
      fprintf(stderr, "%s: %s\n", #call, cudaGetErrorString(error_));                    \
      exit(1);                                                                           \
    }                                                                                    \
  } while (0)

__global__ void ffma_chain(float* out, int iterations) {
  float x = __int_as_float(threadIdx.x + 0x3f800000);
  const float y = __int_as_float(blockIdx.x + 0x3f800000);
#pragma unroll 1
  for (int i = 0; i < iterations; ++i) {
#pragma unroll
    for (int k = 0; k < kChain; ++k) asm volatile("fma.rn.f32 %0, %0, %1, %0;" : "+f"(x) : "f"(y));
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}

// The FFMA runs in half of the threads of every warp: the other half is predicated off.
__global__ void half_predicated(float* out, int iterations) {
  float x = __int_as_float(threadIdx.x + 0x3f800000);
#pragma unroll 1
  for (int i = 0; i < iterations; ++i) {
    asm volatile(
        "{ .reg .pred p; setp.lt.u32 p, %1, 16; @p fma.rn.f32 %0, %0, %0, %0; }"
        : "+f"(x)
        : "r"(threadIdx.x & 31));
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}

__global__ void copy_bytes(const float4* __restrict__ from, float4* __restrict__ to, size_t count) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<size_t>(gridDim.x) * blockDim.x) {
    to[i] = from[i];
  }
}

// Lanes read words `kStride` apart: kStride of them share a bank.
template <int kStride>
__global__ void shared_reads(float* out, int iterations) {
  __shared__ float words[1024];
  for (int i = threadIdx.x; i < 1024; i += blockDim.x) words[i] = i;
  __syncthreads();
  const unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(words)) +
                      4 * ((threadIdx.x * kStride) & 1023);
  float sum = 0;
#pragma unroll 1
  for (int i = 0; i < iterations; ++i) {
    float word;
    asm volatile("ld.volatile.shared.f32 %0, [%1];" : "=f"(word) : "r"(at));
    sum += word;
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// Straight-line code with more live values than registers: each spill runs once in every warp.
__global__ void __launch_bounds__(1024, 1) spilled(const float* from, float* out) {
  float values[kSpilled];
#pragma unroll
  for (int i = 0; i < kSpilled; ++i) {
    asm volatile("ld.volatile.global.f32 %0, [%1];"
                 : "=f"(values[i])
                 : "l"(from + threadIdx.x + i * 1024));
  }
  // The last is needed first, so all of them live until it has come.
  float sum = 0;
#pragma unroll
  for (int i = kSpilled - 1; i >= 0; --i) sum = sum * 1.5f + values[i];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

static void Known(const char* kernel, const char* metric, double expected, double tolerance) {
  printf("{\"kernel\":\"%s\",\"metric\":\"%s\",\"expected\":%.17g,\"tolerance\":%g}\n", kernel, metric,
         expected, tolerance);
}

static void KnownReads(const char* kernel, int ways, double warps) {
  Known(kernel, "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum",
        warps * kIterations * (ways - 1), 0.01);
  Known(kernel, "smsp__sass_inst_executed_op_shared_ld.sum", warps * kIterations, 0);
}

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? atoi(argv[1]) : 1;
  const bool graph = argc > 2 && atoi(argv[2]) != 0;
  float *words, *out;
  float4 *from, *to;
  CHECK(cudaMalloc(&words, kSpilled * 1024 * sizeof(float)));
  CHECK(cudaMalloc(&out, 1 << 24));
  CHECK(cudaMalloc(&from, kBytes));
  CHECK(cudaMalloc(&to, kBytes));
  CHECK(cudaMemset(words, 0, kSpilled * 1024 * sizeof(float)));
  CHECK(cudaMemset(from, 1, kBytes));
  CHECK(cudaMemset(to, 1, kBytes));
  cudaStream_t stream;
  CHECK(cudaStreamCreate(&stream));
  CHECK(cudaDeviceSynchronize());

  const auto launch = [&] {
    ffma_chain<<<264, 256, 0, stream>>>(out, kIterations);
    half_predicated<<<132, 128, 0, stream>>>(out, kIterations);
    copy_bytes<<<1056, 512, 0, stream>>>(from, to, kBytes / sizeof(float4));
    shared_reads<1><<<132, 128, 0, stream>>>(out, kIterations);
    shared_reads<8><<<132, 128, 0, stream>>>(out, kIterations);
    shared_reads<32><<<132, 128, 0, stream>>>(out, kIterations);
    spilled<<<264, 1024, 0, stream>>>(words, out);
    CHECK(cudaGetLastError());
  };
  if (graph) {
    cudaGraph_t captured;
    cudaGraphExec_t executable;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    launch();
    CHECK(cudaStreamEndCapture(stream, &captured));
    CHECK(cudaGraphInstantiate(&executable, captured, 0));
    for (int i = 0; i < repeats; ++i) CHECK(cudaGraphLaunch(executable, stream));
  } else {
    for (int i = 0; i < repeats; ++i) launch();
  }
  CHECK(cudaDeviceSynchronize());

  const double chain_threads = 264.0 * 256, small_threads = 132.0 * 128;
  Known("ffma_chain", "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum",
        chain_threads * kIterations * kChain, 0);
  Known("half_predicated", "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum",
        small_threads / 2 * kIterations, 0);
  Known("copy_bytes", "l1tex__t_bytes_pipe_lsu_mem_global_op_ld.sum", kBytes, 0);
  Known("copy_bytes", "l1tex__t_bytes_pipe_lsu_mem_global_op_st.sum", kBytes, 0);
  Known("copy_bytes", "dram__bytes_read.sum", kBytes, 0.01);
  Known("copy_bytes", "dram__bytes_write.sum", kBytes, 0.01);
  Known("copy_bytes", "lts__t_sectors_srcunit_tex_op_read.sum", kBytes / 32, 0.01);
  KnownReads("shared_reads<1>", 1, small_threads / 32);
  KnownReads("shared_reads<8>", 8, small_threads / 32);
  KnownReads("shared_reads<32>", 32, small_threads / 32);
  return 0;
}
