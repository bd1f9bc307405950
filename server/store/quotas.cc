#include "server/store/quotas.h"

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/store/audit.h"
#include "server/store/pq.h"

namespace sextant::store {

v1::TenantQuota InForce(v1::TenantQuota quota, const v1::ServiceLimits& limits) {
  if (quota.queued_passes() == 0) quota.set_queued_passes(limits.max_queued_passes_per_tenant());
  if (quota.running_devices() == 0) quota.set_running_devices(limits.max_running_devices_per_tenant());
  if (quota.stored_bytes() == 0) quota.set_stored_bytes(limits.blob_quota_bytes());
  if (quota.calls_per_s() == 0) quota.set_calls_per_s(limits.max_calls_per_s_per_tenant());
  return quota;
}

namespace {

QueueRoom Count(pqxx::transaction_base& tx, const std::string& tenant, uint64_t standard) {
  const auto rows = ExecPrepared(
      tx,
      "SELECT m.most, CASE WHEN m.most = 0 THEN 0 ELSE (SELECT count(*) FROM (SELECT 1 FROM queue "
      "    WHERE tenant = $1 AND state = 2 LIMIT m.most) q) END "
      "FROM (SELECT coalesce((SELECT nullif(queued_passes, 0) FROM tenant_quotas WHERE tenant = $1), "
      "  $2::bigint) AS most) m",
      tenant, static_cast<int64_t>(standard));
  return {rows[0][0].as<uint64_t>(), rows[0][1].as<uint64_t>()};
}

}  // namespace

QueueRoom FindQueueRoom(pqxx::transaction_base& tx, const std::string& tenant, uint64_t standard, uint64_t passes) {
  const QueueRoom room = Count(tx, tenant, standard);
  if (room.IsAmple(passes)) return room;
  // A statement of its own: the next one sees what was committed before the lock was had.
  ExecPrepared(tx, "SELECT pg_advisory_xact_lock(hashtext('sextant.queue.' || $1))", tenant);
  return Count(tx, tenant, standard);
}

std::string QueueFull(const QueueRoom& room, const std::string& tenant, uint64_t passes) {
  return absl::StrCat("queued_passes: tenant ", tenant, " has ", room.queued >= room.most ? "at least " : "",
                      room.queued, " queued passes, ", passes, " more are above its ", room.most,
                      " (max_queued_passes_per_tenant, or its quota)");
}

absl::Status CheckQueued(const QueueRoom& room, const std::string& tenant, uint64_t passes) {
  if (room.Takes(passes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      QueueFull(room, tenant, passes),
      "; wait until some have run, ask for fewer, or ask an administrator for more (`sextant tenant quota`)"));
}

absl::StatusOr<v1::QuotaUse> QuotaStore::Use(const std::string& tenant) {
  v1::QuotaUse use;
  RETURN_IF_ERROR(database_->Read("quota", [&](pqxx::transaction_base& tx) {
    v1::TenantQuota quota;
    quota.set_tenant(tenant);
    const auto own = tx.exec_params(
        "SELECT queued_passes, running_devices, stored_bytes, calls_per_s FROM tenant_quotas "
        "WHERE tenant = $1",
        tenant);
    if (!own.empty()) {
      quota.set_queued_passes(own[0][0].as<uint64_t>());
      quota.set_running_devices(own[0][1].as<uint32_t>());
      quota.set_stored_bytes(own[0][2].as<uint64_t>());
      quota.set_calls_per_s(own[0][3].as<double>());
    }
    *use.mutable_quota() = InForce(quota, limits_);
    const auto used = tx.exec_params(
        "SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3 AND device <> ''), "
        "  coalesce((SELECT bytes FROM tenant_usage WHERE tenant = $1), 0) FROM queue WHERE tenant = $1",
        tenant);
    use.set_queued_passes(used[0][0].as<uint64_t>());
    use.set_running_devices(used[0][1].as<uint32_t>());
    use.set_stored_bytes(used[0][2].as<uint64_t>());
    return absl::OkStatus();
  }));
  return use;
}

absl::Status QuotaStore::Set(const v1::TenantQuota& quota, const v1::AuditEntry& audit) {
  return database_->Transact("quota_set", [&](pqxx::transaction_base& tx) {
    tx.exec_params(
        "INSERT INTO tenant_quotas (tenant, queued_passes, running_devices, stored_bytes, calls_per_s) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant) DO UPDATE SET "
        "  queued_passes = EXCLUDED.queued_passes, running_devices = EXCLUDED.running_devices, "
        "  stored_bytes = EXCLUDED.stored_bytes, calls_per_s = EXCLUDED.calls_per_s",
        quota.tenant(), static_cast<int64_t>(quota.queued_passes()),
        static_cast<int64_t>(quota.running_devices()), static_cast<int64_t>(quota.stored_bytes()),
        quota.calls_per_s());
    InsertAudit(tx, {audit});
    return absl::OkStatus();
  });
}

}  // namespace sextant::store
