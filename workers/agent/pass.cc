#include "workers/agent/pass.h"

#include <utility>

namespace sextant::agent {

const char* PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kFetch:
      return "fetch";
    case Phase::kRun:
      return "run";
    case Phase::kCollect:
      return "collect";
    case Phase::kUpload:
      return "upload";
    case Phase::kSpooled:
      return "spooled";
  }
  return "";
}

Pass::Pass(v1::Assignment assignment, Phase phase)
    : assignment_(std::move(assignment)), phase_(phase) {}

Phase Pass::phase() const {
  absl::MutexLock lock(&mutex_);
  return phase_;
}

v1::PassProgress Pass::Progress() const {
  v1::PassProgress progress;
  *progress.mutable_pass() = ref();
  absl::MutexLock lock(&mutex_);
  progress.set_phase(PhaseName(phase_));
  progress.set_started_unix_ns(started_unix_ns_);
  return progress;
}

void Pass::Enter(Phase phase) {
  absl::MutexLock lock(&mutex_);
  phase_ = phase;
}

void Pass::SetRunning(std::shared_ptr<sandbox::Running> running) {
  std::string reason;
  {
    absl::MutexLock lock(&mutex_);
    running_ = running;
    started_unix_ns_ = running->started_unix_ns();
    phase_ = Phase::kRun;
    if (!stopped_) return;
    reason = stop_reason_;
  }
  running->Kill(reason);
}

void Pass::ClearRunning() {
  std::shared_ptr<sandbox::Running> gone;
  absl::MutexLock lock(&mutex_);
  gone.swap(running_);
}

void Pass::Stop(const std::string& reason) {
  std::shared_ptr<sandbox::Running> running;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    stopped_ = true;
    stop_reason_ = reason;
    running = running_;
  }
  stop_wakeup_.Wake();
  if (running) running->Kill(reason);
}

void Pass::StopUnlessRan(const std::string& reason) {
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kFetch && phase_ != Phase::kRun) return;
  }
  Stop(reason);
}

bool Pass::stopped() const {
  absl::MutexLock lock(&mutex_);
  return stopped_;
}

std::string Pass::stop_reason() const {
  absl::MutexLock lock(&mutex_);
  return stop_reason_;
}

bool Pass::WaitStopped(SteadyTime deadline) {
  while (!stopped()) {
    if (!stop_wakeup_.WaitUntil(deadline)) return stopped();
  }
  return true;
}

}  // namespace sextant::agent
