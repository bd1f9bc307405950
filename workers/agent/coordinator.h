// The coordinator as the worker sees it: both of its ports behind one address.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/endpoint/endpoint.h"
#include "sextant/v1/worker.pb.h"
#include "workers/agent/files.h"
#include "workers/agent/options.h"

namespace sextant::agent {

// A piece of a file to be uploaded under its digest.
struct BlobRange {
  std::string digest;
  int fd = -1;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

// True for errors that say nothing about the request: the coordinator is away, or its database is, or it
// does not take the worker's token now. What was made meanwhile is kept.
bool IsTransient(const absl::Status& status);

// One open Attach stream. Read and Write may be called from two threads, each from one at a time.
class AttachStream {
 public:
  virtual ~AttachStream() = default;
  virtual bool Write(const v1::WorkerState& state) = 0;
  virtual bool Read(v1::DesiredState* desired) = 0;
  virtual void Cancel() = 0;          // from any thread; Read and Write return false soon after
  virtual absl::Status Finish() = 0;  // after Read returned false; waits for the end
};

// Thread-safe. Calls are tried once; who calls decides on another try.
class Coordinator {
 public:
  Coordinator(endpoint::Endpoint endpoint, const AgentLimits& limits, const AgentTimes& times);
  ~Coordinator();

  std::unique_ptr<AttachStream> Attach();

  // Why Attach ended so, with the remedy. FAILED_PRECONDITION: who answers cannot be trusted, or does not
  // trust us. May connect once more to find out, for some seconds.
  absl::Status Explain(const absl::Status& ended) const;

  // Hands the blob over piece by piece; the digest is not checked here.
  absl::Status GetBlob(const std::string& digest,
                       const std::function<absl::Status(absl::string_view)>& piece);

  // Uploads those that the service does not have.
  absl::Status UploadBlobs(const std::vector<BlobRange>& blobs);

  absl::StatusOr<v1::TraceReceipt> UploadTrace(const v1::PassRef& pass,
                                               const std::vector<BlobRange>& chunks);

  absl::StatusOr<v1::CommitPassesResponse> CommitPasses(const v1::CommitPassesRequest& request);

 private:
  struct Ports;
  const endpoint::Endpoint endpoint_;
  const AgentLimits limits_;
  const AgentTimes times_;
  std::unique_ptr<Ports> ports_;
};

}  // namespace sextant::agent
