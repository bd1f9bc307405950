// A kernel with scopes for a program that loads its modules itself (scoped_module.cu): compiled to a
// cubin with -DSEXTANT_MODULE, and by NVRTC while that program runs.
#include "sextant/scope.cuh"

extern "C" __global__ void scoped(unsigned long long* out, int rounds) {
  SEXTANT_KERNEL(ctx);
  sextant::role(ctx, "spinner");
  for (int i = 0; i < rounds; ++i) {
    SEXTANT_SCOPE(ctx, "spin in a module");
    const long long begin = clock64();
    while (clock64() - begin < 2000) {
    }
  }
  if (threadIdx.x == 0) out[blockIdx.x] = 1;
}
