// What gets old goes: traces by day, finished jobs one by one, then the blobs nothing refers to.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/audit.h"
#include "server/store/blobs.h"
#include "server/store/database.h"
#include "server/store/trace_chunks.h"

namespace sextant::store {

struct RetentionPolicy {
  double trace_days = 30;  // ServiceLimits.trace_retention_days; 0: for ever
  double job_days = 90;    // after a job ended; 0: for ever
  double audit_days = 365; // ServiceLimits.audit_days; 0: for ever
  BlobGarbagePolicy blobs;
  int max_jobs = 1000;     // per call, each in a transaction of its own
};
struct RetentionReport {
  int trace_days = 0;      // dropped
  int jobs = 0;
  int64_t passes = 0;
  int64_t audit_entries = 0;
  BlobGarbage blobs;
  bool more = false;       // max_jobs was reached: call again soon
};

// Thread-safe. Called by every coordinator now and then (hourly); several at once share the work.
class Retention {
 public:
  Retention(Database* database, TraceStore* traces, BlobStore* blobs, AuditStore* audit);

  // A job goes with its tasks, passes and events when it ended long enough ago and no pass of a
  // remaining job was answered with one of its passes. Traces older than their time go without
  // asking whose they are: the job remains, its timeline says that the trace is gone.
  absl::StatusOr<RetentionReport> Run(const RetentionPolicy& policy);

 private:
  absl::StatusOr<bool> RemoveOneJob(double job_days, int64_t* passes);

  Database* const database_;
  TraceStore* const traces_;
  BlobStore* const blobs_;
  AuditStore* const audit_;
};

}  // namespace sextant::store
