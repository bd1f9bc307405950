#include "workers/agent/lanes.h"

#include <utility>

namespace sextant::agent {

Lane::Lane(uint32_t threads) {
  for (uint32_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

Lane::~Lane() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void Lane::Post(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(work));
}

void Lane::Loop() {
  for (;;) {
    std::function<void()> work;
    {
      auto something = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return closed_ || !queue_.empty();
      };
      absl::MutexLock lock(&mutex_, absl::Condition(&something));
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

Lanes::Lanes(const std::vector<std::string>& devices, uint32_t cpu_slots) {
  for (const std::string& device : devices) lanes_[device] = std::make_unique<Lane>(1);
  if (cpu_slots > 0) lanes_[""] = std::make_unique<Lane>(cpu_slots);
}

Lane* Lanes::For(const std::string& device) {
  auto it = lanes_.find(device);
  return it == lanes_.end() ? nullptr : it->second.get();
}

}  // namespace sextant::agent
