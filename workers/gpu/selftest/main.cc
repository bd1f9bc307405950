// sextant-gpu-selftest: three kernels whose work is known (facts.h), through the CUDA driver's API
// alone, so that building it needs no toolkit and running it nothing but the driver. Exit code 0:
// they ran and computed what they should; 2: there is no usable GPU; 1: a wrong result.
#include <dlfcn.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "workers/gpu/selftest/facts.h"

namespace {

using namespace sextant::gpu::selftest;

// Written for sm_70, the oldest that the service supports; the driver compiles it for what is there.
constexpr char kPtx[] = R"(
.version 6.0
.target sm_70
.address_size 64

// Waits until %clock64 has moved by `cycles`; leaves by how much it did.
.visible .entry sextant_selftest_spin(.param .u64 out, .param .u64 cycles)
{
  .reg .u64 %begin, %now, %spent, %want, %at;
  .reg .pred %more;
  ld.param.u64 %at, [out];
  ld.param.u64 %want, [cycles];
  cvta.to.global.u64 %at, %at;
  mov.u64 %begin, %clock64;
again:
  mov.u64 %now, %clock64;
  sub.u64 %spent, %now, %begin;
  setp.lt.u64 %more, %spent, %want;
  @%more bra again;
  st.global.u64 [%at], %spent;
  ret;
}

// out[thread] = a + turns times 4 times a times b, by dependent multiply-adds.
.visible .entry sextant_selftest_ffma(.param .u64 out, .param .f32 a, .param .f32 b, .param .u32 turns)
{
  .reg .u64 %at, %offset;
  .reg .u32 %turn, %turns, %block, %size, %thread;
  .reg .f32 %a, %b, %x;
  .reg .pred %more;
  ld.param.u64 %at, [out];
  ld.param.f32 %a, [a];
  ld.param.f32 %b, [b];
  ld.param.u32 %turns, [turns];
  cvta.to.global.u64 %at, %at;
  mov.f32 %x, %a;
  mov.u32 %turn, 0;
loop:
  .pragma "nounroll";
  fma.rn.f32 %x, %a, %b, %x;
  fma.rn.f32 %x, %a, %b, %x;
  fma.rn.f32 %x, %a, %b, %x;
  fma.rn.f32 %x, %a, %b, %x;
  add.u32 %turn, %turn, 1;
  setp.lt.u32 %more, %turn, %turns;
  @%more bra loop;
  mov.u32 %block, %ctaid.x;
  mov.u32 %size, %ntid.x;
  mov.u32 %thread, %tid.x;
  mad.lo.u32 %thread, %block, %size, %thread;
  mul.wide.u32 %offset, %thread, 4;
  add.u64 %at, %at, %offset;
  st.global.f32 [%at], %x;
  ret;
}

// Sixteen bytes of each thread from one place to another.
.visible .entry sextant_selftest_copy(.param .u64 from, .param .u64 to)
{
  .reg .u64 %from, %to, %offset;
  .reg .u32 %block, %size, %thread, %v<4>;
  ld.param.u64 %from, [from];
  ld.param.u64 %to, [to];
  cvta.to.global.u64 %from, %from;
  cvta.to.global.u64 %to, %to;
  mov.u32 %block, %ctaid.x;
  mov.u32 %size, %ntid.x;
  mov.u32 %thread, %tid.x;
  mad.lo.u32 %thread, %block, %size, %thread;
  mul.wide.u32 %offset, %thread, 16;
  add.u64 %from, %from, %offset;
  add.u64 %to, %to, %offset;
  ld.global.v4.u32 {%v0, %v1, %v2, %v3}, [%from];
  st.global.v4.u32 [%to], {%v0, %v1, %v2, %v3};
  ret;
}
)";

// The driver's API, as far as it is used (its ABI).
using Result = int;
using Address = unsigned long long;
struct Driver {
  Result (*cuInit)(unsigned);
  Result (*cuDeviceGet)(int*, int);
  Result (*cuDevicePrimaryCtxRetain)(void**, int);
  Result (*cuCtxSetCurrent)(void*);
  Result (*cuModuleLoadData)(void**, const void*);
  Result (*cuModuleGetFunction)(void**, void*, const char*);
  Result (*cuMemAlloc_v2)(Address*, size_t);
  Result (*cuMemsetD32_v2)(Address, unsigned, size_t);
  Result (*cuMemcpyDtoH_v2)(void*, Address, size_t);
  Result (*cuLaunchKernel)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                           unsigned, void*, void**, void**);
  Result (*cuCtxSynchronize)();
  Result (*cuDevicePrimaryCtxRelease_v2)(int);
  Result (*cuGetErrorName)(Result, const char**);
};
Driver driver;

[[noreturn]] void Unusable(const char* what, const char* why) {
  std::fprintf(stderr, "no usable GPU: %s: %s\n", what, why);
  std::exit(2);
}

