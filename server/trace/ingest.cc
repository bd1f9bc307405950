#include "server/trace/ingest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/decoder.h"
#include "proto/status/status.h"
#include "server/trace/rollup_codec.h"

namespace sextant::trace {
namespace {

// Chunks are stored a few in a transaction: often enough to keep memory small, seldom enough for
// the disk's flush not to matter.
constexpr size_t kFlushBytes = 2 << 20;

std::vector<uint32_t> BitsOf(const std::string& bitmap) {
  std::vector<uint32_t> bits;
  for (size_t i = 0; i < bitmap.size(); ++i) {
    for (uint32_t b = 0; b < 8; ++b) {
      if (bitmap[i] >> b & 1) bits.push_back(static_cast<uint32_t>(8 * i + b));
    }
  }
  return bits;
}

// Tables of names may only grow from chunk to chunk, so that an index means one name.
absl::Status Extend(const google::protobuf::RepeatedPtrField<std::string>& now, const char* field,
                    std::vector<std::string>& known) {
  const bool extends = static_cast<size_t>(now.size()) >= known.size() &&
                       std::equal(known.begin(), known.end(), now.begin());
  if (!extends) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk: header.", field, " does not begin with the names of earlier chunks"));
  }
  known.insert(known.end(), now.begin() + static_cast<int>(known.size()), now.end());
  return absl::OkStatus();
}

}  // namespace

Ingest::Ingest(store::TraceStore* store, const v1::ServiceLimits& limits, std::string day)
    : store_(store), limits_(chunk::LimitsFrom(limits)), max_events_(limits.max_events_per_pass()) {
  trace_.day = std::move(day);
}

absl::StatusOr<std::unique_ptr<Ingest>> Ingest::Begin(store::TraceStore* store,
                                                      const v1::ServiceLimits& limits) {
  ASSIGN_OR_RETURN(std::string day, store->Today(), "beginning an upload");
  return std::unique_ptr<Ingest>(new Ingest(store, limits, std::move(day)));
}

absl::Status Ingest::CheckOrder(const v1::ChunkHeader& h) {
  const size_t sequence = trace_.chunk_digests.size();
  if (h.sequence() != sequence) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk: header.sequence is ", h.sequence(), ", chunk ", sequence, " is next"));
  }
  if (sequence == 0) {
    trace_.unit = h.unit();
    trace_.kernel = h.kernel();
    ns_per_unit_ = h.ns_per_unit();
  }
  if (h.unit() != trace_.unit || h.ns_per_unit() != ns_per_unit_ || h.kernel() != trace_.kernel) {
    return absl::InvalidArgumentError(
        "chunk: header.unit, ns_per_unit and kernel must be those of the first chunk");
  }
  RETURN_IF_ERROR(Extend(h.regions(), "regions", trace_.regions));
  RETURN_IF_ERROR(Extend(h.roles(), "roles", trace_.roles));
  if (max_events_ > 0 && trace_.events + h.events() > max_events_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("trace: more than max_events_per_pass = ", max_events_,
                     " events; record fewer regions or a shorter part"));
  }
  return absl::OkStatus();
}

absl::Status Ingest::Add(std::string_view bytes, std::string_view digest) {
  if (bytes.size() <= limits_.max_chunk_bytes && chunk::Digest(bytes) != digest) {
    return absl::DataLossError(absl::StrCat("chunk ", trace_.chunk_digests.size(),
                                            ": its digest is not that of what arrived"));
  }
  ASSIGN_OR_RETURN(const chunk::Decoded decoded, chunk::DecodeUntrusted(bytes, limits_), "chunk ",
                   trace_.chunk_digests.size());
  const v1::ChunkHeader& h = decoded.header;
  RETURN_IF_ERROR(CheckOrder(h));
  RETURN_IF_ERROR(rollup_.Add(decoded), "chunk ", h.sequence());

  if (h.events() > 0) {
    trace_.first_ns = trace_.events == 0 ? h.first_ns() : std::min(trace_.first_ns, h.first_ns());
    trace_.last_ns = std::max(trace_.last_ns, h.last_ns());
  }
  trace_.events += h.events();
  trace_.dropped += h.dropped();
  trace_.bytes += bytes.size();
  trace_.chunk_digests.emplace_back(digest);
  waiting_.push_back({.digest = std::string(digest),
                      .sequence = h.sequence(),
                      .events = h.events(),
                      .first_ns = h.first_ns(),
                      .last_ns = h.last_ns(),
                      .regions = BitsOf(h.region_bitmap()),
                      .data = std::string(bytes)});
  waiting_bytes_ += bytes.size();
  return waiting_bytes_ >= kFlushBytes ? Flush() : absl::OkStatus();
}

absl::Status Ingest::Flush() {
  RETURN_IF_ERROR(AwaitStored());
  if (waiting_.empty()) return absl::OkStatus();
  storing_ = std::async(
      std::launch::async,
      [store = store_, day = trace_.day,
       chunks = std::exchange(waiting_, {})]() -> absl::StatusOr<uint64_t> {
        ASSIGN_OR_RETURN(const uint64_t added, store->PutChunks(day, chunks));
        return chunks.size() - added;
      });
  waiting_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status Ingest::AwaitStored() {
  if (!storing_.valid()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint64_t duplicates, storing_.get());
  duplicates_ += duplicates;
  return absl::OkStatus();
}

absl::StatusOr<v1::TraceReceipt> Ingest::Finish() {
  if (trace_.chunk_digests.empty()) {
    return absl::InvalidArgumentError("trace: no chunk came; a trace has one at least");
  }
  RETURN_IF_ERROR(Flush());
  rollup_.SumUp();
  trace_.rollup = RollupCodec::Encode(rollup_);
  RETURN_IF_ERROR(AwaitStored());
  trace_.trace_digest = chunk::TraceDigest(trace_.chunk_digests);
  RETURN_IF_ERROR(store_->PutTrace(trace_), "completing trace ",
                  absl::BytesToHexString(trace_.trace_digest));
  v1::TraceReceipt receipt;
  receipt.set_trace_digest(trace_.trace_digest);
  receipt.set_chunks(trace_.chunk_digests.size());
  receipt.set_events(trace_.events);
  receipt.set_stored_bytes(trace_.bytes + trace_.rollup.size());
  receipt.set_duplicate_chunks(duplicates_);
  return receipt;
}

}  // namespace sextant::trace
