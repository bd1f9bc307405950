#include "workers/agent/lease.h"

#include <utility>

namespace sextant::agent {

Lease::Lease(std::function<void()> ended)
    : ended_(std::move(ended)), thread_([this] { Watch(); }) {}

Lease::~Lease() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  changed_.Wake();
  thread_.join();
}

void Lease::Renew(std::chrono::nanoseconds length) {
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    first = deadline_ == SteadyTime::max();
    const SteadyTime deadline = std::chrono::steady_clock::now() + length;
    first = first || deadline < deadline_;
    deadline_ = deadline;
  }
  // A later deadline is seen when the thread wakes for the earlier one.
  if (first) changed_.Wake();
}

void Lease::Watch() {
  for (;;) {
    SteadyTime deadline;
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
      deadline = deadline_;
    }
    if (deadline == SteadyTime::max()) {
      changed_.Wait();
      continue;
    }
    if (changed_.WaitUntil(deadline)) continue;
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
      if (deadline_ > std::chrono::steady_clock::now()) continue;
      deadline_ = SteadyTime::max();
    }
    ended_();
  }
}

}  // namespace sextant::agent
