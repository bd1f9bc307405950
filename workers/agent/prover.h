// Proves backends before they are offered: each GPU backend looks once at the self-test program,
// whose work is known to the instruction. One that sees nothing, or something else, stays off.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/worker.pb.h"
#include "workers/agent/options.h"
#include "workers/agent/pass.h"
#include "workers/agent/pass_runner.h"
#include "workers/agent/wakeup.h"

namespace sextant::agent {

// Why what a backend made of the self-test program proves nothing; empty: it is proved. `expected`
// tables that the backend left are held to the program's known work (workers/gpu/selftest/facts.h).
std::string WhyNotProved(const v1::PassResult& result, const std::vector<v1::DataTable>& tables);

struct ProofVerdict {
  bool available = false;
  std::string reason;  // when not available: why; when it is: what is not proved about it
};

// Into an offer that waited for it. What Probe said of the backend's limits stays, where the verdict
// adds nothing.
void Apply(const ProofVerdict& verdict, const v1::BackendOffer& probed, v1::BackendOffer& offer);

// Owns one thread, which runs the proofs one after the other as ordinary passes: sandbox, lock and
// health check of the GPU and all.
class Prover {
 public:
  using Verdict = ProofVerdict;
  // From the prover's thread.
  using Proved = std::function<void(const std::string& backend, const Verdict& verdict)>;

  // Verdicts are remembered below the state directory, by GPU, driver and tool; failed proofs are
  // tried again by every prover.
  Prover(const AgentOptions& options, RunnerRooms rooms, Proved proved);
  // Stops the proof that runs.
  ~Prover();

  // Backends whose offers wait for this: those on GPUs that can work here.
  static std::vector<std::string> Backends(const std::map<std::string, OfferedBackend>& all);

  // A GPU has become well: go on, if the proofs wait for one.
  void GpuIsWell() { wakeup_.Wake(); }
  // Waits until each backend has its verdict, or no GPU is well.
  void Wait();

 private:
  void Loop();
  Verdict Prove(const OfferedBackend& offered, const gpu::Gpu& gpu);
  std::string Key(const OfferedBackend& offered, const gpu::Gpu& gpu) const;
  const gpu::Gpu* WellGpu() const;

  const AgentOptions options_;  // with a state directory of its own
  const RunnerRooms rooms_;
  const Proved proved_;
  PassRunner runner_;
  Wakeup wakeup_;
  absl::Mutex mutex_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool idle_ ABSL_GUARDED_BY(mutex_) = false;  // nothing left to prove, or no GPU to prove it on
  std::shared_ptr<Pass> running_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace sextant::agent
