#include "server/rpc/executor.h"

#include <utility>

namespace sextant::rpc {

Executor::Executor(int threads, size_t max_queued) : max_queued_(max_queued) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

Executor::~Executor() { Stop(); }

bool Executor::Submit(Work work) {
  absl::MutexLock lock(&mutex_);
  if (stop_ || queue_.size() >= max_queued_) return false;
  queue_.push_back(std::move(work));
  return true;
}

void Executor::Post(Work work) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stop_) {
      queue_.push_back(std::move(work));
      return;
    }
  }
  work();
}

void Executor::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

void Executor::Loop() {
  for (;;) {
    Work work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](Executor* self) ABSL_NO_THREAD_SAFETY_ANALYSIS {
            return self->stop_ || !self->queue_.empty();
          },
          this));
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace sextant::rpc
