// The coordinator's heart-beat: looks at rows and takes the next step of each. Knows nothing of
// gRPC. It is woken by whoever changed rows, by other coordinators through NOTIFY, and once a second
// as a safety net. Any number of coordinators may run on one database.
#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/dispatch/notifier.h"
#include "server/dispatch/watch_hub.h"
#include "server/dispatch/worker_hub.h"
#include "server/store/jobs.h"
#include "server/store/queue.h"
#include "server/store/steps.h"

namespace sextant::dispatch {

class Engine {
 public:
  struct Rooms {
    store::JobStore* jobs;
    store::QueueStore* queue;
    store::StepStore* steps;
    WorkerHub* workers;
    WatchHub* watches;
    Notifier* notifier;    // may be null: one coordinator alone
  };
  struct Options {
    absl::Duration poll = absl::Seconds(1);
    // Handing out comes first, at once. However often it is woken, it lets so much time pass
    // between two looks at the same rows.
    absl::Duration between_hand_outs = absl::Milliseconds(1);
    // The rest waits a little, for the start of what was handed out and for more of the same, and
    // then takes turns.
    absl::Duration before_step = absl::Milliseconds(2);
    absl::Duration between_steps = absl::Milliseconds(8);
    absl::Duration before_pump = absl::Milliseconds(2);
  };
  Engine(Rooms rooms, Options options);
  ~Engine();

  // Starts the threads: one hands out work, one takes all other steps, one delivers events to
  // watchers. Stop lets what is under way finish.
  void Start();
  void Stop();

  // Something changed here: step soon, and let other coordinators know. Any thread; cheap.
  void Wake();

 private:
  void HandOutLoop();
  void StepLoop();
  void PumpLoop();
  void Step(bool slow);
  // Waits until `*flag` is set, at most options_.poll, and for `grace` more; then clears it. False when
  // stopping.
  bool WaitFor(bool* flag, absl::Duration grace);
  // Lets time pass; false when stopping.
  bool Pause(absl::Duration duration);
  void Nudge();

  const Rooms rooms_;
  const Options options_;
  absl::Mutex mutex_;
  bool hand_out_ ABSL_GUARDED_BY(mutex_) = true;
  bool step_ ABSL_GUARDED_BY(mutex_) = true;
  bool pump_ ABSL_GUARDED_BY(mutex_) = true;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread hand_out_thread_;
  std::thread step_thread_;
  std::thread pump_thread_;
};

}  // namespace sextant::dispatch
