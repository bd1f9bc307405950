// How a handler's work is run: off gRPC's threads, on a bounded number of ours, timed and counted.
#pragma once

#include <utility>

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/rpc/executor.h"
#include "server/rpc/metrics.h"
#include "server/rpc/status.h"

namespace sextant::rpc {

inline absl::Status Overloaded() {
  return absl::ResourceExhaustedError("too many calls wait for the coordinator; try again later");
}

// Runs `work`, which returns an absl::Status, on `executor` and answers with it. A call that was
// cancelled while it waited is not begun.
template <typename Work>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, absl::string_view method,
                                 Executor* executor, Metrics* metrics, Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::Time began = absl::Now();
  auto run = [=, work = std::move(work)] {
    const absl::Status status =
        context->IsCancelled() ? absl::CancelledError("cancelled before it began") : work();
    metrics->Called(method, status, absl::Now() - began);
    reactor->Finish(ToGrpc(status));
  };
  if (!executor->Submit(std::move(run))) {
    metrics->Called(method, Overloaded(), absl::Now() - began);
    reactor->Finish(ToGrpc(Overloaded()));
  }
  return reactor;
}

// The same for a handler that has a thread of its own.
template <typename Work>
grpc::Status Timed(absl::string_view method, Metrics* metrics, Work work) {
  const absl::Time began = absl::Now();
  const absl::Status status = work();
  metrics->Called(method, status, absl::Now() - began);
  return ToGrpc(status);
}

}  // namespace sextant::rpc
