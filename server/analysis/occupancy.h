// How a kernel filled the GPU over time: resident CTAs, active SMs, waves, the tail.
#pragma once

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"
#include "server/analysis/sample_cache.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

inline constexpr uint32_t kDefaultOccupancyBuckets = 128;
inline constexpr size_t kMaxWaves = 64;
inline constexpr size_t kMaxHeatMapRows = 512;     // SMs
inline constexpr size_t kMaxHeatMaps = 17;         // resident CTAs, and counters sampled over time

// From the CTAs in the traces of `scopes` (or `proton`) passes: a CTA is resident from its begin to the end
// of its last recorded region. Times count from the begin of a launch's first CTA; series are means over the
// launches joined. Beside them the table `pm_samples` of the kernel's launches, theoretical occupancy from
// `launches`, the achieved one from `counters`. What no pass tells is NaN with an abstention.
// INVALID_ARGUMENT: the kernel was not launched so often.
absl::StatusOr<v1::OccupancyOverTime> FindOccupancy(const Evidence& evidence, const SampleReader& samples,
                                                    const v1::GetOccupancyRequest& request);

}  // namespace sextant::analysis
