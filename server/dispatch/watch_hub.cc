#include "server/dispatch/watch_hub.h"

#include <algorithm>
#include <vector>

#include "proto/status/status.h"
#include "server/job/states.h"

namespace sextant::dispatch {
namespace {
constexpr int kEventsPerRead = 1000;  // of one job in one read; the rest follows with the next
}

int64_t WatchHub::Watch(int64_t job_id, int64_t after_seq, Deliver deliver) {
  absl::MutexLock lock(&mutex_);
  const int64_t id = next_id_++;
  watchers_[id] = {job_id, after_seq, std::make_shared<const Deliver>(std::move(deliver))};
  return id;
}

void WatchHub::Unwatch(int64_t watch_id) {
  // Waits for a delivery under way, so that nothing is called after this returns.
  absl::MutexLock delivering(&delivering_);
  absl::MutexLock lock(&mutex_);
  watchers_.erase(watch_id);
}

absl::Status WatchHub::Pump() {
  bool more = true;
  while (more) {
    more = false;
    std::map<int64_t, int64_t> cursors;  // the earliest of each job
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& [id, watcher] : watchers_) {
        const auto [it, first] = cursors.try_emplace(watcher.job_id, watcher.seq);
        if (!first) it->second = std::min(it->second, watcher.seq);
      }
    }
    if (cursors.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const auto events, reads_->EventsAfter(cursors, kEventsPerRead));
    std::map<int64_t, std::vector<const v1::Event*>> by_job;
    for (const auto& event : events) by_job[event.job_id()].push_back(&event);
    for (const auto& [job_id, list] : by_job) more |= list.size() == kEventsPerRead;
    DeliverAll(cursors, by_job);
  }
  return absl::OkStatus();
}

void WatchHub::DeliverAll(const std::map<int64_t, int64_t>& cursors,
                          const std::map<int64_t, std::vector<const v1::Event*>>& by_job) {
  absl::MutexLock delivering(&delivering_);
  struct Due {
    std::shared_ptr<const Deliver> deliver;
    const v1::Event* event;
  };
  std::vector<Due> due;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [id, watcher] : watchers_) {
      const auto cursor = cursors.find(watcher.job_id);
      // Who began to watch after the read, from earlier on, has the next one.
      if (cursor == cursors.end() || watcher.seq < cursor->second) continue;
      const auto it = by_job.find(watcher.job_id);
      watcher.caught_up |= it == by_job.end() || it->second.size() < kEventsPerRead;
      if (it == by_job.end()) continue;
      for (const auto* event : it->second) {
        if (event->seq() <= watcher.seq) continue;
        watcher.seq = event->seq();
        due.push_back({watcher.deliver, event});
      }
    }
  }
  for (const auto& [deliver, event] : due)
    (*deliver)(*event, event->task_id() == 0 && event->pass_id() == 0 && job::IsFinal(event->state()));
}

void WatchHub::Passing(const v1::Event& event) {
  absl::MutexLock delivering(&delivering_);
  std::vector<std::shared_ptr<const Deliver>> due;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, watcher] : watchers_)
      if (watcher.job_id == event.job_id() && watcher.caught_up) due.push_back(watcher.deliver);
  }
  for (const auto& deliver : due) (*deliver)(event, false);
}

int WatchHub::watchers() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(watchers_.size());
}

}  // namespace sextant::dispatch
