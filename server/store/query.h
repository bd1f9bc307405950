// SQL from strangers: one SELECT over the documented views (docs/query.md), bounded in rows, bytes and
// time, in a session of its own that can do nothing else.
//
// It logs in as the role sextant_reader. SET ROLE on one of our own connections would not do: the
// statement could set the role back (`set_config('role', …)` is a function any SELECT may call), and
// what it leaves in the session (settings, advisory locks) would meet the next who borrows it.
#pragma once

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/sextant.pb.h"
#include "server/store/reach.h"

namespace sextant::store {

struct QueryOptions {
  // Of the reader: Cluster::ReaderConninfo, or the site's. Empty: Query answers that it is off.
  std::string reader_conninfo;
  int connections = 4;   // at once; each query has a fresh one, closed with it
};

// Thread-safe.
class QueryRunner {
 public:
  QueryRunner(QueryOptions options, const v1::ServiceLimits& limits);

  // Absent or larger bounds than the service's are the service's. Truncated rows or bytes are no
  // error, see QueryResponse. INVALID_ARGUMENT "sql: line L, column C: …"; PERMISSION_DENIED names
  // the views that may be read; DEADLINE_EXCEEDED names query_max_s; RESOURCE_EXHAUSTED: memory,
  // temporary files, or too many queries at once.
  // The views show what is within reach. FAILED_PRECONDITION: less than all, where the database would let the
  // statement change that.
  absl::StatusOr<v1::QueryResponse> Run(const v1::QueryRequest& request, const Reach& reach);

  // The names of the documented views.
  static const std::vector<std::string>& Views();

 private:
  const QueryOptions options_;
  const v1::ServiceLimits limits_;
  absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sextant::store
