// A wake-up call with a deadline on the monotonic clock. absl::CondVar waits on the wall clock,
// which may jump; leases and heartbeats must not.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace sextant::agent {

using SteadyTime = std::chrono::steady_clock::time_point;

// Any number of threads wake, one waits. A call made while nobody waits is not lost.
class Wakeup {
 public:
  void Wake() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      woken_ = true;
    }
    condition_.notify_one();
  }

  // True when woken, false when the deadline passed. Consumes the call.
  bool WaitUntil(SteadyTime deadline) {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool woken = condition_.wait_until(lock, deadline, [this] { return woken_; });
    woken_ = false;
    return woken;
  }

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    condition_.wait(lock, [this] { return woken_; });
    woken_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool woken_ = false;  // guarded by mutex_
};

}  // namespace sextant::agent
