// The schema, as numbered steps (migrations/NNN_name.sql, embedded when the room is built). A step
// that was released never changes: a change is a new step.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/store/database.h"

namespace sextant::store {

struct Migration {
  int version = 0;
  absl::string_view name;  // "initial"
  absl::string_view sql;
};

// All of them, 1, 2, 3, …
absl::Span<const Migration> Migrations();

// Applies what the database lacks, in one transaction, one caller at a time; nothing to do is cheap.
// Returns the version reached. FAILED_PRECONDITION, with what to do: the database is newer than
// this program, or a step that was applied to it reads differently here.
absl::StatusOr<int> Migrate(Database* database,
                            absl::Span<const Migration> migrations = Migrations());

}  // namespace sextant::store
