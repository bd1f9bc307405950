// A program of the site's, run for a moment: `probe` and `prepare` of a third party's backend.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::backends::exec {

struct ChildLimits {
  double wall_s = 10;
  uint64_t output_bytes = 4 << 20;  // of standard output; of standard error 64 KiB are kept
  uint64_t memory_bytes = 4ull << 30;
  uint64_t file_bytes = 16 << 20;
  uint32_t open_files = 256;
};

struct ChildEnd {
  int exit_code = -1;  // -1: ended by `signal`
  int signal = 0;
  std::string out, err;
};

// Runs argv[0] (a path) with an environment of PATH, HOME, LANG and TMPDIR alone, in a group of its
// own and as the user nobody where this process is root, gives it `input`, and waits. Nothing of it
// stays behind. DEADLINE_EXCEEDED and OUT_OF_RANGE name the limit; other errors are ours.
absl::StatusOr<ChildEnd> RunChild(const std::vector<std::string>& argv, const std::string& input,
                                  const ChildLimits& limits);

}  // namespace sextant::backends::exec
