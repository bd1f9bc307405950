#include "server/store/tenants.h"

#include "proto/status/status.h"
#include "server/store/pq.h"

namespace sextant::store {

absl::StatusOr<std::string> TenantStore::OfJob(int64_t job_id) {
  return Find("SELECT tenant FROM jobs WHERE job_id = $1", job_id, &jobs_);
}

absl::StatusOr<std::string> TenantStore::OfPass(int64_t pass_id) {
  return Find("SELECT j.tenant FROM passes p JOIN jobs j USING (job_id) WHERE p.pass_id = $1", pass_id, &passes_);
}

absl::StatusOr<std::string> TenantStore::Find(const char* sql, int64_t id, Known* known) {
  {
    absl::MutexLock lock(&mutex_);
    if (const auto found = known->find(id); found != known->end()) return found->second;
  }
  std::string tenant;
  RETURN_IF_ERROR(database_->Read("tenant", [&](pqxx::transaction_base& tx) {
    const auto rows = ExecPrepared(tx, sql, id);
    tenant = rows.empty() ? "" : rows[0][0].c_str();
    return absl::OkStatus();
  }));
  if (tenant.empty()) return tenant;   // it may be made yet
  absl::MutexLock lock(&mutex_);
  if (known->size() >= max_known_) known->clear();
  (*known)[id] = tenant;
  return tenant;
}

}  // namespace sextant::store
