// Regions inside CUDA kernels, recorded when the program runs under Sextant. Header-only; CUDA C++17
// for sm_70 and newer; needs the CUDA runtime and libc on Linux.
//
//   #include "sextant/scope.cuh"
//
//   __global__ void gemm(...) {
//     SEXTANT_KERNEL(ctx);                          // what this warp records
//     if (warp == 0) {
//       sextant::role(ctx, "producer");             // its lane in the timeline
//       for (...) {
//         { SEXTANT_WAIT(ctx, "empty", stage); mbarrier_wait(&empty[stage], parity); }
//         SEXTANT_SCOPE(ctx, "load");               // from here to the end of the block
//         ...
//         sextant::signal(ctx, "full", stage);
//       }
//     }
//   }
//
//   int main() {
//     sextant::Recorder recorder;                   // after the device was chosen, once
//     ...launch as ever: streams, graphs, cooperative, from libraries...
//   }
//
// Nothing is passed to kernels: they find their buffers through a constant of their module, and each
// warp takes a ring of its own when it starts. Launches are told apart by %gridid.
//
// Cost. Recording: five or six instructions a record, the 32-bit clock and one 8-byte store of one
// lane; a warp's start takes an atomic operation in global memory. Not recording: a predicated
// instruction or two where a record would be. Compiled with -DSEXTANT_DISABLE: nothing at all, the
// machine code is the same as without the lines. bench/gpu_overhead.py measures it.
//
// What is recorded: begin and end of each scope in cycles of the SM's clock, by one lane of each warp,
// in a ring whose tail is kept. Memory accesses stay on their side of a record; arithmetic may be
// moved across by the compiler. The clock can be read before a __syncthreads() just before it has
// blocked: put SEXTANT_WAIT around it, whose end does wait for it, or its time counts to what follows.
// A context lives in registers: pass it by reference to functions that
// are inlined. Make one context in a kernel, where all warps that shall be seen come by.
//
// Environment, set by the worker's `scopes` backend or by you:
//   SEXTANT_SCOPES   unset: nothing is recorded; else "1", or options joined by commas:
//                      records=N      a warp keeps, a power of two, default 1024 (two a scope)
//                      scopes=A+B     record these scopes, waits and signals alone
//                      part=K/N       record the K-th of N parts (up to 32) into which names fall
//                      ctas=1/N       record every N-th CTA
//                      memory=device|host   host: mapped memory, copied to the file while kernels
//                                     run: what hangs or crashes leaves its last scopes
//                      buffer=global|shared shared: needs -DSEXTANT_SHARED_RECORDS=N, see below
//                      mode=flush|circular  of shared rings: written out when full, or at the end
//                      arena_mb=N     memory for rings, default 256; what comes later is counted
//   SEXTANT_RESULTS  folder for the files, default "."; `sextant import` reads them
//
// Modules that the program loads itself (cuModuleLoadData, cuLibraryLoadData; a cubin, PTX, what NVRTC
// compiled): compile them with -DSEXTANT_MODULE, which NVRTC has by itself, and tell of each once,
// before its first launch: recorder.Add(module).
//
// Compile-time options: SEXTANT_DISABLE; SEXTANT_MODULE; SEXTANT_SHARED_RECORDS=N (a power of two, 16…512) reserves
// a ring of N records of shared memory for each of SEXTANT_SHARED_WARPS (default 16) warps.
#pragma once

#if defined(__CUDACC__) && !defined(SEXTANT_DISABLE)
#include "sextant/detail/scopes_context.cuh"
#ifndef SEXTANT_MODULE
#include "sextant/detail/scopes_recorder.h"
#endif
#endif

#define SEXTANT_CUDA_JOIN_INNER_(a, b) a##b
#define SEXTANT_CUDA_JOIN_(a, b) SEXTANT_CUDA_JOIN_INNER_(a, b)

#if defined(__CUDACC__) && !defined(SEXTANT_DISABLE)

// Declares `ctx`, through which this warp records. In the body of a __global__ function.
#define SEXTANT_KERNEL(ctx) SEXTANT_KERNEL_(ctx, false)
// The same for the first warp of each CTA alone.
#define SEXTANT_KERNEL_PER_CTA(ctx) SEXTANT_KERNEL_(ctx, true)

// Records from here to the end of the enclosing block under `name`, a string literal of at most 255
// bytes. Scopes of one warp nest.
#define SEXTANT_SCOPE(ctx, name)                                                              \
  const ::sextant::Scope SEXTANT_CUDA_JOIN_(sextant_scope_, __COUNTER__)(                     \
      ctx, ::sextant::detail::Constant<sextant_scopes_id("" name)>::value, name)

// The same for waiting on slot `slot` (0…255) of the barrier `name`.
#define SEXTANT_WAIT(ctx, name, slot)                                                         \
  const ::sextant::Wait SEXTANT_CUDA_JOIN_(sextant_wait_, __COUNTER__)(                       \
      ctx, ::sextant::detail::Constant<sextant_scopes_id("" name)>::value,      \
      (slot), name)

#else

namespace sextant {

// What is left of a context with SEXTANT_DISABLE.
struct NoContext {};

#ifdef __CUDACC__
#define SEXTANT_NOTHING_ __host__ __device__ __forceinline__
#else
#define SEXTANT_NOTHING_ inline
#endif
SEXTANT_NOTHING_ void role(NoContext, const char*) {}
SEXTANT_NOTHING_ void signal(NoContext, const char*, unsigned) {}
SEXTANT_NOTHING_ void scope_begin(NoContext, const char*) {}
SEXTANT_NOTHING_ void scope_end(NoContext, const char*) {}
SEXTANT_NOTHING_ void wait_begin(NoContext, const char*, unsigned) {}
SEXTANT_NOTHING_ void wait_end(NoContext, const char*, unsigned) {}
[[nodiscard]] SEXTANT_NOTHING_ NoContext wait(NoContext, const char*, unsigned) { return {}; }
template <typename Body>
SEXTANT_NOTHING_ void wait(NoContext, const char*, unsigned, Body&& body) {
  body();
}
#undef SEXTANT_NOTHING_

#ifndef __CUDACC_RTC__
// Where nothing is recorded there is nothing to own.
class Recorder {
 public:
  Recorder() {}
  bool recording() const { return false; }
  template <typename Module>
  bool Add(Module) {
    return false;
  }
  template <typename Module>
  void Remove(Module) {}
  void Finish() {}
};
#endif

}  // namespace sextant

#define SEXTANT_KERNEL(ctx) [[maybe_unused]] constexpr ::sextant::NoContext ctx
#define SEXTANT_KERNEL_PER_CTA(ctx) [[maybe_unused]] constexpr ::sextant::NoContext ctx
#define SEXTANT_SCOPE(ctx, name) ((void)0)
#define SEXTANT_WAIT(ctx, name, slot) ((void)0)

#endif
