// What regions inside a kernel took, of all warps of all passes: durations, and what is left without nested regions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

struct RegionKey {
  std::string role;
  std::string region;
  std::string parent;    // enclosing region; "": outermost
  int32_t warp = -1;     // −1: all of the role
  friend auto operator<=>(const RegionKey&, const RegionKey&) = default;
};

class RegionTime {
 public:
  uint64_t instances = 0;           // over all passes and launches
  double cycles = 0;                // inclusive, of all instances
  double cycles_exclusive = 0;
  std::vector<double> durations;    // cycles; all, or every `stride`-th of many
  uint64_t stride = 1;

  void Add(double duration);
  // Adds another's instances to these.
  void Merge(RegionTime other);

 private:
  void Thin();   // keeps every second duration
};

struct RegionTimes {
  std::map<RegionKey, RegionTime> regions;
  std::map<std::pair<std::string, int32_t>, double> spans;   // by role and warp (−1: all): first start to last end, summed
  uint64_t launches = 0;            // (pass, launch) pairs seen
  double recorded_share = 1;        // CTAs recorded ÷ CTAs launched; 1 where launches do not tell
  uint64_t dropped = 0;             // records lost
  uint32_t passes = 0;
  double ns_per_cycle = 0;          // mean over passes; 0: not known
  std::vector<int64_t> pass_ids;
  bool other_code = false;          // the passes ran other code than evidence.code(): Proton instruments a copy
  double lengthened = 0;            // kernel's duration in these passes ÷ in clean ones; 0: not known
  bool cycles = true;               // false: the traces are in ns, and the numbers too
  std::vector<std::string> names;   // of regions, each once
  // By the lane of a track (role_inference.h, LaneName): its role. Warps that name none and record the same regions are one.
  std::map<std::string, std::string> role_of;
};

// Of the kernel, from passes that ran evidence.code() if there are any, else from those that ran other code.
absl::StatusOr<RegionTimes> ReadRegionTimes(const Evidence& evidence, bool by_warp, v1::Basis* basis);

// Of the kernel, from `scopes` or `proton` traces of passes that `want` allows. With `by_warp`, rows of warps beside those of
// roles. No passes: an abstention, and no regions.
absl::StatusOr<RegionTimes> ReadRegionTimes(const Evidence& evidence, const Evidence::Want& want, bool by_warp,
                                            v1::Basis* basis);

}  // namespace sextant::analysis
