// The source lines of a kernel's regions: between pl.enter_scope("load") and pl.exit_scope("load"), or in the block of
// `with pl.scope("load"):`. From what the compiler's front end made of them (proton.record with its location), or
// from the source.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/analysis/mlir_locations.h"

namespace sextant::analysis {

inline constexpr size_t kMaxRegionLines = 1024;   // of a kernel or a file

// Of the artifacts in which `proton` passes keep text with a kernel's scopes: "matmul_kernel.0.scopes.mlir".
inline constexpr char kScopeTextEnding[] = ".scopes.mlir";

struct RegionLines {
  std::string region;
  std::string file;       // as the compiler, or the caller, names it
  uint32_t first = 0;
  uint32_t last = 0;      // with it
  int32_t parent = -1;    // index of the region around it, in the same function; −1: none
  friend bool operator==(const RegionLines&, const RegionLines&) = default;
};

struct FoundLines {
  std::vector<RegionLines> regions;   // parents before children
  std::vector<std::string> notes;     // scopes whose lines are not known, and why
};

// Of MLIR text with operations proton.record: Triton's *.source (each function by itself), *.ttir or *.ttgir. A record
// without a line of its own, as an override has it, is around the lines of the operations up to its end. Every byte is
// taken for hostile. INVALID_ARGUMENT: no record in it. OUT_OF_RANGE: more than kMaxRegionLines.
absl::StatusOr<FoundLines> RegionLinesOfMlirUntrusted(std::string_view text);

// Of Python source. Strings, comments and lines that go on are understood; names that are not literals are noted.
// `file` is what the lines' file is called. OUT_OF_RANGE: more than kMaxRegionLines.
absl::StatusOr<FoundLines> RegionLinesOfPythonUntrusted(std::string_view source, std::string_view file);

}  // namespace sextant::analysis
