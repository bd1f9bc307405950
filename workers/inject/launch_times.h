// Launches timed by events of CUDA, for instruments beside which CUPTI records none.
#pragma once

#include <cupti.h>
#include <pthread.h>

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "workers/inject/activity_format.h"
#include "workers/inject/launches.h"

namespace sextant::inject {

// Writes the kernel and device frames of activity_format.h into the instrument's file, so that its
// backend reads launches as if CUPTI had recorded them. A time lasts from where the launch's turn came
// in its stream to its end: a few µs longer than the kernel, and longer where the stream was idle, by
// what the launch itself took. Kernels of graphs are numbered and not timed. Thread-safe.
class LaunchTimes {
 public:
  explicit LaunchTimes(Session& session) : session_(session) {}

  // Around one call that launches, on one thread.
  void Begin(const LaunchCall& call, uint32_t correlation);
  void End(bool accepted);

  // Writes the times of what has ended. `last`: also what has not, without a time; the context ends.
  void Drain(CUcontext context, bool last);

 private:
  struct Timed {
    CUcontext context = nullptr;
    CUevent begin = nullptr, end = nullptr;  // null: not timed
    KernelRecord record = {};
  };
  // What a context's times are measured from.
  struct Base {
    CUevent event = nullptr;  // null: nothing can be timed
    uint64_t ns = 0;          // CLOCK_MONOTONIC
    uint32_t device = 0, context = 0;
    std::vector<CUevent> free;
  };

  Base& BaseOf(CUcontext context);
  void Describe(uint32_t device);
  CUevent Take(Base& base);
  // False: it has not ended.
  bool Write(Timed& timed, bool last);

  Session& session_;
  pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  // Guarded by lock_:
  std::unordered_map<CUcontext, Base> bases_;
  std::deque<Timed> waiting_;
  std::vector<bool> described_;  // by device

  // The call under way on this thread. Not an object: the first thread's end before the exit handlers.
  struct Launching {
    CUstream stream = nullptr;
    std::vector<Timed> kernels;
  };
  static thread_local Launching* launching_;
};

}  // namespace sextant::inject
