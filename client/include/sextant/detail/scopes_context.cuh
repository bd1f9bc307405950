// The device side of scope.cuh: what a warp does to record.
#pragma once

#include "sextant/detail/scopes_format.h"

#ifdef __CUDACC_RTC__
#define SEXTANT_MODULE
#endif
#ifndef SEXTANT_SHARED_RECORDS
#define SEXTANT_SHARED_RECORDS 0
#endif
#ifndef SEXTANT_SHARED_WARPS
#define SEXTANT_SHARED_WARPS 16
#endif
static_assert(SEXTANT_SHARED_RECORDS == 0 ||
                  ((SEXTANT_SHARED_RECORDS & (SEXTANT_SHARED_RECORDS - 1)) == 0 &&
                   SEXTANT_SHARED_RECORDS >= 16 && SEXTANT_SHARED_RECORDS <= 512),
              "SEXTANT_SHARED_RECORDS must be a power of two from 16 to 512");

namespace sextant {
namespace detail {

// In memory that kernels and host see. `claimed` counts warps; the rest does not change while kernels
// run. Read through `volatile`, so that the compiler keeps the values in registers: it would read
// a constant again for each record, which takes longer than the record.
struct ScopesControl {
  unsigned long long claimed;
  uint32_t mask;     // bytes of a ring, less 8
  uint32_t enabled;  // bit id % 32: whether names with this id are recorded
};

// A constant of each module; zero: nothing is recorded.
struct ScopesConfig {
  ScopesControl* control;
  sextant_scopes_slot* slots;
  unsigned char* rings;  // of slot 0, then of slot 1, …; aligned to a ring
  uint32_t slot_count;
  uint32_t cta_period;
  uint32_t shared;  // 0: rings are in global memory; 1: in shared, circular; 2: in shared, flushed
  uint32_t unused;
};

// What is known while compiling.
template <uint32_t Value>
struct Constant {
  static constexpr uint32_t value = Value;
};

// Keeps a name in the module, where the Recorder finds it. Costs no instruction.
__device__ __forceinline__ void KeepName(const char* name) { asm volatile("// %0" ::"l"(name)); }

__device__ __forceinline__ uint32_t Clock() {
  uint32_t clock;
  asm volatile("mov.u32 %0, %%clock;" : "=r"(clock)::"memory");
  return clock;
}

// A warp goes on after bar.sync until an instruction needs that it has happened, and reading the clock
// does not: the end of a wait would be read before the wait. This instruction needs it.
__device__ __forceinline__ void BlockOnBarrier() {
  asm volatile("bar.warp.sync 1;" ::: "memory");  // by lane 0 alone, which records
}

__device__ __forceinline__ uint64_t Timer() {
  uint64_t timer;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(timer)::"memory");
  return timer;
}

}  // namespace detail
}  // namespace sextant

// Each module has its own. scopes_recorder.h registers that of a translation unit of the program; one
// that the program loads itself is found by its name (Recorder::Add).
#ifdef SEXTANT_MODULE
extern "C" {
__constant__ ::sextant::detail::ScopesConfig sextant_scopes_config;
}
#else
namespace {
__constant__ ::sextant::detail::ScopesConfig sextant_scopes_config;
}  // namespace
#endif

namespace sextant {

// What one warp records with; lives in the registers of its first lane. All lanes call everything.
class Context {
 public:
  __device__ __forceinline__ explicit Context(uint32_t kernel, bool per_cta) {
    const detail::ScopesConfig& config = sextant_scopes_config;
    if (config.control != nullptr) Open(config, kernel, per_cta);
  }
  __device__ __forceinline__ ~Context() {
    if (enabled_ != 0) Close();
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  template <uint32_t Kind>
  __device__ __forceinline__ void Record(uint32_t id, uint32_t slot = 0) {
    if ((enabled_ & 1u << (id & 31u)) == 0) return;
    if (Kind == SEXTANT_SCOPES_WAIT_END) detail::BlockOnBarrier();
    const uint32_t clock = detail::Clock();
    const uint32_t tag = id << (SEXTANT_SCOPES_KIND_BITS + SEXTANT_SCOPES_SLOT_BITS) |
                         (slot & 0xffu) << SEXTANT_SCOPES_KIND_BITS | Kind;
    const uint32_t low = low_ | (position_ & mask_);
    uint64_t address;
    asm("mov.b64 %0, {%1, %2};" : "=l"(address) : "r"(low), "r"(high_));
#if SEXTANT_SHARED_RECORDS
    asm volatile("st.v2.u32 [%0], {%1, %2};" ::"l"(address), "r"(tag), "r"(clock) : "memory");
    position_ += 8;
    if (flush_ && (position_ & mask_) == 0) Flush();
#else
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(address), "r"(tag), "r"(clock)
                 : "memory");
    position_ += 8;
#endif
  }

