// The threads that run passes: one for each device, so that a device never measures two things at
// once, and `cpu_slots` for CPU tasks beside them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sextant::agent {

// A queue worked off by its own threads. The threads live as long as the lane: a sandbox may tie
// the life of a program to the thread that started it.
class Lane {
 public:
  explicit Lane(uint32_t threads);
  ~Lane();  // works off what is queued

  void Post(std::function<void()> work);

 private:
  void Loop();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

class Lanes {
 public:
  Lanes(const std::vector<std::string>& devices, uint32_t cpu_slots);

  // The lane of a device, or of the CPU slots when `device` is empty; null: there is none.
  Lane* For(const std::string& device);

 private:
  std::map<std::string, std::unique_ptr<Lane>> lanes_;
};

}  // namespace sextant::agent
