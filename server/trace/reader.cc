#include "server/trace/reader.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/trace/rollup_codec.h"

namespace sextant::trace {
namespace {

// What was accepted once stays readable when a site lowers its limits.
chunk::Limits StoredLimits() {
  chunk::Limits limits;
  limits.max_events = limits.max_tracks = limits.max_regions = limits.max_roles = 16 << 20;
  limits.max_chunk_bytes = 1 << 30;
  return limits;
}

}  // namespace

absl::StatusOr<TraceSummary> Reader::Summarize(std::string_view trace_digest) {
  ASSIGN_OR_RETURN(store::TraceRow row, store_->GetTrace(trace_digest, false));
  TraceSummary summary;
  summary.chunks = row.chunk_digests.size();
  summary.events = row.events;
  summary.dropped = row.dropped;
  summary.bytes = row.bytes;
  summary.first_ns = row.first_ns;
  summary.last_ns = row.last_ns;
  summary.unit = static_cast<v1::TimeUnit>(row.unit);
  summary.kernel = std::move(row.kernel);
  summary.regions = std::move(row.regions);
  summary.roles = std::move(row.roles);
  return summary;
}

absl::Status Reader::Read(std::string_view trace_digest, const ReadRequest& request,
                          absl::FunctionRef<absl::Status(const chunk::Decoded&)> use) {
  ASSIGN_OR_RETURN(const store::TraceRow trace, store_->GetTrace(trace_digest, false));
  store::ChunkFilter filter{.from_ns = request.from_ns, .to_ns = request.to_ns};
  for (uint32_t i = 0; i < trace.regions.size(); ++i) {
    if (std::find(request.regions.begin(), request.regions.end(), trace.regions[i]) !=
        request.regions.end()) {
      filter.regions.push_back(i);
    }
  }
  if (!request.regions.empty() && filter.regions.empty()) return absl::OkStatus();
  const chunk::Limits limits = StoredLimits();
  return store_->ReadChunks(trace, filter, [&](store::ChunkRow row) -> absl::Status {
    auto damaged = [&](const std::string& how) {
      return absl::DataLossError(absl::StrCat("trace ", absl::BytesToHexString(trace.trace_digest),
                                              ": chunk ", row.sequence, " ", how));
    };
    if (chunk::Digest(row.data) != row.digest) return damaged("does not match its digest");
    absl::StatusOr<chunk::Decoded> decoded = chunk::DecodeUntrusted(row.data, limits);
    if (absl::IsFailedPrecondition(decoded.status())) return decoded.status();
    if (!decoded.ok()) return damaged(std::string(decoded.status().message()));
    return use(*decoded);
  });
}

absl::StatusOr<Rollup> Reader::ReadRollup(std::string_view trace_digest, bool with_buckets) {
  ASSIGN_OR_RETURN(const store::TraceRow row, store_->GetTrace(trace_digest, true));
  return RollupCodec::Decode(row.rollup, with_buckets);
}

}  // namespace sextant::trace
