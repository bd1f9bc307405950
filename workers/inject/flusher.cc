#include "workers/inject/flusher.h"

#include <signal.h>
#include <time.h>

namespace sextant::inject {
namespace {

constexpr uint64_t kPatienceMs = 2000;

timespec After(clockid_t clock, uint64_t ms) {
  timespec at;
  clock_gettime(clock, &at);
  const uint64_t ns = static_cast<uint64_t>(at.tv_nsec) + ms % 1000 * 1'000'000;
  at.tv_sec += static_cast<time_t>(ms / 1000 + ns / 1'000'000'000);
  at.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  return at;
}

}  // namespace

void Flusher::Start(uint64_t interval_ms, void (*flush)()) {
  if (interval_ms == 0) return;
  interval_ms_ = interval_ms;
  flush_ = flush;
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&wake_, &monotonic);
  pthread_condattr_destroy(&monotonic);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  running_ = pthread_create(&thread_, nullptr, Run, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void* Flusher::Run(void* self) {
  auto& flusher = *static_cast<Flusher*>(self);
  pthread_setname_np(pthread_self(), "sextant-flush");
  pthread_mutex_lock(&flusher.lock_);
  while (!flusher.stop_) {
    const timespec until = After(CLOCK_MONOTONIC, flusher.interval_ms_);
    pthread_cond_timedwait(&flusher.wake_, &flusher.lock_, &until);
    if (flusher.stop_) break;
    pthread_mutex_unlock(&flusher.lock_);
    flusher.flush_();
    pthread_mutex_lock(&flusher.lock_);
  }
  pthread_mutex_unlock(&flusher.lock_);
  return nullptr;
}

void Flusher::Stop() {
  if (!running_) return;
  pthread_mutex_lock(&lock_);
  stop_ = true;
  pthread_cond_signal(&wake_);
  pthread_mutex_unlock(&lock_);
  const timespec until = After(CLOCK_REALTIME, kPatienceMs);
  pthread_timedjoin_np(thread_, nullptr, &until);
  running_ = false;
}

}  // namespace sextant::inject
