// Tokens as rows. What a secret is, and whether it fits, is the business of server/access.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sextant/v1/access.pb.h"
#include "server/store/database.h"

namespace sextant::store {

struct StoredToken {
  v1::Token token;
  std::string secret_sha256;   // 32 bytes
  v1::TenantQuota quota;       // of its tenant; 0 where it has none of its own
};

// Thread-safe. A change is written together with its entry in the audit trail.
class TokenStore {
 public:
  explicit TokenStore(Database* database) : database_(database) {}

  absl::Status Create(const StoredToken& token, const v1::AuditEntry& audit);
  absl::StatusOr<std::optional<StoredToken>> Find(const std::string& id);
  // Of a tenant, or of all when it is empty; the newest first.
  absl::StatusOr<std::vector<v1::Token>> List(const std::string& tenant);
  // Revoked already: nothing changes. NOT_FOUND names the id.
  absl::StatusOr<v1::Token> Revoke(const std::string& id, const v1::AuditEntry& audit);
  // Notes that they were used in this minute.
  absl::Status Used(const std::vector<std::string>& ids);

 private:
  Database* const database_;
};

}  // namespace sextant::store
