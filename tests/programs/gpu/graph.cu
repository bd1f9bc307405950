// A graph of three kernels, the last two of which may run at once, launched ten times.
#include "check.h"
#include "kernels.h"

int main() {
  constexpr int kCount = 1 << 14;
  float* device;
  cudaStream_t first, second;
  cudaEvent_t forked, joined;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  MUST(cudaMalloc(&device, kCount * sizeof(float)));
  MUST(cudaStreamCreate(&first));
  MUST(cudaStreamCreate(&second));
  MUST(cudaEventCreate(&forked));
  MUST(cudaEventCreate(&joined));
  MUST(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
  Scale<<<kCount / 256, 256, 0, first>>>(device, 1.5f, kCount);
  MUST(cudaEventRecord(forked, first));
  MUST(cudaStreamWaitEvent(second, forked, 0));
  Mix<<<4, 128, 0, first>>>(device, 1);
  Spin<<<1, 32, 0, second>>>(100000);
  MUST(cudaEventRecord(joined, second));
  MUST(cudaStreamWaitEvent(first, joined, 0));
  MUST(cudaStreamEndCapture(first, &graph));
  MUST(cudaGraphInstantiate(&executable, graph, 0));
  for (int i = 0; i < 10; ++i) MUST(cudaGraphLaunch(executable, first));
  MUST(cudaStreamSynchronize(first));
  return 0;
}
