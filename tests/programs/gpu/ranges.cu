// NVTX: nested ranges on two threads, a mark, a range that ends on another thread.
#include <nvtx3/nvToolsExt.h>

#include <thread>

#include "check.h"
#include "kernels.h"

static float* device;

static void Work(const char* name, int launches) {
  nvtxRangePushA(name);
  for (int i = 0; i < launches; ++i) {
    nvtxRangePushA("step");
    Scale<<<16, 256>>>(device, 1.5f, 4096);
    MUST(cudaDeviceSynchronize());
    nvtxRangePop();
  }
  nvtxRangePop();
}

int main() {
  nvtxMarkA("begin");
  const nvtxRangeId_t whole = nvtxRangeStartA("whole");
  MUST(cudaMalloc(&device, 4096 * sizeof(float)));
  Work("first", 3);
  std::thread([whole] {
    Work("second", 2);
    nvtxRangeEnd(whole);
  }).join();
  return 0;
}
