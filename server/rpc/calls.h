// How a handler's work is run: off gRPC's threads, on a bounded number of ours, for a caller that was
// let in, timed and counted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/rpc/call.h"
#include "server/rpc/executor.h"
#include "server/rpc/status.h"

namespace sextant::rpc {

inline absl::Status Overloaded() {
  return absl::ResourceExhaustedError("too many calls wait for the coordinator; try again later");
}

// Ends a call: called once, from any thread.
using Done = std::function<void(const absl::Status&)>;

// Runs `work(const access::Caller&, Done)` on `executor`, which ends the call now or later. A call that was
// cancelled while it waited, or whose caller may not make it, is not begun.
template <typename Work>
grpc::ServerUnaryReactor* Begin(const Door& door, grpc::CallbackServerContext* context,
                                absl::string_view method, Executor* executor,
                                const google::protobuf::Message* request,
                                const google::protobuf::Message* response, Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const auto call = std::make_shared<Call>(door, *context, method);   // std::function copies
  const Done done = [=](const absl::Status& status) {
    call->End(status, request, response);
    reactor->Finish(ToGrpc(status));
  };
  const std::string turn = call->Turn();
  auto run = [=, work = std::move(work)] {
    if (context->IsCancelled()) return done(absl::CancelledError("cancelled before it began"));
    const auto caller = call->Admit(request);
    if (!caller.ok()) return done(caller.status());
    const std::string known = call->Turn();
    if (known == turn) return work(*caller, done);
    // Now that it is known who calls, its turn is its tenant's.
    if (!executor->Submit([=] { work(*caller, done); }, known)) done(Overloaded());
  };
  if (!executor->Submit(std::move(run), turn)) done(Overloaded());
  return reactor;
}

// The same for work that returns the absl::Status to answer with.
template <typename Work>
grpc::ServerUnaryReactor* Answer(const Door& door, grpc::CallbackServerContext* context,
                                 absl::string_view method, Executor* executor,
                                 const google::protobuf::Message* request,
                                 const google::protobuf::Message* response, Work work) {
  return Begin(door, context, method, executor, request, response,
               [work = std::move(work)](const access::Caller& caller, const Done& done) { done(work(caller)); });
}

// The same for a handler that has a thread of its own, and moves bytes: `work(const access::Caller&, ByteStream&)`.
// `request` is null where it comes in pieces.
template <typename Work>
grpc::Status Timed(const Door& door, grpc::ServerContext* context, absl::string_view method,
                   const google::protobuf::Message* request, Work work) {
  Call call(door, *context, method);
  const auto caller = call.Admit(request);
  absl::Status status = caller.status();
  if (caller.ok()) {
    const auto stream = door.bytes->Open(*caller, context);
    status = stream.ok() ? work(*caller, **stream) : stream.status();
    if (stream.ok()) status = (*stream)->Outcome(std::move(status));
  }
  call.End(status, request, nullptr);
  return ToGrpc(status);
}

}  // namespace sextant::rpc
