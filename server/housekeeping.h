// What must happen now and then: the private PostgreSQL is started again when it died, and what got
// old is removed.
#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/store/cluster.h"
#include "server/store/retention.h"

namespace sextant {

// Two threads, since a removal may take minutes. `cluster` may be null. Borrows both.
class Housekeeping {
 public:
  Housekeeping(store::Cluster* cluster, store::Retention* retention, store::RetentionPolicy policy);
  ~Housekeeping();

 private:
  static constexpr absl::Duration kWatchEvery = absl::Seconds(1);
  static constexpr absl::Duration kRemoveEvery = absl::Hours(1);

  void WatchCluster();
  void RemoveOld();
  bool Wait(absl::Duration time);   // false: stopping

  store::Cluster* const cluster_;
  store::Retention* const retention_;
  const store::RetentionPolicy policy_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watch_;
  std::thread remove_;
};

}  // namespace sextant
