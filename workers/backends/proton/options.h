// The options of a `proton` pass: proton:mode=intra,buffer=global.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/types.pb.h"

namespace sextant::backends::proton {

struct Options {
  bool intra = true;               // mode=intra: scopes inside kernels; mode=host: kernels
  // Inside kernels.
  std::string granularity = "warp";
  std::string buffer = "shared";   // or "global"
  uint32_t buffer_bytes = 0;       // of a CTA; 0: as much as fits
  std::string strategy = "circular";
  std::string warps;               // "0,4": only these record; empty: all
  std::string optimizations;       // "clock32,sched_stores"
  uint32_t launches = 64;          // whose buffers are kept, in a process
  uint64_t keep_bytes = 256 << 20;
  bool raw = true;                 // false: Proton's Chrome trace alone
  bool activity = true;            // records of launches, by CUPTI, beside the scopes
  bool chrome = false;             // let Proton write its Chrome trace beside the raw buffers
  // The host's view.
  std::string context = "shadow";  // or "python": by the Python call stack
  bool hook = true;                // flops and bytes that programs declare for their kernels
};

// INVALID_ARGUMENT names the option, what it may be, and for an unknown one those there are.
absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec);

// SEXTANT_PROTON for proton_launch.py, which writes to `directory`.
std::string ToJson(const Options& options, const std::string& kernels, const std::string& directory);

// `argv` of a Python program with `-c launcher` put before what Python is to run, interpreter options
// staying where they are. INVALID_ARGUMENT: it does not start with python3, or names no program.
absl::StatusOr<std::vector<std::string>> Wrap(const std::vector<std::string>& argv,
                                              const std::string& launcher);

}  // namespace sextant::backends::proton
