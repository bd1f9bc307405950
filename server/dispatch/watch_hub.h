// Delivers a job's events to those who watch it: past ones from the database, new ones as they
// happen, in order and without gaps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "sextant/v1/types.pb.h"
#include "server/store/job_reads.h"

namespace sextant::dispatch {

class WatchHub {
 public:
  // Called with each event in order, from the engine's thread; must not block and must not call
  // back into the hub. `last`: the job has ended, no more events will come.
  using Deliver = std::function<void(const v1::Event& event, bool last)>;

  explicit WatchHub(store::JobReads* reads) : reads_(reads) {}

  // A job that ended is watched too: its events are delivered again. Returns the watch's id. Events with seq > after_seq follow with the next Pump.
  int64_t Watch(int64_t job_id, int64_t after_seq, Deliver deliver);
  // Afterwards the watch's Deliver is not called any more. Not from inside Deliver.
  void Unwatch(int64_t watch_id);

  // Reads what is new for all watched jobs and delivers it. Engine thread.
  absl::Status Pump();

  // Delivers a passing event (percent, seq 0), not stored, to watchers of its job that have the stored ones
  // so far.
  void Passing(const v1::Event& event);

  int watchers() const;

 private:
  struct Watcher {
    int64_t job_id;
    int64_t seq;
    std::shared_ptr<const Deliver> deliver;   // shared with a delivery under way
    bool caught_up = false;                   // has what came before; passing events follow that
  };
  // `by_job`: the events after `cursors`.
  void DeliverAll(const std::map<int64_t, int64_t>& cursors,
                  const std::map<int64_t, std::vector<const v1::Event*>>& by_job);

  store::JobReads* const reads_;
  absl::Mutex delivering_ ABSL_ACQUIRED_BEFORE(mutex_);   // held while Deliver is called
  mutable absl::Mutex mutex_;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, Watcher> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::dispatch
