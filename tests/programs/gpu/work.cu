// Ends well: 20 launches of Scale, 5 of Mix, 3 of Spin (1 ms) on a second stream, copies both ways
// and a memset. What a test expects of an instrument is exactly this.
#include "check.h"
#include "kernels.h"

int main() {
  constexpr int kCount = 1 << 16;
  float* device;
  float* const host = new float[kCount]();
  cudaStream_t second;
  MUST(cudaMalloc(&device, kCount * sizeof(float)));
  MUST(cudaStreamCreate(&second));
  MUST(cudaMemset(device, 0, kCount * sizeof(float)));
  MUST(cudaMemcpy(device, host, kCount * sizeof(float), cudaMemcpyHostToDevice));
  for (int i = 0; i < 20; ++i) Scale<<<kCount / 256, 256>>>(device, 1.5f, kCount);
  for (int i = 0; i < 5; ++i) Mix<<<4, 128, 2048>>>(device, i);
  for (int i = 0; i < 3; ++i) Spin<<<1, 32, 0, second>>>(1000000);
  MUST(cudaGetLastError());
  MUST(cudaDeviceSynchronize());
  MUST(cudaMemcpy(host, device, kCount * sizeof(float), cudaMemcpyDeviceToHost));
  std::printf("done %g\n", host[0]);
  return 0;
}
