// Traces in the formats of other programs. docs/formats.md says what each holds.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/chunk/decoder.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/rows.h"

namespace sextant::analysis {

// One export: Begin, then for each pass BeginPass, its chunks in time order, EndPass; then End. Memory does
// not grow with the number of instances. One thread; the sink gets pieces of about kPieceBytes.
class TraceExporter {
 public:
  static constexpr size_t kPieceBytes = 256 * 1024;

  virtual ~TraceExporter() = default;
  virtual absl::Status Begin() = 0;
  // `barriers`: the pass's table of that name, or null. Both are borrowed until EndPass.
  virtual absl::Status BeginPass(const v1::PassInfo& pass, const v1::DataTable* barriers) = 0;
  virtual absl::Status Add(const chunk::Decoded& chunk) = 0;
  virtual absl::Status EndPass() = 0;
  virtual absl::Status End() = 0;
};

// "pass 3 (scopes, id 12)".
std::string PassTitle(const v1::PassInfo& pass);
// What a track is called among those of its role: "CTA 4 warp 2", "thread 3".
std::string TrackTitle(const v1::ChunkHeader& header, const chunk::Track& track);

// The Trace Event format (an object with `traceEvents`): a process for each pass, a thread for each track,
// named by its role; times in µs since the pass began; the ordinal in `args`.
std::unique_ptr<TraceExporter> MakeChromeExporter(ByteSink sink);

// One row an instance, in columns that `rows` was made with.
std::vector<RowColumn> InstanceColumns();
std::unique_ptr<TraceExporter> MakeRowExporter(std::unique_ptr<RowWriter> rows);

}  // namespace sextant::analysis
