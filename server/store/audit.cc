#include "server/store/audit.h"

#include "proto/status/status.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {
constexpr uint32_t kDefaultPage = 100;
constexpr int kRemoveAtOnce = 10'000;
}  // namespace

void InsertAudit(pqxx::transaction_base& tx, const std::vector<v1::AuditEntry>& entries) {
  if (entries.empty()) return;
  ArrayLiteral times, tenants, tokens, methods, subjects, outcomes, peers;
  for (const auto& entry : entries) {
    times.Add(static_cast<int64_t>(entry.at_unix_ns() / 1000));
    tenants.AddText(entry.tenant());
    tokens.AddText(entry.token_id());
    methods.AddText(entry.method());
    subjects.AddText(entry.subject());
    outcomes.AddText(entry.outcome());
    peers.AddText(entry.peer());
  }
  ExecPrepared(tx,
               "INSERT INTO audit (at, tenant, token_id, method, subject, outcome, peer) "
               "SELECT to_timestamp(0) + us * interval '1 microsecond', tenant, token_id, method, subject, "
               "  outcome, peer FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], "
               "  $5::text[], $6::text[], $7::text[]) "
               "  AS e(us, tenant, token_id, method, subject, outcome, peer)",
               times.Finish(), tenants.Finish(), tokens.Finish(), methods.Finish(), subjects.Finish(),
               outcomes.Finish(), peers.Finish());
}

absl::Status AuditStore::Write(const std::vector<v1::AuditEntry>& entries) {
  return database_->Transact("audit", [&](pqxx::transaction_base& tx) {
    InsertAudit(tx, entries);
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::ListAuditResponse> AuditStore::List(const v1::ListAuditRequest& request) {
  const int64_t page = request.page_size() == 0 ? kDefaultPage : request.page_size();
  v1::ListAuditResponse response;
  RETURN_IF_ERROR(database_->Read("audit_list", [&](pqxx::transaction_base& tx) {
    response.Clear();
    const auto rows = tx.exec_params(
        "WITH page AS (SELECT * FROM audit WHERE ($1 = '' OR tenant = $1) AND ($2::bigint = 0 OR "
        "    at < to_timestamp(0) + $2::bigint * interval '1 microsecond') "
        "  ORDER BY at DESC FETCH FIRST ($3::bigint) ROWS WITH TIES) "
        "SELECT (extract(epoch FROM at) * 1000000)::bigint, tenant, token_id, method, subject, outcome, "
        "  peer, EXISTS (SELECT 1 FROM audit a WHERE ($1 = '' OR a.tenant = $1) "
        "                AND a.at < (SELECT min(at) FROM page)) "
        "FROM page ORDER BY at DESC",
        request.tenant(), static_cast<int64_t>(request.before_unix_ns() / 1000), page);
    for (const auto& row : rows) {
      auto* entry = response.add_entries();
      entry->set_at_unix_ns(row[0].as<uint64_t>() * 1000);
      entry->set_tenant(row[1].c_str());
      entry->set_token_id(row[2].c_str());
      entry->set_method(row[3].c_str());
      entry->set_subject(row[4].c_str());
      entry->set_outcome(row[5].c_str());
      entry->set_peer(row[6].c_str());
      response.set_more(row[7].as<bool>());
    }
    return absl::OkStatus();
  }));
  return response;
}

absl::StatusOr<int64_t> AuditStore::RemoveOlder(double days) {
  int64_t removed = 0;
  for (;;) {
    int64_t gone = 0;
    RETURN_IF_ERROR(database_->Transact("audit_remove", [&](pqxx::transaction_base& tx) {
      gone = tx.exec_params(
                   "DELETE FROM audit WHERE ctid IN (SELECT ctid FROM audit "
                   "  WHERE at < now() - make_interval(secs => $1 * 86400) LIMIT $2)",
                   days, kRemoveAtOnce)
                 .affected_rows();
      return absl::OkStatus();
    }));
    removed += gone;
    if (gone < kRemoveAtOnce) return removed;
  }
}

}  // namespace sextant::store
