#include "server/rpc/executor.h"

#include <algorithm>
#include <utility>

namespace sextant::rpc {

Executor::Executor(int threads, size_t max_queued)
    : max_queued_(max_queued), most_of_a_key_(std::max(1, threads - 1)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

Executor::~Executor() { Stop(); }

void Executor::Add(const std::string& key, Work work) {
  lines_[key].waiting.emplace_back(next_number_++, std::move(work));
  ++queued_;
}

bool Executor::Submit(Work work, const std::string& key) {
  absl::MutexLock lock(&mutex_);
  if (stop_ || queued_ >= max_queued_) return false;
  Add(key, std::move(work));
  return true;
}

void Executor::Post(Work work) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stop_) return Add("", std::move(work));
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

Executor::Lines::iterator Executor::Next() {
  auto next = lines_.end();
  for (auto at = lines_.begin(); at != lines_.end(); ++at) {
    const Line& line = at->second;
    if (line.waiting.empty()) continue;
    if (!at->first.empty() && line.running >= most_of_a_key_ && !stop_) continue;
    if (next == lines_.end() ||
        std::make_pair(line.running, line.waiting.front().first) <
            std::make_pair(next->second.running, next->second.waiting.front().first))
      next = at;
  }
  return next;
}

void Executor::Loop() {
  for (;;) {
    Work work;
    Lines::iterator line;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](Executor* self) ABSL_NO_THREAD_SAFETY_ANALYSIS {
            return self->stop_ || self->Next() != self->lines_.end();
          },
          this));
      line = Next();
      if (line == lines_.end()) return;
      work = std::move(line->second.waiting.front().second);
      line->second.waiting.pop_front();
      ++line->second.running;
      --queued_;
    }
    work();
    work = nullptr;
    absl::MutexLock lock(&mutex_);
    if (--line->second.running == 0 && line->second.waiting.empty()) lines_.erase(line);
  }
}

}  // namespace sextant::rpc
