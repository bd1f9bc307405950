// The worker's life: attached to a coordinator, it does what the desired state says and reports
// what it has.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/worker.pb.h"
#include "workers/agent/attachment.h"
#include "workers/agent/blob_cache.h"
#include "workers/agent/committer.h"
#include "workers/agent/coordinator.h"
#include "workers/agent/files.h"
#include "workers/agent/lanes.h"
#include "workers/agent/lease.h"
#include "workers/agent/machine.h"
#include "workers/agent/options.h"
#include "workers/agent/pass.h"
#include "workers/agent/pass_runner.h"
#include "workers/agent/prover.h"
#include "workers/agent/warm_pool.h"
#include "workers/backends/backend.h"
#include "workers/gpu/pool.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

// Owns the state directory and every thread of the worker. Thread-safe.
class Agent {
 public:
  // FAILED_PRECONDITION: another worker uses the state directory. Clears what an earlier process
  // left of passes, and takes over its spool.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(
      AgentOptions options, std::unique_ptr<sandbox::Sandbox> sandbox,
      std::vector<std::unique_ptr<backends::Backend>> backends);

  // Kills what still runs; results in the spool stay there for the next start.
  ~Agent();

  // Takes no more work; what is here is finished and committed. What has not ended after `patience`
  // is killed, and a little later given up.
  void Drain(std::chrono::nanoseconds patience = std::chrono::nanoseconds::max());

  // Waits until the worker is drained. False: what was left was killed or stays in the spool.
  // One thread waits.
  bool WaitDrained();

  // What it says of itself now.
  v1::WorkerInfo info() const;

 private:
  Agent(AgentOptions options, endpoint::Endpoint endpoint, Fd lock, std::unique_ptr<sandbox::Sandbox> sandbox,
        std::vector<std::unique_ptr<backends::Backend>> backends);

  absl::Status Open();
  void OnDesired(v1::DesiredState desired);
  void Accept(v1::Assignment assignment);
  void Stop(const v1::PassRef& ref, const std::string& reason);
  void RunOnLane(const std::shared_ptr<Pass>& pass);
  void OnSettled(const PassKey& key, v1::CommitOutcome outcome, const std::string& message);
  void OnLeaseEnded();
  v1::WorkerState State(bool first);
  // Brings what the pool knows of its GPUs into info_; true when that changed it.
  bool RefreshDevices() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has GPUs that are not well looked at again, each on its own lane.
  void LookAgain();
  void Forget(const PassKey& key, bool remember);
  // Why this assignment cannot be taken now; empty: it can.
  std::string Conflict(const v1::Assignment& assignment) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::shared_ptr<Pass>> Held();
  void OnProved(const std::string& backend, const Prover::Verdict& verdict);
  void Poke();

  const AgentOptions options_;
  const Fd lock_;  // of the state directory
  const Machine machine_;
  const std::unique_ptr<sandbox::Sandbox> sandbox_;
  const std::unique_ptr<gpu::Pool> gpus_;
  std::map<std::string, OfferedBackend> backends_;
  Coordinator coordinator_;
  BlobCache blobs_;
  WarmPool warm_;
  PassRunner runner_;
  Wakeup draining_changed_;

  mutable absl::Mutex mutex_;
  v1::WorkerInfo info_ ABSL_GUARDED_BY(mutex_);
  bool info_changed_ ABSL_GUARDED_BY(mutex_) = false;  // since it was sent
  SteadyTime looked_again_ ABSL_GUARDED_BY(mutex_);
  // Everything held, spooled results too. Shared: a lane, the stream's thread and the lease may
  // hold a pass at the moment it leaves the table.
  std::map<PassKey, std::shared_ptr<Pass>> passes_ ABSL_GUARDED_BY(mutex_);
  // Ended ones: an assignment of one of these crossed its commit on the way and is ignored.
  std::set<PassKey> ended_ ABSL_GUARDED_BY(mutex_);
  std::deque<PassKey> ended_order_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyTime drain_deadline_ ABSL_GUARDED_BY(mutex_) = SteadyTime::max();
  Attachment* attachment_view_ ABSL_GUARDED_BY(mutex_) = nullptr;

  // Destroyed first, from the last upward: no thread calls into what is gone.
  std::unique_ptr<Prover> prover_;  // null: nothing to prove
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Lanes> lanes_;
  std::unique_ptr<Lease> lease_;
  std::unique_ptr<Attachment> attachment_;
};

// What a worker with these would say of itself; `sextant-worker --probe` prints it.
v1::WorkerInfo DescribeWorker(const AgentOptions& options, const Machine& machine,
                              const sandbox::Sandbox& sandbox, const gpu::Pool& gpus,
                              const std::map<std::string, OfferedBackend>& backends);

// Probes each backend once.
std::map<std::string, OfferedBackend> Probe(
    std::vector<std::unique_ptr<backends::Backend>> backends);

}  // namespace sextant::agent