  __device__ __forceinline__ void SetRole(uint32_t id) {
    if (enabled_ != 0) Slot()->role = id;
  }

 private:
  __device__ __forceinline__ void Open(const detail::ScopesConfig& config, uint32_t kernel,
                                       bool per_cta) {
    const uint32_t thread =
        threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const uint32_t cta = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    if ((per_cta ? thread : thread % 32) != 0) return;
    if (config.cta_period > 1 && cta % config.cta_period != 0) return;
    uint64_t claimed;  // not atomicAdd: the compiler would add a vote over the one lane
    asm volatile("atom.global.add.u64 %0, [%1], 1;"
                 : "=l"(claimed)
                 : "l"(&config.control->claimed)
                 : "memory");
    if (claimed >= config.slot_count) return;
    const auto* const control = static_cast<const volatile detail::ScopesControl*>(config.control);
    mask_ = control->mask;
    enabled_ = control->enabled;
    sextant_scopes_slot* const slot = config.slots + claimed;
    const uint64_t ring = reinterpret_cast<uint64_t>(config.rings) + claimed * (mask_ + 8ull);
    low_ = static_cast<uint32_t>(ring);
    high_ = static_cast<uint32_t>(ring >> 32);
#if SEXTANT_SHARED_RECORDS
    const uint32_t shared_warp = thread / 32;
    if (config.shared != 0 && shared_warp < SEXTANT_SHARED_WARPS) {
      __shared__ __align__(SEXTANT_SHARED_RECORDS * 8)
          uint2 rings[SEXTANT_SHARED_WARPS][SEXTANT_SHARED_RECORDS];
      ring_ = ring;
      ring_mask_ = mask_;
      const uint64_t mine = reinterpret_cast<uint64_t>(&rings[shared_warp][0]);
      low_ = static_cast<uint32_t>(mine);
      high_ = static_cast<uint32_t>(mine >> 32);
      mask_ = SEXTANT_SHARED_RECORDS * 8 - 8;
      flush_ = config.shared == 2;
    }
#endif
    uint64_t grid;
    uint32_t sm;
    asm volatile("mov.u64 %0, %%gridid;" : "=l"(grid));
    asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
    slot->grid = grid;
    slot->cta = cta;
    slot->ctas = gridDim.x * gridDim.y * gridDim.z;
    slot->warp = static_cast<uint16_t>(thread / 32);
    slot->sm = static_cast<uint16_t>(sm);
    slot->begin_timer = detail::Timer();
    slot->begin_clock = detail::Clock();
    slot->kernel = kernel;
  }

  __device__ __forceinline__ void Close() {
#if SEXTANT_SHARED_RECORDS
    if (ring_ != 0) Flush();
#endif
    sextant_scopes_slot* const slot = Slot();
    slot->count = position_ / 8;
    slot->end_clock = detail::Clock();
    slot->end_timer = detail::Timer();
  }

  // Where this warp's slot is, from where its ring is: a register less to keep.
  __device__ __forceinline__ sextant_scopes_slot* Slot() const {
    const detail::ScopesConfig& config = sextant_scopes_config;
    uint64_t ring = static_cast<uint64_t>(high_) << 32 | low_;
    uint32_t mask = mask_;
#if SEXTANT_SHARED_RECORDS
    if (ring_ != 0) {
      ring = ring_;
      mask = ring_mask_;
    }
#endif
    return config.slots +
           ((ring - reinterpret_cast<uint64_t>(config.rings)) >> (32 - __clz(static_cast<int>(mask))));
  }

#if SEXTANT_SHARED_RECORDS
  // Copies what the shared ring holds and the slot does not.
  __device__ __forceinline__ void Flush() {
    const uint32_t kept = position_ - flushed_ > mask_ + 8 ? position_ - mask_ - 8 : flushed_;
    const uint64_t from = static_cast<uint64_t>(high_) << 32 | low_;
    for (uint32_t at = kept; at != position_; at += 8) {
      *reinterpret_cast<uint2*>(ring_ + (at & ring_mask_)) =
          *reinterpret_cast<const uint2*>(from + (at & mask_));
    }
    flushed_ = position_;
  }
  uint64_t ring_ = 0;  // in global memory; 0: the shared ring is not used
  uint32_t ring_mask_ = 0;
  uint32_t flushed_ = 0;
  bool flush_ = false;
#endif

