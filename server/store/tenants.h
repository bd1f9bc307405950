// Which tenant's a job or a pass is. That never changes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/store/database.h"

namespace sextant::store {

// Thread-safe. Remembers the last ones asked for.
class TenantStore {
 public:
  explicit TenantStore(Database* database, size_t max_known = 100'000)
      : database_(database), max_known_(max_known) {}

  // Empty: there is no such job, or pass.
  absl::StatusOr<std::string> OfJob(int64_t job_id);
  absl::StatusOr<std::string> OfPass(int64_t pass_id);

 private:
  using Known = absl::flat_hash_map<int64_t, std::string>;
  absl::StatusOr<std::string> Find(const char* sql, int64_t id, Known* known);

  Database* const database_;
  const size_t max_known_;
  absl::Mutex mutex_;
  Known jobs_ ABSL_GUARDED_BY(mutex_);
  Known passes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::store
