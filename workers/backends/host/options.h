// The options of a `host` pass: host?records=65536,counters=cycles+instructions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"

namespace sextant::backends::host {

struct Options {
  uint32_t records = 0;  // a thread keeps; 0: the recorder's default
  uint32_t threads = 0;  // recorded at one time; 0: the recorder's default
  std::string clock;     // "", "tsc", "monotonic"
  std::vector<std::string> counters;
};

// INVALID_ARGUMENT names the option, what it may be, and for an unknown one those there are.
absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec);

// The environment that tells the recorder (client/include/sextant/scope.h).
std::map<std::string, std::string> EnvironmentOf(const Options& options);

}  // namespace sextant::backends::host
