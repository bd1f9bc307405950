// Joins what several passes saw of the same instances.
//
// The rule. Two instances of two passes are the same thing when they agree in
//   * the lane: the role of their thread or warp as named, or, unnamed, its index in order of
//     creation ("thread 3", "warp 0");
//   * the launch, or with `from_cta` the kernel (the processes of a host trace are more threads of the
//     same role);
//   * the region;
//   * the ordinal: the rank among the instances of that region on its thread or warp. It counts from
//     the last one in lanes where a buffer that wrapped lost the head in any pass.
// The threads (warps, CTAs) of one role do the same thing, so they are further observations of it:
// an instance has up to passes × threads observations.
//
// Confidence of a lane, 0…1: over all (launch, CTA, rank of the thread within its role, region), the
// sum of the smallest number of instances in any pass ÷ the sum of the largest, times the share of
// observations whose predecessor on their thread is the region that usually goes before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "proto/chunk/decoder.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/lane.h"

namespace sextant::analysis {

// The lane of a track, as shown.
std::string LaneName(const v1::ChunkHeader& header, const chunk::Track& track);

// One thread uses it, pass after pass, chunk after chunk in time order. Holds at most
// `max_observations` observations: when there are more, the latest instances of every region are
// left out (the earliest, in lanes aligned from the tail).
class Aligner {
 public:
  struct Options {
    uint32_t max_instances = 4096;          // per lane and region
    uint64_t max_observations = 8 << 20;    // 16 B each, 24 B where the trace is in cycles
    absl::flat_hash_set<std::string> regions;  // empty: all
    absl::flat_hash_set<std::string> roles;
    // Traces of kernels: times count from the start of the CTA, and launches of a kernel are further
    // observations, as its CTAs are.
    bool from_cta = false;
  };
  // Kernels by launch, where a trace holds several: each has lanes of its own, "<kernel> · <role>". Empty:
  // all launches are of one.
  using Kernels = absl::flat_hash_map<uint32_t, std::string>;

  explicit Aligner(Options options);
  ~Aligner();

  // First scan, over the passes that lost records: finds the lanes that lost their head. `kernels` as in
  // BeginPass.
  void LookForLoss(const chunk::Decoded& chunk, const Kernels* kernels = nullptr);

  // `kernels` is borrowed until EndPass.
  void BeginPass(const Kernels* kernels = nullptr);
  void Add(const chunk::Decoded& chunk);
  void EndPass();

  // Lanes in order of name, named roles first; instances in order of their median start.
  std::vector<v1::RoleLane> Finish(absl::Span<const double> quantiles);

 private:
  struct Seen;
  struct TrackState;
  using TrackKey = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;  // lane, launch, CTA, warp

  uint32_t LaneOf(const std::string& name, bool named);
  uint32_t RegionOf(const std::string& name);
  std::string LaneOfTrack(const v1::ChunkHeader& header, const chunk::Track& track) const;
  TrackState* StateOf(const TrackKey& key);
  void AddTrack(const chunk::Decoded& chunk, const chunk::TrackSlice& slice,
                absl::Span<const uint32_t> region_ids);
  void Observe(Lane* lane, AlignedRegion* region, uint32_t launch, uint64_t ordinal, const Seen& seen);
  void Shrink();

  const Options options_;
  absl::flat_hash_set<std::string> tail_lanes_;
  absl::flat_hash_map<std::string, uint32_t> lane_ids_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  absl::flat_hash_map<std::string, uint32_t> region_ids_;
  std::vector<std::string> region_names_;
  uint32_t passes_ = 0;
  const Kernels* kernels_ = nullptr;   // of the pass under way
  uint64_t observations_ = 0;
  uint32_t cap_;                // instances per lane and region now
  bool cycles_ = false;

  // Of the pass under way.
  absl::flat_hash_map<TrackKey, std::unique_ptr<TrackState>> tracks_;
  std::unique_ptr<TrackState> overflow_;   // of tracks beyond the number compared
  std::vector<int32_t> local_;             // by region id: index into a track's counts, or −1
};

}  // namespace sextant::analysis
