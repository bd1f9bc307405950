// The worker's own reading of the clocks that recorders use.
#pragma once

#include <cstdint>
#include <vector>

namespace sextant::backends::host {

// Ticks and CLOCK_MONOTONIC at one moment, and the rate the worker measured. On this machine ticks
// of a constant-rate counter are the same for all processes.
struct ClockReference {
  uint32_t clock = 0;  // enum sextant_clock
  uint64_t ticks = 0;
  uint64_t ns = 0;
  double ns_per_tick = 0;
};

// Measures since its construction.
class ReferenceClock {
 public:
  ReferenceClock();
  // One for each clock this machine has. Takes up to a millisecond after construction.
  std::vector<ClockReference> Now() const;
  // Whether there is a counter of constant rate beside CLOCK_MONOTONIC.
  bool HasCounter() const { return counter_ != 0; }

 private:
  uint32_t counter_ = 0;  // enum sextant_clock; 0: none
  uint64_t ticks_ = 0;
  uint64_t ns_ = 0;
};

// What is known of the clocks of a machine that recorded long ago: how fast its counter ticked.
std::vector<ClockReference> RecordedClocks(double counter_hz);

}  // namespace sextant::backends::host
