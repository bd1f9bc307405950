// One request of a client, and the calls of the service that it makes.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/sextant.grpc.pb.h"

namespace sextant::mcp {

inline absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// Whoever asks can be cancelled at any moment, from any thread. Thread-safe.
class Scope {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;   // credentials, address

  Scope(v1::Sextant::StubInterface* stub, Metadata metadata)
      : stub_(stub), metadata_(std::move(metadata)) {}

  v1::Sextant::StubInterface* stub() { return stub_; }
  // Ends calls under way, and those to come.
  void Cancel();
  bool cancelled() const;
  // Called once, by Cancel; at once when that has been.
  void OnCancel(std::function<void()> callback);

  // Readies a context for a call, and lets Cancel end it until Left.
  void Enter(grpc::ClientContext* context, double timeout_s);
  void Left(grpc::ClientContext* context);

  // Calls and waits: `scope.Call(&v1::Sextant::StubInterface::GetTimeline, request)`.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Sextant::StubInterface::*method)(
                                    grpc::ClientContext*, const Request&, Response*),
                                const Request& request, double timeout_s = 120) {
    grpc::ClientContext context;
    Enter(&context, timeout_s);
    Response response;
    const grpc::Status status = (stub_->*method)(&context, request, &response);
    Left(&context);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }

 private:
  v1::Sextant::StubInterface* const stub_;
  const Metadata metadata_;
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_cancel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::mcp
