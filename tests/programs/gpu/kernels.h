// Kernels of known shape that the programs share.
#pragma once

__global__ void Scale(float* values, float factor, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) values[i] *= factor;
}

// Static shared memory, and more registers and local memory than it needs.
__global__ void __launch_bounds__(128) Mix(float* values, int n) {
  __shared__ float shared[256];
  float local[64];
  for (int i = 0; i < 64; ++i) local[i] = values[(i * n) & 1023];
  shared[threadIdx.x] = local[n & 63];
  __syncthreads();
  values[threadIdx.x] = shared[127 - threadIdx.x] + local[(n * 7) & 63];
}

// Runs for so many nanoseconds.
__global__ void Spin(unsigned long long duration_ns) {
  unsigned long long begin, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do {
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  } while (now - begin < duration_ns);
}

// Never returns.
__global__ void Hang(volatile int* stop) {
  while (*stop == 0) {
  }
}
