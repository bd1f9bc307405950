// Rows of named columns, written out as they come: CSV and Parquet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sextant::analysis {

// Takes what is written, piece by piece.
using ByteSink = absl::FunctionRef<absl::Status(absl::string_view)>;

enum class CellType { kInt, kNumber, kText };

struct RowColumn {
  std::string name;
  CellType type = CellType::kInt;
  std::string unit;        // "ns", "cycles", …; "": a count or a name
  bool may_be_null = false;
};

// Cells in the order of the columns, each of its column's type, then EndRow. One thread.
class RowWriter {
 public:
  virtual ~RowWriter() = default;
  virtual absl::Status Begin() = 0;
  virtual void Int(int64_t value) = 0;
  virtual void Number(double value) = 0;          // NaN is null
  virtual void Text(absl::string_view value) = 0;
  virtual void Null() = 0;                        // in a column that may be
  // Hands over what has gathered, now and then.
  virtual absl::Status EndRow() = 0;
  virtual absl::Status Finish() = 0;              // once, last
};

// A header, then one line a row; quoted as in RFC 4180; null is the empty field.
std::unique_ptr<RowWriter> MakeCsvRows(std::vector<RowColumn> columns, ByteSink sink);

}  // namespace sextant::analysis
