// The workers attached to this coordinator: what each reported, what it was given. Live state only:
// all of it can be lost, the rows in `queue` and `workers` are the truth.
#pragma once

#include <array>
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
#include "absl/time/time.h"
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

  // Fenced commits, then frees the slots. Several requests are written in one transaction, and each
  // is answered as if it had come alone: one that the database refuses does not harm the others.
  using Committed = absl::StatusOr<v1::CommitPassesResponse>;
  std::vector<Committed> Commit(const std::vector<const v1::CommitPassesRequest*>& requests);

  // ---- steps of the engine, from its threads ----
  // Hands ready passes to free slots. Returns how many.
  absl::StatusOr<int> HandOut();
  // Compares what workers hold here and in the database: sends again what got lost, stops what was
  // cancelled or taken back. `all`: also workers that hold nothing here.
  absl::Status Reconcile(bool all);
  // Renews the leases of those who reported since the last call, and tells them; not of those whose
  // lease was renewed a moment ago.
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
    absl::Time renewing = absl::InfinitePast();   // when it was last noted in to_renew_
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
  // At most ready[pool] in each group.
  std::vector<SlotGroup> FreeSlots(const std::array<int, 3>& ready) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Frees the slots of what was committed.
  void Release(const std::string& worker, const v1::CommitPassesResponse& response)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Notes assignments as held and sends them.
  void Give(const std::vector<store::QueueStore::Claimed>& claimed) ABSL_LOCKS_EXCLUDED(mutex_);

  store::QueueStore* const queue_;
  const Options options_;
  // Held from the look at the queue to the note in a session: what was given in between must not be
  // taken for something lost or left over.
  absl::Mutex moving_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  int64_t next_session_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, Session> sessions_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int64_t> by_name_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> to_renew_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::dispatch
