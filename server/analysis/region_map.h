// Which regions a kernel's instructions belong to, by name: from the records in the code where there are (scope.cuh), else
// by the source lines of regions (Triton, Gluon).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/analysis/kernel_code.h"

namespace sextant::analysis {

enum class RegionsBy {
  kNothing,   // no region of the code is known
  kRecords,   // clock reads in the code: exact, but where ways that meet disagree
  kLines,     // line table and source lines: the compiler moves code over their borders
};

struct RegionMap {
  struct Region {
    std::string name;
    int32_t parent = -1;              // index; parents stand before children
    std::vector<std::string> code;    // "0x120-0x2f0", "matmul.py:31-35"
    std::vector<uint64_t> begins;     // pcs that execute once for each instance; none: not known
    bool reached = true;              // false: no way through the code opens it
  };
  struct At {
    int32_t innermost = -1;           // the innermost region the instruction surely belongs to; −1: none
    std::vector<int32_t> doubtful;    // that it may belong to beside
    bool recording = false;           // part of a record
  };

  RegionsBy by = RegionsBy::kNothing;
  std::vector<Region> regions;
  absl::flat_hash_map<uint64_t, At> at;   // by pc; of instructions in no region nothing
  double confidence = 1;                  // of all of it
  std::string why;                        // it is not 1
  std::vector<std::string> notes;

  bool IsWithin(int32_t inner, int32_t outer) const;
};

// `names` of regions as traces have them. `code` may be null: lines are then those that counts and samples bring. Where
// no region is found and there are names, an abstention in `basis` says which pass settles it.
absl::StatusOr<RegionMap> ReadRegionMap(const Evidence& evidence, absl::Span<const std::string> names,
                                        const KernelCode* code, const std::map<uint64_t, PcCount>& counts,
                                        const std::map<uint64_t, PcSamples>& samples, v1::Basis* basis);

// From the records alone.
RegionMap RegionsByRecords(const KernelCode& code, absl::Span<const std::string> names);

}  // namespace sextant::analysis
