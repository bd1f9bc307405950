#include "server/store/retention.h"

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/store/pq.h"

namespace sextant::store {

Retention::Retention(Database* database, TraceStore* traces, BlobStore* blobs, AuditStore* audit)
    : database_(database), traces_(traces), blobs_(blobs), audit_(audit) {}

absl::StatusOr<bool> Retention::RemoveOneJob(double job_days, int64_t* passes) {
  bool removed = false;
  int64_t gone = 0;
  RETURN_IF_ERROR(database_->Transact("retention", [&](pqxx::transaction_base& tx) {
    const pqxx::result job = tx.exec_params(
        "SELECT job_id FROM jobs j WHERE finished_at < now() - make_interval(secs => $1 * 86400) "
        "AND NOT EXISTS (SELECT 1 FROM passes mine JOIN passes theirs "
        "    ON theirs.source_pass_id = mine.pass_id AND theirs.job_id <> mine.job_id "
        "  WHERE mine.job_id = j.job_id) "
        "ORDER BY finished_at LIMIT 1 FOR UPDATE SKIP LOCKED",
        job_days);
    removed = !job.empty();
    if (!removed) return absl::OkStatus();
    const int64_t job_id = job[0][0].as<int64_t>();
    // What refers to passes and tasks without a foreign key, then what cascades.
    tx.exec_params(
        "WITH s AS (DELETE FROM samples USING passes p "
        "  WHERE p.job_id = $1 AND samples.pass_id = p.pass_id RETURNING samples.cache_key) "
        "DELETE FROM cache_keys k WHERE k.cache_key IN (SELECT cache_key FROM s) "
        "AND NOT EXISTS (SELECT 1 FROM samples o JOIN passes p ON p.pass_id = o.pass_id "
        "  WHERE o.cache_key = k.cache_key AND p.job_id <> $1)",
        job_id);
    tx.exec_params(
        "DELETE FROM task_rollups r USING tasks t WHERE t.job_id = $1 AND r.task_id = t.task_id",
        job_id);
    tx.exec_params(
        "DELETE FROM task_edges e USING tasks t WHERE t.job_id = $1 AND e.to_task = t.task_id",
        job_id);
    gone = tx.exec_params("DELETE FROM passes WHERE job_id = $1", job_id).affected_rows();
    tx.exec_params("DELETE FROM tasks WHERE job_id = $1", job_id);
    tx.exec_params("DELETE FROM events WHERE job_id = $1", job_id);
    tx.exec_params("DELETE FROM jobs WHERE job_id = $1", job_id);
    return absl::OkStatus();
  }));
  *passes += gone;
  return removed;
}

absl::StatusOr<RetentionReport> Retention::Run(const RetentionPolicy& policy) {
  RetentionReport report;
  if (policy.trace_days > 0) {
    std::string day;
    RETURN_IF_ERROR(database_->Read("retention_day", [&](pqxx::transaction_base& tx) {
      day = tx.exec_params("SELECT ((now() AT TIME ZONE 'UTC') - make_interval(secs => $1 * 86400))"
                           "::date::text",
                           policy.trace_days)
                .at(0).at(0).as<std::string>();
      return absl::OkStatus();
    }));
    absl::StatusOr<int> dropped = traces_->DropDaysBefore(day);
    // A day's table that is being read is dropped the next time.
    if (dropped.ok()) {
      report.trace_days = *dropped;
    } else if (dropped.status().code() != absl::StatusCode::kUnavailable) {
      return WithContext(dropped.status(), "dropping traces before ", day);
    }
  }
  while (policy.job_days > 0 && !report.more) {
    ASSIGN_OR_RETURN(const bool removed, RemoveOneJob(policy.job_days, &report.passes));
    if (!removed) break;
    ++report.jobs;
    report.more = report.jobs >= policy.max_jobs;
  }
  if (policy.audit_days > 0) {
    ASSIGN_OR_RETURN(report.audit_entries, audit_->RemoveOlder(policy.audit_days), "removing old audit entries");
  }
  ASSIGN_OR_RETURN(report.blobs, blobs_->CollectGarbage(policy.blobs), "removing unused blobs");
  return report;
}

}  // namespace sextant::store
