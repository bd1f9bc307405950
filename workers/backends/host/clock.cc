#include "workers/backends/host/clock.h"

#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "client/include/sextant/detail/format.h"

namespace sextant::backends::host {
namespace {

constexpr uint64_t kLeastBaselineNs = 1'000'000;

uint64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t CounterTicks() {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  return 0;
#endif
}

uint32_t Counter() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & 0x100u) ? SEXTANT_CLOCK_TSC : 0;
#elif defined(__aarch64__)
  return SEXTANT_CLOCK_CNTVCT;
#else
  return 0;
#endif
}

// The closest of a few readings of both clocks.
void ReadBoth(uint64_t* ticks, uint64_t* ns) {
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = CounterTicks();
    const uint64_t now = MonotonicNs();
    const uint64_t apart = CounterTicks() - before;
    if (apart >= best) continue;
    best = apart;
    *ticks = before + apart / 2;
    *ns = now;
  }
}

}  // namespace

ReferenceClock::ReferenceClock() : counter_(Counter()) { ReadBoth(&ticks_, &ns_); }

std::vector<ClockReference> ReferenceClock::Now() const {
  std::vector<ClockReference> references;
  references.push_back({.clock = SEXTANT_CLOCK_MONOTONIC, .ticks = 0, .ns = 0, .ns_per_tick = 1});
  if (counter_ == 0) return references;
  while (MonotonicNs() - ns_ < kLeastBaselineNs) {
  }
  ClockReference reference = {.clock = counter_};
  ReadBoth(&reference.ticks, &reference.ns);
  if (reference.ticks <= ticks_)
    return references;  // not the constant-rate counter it claims to be
  reference.ns_per_tick =
      static_cast<double>(reference.ns - ns_) / static_cast<double>(reference.ticks - ticks_);
  references.push_back(reference);
  return references;
}

std::vector<ClockReference> RecordedClocks(double counter_hz) {
  return {{.clock = SEXTANT_CLOCK_MONOTONIC, .ticks = 0, .ns = 0, .ns_per_tick = 1},
          {.clock = SEXTANT_CLOCK_TSC, .ticks = 0, .ns = 0, .ns_per_tick = 1e9 / counter_hz},
          {.clock = SEXTANT_CLOCK_CNTVCT, .ticks = 0, .ns = 0, .ns_per_tick = 1e9 / counter_hz}};
}

}  // namespace sextant::backends::host
