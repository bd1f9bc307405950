// Commits that wait at the same time are written in one transaction: most of what a commit costs is
// not its own rows.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/worker.pb.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/worker_hub.h"
#include "server/rpc/executor.h"

namespace sextant::rpc {

// Thread-safe. No caller's thread waits. While a group is being written the next one gathers; a
// commit that comes alone is written at once.
class CommitQueue {
 public:
  // A group is closed when it has as much as this; its first request is taken whatever its size.
  static constexpr int kMaxPasses = 1000;
  static constexpr size_t kMaxBytes = 8 << 20;

  CommitQueue(dispatch::WorkerHub* workers, dispatch::Engine* engine, Executor* executor,
              size_t max_waiting)
      : workers_(workers), engine_(engine), executor_(executor), max_waiting_(max_waiting) {}

  // `done` is called once, from the executor, with the answer to this request alone; until then
  // `request` stays where it is. False: too many wait, and `done` is not called.
  using Done = std::function<void(const dispatch::WorkerHub::Committed& answer)>;
  bool Add(const v1::CommitPassesRequest* request, Done done);

 private:
  struct Waiting {
    const v1::CommitPassesRequest* request;
    Done done;
  };
  void WriteGroup();   // executor
  std::vector<Waiting> Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  dispatch::WorkerHub* const workers_;
  dispatch::Engine* const engine_;
  Executor* const executor_;
  const size_t max_waiting_;
  absl::Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;   // WriteGroup runs or is queued
};

}  // namespace sextant::rpc
