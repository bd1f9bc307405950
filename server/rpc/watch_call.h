// One watcher's stream of events. No thread waits for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include <grpcpp/grpcpp.h>

#include "sextant/v1/sextant.pb.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/watch_hub.h"
#include "server/rpc/call.h"
#include "server/rpc/executor.h"
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
  };
  struct Around {
    Door door;
    Executor* executor;
    Streams* streams;
  };
  // `checked` other than OK is the answer to whoever may ask. `request` is gRPC's, until the end.
  static WatchCall* Begin(Behind<Rooms> rooms, Around around, const grpc::ServerContextBase& context,
                          const v1::WatchJobRequest& request, absl::Status checked);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  class Token {
    friend class WatchCall;
    Token() = default;
  };
  // For Begin alone.
  WatchCall(Token, Behind<Rooms> rooms, Around around, const grpc::ServerContextBase& context,
            const v1::WatchJobRequest& request, absl::Status checked);

 private:
  using Queue = Outgoing<v1::Event, WatchCall>;
  // Seq of the last stored event queued. Shared with the hub's callback, which may outlive the
  // reactor by a moment.
  using Cursor = std::atomic<int64_t>;

  void Start();    // executor
  void Resume();   // executor
  absl::Status Enter();
  void Watch();
  const Rooms& rooms() const { return rooms_(*caller_); }

  const Behind<Rooms> rooms_;
  const Around around_;
  Call call_;
  std::optional<access::Caller> caller_;   // from Enter on
  const v1::WatchJobRequest& request_;
  const absl::Status checked_;
  const std::shared_ptr<Queue> outgoing_;
  const std::shared_ptr<Cursor> cursor_;
  const int64_t stream_;
  int64_t watch_ = 0;   // 0: none; executor, then OnDone
};

}  // namespace sextant::rpc