  uint32_t enabled_ = 0;  // 0: this lane does not record
  uint32_t low_ = 0;      // the ring's address; `low_` has zeros where `mask_` has ones
  uint32_t high_ = 0;
  uint32_t mask_ = 0;
  uint32_t position_ = 0;  // bytes written
};

// What SEXTANT_SCOPE makes.
class Scope {
 public:
  __device__ __forceinline__ Scope(Context& context, uint32_t id, const char* name)
      : context_(context), id_(id) {
    detail::KeepName(name);
    context_.Record<SEXTANT_SCOPES_BEGIN>(id_);
  }
  __device__ __forceinline__ ~Scope() { context_.Record<SEXTANT_SCOPES_END>(id_); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Context& context_;
  const uint32_t id_;
};

// What SEXTANT_WAIT makes.
class Wait {
 public:
  __device__ __forceinline__ Wait(Context& context, uint32_t id, uint32_t slot, const char* name)
      : context_(context), id_(id), slot_(slot) {
    detail::KeepName(name);
    context_.Record<SEXTANT_SCOPES_WAIT_BEGIN>(id_, slot_);
  }
  __device__ __forceinline__ ~Wait() { context_.Record<SEXTANT_SCOPES_WAIT_END>(id_, slot_); }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

 private:
  Context& context_;
  const uint32_t id_;
  const uint32_t slot_;
};

// The functions below take string literals, hashed while compiling (with -G: while running).

// Names what this warp does. The last call counts.
__device__ __forceinline__ void role(Context& context, const char* name) {
  detail::KeepName(name);
  context.SetRole(sextant_scopes_id(name));
}

// This warp arrived at slot `slot` (0…255) of the barrier `name`: who waits for it may go on.
__device__ __forceinline__ void signal(Context& context, const char* name, uint32_t slot) {
  detail::KeepName(name);
  context.Record<SEXTANT_SCOPES_SIGNAL>(sextant_scopes_id(name), slot);
}

// For regions that are no block. Properly nested with the other scopes of the warp.
__device__ __forceinline__ void scope_begin(Context& context, const char* name) {
  detail::KeepName(name);
  context.Record<SEXTANT_SCOPES_BEGIN>(sextant_scopes_id(name));
}
__device__ __forceinline__ void scope_end(Context& context, const char* name) {
  context.Record<SEXTANT_SCOPES_END>(sextant_scopes_id(name));
}
__device__ __forceinline__ void wait_begin(Context& context, const char* name, uint32_t slot) {
  detail::KeepName(name);
  context.Record<SEXTANT_SCOPES_WAIT_BEGIN>(sextant_scopes_id(name), slot);
}
__device__ __forceinline__ void wait_end(Context& context, const char* name, uint32_t slot) {
  context.Record<SEXTANT_SCOPES_WAIT_END>(sextant_scopes_id(name), slot);
}

// Records the waiting for slot `slot` (0…255) of the barrier `name`, until what it returns ends:
//   { auto waiting = sextant::wait(ctx, "full", stage); mbarrier_wait(…); }
[[nodiscard]] __device__ __forceinline__ Wait wait(Context& context, const char* name,
                                                   uint32_t slot) {
  return Wait(context, sextant_scopes_id(name), slot, name);
}
// Records `body()` as waiting:  sextant::wait(ctx, "full", stage, [&] { mbarrier_wait(…); });
template <typename Body>
__device__ __forceinline__ void wait(Context& context, const char* name, uint32_t slot,
                                     Body&& body) {
  wait_begin(context, name, slot);
  body();
  wait_end(context, name, slot);
}

}  // namespace sextant

#define SEXTANT_KERNEL_(ctx, per_cta)                                                         \
  ::sextant::detail::KeepName(__PRETTY_FUNCTION__);                                           \
  ::sextant::Context ctx(                                                                     \
      ::sextant::detail::Constant<sextant_scopes_hash(__PRETTY_FUNCTION__)>::value, \
      per_cta)
