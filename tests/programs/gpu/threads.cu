// Four threads, each with a stream of its own and 500 launches; then two children made before CUDA
// was touched, each with 100 launches in a context of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "check.h"
#include "kernels.h"

static void Launch(int launches) {
  constexpr int kCount = 1 << 12;
  float* device;
  cudaStream_t stream;
  MUST(cudaMalloc(&device, kCount * sizeof(float)));
  MUST(cudaStreamCreate(&stream));
  for (int i = 0; i < launches; ++i) {
    Scale<<<kCount / 256, 256, 0, stream>>>(device, 1.5f, kCount);
  }
  MUST(cudaStreamSynchronize(stream));
}

int main() {
  for (int child = 0; child < 2; ++child) {
    if (fork() == 0) {
      Launch(100);
      return 0;
    }
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(Launch, 500);
  for (std::thread& thread : threads) thread.join();
  int status, bad = 0;
  while (wait(&status) > 0) bad += status != 0;
  return bad;
}
