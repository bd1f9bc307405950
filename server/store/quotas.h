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
  // There is room for `passes` and for what others may be adding meanwhile.
  bool IsAmple(uint64_t passes) const { return Takes(kAtOnce * passes); }

  static constexpr uint64_t kAtOnce = 100;   // calls under way, each adding as many
};
// `standard`: of a tenant without a quota of its own; `passes`: about how many will be added. Unless the room
// is ample it is counted under a lock of the tenant's queue, which the transaction then holds: of two that
// count at once both would find room. Take it before rows that others of the tenant may wait for.
QueueRoom FindQueueRoom(pqxx::transaction_base& tx, const std::string& tenant, uint64_t standard, uint64_t passes);
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
