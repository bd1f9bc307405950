// What a tenant may use, and uses.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sextant/v1/access.pb.h"
#include "sextant/v1/types.pb.h"
#include "server/store/database.h"

namespace sextant::store {

// `quota` with the service's bounds where it says 0.
v1::TenantQuota InForce(v1::TenantQuota quota, const v1::ServiceLimits& limits);

// How many passes a tenant's queue takes yet.
struct QueueRoom {
  uint64_t most = 0;     // 0: no bound
  uint64_t queued = 0;   // counted no further than `most`

  bool Takes(uint64_t passes) const { return most == 0 || queued + passes <= most; }
};
// `standard`: of a tenant without a quota of its own.
QueueRoom FindQueueRoom(pqxx::transaction_base& tx, const std::string& tenant, uint64_t standard);
// RESOURCE_EXHAUSTED names the quota.
absl::Status CheckQueued(const QueueRoom& room, const std::string& tenant, uint64_t passes);
std::string QueueFull(const QueueRoom& room, const std::string& tenant, uint64_t passes);

// Thread-safe.
class QuotaStore {
 public:
  QuotaStore(Database* database, const v1::ServiceLimits& limits)
      : database_(database), limits_(limits) {}

  // The quota in force of the tenant, and what it uses now.
  absl::StatusOr<v1::QuotaUse> Use(const std::string& tenant);
  // Written together with its entry in the audit trail.
  absl::Status Set(const v1::TenantQuota& quota, const v1::AuditEntry& audit);

 private:
  Database* const database_;
  const v1::ServiceLimits limits_;
};

}  // namespace sextant::store
