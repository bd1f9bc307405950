// The warm containers of this worker: passes of Python programs that follow each other on a device are
// forked from one (workers/sandbox/warm.h). A container serves one job, and goes when another job's
// pass starts on its device, when the task's last pass has ended, or when it has waited for long.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "workers/agent/wakeup.h"
#include "workers/sandbox/sandbox.h"
#include "workers/sandbox/warm.h"

namespace sextant::agent {

struct WarmTimes {
  std::chrono::milliseconds idle{30'000};  // a container waits for its next pass
};

// One pass that may be forked.
struct WarmRequest {
  std::string device;                  // one pass at a time
  int64_t job_id = 0;
  sandbox::PythonCommand python;       // of spec.argv
  std::vector<std::string> modules;
  // What of spec.env is the same for all passes of the task: modules may look at it on import.
  std::map<std::string, std::string> env;
  std::filesystem::path passes_dir;    // of the job; spec's directories lie beneath
};

// Thread-safe.
class WarmPool {
 public:
  WarmPool(sandbox::Sandbox& sandbox, WarmTimes times);
  // Ends all containers. No Running of them may be left.
  ~WarmPool();

  // Starts the pass in a container that fits, or in a new one. An error: start it cold; CANCELLED:
  // `stopped` became true. The container is the caller's until Release.
  absl::StatusOr<std::unique_ptr<sandbox::Running>> Start(const WarmRequest& request,
                                                          const sandbox::RunSpec& spec,
                                                          const std::function<bool()>& stopped);

  // The Running that Start gave for this device is destroyed. `last`: no pass of the task follows.
  void Release(const std::string& device, bool last);

  // A pass of this job is about to start on the device, warm or cold: what other jobs left goes.
  void EndOthers(const std::string& device, int64_t job_id);

 private:
  struct Entry {
    std::string device;
    int64_t job_id = 0;
    std::string key;                  // what a container must have in common with its passes
    std::filesystem::path directory;  // its own, beneath the job's
    std::unique_ptr<sandbox::WarmContainer> container;
    bool busy = false;
    SteadyTime idle_since;
  };

  absl::StatusOr<std::unique_ptr<Entry>> Make(const WarmRequest& request, const sandbox::RunSpec& spec,
                                              std::string key);
  // Takes out of the list what is to end; ended by the caller, without the lock.
  template <typename Which>
  std::list<std::unique_ptr<Entry>> Take(const Which& which) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void End(std::list<std::unique_ptr<Entry>> entries);
  void Tidy();

  sandbox::Sandbox& sandbox_;
  const WarmTimes times_;
  absl::Mutex mutex_;
  std::list<std::unique_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t made_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  Wakeup changed_;
  std::thread tidy_;
};

}  // namespace sextant::agent
