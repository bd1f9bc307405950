// Runs the analyze tasks that need no worker, the builtins of server/job/builtins.h, as a worker of the
// queue's coordinator pool that lives in this process.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "sextant/v1/worker.pb.h"
#include "server/analysis/analysis.h"
#include "server/store/blobs.h"
#include "server/store/queue.h"

namespace sextant::analysis {

// The answer is an artifact of the pass, "NAME.json"; of a report there is "report.md" too. One
// thread, which looks into the queue every `poll`, or at once when woken. Borrows the rooms.
class BuiltinRunner {
 public:
  struct Rooms {
    store::QueueStore* queue;
    store::BlobStore* blobs;
    Analysis* analysis;
  };
  struct Options {
    std::string name;                  // stable and unique: "coordinator-<host>-<state>"
    double lease_s = 60;
    absl::Duration poll = absl::Milliseconds(500);
    std::function<void()> committed;   // rows changed: wakes the engine
  };
  BuiltinRunner(Rooms rooms, Options options);
  ~BuiltinRunner();   // Stop

  void Start();
  // Finishes the analysis under way.
  void Stop();
  // There may be something to do. Cheap.
  void Wake();

 private:
  void Loop();
  absl::Status Enlist();   // registers, and renews the lease when a third of it is over
  absl::StatusOr<bool> RunOne();
  absl::Status Compute(const v1::Assignment& assignment, v1::PassResult* result);
  absl::Status Keep(const std::string& name, const std::string& bytes, v1::PassResult* result);

  const Rooms rooms_;
  const Options options_;
  const std::vector<std::string> offers_;   // sorted
  bool registered_ = false;                 // the thread's alone
  absl::Time renewed_ = absl::InfinitePast();
  absl::Mutex mutex_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sextant::analysis
