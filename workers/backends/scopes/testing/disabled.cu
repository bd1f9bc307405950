// Compiled with SEXTANT_DISABLE, and with SCOPES undefined: the machine code must be the same.
#ifdef SCOPES
#include "sextant/scope.cuh"
#else
#define SEXTANT_KERNEL(ctx)
#define SEXTANT_SCOPE(ctx, name)
#define SEXTANT_WAIT(ctx, name, slot)
#endif

__global__ void kernel(float* values, int turns) {
  SEXTANT_KERNEL(ctx);
#ifdef SCOPES
  sextant::role(ctx, "worker");
#endif
  float value = values[threadIdx.x];
  for (int i = 0; i < turns; ++i) {
    {
      SEXTANT_WAIT(ctx, "full", i % 4);
      __syncthreads();
    }
    SEXTANT_SCOPE(ctx, "root");
    value = sqrtf(value) + 1;
#ifdef SCOPES
    sextant::signal(ctx, "empty", i % 4);
    sextant::scope_begin(ctx, "more");
    sextant::scope_end(ctx, "more");
    auto waiting = sextant::wait(ctx, "full", 1);
    sextant::wait(ctx, "full", 2, [&] { value *= 2; });
#else
    value *= 2;
#endif
  }
  values[threadIdx.x] = value;
}

int main() {
#ifdef SCOPES
  sextant::Recorder recorder;
  if (recorder.recording()) return 1;
#endif
  kernel<<<1, 32>>>(nullptr, 0);
  return 0;
}
