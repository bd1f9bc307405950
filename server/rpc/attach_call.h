// One worker's stream: states in, desired states out. No thread waits for it.
#pragma once

#include <cstdint>
#include <memory>

#include <grpcpp/grpcpp.h>

#include "absl/time/time.h"
#include "sextant/v1/worker.pb.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/worker_hub.h"
#include "server/rpc/executor.h"
#include "server/rpc/metrics.h"
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
    Executor* executor;
    Streams* streams;
    Metrics* metrics;
  };
  static AttachCall* Begin(Rooms rooms);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  class Token {
    friend class AttachCall;
    Token() = default;
  };
  AttachCall(Token, Rooms rooms);   // for Begin alone

 private:
  using Queue = Outgoing<v1::DesiredState, AttachCall>;
  void Absorb();   // executor
  void Close(const absl::Status& status);

  const Rooms rooms_;
  const std::shared_ptr<Queue> outgoing_;
  const int64_t stream_;
  const absl::Time began_;
  v1::WorkerState incoming_;     // gRPC and Absorb in turns
  int64_t session_ = 0;          // 0: not attached; likewise
};

}  // namespace sextant::rpc