void Check(const char* what, Result result) {
  if (result == 0) return;
  const char* name = nullptr;
  if (driver.cuGetErrorName != nullptr) driver.cuGetErrorName(result, &name);
  Unusable(what, name == nullptr ? "unknown error" : name);
}
#define CHECKED(call, ...) Check(#call, driver.call(__VA_ARGS__))

void LoadDriver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) Unusable("libcuda.so.1", dlerror());
  const auto load = [library](const char* name, auto& function) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr) Unusable(name, "the driver does not have it");
    function = reinterpret_cast<std::decay_t<decltype(function)>>(symbol);
  };
#define LOAD(name) load(#name, driver.name)
  LOAD(cuInit);
  LOAD(cuDeviceGet);
  LOAD(cuDevicePrimaryCtxRetain);
  LOAD(cuCtxSetCurrent);
  LOAD(cuModuleLoadData);
  LOAD(cuModuleGetFunction);
  LOAD(cuMemAlloc_v2);
  LOAD(cuMemsetD32_v2);
  LOAD(cuMemcpyDtoH_v2);
  LOAD(cuLaunchKernel);
  LOAD(cuCtxSynchronize);
  LOAD(cuDevicePrimaryCtxRelease_v2);
  LOAD(cuGetErrorName);
#undef LOAD
}

template <typename T>
std::vector<T> Download(Address from, size_t count) {
  std::vector<T> values(count);
  CHECKED(cuMemcpyDtoH_v2, values.data(), from, count * sizeof(T));
  return values;
}

bool Right(const char* what, bool right) {
  if (!right) std::fprintf(stderr, "wrong result: %s\n", what);
  return right;
}

template <typename... Arguments>
void Launch(void* function, unsigned blocks, unsigned threads, Arguments... arguments) {
  void* pointers[] = {&arguments...};
  CHECKED(cuLaunchKernel, function, blocks, 1, 1, threads, 1, 1, 0, nullptr, pointers, nullptr);
}

}  // namespace

int main() {
  LoadDriver();
  int device = 0;
  void *context = nullptr, *module = nullptr, *spin = nullptr, *ffma = nullptr, *copy = nullptr;
  CHECKED(cuInit, 0);
  CHECKED(cuDeviceGet, &device, 0);
  CHECKED(cuDevicePrimaryCtxRetain, &context, device);
  CHECKED(cuCtxSetCurrent, context);
  CHECKED(cuModuleLoadData, &module, kPtx);
  CHECKED(cuModuleGetFunction, &spin, module, kSpinKernel);
  CHECKED(cuModuleGetFunction, &ffma, module, kFfmaKernel);
  CHECKED(cuModuleGetFunction, &copy, module, kCopyKernel);

  Address spent = 0, sums = 0, from = 0, to = 0;
  constexpr unsigned kPattern = 0x5e87a47u;
  constexpr unsigned kSums = kFfmaBlocks * kFfmaThreads;
  CHECKED(cuMemAlloc_v2, &spent, sizeof(uint64_t));
  CHECKED(cuMemAlloc_v2, &sums, kSums * sizeof(float));
  CHECKED(cuMemAlloc_v2, &from, kCopyBytes);
  CHECKED(cuMemAlloc_v2, &to, kCopyBytes);
  CHECKED(cuMemsetD32_v2, from, kPattern, kCopyBytes / 4);
  CHECKED(cuMemsetD32_v2, to, 0, kCopyBytes / 4);

  const uint64_t cycles = kSpinCycles;
  const float a = 1, b = 1;
  const unsigned turns = kFfmaTurns;
  for (unsigned i = 0; i < kLaunches; ++i) {
    Launch(spin, 1, 32, spent, cycles);
    Launch(ffma, kFfmaBlocks, kFfmaThreads, sums, a, b, turns);
    Launch(copy, kCopyBlocks, kCopyThreads, from, to);
  }
  CHECKED(cuCtxSynchronize);

  bool right = true;
  const uint64_t took = Download<uint64_t>(spent, 1)[0];
  right &= Right("the spin ended early", took >= kSpinCycles);
  for (const float sum : Download<float>(sums, kSums)) {
    if (!Right("a sum", sum == 1.0f + static_cast<float>(kFfmaPerThread))) {
      right = false;
      break;
    }
  }
  for (const unsigned word : Download<unsigned>(to, kCopyBytes / 4)) {
    if (!Right("a copied word", word == kPattern)) {
      right = false;
      break;
    }
  }
  CHECKED(cuDevicePrimaryCtxRelease_v2, device);
  std::printf("{\"launches\": %u, \"spin_cycles\": %" PRIu64 ", \"ffma_thread_instructions\": %" PRIu64
              ", \"copy_bytes\": %" PRIu64 ", \"right\": %s}\n",
              3 * kLaunches, took, kFfmaThreadInstructions, kCopyBytes, right ? "true" : "false");
  return right ? 0 : 1;
}
