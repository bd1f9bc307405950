// The options of an `ncu` pass: ncu:set=full,metrics=a+b,sections=X+Y,launch_skip=5,launch_count=3.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"

namespace sextant::backends::ncu {

struct Options {
  std::string set;  // "", "basic", "detailed", "full", … ; "": none
  std::vector<std::string> metrics;
  std::vector<std::string> sections;
  uint32_t launch_skip = 0;       // of the launches that match workload.kernels
  uint32_t launch_count = 0;      // 0: all
  std::string replay = "kernel";  // "kernel", "application"
  bool flush_caches = true;       // before each replay of a kernel
};

// Without set, metrics and sections the set is "basic". INVALID_ARGUMENT names the option, what it
// may be, and for an unknown one those there are.
absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec);

}  // namespace sextant::backends::ncu
