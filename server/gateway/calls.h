// Calls of any method of the service, known by its descriptor, over a gRPC channel, answered over HTTP.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "server/http/exchange.h"

namespace sextant::gateway {

// Calls under way, so that whoever lends them the HTTP server can wait for their end. Thread-safe.
class InFlight {
 public:
  void Begin();
  void End();
  void AwaitNone() const;

 private:
  mutable absl::Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct Call {
  std::shared_ptr<grpc::Channel> channel;   // gRPC's own type
  const google::protobuf::MethodDescriptor* method;
  std::unique_ptr<google::protobuf::Message> request;
  std::shared_ptr<http::Exchange> exchange;
  InFlight* in_flight;
};

// The answer as JSON.
void AnswerUnary(Call call);
// The answers as server-sent events: `id` is the message's seq, where it has one; at the end an event
// "end" whose data is the status.
void AnswerEvents(Call call);
// The `data` of the answers as a download called `name`. An error after the first byte cuts the
// connection.
void AnswerDownload(Call call, const std::string& name);

// An error as an answer over HTTP; one without a valid token is told how it is sent.
http::Response Refusal(const absl::Status& status);

// Whether the method's answers are pieces of one sequence of bytes.
bool StreamsBytes(const google::protobuf::MethodDescriptor& method);

}  // namespace sextant::gateway
