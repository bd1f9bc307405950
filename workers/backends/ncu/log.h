// What ncu says about itself: the lines "==ERROR== …", "==WARNING== …", "==PROF== …" of its log.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace sextant::backends::ncu {

struct Log {
  std::vector<std::string> errors;     // not those about the program's own end
  std::vector<std::string> warnings;   // not the one about clocks, which are never changed
  std::vector<std::string> available;  // kernels that were launched, where none was profiled
  bool none_profiled = false;
  bool connected = false;  // a process that uses CUDA was seen
};

// At most a few of each are kept, each cut to a printable line.
Log ParseLogUntrusted(std::string_view text);

// Why there is no launch in the report: an error of ncu's as what it is, with its remedy, else an
// empty capture (FAILED_PRECONDITION). `kernels` is workload.kernels.
absl::Status WhyNothing(const Log& log, const std::string& kernels);

}  // namespace sextant::backends::ncu
