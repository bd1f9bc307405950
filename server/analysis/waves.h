// Where and when CTAs of one launch ran: waves, residency, the tail.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

// The most CTAs that were on one SM at the same time.
uint32_t MostResident(absl::Span<const CtaSpan> ctas);

// By CTA, in the order given: on each SM the first `slots` CTAs by begin are wave 0, the next ones wave 1.
std::vector<uint32_t> WavesOf(absl::Span<const CtaSpan> ctas, uint32_t slots);

// How evenly a launch filled the SMs on which its CTAs ran. Times in ns.
struct LaunchShape {
  uint64_t begin_ns = 0;           // of the first CTA
  uint64_t end_ns = 0;
  uint32_t sms = 0;
  double tail_ns = 0;              // from the first SM that ran dry to the end
  double tail_loss_share = 0;      // Σ over SMs of (end − its last CTA's end) ÷ (SMs × duration)
  double imbalance = 0;            // longest busy time of an SM ÷ mean − 1
};
LaunchShape ShapeOf(absl::Span<const CtaSpan> ctas);

}  // namespace sextant::analysis
