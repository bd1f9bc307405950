// The hot table and its workers: claim, start, commit, give back. Each call is one transaction.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "sextant/v1/worker.pb.h"
#include "server/store/database.h"

namespace sextant::store {

// Where a pass may run.
enum class Pool { kCpu = 0, kDevice = 1, kCoordinator = 2 };

// Of tenants that have no quota of their own; 0: no bound.
struct TenantBounds {
  uint32_t running_devices = 0;
  uint64_t stored_bytes = 0;
  absl::Duration fresh = absl::Seconds(1);   // how long it is known that no tenant has a quota of its own
};

class QueueStore {
 public:
  explicit QueueStore(Database* database, TenantBounds bounds = {})
      : database_(database), bounds_(bounds) {}

  // How many passes are ready in each pool.
  absl::StatusOr<std::array<int, 3>> ReadyCounts();

  // One place a pass can be put: a worker's CPU slot (device empty) or one of its devices.
  struct Slot {
    std::string worker;
    std::string device;
  };
  struct Claimed {
    std::string worker;
    v1::Assignment assignment;
  };
  // Hands ready passes to slots, best first: priority, fair share, age. All slots are of workers
  // with the same `offers`; a pass fits when its needs are among them. Every pass gets a new epoch. Of a
  // tenant that runs on as many devices as it may, no pass is handed to another one.
  absl::StatusOr<std::vector<Claimed>> Claim(Pool pool, const std::vector<std::string>& offers,
                                             const std::vector<Slot>& slots);

  // What the database says a worker holds, with everything needed to start it again.
  struct Holding {
    std::string worker;
    std::string device;
    int64_t pass_id = 0;
    int64_t epoch = 0;
  };
  absl::StatusOr<std::vector<Holding>> Holdings(const std::vector<std::string>& workers);
  absl::StatusOr<std::vector<Claimed>> Assignments(const std::vector<int64_t>& pass_ids);

  struct Started {
    int64_t pass_id = 0;
    int64_t epoch = 0;
    uint64_t started_unix_ns = 0;
  };
  absl::Status RecordStarted(const std::vector<Started>& started);

  // Fenced by (worker, epoch); one outcome per commit, in order. See v1::CommitOutcome.
  absl::StatusOr<v1::CommitPassesResponse> Commit(const v1::CommitPassesRequest& request);
  // Requests of several workers in one transaction: one response for each, in order, or an error for
  // all, and then nothing of any was done (or it is in doubt, UNKNOWN).
  absl::StatusOr<std::vector<v1::CommitPassesResponse>> CommitAll(
      const std::vector<const v1::CommitPassesRequest*>& requests);

  // A new incarnation of a worker: what it held and does not report goes back to ready (or fails
  // when attempts are used up).
  absl::Status Register(const v1::WorkerInfo& info, const std::vector<std::string>& offers,
                        double lease_s, const std::vector<v1::PassRef>& reported);
  absl::Status Renew(const std::vector<std::string>& workers, double lease_s);

  // Takes back what workers hold whose lease ended. Returns how many passes.
  absl::StatusOr<int> TakeBackExpired();

 private:
  // Whether any tenant has a bound on what commits and claims look at.
  struct Bounded {
    bool devices = false;
    bool stored = false;
  };
  absl::StatusOr<Bounded> FindBounded();
  absl::StatusOr<std::vector<Claimed>> ClaimBounded(const std::vector<std::string>& offers,
                                                    std::vector<Slot> slots);

  Database* const database_;
  const TenantBounds bounds_;
  absl::Mutex mutex_;
  Bounded bounded_ ABSL_GUARDED_BY(mutex_);
  absl::Time looked_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace sextant::store
