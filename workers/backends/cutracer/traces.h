// The files that CUTracer leaves: histograms as CSV, traces as NDJSON. Read from their documented
// formats; nothing of the tool is used or shipped.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/table.pb.h"

namespace sextant::backends::cutracer {

inline constexpr size_t kMaxHistogramRows = 4'000'000;  // of a pass; the table holds no more
inline constexpr size_t kMaxPcs = 1'000'000;            // of one trace
inline constexpr size_t kMaxLineBytes = 64 << 20;       // the first line lists all instructions

// Which launch a file is about: kernel_<checksum>_iter<idx>_<name>[_hist].<ending>. Older versions
// write no iteration.
struct FileName {
  std::string checksum;
  uint32_t iteration = 0;
  std::string kernel;  // mangled, cut at 150 bytes
};
// False: no such name.
bool ParseFileName(std::string_view name, FileName* parsed);

// How often an instruction ran in a region of a warp. `warp` counts over the whole grid; `region`
// is the n-th pair of clock reads of the warp.
struct HistogramRow {
  uint64_t warp = 0;
  uint64_t region = 0;
  std::string opcode;
  uint64_t count = 0;
};
// INVALID_ARGUMENT names the line.
absl::StatusOr<std::vector<HistogramRow>> ParseHistogramUntrusted(std::string_view csv);

// What a trace says: its kernel, and how often each instruction was executed (by warps).
struct Trace {
  std::string mangled;
  std::string checksum;
  uint64_t threads = 0;  // of a CTA; 0: no metadata
  struct Executed {
    std::string sass;
    uint64_t count = 0;
  };
  std::map<uint64_t, Executed> by_pc;
  uint64_t launch = 0;
  uint64_t records = 0;
  uint64_t bad_lines = 0;  // left out
};
// OUT_OF_RANGE: a limit. A line that is no record is counted and left out: a trace may end in the
// middle of one.
absl::StatusOr<Trace> ParseTraceUntrusted(std::string_view ndjson);

// "@P0 HMMA.16816.F32 R4, …" → "HMMA.16816.F32".
std::string OpcodeOf(std::string_view sass);

}  // namespace sextant::backends::cutracer
