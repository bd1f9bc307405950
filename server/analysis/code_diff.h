// How two texts of a kernel's code differ, whatever their names.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/analysis/code_text.h"

namespace sextant::analysis {

inline constexpr size_t kMaxDiffBytes = 16 * 1024;   // max_diff_bytes
inline constexpr uint32_t kDiffContext = 3;          // equal lines shown around a change

struct CodeDiff {
  // [lines]: whether the other text has no such line.
  std::vector<bool> removed;   // of a
  std::vector<bool> added;     // of b
  uint32_t removals = 0, additions = 0;
  std::string unified;         // at most kMaxDiffBytes, with a's names; hunks say which source line they begin at
  bool shortened = false;
  // Static instructions by opcode, b's − a's; those that changed.
  std::map<std::string, int64_t> mix_change;
  uint64_t instructions_a = 0;
};

// Lines are aligned by their shapes; then names must correspond: what a calls x, b calls y, everywhere (in SASS: until it is
// written again). An aligned pair whose names do not is a change.
CodeDiff DiffCode(const CodeText& a, const CodeText& b);

}  // namespace sextant::analysis
