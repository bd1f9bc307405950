// The tables that passes left (docs/tables.md), read back from their artifacts.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sextant/v1/table.pb.h"
#include "sextant/v1/types.pb.h"
#include "server/store/blobs.h"

namespace sextant::analysis {

// Thread-safe; borrows the store.
class PassTables {
 public:
  explicit PassTables(store::BlobStore* blobs) : blobs_(blobs) {}

  // Names of the tables of a pass, in the order in which it left them.
  static std::vector<std::string> Names(const v1::PassInfo& pass);

  // NOT_FOUND: the pass left no such table; the message names those it left.
  absl::StatusOr<v1::DataTable> Read(const v1::PassInfo& pass, absl::string_view table) const;

 private:
  store::BlobStore* const blobs_;
};

// Rows [first, first + count) of a table, of the columns named (all when none is). NOT_FOUND names a
// column that is not there.
absl::StatusOr<v1::DataTable> SliceTable(const v1::DataTable& table, uint64_t first, uint64_t count,
                                         const std::vector<std::string>& columns);

}  // namespace sextant::analysis
