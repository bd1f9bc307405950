// What proton_launch.py wrote about one process, line by line (launches-<pid>.jsonl).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sextant::backends::proton {

struct LaunchLine {
  std::string kernel;
  uint32_t number = 0;               // among this process's launches that matter
  std::string file;                  // of its raw buffer; empty: it has none
  std::string text;                  // file of the compiler's text with the kernel's scopes; empty: there is none
  std::vector<std::string> scopes;   // names by scope id
  uint64_t enter_ns = 0;             // CLOCK_MONOTONIC before the launch
  uint64_t clock_khz = 0;            // of the GPU just after it; 0: not known
};

struct LaunchLog {
  uint32_t pid = 0;                  // by the file's name; 0: not known
  uint64_t began_ns = 0;             // CLOCK_MONOTONIC
  uint64_t clock_khz = 0;            // of the GPU at most; 0: not known
  std::vector<LaunchLine> launches;
  uint64_t left_out = 0;             // launches whose buffers were not kept
  bool ended = false;                // the process came to its end, and Proton to its
  std::vector<std::string> notes;
  uint64_t malformed = 0;            // lines that are none of the launcher's
};

// Every byte is taken for hostile: lines that are not understood are counted, no more than
// `max_launches` launches are taken, and a file's name is one without a path.
LaunchLog ReadLaunchLogUntrusted(std::string_view text, size_t max_launches);

}  // namespace sextant::backends::proton
