// A fixed number of threads for work that blocks on the database, so that a flood of calls waits in
// a queue instead of making threads.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sextant::rpc {

// Thread-safe. Work of one key is begun in the order it came. Among keys the one that has fewest threads is
// next, and none but "" has all of them, so that the others' turn comes however long its work takes.
class Executor {
 public:
  using Work = std::function<void()>;

  Executor(int threads, size_t max_queued);
  ~Executor();   // Stop

  // False: too much is queued; `work` will not run.
  bool Submit(Work work, const std::string& key = "");
  // For what must run: ends of calls, not their beginnings.
  void Post(Work work);
  // Runs what is queued, then ends the threads. What is posted afterwards runs at once.
  void Stop();

 private:
  // Of one key; there while it waits or runs.
  struct Line {
    std::deque<std::pair<uint64_t, Work>> waiting;   // by number
    size_t running = 0;
  };
  using Lines = std::map<std::string, Line>;

  void Add(const std::string& key, Work work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whose turn it is; end: nobody's.
  Lines::iterator Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Loop();

  const size_t max_queued_;
  const size_t most_of_a_key_;
  absl::Mutex mutex_;
  Lines lines_ ABSL_GUARDED_BY(mutex_);
  size_t queued_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace sextant::rpc
