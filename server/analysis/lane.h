// What an Aligner gathers of one role, and how it becomes the lane that is shown.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

struct Observation {
  double start_ns;
  double duration_ns;
};

// The same instance over passes and threads.
struct AlignedInstance {
  std::vector<Observation> observations;
  std::vector<double> cycles;   // durations, where the trace is in cycles
  uint32_t passes = 0;
  uint32_t last_pass = 0;       // counted from 1
  uint32_t depth = 0;           // of most observations: a majority vote
  uint32_t depth_votes = 0;
  absl::InlinedVector<std::pair<uint32_t, uint32_t>, 1> before;   // region, how often
};

struct AlignedRegion {
  std::map<uint32_t, std::vector<AlignedInstance>> launches;   // by ordinal, or rank from the tail
  std::map<uint32_t, uint64_t> most;    // by launch: the largest number of instances on one track
  size_t kept = 0;
};

// How many instances one thread had of one region, over passes.
using SlotKey = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;   // launch, CTA, rank, region
struct Slot {
  uint64_t least = 0;
  uint64_t most = 0;
  uint32_t passes = 0;
};

struct Lane {
  std::string name;
  bool named = false;
  bool tail = false;        // ranks are counted from the last instance
  uint64_t dropped = 0;
  uint32_t tracks = 0;      // at most over passes
  std::map<uint32_t, AlignedRegion> regions;   // by region id
  absl::flat_hash_map<SlotKey, Slot> slots;
  bool slots_full = false;
};

// Uses up the lane's observations. Instances are in order of their median start.
v1::RoleLane FinishLane(Lane* lane, absl::Span<const std::string> region_names, uint32_t passes,
                        bool cycles, absl::Span<const double> quantiles);

}  // namespace sextant::analysis
