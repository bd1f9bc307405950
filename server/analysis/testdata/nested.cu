// Nested and repeated regions with known trip counts, for region_code_test.cc. nested.sass is its code:
//   nvcc -std=c++17 -arch=sm_90 -lineinfo -cubin -I client/include server/analysis/testdata/nested.cu
//   nvdisasm --print-code --print-line-info nested.cubin
// A warp of nested(…, outer, inner, half): `outer` times region "outer", each holding `inner` times "inner" with four
// additions, then on the first `half` outer turns "branch"; then "outer" again once, from other code; then "tail",
// whose loop the compiler unrolls by four.
#include <cuda_runtime.h>

#include "sextant/scope.cuh"

__global__ void nested(float* data, int outer, int inner, int half) {
  SEXTANT_KERNEL(ctx);
  float sum = data[threadIdx.x];
  for (int i = 0; i < outer; ++i) {
    SEXTANT_SCOPE(ctx, "outer");
#pragma unroll 1
    for (int j = 0; j < inner; ++j) {
      SEXTANT_SCOPE(ctx, "inner");
      sum = sum * 1.5f + data[j];
      sum = sum * sum + 0.25f;
    }
    if (i < half) {
      SEXTANT_SCOPE(ctx, "branch");
      sum = sqrtf(sum) + data[i];
      data[threadIdx.x + i] = sum;
    }
  }
  {
    SEXTANT_SCOPE(ctx, "outer");
    sum = 1.0f / sum;
    data[threadIdx.x] = sum;
  }
  {
    SEXTANT_SCOPE(ctx, "tail");
#pragma unroll 4
    for (int j = 0; j < inner; ++j) {
      SEXTANT_SCOPE(ctx, "step");
      sum += data[j] * sum;
    }
  }
  data[threadIdx.x] = sum;
}
