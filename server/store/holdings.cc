#include "server/store/holdings.h"

#include "absl/strings/str_cat.h"
#include "server/store/pq.h"

namespace sextant::store {

void Hold(pqxx::transaction_base& tx, const std::vector<NewHoldings>& holdings) {
  ArrayLiteral tenants, submitters, kinds, digests;
  bool any = false;
  const auto add = [&](const NewHoldings& of, int kind, const std::string& digest) {
    any = true;
    tenants.AddText(of.tenant);
    submitters.AddText(of.submitter);
    kinds.Add(kind);
    digests.AddBytes(digest);
  };
  for (const auto& one : holdings) {
    for (const auto& digest : one.blobs) add(one, 1, digest);
    for (const auto& digest : one.traces) add(one, 2, digest);
  }
  if (!any) return;
  // In one order, so that two that hold the same do not wait for each other: blobs, by digest, before
  // holdings. Once an hour is enough to know that something is in use. Blobs are touched, too, because what
  // is collected is decided by them. Asking for the count has them touched first.
  ExecPrepared(tx,
               "WITH used AS (UPDATE blobs SET used_at = now() WHERE digest IN (SELECT digest FROM blobs "
               "    WHERE digest IN (SELECT e.digest FROM unnest($3::smallint[], $4::bytea[]) AS e(kind, digest) "
               "      WHERE e.kind = 1) AND used_at < now() - interval '1 hour' "
               "    ORDER BY digest FOR UPDATE) RETURNING 1) "
               "INSERT INTO holdings AS h (tenant, kind, digest, size_bytes, submitter) "
               "SELECT DISTINCT ON (e.tenant, e.kind, e.digest) e.tenant, e.kind, e.digest, "
               "  coalesce(b.size_bytes, t.bytes), e.submitter "
               "FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bytea[]) "
               "  AS e(tenant, submitter, kind, digest) "
               "LEFT JOIN blobs b ON e.kind = 1 AND b.digest = e.digest "
               "LEFT JOIN traces t ON e.kind = 2 AND t.trace_digest = e.digest "
               "WHERE coalesce(b.size_bytes, t.bytes) IS NOT NULL AND (SELECT count(*) FROM used) >= 0 "
               "ORDER BY e.tenant, e.kind, e.digest "
               "ON CONFLICT (tenant, kind, digest) DO UPDATE SET used_at = now() "
               "WHERE h.used_at < now() - interval '1 hour'",
               tenants.Finish(), submitters.Finish(), kinds.Finish(), digests.Finish());
}

StoreRoom FindStoreRoom(pqxx::transaction_base& tx, const std::string& tenant, uint64_t standard_bytes) {
  const auto rows = ExecPrepared(
      tx,
      "SELECT coalesce((SELECT bytes FROM tenant_usage WHERE tenant = $1), 0), "
      "  coalesce((SELECT nullif(stored_bytes, 0) FROM tenant_quotas WHERE tenant = $1), $2::bigint)",
      tenant, static_cast<int64_t>(standard_bytes));
  return {rows[0][0].as<uint64_t>(), rows[0][1].as<uint64_t>()};
}

absl::Status CheckStored(const StoreRoom& room, const std::string& tenant, uint64_t more_bytes) {
  if (room.most == 0 || room.used + more_bytes <= room.most) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("stored_bytes: tenant ", tenant, " would hold ", room.used + more_bytes, " bytes of at most ", room.most,
                   " (blob_quota_bytes, or its quota); wait until what is not used is removed, or ask an "
                   "administrator for more (`sextant tenant quota`)"));
}

}  // namespace sextant::store
