#include "server/dispatch/notifier.h"

#include <spdlog/spdlog.h>

namespace sextant::dispatch {
namespace {
constexpr absl::Duration kCoalesce = absl::Milliseconds(5);
}

Notifier::~Notifier() { Stop(); }

void Notifier::Start(std::function<void()> woken) {
  tell_thread_ = std::thread([this] { TellLoop(); });
  listen_thread_ = std::thread([this, woken = std::move(woken)] { signals_->Listen(woken); });
}

void Notifier::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  signals_->StopListening();
  if (tell_thread_.joinable()) tell_thread_.join();
  if (listen_thread_.joinable()) listen_thread_.join();
}

void Notifier::Tell() {
  absl::MutexLock lock(&mutex_);
  pending_ = true;
}

void Notifier::TellLoop() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return pending_ || stop_; };
      mutex_.Await(absl::Condition(&due));
      // More of it comes, and what this coordinator does about it comes first.
      if (mutex_.AwaitWithTimeout(absl::Condition(&stop_), kCoalesce)) return;
      pending_ = false;
    }
    // Others poll once a second anyway: a lost signal costs that much.
    if (absl::Status status = signals_->Notify(); !status.ok())
      spdlog::debug("notify failed error=\"{}\"", std::string(status.message()));
  }
}

}  // namespace sextant::dispatch
