// Instances as a third party's backend writes them: CSV with a header.
//   launch,cta,sm,warp,role,origin_ns,region,start,duration
//   0,12,3,0,producer,1500,load,10,240
// One line an instance, in any order. A track is (launch, cta, warp); its sm, role and origin are
// those of its first line. Columns may be left out (0, "") but region, start and duration.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/chunk/encoder.h"

namespace sextant::backends::exec {

inline constexpr size_t kMaxInstances = 50'000'000;

struct ImportedTrace {
  chunk::TraceInfo info;
  std::vector<chunk::Instance> instances;
};

// INVALID_ARGUMENT names line and column; OUT_OF_RANGE a limit.
absl::StatusOr<ImportedTrace> ParseTraceCsvUntrusted(std::string_view text);

}  // namespace sextant::backends::exec
