// One pass in the hands of this worker: what it is and how far it is.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/worker.pb.h"
#include "workers/agent/wakeup.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

enum class Phase { kFetch, kRun, kCollect, kUpload, kSpooled };

const char* PhaseName(Phase phase);

// Thread-safe. One thread takes it through its phases; the stream's thread and the lease stop it.
class Pass {
 public:
  explicit Pass(v1::Assignment assignment, Phase phase = Phase::kFetch);

  const v1::Assignment& assignment() const { return assignment_; }
  const v1::PassRef& ref() const { return assignment_.pass(); }
  Phase phase() const;
  v1::PassProgress Progress() const;

  void Enter(Phase phase);

  // The program was started. If the pass was stopped meanwhile, the program is killed at once.
  void SetRunning(std::shared_ptr<sandbox::Running> running);
  void ClearRunning();

  // Drops the pass, in whatever phase: its program is killed and its result goes nowhere.
  void Stop(const std::string& reason);
  // Drops it unless its program has ended well already: a result on its way is still fenced.
  void StopUnlessRan(const std::string& reason);
  bool stopped() const;
  std::string stop_reason() const;

  // Waits until the deadline; true when the pass was stopped. Called by its own thread.
  bool WaitStopped(SteadyTime deadline);

 private:
  const v1::Assignment assignment_;
  Wakeup stop_wakeup_;
  mutable absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_);
  uint64_t started_unix_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::string stop_reason_ ABSL_GUARDED_BY(mutex_);
  // Shared: Kill is called without the lock while the pass's thread lets go of it.
  std::shared_ptr<sandbox::Running> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::agent
