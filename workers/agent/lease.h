// The worker's right to run passes. When it is not renewed in time, what runs must end by itself:
// the coordinator gives the same passes to others.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "workers/agent/wakeup.h"

namespace sextant::agent {

// Watches the deadline on the monotonic clock in a thread of its own. Thread-safe.
class Lease {
 public:
  // `ended` is called from the lease's thread, once for each time the lease ends.
  explicit Lease(std::function<void()> ended);
  ~Lease();

  // Runs from now for this long, whatever it was before. Before the first call there is none.
  void Renew(std::chrono::nanoseconds length);

 private:
  void Watch();

  const std::function<void()> ended_;
  Wakeup changed_;
  absl::Mutex mutex_;
  SteadyTime deadline_ ABSL_GUARDED_BY(mutex_) = SteadyTime::max();
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sextant::agent
