// The workers attached to this coordinator: what each reported, what it was given. Live state only:
// all of it can be lost, the rows in `queue` and `workers` are the truth.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/worker.pb.h"
#include "server/store/queue.h"

namespace sextant::dispatch {

class WorkerHub {
 public:
  // Delivers a DesiredState to the worker's stream. Called from any thread; must not block (it
  // queues) and must not call back into the hub. False: the stream is gone.
  using Send = std::function<bool(const v1::DesiredState&)>;

  // Told of passing events (a pass's phase and percent); see WatchHub::Passing.
  using Passing = std::function<void(const v1::Event&)>;

  struct Options {
    double lease_s = 60;
    Passing passing;   // may be empty
  };
  WorkerHub(store::QueueStore* queue, Options options);

  // Opens a session for the worker of the first message, replacing an older one of the same worker,
  // and tells it what it holds. INVALID_ARGUMENT names the missing field. The caller wakes the
  // engine after each Attach, Report and Commit.
  absl::StatusOr<int64_t> Attach(const v1::WorkerState& first, Send send);
  // A later message of that session.
  absl::Status Report(int64_t session, const v1::WorkerState& state);
  // The stream ended. Leases go on: the worker may come back, here or elsewhere.
  void Detach(int64_t session);

  // Fenced commits, then frees the slots.
  absl::StatusOr<v1::CommitPassesResponse> Commit(const v1::CommitPassesRequest& request);

  // ---- steps of the engine ----
  // Hands ready passes to free slots. Returns how many.
  absl::StatusOr<int> HandOut();
  // Compares what workers hold here and in the database: sends again what got lost, stops what was
  // cancelled or taken back. `all`: also workers that hold nothing here.
  absl::Status Reconcile(bool all);
  // Renews the leases of those who reported since the last call, and tells them.
  absl::Status RenewLeases();

  int attached() const;

 private:
  struct Held {
    int64_t epoch = 0;
    int64_t job_id = 0;
    std::string device;
    std::string phase;
    bool started = false;   // recorded
  };
  struct Session {
    v1::WorkerInfo info;
    std::shared_ptr<const Send> send;
    bool draining = false;
    absl::flat_hash_map<int64_t, Held> held;   // by pass id
  };
  // Places that offer the same.
  struct SlotGroup {
    store::Pool pool;
    std::vector<std::string> offers;
    std::vector<store::QueueStore::Slot> slots;
  };
  struct Delivery {
    std::shared_ptr<const Send> send;
    v1::DesiredState state;
  };

  // What a worker newly says of itself, into the database, where planning reads it.
  absl::Status Store(const v1::WorkerInfo& info);
  // Gives no more work to devices on which a commit found DEVICE_UNHEALTHY, until their worker says
  // that they are well. The changed word of the worker, if any.
  std::optional<v1::WorkerInfo> SetAside(const v1::CommitPassesRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<SlotGroup> FreeSlots() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Notes assignments as held and sends them.
  void Give(const std::vector<store::QueueStore::Claimed>& claimed) ABSL_LOCKS_EXCLUDED(mutex_);

  store::QueueStore* const queue_;
  const Options options_;
  mutable absl::Mutex mutex_;
  int64_t next_session_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, Session> sessions_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int64_t> by_name_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> to_renew_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::dispatch
