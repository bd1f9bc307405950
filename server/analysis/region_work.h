// Arithmetic and bytes of regions: executions of their instructions × what each does (instruction_work.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

// Of a launch, with nested regions.
struct RegionWork {
  std::string region, parent;
  std::map<std::string, double> flop;   // by type of work: "FP16 tensor"
  double bytes = 0;                     // asked of L1 by loads, stores, atomics and copies to shared memory
  bool bulk_copies = false;             // TMA copies beside: their bytes are not in the code
  bool by_lines = false;                // the region is known by its source lines
};

// In order of region and parent. `names` of regions, as traces have them. Empty where the code, its counts or which
// instructions belong to the regions are not known: `why` says so.
absl::StatusOr<std::vector<RegionWork>> ReadRegionWork(const Evidence& evidence, const std::vector<std::string>& names,
                                                       std::string* why);

}  // namespace sextant::analysis
