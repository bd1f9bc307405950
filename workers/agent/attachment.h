// The worker's place at the coordinator: one Attach stream, opened again for as long as the worker
// lives.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "workers/agent/coordinator.h"
#include "workers/agent/options.h"
#include "workers/agent/wakeup.h"

namespace sextant::agent {

// Two threads: one opens the stream and reads it, one writes to it. Thread-safe.
class Attachment {
 public:
  struct Calls {
    // The state to send now; `first` asks for `info`. From the writing thread.
    std::function<v1::WorkerState(bool first)> state;
    // From the reading thread; must not block.
    std::function<void(v1::DesiredState)> desired;
    // The first answer of a new stream came. From the reading thread.
    std::function<void()> attached;
  };

  Attachment(Coordinator& coordinator, const AgentTimes& times, Calls calls);
  ~Attachment();

  // The state has changed: send it. Calls made before it is sent become one message.
  void Poke();

 private:
  void ReadLoop();
  void WriteLoop();
  Coordinator& coordinator_;
  const AgentTimes times_;
  const Calls calls_;
  Wakeup write_wakeup_;
  Wakeup reconnect_wakeup_;

  absl::Mutex mutex_;
  // Shared: both threads hold it while they are inside a call; Cancel may come from a third.
  std::shared_ptr<AttachStream> stream_ ABSL_GUARDED_BY(mutex_);
  bool fresh_ ABSL_GUARDED_BY(mutex_) = false;    // nothing was written to stream_ yet
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // the writer is inside a call on stream_
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::chrono::nanoseconds lease_ ABSL_GUARDED_BY(mutex_){0};
  SteadyTime last_received_ ABSL_GUARDED_BY(mutex_);
  std::thread reader_;
  std::thread writer_;
};

}  // namespace sextant::agent
