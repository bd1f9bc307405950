// Kernels with scopes that do not end well.
//
//   scoped_stuck hang      a warp waits for ever; the program kills itself half a second later
//   scoped_stuck fault     a warp writes to an illegal address
//   scoped_stuck exit      exit() with the Recorder still there
//   scoped_stuck _exit     _exit(), which runs no handlers
//   scoped_stuck always    a warp waits for ever, and the program for it
//   scoped_stuck recorded  the same, only while scopes are recorded: as if they had caused it
#include <cuda_runtime.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "sextant/scope.cuh"

enum Mode { kEnd, kHang, kFault };

__global__ void stuck(volatile int* flag, Mode mode) {
  SEXTANT_KERNEL(ctx);
  const bool producer = threadIdx.x < 32;
  if (producer) {
    sextant::role(ctx, "producer");
  } else {
    sextant::role(ctx, "consumer");
  }
  for (int i = 0; i < 2000; ++i) {
    SEXTANT_SCOPE(ctx, "work");
  }
  SEXTANT_SCOPE(ctx, "outer");
  if (producer) {
    SEXTANT_WAIT(ctx, "never", 5);
    while (mode == kHang && *flag == 0) {
    }
    if (mode == kFault) *reinterpret_cast<volatile int*>(8) = 1;
  } else {
    SEXTANT_SCOPE(ctx, "spin");
    while (mode == kHang && *flag == 0) {
    }
  }
}

int main(int argc, char** argv) {
  const std::string how = argc == 2 ? argv[1] : "";
  if (how != "hang" && how != "fault" && how != "exit" && how != "_exit" && how != "always" &&
      how != "recorded") {
    std::fprintf(stderr, "usage: scoped_stuck hang|fault|exit|_exit|always|recorded\n");
    return 2;
  }
  sextant::Recorder recorder;
  int* flag;
  if (cudaMalloc(&flag, sizeof(int)) != cudaSuccess || cudaMemset(flag, 0, sizeof(int)) != cudaSuccess) {
    std::fprintf(stderr, "scoped_stuck: needs a GPU\n");
    return 77;
  }
  const bool hangs = how == "hang" || how == "always" || (how == "recorded" && recorder.recording());
  stuck<<<2, 64>>>(flag, hangs ? kHang : how == "fault" ? kFault : kEnd);
  if (how == "hang") {
    usleep(500'000);
    kill(getpid(), SIGKILL);
  }
  std::printf("scoped_stuck: %s\n", cudaGetErrorString(cudaDeviceSynchronize()));
  std::fflush(stdout);
  if (how == "exit") std::exit(0);
  if (how == "_exit") _exit(0);
  return 0;
}
