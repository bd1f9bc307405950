// GetJob with wait_s: looks again, less and less often, until the job has ended or the time is up. No
// thread waits meanwhile.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include "absl/time/time.h"
#include "sextant/v1/sextant.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/executor.h"
#include "server/rpc/streams.h"
#include "server/store/job_reads.h"

namespace sextant::rpc {

// Deletes itself when it has called `done`. A stopping server answers at once with what is there; a caller
// whose token is revoked meanwhile is told so.
class LongPoll {
 public:
  struct Rooms {
    store::JobReads* reads;
    access::Access* access;
    Executor* executor;
    Streams* streams;
  };
  // On the executor. `context`, `request` and `response` are gRPC's, until `done`.
  static void Begin(Rooms rooms, const access::Caller& caller, grpc::CallbackServerContext* context,
                    const v1::GetJobRequest& request, uint32_t max_page_size,
                    v1::GetJobResponse* response, Done done);

  class Token {
    friend class LongPoll;
    Token() = default;
  };
  // For Begin alone.
  LongPoll(Token, Rooms rooms, const access::Caller& caller, grpc::CallbackServerContext* context,
           const v1::GetJobRequest& request, uint32_t max_page_size,
           v1::GetJobResponse* response, Done done);

 private:
  static constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
  static constexpr absl::Duration kLongestPause = absl::Milliseconds(250);

  void Look();   // executor
  void Submit();
  void End(const absl::Status& status);

  const Rooms rooms_;
  const access::Caller caller_;
  grpc::CallbackServerContext* const context_;
  const v1::GetJobRequest& request_;
  const uint32_t max_page_size_;
  v1::GetJobResponse* const response_;
  const Done done_;
  const absl::Time deadline_;
  absl::Duration pause_ = kFirstPause;
  grpc::Alarm alarm_;
};

}  // namespace sextant::rpc
