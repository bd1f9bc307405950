// What changed in the code of kernels that two jobs ran, at every level of the IR that both kept.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/pass_tables.h"

namespace sextant::analysis {

inline constexpr size_t kMaxCodeKernels = 8;                    // compared: those that take most time
inline constexpr uint64_t kMaxCodeBytes = 48u << 20;            // of one text
inline constexpr size_t kMaxMixChanges = 20;                    // opcodes and, of SASS, classes: the largest first

struct CodeSources {
  std::function<absl::StatusOr<Table>(const v1::PassInfo&, absl::string_view table)> table;
  // At most so many bytes. NOT_FOUND: removed by retention.
  std::function<absl::StatusOr<std::string>(const v1::Artifact&, uint64_t max_bytes)> artifact;
};

// Adds to `comparison`, whose deltas are there, the differences of kernels that ran other code in B than in A, as the
// `ir` passes of both kept it: of each kernel the code that was launched most. A region is named where its time moved (it
// is faster or slower) and a line that changed belongs to it: in SASS by the clock reads of its scopes
// (region_code.h), in TTIR and TTGIR by its records; in code without them by the source lines of its scopes, which `proton`
// passes keep (line_regions.h). What could not be compared is in comparison->notes.
absl::Status CompareCode(const CodeSources& sources, absl::Span<const v1::PassInfo> a, absl::Span<const v1::PassInfo> b,
                         v1::Comparison* comparison);

}  // namespace sextant::analysis
