#include "server/dispatch/engine.h"

#include <spdlog/spdlog.h>

#include "absl/time/clock.h"

namespace sextant::dispatch {
namespace {

// A step that fails is taken again: what it looks at is still there.
template <typename Result>
bool Ok(const char* step, const Result& result) {
  absl::Status status;
  if constexpr (std::is_same_v<Result, absl::Status>) {
    status = result;
  } else {
    status = result.status();
  }
  if (!status.ok())
    spdlog::warn("step failed step={} code={} error=\"{}\"", step,
                 absl::StatusCodeToString(status.code()), std::string(status.message()));
  return status.ok();
}

}  // namespace

Engine::Engine(Rooms rooms, Options options) : rooms_(rooms), options_(options) {}

Engine::~Engine() { Stop(); }

void Engine::Start() {
  if (rooms_.notifier != nullptr) rooms_.notifier->Start([this] { Nudge(); });
  step_thread_ = std::thread([this] { StepLoop(); });
  pump_thread_ = std::thread([this] { PumpLoop(); });
}

void Engine::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (rooms_.notifier != nullptr) rooms_.notifier->Stop();
  if (step_thread_.joinable()) step_thread_.join();
  if (pump_thread_.joinable()) pump_thread_.join();
}

void Engine::Wake() {
  Nudge();
  if (rooms_.notifier != nullptr) rooms_.notifier->Tell();
}

void Engine::Nudge() {
  absl::MutexLock lock(&mutex_);
  step_ = true;
  pump_ = true;
}

bool Engine::WaitFor(bool* flag) {
  struct Condition {
    bool* flag;
    bool* stop;
    static bool Met(Condition* c) { return *c->flag || *c->stop; }
  };
  absl::MutexLock lock(&mutex_);
  Condition condition{flag, &stop_};
  mutex_.AwaitWithTimeout(absl::Condition(&Condition::Met, &condition), options_.poll);
  *flag = false;
  return !stop_;
}

void Engine::StepLoop() {
  absl::Time last_slow = absl::InfinitePast();
  while (WaitFor(&step_)) {
    const absl::Time now = absl::Now();
    const bool slow = now - last_slow >= options_.poll;
    if (slow) last_slow = now;
    Step(slow);
  }
}

void Engine::PumpLoop() {
  while (WaitFor(&pump_)) Ok("pump", rooms_.watches->Pump());
}

void Engine::Step(bool slow) {
  // First what somebody waits for: work for idle workers.
  Ok("hand out", rooms_.workers->HandOut());
  bool changed = false;
  while (true) {
    const auto planned = rooms_.steps->PlanReady();
    if (!Ok("plan", planned) || *planned == 0) break;
    changed = true;
    Ok("hand out", rooms_.workers->HandOut());
  }
  while (true) {
    const auto settled = rooms_.steps->SettleMerged();
    if (!Ok("settle", settled) || *settled == 0) break;
    changed = true;
  }
  Ok("reconcile", rooms_.workers->Reconcile(slow));
  Ok("renew", rooms_.workers->RenewLeases());
  if (slow) {
    const auto expired = rooms_.queue->TakeBackExpired();
    if (Ok("take back", expired) && *expired > 0) {
      spdlog::warn("passes taken back passes={}", *expired);
      changed = true;
    }
    const auto overdue = rooms_.jobs->FailOverdue();
    if (Ok("deadlines", overdue) && *overdue > 0) changed = true;
  }
  if (changed) Nudge();
}

}  // namespace sextant::dispatch
