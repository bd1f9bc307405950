// The records that compute-sanitizer writes as XML.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/backends/formats/findings.h"

namespace sextant::backends::sanitizer {

struct Records {
  // Equal ones (same kind, place, kernel and words) are one, with their number in `count`; thread,
  // block and address are the first's. In order of appearance.
  std::vector<formats::Finding> findings;
  uint64_t records = 0;
  bool cut_off = false;  // the text ended in the middle; what came before is there
};

// INVALID_ARGUMENT: not what compute-sanitizer writes. `tool` becomes Finding.tool.
absl::StatusOr<Records> ParseRecordsUntrusted(std::string_view xml, const std::string& tool);

}  // namespace sextant::backends::sanitizer
