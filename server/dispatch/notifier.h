// Wakes the other coordinators of the database, and is woken by them: NOTIFY outside of any other
// transaction, at most one in a few milliseconds; LISTEN again after every lost connection.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/store/signals.h"

namespace sextant::dispatch {

class Notifier {
 public:
  explicit Notifier(store::Signals* signals) : signals_(signals) {}
  ~Notifier();

  // `woken` is called from the listening thread: another coordinator changed something, or the
  // connection was lost and anything may have changed.
  void Start(std::function<void()> woken);
  void Stop();

  // Another coordinator should look. Cheap; coalesced.
  void Tell();

 private:
  void TellLoop();

  store::Signals* const signals_;
  std::thread tell_thread_, listen_thread_;
  absl::Mutex mutex_;
  bool pending_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sextant::dispatch
