// A fixed number of threads for work that blocks on the database, so that a flood of calls waits in
// a queue instead of making threads.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sextant::rpc {

// Thread-safe.
class Executor {
 public:
  using Work = std::function<void()>;

  Executor(int threads, size_t max_queued);
  ~Executor();   // Stop

  // False: too much is queued; `work` will not run.
  bool Submit(Work work);
  // For what must run: ends of calls, not their beginnings.
  void Post(Work work);
  // Runs what is queued, then ends the threads. What is posted afterwards runs at once.
  void Stop();

 private:
  void Loop();

  const size_t max_queued_;
  absl::Mutex mutex_;
  std::deque<Work> queue_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace sextant::rpc
