// A table of several passes as one: their columns together, and which pass each row is of.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sextant/v1/table.pb.h"
#include "server/analysis/rows.h"

namespace sextant::analysis {

// Columns of all tables by name, in the order in which they first come, after `pass_id` and `pass`. A column
// that one table lacks may be null; ints and numbers together are numbers.
class TableColumns {
 public:
  // INVALID_ARGUMENT names the column that is text in one table and numbers in another.
  absl::Status See(const v1::DataTable& table);
  std::vector<RowColumn> columns() const;
  // Writes the rows of a table that was seen, of that pass. An absent number is null.
  absl::Status Write(const v1::DataTable& table, int64_t pass_id, uint32_t ordinal,
                     RowWriter* rows) const;

 private:
  struct Seen {
    RowColumn column;
    size_t tables = 0;   // that have it
  };
  std::vector<Seen> seen_;
  size_t tables_ = 0;
};

}  // namespace sextant::analysis
