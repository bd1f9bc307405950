// What modules.cu loads: TIMES decides the code.
extern "C" __global__ void twice(float* values) {
#pragma unroll
  for (int i = 0; i < TIMES; ++i) values[threadIdx.x] = values[threadIdx.x] * 2.0f + TIMES;
}
