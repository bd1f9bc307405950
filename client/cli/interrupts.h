// Ctrl-C, as counted events instead of a signal handler. main() raises them from the thread that
// waits for SIGINT; a test raises them itself.
#pragma once

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sextant::cli {

class Interrupts {
 public:
  // Called by the waiting thread. Without a handler, and from the third time on, `otherwise` is called,
  // which ends the program.
  void Raise(const std::function<void()>& otherwise) {
    absl::MutexLock lock(&mutex_);
    ++count_;
    if (handler_ && count_ <= 2) {
      handler_(count_);
    } else {
      otherwise();
    }
  }
  int count() const {
    absl::MutexLock lock(&mutex_);
    return count_;
  }

  // While it lives, `handler` is called with 1, 2, … on the raising thread; it must be short and must
  // not use Interrupts.
  class Scope {
   public:
    Scope(Interrupts& interrupts, std::function<void(int)> handler) : interrupts_(interrupts) {
      absl::MutexLock lock(&interrupts_.mutex_);
      interrupts_.handler_ = std::move(handler);
      interrupts_.count_ = 0;
    }
    ~Scope() {
      absl::MutexLock lock(&interrupts_.mutex_);
      interrupts_.handler_ = nullptr;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Interrupts& interrupts_;
  };

 private:
  mutable absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void(int)> handler_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::cli
