// A thread that writes at intervals what is held in memory, so that a process that is killed has
// lost little.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace sextant::inject {

// The thread takes no signals: those are the program's.
class Flusher {
 public:
  // `interval_ms` 0: no thread.
  void Start(uint64_t interval_ms, void (*flush)());

  // Ends the thread. Waits a moment for a flush under way, but not for ever: it may be waiting for
  // a GPU that hangs.
  void Stop();

 private:
  static void* Run(void* self);

  void (*flush_)() = nullptr;
  uint64_t interval_ms_ = 0;
  pthread_t thread_ = {};
  bool running_ = false;
  pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake_ = PTHREAD_COND_INITIALIZER;
  bool stop_ = false;  // guarded by lock_
};

}  // namespace sextant::inject
