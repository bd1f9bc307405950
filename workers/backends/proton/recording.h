// What Proton recorded, in one shape for all its formats: launches, who recorded in them, and the
// instances. The formats' readers fill it; it becomes a trace (docs/trace_format.md).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proto/chunk/encoder.h"

namespace sextant::backends::proton {

// What a pass may hold; more is counted and left out.
struct ImportLimits {
  uint64_t max_instances = 64 * 1024 * 1024;
  size_t max_tracks = 4 * 1024 * 1024;
  size_t max_regions = 4096;  // distinct names over all kernels
  size_t max_launches = 256 * 1024;
  size_t max_notes = 32;
  uint32_t max_units = 4096;  // warps of a CTA
};

// Counts of records that have no place in the trace.
struct Losses {
  uint64_t overwritten = 0;        // the head of wrapped buffers
  uint64_t ends_without_begin = 0; // where no record was overwritten
  uint64_t begins_without_end = 0;
  uint64_t backwards = 0;          // scopes whose clock went back
  uint64_t malformed = 0;          // units whose records are none: read up to there
  uint64_t over_limit = 0;         // scopes, for which ImportLimits has no room
};

// A trace with what is worth saying about it. Instances are in no order.
struct Recorded {
  chunk::TraceInfo trace;
  std::vector<chunk::Instance> instances;
  std::vector<std::string> kernels;   // by launch
  Losses losses;
  double clock_hz = 0;                // of the cycles; 0: not known
  std::vector<std::string> notes;
};

// Owns what is recorded until Finish. One thread.
class Recording {
 public:
  explicit Recording(ImportLimits limits = {}) : limits_(limits) {}

  const ImportLimits& limits() const { return limits_; }
  Losses& losses() { return losses_; }

  // The index of a launch of this kernel. `number` is its rank among the launches that matter.
  uint32_t AddLaunch(std::string_view kernel, uint32_t number);

  // A region by the launch's kernel and its name; UINT32_MAX: there are max_regions already.
  uint32_t Region(uint32_t launch, std::string_view name);

  // Who recorded. `track.launch` is the index from AddLaunch; UINT32_MAX: no more room.
  uint32_t AddTrack(chunk::Track track);
  chunk::Track& track(uint32_t index) { return tracks_[index]; }

  // Nothing when there are max_instances already, but counted.
  void Add(uint32_t track, uint32_t region, uint64_t start, uint64_t duration) {
    if (track == UINT32_MAX || region == UINT32_MAX || instances_.size() >= limits_.max_instances) {
      ++losses_.over_limit;
      return;
    }
    instances_.push_back({track, region, start, duration});
  }
  // Room for so many more, as far as the limit goes.
  void Reserve(uint64_t more) {
    instances_.reserve(std::min<uint64_t>(instances_.size() + more, limits_.max_instances));
  }
  size_t instances() const { return instances_.size(); }
  // Those added after the first `from` start so many cycles later (modulo 2^64).
  void ShiftStarts(size_t from, uint64_t cycles) {
    for (size_t i = from; i < instances_.size(); ++i) instances_[i].start += cycles;
  }

  // Says of a track whose first records are lost that its last record, `last_cycle` after the first
  // one kept, lies `span_ns` after its origin.
  void AnchorAtEnd(uint32_t track, uint64_t last_cycle, uint64_t span_ns);

  // Adds `offset_ns` to the origins of all tracks. What then lies outside of a trace's range has no
  // start time: it becomes 0, and a note says so.
  void ShiftOrigins(int64_t offset_ns);

  // A sentence for the pass's notes, each once, at most max_notes.
  void Note(std::string sentence);

  // In cycles of which one takes `ns_per_cycle`. Names roles: warps of a kernel that record other
  // regions than its other warps do something else, and are called after the first of these regions.
  // Call once, last.
  Recorded Finish(double ns_per_cycle);

 private:
  struct Launch {
    uint32_t kernel;
    uint32_t number;
  };

  struct Anchor {
    uint64_t last_cycle;
    uint64_t span_ns;
  };

  void ApplyAnchors(double ns_per_cycle);
  void NameRoles(chunk::TraceInfo& info);
  void NoteLosses();

  const ImportLimits limits_;
  Losses losses_;
  std::vector<std::string> kernels_;
  absl::flat_hash_map<std::string, uint32_t> kernel_ids_;
  std::vector<Launch> launches_;
  struct RegionKey {
    uint32_t kernel;
    std::string name;
  };
  std::vector<RegionKey> regions_;
  std::vector<absl::flat_hash_map<std::string, uint32_t>> region_ids_;  // by kernel
  std::vector<chunk::Track> tracks_;
  absl::flat_hash_map<uint32_t, Anchor> anchors_;  // by track
  std::vector<chunk::Instance> instances_;
  std::vector<std::string> notes_;
};

}  // namespace sextant::backends::proton
