// What alignment gathers of one role, and how it becomes the lane that is shown.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

inline constexpr uint32_t kNothingBefore = std::numeric_limits<uint32_t>::max();
inline constexpr uint32_t kUnknownBefore = kNothingBefore - 1;   // it was lost

// Observations of all instances, those of one instance together.
struct Observed {
  std::vector<double> start_ns;
  std::vector<double> duration_ns;
  std::vector<double> cycles;   // durations, where the traces are in cycles
};

// The same instance over passes and threads: observations [begin, begin + count).
struct AlignedInstance {
  uint64_t begin = 0;
  uint64_t count = 0;
  uint32_t passes = 0;
  uint32_t last_pass = 0;         // counted from 1
  uint32_t depth = 0;             // of most observations
  int32_t depth_votes = 0;
  uint32_t before = kNothingBefore;   // region that usually goes before
  int32_t before_votes = 0;
  uint64_t known_before = 0;
  uint64_t usual_before = 0;
};

// How many instances there were of one thing, over passes.
struct Slot {
  uint64_t least = 0;
  uint64_t most = 0;
  uint32_t passes = 0;

  void Add(uint64_t count) {
    least = passes == 0 ? count : std::min(least, count);
    most = std::max(most, count);
    ++passes;
  }
};
using SlotKey = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;   // launch, CTA, rank, region

struct LaneState {
  bool seen = false;
  bool tail = false;        // ordinals are counted from the last instance
  bool shortened = false;   // of some track not all instances were kept
  uint64_t dropped = 0;
  uint32_t tracks = 0;      // at most over passes
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> most;    // region, launch → on one track, at most
  std::map<std::pair<uint32_t, uint32_t>, std::pair<uint32_t, uint32_t>> first;   // → place, places
  absl::flat_hash_map<SlotKey, Slot> slots;
  bool slots_full = false;
  std::map<std::pair<uint32_t, uint32_t>, Slot> role_slots;  // launch, region: of the whole role
};

// `regions_spread` as in AlignOptions. Reorders the observations of the lane's instances. Instances are in order of their median start.
v1::RoleLane FinishLane(const TraceSample& sample, const SampledLane& named, const LaneState& lane,
                        absl::Span<const AlignedInstance> aligned, Observed* observed,
                        absl::Span<const double> quantiles, bool regions_spread);

}  // namespace sextant::analysis
