#include "server/store/migrator.h"

#include <openssl/sha.h>

#include <map>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

constexpr int64_t kMigrationLock = 0x5e47a47001;

struct Applied {
  std::string name;
  std::string checksum;
};

std::string Checksum(absl::string_view sql) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(sql.data()), sql.size(), digest);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), sizeof digest});
}

std::map<int, Applied> ReadApplied(pqxx::transaction_base& tx) {
  std::map<int, Applied> applied;
  if (tx.exec("SELECT to_regclass('schema_migrations')").at(0).at(0).is_null()) return applied;
  for (const auto& row : tx.exec("SELECT version, name, checksum FROM schema_migrations")) {
    applied[row[0].as<int>()] = {row[1].as<std::string>(), row[2].as<std::string>()};
  }
  return applied;
}

// The state of the database against this program's steps.
absl::Status Check(const std::map<int, Applied>& applied, absl::Span<const Migration> migrations) {
  const int known = static_cast<int>(migrations.size());
  if (!applied.empty() && applied.rbegin()->first > known) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the database has schema version ", applied.rbegin()->first, ", this program knows ", known,
        ": run the newer program that made it, or restore the backup taken before the upgrade"));
  }
  for (const auto& [version, row] : applied) {
    const Migration& migration = migrations[version - 1];
    if (row.checksum == Checksum(migration.sql)) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "schema step ", version, " was applied to this database as \"", row.name, "\" with checksum ",
        row.checksum.substr(0, 12), ", this program has \"", migration.name, "\" with ",
        Checksum(migration.sql).substr(0, 12),
        ": they come from different builds. Run the build that made the database, or move to a new "
        "database (dump the old one with pg_dump first)"));
  }
  return absl::OkStatus();
}

bool Complete(const std::map<int, Applied>& applied, absl::Span<const Migration> migrations) {
  return applied.size() == migrations.size();
}

}  // namespace

absl::StatusOr<int> Migrate(Database* database, absl::Span<const Migration> migrations) {
  const int target = static_cast<int>(migrations.size());
  for (int i = 0; i < target; ++i) {
    if (migrations[i].version != i + 1) {
      return absl::InternalError(absl::StrCat("migrations must be numbered 1, 2, 3, …: found ",
                                              migrations[i].version, " at place ", i + 1));
    }
  }
  bool complete = false;
  RETURN_IF_ERROR(database->Read("migrate", [&](pqxx::transaction_base& tx) {
    const std::map<int, Applied> applied = ReadApplied(tx);
    complete = Complete(applied, migrations);
    return Check(applied, migrations);
  }));
  if (complete) return target;
  RETURN_IF_ERROR(database->Transact("migrate", [&](pqxx::transaction_base& tx) {
    tx.exec(absl::StrCat("SELECT pg_advisory_xact_lock(", kMigrationLock, ")"));
    tx.exec("CREATE TABLE IF NOT EXISTS schema_migrations ("
            " version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())");
    const std::map<int, Applied> applied = ReadApplied(tx);
    RETURN_IF_ERROR(Check(applied, migrations));
    for (const Migration& migration : migrations) {
      if (applied.count(migration.version) != 0) continue;
      tx.exec(std::string(migration.sql));
      tx.exec_params("INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                     migration.version, std::string(migration.name), Checksum(migration.sql));
    }
    return absl::OkStatus();
  }));
  return target;
}

}  // namespace sextant::store
