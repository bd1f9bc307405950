// Starts CUDA, copies, launches nothing.
#include "check.h"

int main() {
  int value = 7;
  int* device;
  MUST(cudaMalloc(&device, sizeof(value)));
  MUST(cudaMemcpy(device, &value, sizeof(value), cudaMemcpyHostToDevice));
  MUST(cudaMemcpy(&value, device, sizeof(value), cudaMemcpyDeviceToHost));
  return value == 7 ? 0 : 1;
}
