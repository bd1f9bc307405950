// How short a CTA can become at most: its replayed graph knows nothing of what warps share, so a unit that is busy
// most of the time bounds what shortening a region may promise.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

// A unit that CTAs share, and how much of it regions do.
struct SharedUnit {
  std::string name;                      // "tensor pipe"
  double busy = 0;                       // share of the time in which an SM has a CTA (of the launch, for L2 and DRAM)
  bool by_region_known = false;
  std::map<std::string, double> work;    // by region: share of the unit's work that stands in it, nested ones included
};

// Tensor pipe, L1, L2 and DRAM, as far as counters know them. Work by region is known of the tensor pipe, where the code is:
// warp instructions to it as executed. Says in `basis` which passes were used.
absl::StatusOr<std::vector<SharedUnit>> ReadSharedUnits(const Evidence& evidence, v1::Basis* basis);

// The least share of a span that remains when `region` takes `factor` of its time (waits: of their lag), because the unit
// has to do its work: busy × (1 − work in the region × (1 − factor)). Work of a region that is not known counts as all of
// it, that of a wait as none. 0 for a region that gets longer.
double FloorOf(const SharedUnit& unit, const std::string& region, double factor);

}  // namespace sextant::analysis
