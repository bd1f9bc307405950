// A job whose passes left synthetic traces, for benchmarks of what reads them.
#pragma once

#include <cstdint>

#include "bench/service.h"

namespace sextant::bench {

inline constexpr double kStepNs = 80;   // from one event to the next, in the mean

// A job of `passes` passes with `events` events in all; its id.
int64_t MakeJob(Service& service, int passes, uint64_t events);

}  // namespace sextant::bench
