// The audit trail: who called what, and how it ended.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sextant/v1/access.pb.h"
#include "server/store/database.h"

namespace sextant::store {

// Adds entries inside somebody's transaction, so that a change and its entry are one.
void InsertAudit(pqxx::transaction_base& tx, const std::vector<v1::AuditEntry>& entries);

// Thread-safe.
class AuditStore {
 public:
  explicit AuditStore(Database* database) : database_(database) {}

  absl::Status Write(const std::vector<v1::AuditEntry>& entries);

  // Newest first. Entries of one moment stay on one page, which may hold a few more for it.
  absl::StatusOr<v1::ListAuditResponse> List(const v1::ListAuditRequest& request);

  // Removes what is older. Returns how many.
  absl::StatusOr<int64_t> RemoveOlder(double days);

 private:
  Database* const database_;
};

}  // namespace sextant::store
