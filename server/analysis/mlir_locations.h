// Where operations of MLIR text (TTIR, TTGIR) are from: #loc7 = loc("file.py":5:15), loc("x"(#loc7)),
// loc(callsite(#loc7 at #loc3)).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace sextant::analysis {

// A line of a source file, as the compiler names it.
struct SourceLine {
  std::string file;
  uint32_t line = 0;
  friend auto operator<=>(const SourceLine&, const SourceLine&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SourceLine& one) {
    return H::combine(std::move(h), one.file, one.line);
  }
};

// Every byte of the text is taken for hostile: locations are followed for so many steps, and what is beyond is not known.
class MlirLocations {
 public:
  // Takes a line "#loc7 = loc(…)"; other lines are none of its business.
  void Define(absl::string_view line);
  // The line that stands in loc(…), and those it was inlined at, outwards. Empty: not known. Of fused locations, the
  // first that is known.
  std::vector<SourceLine> Frames(absl::string_view inside) const;

 private:
  void Append(absl::string_view inside, int depth, int* steps, std::vector<SourceLine>* out) const;

  absl::flat_hash_map<std::string, std::string> defined_;
};

// Takes every " loc(…)" out of a line of MLIR; `inside` becomes what stood in the last one, "" where there was none.
std::string WithoutLocations(absl::string_view line, std::string* inside);

}  // namespace sextant::analysis
