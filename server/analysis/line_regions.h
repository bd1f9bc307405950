// Which regions the code of a source line belongs to: that of the line ranges of regions, and of where the line's
// function was inlined.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/analysis/mlir_locations.h"
#include "server/analysis/region_lines.h"

namespace sextant::analysis {

// By line of an inlined function: the lines it was inlined at, outwards; of each way it was. An empty way: it also
// stands for itself.
using InlinedAt = absl::flat_hash_map<SourceLine, std::set<std::vector<SourceLine>>>;

// Of TTIR or TTGIR, whose locations keep call sites (line tables of SASS do not). Every byte is taken for hostile.
InlinedAt InlinedAtOfMlirUntrusted(std::string_view text);

// A region under the regions around it, across functions.
struct LineRegion {
  std::string name;
  int32_t parent = -1;             // index into LineRegions.regions
  std::set<std::string> code;      // "matmul.py:31-35"
};

// Owns what it is made of. Regions are found as lines are asked for.
class LineRegions {
 public:
  // Regions whose name is not among `names` are passed over, as if they were not there; no names: all count.
  LineRegions(const std::vector<RegionLines>& lines, InlinedAt inlined, const std::vector<std::string>& names);

  // The innermost region of each way that code of the line can be from, −1: of none. Several: the line was inlined in
  // several, or ranges overlap. Never empty.
  const std::vector<int32_t>& Of(const std::string& file, uint32_t line);

  struct Common {
    int32_t region = -1;               // innermost that all ways are in
    std::vector<int32_t> doubtful;     // what some of them are in beside
  };
  Common CommonOf(const std::vector<int32_t>& ways) const;
  // How many borders lie between two regions (−1: outside of all).
  uint32_t Distance(int32_t a, int32_t b) const;

  const std::vector<LineRegion>& regions() const { return regions_; }
  bool empty() const { return lines_.empty(); }

 private:
  std::vector<int32_t> Find(const SourceLine& line);
  // The region, and those around it.
  std::vector<int32_t> Above(int32_t region) const;
  int32_t Child(int32_t parent, const RegionLines& lines);
  // The innermost ranges around a line of its function, each with those around it, outermost first.
  const std::vector<std::vector<uint32_t>>& Ranges(const SourceLine& line);

  std::vector<RegionLines> lines_;
  absl::flat_hash_map<std::string, std::vector<uint32_t>> by_file_;                 // indices into lines_
  std::map<SourceLine, std::vector<std::vector<uint32_t>>> ranges_;                 // that were asked for
  InlinedAt inlined_;
  std::vector<LineRegion> regions_;
  absl::flat_hash_map<std::pair<int32_t, std::string>, int32_t> children_;
  std::map<SourceLine, std::vector<int32_t>> known_;   // keeps addresses
};

}  // namespace sextant::analysis
