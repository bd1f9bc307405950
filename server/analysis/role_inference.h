// Which lane a warp or thread belongs to. Named roles are lanes. Of kernels whose warps name none, warps
// that record the same regions are one inferred role, the same in every pass; unnamed threads of a host
// trace are a lane each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

// The lane of a track that named its role, or of one thread or warp alone.
std::string LaneName(const v1::ChunkHeader& header, const chunk::Track& track);

// Infers from all tracks of a sample, and sets their lanes and the sample's. The rule, for each kernel:
//   1. A warp index has the regions that at least half of its warps (over CTAs, launches and passes)
//      recorded. Warp indices that agree in them are one role.
//   2. Where a warp index does different things in different CTAs (two sets of regions, each in at least
//      a fifth of its warps, that share less than half of the smaller), its warps are told apart one by
//      one, each by the set it is most like.
// Roles are numbered by their lowest warp, and named after their first regions.
class LaneFinder {
 public:
  explicit LaneFinder(TraceSample* sample);

  // −1: it depends on the CTA. `pass` is one of the sample's.
  int LaneOf(const SampledPass& pass, uint32_t launch, const std::string& role, uint32_t warp) const;

 private:
  using RegionSet = std::vector<uint32_t>;   // ascending
  using WarpKey = std::pair<std::string, uint32_t>;   // kernel, warp
  struct Warp {
    std::map<RegionSet, uint64_t> seen;
    std::vector<RegionSet> does;             // one, or several where it depends on the CTA
  };

  std::string KernelOf(const SampledPass& pass, uint32_t launch) const;
  static RegionSet RegionsOf(const SampledTrack& track);
  void Decide(Warp* warp) const;
  void Infer(TraceSample* sample);
  uint32_t AddLane(const std::string& kernel, const std::string& key, SampledLane lane);

  TraceSample* const sample_;
  std::map<WarpKey, Warp> warps_;
  std::map<std::pair<std::string, RegionSet>, uint32_t> inferred_;        // kernel, regions → lane
  std::map<std::pair<std::string, std::string>, uint32_t> lanes_;         // kernel, role or "\n" + thread
};

}  // namespace sextant::analysis
