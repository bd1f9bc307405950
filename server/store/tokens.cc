#include "server/store/tokens.h"

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/store/audit.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

constexpr int kMaxListed = 10'000;

constexpr char kColumns[] =
    "t.id, t.tenant, t.name, array_to_string(t.scopes, ','), "
    "coalesce((extract(epoch FROM t.created_at) * 1000000)::bigint, 0), "
    "coalesce((extract(epoch FROM t.expires_at) * 1000000)::bigint, 0), "
    "coalesce((extract(epoch FROM t.revoked_at) * 1000000)::bigint, 0), "
    "coalesce((extract(epoch FROM t.last_used_at) * 1000000)::bigint, 0)";
constexpr int kColumnCount = 8;

v1::Token ReadToken(const pqxx::row& row) {
  v1::Token token;
  token.set_id(row[0].c_str());
  token.set_tenant(row[1].c_str());
  token.set_name(row[2].c_str());
  for (const char c : std::string_view(row[3].c_str()))
    if (c != ',') token.add_scopes(static_cast<v1::TokenScope>(c - '0'));
  token.set_created_unix_ns(row[4].as<uint64_t>() * 1000);
  token.set_expires_unix_ns(row[5].as<uint64_t>() * 1000);
  token.set_revoked_unix_ns(row[6].as<uint64_t>() * 1000);
  token.set_last_used_unix_ns(row[7].as<uint64_t>() * 1000);
  return token;
}

}  // namespace

absl::Status TokenStore::Create(const StoredToken& stored, const v1::AuditEntry& audit) {
  const v1::Token& token = stored.token;
  return database_->Transact("token_create", [&](pqxx::transaction_base& tx) {
    tx.exec_params(
        "INSERT INTO tokens (id, secret_sha256, tenant, name, scopes, created_at, expires_at) VALUES "
        "($1, $2, $3, $4, $5::smallint[], to_timestamp(0) + $6::bigint * interval '1 microsecond', "
        " CASE WHEN $7::bigint > 0 THEN to_timestamp(0) + $7::bigint * interval '1 microsecond' END)",
        token.id(), Bytes(stored.secret_sha256), token.tenant(), token.name(), Int64Array(token.scopes()),
        static_cast<int64_t>(token.created_unix_ns() / 1000),
        static_cast<int64_t>(token.expires_unix_ns() / 1000));
    InsertAudit(tx, {audit});
    return absl::OkStatus();
  });
}

absl::StatusOr<std::optional<StoredToken>> TokenStore::Find(const std::string& id) {
  static const auto& sql = *new std::string(absl::StrCat(
      "SELECT ", kColumns, ", t.secret_sha256, coalesce(q.queued_passes, 0), "
      "coalesce(q.running_devices, 0), coalesce(q.stored_bytes, 0), coalesce(q.calls_per_s, 0) "
      "FROM tokens t LEFT JOIN tenant_quotas q ON q.tenant = t.tenant WHERE t.id = $1"));
  std::optional<StoredToken> found;
  RETURN_IF_ERROR(database_->Read("token", [&](pqxx::transaction_base& tx) {
    found.reset();
    const auto rows = ExecPrepared(tx, sql.c_str(), id);
    if (rows.empty()) return absl::OkStatus();
    const auto row = rows[0];
    found.emplace();
    found->token = ReadToken(row);
    found->secret_sha256 = FieldBytes(row[kColumnCount]);
    found->quota.set_tenant(found->token.tenant());
    found->quota.set_queued_passes(row[kColumnCount + 1].as<uint64_t>());
    found->quota.set_running_devices(row[kColumnCount + 2].as<uint32_t>());
    found->quota.set_stored_bytes(row[kColumnCount + 3].as<uint64_t>());
    found->quota.set_calls_per_s(row[kColumnCount + 4].as<double>());
    return absl::OkStatus();
  }));
  return found;
}

absl::StatusOr<std::vector<v1::Token>> TokenStore::List(const std::string& tenant) {
  std::vector<v1::Token> tokens;
  RETURN_IF_ERROR(database_->Read("tokens", [&](pqxx::transaction_base& tx) {
    tokens.clear();
    for (const auto& row : tx.exec_params(
             absl::StrCat("SELECT ", kColumns, " FROM tokens t WHERE $1 = '' OR t.tenant = $1 "
                          "ORDER BY t.created_at DESC, t.id LIMIT $2"),
             tenant, kMaxListed))
      tokens.push_back(ReadToken(row));
    return absl::OkStatus();
  }));
  return tokens;
}

absl::StatusOr<v1::Token> TokenStore::Revoke(const std::string& id, const v1::AuditEntry& audit) {
  v1::Token token;
  RETURN_IF_ERROR(database_->Transact("token_revoke", [&](pqxx::transaction_base& tx) {
    const auto rows = tx.exec_params(
        absl::StrCat("UPDATE tokens t SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING ",
                     kColumns),
        id);
    if (rows.empty())
      return absl::NotFoundError(
          absl::StrCat("id: there is no token ", id, "; `sextant token list` shows those there are"));
    token = ReadToken(rows[0]);
    InsertAudit(tx, {audit});
    return absl::OkStatus();
  }));
  return token;
}

absl::Status TokenStore::Used(const std::vector<std::string>& ids) {
  return database_->Transact("token_used", [&](pqxx::transaction_base& tx) {
    tx.exec_params(
        "UPDATE tokens SET last_used_at = date_trunc('minute', now()) WHERE id IN "
        "(SELECT id FROM tokens WHERE id = ANY($1::text[]) "
        " AND last_used_at IS DISTINCT FROM date_trunc('minute', now()) ORDER BY id FOR UPDATE)",
        TextArray(ids));
    return absl::OkStatus();
  });
}

}  // namespace sextant::store
