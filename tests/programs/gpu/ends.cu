// Works for a while, then ends as argv[1] says:
//   exit         exit(3) from within main, kernels under way
//   thread_exit  exit(3) from a second thread while the first launches
//   _exit        _exit(3), which runs no handler
//   abort        abort()
//   segfault     writes to address 0
//   illegal      a kernel writes where nothing is; exit code 5 when CUDA says so
//   trap         a kernel executes trap; exit code 5
//   hang         a kernel never returns
//   late_hang    the same, after a second of good work
//   fault        its profiler crashes (SEXTANT_INJECT_FAULT), which the service lets no workload set
//   memory       asks the device for more memory than there is; exit code 4
#include <unistd.h>

#include <cstring>
#include <thread>

#include "check.h"
#include "kernels.h"

__global__ void WriteNowhere(int* where) { *where = 1; }
__global__ void Trap() { asm volatile("trap;"); }

static float* device;

static void Work(int ms) {
  for (int i = 0; i < ms; ++i) {
    Scale<<<16, 256>>>(device, 1.5f, 4096);
    Spin<<<1, 32>>>(1000000);
  }
}

static int Fails() {
  const cudaError_t error = cudaDeviceSynchronize();
  std::fprintf(stderr, "%s\n", cudaGetErrorName(error));
  return error == cudaSuccess ? 1 : 5;
}

int main(int argc, char** argv) {
  const char* const how = argc > 1 ? argv[1] : "";
  const auto is = [how](const char* name) { return std::strcmp(how, name) == 0; };
  if (is("fault")) setenv("SEXTANT_INJECT_FAULT", "activity", 1);
  MUST(cudaMalloc(&device, 4096 * sizeof(float)));
  Work(is("late_hang") ? 1000 : 200);
  MUST(cudaDeviceSynchronize());
  if (is("exit")) {
    Work(200);
    std::exit(3);
  }
  if (is("thread_exit")) {
    std::thread([] { std::exit(3); }).detach();
    for (;;) Work(1);
  }
  if (is("fault")) return 0;
  if (is("_exit")) _exit(3);
  if (is("abort")) std::abort();
  if (is("segfault")) *static_cast<volatile int*>(nullptr) = 1;
  if (is("illegal")) {
    WriteNowhere<<<1, 1>>>(reinterpret_cast<int*>(0x10));
    return Fails();
  }
  if (is("trap")) {
    Trap<<<1, 1>>>();
    return Fails();
  }
  if (is("hang") || is("late_hang")) {
    int* stop;
    MUST(cudaMalloc(&stop, sizeof(int)));
    MUST(cudaMemset(stop, 0, sizeof(int)));
    Hang<<<1, 32>>>(stop);
    return Fails();
  }
  if (is("memory")) {
    void* all;
    return cudaMalloc(&all, size_t{1} << 50) == cudaErrorMemoryAllocation ? 4 : 1;
  }
  std::fprintf(stderr, "no such end: \"%s\"\n", how);
  return 2;
}
