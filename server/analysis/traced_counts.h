// CUTracer's instruction counts, joined with recorded instances.
//
// CUTracer counts between the n-th pair of clock reads of a warp (table `instructions`, docs/tables.md). A warp's n-th
// pair is its n-th instance: by (launch, CTA, warp, ordinal), aligned from the tail where the recording lost its head.
// Never by warp alone, which would give every instance every count. Pairs do not nest: neither may the regions.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"
#include "server/analysis/region_times.h"

namespace sextant::analysis {

struct TracedCount {
  double instructions = 0;             // of a launch
  std::map<std::string, double> mix;   // by mnemonic
};

struct TracedCounts {
  std::map<RegionKey, TracedCount> regions;
  double confidence = 1;
  std::string why;   // confidence is not 1
};

// Nothing where no `cutracer` pass is, or where `better` says that counts of another source are there. Where the join is not
// sound (nested regions, pairs that are not as many as instances, several codes) an abstention says so.
absl::StatusOr<TracedCounts> ReadTracedCounts(const Evidence& evidence, const RegionTimes& times, bool better,
                                              v1::Basis* basis);

}  // namespace sextant::analysis
