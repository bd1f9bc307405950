// One worker's stream: states in, desired states out. No thread waits for it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <grpcpp/grpcpp.h>

#include "sextant/v1/worker.pb.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/worker_hub.h"
#include "server/rpc/call.h"
#include "server/rpc/executor.h"
#include "server/rpc/outgoing.h"
#include "server/rpc/streams.h"

namespace sextant::rpc {

// Deletes itself when the call is over. Messages are absorbed one after the other on the executor;
// the next is read when the last one was. A worker that does not read what it is sent is let go.
class AttachCall : public grpc::ServerBidiReactor<v1::WorkerState, v1::DesiredState> {
 public:
  struct Rooms {
    dispatch::WorkerHub* workers;
    dispatch::Engine* engine;
  };
  struct Around {
    Door door;
    Executor* executor;
    Streams* streams;
  };
  static AttachCall* Begin(Behind<Rooms> rooms, Around around, const grpc::ServerContextBase& context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  class Token {
    friend class AttachCall;
    Token() = default;
  };
  // For Begin alone.
  AttachCall(Token, Behind<Rooms> rooms, Around around, const grpc::ServerContextBase& context);

 private:
  using Queue = Outgoing<v1::DesiredState, AttachCall>;
  void Absorb();   // executor
  absl::Status Take();
  absl::Status Attach();
  const Rooms& rooms() const { return rooms_(*caller_); }
  void Close(const absl::Status& status);

  const Behind<Rooms> rooms_;
  const Around around_;
  Call call_;
  std::optional<access::Caller> caller_;   // once the first message came
  v1::WorkerState who_;                    // its info's name, for the audit trail
  const std::shared_ptr<Queue> outgoing_;
  const int64_t stream_;
  v1::WorkerState incoming_;     // gRPC and Absorb in turns
  int64_t session_ = 0;          // 0: not attached; likewise
};

}  // namespace sextant::rpc
