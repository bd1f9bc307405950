// The options of a `sanitizer` pass: sanitizer:tool=racecheck,limit=1000,leaks=1.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"

namespace sextant::backends::sanitizer {

struct Options {
  std::string tool = "memcheck";  // "memcheck", "racecheck", "initcheck", "synccheck"
  uint32_t limit = 10'000;        // of errors reported, before equal ones are counted together
  bool leaks = false;             // memcheck: memory that was never freed, too
  bool unused = false;            // initcheck: memory that was never used, too
};

// INVALID_ARGUMENT names the option, what it may be, and for an unknown one those there are.
absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec);

}  // namespace sextant::backends::sanitizer
