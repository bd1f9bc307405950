// How many calls a tenant makes in a second: a bucket that holds one second's worth.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace sextant::access {

// Thread-safe.
class Rates {
 public:
  // Takes one call's worth; false: there is none left. `calls_per_s` 0: no bound.
  bool Take(const std::string& tenant, double calls_per_s, absl::Time now);

 private:
  struct Bucket {
    double calls = 0;
    absl::Time filled = absl::InfinitePast();
  };
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::access
