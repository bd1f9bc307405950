// One upload: chunks in, one readable trace out. Called by one thread; destroying it waits for what
// is being stored. A broken upload is simply dropped and sent again.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/chunk/chunk.h"
#include "server/store/trace_chunks.h"
#include "server/trace/rollup.h"
#include "sextant/v1/types.pb.h"
#include "sextant/v1/worker.pb.h"

namespace sextant::trace {

class Ingest {
 public:
  // `store` outlives it.
  static absl::StatusOr<std::unique_ptr<Ingest>> Begin(store::TraceStore* store,
                                                       const v1::ServiceLimits& limits);

  // The next chunk of the trace (TraceUpload.chunk, .digest). DATA_LOSS: the digest is not that of
  // the chunk. INVALID_ARGUMENT, FAILED_PRECONDITION: the chunk is malformed, of another version or
  // out of order; RESOURCE_EXHAUSTED: a limit, by name. After an error the upload is over; nothing
  // of it can be read.
  absl::Status Add(std::string_view chunk, std::string_view digest);

  // Makes the trace readable; durable when it returns. INVALID_ARGUMENT: no chunk came.
  absl::StatusOr<v1::TraceReceipt> Finish();

  // The same as stored.
  const Rollup& rollup() const { return rollup_; }

 private:
  Ingest(store::TraceStore* store, const v1::ServiceLimits& limits, std::string day);
  absl::Status CheckOrder(const v1::ChunkHeader& header);
  absl::Status Flush();      // hands what is waiting to the database, once that is free
  absl::Status AwaitStored();

  store::TraceStore* const store_;
  const chunk::Limits limits_;
  const uint64_t max_events_;            // max_events_per_pass; 0: no bound
  store::TraceRow trace_;
  Rollup rollup_;
  std::vector<store::ChunkRow> waiting_; // not stored yet
  size_t waiting_bytes_ = 0;
  // One batch is stored by a thread of its own while the next is checked and rolled up.
  std::future<absl::StatusOr<uint64_t>> storing_;   // gives how many were duplicates
  uint64_t duplicates_ = 0;
  double ns_per_unit_ = 0;
};

}  // namespace sextant::trace
