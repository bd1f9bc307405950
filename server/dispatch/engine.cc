#include "server/dispatch/engine.h"

#include <spdlog/spdlog.h>

#include <algorithm>

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
  hand_out_thread_ = std::thread([this] { HandOutLoop(); });
  step_thread_ = std::thread([this] { StepLoop(); });
  pump_thread_ = std::thread([this] { PumpLoop(); });
}

void Engine::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (rooms_.notifier != nullptr) rooms_.notifier->Stop();
  if (hand_out_thread_.joinable()) hand_out_thread_.join();
  if (step_thread_.joinable()) step_thread_.join();
  if (pump_thread_.joinable()) pump_thread_.join();
}

void Engine::Wake() {
  Nudge();
  if (rooms_.notifier != nullptr) rooms_.notifier->Tell();
}

void Engine::Nudge() {
  absl::MutexLock lock(&mutex_);
  hand_out_ = true;
  step_ = true;
  pump_ = true;
}

bool Engine::WaitFor(bool* flag, absl::Duration grace) {
  struct Condition {
    bool* flag;
    bool* stop;
    static bool Met(Condition* c) { return *c->flag || *c->stop; }
  };
  absl::MutexLock lock(&mutex_);
  Condition condition{flag, &stop_};
  mutex_.AwaitWithTimeout(absl::Condition(&Condition::Met, &condition), options_.poll);
  if (grace > absl::ZeroDuration())
    mutex_.AwaitWithTimeout(absl::Condition(&stop_), grace);
  *flag = false;
  return !stop_;
}

bool Engine::Pause(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&stop_), duration);
}

void Engine::HandOutLoop() {
  while (WaitFor(&hand_out_, absl::ZeroDuration())) {
    Ok("hand out", rooms_.workers->HandOut());
    if (!Pause(options_.between_hand_outs)) return;
  }
}

void Engine::StepLoop() {
  absl::Time last_slow = absl::InfinitePast();
  while (WaitFor(&step_, options_.before_step)) {
    const absl::Time now = absl::Now();
    const bool slow = now - last_slow >= options_.poll;
    if (slow) last_slow = now;
    Step(slow);
    // One that takes long, because much is held or merged, leaves time to others.
    if (!Pause(std::max(options_.between_steps, 3 * (absl::Now() - now)))) return;
  }
}

void Engine::PumpLoop() {
  while (WaitFor(&pump_, options_.before_pump)) Ok("pump", rooms_.watches->Pump());
}

void Engine::Step(bool slow) {
  while (true) {
    const auto planned = rooms_.steps->PlanReady();
    if (!Ok("plan", planned) || *planned == 0) break;
    Nudge();
  }
  bool changed = false;
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
