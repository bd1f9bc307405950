// One watcher's stream of events. No thread waits for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <grpcpp/grpcpp.h>

#include "absl/time/time.h"
#include "sextant/v1/sextant.pb.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/watch_hub.h"
#include "server/rpc/executor.h"
#include "server/rpc/metrics.h"
#include "server/rpc/outgoing.h"
#include "server/rpc/streams.h"
#include "server/store/job_reads.h"

namespace sextant::rpc {

// Deletes itself when the call is over. At most kMaxQueuedEvents wait for a watcher that reads
// slowly; what comes beyond is forgotten, and read again from the database at the watcher's cursor
// once the queue is empty.
class WatchCall : public grpc::ServerWriteReactor<v1::Event> {
 public:
  static constexpr size_t kMaxQueuedEvents = 1024;

  struct Rooms {
    store::JobReads* reads;
    dispatch::WatchHub* watches;
    dispatch::Engine* engine;
    Executor* executor;
    Streams* streams;
    Metrics* metrics;
  };
  // `checked` other than OK is the answer.
  static WatchCall* Begin(Rooms rooms, const v1::WatchJobRequest& request, absl::Status checked);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  class Token {
    friend class WatchCall;
    Token() = default;
  };
  WatchCall(Token, Rooms rooms, const v1::WatchJobRequest& request);   // for Begin alone

 private:
  using Queue = Outgoing<v1::Event, WatchCall>;
  // Seq of the last stored event queued. Shared with the hub's callback, which may outlive the
  // reactor by a moment.
  using Cursor = std::atomic<int64_t>;

  void Start();    // executor
  void Resume();   // executor
  void Watch();

  const Rooms rooms_;
  const int64_t job_id_;
  const std::shared_ptr<Queue> outgoing_;
  const std::shared_ptr<Cursor> cursor_;
  const int64_t stream_;
  const absl::Time began_;
  int64_t watch_ = 0;   // 0: none; executor, then OnDone
};

}  // namespace sextant::rpc
