#include "server/analysis/table_export.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "proto/table/table.h"

namespace sextant::analysis {
namespace {

CellType TypeOf(const v1::DataColumn& column) {
  if (!column.ints().empty()) return CellType::kInt;
  return column.texts().empty() ? CellType::kNumber : CellType::kText;
}

}  // namespace

absl::Status TableColumns::See(const v1::DataTable& table) {
  if (table.rows() == 0) return absl::OkStatus();   // its columns have no type
  ++tables_;
  for (const v1::DataColumn& column : table.columns()) {
    const CellType type = TypeOf(column);
    auto known = std::find_if(seen_.begin(), seen_.end(), [&](const Seen& seen) {
      return seen.column.name == column.name();
    });
    if (known == seen_.end()) {
      seen_.push_back({{column.name(), type, column.unit()}, 0});
      known = std::prev(seen_.end());
    }
    ++known->tables;
    if (known->column.type == type) continue;
    if (known->column.type == CellType::kText || type == CellType::kText)
      return absl::InvalidArgumentError(
          absl::StrCat("table: column \"", column.name(),
                       "\" is text in one pass and numbers in another; name passes of one kind"));
    known->column.type = CellType::kNumber;
  }
  return absl::OkStatus();
}

std::vector<RowColumn> TableColumns::columns() const {
  std::vector<RowColumn> columns = {{"pass_id"}, {"pass"}};
  for (const Seen& seen : seen_) {
    columns.push_back(seen.column);
    columns.back().may_be_null = seen.tables < tables_ || seen.column.type == CellType::kNumber;
  }
  return columns;
}

absl::Status TableColumns::Write(const v1::DataTable& table, int64_t pass_id, uint32_t ordinal,
                                 RowWriter* rows) const {
  std::vector<const v1::DataColumn*> columns;
  for (const Seen& seen : seen_) columns.push_back(table::Find(table, seen.column.name));
  for (uint64_t row = 0; row < table.rows(); ++row) {
    rows->Int(pass_id);
    rows->Int(ordinal);
    for (size_t i = 0; i < columns.size(); ++i) {
      const v1::DataColumn* column = columns[i];
      if (column == nullptr) {
        rows->Null();
        continue;
      }
      switch (seen_[i].column.type) {
        case CellType::kInt: rows->Int(column->ints(static_cast<int>(row))); break;
        case CellType::kNumber: rows->Number(table::NumberAt(*column, row)); break;
        case CellType::kText: {
          const std::string_view text = table::TextAt(*column, row);
          rows->Text({text.data(), text.size()});
          break;
        }
      }
    }
    RETURN_IF_ERROR(rows->EndRow());
  }
  return absl::OkStatus();
}

}  // namespace sextant::analysis
