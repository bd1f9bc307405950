// Traces as text, for other programs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/chunk/decoder.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

// CHROME_JSON: the Trace Event format (an object with `traceEvents`); a process for each pass, a
// thread for each track, named by its role; times in µs since the pass began; the ordinal in `args`.
// CSV: a header, then one row an instance; quoted as in RFC 4180.
//
// One thread. The sink gets pieces of at most about kPieceBytes.
class Exporter {
 public:
  static constexpr size_t kPieceBytes = 256 * 1024;
  using Sink = absl::FunctionRef<absl::Status(absl::string_view)>;

  Exporter(v1::ExportFormat format, Sink sink) : format_(format), sink_(sink) {}

  absl::Status Begin();
  void BeginPass(const v1::PassInfo& pass);
  absl::Status Add(const chunk::Decoded& chunk);
  absl::Status End();

 private:
  using TrackKey = std::tuple<uint32_t, uint32_t, uint32_t, std::string>;   // launch, CTA, warp, lane

  uint32_t ThreadOf(const v1::ChunkHeader& header, const chunk::Track& track);
  void Event(absl::string_view json);
  absl::Status FlushIf(size_t bytes);

  const v1::ExportFormat format_;
  const Sink sink_;
  std::string text_;
  bool first_ = true;
  int64_t pass_id_ = 0;
  uint32_t ordinal_ = 0;
  std::map<TrackKey, uint32_t> threads_;   // of the pass under way
};

}  // namespace sextant::analysis
