// Profiles for pprof (https://github.com/google/pprof): gzipped profile.proto.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "sextant/foreign/pprof.pb.h"
#include "sextant/v1/table.pb.h"
#include "server/analysis/export.h"

namespace sextant::analysis {

// Builds a profile: stacks of locations with values, each stack (with its labels) once. Owns it.
class PprofBuilder {
 public:
  // `types`: name and unit of each value of a sample.
  explicit PprofBuilder(absl::Span<const std::pair<const char*, const char*>> types);

  // Ids of what is equal are equal. Line and address may be 0.
  uint64_t Location(absl::string_view function, absl::string_view file, int64_t line,
                    uint64_t address);
  // Adds to the sample of that stack, the leaf first, and those labels (name, text).
  void Add(std::vector<uint64_t> stack,
           absl::Span<const std::pair<absl::string_view, absl::string_view>> labels,
           absl::Span<const int64_t> values);
  void Comment(absl::string_view text);
  size_t samples() const { return static_cast<size_t>(profile_.sample_size()); }

  // The gzipped profile; `default_type` is the index of the value shown first. Call once, last.
  std::string Finish(size_t default_type);

 private:
  int64_t TextId(absl::string_view text);

  foreign::pprof::Profile profile_;
  absl::flat_hash_map<std::string, int64_t> texts_;
  absl::flat_hash_map<std::pair<int64_t, int64_t>, uint64_t> functions_;   // name, file
  absl::flat_hash_map<std::tuple<uint64_t, int64_t, uint64_t>, uint64_t> locations_;
  absl::flat_hash_map<std::pair<std::vector<uint64_t>, std::vector<int64_t>>, int> samples_;
};

// Tables `pc_samples` as one profile: kernel → function and line of each instruction; values `samples` and
// `unhidden` (samples in which the scheduler issued no other warp either); labels `stall` and `opcode`.
class SampleProfile {
 public:
  SampleProfile();
  // INVALID_ARGUMENT: a table without the columns.
  absl::Status Add(const v1::DataTable& pc_samples);
  // Gzipped. Call once, last.
  std::string Finish() { return builder_.Finish(0); }

 private:
  PprofBuilder builder_;
};

// Time by region: kernel (or program) → role → regions as they nest. Values `instances`, `time`
// (nanoseconds) and `cycles`, whichever the traces have, without those of nested regions; summed over
// passes, warps and launches. All of it goes to the sink at the end.
std::unique_ptr<TraceExporter> MakePprofExporter(ByteSink sink);

}  // namespace sextant::analysis
